"""The state DB as the engine and the commands see it. Every method is one transaction."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Self

import sqlalchemy as sa

from bridge.core.catalogue import Catalogue, CatalogueChange
from bridge.core.erasure import ErasureSettings, KnownWithdrawals
from bridge.core.model import HoldState, PersonId, RunId, Side, TopicId
from bridge.core.ports import Hint, PersonView, cursor_key
from bridge.core.store_port import (
    AttemptFinished,
    AttemptStarted,
    AttemptState,
    HoldRow,
    Json,
    LedgerEntry,
    RecordResult,
    RunKind,
    Settlement,
)
from bridge.store import (
    address_changes,
    attempts,
    catalogue,
    cells,
    erasures,
    holds,
    ledger,
    migrate,
    observations,
    people,
    retry_queue,
    runs,
    seen_hints,
    webhook_events,
)
from bridge.store.confirmations import ConfirmationStore
from bridge.store.engine import Clock, UnitOfWork, make_engine
from bridge.store.lease import NAME, Lease
from bridge.store.reader import FIRST_RUN_COMPLETED


class Store(ConfirmationStore):
    """Opened by `Store.open` or, to look only, by `Store.reader`. May be used by several threads.

    Methods raise LookupError for a person, cell, attempt or run that does not exist, and LeaseHeld when a
    lease taken through this store was lost to another process.
    """

    @classmethod
    def open(
        cls, url: str, clock: Clock, *, upgrade: bool | None = None, erasing: ErasureSettings | None = None
    ) -> Self:
        """Open the state DB to work with it. Without `upgrade`, SQLite makes and upgrades its own schema, and
        PostgreSQL waits for `bridge db upgrade`. `erasing`: how people who were erased are known again.
        Raises SchemaOutOfDate and ConfigError."""
        engine = make_engine(url)
        try:
            _prepare(engine, upgrade=engine.dialect.name == "sqlite" if upgrade is None else upgrade)
        except BaseException:
            engine.dispose()
            raise
        return cls(UnitOfWork(engine, clock), erasing)

    @classmethod
    def reader(cls, url: str, clock: Clock, *, erasing: ErasureSettings | None = None) -> Self:
        """Open the state DB to look only: the DB itself refuses to write. An SQLite file that is out of date,
        or not there yet, is made ready first."""
        cls.open(url, clock).close()
        return cls(UnitOfWork(make_engine(url, read_only=True), clock, read_only=True), erasing)

    def close(self) -> None:
        """Close all connections."""
        self._unit.engine.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # observing

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
        """Store a page of views and, with it, how far its feed was read and which of its hints were
        followed: all or nothing."""
        with self._unit.write() as conn:
            now = self._unit.clock()
            recorded = observations.record(
                conn,
                views,
                side,
                now=now,
                unsubscribe_withdraws_topics=unsubscribe_withdraws_topics,
                erasing=self._erasing,
            )
            if feed is not None:
                seen_hints.note(conn, feed, followed, now)
            if feed is not None and cursor is not None:
                runs.set_fact(conn, cursor_key(feed), cursor)
            if feed is not None and watermark is not None:
                runs.save_watermark(conn, feed, watermark, run, now)
                seen_hints.forget(conn, feed, now)
                webhook_events.forget(conn, now)
            self._append(conn, run, recorded.ledger, now)
        return recorded

    def record_former_addresses(
        self, side: Side, external_id: str, former: Sequence[tuple[str, datetime | None]]
    ) -> list[PersonId]:
        """A record had these addresses before, each until the time given, as its side tells. Nobody is made
        known by that. Returns those of these people who were never seen with that record."""
        with self._unit.write() as conn:
            return address_changes.record_former_addresses(
                conn, side, external_id, former, self._unit.clock()
            )

    def mark_absent(self, side: Side, topics: Sequence[TopicId], *, run: RunId, read_at: datetime) -> int:
        """After a complete sweep that began at `read_at`: whoever was never seen at `side` is not there.
        Returns how many people that is news of. Works through everybody in several transactions; stopped
        between them, the next sweep goes on."""
        total, after = 0, 0
        while True:
            with self._unit.write() as conn:
                fresh, last = observations.mark_absent(conn, side, topics, read_at=read_at, after=after)
                if last is None and total:
                    body = {"side": side.value, "people": total, "read_at": read_at.isoformat()}
                    self._append(conn, run, [LedgerEntry("absent", body)], self._unit.clock())
            total += fresh
            if last is None:
                return total
            after = last

    # deciding

    def settle(self, run: RunId, settlements: Sequence[Settlement]) -> None:
        """Store what was decided, and the ledger's word of it. A cell is marked as decided only if its ground
        still stands, and nobody answered its hold since the run began."""
        if not settlements:
            return
        with self._unit.write() as conn:
            entries = cells.settle(conn, run, settlements)
            ledger.append(conn, run, entries, self._unit.clock())

    def remap(self, topics: Sequence[TopicId]) -> None:
        """The mapping has changed: everything mapped is decided again, and nothing else is. Works through
        everybody in several transactions; stopped between them, it is to be called again."""
        after: int | None = 0
        while after is not None:
            with self._unit.write() as conn:
                after = cells.remap(conn, topics, after)

    # writing

    def begin_attempt(self, run: RunId, person: PersonId, side: Side, body: Json, ledger: LedgerEntry) -> int:
        """Note a write before it is sent. `body["writes"]` lists what it does, each with its `topic`. The
        cells concerned stay dirty until they are settled."""
        return self.begin_attempts(run, side, [AttemptStarted(person, body, ledger)])[0]

    def begin_attempts(self, run: RunId, side: Side, begun: Sequence[AttemptStarted]) -> list[int]:
        """Note many writes before any of them is sent. Returns their numbers, in order."""
        with self._unit.write() as conn:
            now = self._unit.clock()
            people.lock(conn, [one.person for one in begun])
            numbers, keys = attempts.begin(conn, run, side, begun, now)
            cells.make_dirty(conn, keys)
            self._append(conn, run, [one.ledger for one in begun], now)
        return numbers

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
    ) -> None:
        """Note what became of a write, what was read back, and what that settles. `written_at` is when the
        call had ended, None if it changed nothing."""
        with self._unit.write() as conn:
            person, side = attempts.whose(conn, attempt)
            ended = AttemptFinished(attempt, person, state, ledger, topics, error_code, error, written_at)
            self._end(
                conn,
                run,
                side,
                [ended],
                views,
                settlements,
                unsubscribe_withdraws_topics=unsubscribe_withdraws_topics,
            )

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
        with self._unit.write() as conn:
            self._end(
                conn, run, side, ended, views, (), unsubscribe_withdraws_topics=unsubscribe_withdraws_topics
            )

    def _end(
        self,
        conn: sa.Connection,
        run: RunId,
        side: Side,
        ended: Sequence[AttemptFinished],
        views: Sequence[PersonView],
        settlements: Sequence[Settlement],
        *,
        unsubscribe_withdraws_topics: bool,
    ) -> None:
        now = self._unit.clock()
        people.lock(conn, [one.person for one in ended])
        attempts.end(conn, ended, now)
        cells.note_written(conn, side, ended)
        recorded = observations.record(
            conn,
            views,
            side,
            now=now,
            unsubscribe_withdraws_topics=unsubscribe_withdraws_topics,
            erasing=self._erasing,
        )
        settled = cells.settle(conn, run, settlements)
        entries = [*(one.ledger for one in ended), *recorded.ledger, *settled]
        self._append(conn, run, entries, now)

    # holds

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
    ) -> bool:
        """Hold a cell for a person at the desk. Returns False, and notes nothing, where that hold stands.
        `afresh`: what a person answered was tried and did not help; they are asked again."""
        with self._unit.write() as conn:
            now = self._unit.clock()
            people.lock(conn, [person])
            if afresh:
                holds.close_answered(conn, (person, topic), now)
            news = holds.open_hold(
                conn, (person, topic), now, reason=reason, why=why, ground=ground, proposed=proposed
            )
            if news and ledger is not None:
                self._append(conn, run, [ledger], now)
        return news

    def close_hold(self, person: PersonId, topic: TopicId) -> None:
        """The cell's hold stands no longer, and no write given up about it waits for anybody."""
        with self._unit.write() as conn:
            people.lock(conn, [person])
            holds.close(conn, (person, topic), self._unit.clock())
            attempts.forget_dead(conn, [(person, topic)])

    def release(self, numbers: Sequence[int], *, by: str | None = None) -> int:
        """A person says: do what the hold proposes. Returns how many holds that answers."""
        return self._answer(numbers, HoldState.RELEASED, by)

    def dismiss(self, numbers: Sequence[int], *, by: str | None = None) -> int:
        """A person says: leave it as it is. Returns how many holds that answers."""
        return self._answer(numbers, HoldState.DISMISSED, by)

    def release_all(self, reason: str, *, by: str | None = None) -> int:
        """Release every open hold of one reason, a page at a time."""
        total = after = 0
        while page := self.holds(reason=reason, after=after, limit=1000):
            after = page[-1].id
            total += self.release([hold.id for hold in page], by=by)
        return total

    def _answer(self, numbers: Sequence[int], state: HoldState, by: str | None) -> int:
        with self._unit.write() as conn:
            now = self._unit.clock()
            people.lock(conn, holds.people_of(conn, numbers))
            changed = holds.answer(conn, numbers, state, now)
            keys = [(hold.person, hold.topic) for hold in changed]
            cells.make_dirty(conn, keys)
            if state is HoldState.DISMISSED:
                attempts.forget_dead(conn, keys)
            self._append(conn, None, [_answered(hold, state, by) for hold in changed], now)
        return len(changed)

    # people who could not be read

    def add_retry(
        self, side: Side, *, hint: Hint | None = None, person: PersonId | None = None, error: str
    ) -> None:
        """Keep a hint, or a known person, to be read later."""
        if (hint is None) == (person is None):
            raise ValueError("either a hint or a person is kept")
        with self._unit.write() as conn:
            now = self._unit.clock()
            retry_queue.keep(conn, side, now, hint=hint, person=person, error=error, erasing=self._erasing)

    def drop_retry(self, kept: int) -> None:
        """That was read. What was kept again meanwhile stays: it has another number."""
        with self._unit.write() as conn:
            retry_queue.drop(conn, kept)

    # people who are erased

    def begin_erasure(self, address: str) -> None:
        """Mark somebody before anything is done about them: no opt-in from before raises them any more.
        Raises ConfigError without the key."""
        key = self._erasing.required()
        with self._unit.write() as conn:
            erasures.begin(conn, address, key, self._unit.clock())

    def finish_erasure(self, address: str, known: KnownWithdrawals, told: Json) -> bool:
        """Remove all that is kept of somebody, but for the mark. `known` are the withdrawals that a side
        still shows, `told` is for the ledger. Returns whether anything was known. Raises ConfigError without
        the key."""
        key = self._erasing.required()
        with self._unit.write() as conn:
            now = self._unit.clock()
            person = erasures.finish(conn, address, key, known, now)
            self._append(conn, None, [LedgerEntry("erased", told, person)], now)
        self._unit.clean()
        return person is not None

    def recheck_erased(self) -> int:
        """Now that the key is at hand: tell of everybody who was made known without it whether they had been
        erased. Returns how many of whom that cannot be told yet."""
        after: int | None = 0
        while after is not None:
            with self._unit.write() as conn:
                after = erasures.recheck_erased(conn, self._erasing, self._unit.clock(), after)
        with self._unit.read() as conn:
            return erasures.unvetted(conn)

    def drop_unreadable_marks(self) -> int:
        """Give up the marks whose key is lost: whoever they stand for may be made known again. Returns how
        many."""
        with self._unit.write() as conn:
            gone = erasures.drop_unreadable(conn, self._erasing)
            if gone:
                self._append(conn, None, [LedgerEntry("marks_dropped", {"marks": gone})], self._unit.clock())
        return gone

    # what webhooks named

    def mark_processed(self, notices: Sequence[int]) -> None:
        """A round has looked into these."""
        with self._unit.write() as conn:
            webhook_events.mark_processed(conn, notices, self._unit.clock())

    # what exists at both sides

    def keep_catalogue(self, fresh: Catalogue) -> list[CatalogueChange]:
        """Keep what was read of some kinds; returns what happened since they were last read."""
        with self._unit.write() as conn:
            return catalogue.keep(conn, fresh, self._unit.clock())

    # runs, watermarks, facts

    def begin_run(self, kind: RunKind) -> RunId:
        """Begin a run."""
        with self._unit.write() as conn:
            return runs.begin(conn, kind, self._unit.clock())

    def end_run(self, run: RunId, state: str, report: Json) -> None:
        """End a run as done, failed or stopped."""
        with self._unit.write() as conn:
            runs.end(conn, run, state, report, self._unit.clock())

    def drop_meta(self, key: str) -> None:
        """Forget a single fact."""
        with self._unit.write() as conn:
            runs.drop_fact(conn, key)

    def set_meta(self, key: str, value: str) -> None:
        """Note a single fact about this state DB."""
        with self._unit.write() as conn:
            runs.set_fact(conn, key, value)

    def complete_first_run(self) -> None:
        """Note that both sides were read to a proven end."""
        self.set_meta(FIRST_RUN_COMPLETED, self._unit.clock().isoformat().replace("+00:00", "Z"))

    # the lease and the ledger

    def lease(
        self,
        *,
        owner: str,
        ttl: timedelta,
        name: str = NAME,
        is_gone: Callable[[str], bool] = lambda _: False,
    ) -> Lease:
        """The right to write, for one process at a time: `with store.lease(…) as lease`, and `lease.renew()`.
        `owner` is what another process is told, `is_gone` whether an owner is certainly no more: its lease
        need not be waited out. While it is held, this store refuses to write once another
        process took over."""
        return Lease(self._unit, name=name, owner=owner, ttl=ttl, is_gone=is_gone)

    def ledger_append(self, run: RunId | None, entries: Sequence[LedgerEntry]) -> None:
        """Add entries that belong to no other change."""
        with self._unit.write() as conn:
            self._append(conn, run, entries, self._unit.clock())

    def _append(
        self, conn: sa.Connection, run: RunId | None, entries: Sequence[LedgerEntry], now: datetime
    ) -> None:
        ledger.append(conn, run, entries, now)


def _prepare(engine: sa.Engine, *, upgrade: bool) -> None:
    state = migrate.state_of(engine)
    if upgrade and not state.up_to_date:
        migrate.upgrade_engine(engine)
    else:
        migrate.require_current(state)


def _answered(hold: HoldRow, state: HoldState, by: str | None) -> LedgerEntry:
    body = {"hold": hold.id, "reason": hold.reason, "by": by}
    return LedgerEntry(state.value, body, hold.person, hold.topic)
