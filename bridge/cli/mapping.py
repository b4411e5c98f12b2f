"""`bridge mapping`: the mapping file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from bridge.cli.options import Config, IgnoredConfig, Json, settings_from
from bridge.cli.output import Mark, console, counted, note, print_json
from bridge.core.errors import ConfigError

WRONG = 2


def check(
    file: Annotated[
        Path | None, typer.Argument(metavar="[FILE]", help="A mapping file; else the one of the settings.")
    ] = None,
    config: Config = None,
    json: Json = False,
) -> int:
    """Lint a mapping: every problem, its place, what mends it. `bridge doctor` asks both live catalogues."""
    from bridge.mapping_file import check_mapping_text, read_mapping

    path = file or settings_from(config).mapping
    text = _text(path)
    problems = check_mapping_text(text, str(path))
    document: dict[str, Any] = {
        "file": str(path),
        "ok": not problems,
        "problems": [{"place": one.place, "what": one.what, "hint": one.hint} for one in problems],
    }
    if not problems:
        known = read_mapping(text, str(path))
        document |= {"digest": known.digest, "topics": [topic.id for topic in known.all]}
    if json:
        print_json(document)
    else:
        _print(document)
    return WRONG if problems else 0


def schema(
    config: IgnoredConfig = None,
    json: Annotated[bool, typer.Option("--json", help="The same: it is JSON anyway.")] = False,
) -> int:
    """Print the JSON Schema of the mapping format, for editors."""
    from bridge.mapping_file import schema as made

    del config, json
    print_json(made())
    return 0


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(
            f"The mapping file {path} cannot be read: {error.strerror}.",
            hint="Name it: `bridge mapping check FILE`, or by BRIDGE_MAPPING.",
        ) from None
    except UnicodeDecodeError:
        raise ConfigError(f"The mapping file {path} is not UTF-8 text.", hint="Save it as UTF-8.") from None


def _print(document: dict[str, Any]) -> None:
    out = console()
    for problem in document["problems"]:
        note(Mark.BAD, (problem["place"], "bold"), f": {problem['what']}.")
        note(Mark.NEXT, problem["hint"], indent=2)
    if document["problems"]:
        out.print(f"\n{counted(len(document['problems']), 'problem')} in {document['file']}.")
        return
    topics = ", ".join(document["topics"])
    note(Mark.GOOD, f"{document['file']} is a mapping: {topics} (digest {document['digest']}).")
    note(Mark.NEXT, "Against both live catalogues: `bridge doctor`.")
