"""What a run is made of. Everything it uses is passed in."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import Any, Protocol

from bridge.core.brakes import BrakeLimits
from bridge.core.clocks import Clock, Offsets, latest_now
from bridge.core.double_opt_in import CONFIRMATION_WAIT
from bridge.core.errors import ConfigError, SideError, Verdict
from bridge.core.mapping import Mapping as ConsentMapping
from bridge.core.model import OTHER_VERSION, ClockReading, PersonId, Side, TopicId
from bridge.core.ports import FAILURES_IN_A_ROW, PersonView, ReadReplica, Replica
from bridge.core.store_port import StorePort
from bridge.core.store_values import RunKind


class Progress(Protocol):
    """Called with how far a long step has come; `total` is None where it is not known."""

    def __call__(self, step: str, done: int, total: int | None = None) -> None: ...


def silent(step: str, done: int, total: int | None = None) -> None:
    """Progress that is not shown."""


UNKNOWN_MAX = 50
"""Records read in one run that webhooks name and nobody is known to have: anybody may invent some. The feed
brings those that exist."""


@dataclass(frozen=True, slots=True)
class Tuning:
    """The operator's settings that a run follows."""

    poll: timedelta = timedelta(seconds=60)  # between the daemon's runs
    overlap: timedelta = timedelta(seconds=900)
    skew: timedelta = timedelta(seconds=2)
    limits: BrakeLimits = field(default_factory=BrakeLimits)
    workers: int = 4  # calls in flight
    page: int = 500  # people decided at a time
    wave: int = 20_000  # people whose writes are gathered, so that a side may take them in one bulk job
    catalogue_every: timedelta = timedelta(minutes=10)
    retention: timedelta = timedelta(days=90)  # how long records of runs are kept
    challenge_wait: timedelta = CONFIRMATION_WAIT  # how long to wait for a confirmation by mail
    settling: timedelta = timedelta(minutes=2)  # how long the same hint of a feed is read again


@dataclass(frozen=True, slots=True)
class Services:
    """What every run needs. Nothing in it can write to a side."""

    state: StorePort
    readers: Mapping[Side, ReadReplica]
    mapping: ConsentMapping
    tuning: Tuning
    clock: Clock
    progress: Progress = silent
    heartbeat: Callable[[], None] = lambda: None  # renews the lease; raises LeaseHeld when it is lost
    budget: Callable[[], Mapping[str, Any]] = dict  # what the sides still allow
    clock_offsets: Callable[[], Offsets] = dict  # of the sides that stated their time in this process


@dataclass(frozen=True, slots=True)
class Writers:
    """What may write to the sides."""

    replicas: Mapping[Side, Replica]


@dataclass(slots=True)
class RunHealth:
    """What is known to be wrong in this run: what may not be raised, which side cannot be used."""

    untrusted_topics: set[TopicId] = field(default_factory=set)  # a feed of these was not read to its end
    incomplete: dict[str, None] = field(default_factory=dict)  # feeds and sweeps not read to their end
    clocks: list[str] = field(default_factory=list)  # why the clocks suspend opt-ins
    unread_people: dict[Side, set[PersonId]] = field(default_factory=partial(defaultdict, set))
    """People whose read failed in this run, and was not repeated with success since."""
    unchecked: dict[Side, set[PersonId]] = field(default_factory=partial(defaultdict, set))
    """People about whom a write is not checked yet, or whose record does not show what its events told: no
    read of this run tells how they are."""
    vanished: list[str] = field(default_factory=list)  # why what is gone from a side is not believed
    busy: set[Side] = field(default_factory=set)  # a bulk job of ours may still be running there
    gone: dict[TopicId, str] = field(default_factory=dict)  # the mapping names what no longer exists
    unapproved: set[TopicId] = field(default_factory=set)  # their change of the mapping waits for approval
    down: dict[Side, SideError] = field(default_factory=dict)
    unstored: set[Side] = field(default_factory=set)  # a read brought what cannot be kept: no watermark moves
    failures: list[SideError] = field(default_factory=list)  # of calls that are about no single person
    warnings: list[str] = field(default_factory=list)
    consecutive_failures: dict[Side, int] = field(default_factory=Counter)

    def warn(self, text: str) -> None:
        """Report something once."""
        if text not in self.warnings:
            self.warnings.append(text)

    def reached(self, side: Side) -> None:
        """A call about one person succeeded."""
        self.consecutive_failures[side] = 0

    def missed(self, side: Side, error: SideError) -> bool:
        """A call about one person failed. Returns whether the side is down: one person's failure must not
        stop the others, but a side that fails for everybody is down."""
        self.consecutive_failures[side] += error.verdict is not Verdict.HOLD
        if error.stops_side or self.consecutive_failures[side] >= FAILURES_IN_A_ROW:
            self.lost(side, error)
        return side in self.down

    def failed(self, side: Side, what: str, error: SideError) -> None:
        """A feed, a sweep or a catalogue could not be read. Bad answers to reads must not keep withdrawals
        from a side that takes writes."""
        if error.stops_side or side in self.down:
            self.lost(side, error)
            return
        self.warn(f"{what}: {error}")
        if error.verdict is not Verdict.FIX_CONFIG:  # that is reported as a topic that is gone
            self.failures.append(error)

    @property
    def errors(self) -> list[SideError]:
        """What went wrong at a side, beyond single people."""
        return [*self.down.values(), *self.failures]

    def lost(self, side: Side, error: SideError) -> None:
        """A side cannot be used for the rest of this run."""
        self.down.setdefault(side, error)
        self.warn(f"{side}: {error}")

    def unread(self, person: PersonId) -> bool:
        """Whether what a side shows of this person could not be read in this run."""
        return person in self.all_unread

    @property
    def all_unread(self) -> set[PersonId]:
        """Everybody who is not known at both sides as they are now."""
        return set().union(*self.unread_people.values(), *self.unchecked.values())


