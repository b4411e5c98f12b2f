"""What the engine needs of a side. Each side implements `Replica`; what only reads gets `ReadReplica`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from itertools import accumulate, islice
from typing import Protocol, TypeVar

from bridge.core.catalogue import Catalogue
from bridge.core.errors import InvalidResponse, Refused, SideError, Verdict
from bridge.core.model import ConsentRecord, Observation, PersonId, Side, TopicId, Who
from bridge.core.writes import Write

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class PersonView:
    """What one side showed of one person in one read. Topics that the read does not cover are left out."""

    address: str = field(repr=False)
    ids: tuple[str, ...]  # ProfileIds or the contactId
    topics: Mapping[TopicId, Observation]
    complete: bool = False  # True: every record that shares the address was read
    pins: tuple[str, ...] | None = None  # the other side's records that this one names; None: not shown
    lags: bool = False  # it does not show what the hint claimed


@dataclass(frozen=True, slots=True)
class Hint:
    """A person to read: by the side's own id, by address, or both. `keys` name what brought it (ids of
    events), so that the same is not read for ever as feeds are read with an overlap. `former` are addresses
    that the side says the record had before, each with the time of the change where it is given. `claims`:
    what the read must show, by names of the side's own, each changed at this time or later."""

    id: str | None = None
    address: str | None = field(default=None, repr=False)
    keys: tuple[str, ...] = field(default=(), compare=False)
    former: tuple[tuple[str, datetime | None], ...] = field(default=(), compare=False, repr=False)
    claims: Mapping[str, datetime] = field(default_factory=dict, compare=False)


@dataclass(frozen=True, slots=True)
class ListingCursor:
    """How far a listing of everybody was read, so that another process can continue it. `began` is the
    bridge's time just before the listing was made: it shows nothing later."""

    place: str  # in the side's own words
    began: datetime


@dataclass(frozen=True, slots=True)
class Page:
    """One part of a read. `watermark` is set only on the last page of a drain that is proven complete: a
    server time up to which nothing was missed."""

    views: Sequence[PersonView] = ()
    hints: Sequence[Hint] = ()
    watermark: datetime | None = None
    warnings: Sequence[str] = ()  # never with an address
    repeated: Sequence[str] = ()  # keys about records that an earlier page of this drain has hinted at
    skipped: int = 0  # rows without an address: they cannot be matched to a person
    failures: Sequence[tuple[Who, SideError]] = ()  # people asked for who could not be read: not absent
    bookmark: ListingCursor | None = None  # where a listing goes on after this page
    done: int | None = None  # rows of a listing read so far, those of an earlier process too
    total: int | None = None  # rows of the whole listing
    named: Mapping[str, datetime] = field(default_factory=dict)  # records, each with its newest event's time
    cursor: str | None = None  # a place in the side's own words, stored with the page and only then sent back


@dataclass(frozen=True, slots=True)
class Feed:
    """A list of changes that a side offers. `topics` are those that it reports: while it cannot be read, none
    of them is raised. None: it only hints at what other feeds report. `period` is how long it may take until
    the feed is read again."""

    name: str
    topics: frozenset[TopicId]
    period: timedelta


class WriteResponse(StrEnum):
    """What the answer to a write says; only a read back proves it."""

    ACCEPTED = "accepted"
    ALREADY_SO = "already_so"
    CHALLENGED = "challenged"  # the person was sent a confirmation mail: they are still opted out
    UNCLEAR = "unclear"  # an unknown answer: only a read shows what it did


@dataclass(frozen=True, slots=True)
class Unrecorded:
    """The write was accepted or was so already, but not all of its consent records were kept. `reason` is
    reported: it holds no address, and is the same text for everybody of whom the same is true."""

    reason: str


@dataclass(frozen=True, slots=True)
class Repaired:
    """The write was accepted. It may have undone what the person chose at the same moment about what it does
    not name. `reason` is reported: what was done about that, without an address."""

    reason: str
    failed: bool = False  # it may still stand


