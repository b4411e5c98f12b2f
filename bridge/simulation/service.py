"""What both simulated services have in common: records whose changes may show late, feeds with faults, and
writes whose outcome may be unknown."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Protocol, TypeVar

from bridge.core.catalogue import Catalogue, CatalogueKind, Entry
from bridge.core.errors import InvalidResponse, OutcomeUnknown
from bridge.core.mapping import ConsentRef, FilterRef, Mapping, Topic
from bridge.core.mapping_check import kinds_used
from bridge.core.model import (
    CHANNEL,
    Block,
    Choice,
    ConsentRecord,
    Observation,
    PersonId,
    Side,
    TopicId,
    Who,
    address_key,
)
from bridge.core.ports import (
    Feed,
    Hint,
    ListingCursor,
    Page,
    PersonView,
    Repaired,
    Watermarks,
    WriteRequest,
    WriteResponse,
    WriteResult,
    read_each,
    send_each,
)
from bridge.core.writes import Withdrawal, Write
from bridge.simulation.boundaries import Boundaries
from bridge.simulation.history import PersonAct, SentWrite, TrueHistory
from bridge.simulation.steps import FaultKind, Switch

T = TypeVar("T")
LATE_BY = timedelta(minutes=7)  # how long after the call a write may still be applied


@dataclass(frozen=True, slots=True)
class ServiceRow:
    """What a record holds of one topic from one moment on. `changed` is the service's own time of it;
    `visible` and `announced` are the true times from which reads and the feed show it (None: no feed does).
    `act` is what a person did; None for a write of the bridge."""

    choice: Choice
    date: datetime | None
    changed: datetime
    visible: datetime
    announced: datetime | None
    frequencies: tuple[str, ...] = ()
    stated: bool = True
    block: Block | None = None
    reason: str | None = None
    act: PersonAct | None = None


@dataclass(slots=True)
class SimulatedRecord:
    """A profile or a contact."""

    person: int
    id: str
    address: str
    rows: dict[TopicId, list[ServiceRow]] = field(default_factory=dict)
    present: bool = True
    changed: datetime | None = None  # when it came or went

    def newest(self, topic: TopicId) -> ServiceRow | None:
        """What it holds, shown or not."""
        rows = self.rows.get(topic)
        return rows[-1] if rows else None

    def shown(self, topic: TopicId, now: datetime) -> ServiceRow | None:
        """What reads show at the true time `now`."""
        return next((row for row in reversed(self.rows.get(topic, ())) if row.visible <= now), None)


class Process(Protocol):
    """The bridge's process, as far as a call of a side knows it."""

    @property
    def boundaries(self) -> Boundaries: ...

    def answered(self, side: Side, asked: datetime) -> None:
        """A side answered, and stated its time."""

    def own_clock(self) -> datetime:
        """The machine's clock."""

    def read_clock(self) -> datetime:
        """The bridge's own time, which dates reads."""

    def before_write(self, side: Side) -> None:
        """Raises LeaseHeld or TooLate where a write may not leave any more."""

    def sent(self, write: SentWrite) -> None:
        """A write reached a side."""

    def feed_failed(self, side: Side, feed: str) -> None:
        """A feed could not be read to its end."""

    def feed_ended(self, feed: str, watermark: datetime) -> None:
        """A feed was read to its end."""

    def later(self, wait: timedelta, act: Callable[[], None]) -> None:
        """Something that happens after some time, even if the process has ended."""


