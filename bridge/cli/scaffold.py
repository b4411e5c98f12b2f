"""`bridge mapping scaffold`: draft a mapping from the names used on both sides."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bridge.cli.options import Config, Json, settings_from
from bridge.cli.output import StatusMark, note, plural, print_json
from bridge.core.errors import ConfigError
from bridge.core.model import Side

if TYPE_CHECKING:
    from bridge.app import App
    from bridge.mapping_file.scaffold.matching import Match, MatchResult, Unmatched


def scaffold(
    config: Config = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="FILE", help="Save the draft to this new file."),
    ] = None,
    json: Json = False,
) -> int:
    """Draft a mapping from both live catalogues.

    Runs write nothing until a person confirms the draft.
    """
    from bridge.mapping_file.scaffold.draft import draft

    if out is not None and out.exists():
        raise _require_new_file(out)
    from bridge.app import App

    with App(settings_from(config)) as app:
        made = match_live(app)
    text = draft(made)
    if out is not None:
        _save(out, text)
    if json:
        print_json(_document(made, text, out))
    elif out is None:
        typer.echo(text, nl=False)
    _print_result(made, out)
    return 0


def match_live(app: App) -> MatchResult:
    """Match the names of both sides. Raises SideError."""
    from bridge.cli import live_catalogue
    from bridge.cli.progress import show_progress
    from bridge.core.catalogue import Catalogue, CatalogueKind
    from bridge.mapping_file.scaffold.matching import match_catalogues

    catalogue = Catalogue()
    with show_progress() as progress:
        for number, side in enumerate(Side):
            progress("reading catalogues", number, len(Side))
            catalogue |= live_catalogue.read_side(
                app, side, (CatalogueKind.FILTER, CatalogueKind.CONSENT)
            ).catalogue
    return match_catalogues(catalogue)


def _save(path: Path, text: str) -> None:
    """Create the file; never overwrite an existing mapping."""
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise _require_new_file(path) from None
    except OSError as error:
        raise ConfigError(
            f"Cannot save the draft to {path}: {error.strerror}.", hint="Choose another file with --out."
        ) from None


def _require_new_file(path: Path) -> ConfigError:
    return ConfigError(f"{path} already exists.", hint="Choose another file; a draft overwrites nothing.")


def _document(made: MatchResult, text: str, out: Path | None) -> dict[str, Any]:
    from bridge.core.mapping import CHANNEL
    from bridge.mapping_file.scaffold.draft import DraftedTopic, draft_topics

    channel = None if made.channel is None else _topic_json(DraftedTopic(CHANNEL, made.channel))
    if channel is not None:
        channel["dotdigital"] = "email"
    return {
        "file": None if out is None else str(out),
        "draft": text,
        "channel": channel,
        "topics": [_topic_json(one) for one in draft_topics(made)],
        "unmatched": {
            side.value: [_unmatched_json(one) for one in made.left if one.entry.kind.side is side]
            for side in Side
        },
    }


def _topic_json(one: Any) -> dict[str, Any]:
    match: Match = one.match
    return {
        "id": one.id,
        "mypreferences": dict(one.mypreferences),
        "dotdigital": dict(one.dotdigital) if match.preferences else {},
        "score": match.score,
        "reason": match.reason,
        "doubts": list(match.doubts),
        "commented_out": not match.sure,
    }


def _unmatched_json(one: Unmatched) -> dict[str, str]:
    return {"kind": one.entry.kind.value, "id": one.entry.id, "name": one.entry.name, "why": one.why}


def _print_result(made: MatchResult, out: Path | None) -> None:
    """Print a summary on stderr: stdout has the draft itself."""
    matches = [*made.topics, *([made.channel] if made.channel else [])]
    sure = sum(one.sure for one in matches)
    asked = len(matches) - sure
    summary = f"{plural(sure, 'sure match', 'sure matches')}, {plural(asked, 'suggestion')} commented out"
    note(StatusMark.GOOD, f"{summary}, {plural(len(made.left), 'name')} without a match.", stderr=True)
    note(StatusMark.WARN, "This is a draft: runs write nothing until a person confirms it.", stderr=True)
    name = (
        "Save it with --out FILE" if out is None else f"Read {out}, then `bridge mapping check {out} --live`"
    )
    note(StatusMark.NEXT, f"{name}.", stderr=True)
