"""The API's text forms: JSON answers and bodies, enums and times. Unknown fields are ignored, documented
ones are checked. Times are described at MyPreferences `CreateProfilePreference`, CustomerDate."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

import msgspec

from bridge import bounds
from bridge.core.errors import InvalidResponse, OutcomeUnknown, SideError
from bridge.core.model import Side

T = TypeVar("T")
Number = int | str  # enums and ids come as integers, in XML-born answers as names
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
_MOMENT = re.compile(
    r"(\d{4}-\d{2}-\d{2})[T ](\d{2}:\d{2}(?::\d{2})?)(?:\.(\d{0,7}))?\s*(Z|z|[+-]\d{2}:?\d{2})?", re.ASCII
)


def decode(kind: Any, content: bytes, *, operation: str, is_write: bool = False) -> Any:
    """Read an answer as `kind`. Raises InvalidResponse, for a write OutcomeUnknown; neither quotes it."""
    try:
        return bounds.decode(content, kind)
    except bounds.Malformed:
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


def eastern() -> ZoneInfo:
    """The zone of times that have none."""
    return ZoneInfo("America/New_York")


def parse_moment(text: str | None, *, latest: bool = False) -> datetime | None:
    """A time in UTC; None for what cannot be read or meant: an unreadable date is no date.

    Without a zone it is US Eastern; a bare day is that day's first second. `latest` reads an
    ambiguous time as late as possible: a bare day as its last second, the repeated hour of autumn as the
    second one. Withdrawals are read so.
    """
    stripped = (text or "")[: bounds.ID_MAX].strip()
    try:
        if _DAY.fullmatch(stripped):
            of_day = time(23, 59, 59) if latest else time(0, 0, 0)
            return bounds.plausible(datetime.combine(date.fromisoformat(stripped), of_day, eastern()))
        match = _MOMENT.fullmatch(stripped)
        return None if match is None else bounds.plausible(_joined(*match.groups(), latest=latest))
    except (ValueError, OverflowError):
        return None


def _joined(day: str, clock: str, fraction: str | None, zone: str | None, *, latest: bool) -> datetime:
    moment = datetime.fromisoformat(f"{day}T{clock}")
    moment += timedelta(microseconds=int((fraction or "").ljust(6, "0")[:6]))
    if zone is None:
        return moment.replace(tzinfo=eastern(), fold=int(latest)).astimezone(UTC)
    offset = "+00:00" if zone in "Zz" else zone
    return datetime.fromisoformat(f"{moment.isoformat()}{offset}").astimezone(UTC)


def render_moment(moment: datetime, *, up: bool = False) -> str:
    """`yyyy-MM-ddTHH:mm:ssZ`, the only form whose meaning is certain. A fraction is cut off, or with `up`
    rounded up to the next second: an opt-out dated slightly too early would not be honoured."""
    utc = moment.astimezone(UTC)
    if up and utc.microsecond:
        utc += timedelta(seconds=1)
    return utc.strftime("%Y-%m-%dT%H:%M:%SZ")
