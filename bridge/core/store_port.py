"""What the engine asks of the state DB: one small port for each subject."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Protocol

from bridge.core.approval import NOBODY, Approval, Operator
from bridge.core.brakes import WindowUse
from bridge.core.catalogue import Catalogue, CatalogueChange
from bridge.core.erasure import KnownWithdrawals
from bridge.core.facts import Facts
from bridge.core.ledger import LedgerTrouble
from bridge.core.model import (
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
from bridge.core.store_values import (
    Attempt,
    AttemptFinished,
    AttemptStarted,
    Counts,
    HoldRow,
    Json,
    LedgerEntry,
    PendingEvent,
    RecordResult,
    RetryItem,
    RunKind,
    RunRow,
    Settlement,
    TopicReset,
    UnreadPeople,
)


class ObservationsPort(Protocol):
    """What the sides showed."""

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
    ) -> RecordResult:
        """Store a page of views and, with it, how far its feed was read: all or nothing."""

    def mark_absent(self, side: Side, topics: Sequence[TopicId], *, run: RunId, read_at: datetime) -> int:
        """After a complete sweep: people never seen at `side` are not there. Returns for how many that is
        new."""

    def record_former_addresses(
        self, side: Side, external_id: str, former: Sequence[tuple[str, datetime | None]]
    ) -> list[PersonId]:
        """A record had these addresses before. Returns those people who were never seen with it."""


class FeedsPort(Protocol):
    """How far each feed was read, and which of its hints were followed."""

    def watermark(self, feed: str) -> datetime | None: ...

    def watermarks(self) -> dict[str, datetime]: ...

    def move_back(self, feed: str, mark: datetime) -> None: ...

    def settled_keys(self, feed: str, keys: Sequence[str], settling: timedelta) -> frozenset[str]:
        """Those of a feed's keys that were last followed at least `settling` after they were first: what a
        side shows may lag behind what its feed tells."""


class PeoplePort(Protocol):
    """Who is known, and by which records."""

    def get(self, person: PersonId) -> Who: ...

    def get_many(self, people: Sequence[PersonId]) -> list[Who]: ...

    def find(self, address: str) -> Who | None: ...

    def of_record(self, side: Side, external_id: str) -> list[Who]: ...

    def related(self, person: PersonId) -> list[Who]: ...

    def known(self, side: Side | None = None) -> Iterator[list[Who]]: ...

    def count_unseen(self, side: Side, since: datetime) -> tuple[int, int]: ...

    def known_there(self, side: Side, addresses: Sequence[str]) -> frozenset[str]: ...

    def unseen_since(self, side: Side, since: datetime) -> Iterator[list[Who]]: ...

    def unresolved_profile_links(self, after: str, limit: int) -> list[str]: ...

    def count(self) -> int: ...


class CellsPort(Protocol):
    """What each side shows of each person's topics, what was agreed, what is to be decided."""

    def of(self, person: PersonId) -> list[Cell]: ...

    def of_many(self, people: Sequence[PersonId]) -> dict[PersonId, list[Cell]]: ...

    def dirty(self, after: PersonId | None, limit: int) -> list[list[Cell]]: ...

    def retry_due(self, topics: Sequence[TopicId]) -> None:
        """Opt-outs about these topics that had no effect, and whose time has come, are decided again."""

    def settle(self, run: RunId, settlements: Sequence[Settlement]) -> None: ...

    def remap(
        self,
        topics: Sequence[TopicId],
        *,
        run: RunId | None = None,
        resets: Sequence[TopicReset] = (),
        ledger: Sequence[LedgerEntry] = (),
    ) -> None:
        """The mapping has changed: everything mapped is decided again, and nothing else is. What `resets`
        names is forgotten."""

    def counts(self) -> Counts: ...


class AttemptsPort(Protocol):
    """Writes that were begun, and what became of them."""

    def begin(self, run: RunId, side: Side, begun: Sequence[AttemptStarted]) -> list[int]:
        """Note writes before any of them is sent. Returns their numbers, in order."""

    def end(
        self,
        run: RunId,
        side: Side,
        ended: Sequence[AttemptFinished],
        *,
        views: Sequence[PersonView] = (),
        unsubscribe_withdraws_topics: bool = False,
    ) -> None:
        """Note what became of writes to one side, what was read back, and what is agreed by that."""

    def in_doubt(self) -> list[Attempt]: ...

    def window(self, since: datetime, withdrawals_max: int) -> WindowUse:
        """The writes begun since then; of withdrawals it counts no more than `withdrawals_max`."""

    def ineffective(self, person: PersonId, topic: TopicId) -> int:
        """How many writes about this cell were accepted and had no effect since it was last agreed."""


class HoldsPort(Protocol):
    """What waits for an operator."""

    def open(
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
        retry: bool = False,
    ) -> bool: ...

    def close(self, person: PersonId, topic: TopicId) -> None: ...

    def page(
        self,
        state: HoldState | None = HoldState.OPEN,
        *,
        reason: str | None = None,
        limit: int = 100,
        after: int = 0,
    ) -> list[HoldRow]: ...

    def release_all(self, reason: str, author: Operator = NOBODY) -> int: ...


