"""A request as handlers see it, and their answer."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from bridge.sandbox.dotdigital.refusal import malformed, parameter_invalid

_INT32 = 2**31 - 1


@dataclass(frozen=True)
class Call:
    """One request. `query` names are in lower case: v2 was documented with two spellings."""

    path: Mapping[str, str]
    query: Mapping[str, str]
    body: bytes
    base_url: str

    def document(self) -> Any:
        """The body as JSON with the property names of objects in lower case, as v2 reads them.

        Raises V2Refusal for what is not JSON.
        """
        try:
            return _lowered(json.loads(self.body))
        except ValueError as error:
            raise malformed("The body is not JSON.") from error

    def number(self, name: str, default: int, least: int, most: int = _INT32) -> int:
        """A whole number of the query. Raises V2Refusal when it is none or out of range."""
        text = self.query.get(name)
        return default if text is None else _whole(text, name, least, most)

    def id(self, name: str) -> int:
        """A 32-bit id of the path. Raises V2Refusal."""
        return _whole(self.path[name], name, 0, _INT32)


@dataclass(frozen=True)
class Answer:
    """What goes back."""

    body: bytes = b""
    status: int = 200
    content_type: str = "application/json; charset=utf-8"
    headers: Mapping[str, str] = field(default_factory=dict)


def answer(document: Any, status: int = 200) -> Answer:
    """A JSON answer."""
    return Answer(json.dumps(document, separators=(",", ":")).encode(), status)


def text(words: str, status: int = 200) -> Answer:
    """A plain-text answer."""
    return Answer(words.encode(), status, "text/plain; charset=utf-8")


def _whole(words: str, name: str, least: int, most: int) -> int:
    try:
        number = int(words)
    except ValueError as error:
        raise parameter_invalid(f"{name} is not a whole number.") from error
    if not least <= number <= most:
        raise parameter_invalid(f"{name} is out of range.")
    return number


def _lowered(value: Any) -> Any:
    if isinstance(value, dict):
        return {key.lower(): _lowered(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_lowered(inner) for inner in value]
    return value