WriteResult = WriteResponse | Unrecorded | Repaired | SideError


@dataclass(frozen=True, slots=True)
class WriteRequest:
    """Writes to one person that a side takes together (see `Replica.split`). `records` are kept with the
    person before the write or in the same call, except those that are kept already."""

    who: Who
    writes: Sequence[Write]
    records: Sequence[ConsentRecord] = ()


Watermarks = Mapping[str, datetime]
"""How far each feed was read, in its side's own time; feeds never read are left out."""


class KeyValue(Protocol):
    """Texts that outlive the process, by key: what a side has to remember, and the facts of the state DB."""

    def get(self, key: str) -> str | None: ...

    def set(self, key: str, value: str) -> None: ...


def cursor_key(feed: str) -> str:
    """The fact under which the cursor of a feed's last stored page is kept."""
    return f"cursor:{feed}"


class ReadReplica(Protocol):
    """One side, to be read. There is no way to write through it."""

    @property
    def side(self) -> Side: ...

    @property
    def calls(self) -> int:
        """API calls made so far."""

    def account(self) -> str:
        """What tells the account behind this side from every other. May take a call, once per process."""

    def catalogue(self) -> Catalogue:
        """What exists at this side, of the kinds that the mapping names. Raises SideError."""

    def feeds(self, poll_interval: timedelta) -> Sequence[Feed]:
        """This side's feeds, in the order in which they are to be read, for polling runs `poll_interval`
        apart. Costs no call."""

    def feeds_due(self, watermarks: Watermarks, poll_interval: timedelta) -> Iterator[str]:
        """The names of the feeds that a polling run reads, in order. Every feed is due in time. The caller
        reads each before it asks for the next: what a feed brings may decide which is due next. Costs no
        call."""

    def read_feed(self, feed: str, since: datetime) -> Iterator[Page]:
        """What changed since the server time `since` (inclusive). Raises SideError; raises DrainIncomplete
        after the last readable page where the end cannot be proven, FeedDeaf where the side collects nothing
        for us."""

    def oldest_since(self) -> datetime | None:
        """How far back `read_feed` can reach now; None for no limit."""

    def read_people(self, people: Sequence[Who]) -> Iterator[Page]:
        """Read these people again, as cheaply as the side can: each view under the address that was asked
        for, a person unknown there with `present=False`. A person asked for alone is read with dates. Where
        many are read without dates their views are `undated`: good to prove a write, not to tell whether a
        withdrawal is older than an opt-in. Who could not be read is in `Page.failures`; what stops the side
        is raised (SideError)."""

    def read_hint(self, hint: Hint) -> Sequence[PersonView]:
        """Read what a hint names: none if it is gone, several if the record holds several addresses."""

    def list_people(self, known: Iterable[Who], since: ListingCursor | None = None) -> Iterator[Page]:
        """Every person of this side, in pages; `known` are read one by one where it cannot list. A listing
        with bookmarks goes on at `since`, or starts over where that is no longer possible."""

    def consent_records(self, who: Who, topics: Sequence[TopicId]) -> Sequence[ConsentRecord]:
        """How the person consented to these topics, where the mapping asks for it and this side holds all of
        it. None where it does not. Raises SideError."""

    def has_running_jobs(self) -> bool:
        """Whether a bulk job of ours may still be running: no read shows yet what it changes. May take calls;
        raises SideError."""

    def estimate_calls(self, people: Sequence[Sequence[Write]]) -> int:
        """The fewest API calls to this side that these people's writes take: withdrawals sent in one batch,
        opt-ins one by one; the read before an opt-in and the reads back included. All are withdrawals, or
        none. Costs no call itself."""

    def probe_capabilities(self) -> Sequence[str]:
        """Find out, once in a while, what this side's answers can be relied on for, from what was read
        before. Writes nothing there; errors change nothing. Returns what is to be reported, never with an
        address."""


