"""Decoding answers and encoding bodies: unknown fields are ignored, documented ones are checked."""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec

from bridge.core.errors import InvalidResponse, OutcomeUnknown, SideError
from bridge.core.model import Side

T = TypeVar("T")
Number = int | str  # enums and ids come as integers, in XML-born answers as names


def decode(kind: Any, content: bytes, *, operation: str, is_write: bool = False) -> Any:
    """Read an answer as `kind`. Raises InvalidResponse, for a write OutcomeUnknown; neither quotes it."""
    try:
        return msgspec.json.decode(content, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise bad_answer(operation, is_write=is_write) from None


def bad_answer(operation: str, *, is_write: bool = False) -> SideError:
    """The error for an answer that contradicts the documents."""
    kind = OutcomeUnknown if is_write else InvalidResponse
    return kind(
        f"MyPreferences gave an invalid answer to {operation}.",
        side=Side.MYPREFERENCES,
        operation=operation,
        hint="It will be retried. If it repeats, check the base URL and any proxy with `bridge doctor`.",
    )


def encode(value: msgspec.Struct) -> Any:
    """A struct as plain JSON values, without unset fields."""
    return msgspec.to_builtins(value)


def named(code: Number, codes: dict[str, int]) -> str:
    """The word for an enum given as number, number in text, or name in any spelling."""
    folded = "".join(letter for letter in str(code).casefold() if letter.isalnum())
    for word, number in codes.items():
        if folded in (str(number), word.replace("_", "")):
            return word
    return str(code)