class SimulatedService(ABC):
    """One side, without what the two do differently."""

    def __init__(self, side: Side, mapping: Mapping, history: TrueHistory) -> None:
        self.side, self.mapping, self.history = side, mapping, history
        self.records: dict[int, SimulatedRecord] = {}
        self.switches: dict[Switch, int] = {}
        self.page_size = 2
        self.calls = 0
        self.process: Process

    # people

    def add(self, person: int, address: str) -> None:
        """A record comes to be."""
        self.records[person] = SimulatedRecord(person, f"{7000 + person}", address)

    def clock(self) -> datetime:
        """The service's clock."""
        return self.history.time.shown(self.side)

    def on(self, switch: Switch) -> int:
        return self.switches.get(switch, 0)

    def put(
        self,
        record: SimulatedRecord,
        topic: TopicId,
        choice: Choice,
        date: datetime | None,
        *,
        announced: bool = True,
        frequencies: tuple[str, ...] = (),
        stated: bool = True,
        block: Block | None = None,
        reason: str | None = None,
        act: PersonAct | None = None,
    ) -> None:
        """The record holds something new of a topic."""
        changed, true = self.clock(), self.history.time.now
        listed = announced and not self.on(Switch.DROPS)
        row = ServiceRow(
            choice,
            date,
            changed,
            true + timedelta(seconds=self.on(Switch.READ_LAG)),
            true + timedelta(seconds=self.on(Switch.FEED_LAG)) if listed else None,
            frequencies,
            stated,
            block,
            reason,
            act,
        )
        record.rows.setdefault(topic, []).append(row)

    def disclose(self) -> None:
        """What was hidden by lagging shows now: the service behaves as promised again."""
        now = self.history.time.now
        self.switches.clear()
        for record in self.records.values():
            for rows in record.rows.values():
                rows[:] = [_disclosed(row, now) for row in rows]

    def touch(self) -> None:
        """Something is written again as it was: the feed brings an event."""
        for record in self.records.values():
            for rows in record.rows.values():
                now = self.history.time.now
                rows.append(replace(rows[-1], changed=self.clock(), visible=now, announced=now))
                return

    # calls

    def call(self, operation: str, *, write: bool = False) -> None:
        """A call: the process may die here, or get an error. Raises SideError."""
        self.calls += 1
        self.history.note(self.side.value, operation)
        asked = self.process.own_clock()
        self.process.boundaries.call(self.side, operation, write=write)
        self.process.answered(self.side, asked)

    def account(self) -> str:
        return "simulated"

    def catalogue(self) -> Catalogue:
        self.call("catalogue")
        entries: dict[tuple[CatalogueKind, str], Entry] = {}
        for topic in self.mapping.all:
            for entry in _entries(topic):
                if entry.kind.side is self.side:
                    entries[entry.kind, entry.id] = entry
        return Catalogue(tuple(entries.values()), kinds_used(self.side, self.mapping))

    def feeds_due(self, watermarks: Watermarks, poll_interval: timedelta) -> Iterator[str]:  # noqa: ARG002
        """All of them, each time."""
        yield from [feed.name for feed in self.feeds(poll_interval)]

    def probe_capabilities(self) -> Sequence[str]:
        return ()

    def has_running_jobs(self) -> bool:
        return False

    def consent_records(self, who: Who, topics: Sequence[TopicId]) -> Sequence[ConsentRecord]:  # noqa: ARG002
        return ()

    def estimate_calls(self, people: Sequence[Sequence[Write]]) -> int:
        return 2 * sum(len(self.split(writes)) for writes in people)

    def split(self, writes: Sequence[Write]) -> Sequence[Sequence[Write]]:
        down = [write for write in writes if isinstance(write, Withdrawal)]
        up = [write for write in writes if not isinstance(write, Withdrawal)]
        return [unit for unit in (down, up) if unit]

    def read_feed(self, feed: str, since: datetime) -> Iterator[Page]:
        """Pages of what changed, and the watermark on the last. A page that fails ends it with its error."""
        began = self.clock()
        try:
            self.call("read_feed")
            rows = self._feed_rows(feed, since)
            for at in range(0, len(rows), self.page_size):
                if self.process.boundaries.is_cut():
                    raise InvalidResponse("Half a page.", side=self.side, operation="read_feed")
                yield self.page(feed, rows[at : at + self.page_size])
                self.call("read_feed")
        except BaseException:
            self.process.feed_failed(self.side, feed)
            raise
        self.process.feed_ended(feed, began)
        yield Page(watermark=began)

    def _feed_rows(self, feed: str, since: datetime) -> list[tuple[SimulatedRecord, TopicId, ServiceRow]]:
        now = self.history.time.now
        found = [
            (record, topic, row)
            for record in self.records.values()
            for topic, rows in record.rows.items()
            for row in self.rows_of(feed, topic, rows)
            if row.announced is not None and row.announced <= now and row.changed >= since
        ]
        found.sort(key=lambda one: one[2].changed)
        if self.on(Switch.DISORDER):
            found = found[1::2] + found[::2]
        return found + found[:1] if self.on(Switch.REPEATS) else found

    def unfinished(self) -> Sequence[PersonId]:
        """Nothing: every write here names only what it changes."""
        return ()

    def finish(self, people: Sequence[Who]) -> Sequence[Repaired]:  # noqa: ARG002
        """Nothing is left beside a write."""
        return ()

    def read_people(self, people: Sequence[Who]) -> Iterator[Page]:
        if len(people) == 1 or not self.on(Switch.UNDATED_READS):
            yield from read_each(self.side, self.read_one, people)
            return
        read_at = self.process.read_clock()
        self.call("read_people")
        yield Page(views=[self.view_of(who.address, read_at, listed=True) for who in people])

    def read_one(self, who: Who) -> PersonView:
        """A person with dates."""
        read_at = self.process.read_clock()
        self.call("read_person")
        return self.view_of(who.address, read_at)

    def view_of(self, address: str, read_at: datetime, *, listed: bool = False) -> PersonView:
        """What is shown of an address."""
        key = address_key(address)
        for record in self.records.values():
            if record.present and address_key(record.address) == key:
                return self.view(record, read_at, listed=listed)
        gone = Observation(Choice.UNSET, read_at, present=False, records=0, stated=False)
        return PersonView(address, (), dict.fromkeys(self.topics(), gone), complete=True)

    def view(self, record: SimulatedRecord, read_at: datetime, *, listed: bool = False) -> PersonView:
        """What is shown of a record now; where `listed`, without dates."""
        topics = {topic: self.observation(record, topic, read_at) for topic in self.topics()}
        if listed:
            topics = {topic: _undated(topic, seen) for topic, seen in topics.items()}
        for topic, seen in topics.items():
            row = record.shown(topic, self.history.time.now)
            if row is not None and seen.choice is row.choice:
                self.history.show(row.act)
        return PersonView(record.address, (record.id,), topics, complete=not listed)

    def observation(self, record: SimulatedRecord, topic: TopicId, read_at: datetime) -> Observation:
        """One topic of a record, as it is shown now."""
        row = record.shown(topic, self.history.time.now)
        if row is None:
            return Observation(Choice.UNSET, read_at, stated=False)
        return observed(row, read_at)

    def send(self, batch: Sequence[WriteRequest], heartbeat: Callable[[], None]) -> Sequence[WriteResult]:
        return send_each(self._send_one, batch, heartbeat)

    def _send_one(self, request: WriteRequest) -> WriteResponse:
        known = next((one for one in self.records.values() if _is(one, request.who)), None)
        record = known if known is not None and known.present else None
        self.before_send(record, request)
        self.call("write", write=True)
        self.process.before_write(self.side)
        fate = self.process.boundaries.fate(self.side)
        person = 0 if known is None else known.person
        for write in request.writes:
            self.process.sent(SentWrite(self.history.time.now, self.side, person, write))
        lost = OutcomeUnknown("A simulated fault.", side=self.side, operation="write")
        if fate is FaultKind.LOST_BEFORE:
            raise lost
        if fate is FaultKind.LATE:
            self.process.later(LATE_BY, lambda: self._late(record, request))
            raise lost
        response = self.apply(record, request.writes)
        if fate is FaultKind.DIES_AFTER_WRITE:
            self.process.boundaries.die()
        if fate is FaultKind.LOST_AFTER:
            raise lost
        return response

    def _late(self, record: SimulatedRecord | None, request: WriteRequest) -> None:
        if record is not None and record.present:
            self.apply(record, request.writes)

    # what each service does in its own way

    @abstractmethod
    def feeds(self, poll_interval: timedelta) -> Sequence[Feed]:
        """Its feeds, in order, and what each reports."""

    @abstractmethod
    def oldest_since(self) -> datetime | None:
        """How far back its feeds reach."""

    @abstractmethod
    def read_hint(self, hint: Hint) -> Sequence[PersonView]:
        """What a hint names."""

    @abstractmethod
    def topics(self) -> Sequence[TopicId]:
        """The topics that a read shows."""

    @abstractmethod
    def rows_of(self, feed: str, topic: TopicId, rows: Sequence[ServiceRow]) -> Iterable[ServiceRow]:
        """Those rows of a topic that a feed lists."""

    @abstractmethod
    def page(self, feed: str, rows: Sequence[tuple[SimulatedRecord, TopicId, ServiceRow]]) -> Page:
        """One page of a feed."""

    @abstractmethod
    def list_people(self, known: Iterable[Who], since: ListingCursor | None = None) -> Iterator[Page]:
        """Everybody."""

    @abstractmethod
    def before_send(self, record: SimulatedRecord | None, request: WriteRequest) -> None:
        """The reads of a side just before it writes. Raises SideError."""

    @abstractmethod
    def apply(self, record: SimulatedRecord | None, writes: Sequence[Write]) -> WriteResponse:
        """Carry out writes. Raises SideError."""


