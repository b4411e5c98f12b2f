"""`bridge mapping check` and `bridge mapping schema`: the mapping file; `bridge mapping scaffold`: a draft
of it from the names used on both sides."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bridge.cli.options import Config, IgnoredConfig, Json, settings_from
from bridge.cli.output import SIDES, ExitCode, StatusMark, console, note, plural, print_json
from bridge.core.errors import ConfigError, SideError
from bridge.core.model import Side

if TYPE_CHECKING:
    from bridge.app import App
    from bridge.cli.live_catalogue import PlacedProblem
    from bridge.core.catalogue import Catalogue
    from bridge.mapping_file.matching import Match, MatchResult, Unmatched
    from bridge.settings import Settings

Document = dict[str, Any]


def check(
    file: Annotated[
        Path | None,
        typer.Argument(metavar="[FILE]", help="A mapping file; default: the one in the settings."),
    ] = None,
    config: Config = None,
    live: Annotated[bool, typer.Option("--live", help="Also compare with both live catalogues.")] = False,
    json: Json = False,
) -> int:
    """Check a mapping file: every problem, its place and its fix."""
    path = file or settings_from(config).mapping
    document = _lint(_text(path), path)
    unread: list[SideError] = []
    if live and document["ok"]:
        unread = _compare_live(settings_from(config, mapping=path), document)
    if json:
        print_json(document)
    else:
        _print(document, live=live)
    if document["problems"]:
        return ExitCode.INVALID
    return max((error.exit_code for error in unread), default=0)


def schema(
    config: IgnoredConfig = None,
    json: Annotated[
        bool, typer.Option("--json", help="Accepted for consistency; the output is JSON.")
    ] = False,
) -> int:
    """Print the JSON Schema of the mapping format, for editors."""
    from bridge.mapping_file import schema as mapping_schema

    del config, json
    print_json(mapping_schema())
    return 0


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(
            f"Cannot read the mapping file {path}: {error.strerror}.",
            hint="Name it with `bridge mapping check FILE` or in BRIDGE_MAPPING.",
        ) from None
    except UnicodeDecodeError:
        raise ConfigError(f"The mapping file {path} is not UTF-8 text.", hint="Save it as UTF-8.") from None


def _lint(text: str, path: Path) -> Document:
    from bridge.mapping_file import check_mapping_text, read_mapping

    problems = check_mapping_text(text, str(path))
    document: Document = {
        "file": str(path),
        "ok": not problems,
        "problems": [{"place": one.place, "what": one.what, "hint": one.hint} for one in problems],
    }
    if not problems:
        known = read_mapping(text, str(path))
        topics = [topic.id for topic in known.all]
        document |= {"digest": known.digest, "topics": topics, "draft": known.draft}
    return document


def _compare_live(settings: Settings, document: Document) -> list[SideError]:
    """Add the problems found in the live catalogues to the document. Returns the errors of sides that could
    not be read."""
    from bridge.app import App
    from bridge.cli import live_catalogue
    from bridge.cli.output import show_progress

    errors: list[SideError] = []
    read: list[Catalogue] = []
    live_result: Document = {"compared": [], "notes": [], "unread": []}
    with show_progress() as progress, App(settings) as app:
        for number, side in enumerate(Side):
            progress("reading catalogues", number, len(Side))
            try:
                catalogue_read = live_catalogue.read_side(app, side)
            except SideError as error:
                errors.append(error)
                live_result["unread"].append({"side": side.value, "what": error.what, "hint": error.hint})
                continue
            live_result["compared"].append(side.value)
            live_result["notes"] += catalogue_read.notes
            read.append(catalogue_read.catalogue)
            document["problems"] += [
                _problem_json(one) for one in live_catalogue.mapping_problems(app, catalogue_read.catalogue)
            ]
        live_result["changed"] = live_catalogue.recent_changes(app, read)
    document |= {"ok": not (document["problems"] or errors), "live": live_result}
    return errors


def _problem_json(one: PlacedProblem) -> Document:
    found = one.problem
    more = {"side": found.side.value, "fault": found.kind.value, "topic": found.topic}
    return {"place": one.place, "what": found.what, "hint": found.hint, **more}


def _print(document: Document, *, live: bool) -> None:
    out = console()
    for problem in document["problems"]:
        note(StatusMark.BAD, (problem["place"], "bold"), f": {problem['what']}.")
        note(StatusMark.NEXT, problem["hint"], indent=2)
    live_result = document.get("live", {"compared": [], "notes": [], "unread": [], "changed": []})
    for error in live_result["unread"]:
        note(StatusMark.BAD, (f"{SIDES[error['side']]}: ", "bold"), error["what"])
        note(StatusMark.NEXT, error["hint"], indent=2)
    for line in (*live_result["changed"], *live_result["notes"]):
        note(StatusMark.WARN, line)
    if document["problems"]:
        out.print(f"\n{plural(len(document['problems']), 'problem')} in {document['file']}.")
        return
    topics = ", ".join(document["topics"])
    note(StatusMark.GOOD, f"{document['file']} is valid: {topics} (digest {document['digest']}).")
    for side in live_result["compared"]:
        note(StatusMark.GOOD, f"Everything it names exists at {SIDES[side]}.")
    if document["draft"]:
        note(
            StatusMark.WARN,
            "This is a draft: runs write nothing until you remove the line draft = true.",
        )
    if not live:
        note(StatusMark.NEXT, "Compare with both live catalogues: `bridge mapping check --live`.")


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
    from bridge.mapping_file.draft import draft

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
    from bridge.cli.output import show_progress
    from bridge.core.catalogue import Catalogue, CatalogueKind
    from bridge.mapping_file.matching import match_catalogues

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
    from bridge.core.model import CHANNEL
    from bridge.mapping_file.draft import DraftedTopic, draft_topics

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
