"""Read a mapping file: first its format, then the rules between topics, then its meaning.

The TOML parser keeps no positions, so the line of a key is searched in the text.
"""

from __future__ import annotations

import hashlib
import json
import re
import tomllib
from collections.abc import Iterator, Sequence
from collections.abc import Mapping as MappingOf
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from bridge.core.errors import ConfigError
from bridge.core.mapping import Mapping, Topic
from bridge.core.model import CHANNEL
from bridge.mapping_file import to_core
from bridge.mapping_file.format import MappingFile, known_keys
from bridge.mapping_file.lint import LocatedTopic, lint
from bridge.mapping_file.problems import Problem, describe

_HEADER = re.compile(r"\s*(\[\[?)\s*([^\[\]]+?)\s*\]\]?\s*(?:#.*)?$")
_KEY = re.compile(r"""\s*([A-Za-z0-9_-]+|"[^"]*"|'[^']*')""")


def load_mapping(path: Path) -> Mapping:
    """Read a mapping file. Raises ConfigError with every problem of the file."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(
            f"Cannot read the mapping file {path}: {error.strerror}.",
            hint="Set BRIDGE_MAPPING, or draft a mapping: `bridge mapping scaffold --out FILE`.",
        ) from None
    except UnicodeDecodeError:
        raise ConfigError(f"The mapping file {path} is not UTF-8 text.", hint="Save it as UTF-8.") from None
    return read_mapping(text, str(path))


def read_mapping(text: str, name: str) -> Mapping:
    """Read a mapping from the text of a file called `name`. Raises ConfigError with every problem."""
    mapping, problems = _read(text, name)
    if mapping is None:
        raise ConfigError(
            f"The mapping {name} is not valid.",
            problems=tuple(str(problem) for problem in problems),
            hint="`bridge mapping check` lists these problems; `bridge mapping schema` prints the format.",
        )
    return mapping


def check_mapping_text(text: str, name: str) -> list[Problem]:
    """Every problem in the text of a mapping file called `name`; none if it is valid."""
    return _read(text, name)[1]


def schema() -> dict[str, Any]:
    """The JSON Schema of the format, for editors."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **TypeAdapter(MappingFile).json_schema(),
        "title": "Consent bridge mapping",
    }


def place_of(text: str, name: str, topic: str, key: tuple[str, ...]) -> str:
    """The place of a topic's key in the text of a valid file called `name`: line, topic and key."""
    document = tomllib.loads(text.removeprefix("\ufeff"))
    tables = document.get("topics", [])
    at = next((number for number, table in enumerate(tables) if table["id"] == topic), None)
    path = (*_table_path(at), *key)
    return _place(document, name, line_of(text, path), path)


@dataclass(frozen=True, slots=True)
class _Finding:
    """A problem with its path in the parsed file."""

    path: tuple[str | int, ...]
    what: str
    hint: str


def _read(text: str, name: str) -> tuple[Mapping | None, list[Problem]]:
    text = text.removeprefix("\ufeff")
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        return None, [_syntax_problem(error, name)]
    findings = [*_form(document), *_rules(document)]
    if findings:
        placed = sorted(((line_of(text, one.path), one) for one in findings), key=lambda pair: pair[0] or 0)
        return None, [
            Problem(_place(document, name, line, one.path), one.what, one.hint) for line, one in placed
        ]
    mapping = _built(document)
    if mapping.channel.source is None and not mapping.topics and not mapping.draft:
        return None, [Problem(name, "it maps nothing", "Add [channels.email] or a [[topics]] table.")]
    return mapping, []


def _syntax_problem(error: tomllib.TOMLDecodeError, name: str) -> Problem:
    """Move the position from the end of the parser's message to the front."""
    found = re.fullmatch(r"(.*?) \(at (?:line (\d+), column (\d+)|end of document)\)", str(error), re.DOTALL)
    what = found[1] if found else str(error)
    place = f"{name}, line {found[2]}, column {found[3]}" if found and found[2] else f"{name}, at its end"
    return Problem(place, f"not TOML: {what[:1].lower()}{what[1:]}", "Fix this line, or the one before it.")


def _form(document: MappingOf[str, Any]) -> list[_Finding]:
    try:
        MappingFile.model_validate(document)
    except ValidationError as error:
        return [
            _Finding(
                *describe(one["type"], one["loc"], one.get("ctx", {}), document, known_keys(one["loc"][:-1]))
            )
            for one in error.errors(include_url=False, include_input=False)
        ]
    return []


