"""The values that pass between the engine and the state DB."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from bridge.core.approval import NOBODY, Operator
from bridge.core.model import (
    Agreement,
    Cell,
    Choice,
    HoldState,
    Latch,
    PersonId,
    RunId,
    Side,
    TopicId,
)
from bridge.core.ports import Hint

Json = Mapping[str, Any]


class RunKind(StrEnum):
    FIRST = "first"
    INCREMENTAL = "incremental"
    FULL = "full"
    PLAN = "plan"
    APPLY = "apply"


@dataclass(frozen=True, slots=True)
class RunRow:
    """One run, as `bridge status` shows it. `state` is running, done, failed or stopped."""

    id: RunId
    kind: RunKind
    started_at: datetime
    ended_at: datetime | None
    state: str
    report: Json | None


@dataclass(frozen=True, slots=True)
class LedgerEntry:
    """One line of the decision log. `body` holds no address."""

    kind: str
    body: Json
    person: PersonId | None = None
    topic: TopicId | None = None


@dataclass(frozen=True, slots=True)
class RecordResult:
    """What a page of observations changed. `read_again` are people of whom only a part was read, where that
    part alone must not be trusted, or who turned out to have another address."""

    people: int
    cells: int
    dirtied: int
    read_again: tuple[PersonId, ...] = ()
    left: tuple[str, ...] = ()  # ids of records that some of these people no longer have: where are they now?
    ledger: tuple[LedgerEntry, ...] = ()  # what was transferred with changes of address


@dataclass(frozen=True, slots=True)
class Settlement:
    """A cell was decided. `agreement` None: nothing new is agreed. `ground` is what it was decided on: a cell
    whose ground has changed since stays dirty, and so does one with more to decide (`unfinished`)."""

    person: PersonId
    topic: TopicId
    ground: str
    agreement: Agreement | None = None
    ledger: LedgerEntry | None = None
    unfinished: bool = False


@dataclass(frozen=True, slots=True)
class TopicReset:
    """What no longer counts of a topic that is mapped to something else: observations of `unseen`, and
    agreements on these `choices`; with agreements go the holds. At the sides of `unseen` go also the latches
    from `latched_since` on, which a mapping made that never wrote anything."""

    topic: TopicId
    unseen: Sequence[Side] = ()
    choices: Sequence[Choice] = ()
    latched_since: datetime | None = None


@dataclass(frozen=True, slots=True)
class Receipt:
    """A write was proven, and with it all that its act had to write: its agreement is due. It gives way to
    one that was made after `begun_at`, or that rests on a newer statement. `decided` is the cell as it was
    when the act was decided, `written` the sides that the act wrote to; `decided` None: the cell stays to be
    decided."""

    person: PersonId
    topic: TopicId
    agreement: Agreement
    ledger: LedgerEntry
    written: Collection[Side]
    decided: Cell | None = None

    def gives_way_to(self, cell: Cell, begun_at: datetime) -> bool:
        """Whether the cell's agreement is newer than this one, whose write was begun at `begun_at`."""
        agreed, stored_at = cell.agreed, cell.agreed_stored_at
        if agreed is None:
            return False
        return (stored_at is not None and stored_at > begun_at) or agreed.at > self.agreement.at

    def covers(self, latch: Latch | None) -> bool:
        """Whether this agreement ends that latch. An opt-in ends none that came after it was decided: our own
        write may have hidden the opt-out."""
        out = self.agreement.choice is Choice.OPTED_OUT
        return out or (self.decided is not None and latch == self.decided.latch)


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
    ended_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class AttemptStarted:
    """A write that is about to be sent. `body["writes"]` lists what it does: the `kind` and `topic` of each,
    and the date of the statement that it carries; `body["targets"]` what each topic is mapped to at its side
    (see `target_of`)."""

    person: PersonId
    body: Json
    ledger: LedgerEntry


@dataclass(frozen=True, slots=True)
class AttemptFinished:
    """What became of a write. `written_at` is when the call had ended, None if it changed nothing. `shown`
    holds the dates of the rows that proved it, by topic; `may_apply` is as in `OwnWrite`; `receipts` are what
    is agreed by it, in the same transaction."""

    attempt: int
    person: PersonId
    state: AttemptState
    ledger: LedgerEntry
    topics: Sequence[TopicId] = ()
    error_code: str | None = None
    error: str | None = None
    written_at: datetime | None = None
    shown: Mapping[TopicId, datetime] = field(default_factory=dict)
    may_apply: bool = False
    receipts: Sequence[Receipt] = ()


@dataclass(frozen=True, slots=True)
class HoldRow:
    """A change that waits for an operator."""

    id: int
    person: PersonId
    topic: TopicId
    reason: str
    why: str
    ground: str
    state: HoldState
    opened_at: datetime
    proposed: Sequence[Json] = field(default_factory=tuple)
    closed_at: datetime | None = None  # since when it no longer stands
    answered: Operator = NOBODY  # who released or dismissed it, and why


@dataclass(frozen=True, slots=True)
class RetryItem:
    """A person who could not be read when a feed named them: kept until the read succeeds."""

    id: int
    hint: Hint
    person: PersonId | None = None


@dataclass(frozen=True, slots=True)
class UnreadPeople:
    """How many people wait to be read again, and since when the longest of them does."""

    count: int = 0
    oldest: datetime | None = None


@dataclass(frozen=True, slots=True)
class WebhookEvent:
    """All that is kept of a webhook event: its id, its type, and the profile it is about."""

    event: str
    kind: str
    profile: str


@dataclass(frozen=True, slots=True)
class PendingEvent:
    """A webhook event that no run has processed. `followed`: a feed brought the same event since, and the
    profile was read."""

    id: int
    hint: Hint
    followed: bool


@dataclass(frozen=True, slots=True)
class Counts:
    """How much waits: cells to decide, open holds, writes given up, writes not yet proven."""

    waiting: int
    held: int
    dead: int
    unproven: int