def observed(row: ServiceRow, read_at: datetime) -> Observation:
    """A row as the bridge sees it."""
    return Observation(
        row.choice,
        read_at,
        row.date,
        row.frequencies,
        stated=row.stated,
        block=row.block,
        reason=row.reason,
    )


def _disclosed(row: ServiceRow, now: datetime) -> ServiceRow:
    announced = row.announced if row.announced is None else min(row.announced, now)
    return replace(row, visible=min(row.visible, now), announced=announced)


def _is(record: SimulatedRecord, who: Who) -> bool:
    return address_key(record.address) == address_key(who.address)


def _undated(topic: TopicId, seen: Observation) -> Observation:
    """As a listing shows a topic: no date, and an opt-out that looks like silence."""
    told = seen.opted_in or topic == CHANNEL
    return Observation(
        seen.choice if told else Choice.UNSET,
        seen.read_at,
        frequencies=seen.frequencies,
        stated=seen.stated and told,
        undated=True,
        block=seen.block,
        reason=seen.reason,
    )


def _entries(topic: Topic) -> Iterator[Entry]:
    match topic.source:
        case FilterRef(filter=name):
            yield Entry(CatalogueKind.FILTER, name)
        case ConsentRef(consent=name):
            yield Entry(CatalogueKind.CONSENT, name)
    for number in topic.preferences.values():
        yield Entry(CatalogueKind.PREFERENCE, str(number))
