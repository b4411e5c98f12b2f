"""A side in memory: the plainest thing that keeps the promises of `bridge.core.ports.Replica`."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from bridge.core.catalogue import Catalogue, CatalogueKind, Entry
from bridge.core.errors import NotFound, SideError
from bridge.core.mapping import ConsentRef, FilterRef, Topic
from bridge.core.mapping import Mapping as ConsentMapping
from bridge.core.mapping_check import kinds_used
from bridge.core.model import (
    CHANNEL,
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
    read_each,
    send_each,
)
from bridge.core.writes import Raise, Resubscribe, Withdrawal, Write


@dataclass(frozen=True)
class Said:
    """One statement as the fake side keeps it."""

    choice: Choice
    at: datetime | None
    frequencies: tuple[str, ...] = ()
    stated: bool = True


@dataclass
class FakePerson:
    id: str
    address: str
    said: dict[TopicId, Said] = field(default_factory=dict)
    touched: datetime | None = None


@dataclass
class FakeSide:
    """Holds people. `fail` maps an operation (read_person, read_feed, list_people, send_one ...) to the
    results of its next calls, in order: an error, or None for success.

    `write_fate` may be "lost_before" or "lost_after": the next write raises the error beside it without, or
    after, having been applied.
    """

    side: Side
    mapping: ConsentMapping
    clock: Callable[[], datetime]
    page_size: int = 2
    honours_older: bool = False
    people: dict[str, FakePerson] = field(default_factory=dict)
    fail: dict[str, list[SideError | None]] = field(default_factory=dict)
    write_fate: list[tuple[str, SideError]] = field(default_factory=list)
    gone: set[TopicId] = field(default_factory=set)
    calls: int = 0
    account_name: str = "ours"
    bulk_from: int | None = None  # requests from which on one job is cheaper than one call each
    undated_reads: bool = False  # reading many people at once gives no dates
    busy: bool = False
    resting: bool = False  # its feed has no turn in a polling run
    records: dict[str, list[ConsentRecord]] = field(default_factory=dict)  # by address
    history: timedelta | None = None
    log: list[tuple[str, str]] = field(default_factory=list)
    _lock: threading.RLock = field(default_factory=threading.RLock)

    # what people do

    def person(self, address: str) -> FakePerson:
        with self._lock:
            key = address_key(address)
            return self.people.setdefault(key, FakePerson(f"{self.side[0]}{len(self.people) + 1}", address))

    def say(
        self,
        address: str,
        topic: str,
        choice: Choice,
        at: datetime | None = None,
        frequencies: tuple[str, ...] = (),
        *,
        dated: bool = True,
    ) -> None:
        with self._lock:
            person = self.person(address)
            when = (at or self.clock()) if dated and choice is not Choice.UNSET else None
            person.said[TopicId(topic)] = Said(choice, when, frequencies)
            person.touched = self.clock()

    def shows(self, address: str, topic: str) -> Choice:
        said = self.people[address_key(address)].said.get(TopicId(topic))
        return Choice.UNSET if said is None else said.choice

    # reading

    def feeds(self, poll_interval: timedelta) -> Sequence[Feed]:
        return (Feed(f"{self.side}.feed", frozenset(topic.id for topic in self.mapping.all), poll_interval),)

    def feeds_due(self, watermarks: Watermarks, poll_interval: timedelta) -> Iterator[str]:
        yield from () if self.resting else [feed.name for feed in self.feeds(poll_interval)]

    def probe_capabilities(self) -> Sequence[str]:
        return ()

    def catalogue(self) -> Catalogue:
        self._call("catalogue")
        topics = [topic for topic in self.mapping.all if topic.id not in self.gone]
        entries = tuple(
            entry for topic in topics for entry in named_by(topic) if entry.kind.side is self.side
        )
        return Catalogue(entries, kinds_used(self.side, self.mapping))

    def account(self) -> str:
        return self.account_name

    def oldest_since(self) -> datetime | None:
        return None if self.history is None else self.clock() - self.history

    def read_feed(self, feed: str, since: datetime) -> Iterator[Page]:
        start = self.clock()
        with self._lock:
            touched = [one for one in self.people.values() if one.touched and one.touched >= since]
        for at in range(0, len(touched), self.page_size):
            self._call("read_feed")
            page = touched[at : at + self.page_size]
            hints = [Hint(one.id, one.address, (f"{one.id} {one.touched}",)) for one in page]
            yield Page(hints=hints, named={one.id: one.touched for one in page if one.touched})
        self._call("read_feed")
        yield Page(watermark=start)

    def list_people(self, known: Iterable[Who], since: ListingCursor | None = None) -> Iterator[Page]:
        people = list(self.people.values())
        for at in range(0, len(people), self.page_size):
            self._call("list_people")
            yield Page(views=[self._view(one, self.clock()) for one in people[at : at + self.page_size]])

    def _read_person(self, who: Who) -> PersonView:
        read_at = self.clock()
        self._call("read_person")
        with self._lock:
            return self._seen(who, read_at)

    def read_people(self, people: Sequence[Who]) -> Iterator[Page]:
        if self.bulk_from is None or len(people) == 1:
            yield from read_each(self.side, self._read_person, people)
            return
        read_at = self.clock()
        self._call("read_people")
        with self._lock:
            yield Page(views=[self._seen(who, read_at, undated=self.undated_reads) for who in people])

    def has_running_jobs(self) -> bool:
        self._call("has_running_jobs")
        return self.busy

    def read_hint(self, hint: Hint) -> Sequence[PersonView]:
        read_at = self.clock()
        self._call("read_person")
        with self._lock:
            return [self._view(one, read_at) for one in self.people.values() if one.id == hint.id]

    def estimate_calls(self, people: Sequence[Sequence[Write]]) -> int:
        raised = sum(not isinstance(write, Withdrawal) for writes in people for write in writes[:1])
        if self._is_bulk(sum(len(self.split(writes)) for writes in people)):
            return 3
        return 2 * sum(len(self.split(writes)) for writes in people) + raised

    def _is_bulk(self, requests: int) -> bool:
        return self.bulk_from is not None and requests >= self.bulk_from

    def _topics(self) -> list[TopicId]:
        return [topic.id for topic in self.mapping.all if topic.source is not None]

    def _seen(self, who: Who, read_at: datetime, *, undated: bool = False) -> PersonView:
        person = self.people.get(address_key(who.address))
        if person is None:
            absent = Observation(Choice.UNSET, read_at, present=False, records=0)
            return PersonView(who.address, (), dict.fromkeys(self._topics(), absent), complete=True)
        view = self._view(person, read_at)
        return _undated(view) if undated else view

    def _view(self, person: FakePerson, read_at: datetime) -> PersonView:
        topics = {}
        for topic in self._topics():
            said = person.said.get(topic, Said(Choice.UNSET, None))
            topics[topic] = Observation(said.choice, read_at, said.at, said.frequencies, stated=said.stated)
        return PersonView(person.address, (person.id,), topics, complete=True)

    def _call(self, operation: str) -> None:
        with self._lock:
            self.calls += 1
            failures = self.fail.get(operation)
            failure = failures.pop(0) if failures else None
        if failure is not None:
            raise failure

    # writing

    def split(self, writes: Sequence[Write]) -> Sequence[Sequence[Write]]:
        down = [write for write in writes if isinstance(write, Withdrawal)]
        up = [write for write in writes if not isinstance(write, Withdrawal)]
        return [unit for unit in (down, up) if unit]

    def send(
        self, batch: Sequence[WriteRequest], heartbeat: Callable[[], None]
    ) -> Sequence[WriteResponse | SideError]:
        if not self._is_bulk(len(batch)):
            return send_each(self._send_one, batch, heartbeat)
        try:
            self._call("send_bulk")
        except SideError as error:
            return [error] * len(batch)
        fate = self.write_fate.pop(0) if self.write_fate else None
        if fate is not None and fate[0] == "lost_before":
            return [fate[1]] * len(batch)
        results = [self._import(request) for request in batch]
        heartbeat()
        return results if fate is None else [fate[1]] * len(batch)

    def unfinished(self) -> Sequence[PersonId]:
        return ()

    def finish(self, people: Sequence[Who]) -> Sequence[Repaired]:
        return ()

    def _send_one(self, request: WriteRequest) -> WriteResponse:
        if request.records:
            self._call("keep_records")
            self._keep(request)
        self._call("send_one")
        fate = self.write_fate.pop(0) if self.write_fate else None
        if fate is not None and fate[0] == "lost_before":
            raise fate[1]
        outcome = WriteResponse.ACCEPTED
        with self._lock:
            person = self.people.get(address_key(request.who.address))
            if person is None:
                raise NotFound("nobody there", side=self.side, operation="send")
            for write in request.writes:
                self.log.append((write.topic, type(write).__name__))
                if isinstance(write, Raise) and write.how is Resubscribe.CHALLENGE:
                    outcome = WriteResponse.CHALLENGED
                    continue
                self._apply(person, write)
        if fate is not None:
            raise fate[1]
        return outcome

    def consent_records(self, who: Who, topics: Sequence[TopicId]) -> Sequence[ConsentRecord]:
        self._call("consent_records")
        return [record for record in self.records.get(who.address, ()) if record.topic in topics]

    def _keep(self, request: WriteRequest) -> None:
        kept = self.records.setdefault(request.who.address, [])
        kept.extend(record for record in request.records if record not in kept)

    def _import(self, request: WriteRequest) -> WriteResponse | SideError:
        with self._lock:
            self._keep(request)
            person = self.people.get(address_key(request.who.address))
            if person is None:
                return NotFound("nobody there", side=self.side, operation="send")
            for write in request.writes:
                self.log.append((write.topic, type(write).__name__))
                self._apply(person, write)
        return WriteResponse.ACCEPTED

    def _apply(self, person: FakePerson, write: Write) -> None:
        """MyPreferences keeps the date that a write carries, and ignores a write that is older than what it
        holds. Dotdigital takes no date: it stamps its own time, unless the value is what it holds already."""
        match write:
            case Withdrawal():
                said = Said(Choice.OPTED_OUT, write.effective_at)
            case _:
                frequencies = () if write.frequency is None else (write.frequency,)
                said = Said(Choice.OPTED_IN, write.evidence.changed_at, frequencies)
        held = person.said.get(write.topic)
        if self.side is Side.DOTDIGITAL:
            person.said[write.topic] = self._stamped(write.topic, said, held)
        else:
            older = held is not None and held.at is not None and said.at is not None and said.at < held.at
            if not older or self.honours_older:
                person.said[write.topic] = said
        person.touched = self.clock()

    def _stamped(self, topic: TopicId, said: Said, held: Said | None) -> Said:
        if held is not None and (held.choice, held.frequencies) == (said.choice, said.frequencies):
            return held
        if topic == CHANNEL and said.choice is Choice.OPTED_IN:
            return replace(said, at=None, stated=False)  # being subscribed is a state without a date
        return replace(said, at=self.clock())


def _undated(view: PersonView) -> PersonView:
    """A person as a listing shows them: no dates, and an opt-out that looks like silence."""
    topics = {
        topic: Observation(
            seen.choice if seen.choice is Choice.OPTED_IN else Choice.UNSET,
            seen.read_at,
            frequencies=seen.frequencies,
            stated=seen.choice is Choice.OPTED_IN,
            undated=True,
        )
        for topic, seen in view.topics.items()
    }
    return replace(view, topics=topics, complete=False)


def named_by(topic: Topic) -> Iterator[Entry]:
    """All that a topic names, as both sides would have it."""
    match topic.source:
        case FilterRef(filter=name):
            yield Entry(CatalogueKind.FILTER, name)
        case ConsentRef(consent=name):
            yield Entry(CatalogueKind.CONSENT, name)
    for number in topic.preferences.values():
        yield Entry(CatalogueKind.PREFERENCE, str(number))
