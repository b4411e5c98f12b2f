"""Problems of a mapping file as text: the place, what is wrong, how to fix it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from bridge.core.mapping import Conflict, Direction, OnDeletion, OnUnsubscribe
from bridge.core.writes import Resubscribe
from bridge.similarity import closest

Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Problem:
    """A problem that makes a mapping file invalid."""

    place: str
    what: str
    hint: str

    def __str__(self) -> str:
        return f"{self.place}: {self.what}. {self.hint}"


def _one_of(words: type[StrEnum]) -> str:
    return "Use one of " + ", ".join(f'"{word}"' for word in words) + "."


_PREFERENCE = "Give the id of a preference, a whole number from 1 to 2147483647, without quotes."
_SOURCE = 'Write { filter = "…" } or { consent = "…", version = "…", locale = "…" }.'
_TARGET = "Write { preference = 1002 } or { frequencies = { DAILY = 1003, WEEKLY = 1004 } }."
_HINTS: Mapping[str, str] = {
    "id": 'Give it 1 to 64 letters, digits, "_", "." or "-", the first a letter or digit.',
    "filter": "Give the FilterId in quotes, 1 to 50 characters.",
    "email_type": "Give the EmailAddressType in quotes, 1 to 100 characters, or omit it for any.",
    "consent": "Give the ConsentType in quotes, 1 to 100 characters.",
    "locale": 'Give the locale in quotes, 1 to 15 characters, like "en_US".',
    "preference": _PREFERENCE,
    "frequencies": _TARGET,
    "mypreferences": _SOURCE,
    "dotdigital": _TARGET,
    "conflict": _one_of(Conflict),
    "direction": _one_of(Direction),
    "resubscribe": _one_of(Resubscribe),
    "on_deletion": _one_of(OnDeletion),
    "on_unsubscribe": _one_of(OnUnsubscribe),
    "draft": "Write draft = true, or remove the line.",
    "topics": "Write each topic as a [[topics]] table.",
    "email": "Write it as a table: [channels.email].",
}
_KINDS: Mapping[object, tuple[str, ...]] = {  # the two keys that distinguish the kinds, then the others
    "mypreferences": ("filter", "consent", "email_type", "version", "locale"),
    "dotdigital": ("preference", "frequencies"),
}
_TABLES = frozenset({"model_type", "model_attributes_type", "dict_type"})
_WORDS: Mapping[str, Callable[[Mapping[str, Any]], str]] = {
    "missing": lambda _: "it is missing",
    "string_type": lambda _: "it is not text in quotes",
    "string_too_short": lambda _: "it is empty",
    "string_too_long": lambda context: f"it is longer than {context['max_length']} characters",
    "string_pattern_mismatch": lambda _: "it contains characters that an id must not contain",
    "bool_type": lambda _: "it is neither true nor false",
    "int_type": lambda _: "it is not a whole number",
    "greater_than_equal": lambda context: f"it is less than {context['ge']}",
    "less_than_equal": lambda context: f"it is more than {context['le']}",
    "too_short": lambda _: "it is empty",
    "list_type": lambda _: "it is not a list of tables",
    "enum": lambda _: "it is not one of the allowed words",
    "literal_error": lambda context: f"it is not {context['expected']}",
}


def describe(
    kind: str, loc: Path, context: Mapping[str, Any], document: Mapping[str, Any], known: Collection[str]
) -> tuple[Path, str, str]:
    """Turn a parser error into a path in the file, what is wrong, and how to fix it.

    `loc` may contain names that are not in the file (the kind of table that was recognised); `known` are the
    keys allowed at this place.
    """
    path = _path(loc)
    if kind == "extra_forbidden":
        return path, f'the key "{path[-1]}" is unknown', _nearest_key(path, known)
    if kind == "kind":
        value = _value(document, path)
        if strange := _not_allowed(path, value):
            return (
                (*path, strange),
                f'the key "{strange}" is unknown',
                _nearest_key((*path, strange), _KINDS[path[-1]]),
            )
        return path, *_neither_kind(path, value)
    if loc[-1] == "[key]":
        return path, "the name of a frequency is too long or empty", "A FrequencyId has 1 to 20 characters."
    if kind in _TABLES:
        return path, "it is not a table", _hint(path)
    say = _WORDS.get(kind)
    return path, say(context) if say else "its value is not allowed here", _hint(path)


def _path(loc: Path) -> Path:
    """The keys as in the file: the parser adds a kind of table after `mypreferences` or `dotdigital`."""
    kept = [
        part for at, part in enumerate(loc) if at == 0 or loc[at - 1] not in ("mypreferences", "dotdigital")
    ]
    return tuple(part for part in kept if part != "[key]")


def _hint(path: Path) -> str:
    key = path[-1]
    match path:
        case ("version",):
            return "Write version = 1, the only version this program reads."
        case ("channels", "email", "dotdigital"):
            return 'Write dotdigital = "email".'
        case (*_, "frequencies", str()):
            return _PREFERENCE
        case (*_, "mypreferences", "version"):
            return 'Give the ConsentVersion in quotes, 1 to 50 characters, like "1.0".'
        case (*_, int()):
            return _HINTS["topics"]
        case (("defaults" | "channels") as table,):
            return f"Write it as a table: [{table}]."
    return _HINTS.get(str(key), "See `bridge mapping schema`.")


def _nearest_key(path: Path, known: Collection[str]) -> str:
    if path[-1] == "email_type" and "consent" in known:
        return "Only a filter has an e-mail type: remove it."
    if path[-1] in ("resubscribe", "on_unsubscribe"):
        return "It belongs under [channels.email]."
    return f'The nearest known key is "{closest(str(path[-1]), known)}". Rename or remove it.'


def _not_allowed(path: Path, value: object) -> str:
    """The first unknown key of a table of neither kind; empty where there is none."""
    known = _KINDS[path[-1]]
    if not isinstance(value, dict) or known[0] in value or known[1] in value:
        return ""
    return next((key for key in value if key not in known), "")


def _neither_kind(path: Path, value: object) -> tuple[str, str]:
    names = _KINDS[path[-1]][:2]
    if value == "email":
        return "the e-mail channel cannot be a topic's target", f"Map it under [channels.email]. {_TARGET}"
    if not isinstance(value, dict):
        return "it is not a table", _hint(path)
    if all(name in value for name in names):
        return (
            f"it has both {names[0]} and {names[1]}",
            "Keep one of them; map the other in its own topic.",
        )
    return f"it has neither {names[0]} nor {names[1]}", _hint(path)


def _value(document: Mapping[str, Any], path: Path) -> object:
    value: Any = document
    for part in path:
        value = value[part]
    return value
