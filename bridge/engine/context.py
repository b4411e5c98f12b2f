"""What a round is made of: everything it uses is handed to it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Protocol

from bridge.core.brakes import BrakeLimits
from bridge.core.double_opt_in import CONFIRMATION_WAIT
from bridge.core.errors import SideError, Verdict
from bridge.core.mapping import Mapping as ConsentMapping
from bridge.core.model import Side, TopicId
from bridge.core.ports import FAILURES_IN_A_ROW, ReadReplica, Replica
from bridge.core.store_port import StorePort

Clock = Callable[[], datetime]


class Progress(Protocol):
    """Told how far a long step has come; `total` is None where nobody knows."""

    def __call__(self, step: str, done: int, total: int | None = None) -> None: ...


def silent(step: str, done: int, total: int | None = None) -> None:
    """Progress that nobody watches."""


@dataclass(frozen=True, slots=True)
class Tuning:
    """The operator's settings that a round follows."""

    poll: timedelta = timedelta(seconds=60)  # between the daemon's rounds
    overlap: timedelta = timedelta(seconds=900)
    skew: timedelta = timedelta(seconds=2)
    limits: BrakeLimits = field(default_factory=BrakeLimits)
    workers: int = 4  # calls in flight
    page: int = 500  # people decided at a time
    wave: int = 20_000  # people whose writes are gathered, so that a side may take them in one bulk job
    catalogue_every: timedelta = timedelta(minutes=10)
    challenge_wait: timedelta = CONFIRMATION_WAIT  # for how long a confirmation by mail is waited for
    settling: timedelta = timedelta(minutes=2)  # how long what a feed tells of is looked into again


@dataclass(frozen=True, slots=True)
class Services:
    """What a dry run gets: there is nothing in it that could write to a side."""

    state: StorePort
    readers: Mapping[Side, ReadReplica]
    mapping: ConsentMapping
    tuning: Tuning
    clock: Clock
    progress: Progress = silent
    heartbeat: Callable[[], None] = lambda: None  # renews the lease; raises LeaseHeld when it is lost
    budget: Callable[[], Mapping[str, Any]] = dict  # what the sides still allow


@dataclass(frozen=True, slots=True)
class Writers:
    """What may write to the sides."""

    replicas: Mapping[Side, Replica]


@dataclass(slots=True)
class RunHealth:
    """What is known to be wrong in this run: what may not be raised, who cannot be written to."""

    untrusted_topics: set[TopicId] = field(
        default_factory=set
    )  # a feed that covers these was not read to its end
    unread_this_run: dict[Side, set[TopicId]] = field(default_factory=lambda: {side: set() for side in Side})
    """Topics of which a feed of that side had no turn in this run: read again before anybody is raised."""
    busy: set[Side] = field(default_factory=set)  # a bulk job of ours may still be at work there
    gone: dict[TopicId, str] = field(default_factory=dict)  # the mapping names what is no longer there
    down: dict[Side, SideError] = field(default_factory=dict)
    failures: list[SideError] = field(default_factory=list)  # of calls that speak of nobody in particular
    warnings: list[str] = field(default_factory=list)
    consecutive_failures: dict[Side, int] = field(default_factory=lambda: dict.fromkeys(Side, 0))

    def warn(self, text: str) -> None:
        """Say something once."""
        if text not in self.warnings:
            self.warnings.append(text)

    def reached(self, side: Side) -> None:
        """A call about one person went well."""
        self.consecutive_failures[side] = 0

    def missed(self, side: Side, error: SideError) -> bool:
        """A call about one person failed. Returns whether the side is down: one person's trouble must not
        stop the others, but a side that serves nobody is down."""
        self.consecutive_failures[side] += error.verdict is not Verdict.HOLD
        if error.stops_side or self.consecutive_failures[side] >= FAILURES_IN_A_ROW:
            self.lost(side, error)
        return side in self.down

    def failed(self, side: Side, what: str, error: SideError) -> None:
        """A feed, a sweep or a catalogue could not be read. One that answers badly must not keep withdrawals
        from a side that takes them."""
        if error.stops_side or side in self.down:
            self.lost(side, error)
            return
        self.warn(f"{what}: {error}")
        if error.verdict not in (Verdict.FIX_CONFIG, Verdict.HOLD):
            self.failures.append(error)

    @property
    def errors(self) -> list[SideError]:
        """What went wrong at a side, beyond single people."""
        return [*self.down.values(), *self.failures]

    def lost(self, side: Side, error: SideError) -> None:
        """A side cannot be used for the rest of this run."""
        self.down.setdefault(side, error)
        self.warn(f"{side}: {error}")
