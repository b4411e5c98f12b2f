"""`bridge mapping check` and `bridge mapping schema`: the mapping file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bridge.cli.options import Config, IgnoredConfig, Json, settings_from
from bridge.cli.output import SIDES, ExitCode, StatusMark, console, note, plural, print_json
from bridge.core.errors import ConfigError, SideError
from bridge.core.model import Side

if TYPE_CHECKING:
    from bridge.cli.live_catalogue import PlacedProblem
    from bridge.core.catalogue import Catalogue
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
    from bridge.cli.progress import show_progress

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
