"""Which feeds a polling run reads. Dotdigital has one feed for each preference, and no call that reads them
all: where the rate limits do not allow all of them in every run, they take turns.

A feed that is not read in a run is not in doubt for that: its watermark stays, and what it covers is read
before anybody is opted in on it (see `recheck` in `bridge.engine.apply`). `~modified` is read first where it
was shown to include preference changes (`capabilities`).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from math import ceil, floor
from typing import Protocol

from bridge.core.ports import KeyValue, Watermarks
from bridge.dotdigital.polling.capabilities import CapabilityProbe
from bridge.dotdigital.polling.modified_feed import FEED as MODIFIED
from bridge.dotdigital.polling.modified_feed import LONGEST, ModifiedFeed
from bridge.dotdigital.polling.stored import ROTATION_KEY, Capability

OPERATION = "get-contacts-with-modified-preference-opt-in-since-date"
SPARED = 4  # calls of a window that a run leaves unused: the next run may fall into the same window
_FEW = 1  # feeds that take no more calls than asking whether they have to be read
_MINUTE = timedelta(minutes=1)
_NEVER = datetime.min.replace(tzinfo=UTC)


class RateBudget(Protocol):
    """What is known of the rate limit of a feed's reads."""

    def allowance(self, operation: str) -> float:
        """How many such calls a minute polling may make, as far as is known."""
        ...

    def room(self, operation: str) -> int | None:
        """How many of them could be made now without waiting; None where that is not known."""
        ...


def per_run(feeds: int, allowance: float, poll_interval: timedelta, *, other_calls: int) -> int:
    """How many of the feeds a run has room for: always one at least. `allowance` is in calls a minute,
    `other_calls` are those that a run makes of the same allowance anyway."""
    room = floor((allowance - SPARED) * (poll_interval / _MINUTE)) - other_calls
    return max(1, min(room, feeds))


def period(feeds: int, per_run: int, poll_interval: timedelta) -> timedelta:
    """How long it takes until each feed was read once."""
    return poll_interval * max(1, ceil(feeds / per_run))


def oldest_first(feeds: Sequence[str], marks: Watermarks) -> list[str]:
    """The feeds that were read longest ago first, those that never were before them."""
    return sorted(feeds, key=lambda feed: marks.get(feed, _NEVER))


def affordable(feeds: Sequence[str], poll_interval: timedelta, budget: RateBudget) -> Iterator[str]:
    """The first of a run's feeds in any case, the others while nothing has to wait. Runs that are more
    than a minute apart have the time to wait for the next window."""
    for number, feed in enumerate(feeds):
        room = budget.room(OPERATION) if number and poll_interval <= _MINUTE else None
        if room is not None and room <= SPARED:
            return
        yield feed


class FeedRotation:
    """`feeds` take turns: one for each preference. The rotation period is noted in `memory`, for commands
    that only report it."""

    def __init__(
        self,
        feeds: Sequence[str],
        budget: RateBudget,
        probe: CapabilityProbe,
        modified: ModifiedFeed,
        memory: KeyValue,
    ) -> None:
        self._feeds, self._budget = feeds, budget
        self._probe, self._modified = probe, modified
        self._memory = memory
        self._noted: str | None = None  # by this process

    def feeds_due(self, marks: Watermarks, poll_interval: timedelta) -> Iterator[str]:
        """The feeds read longest ago, as many as the rate limits allow. Where `~modified` is trusted it is
        read first, and then only the feeds that are due, unless it could not be read."""
        self._note(self.period(poll_interval))
        per_run, queue = self._per_run(poll_interval), oldest_first(self._feeds, marks)
        if self._is_accelerated():
            yield MODIFIED
            if self._modified.read_at is not None:
                queue = [feed for feed in queue if self._modified.is_due(marks.get(feed), poll_interval)]
        yield from affordable(queue[:per_run], poll_interval, self._budget)

    def period(self, poll_interval: timedelta) -> timedelta:
        """How long it may take until each feed was read once, at what is known of the rate limits."""
        whole = period(len(self._feeds), self._per_run(poll_interval), poll_interval)
        return max(whole, LONGEST) if self._is_accelerated() else whole

    def _per_run(self, poll_interval: timedelta) -> int:
        other_calls = 1 + self._is_accelerated()  # suppressed-since, and `~modified`
        allowance = self._budget.allowance(OPERATION)
        return per_run(len(self._feeds), allowance, poll_interval, other_calls=other_calls)

    def _note(self, whole: timedelta) -> None:
        row = json.dumps({"feeds": len(self._feeds), "seconds": whole.total_seconds()})
        if row != self._noted:
            self._memory.set(ROTATION_KEY, row)
            self._noted = row

    def _is_accelerated(self) -> bool:
        return (
            len(self._feeds) > _FEW
            and self._modified.is_there()
            and self._probe.trusts(Capability.MOVES_ON_PREFERENCES)
        )