class RunContext:
    """One run: what it uses, its number, and what is known to be wrong. `now` gives the bridge's own time,
    for what is compared with what is stored; `clock` the machine's, to compare with the services' dates. This
    is all that a dry run has, so that it cannot write to a side. A run is noted in the state DB as it is
    made, and as it ends."""

    def __init__(self, services: Services, kind: RunKind) -> None:
        self.state, self.readers = services.state, services.readers
        self.mapping, self.tuning, self.clock = services.mapping, services.tuning, services.clock
        self.progress, self.heartbeat, self.budget = services.progress, services.heartbeat, services.budget
        self.clock_offsets, self.now = services.clock_offsets, services.state.now
        self.newest_before = services.state.newest()  # the bridge's own time when the run began
        self.kind, self.started_at = kind, services.clock()
        self.health = RunHealth()
        self.began = services.state.now()
        self.approve_vanished = False  # an operator says that what is gone from a side is
        self.observed = dict.fromkeys(Side, 0)  # people read
        self.noticed: set[str] = set()  # addresses of people whom feeds showed, not yet sent for
        self.other_versions: dict[TopicId, set[str]] = {}  # addresses of people, by topic
        self.unknown_left = UNKNOWN_MAX  # records that webhooks may name in this run and nobody knows
        self.under_way: set[PersonId] = set()  # people whose withdrawals are gathered or being sent
        self.calls_before = {side: reader.calls for side, reader in services.readers.items()}
        self.id = services.state.runs.begin(kind)

    def clock_reading(self) -> ClockReading:
        """The present moment, as decisions compare it with the dates of the services."""
        own = self.clock()
        now = latest_now(self.clock_offsets(), own)
        return ClockReading(now, self.tuning.skew, now - own)

    def note_other_versions(self, views: Iterable[PersonView]) -> None:
        """Count who granted a consent in a version that the mapping does not name."""
        for view in views:
            for topic, seen in view.topics.items():
                if seen.reason == OTHER_VERSION:
                    self.other_versions.setdefault(topic, set()).add(view.address)

    def end(self, state: str, report: Mapping[str, Any]) -> None:
        """Note how the run ended: `done`, `failed` or `stopped`."""
        self.state.runs.end(self.id, state, report)


class WriteContext(RunContext):
    """A run that may write to the sides."""

    def __init__(self, services: Services, kind: RunKind, writers: Writers) -> None:
        super().__init__(services, kind)
        self.replicas = writers.replicas


def require_same_account(state: StorePort, readers: Mapping[Side, ReadReplica], health: RunHealth) -> None:
    """Bind a new state DB to both accounts; raise ConfigError where it is bound to others: what was agreed
    for one account means nothing for another. A side that cannot tell which account it serves is not used in
    this run."""
    for side in Side:
        try:
            account = readers[side].account()
        except SideError as error:
            health.lost(side, error)
            continue
        known = state.facts.account(side)
        if known is None:
            state.facts.set_account(side, account)
        elif known != account:
            raise ConfigError(
                f"This state DB belongs to another account of {side} ({known}) "
                f"than the settings lead to ({account}).",
                hint="Name another one by BRIDGE_DATABASE_URL. If it is the same account under a new "
                "address, say so with `bridge db adopt`.",
            )