class Replica(ReadReplica, Protocol):
    """One side, to be read and written."""

    def split(self, writes: Sequence[Write]) -> Sequence[Sequence[Write]]:
        """One person's writes to this side as the groups that are sent and proven together. Pure."""

    def send(self, batch: Sequence[WriteRequest], heartbeat: Callable[[], None]) -> Sequence[WriteResult]:
        """Send requests: withdrawals of any number of people, or one person's opt-ins. One result each, in
        order; never raises SideError. The side picks single calls, or a bulk job for withdrawals. `heartbeat`
        is called at least every few seconds and may raise, which ends the waiting and not the job."""

    def unfinished(self) -> Sequence[PersonId]:
        """People about whom a process that died may have left more written than it was to write. Costs no
        call."""

    def finish(self, people: Sequence[Who]) -> Sequence[Repaired]:
        """Find out what was left written about these people, all those of `unfinished` who are still known,
        and take it back. Returns what is to be reported; never raises SideError."""


_PAGE = 100  # people
FAILURES_IN_A_ROW = 20  # people whose calls failed one after another, after which a side counts as down


def read_person(reader: ReadReplica, who: Who) -> PersonView:
    """Read one person, with dates. Raises SideError where that fails."""
    for page in reader.read_people([who]):
        for _, error in page.failures:
            raise error
        for view in page.views:
            return view
    raise left_out(reader.side)


DATA_ERRORS = (ValueError, TypeError, ArithmeticError, LookupError, AttributeError, RecursionError)
"""What content that no rule has foreseen may lead to. It is about the person whose content it is."""


def unexpected(side: Side, error: Exception) -> SideError:
    """The error for a person whose content led to one that no rule has foreseen."""
    return Refused(
        f"A person's record leads to an unexpected error ({type(error).__name__}).",
        side=side, operation="read people", hint="Look for unusual content in the record, and report it.",
    )  # fmt: skip


def left_out(side: Side) -> SideError:
    """The error for a person whom a read of many left out."""
    return InvalidResponse(
        "A person was not among those read.",
        side=side, operation="read people", hint="They are read again in the next run.",
    )  # fmt: skip


def read_each(side: Side, read: Callable[[Who], PersonView], people: Iterable[Who]) -> Iterator[Page]:
    """`ReadReplica.read_people` by a read of each person."""
    in_a_row = 0
    for some in batched(people, _PAGE):
        found: list[PersonView] = []
        failures: list[tuple[Who, SideError]] = []
        for who in some:
            try:
                found.append(read(who))
                in_a_row = 0
            except SideError as error:
                in_a_row += error.verdict is not Verdict.HOLD
                if error.stops_side or in_a_row >= FAILURES_IN_A_ROW:
                    raise
                failures.append((who, error))
            except DATA_ERRORS as error:
                failures.append((who, unexpected(side, error)))
        yield Page(views=found, failures=failures)


def send_each(
    send: Callable[[WriteRequest], WriteResponse | Unrecorded | Repaired],
    batch: Sequence[WriteRequest],
    heartbeat: Callable[[], None],
) -> list[WriteResult]:
    """`Replica.send` by a call for each request. What stops the side stops the rest, which are not sent."""
    results: list[WriteResult] = []
    stopped: SideError | None = None
    for request in batch:
        if stopped is not None:
            results.append(stopped)
            continue
        heartbeat()
        try:
            results.append(send(request))
        except SideError as error:
            results.append(error)
            stopped = error if error.stops_side else None
    return results


def batched(items: Iterable[T], size: int = 1000) -> Iterator[list[T]]:
    """The items in lists of at most `size`: a call, or an SQL statement, takes only so many."""
    iterator = iter(items)
    while batch := list(islice(iterator, size)):
        yield batch


def saves_calls(reader: ReadReplica, people: Sequence[Sequence[Write]]) -> bool:
    """Whether these people's writes take fewer API calls in one batch than each person's alone. An estimate
    may read the state DB: no more of them are made than it takes to know."""
    together = reader.estimate_calls(people)
    alone = accumulate(reader.estimate_calls([one]) for one in people)
    return any(calls > together for calls in alone)
