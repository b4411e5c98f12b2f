"""How far a feed was read: in the side's own time, and never past what was not stored."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from bridge.core.model import FUTURE_TOLERANCE


@dataclass(frozen=True, slots=True)
class ReadWindow:
    """Where a feed is to be read from. `gap` is true where the feed cannot reach back to the watermark: what
    happened in between is found by a full sweep only."""

    since: datetime
    gap: bool


def read_window(
    watermark: datetime | None, *, overlap: timedelta, oldest: datetime | None, start: datetime
) -> ReadWindow:
    """From when to read: the watermark less the overlap, but no further back than the side allows.

    `start` is where a feed begins that has no watermark yet.
    """
    since = start if watermark is None else watermark - overlap
    if oldest is not None and since < oldest:
        return ReadWindow(since=oldest, gap=watermark is not None and watermark < oldest)
    return ReadWindow(since=since, gap=False)


def is_stale(mark: datetime | None, newest: datetime | None, *, turn: timedelta, overlap: timedelta) -> bool:
    """Whether a feed whose turn has not come was read too long ago to be relied on. `newest` is how far the
    side's newest feed was read, so both are the side's own time; `turn` is how long a whole turn takes.

    Two turns and the overlap: a feed may miss one turn (a full window, a slow drain, a failure), and a
    watermark lies behind its read by the length of a run. One that has missed two is not being read."""
    if mark is None or newest is None:
        return True
    return newest - mark > 2 * turn + overlap


def allowed_lag(poll: timedelta, *, overlap: timedelta, turn: timedelta) -> timedelta:
    """How far a feed's watermark may lie behind while a daemon keeps its schedule: a run starts every `poll`,
    and `turn` is the longest interval between two reads of the feed."""
    return 3 * poll + overlap + max(turn - poll, timedelta(0))


def advance(old: datetime | None, proven: datetime) -> datetime:
    """The new watermark after a drain proven complete up to `proven`, a plausible time."""
    return proven if old is None else max(old, proven)


def clock_fault(old: datetime | None, proven: datetime, now: datetime) -> str | None:
    """Why the time that a side states cannot be its clock's, in words; None where it can. `now` is our own
    clock's."""
    if proven > now + FUTURE_TOLERANCE:
        return f"the side states a time that lies ahead of this machine's clock ({proven:%Y-%m-%d %H:%MZ})"
    if old is not None and proven < old - FUTURE_TOLERANCE:
        return f"the side states a time before the one it stated last ({proven:%Y-%m-%d %H:%MZ})"
    return None


def is_ahead(mark: datetime | None, now: datetime) -> bool:
    """Whether a watermark lies in the future: what happened up to then would never be read."""
    return mark is not None and mark > now + FUTURE_TOLERANCE
