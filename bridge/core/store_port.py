"""What the engine asks of the state DB, and the values that pass between them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Protocol

from bridge.core.catalogue import Catalogue, CatalogueChange
from bridge.core.model import (
    Agreement,
    Cell,
    Challenge,
    ChallengeState,
    HoldState,
    PersonId,
    RunId,
    Side,
    TopicId,
    Who,
)
from bridge.core.ports import Hint, PersonView

Json = Mapping[str, Any]


class RunKind(StrEnum):
    FIRST = "first"
    INCREMENTAL = "incremental"
    FULL = "full"
    PLAN = "plan"
    APPLY = "apply"


@dataclass(frozen=True, slots=True)
class LedgerEntry:
    """One line of the record of why. `body` holds no address."""

    kind: str
    body: Json
    person: PersonId | None = None
    topic: TopicId | None = None


@dataclass(frozen=True, slots=True)
class RecordResult:
    """What a page of observations changed. `read_again` are people of whom only a part was read, where that
    part alone must not be believed, or who turned out to have another address."""

    people: int
    cells: int
    dirtied: int
    read_again: tuple[PersonId, ...] = ()
    left: tuple[str, ...] = ()  # ids of records that some of these people have no more: where are they now?
    ledger: tuple[LedgerEntry, ...] = ()  # what was carried along with changes of address


@dataclass(frozen=True, slots=True)
class Settlement:
    """A cell was decided. `agreement` None: nothing new is agreed. `seen` is the ground it was decided on: a
    cell whose ground has moved since stays dirty."""

    person: PersonId
    topic: TopicId
    ground: str
    agreement: Agreement | None = None
    ledger: LedgerEntry | None = None


class AttemptState(StrEnum):
    BEGUN = "begun"
    IN_DOUBT = "in_doubt"
    DONE = "done"
    FAILED = "failed"
    DEAD = "dead"


@dataclass(frozen=True, slots=True)
class Attempt:
    """A write that was begun."""

    id: int
    run: RunId
    person: PersonId
    side: Side
    body: Json
    state: AttemptState
    begun_at: datetime


@dataclass(frozen=True, slots=True)
class AttemptStarted:
    """A write that is about to be sent. `body["writes"]` lists what it does, each with its `topic`."""

    person: PersonId
    body: Json
    ledger: LedgerEntry


@dataclass(frozen=True, slots=True)
class AttemptFinished:
    """What became of a write. `written_at` is when the call had ended, None if it changed nothing."""

    attempt: int
    person: PersonId
    state: AttemptState
    ledger: LedgerEntry
    topics: Sequence[TopicId] = ()
    error_code: str | None = None
    error: str | None = None
    written_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class HoldRow:
    """Something that waits for a person."""

    id: int
    person: PersonId
    topic: TopicId
    reason: str
    why: str
    ground: str
    state: HoldState
    opened_at: datetime
    proposed: Sequence[Json] = field(default_factory=tuple)


@dataclass(frozen=True, slots=True)
class RetryItem:
    """Somebody who could not be read when a feed named them: kept until the read succeeds."""

    id: int
    hint: Hint
    person: PersonId | None = None


@dataclass(frozen=True, slots=True)
class WebhookEvent:
    """What a webhook tells of, and all that is kept of it: which event, of what kind, about whose record."""

    event: str
    kind: str
    profile: str


@dataclass(frozen=True, slots=True)
class PendingEvent:
    """A notice that no round has looked into. `followed`: a feed brought the same event since, and led to a
    look."""

    id: int
    hint: Hint
    followed: bool


@dataclass(frozen=True, slots=True)
class Counts:
    """What waits: cells to decide, holds, writes given up, writes not yet proven."""

    waiting: int
    held: int
    dead: int
    unproven: int


@dataclass(frozen=True, slots=True)
class PendingConfirmation:
    """Somebody who was asked by mail to confirm."""

    person: PersonId
    challenge: Challenge


@dataclass(frozen=True, slots=True)
class ConfirmationCounts:
    """How many people were asked by mail and have not confirmed: those who still may, since when the oldest
    of them was asked, and those whose time is over."""

    pending: int
    oldest: datetime | None
    expired: int


class StorePort(Protocol):
    """The state DB as the engine sees it. Every method is one transaction."""

    def record(
        self,
        views: Sequence[PersonView],
        side: Side,
        *,
        run: RunId,
        feed: str | None = None,
        watermark: datetime | None = None,
        unsubscribe_withdraws_topics: bool = False,
        followed: Sequence[str] = (),
        cursor: str | None = None,
    ) -> RecordResult: ...

    def settled_keys(self, feed: str, keys: Sequence[str], settling: timedelta) -> frozenset[str]:
        """Those of a feed's keys that were last followed at least `settling` after they were first: what a
        side shows may lag behind what its feed tells."""
        ...

    def mark_absent(self, side: Side, topics: Sequence[TopicId], *, run: RunId, read_at: datetime) -> int: ...

    def unseen_since(self, side: Side, since: datetime) -> Iterator[list[Who]]: ...

    def known(self, side: Side | None = None) -> Iterator[list[Who]]: ...

    def record_former_addresses(
        self, side: Side, external_id: str, former: Sequence[tuple[str, datetime | None]]
    ) -> list[PersonId]: ...

    def who(self, person: PersonId) -> Who: ...

    def who_many(self, people: Sequence[PersonId]) -> list[Who]: ...

    def bound(self, side: Side, external_id: str) -> list[Who]: ...

    def unresolved_profile_links(self, after: str, limit: int) -> list[str]:
        """The next profiles, beyond the one given, that contacts name and nobody is known to have."""
        ...

    def dirty(self, after: PersonId | None, limit: int) -> list[list[Cell]]: ...

    def cells(self, person: PersonId) -> list[Cell]: ...

    def cells_of(self, people: Sequence[PersonId]) -> dict[PersonId, list[Cell]]: ...

    def settle(self, run: RunId, settlements: Sequence[Settlement]) -> None: ...

    def begin_attempt(
        self, run: RunId, person: PersonId, side: Side, body: Json, ledger: LedgerEntry
    ) -> int: ...

    def end_attempt(
        self,
        run: RunId,
        attempt: int,
        state: AttemptState,
        *,
        ledger: LedgerEntry,
        error_code: str | None = None,
        error: str | None = None,
        written_at: datetime | None = None,
        topics: Sequence[TopicId] = (),
        views: Sequence[PersonView] = (),
        settlements: Sequence[Settlement] = (),
        unsubscribe_withdraws_topics: bool = False,
    ) -> None: ...

    def begin_attempts(self, run: RunId, side: Side, begun: Sequence[AttemptStarted]) -> list[int]:
        """Note many writes before any of them is sent. Returns their numbers, in order."""
        ...

    def end_attempts(
        self,
        run: RunId,
        side: Side,
        ended: Sequence[AttemptFinished],
        *,
        views: Sequence[PersonView] = (),
        unsubscribe_withdraws_topics: bool = False,
    ) -> None:
        """Note what became of many writes to one side, and what was read back."""
        ...

    def ineffective_writes(self, person: PersonId, topic: TopicId) -> int:
        """How many writes about this cell were accepted and not followed since it was last agreed."""
        ...

    def in_doubt(self) -> list[Attempt]: ...

    def open_hold(
        self,
        run: RunId,
        person: PersonId,
        topic: TopicId,
        *,
        reason: str,
        why: str,
        ground: str,
        proposed: Sequence[Json] = (),
        ledger: LedgerEntry | None = None,
        afresh: bool = False,
    ) -> bool: ...

    def holds(
        self, state: HoldState | None = HoldState.OPEN, *, reason: str | None = None, limit: int, after: int
    ) -> list[HoldRow]:
        """Standing holds with a number beyond `after`, the oldest first."""
        ...

    def release_all(self, reason: str) -> int:
        """A person approves every open hold of one reason. Returns how many."""
        ...

    def close_hold(self, person: PersonId, topic: TopicId) -> None: ...

    def recheck_erased(self) -> int:
        """Find out who, of those made known while nobody could tell, had been erased. Returns how many of
        whom that cannot be told yet."""
        ...

    def unreadable_marks(self) -> int:
        """How many people were erased whose marks need another key than the one at hand."""
        ...

    def unfinished_erasures(self) -> int:
        """How many erasures were begun and not carried to their end."""
        ...

    def record_challenge(
        self, run: RunId, person: PersonId, opt_in_at: datetime, *, sent_at: datetime, look_at: datetime
    ) -> None:
        """The person was asked by mail, or may have been, about the opt-in of that date."""
        ...

    def set_challenge_state(self, run: RunId, person: PersonId, state: ChallengeState) -> None:
        """How the person's last question stands now."""
        ...

    def confirmations_due(self, now: datetime, limit: int) -> list[PendingConfirmation]:
        """Whom to look at, whether they have confirmed."""
        ...

    def schedule_checks(self, looks: Mapping[PersonId, datetime | None], lapsed: Sequence[PersonId]) -> None:
        """When to look at these people next; for whom the time is over: their channel is decided again."""
        ...

    def inbox(self, side: Side) -> list[RetryItem]: ...

    def add_retry(
        self, side: Side, *, hint: Hint | None = None, person: PersonId | None = None, error: str
    ) -> None: ...

    def drop_retry(self, kept: int) -> None: ...

    def notices(self, side: Side) -> list[PendingEvent]:
        """The next that webhooks named and no round has looked into, the oldest first."""
        ...

    def mark_processed(self, notices: Sequence[int]) -> None:
        """These were looked into."""
        ...

    def remap(self, topics: Sequence[TopicId]) -> None:
        """The mapping has changed: everything mapped is decided again, and nothing else is."""
        ...

    def watermark(self, feed: str) -> datetime | None: ...

    def watermarks(self) -> dict[str, datetime]: ...

    def catalogue_news(self, fresh: Catalogue) -> list[CatalogueChange]:
        """What has happened since the catalogue was last kept."""
        ...

    def keep_catalogue(self, fresh: Catalogue) -> list[CatalogueChange]:
        """Keep what was read of some kinds; returns what happened since they were last read."""
        ...

    def begin_run(self, kind: RunKind) -> RunId: ...

    def end_run(self, run: RunId, state: str, report: Json) -> None: ...

    def meta(self, key: str) -> str | None: ...

    def set_meta(self, key: str, value: str) -> None: ...

    def people_count(self) -> int: ...

    def counts(self) -> Counts: ...