def _rules(document: MappingOf[str, Any]) -> list[_Finding]:
    channel = to_core.channel_of(document)
    topics = [LocatedTopic(at, one) for at, one in enumerate(to_core.topics_of(document)) if one is not None]
    found = lint(
        None if channel is None else LocatedTopic(None, channel), topics, to_core.on_unsubscribe_of(document)
    )
    return [_Finding((*_table_path(one.index), *one.key), one.what, one.hint) for one in found]


def _table_path(index: int | None) -> tuple[str | int, ...]:
    return ("channels", "email") if index is None else ("topics", index)


def _place(document: MappingOf[str, Any], name: str, line: int | None, path: tuple[str | int, ...]) -> str:
    """`mappings/bridge.toml, line 14, topic "newsletter", key dotdigital.preference`."""
    words = [name] if line is None else [name, f"line {line}"]
    keys = path
    if len(path) > 1 and isinstance(path[1], int):
        topic = document["topics"][path[1]]
        known = topic.get("id") if isinstance(topic, dict) else None
        words.append(f'topic "{known}"' if isinstance(known, str) else f"topic {path[1] + 1}")
        keys = path[2:]
    if keys:
        words.append("key " + ".".join(str(key) or '""' for key in keys))
    return ", ".join(words)


def _built(document: MappingOf[str, Any]) -> Mapping:
    """Build the mapping. Without `[channels.email]` the channel has no place at MyPreferences."""
    nowhere = Topic(
        CHANNEL,
        None,
        {},
        to_core.conflict_of({}, document),
        to_core.direction_of({}, document),
        to_core.on_deletion_of(document),
    )
    mapping = Mapping(
        topics=tuple(topic for topic in to_core.topics_of(document) if topic is not None),
        channel=to_core.channel_of(document) or nowhere,
        on_unsubscribe=to_core.on_unsubscribe_of(document),
        digest="",
        draft=document.get("draft") is True,
    )
    return replace(mapping, digest=_digest(mapping))


def _digest(mapping: Mapping) -> str:
    """Twelve hex digits of the mapping's meaning: comments, order and explicit defaults do not count."""
    meaning = {
        "version": 1,
        "on_unsubscribe": mapping.on_unsubscribe,
        "topics": sorted((_meaning(topic) for topic in mapping.all), key=lambda one: str(one["id"])),
    }
    text = json.dumps(meaning, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _meaning(topic: Topic) -> dict[str, Any]:
    """The digest input of a topic. A missing consent record is left out, so that older digests stay valid."""
    parts = {**asdict(topic), "kind": type(topic.source).__name__}
    return parts if topic.record is not None else {key: parts[key] for key in parts if key != "record"}


def line_of(text: str, path: Sequence[str | int]) -> int | None:
    """The line (from 1) of the deepest part of `path` that is found: `("topics", 1, "dotdigital")`."""
    tables = list(_tables(text))
    for depth in range(len(path), 0, -1):
        for table, start, body in tables:
            if table == tuple(path[:depth]):
                return _line_of_key(body, path[depth:]) or start
    top = next(body for table, _, body in tables if not table)
    return _line_of_key(top, path)


def _line_of_key(body: Sequence[tuple[int, str]], path: Sequence[str | int]) -> int | None:
    if not path or not isinstance(path[0], str):
        return None
    for number, line in body:
        key = _KEY.match(line)
        if key and key[1].strip("\"'") == path[0]:
            return number
    return None


def _tables(text: str) -> Iterator[tuple[tuple[str | int, ...], int, list[tuple[int, str]]]]:
    """Each table of the file: its path, the line of its header, and its lines up to the next header."""
    counts: dict[str, int] = {}
    path: tuple[str | int, ...] = ()
    start, body = 1, list[tuple[int, str]]()
    for number, line in _lines_outside_strings(text):
        header = _HEADER.match(line)
        if header is None:
            body.append((number, line))
            continue
        yield path, start, body
        parts = [part.strip().strip("\"'") for part in header[2].split(".")]
        if header[1] == "[[":
            counts[header[2]] = counts.get(header[2], -1) + 1
            path = (*parts, counts[header[2]])
        else:
            path = _under_list(parts, counts)
        start, body = number, []
    yield path, start, body


def _under_list(parts: list[str], counts: dict[str, int]) -> tuple[str | int, ...]:
    """The full path: `[topics.dotdigital]` belongs to the last `[[topics]]` before it."""
    if parts[0] in counts:
        return (parts[0], counts[parts[0]], *parts[1:])
    return tuple(parts)


def _lines_outside_strings(text: str) -> Iterator[tuple[int, str]]:
    """The lines that are not inside a multi-line string."""
    quote: str | None = None
    for number, line in enumerate(text.splitlines(), start=1):
        if quote is None:
            yield number, line
        for mark in re.findall(r'"""|\'\'\'', line):
            if quote is None:
                quote = mark
            elif quote == mark:
                quote = None