class ApprovalsPort(Protocol):
    """What people let the bridge do."""

    def open(self, subject: str) -> list[Approval]:
        """Those about a subject that were not used and have not lapsed."""
        ...

    def use(self, approvals: Iterable[Approval], run: RunId, author: Operator = NOBODY) -> None:
        """Use approvals up. Raises ApprovalUsed, and uses none, where one was used before."""
        ...

    def end_all(self, why: str) -> int:
        """Let none be used any more that is not known to have been used. Returns how many those were."""
        ...


class ConfirmationsPort(Protocol):
    """Who was asked by mail to confirm an opt-in."""

    def record(
        self, run: RunId, person: PersonId, opt_in_at: datetime, *, sent_at: datetime, look_at: datetime
    ) -> None: ...

    def set_state(self, run: RunId, person: PersonId, state: ChallengeState) -> None: ...

    def due(self, now: datetime, limit: int) -> dict[PersonId, Challenge]: ...

    def schedule(self, looks: Mapping[PersonId, datetime | None], lapsed: Sequence[PersonId]) -> None: ...


class RetryPort(Protocol):
    """People who could not be read when a feed named them."""

    def of(self, side: Side) -> list[RetryItem]: ...

    def add(
        self, side: Side, *, hint: Hint | None = None, person: PersonId | None = None, error: str
    ) -> None: ...

    def drop(self, kept: int) -> None: ...

    def waiting(self) -> UnreadPeople: ...


class WebhooksPort(Protocol):
    """Webhook events that no run has processed."""

    def pending(self, side: Side) -> list[PendingEvent]: ...

    def mark_processed(self, events: Sequence[int]) -> None: ...


class CataloguePort(Protocol):
    """What exists at both sides, as it was last read."""

    def compare(self, fresh: Catalogue) -> list[CatalogueChange]:
        """What has happened since the catalogue was last saved."""

    def save(self, fresh: Catalogue) -> list[CatalogueChange]:
        """Save what was read of some kinds. Returns what happened since they were last read."""


class RunsPort(Protocol):
    """Runs, each with its report."""

    def begin(self, kind: RunKind) -> RunId: ...

    def end(self, run: RunId, state: str, report: Json) -> None: ...

    def last_ended(self, kinds: Collection[RunKind], number: int = 1) -> list[RunRow]:
        """The last runs of these kinds that have ended, the newest first."""


class LedgerPort(Protocol):
    """The decision log, as far as a run checks it."""

    def trouble(self, *, whole: bool = False) -> LedgerTrouble | None:
        """What is wrong with the last entry and the head file, or with the whole ledger."""

    def note_trouble(self, trouble: LedgerTrouble) -> None:
        """Keep what was found until an operator accepts it, and see to it that entries can be added."""

    def published(self) -> str | None:
        """The newest entry with its signature, as it is published; None in an empty ledger."""

    def publish(self) -> str | None:
        """Write the head file, where there is one. Returns why that failed."""


class RetentionPort(Protocol):
    """What is deleted once it is old."""

    def prune(self, before: datetime) -> int:
        """Delete runs that ended before a time, and hints that were settled long ago. Returns how many runs
        were deleted."""


class ErasuresPort(Protocol):
    """People who were or are being erased."""

    def begin(self, address: str) -> None:
        """Mark a person before anything is done: no opt-in from before raises them any more."""

    def finish(self, address: str, known: KnownWithdrawals, told: Json) -> bool:
        """Remove all that is kept of a person, but for the marker. Returns whether anything was."""

    def recheck(self) -> int:
        """Find out which people, added while the key was missing, had been erased. Returns for how many that
        cannot be found out yet."""

    def unreadable(self) -> int:
        """How many markers need another key than the one that is set."""

    def unfinished(self) -> int:
        """How many erasures were begun and not finished."""


class StorePort(Protocol):
    """The state DB as the engine sees it, by subject. Every method of a subject is one transaction."""

    def now(self) -> datetime:
        """The bridge's own time, which never goes back."""
        ...

    def newest(self) -> datetime | None:
        """The newest of the bridge's own times; None in a new state DB."""
        ...

    def require_writable(self) -> None:
        """Raises StateDbError where a server answers that takes no writes."""
        ...

    @property
    def observations(self) -> ObservationsPort: ...

    @property
    def feeds(self) -> FeedsPort: ...

    @property
    def people(self) -> PeoplePort: ...

    @property
    def cells(self) -> CellsPort: ...

    @property
    def attempts(self) -> AttemptsPort: ...

    @property
    def holds(self) -> HoldsPort: ...

    @property
    def approvals(self) -> ApprovalsPort: ...

    @property
    def confirmations(self) -> ConfirmationsPort: ...

    @property
    def retry_queue(self) -> RetryPort: ...

    @property
    def webhooks(self) -> WebhooksPort: ...

    @property
    def catalogue(self) -> CataloguePort: ...

    @property
    def runs(self) -> RunsPort: ...

    @property
    def retention(self) -> RetentionPort: ...

    @property
    def erasures(self) -> ErasuresPort: ...

    @property
    def ledger(self) -> LedgerPort: ...

    @property
    def facts(self) -> Facts: ...
