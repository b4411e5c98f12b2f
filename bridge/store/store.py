"""The state DB: one object for each subject. Every method of a subject is one transaction."""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import datetime, timedelta
from pathlib import Path
from typing import Self

import sqlalchemy as sa

from bridge.core.clocks import Clock
from bridge.core.erasure import ErasureSettings
from bridge.core.facts import Facts
from bridge.core.ledger import LedgerKey
from bridge.core.model import PersonId, TopicId
from bridge.store import migrate, planned_people
from bridge.store.agreement_seals import use_key
from bridge.store.approvals import ApprovalStore
from bridge.store.attempts import AttemptStore
from bridge.store.calls import calls_of
from bridge.store.catalogue import CatalogueStore
from bridge.store.cells import CellStore
from bridge.store.confirmations import ConfirmationStore
from bridge.store.engine import UnitOfWork, file_of, is_writable, make_engine, require_present
from bridge.store.erasures import ErasureStore
from bridge.store.feeds import FeedStore
from bridge.store.holds import HoldStore
from bridge.store.key_values import KeyValueStore
from bridge.store.lease import NAME, Lease, holder
from bridge.store.ledger_store import LedgerStore
from bridge.store.observations import ObservationStore
from bridge.store.people import PeopleStore
from bridge.store.retention import RetentionStore
from bridge.store.retry_queue import RetryQueue
from bridge.store.runs import RunStore
from bridge.store.turns import TurnStore
from bridge.store.webhook_events import WebhookEventStore


class Store:
    """Opened by `Store.open` or, to look only, by `Store.reader`. May be used by several threads.

    Methods raise LookupError for a person, cell, attempt or run that does not exist, and LeaseHeld when a
    lease taken through this store was lost to another process.
    """

    def __init__(
        self, unit: UnitOfWork, erasing: ErasureSettings | None = None, head_file: Path | None = None
    ) -> None:
        self._unit = unit
        erasing = erasing or ErasureSettings()
        use_key(unit.engine, LedgerKey(erasing.key))
        self.people = PeopleStore(unit)
        self.observations = ObservationStore(unit, erasing)
        self.feeds = FeedStore(unit)
        self.cells = CellStore(unit)
        self.attempts = AttemptStore(unit, erasing)
        self.holds = HoldStore(unit)
        self.approvals = ApprovalStore(unit)
        self.confirmations = ConfirmationStore(unit)
        self.retry_queue = RetryQueue(unit, erasing)
        self.webhooks = WebhookEventStore(unit)
        self.catalogue = CatalogueStore(unit)
        self.erasures = ErasureStore(unit, erasing)
        self.runs = RunStore(unit)
        self.retention = RetentionStore(unit)
        self.ledger = LedgerStore(unit, head_file)
        self.turns = TurnStore(unit)
        self.key_values = KeyValueStore(unit)
        self.facts = Facts(self.key_values)

    @classmethod
    def open(
        cls,
        url: str,
        clock: Clock,
        *,
        upgrade: bool | None = None,
        erasing: ErasureSettings | None = None,
        server_clock: bool = False,
        head_file: Path | None = None,
    ) -> Self:
        """Open the state DB to work with it. Without `upgrade`, SQLite makes and upgrades its own schema, and
        PostgreSQL waits for `bridge db upgrade`. `erasing`: how erased people are recognised. `server_clock`:
        leases expire by the clock of a PostgreSQL server. `head_file`: where the ledger's head is kept
        outside of the state DB. Raises SchemaOutOfDate and ConfigError."""
        engine = make_engine(url)
        try:
            _prepare(engine, upgrade=engine.dialect.name == "sqlite" if upgrade is None else upgrade)
        except BaseException:
            engine.dispose()
            raise
        unit = UnitOfWork(engine, clock, server_clock=server_clock)
        with unit.read() as conn:
            unit.observe(conn)
        return cls(unit, erasing, head_file)

    @classmethod
    def reader(
        cls,
        url: str,
        clock: Clock,
        *,
        erasing: ErasureSettings | None = None,
        head_file: Path | None = None,
    ) -> Self:
        """Open the state DB to look only: the DB itself refuses to write. It is never created; an SQLite file
        that is out of date is upgraded first, where it can be written. Raises StateDbError, SchemaOutOfDate
        and ConfigError."""
        require_present(url)
        if _is_writable(url):
            cls.open(url, clock).close()
        engine = make_engine(url, read_only=True)
        try:
            migrate.require_current(migrate.state_of(engine))
        except BaseException:
            engine.dispose()
            raise
        unit = UnitOfWork(engine, clock, read_only=True, server_clock=True)
        return cls(unit, erasing, head_file)

    def keep_people(self, copied: Store, people: Collection[PersonId], topics: Collection[TopicId]) -> None:
        """Take over from a private copy of this state DB what it knows of these people and topics. Nobody may
        have written to this one since it was copied."""
        with copied._unit.read() as source, self._unit.write() as target:
            planned_people.keep_people(source, target, people, topics)
        if (newest := copied._unit.clock.newest) is not None:
            self._unit.clock.observe(newest)

    def require_writable(self) -> None:
        """Raises StateDbError where a PostgreSQL server answers that takes no writes, as a standby does."""
        self._unit.require_writable()

    def end_hanging_calls(self, after: float) -> int:
        """Make calls to the state DB fail that have been in progress for `after` seconds: for a process that
        has to stop. Returns how many there were. Their transactions are rolled back."""
        return calls_of(self._unit.engine).end_hanging(after)

    def close(self) -> None:
        """Close all connections."""
        self._unit.engine.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def lease(
        self,
        *,
        owner: str,
        ttl: timedelta,
        name: str = NAME,
        is_gone: Callable[[str], bool] = lambda _: False,
    ) -> Lease:
        """The right to write, for one process at a time: `with store.lease(…) as lease`, and `lease.renew()`.
        `owner` names this process to others. `is_gone` tells whether an owner has certainly ended: nobody
        waits for its lease to expire. While it is held, this store refuses to write once another process took
        over."""
        return Lease(self._unit, name=name, owner=owner, ttl=ttl, is_gone=is_gone)

    def now(self) -> datetime:
        """The bridge's own time, which never goes back: for what is compared with what is stored."""
        return self._unit.clock()

    def newest(self) -> datetime | None:
        """The newest of the bridge's own times that was stored or given; None in a new state DB."""
        return self._unit.clock.newest

    def require_lease(self) -> None:
        """Raises LeaseHeld where the lease taken through this store was lost: asked just before each write to
        a side."""
        self._unit.require_fence()

    def lease_wanted(self) -> str | None:
        """Who asks for the right to write; None where nobody does."""
        return self.turns.asked()

    def lease_holder(self, name: str = NAME) -> tuple[str, datetime] | None:
        """Who has the right to write, and until when; None while it is free."""
        with self._unit.read() as conn:
            return holder(conn, name, self._unit)


def _is_writable(url: str) -> bool:
    path = file_of(url)
    return path is not None and is_writable(path)


def _prepare(engine: sa.Engine, *, upgrade: bool) -> None:
    state = migrate.state_of(engine)
    if upgrade and not state.up_to_date:
        migrate.upgrade_engine(engine)
    else:
        migrate.require_current(state)
