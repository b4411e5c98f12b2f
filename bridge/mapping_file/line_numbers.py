"""The line of a key in a TOML file. The parser keeps no positions, so this searches the text. Returns None
for layouts that it does not handle."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

_HEADER = re.compile(r"\s*(\[\[?)\s*([^\[\]]+?)\s*\]\]?\s*(?:#.*)?$")
_KEY = re.compile(r"""\s*([A-Za-z0-9_-]+|"[^"]*"|'[^']*')""")


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
