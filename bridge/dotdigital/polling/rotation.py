"""Which feeds a polling round reads. Dotdigital has one feed for each preference, and no call that reads them
all: where the allowance has no room for all of them in every round, they take turns.

A feed whose turn has not come is not in doubt by that: its watermark stays, and what it covers is read before
anybody is raised on it (see `bridge.engine.recheck`).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from math import ceil, floor
from typing import Protocol

from bridge.core.ports import KeyValue

KEY = "dotdigital.turn"
SPARED = 4  # calls of a window that turns leave alone: the next round may fall into the same one
_MINUTE = timedelta(minutes=1)
_NEVER = datetime.min.replace(tzinfo=UTC)


class RateBudget(Protocol):
    """What is known of the allowance for the reads that feeds take."""

    def allowance(self, operation: str) -> float:
        """How many such calls a minute polling may make, as far as is known."""
        ...

    def room(self, operation: str) -> int | None:
        """How many of them could be made now without waiting; None where nobody knows."""
        ...


@dataclass(frozen=True, slots=True)
class Rotation:
    """`feeds` take turns, in rounds that follow each other `every` so often and have room for `a_round`."""

    feeds: int
    a_round: int
    every: timedelta

    @property
    def whole(self) -> timedelta:
        """How long it takes until each of them has had its turn."""
        return self.every * max(1, ceil(self.feeds / self.a_round))


def rotation_of(feeds: int, allowance: float, every: timedelta, *, beside: int) -> Rotation:
    """How many of the feeds a round has room for: always one at least. `allowance` is in calls a minute,
    `beside` the calls that a round makes of the same allowance anyway."""
    room = floor((allowance - SPARED) * (every / _MINUTE)) - beside
    return Rotation(feeds, max(1, min(room, feeds)), every)


def in_order(feeds: Sequence[str], marks: Mapping[str, datetime]) -> list[str]:
    """The feeds that were read longest ago first, those that never were before them."""
    return sorted(feeds, key=lambda feed: marks.get(feed, _NEVER))


def taken(feeds: Sequence[str], turns: Rotation, pace: RateBudget, operation: str) -> Iterator[str]:
    """The feeds whose turn it is, one by one: the first in any case, the others while nothing has to wait.
    Rounds that are more than a minute apart have the time to wait for the next window."""
    for number, feed in enumerate(feeds[: turns.a_round]):
        room = pace.room(operation) if number and turns.every <= _MINUTE else None
        if room is not None and room <= SPARED:
            return
        yield feed


@dataclass(frozen=True, slots=True)
class RotationPeriod:
    """So many feeds, each of which is read within `whole`."""

    feeds: int
    whole: timedelta


def last_rotation_period(memory: KeyValue) -> RotationPeriod | None:
    """How long a whole turn takes, as the last polling round noted it; None before the first."""
    row = json.loads(memory.meta(KEY) or "null")
    return None if row is None else RotationPeriod(row["feeds"], timedelta(seconds=row["seconds"]))
