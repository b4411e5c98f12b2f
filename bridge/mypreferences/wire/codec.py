"""Reading answers and rendering bodies: lenient in what is unknown, strict in what is promised."""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec

from bridge.core.errors import InvalidResponse, OutcomeUnknown, SideError
from bridge.core.model import Side

T = TypeVar("T")
Number = int | str  # enums and ids come as integers, in XML-born answers as names


def decode(kind: Any, content: bytes, *, operation: str, is_write: bool = False) -> Any:
    """Read a body as `kind`. Raises InvalidResponse, or OutcomeUnknown for a write; never quotes the body."""
    try:
        return msgspec.json.decode(content, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise bad_answer(operation, is_write=is_write) from None


def bad_answer(operation: str, *, is_write: bool = False) -> SideError:
    """The error for an answer that is not what the documents promise."""
    kind = OutcomeUnknown if is_write else InvalidResponse
    return kind(
        f"MyPreferences answered {operation} with something that is not what its documents promise.",
        side=Side.MYPREFERENCES,
        operation=operation,
        hint="Check the base URL and whatever proxies it with `bridge doctor`; it is tried again.",
    )


def encode(value: msgspec.Struct) -> Any:
    """A struct as plain JSON values, what is unset left out."""
    return msgspec.to_builtins(value)


def named(code: Number, codes: dict[str, int]) -> str:
    """The word for an enum given as number, number in text, or name in any spelling."""
    folded = "".join(letter for letter in str(code).casefold() if letter.isalnum())
    for word, number in codes.items():
        if folded in (str(number), word.replace("_", "")):
            return word
    return str(code)
