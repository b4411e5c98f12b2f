"""What may be asked of the state DB. Every method is one transaction that sees one state throughout."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from bridge.core.catalogue import Catalogue, CatalogueChange
from bridge.core.erasure import ErasureSettings
from bridge.core.model import Cell, HoldState, PersonId, Side, TopicId, Who
from bridge.core.store_port import (
    Attempt,
    ConfirmationCounts,
    Counts,
    HoldRow,
    PendingConfirmation,
    PendingEvent,
    RetryItem,
)
from bridge.store import (
    attempts,
    catalogue,
    cells,
    challenges,
    erasures,
    holds,
    ledger,
    people,
    profile_links,
    retry_queue,
    runs,
    seen_hints,
    webhook_events,
)
from bridge.store.catalogue import DatedChange
from bridge.store.engine import UnitOfWork
from bridge.store.lease import NAME, holder
from bridge.store.ledger import Verified
from bridge.store.runs import RunRow

FIRST_RUN_COMPLETED = "first_run_completed"


class StoreReader:
    """The half of the store that changes nothing."""

    def __init__(self, unit: UnitOfWork, erasing: ErasureSettings | None = None) -> None:
        self._unit = unit
        self._erasing = erasing or ErasureSettings()

    # people

    def settled_keys(self, feed: str, keys: Sequence[str], settling: timedelta) -> frozenset[str]:
        """Those of a feed's keys that were last followed at least `settling` after they were first."""
        with self._unit.read() as conn:
            return seen_hints.settled(conn, feed, keys, settling)

    def unseen_since(self, side: Side, since: datetime) -> Iterator[list[Who]]:
        """Pages of people who were there when `side` was last read for them, and that was before `since`."""
        return self._pages(lambda conn, after: people.unseen_after(conn, side, since, after))

    def known(self, side: Side | None = None) -> Iterator[list[Who]]:
        """Pages of everybody, or of everybody who has a record at `side`."""
        return self._pages(lambda conn, after: people.known_after(conn, side, after))

    def who(self, person: PersonId) -> Who:
        """One person's address and ids."""
        found = self.who_many([person])
        if not found:
            raise LookupError(f"there is no person {person}")
        return found[0]

    def who_many(self, people_: Sequence[PersonId]) -> list[Who]:
        """These people, in the order asked for; those who are unknown are left out."""
        with self._unit.read() as conn:
            return people.who_many(conn, people_)

    def find(self, address: str) -> Who | None:
        """The person of an address, however it is written."""
        with self._unit.read() as conn:
            return people.find(conn, address)

    def bound(self, side: Side, external_id: str) -> list[Who]:
        """Everybody to whom one record of `side` belongs."""
        with self._unit.read() as conn:
            return people.bound(conn, side, external_id)

    def related_people(self, person: PersonId) -> list[Who]:
        """Who has, or had, a record together with this person."""
        with self._unit.read() as conn:
            return people.who_many(conn, erasures.related_people(conn, person))

    def unreadable_marks(self) -> int:
        """How many people were erased whose marks need another key than the one at hand."""
        with self._unit.read() as conn:
            return erasures.unreadable(conn, self._erasing)

    def unvetted(self) -> int:
        """How many people of whom nobody can tell whether they had been erased."""
        with self._unit.read() as conn:
            return erasures.unvetted(conn)

    def unfinished_erasures(self) -> int:
        """How many erasures were begun and not carried to their end."""
        with self._unit.read() as conn:
            return erasures.unfinished(conn)

    def unresolved_profile_links(self, after: str, limit: int) -> list[str]:
        """The next profiles, beyond the one given, that contacts name and nobody is known to have."""
        with self._unit.read() as conn:
            return profile_links.unmet(conn, after, limit)

    # what is to be decided, and what waits

    def dirty(self, after: PersonId | None, limit: int) -> list[list[Cell]]:
        """The next people, in order of their numbers, who have something to decide: all cells of each."""
        with self._unit.read() as conn:
            return cells.dirty(conn, after, limit)

    def cells(self, person: PersonId) -> list[Cell]:
        """All cells of one person."""
        with self._unit.read() as conn:
            return cells.load(conn, [person]).get(person, [])

    def cells_of(self, people_: Sequence[PersonId]) -> dict[PersonId, list[Cell]]:
        """All cells of these people."""
        with self._unit.read() as conn:
            return cells.load(conn, people_)

    def counts(self) -> Counts:
        """What waits."""
        with self._unit.read() as conn:
            return Counts(
                waiting=cells.waiting(conn),
                held=holds.held(conn),
                dead=attempts.dead(conn),
                unproven=attempts.unproven(conn),
            )

    def ineffective_writes(self, person: PersonId, topic: TopicId) -> int:
        """How many writes about a cell were accepted and not followed since it was last agreed."""
        with self._unit.read() as conn:
            return attempts.ineffective_writes(conn, person, topic)

    def in_doubt(self) -> list[Attempt]:
        """Writes whose outcome is unknown, the oldest first."""
        with self._unit.read() as conn:
            return attempts.in_doubt(conn)

    def attempts(self, person: PersonId) -> list[Attempt]:
        """Every write that was begun for a person."""
        with self._unit.read() as conn:
            return attempts.of_person(conn, person)

    def written_since(self, side: Side, ids: Sequence[str], since: datetime) -> frozenset[str]:
        """Those records of `side` about whose people a write to it was begun since then."""
        with self._unit.read() as conn:
            return attempts.written_since(conn, side, ids, since)

    def last_written(self, side: Side) -> PersonId | None:
        """The person of the latest proven write at `side`."""
        with self._unit.read() as conn:
            return attempts.last_written(conn, side)

    def holds(
        self,
        state: HoldState | None = HoldState.OPEN,
        *,
        reason: str | None = None,
        limit: int = 100,
        after: int = 0,
    ) -> list[HoldRow]:
        """Standing holds with a number beyond `after`, the oldest first; None for those in every state."""
        with self._unit.read() as conn:
            return holds.listing(conn, state, reason, limit, after)

    def confirmations_due(self, now: datetime, limit: int) -> list[PendingConfirmation]:
        """Whom to look at now, whether they have confirmed what they were asked by mail."""
        with self._unit.read() as conn:
            return challenges.due(conn, now, limit)

    def challenges(self) -> ConfirmationCounts:
        """How many people were asked by mail and have not confirmed."""
        with self._unit.read() as conn:
            return challenges.count(conn)

    def inbox(self, side: Side) -> list[RetryItem]:
        """Whom to try to read again at `side`."""
        with self._unit.read() as conn:
            return retry_queue.of_side(conn, side)

    def notices(self, side: Side) -> list[PendingEvent]:
        """The next that webhooks named and no round has looked into, the oldest first."""
        with self._unit.read() as conn:
            return webhook_events.of_side(conn, side)

    # what exists at both sides

    def catalogue(self) -> Catalogue:
        """What existed when it was last read."""
        with self._unit.read() as conn:
            return catalogue.load(conn)

    def catalogue_news(self, fresh: Catalogue) -> list[CatalogueChange]:
        """What has happened since, by a reading that is not to be kept."""
        with self._unit.read() as conn:
            return catalogue.news(conn, fresh)

    def catalogue_noticed(self, since: datetime) -> list[DatedChange]:
        """What was noticed since then, the oldest first."""
        with self._unit.read() as conn:
            return catalogue.noticed(conn, since)

    # runs, watermarks, facts

    def watermark(self, feed: str) -> datetime | None:
        """How far a feed was read, in its side's time."""
        return self.watermarks().get(feed)

    def watermarks(self) -> dict[str, datetime]:
        """How far each feed was read."""
        with self._unit.read() as conn:
            return runs.watermarks(conn)

    def last_runs(self, number: int = 10) -> list[RunRow]:
        """The last runs, the newest first."""
        with self._unit.read() as conn:
            return runs.last(conn, number)

    def meta(self, key: str) -> str | None:
        """A single fact about this state DB."""
        with self._unit.read() as conn:
            return runs.fact(conn, key)

    def first_run_completed(self) -> bool:
        """Whether both sides were once read to a proven end."""
        return self.meta(FIRST_RUN_COMPLETED) is not None

    def people_count(self) -> int:
        """How many people are known."""
        with self._unit.read() as conn:
            return people.count(conn)

    def cells_count(self) -> int:
        """How many cells there are."""
        with self._unit.read() as conn:
            return cells.count(conn)

    # the lease and the ledger

    def lease_holder(self, name: str = NAME) -> tuple[str, datetime] | None:
        """Who has the right to write, and until when; None while it is free."""
        with self._unit.read() as conn:
            return holder(conn, name, self._unit.clock())

    def verify_ledger(self) -> Verified:
        """Check the whole ledger. Raises LedgerBroken."""
        with self._unit.read() as conn:
            return ledger.verify(conn)

    def export_ledger(self) -> Iterator[dict[str, Any]]:
        """Every entry, in order."""
        after = 0
        while True:
            with self._unit.read() as conn:
                rows = ledger.page(conn, after)
            if not rows:
                return
            yield from map(ledger.shown, rows)
            after = rows[-1]["seq"]

    def history(self, person: PersonId, topic: TopicId | None = None) -> list[dict[str, Any]]:
        """What the ledger tells of one person, and of one of their topics."""
        with self._unit.read() as conn:
            return list(ledger.history(conn, person, topic))

    def _pages(self, next_page: Callable[[sa.Connection, int], list[Who]]) -> Iterator[list[Who]]:
        after = 0
        while True:
            with self._unit.read() as conn:
                page = next_page(conn, after)
            if not page:
                return
            yield page
            after = page[-1].person
