"""What the engine asks of the edges. Each side fills `Replica`; what only reads gets `ReadReplica`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Protocol

from bridge.core.catalogue import Catalogue
from bridge.core.errors import SideError
from bridge.core.model import ConsentRecord, Observation, Side, TopicId, Who, Write


@dataclass(frozen=True, slots=True)
class PersonView:
    """What one side showed of one person in one read. Topics that the read does not speak of are left out."""

    address: str = field(repr=False)
    ids: tuple[str, ...]  # ProfileIds or the contactId
    topics: Mapping[TopicId, Observation]
    complete: bool = False  # True: every record that shares the address was read
    pins: tuple[str, ...] | None = None  # the other side's records that this one names; None: not told


@dataclass(frozen=True, slots=True)
class Hint:
    """Somebody to look at: by the side's own id, by address, or both. `keys` name what brought it (ids of
    events), so that the same is not looked into for ever as feeds are read with an overlap. `former` are
    addresses that the side says the record had before, each with the time of the change where it tells."""

    id: str | None = None
    address: str | None = field(default=None, repr=False)
    keys: tuple[str, ...] = field(default=(), compare=False)
    former: tuple[tuple[str, datetime | None], ...] = field(default=(), compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class ListingCursor:
    """How far a listing of everybody was read, so that another process can go on with it. `began` is the
    bridge's time just before the listing was made: it tells of nothing later."""

    place: str  # in the side's own words
    began: datetime


@dataclass(frozen=True, slots=True)
class Page:
    """One stretch of a feed. `watermark` stands only on the last page of a drain that is proven complete:
    a server time up to which nothing was missed."""

    views: Sequence[PersonView] = ()
    hints: Sequence[Hint] = ()
    watermark: datetime | None = None
    warnings: Sequence[str] = ()  # never with an address
    repeated: Sequence[str] = ()  # keys about records that an earlier page of this drain has hinted at
    skipped: int = 0  # rows without an address: nobody to bind them to
    unread: int = 0  # people asked for singly who could not be read: they are anything but absent
    bookmark: ListingCursor | None = None  # where a listing goes on after this page
    done: int | None = None  # rows of a listing read so far, those of an earlier process too
    total: int | None = None  # rows of the whole listing
    cursor: str | None = None  # a place in the side's own words, stored with the page and only then sent back


class WriteResponse(StrEnum):
    """What the answer to a write says; only a read back proves it."""

    ACCEPTED = "accepted"
    UNRECORDED = "unrecorded"  # accepted, but for records that were to go with it
    ALREADY_SO = "already_so"
    CHALLENGED = "challenged"  # the person was sent a confirmation mail: they are still out
    UNCLEAR = "unclear"  # the answer says nothing that is known: only a read can tell


@dataclass(frozen=True, slots=True)
class WriteRequest:
    """One unit of one person's writes, to be sent along with other people's. `records` are to be kept with
    the person there, but for those that are kept already."""

    who: Who
    unit: Sequence[Write]
    records: Sequence[ConsentRecord] = ()


Watermarks = Mapping[str, datetime]
"""How far each feed was read, in its side's own time; feeds that never were are left out."""


class KeyValue(Protocol):
    """Single facts that outlive the process: what a side has to remember of the jobs it was given."""

    def meta(self, key: str) -> str | None: ...

    def set_meta(self, key: str, value: str) -> None: ...


def cursor_key(feed: str) -> str:
    """The fact under which the cursor of a feed's last stored page is kept."""
    return f"cursor:{feed}"


