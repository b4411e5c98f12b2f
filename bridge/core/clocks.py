"""The bridge's own times, which never go back, and how the clocks of both services compare with it. Pure.

What the bridge read, wrote or noted is put in order by its own times alone; they come from a `Sequence`. The
machine's clock is compared with the dates of the services and with nothing else.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from math import ceil

from bridge.core.model import FUTURE_TOLERANCE, Side

Clock = Callable[[], datetime]

_STEP = timedelta(microseconds=1)  # the resolution of the state DB
_SECOND = timedelta(seconds=1)


def utc_now() -> datetime:
    """The machine's clock."""
    return datetime.now(UTC)


class Sequence:
    """Times that never go back, whatever the machine's clock does. Thread-safe.

    Each is the clock's time or, where that lies before a time already given or observed, the next microsecond
    after it. The state DB keeps the newest one, so that the order holds across restarts, and across machines
    whose clocks differ."""

    def __init__(self, wall: Clock) -> None:
        self._wall = wall
        self._newest: datetime | None = None
        self._lock = threading.Lock()

    def __call__(self) -> datetime:
        """The next time."""
        with self._lock:
            now = self._wall()
            if self._newest is not None and now < self._newest:
                now = self._newest + _STEP
            self._newest = now
            return now

    def observe(self, at: datetime) -> None:
        """Give no time before this one any more."""
        with self._lock:
            self._newest = at if self._newest is None else max(at, self._newest)

    @property
    def newest(self) -> datetime | None:
        """The newest time given or observed; None before the first."""
        return self._newest


@dataclass(frozen=True, slots=True)
class ClockOffset:
    """How far a service's clock is ahead of this machine's: no less than `least`, no more than `most`."""

    least: timedelta
    most: timedelta

    @classmethod
    def measured(cls, there: datetime, asked: datetime, answered: datetime) -> ClockOffset:
        """From one answer that states the service's time in whole seconds (HTTP's Date header): when it was
        asked for, and when it had arrived."""
        return cls(there - answered, there + _SECOND - asked)

    def beyond(self, other: ClockOffset) -> timedelta:
        """How far apart two clocks are at least."""
        return max(self.least - other.most, other.least - self.most, timedelta())

    @property
    def error(self) -> timedelta:
        """How far the service's clock and ours are apart at least."""
        return self.beyond(_NONE)


_NONE = ClockOffset(timedelta(), timedelta())

Offsets = Mapping[Side, ClockOffset]


def clock_problems(
    offsets: Offsets, now: datetime, newest: datetime | None, skew: timedelta
) -> tuple[str, ...]:
    """Why dates cannot be put in order, in words for an operator: none where they can. While there are any,
    nobody is opted in. `newest` is the newest time that the state DB held before this run; a clock that shows
    an earlier one is trusted again once both services confirm it."""
    found = []
    for side, offset in offsets.items():
        if offset.error > FUTURE_TOLERANCE:
            way = "behind" if offset.least > timedelta() else "ahead of"
            found.append(f"this machine's clock is {_seconds(offset.error)} {way} the clock of {side}")
    mine, theirs = (offsets.get(side) for side in Side)
    if mine is not None and theirs is not None and (apart := mine.beyond(theirs)) > skew:
        found.append(
            f"the clocks of {Side.MYPREFERENCES} and {Side.DOTDIGITAL} are {_seconds(apart)} apart, more "
            f"than BRIDGE_SKEW_SECONDS allows"
        )
    confirmed = len(offsets) == len(Side) and not found
    if newest is not None and now < newest - FUTURE_TOLERANCE and not confirmed:
        found.append(
            f"this machine's clock shows a time before that of the last run ({newest:%Y-%m-%d %H:%M:%SZ})"
        )
    return tuple(found)


def earliest_now(offsets: Offsets, now: datetime) -> datetime:
    """The present moment by the service's clock that is furthest behind: the services date what people say,
    so nothing they say from now on is dated before it. Our own clock (`now`) counts only where no service
    stated its time."""
    return min((now + offset.most for offset in offsets.values()), default=now)


def latest_now(offsets: Offsets, now: datetime) -> datetime:
    """The present moment by the clock that is furthest ahead: a date that a service gives is not from the
    future because our own clock is behind."""
    return max((now, *(now + offset.least for offset in offsets.values())))


@dataclass(frozen=True, slots=True)
class LostPeriod:
    """The time about which a restored state DB knows nothing: from its last entry until that was noticed."""

    since: datetime
    until: datetime

    def holds(self, at: datetime | None) -> bool:
        """Whether something of that date may have been dealt with, and is not known."""
        return at is not None and self.since < at <= self.until

    def with_earlier(self, known: LostPeriod | None) -> LostPeriod:
        """This period and one that was noted before."""
        return (
            self if known is None else LostPeriod(min(known.since, self.since), max(known.until, self.until))
        )


_SENT_BEFORE: ContextVar[datetime | None] = ContextVar("sent_before", default=None)


@contextmanager
def sent_before(latest: datetime | None) -> Iterator[None]:
    """Writes of this thread that are made within leave before `latest`, by the machine's clock, or not at
    all. None: they leave however late it is."""
    before = _SENT_BEFORE.set(latest)
    try:
        yield
    finally:
        _SENT_BEFORE.reset(before)


def is_too_late(now: datetime) -> bool:
    """Whether a write of this thread may not leave any more."""
    latest = _SENT_BEFORE.get()
    return latest is not None and now > latest


def _seconds(apart: timedelta) -> str:
    return f"{ceil(apart / _SECOND)} s"