class ReadReplica(Protocol):
    """One side, to be looked at. There is no way to write through it."""

    @property
    def side(self) -> Side: ...

    @property
    def calls(self) -> int:
        """API calls made so far."""
        ...

    @property
    def feeds(self) -> Sequence[str]:
        """The names of this side's feeds, in the order in which they are to be read."""
        ...

    def turns(self, marks: Watermarks, every: timedelta) -> Iterator[str]:
        """The feeds that a polling round reads, in order, where such rounds follow each other `every` so
        often. Each feed's turn comes, and no feed is asked for before the
        one in front of it was read: what that brought may decide whose turn comes next. Costs no call."""
        ...

    def rotation_period(self, feed: str, every: timedelta) -> timedelta:
        """How long it may take in such rounds until a feed's turn comes again. Costs no call."""
        ...

    def probe_capabilities(self) -> Sequence[str]:
        """Find out, once in a while, what this side's answers may be trusted with, by what was read before.
        Writes nothing there; trouble changes nothing. Returns what is to be told, never with an address."""
        ...

    def account(self) -> str:
        """What tells the account behind this side from every other. May take a call, once per process."""
        ...

    def changes(self, feed: str, since: datetime) -> Iterator[Page]:
        """What changed since the server time `since` (inclusive). Raises SideError; raises
        DrainIncomplete after the last readable page where the end cannot be proven."""
        ...

    def topics_of(self, feed: str) -> frozenset[TopicId]:
        """The topics that this feed speaks of: while it cannot be read, none of them is raised. None: it
        only hints at what other feeds bring."""
        ...

    def catalogue(self) -> Catalogue:
        """What exists at this side, of the kinds that the mapping names. Raises SideError."""
        ...

    def price(self, people: Sequence[Sequence[Write]]) -> int:
        """How many API calls these people's writes to this side would take at the fewest, together or one by
        one: the read before an opt-in and the reads back included. All are withdrawals, or none. Costs no
        call itself."""
        ...

    def list_people(self, known: Iterable[Who], since: ListingCursor | None = None) -> Iterator[Page]:
        """Every person of this side, in pages; `known` are asked for singly where it cannot list. A listing
        with bookmarks goes on at `since`, or begins anew where that cannot be had any more."""
        ...

    def oldest_since(self) -> datetime | None:
        """How far back `changes` can reach at this moment; None for no limit."""
        ...

    def look(self, who: Who) -> PersonView:
        """Read one person closely, with dates. Somebody unknown there comes back with `present=False`."""
        ...

    def read_people(self, people: Sequence[Who]) -> Iterator[Page]:
        """Read these people afresh, as cheaply as the side can, in pages: each view under the address that
        was asked for, somebody unknown with `present=False`. Where the cheapest read has no dates its views
        are shallow: good to prove a write, not to tell whether a withdrawal is older than an opt-in. Whom a
        read refuses is left out and counted in `unread`. Raises SideError for what stops the side."""
        ...

    def has_running_jobs(self) -> bool:
        """Whether a bulk job of ours may still be at work there: whom it was to change is not yet told by
        any read. May take calls; raises SideError."""
        ...

    def evidence(self, who: Who, topics: Sequence[TopicId]) -> Sequence[ConsentRecord]:
        """How the person consented to these topics, where the mapping asks for it and this side holds all of
        it. None where it does not. Raises SideError."""
        ...

    def follow(self, hint: Hint) -> Sequence[PersonView]:
        """Read what a hint names: none if it is gone, several if the record holds several addresses."""
        ...


class Replica(ReadReplica, Protocol):
    """One side, to be read and written."""

    def units(self, writes: Sequence[Write]) -> Sequence[Sequence[Write]]:
        """Split one person's writes to this side into the calls that would carry them."""
        ...

    def write(self, who: Who, unit: Sequence[Write]) -> WriteResponse:
        """Carry out one unit. Raises SideError, whose verdict says what is known of the outcome."""
        ...

    def attest(self, who: Who, records: Sequence[ConsentRecord]) -> None:
        """Keep these records with the person, but for those that are kept already. Raises Refused, after all
        others were sent, where one is not taken; any other SideError where it is not known."""
        ...

    def prefers_bulk(self, parcels: Sequence[WriteRequest]) -> bool:
        """Whether one bulk job carries these in fewer calls than one by one. Costs no call."""
        ...

    def write_many(
        self, parcels: Sequence[WriteRequest], *, heartbeat: Callable[[], None]
    ) -> Sequence[WriteResponse | SideError]:
        """Carry out many people's units, all of them withdrawals or none. One result each, in order: never
        raises for one of them, and raises SideError only when nothing at all was sent. `heartbeat` is called
        at least every few seconds and may raise, which ends the waiting and not the job."""
        ...
