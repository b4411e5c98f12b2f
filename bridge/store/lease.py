"""The lease: one process at a time may carry consent with this state DB.

It has an owner and an expiry, so that a killed process blocks nobody for long, and a fence: a number that
grows with every owner, by which one that was overtaken is refused (see `Unit.write`).
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from types import TracebackType
from typing import Self

import sqlalchemy as sa

from bridge.core.errors import LeaseHeld
from bridge.store import runs
from bridge.store import tables as t
from bridge.store.engine import UnitOfWork, inserter

NAME = "writer"


class Lease:
    """Take it with `with`; renew it more often than its time to live. Raises LeaseHeld while somebody else
    has it, and on renewing one that was lost."""

    def __init__(
        self, unit: UnitOfWork, *, name: str, owner: str, ttl: timedelta, is_gone: Callable[[str], bool]
    ) -> None:
        if ttl <= timedelta(0):
            raise ValueError("a lease needs a time to live")
        self._unit = unit
        self._name = name
        self._owner = owner
        self._ttl = ttl
        self._is_gone = is_gone
        self._until: datetime | None = None
        self.fence = 0

    def __enter__(self) -> Self:
        with self._unit.write() as conn:
            now = self._unit.clock()
            self.fence = self._take(conn, now)
            runs.stop_abandoned(conn, now)
        self._until = now + self._ttl
        self._unit.fence = (self._name, self.fence)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._unit.fence = None
        self._until = None
        with self._unit.write() as conn:
            self._update(conn, self._unit.clock())

    def renew(self) -> None:
        """Stay the owner for another time to live. Cheap to call often: it writes when a third has passed."""
        now = self._unit.clock()
        if self._until is None:
            raise LeaseHeld("The lease was given back already.", hint="Begin the run anew.")
        if now < self._until - self._ttl * 2 / 3:
            return
        with self._unit.write() as conn:  # refused there if another process took over
            self._update(conn, now + self._ttl)
        self._until = now + self._ttl

    def _take(self, conn: sa.Connection, now: datetime) -> int:
        lease = t.lease.c
        conn.execute(  # a row to lock, so that of two takers the second waits and then finds it taken
            inserter(conn, t.lease).on_conflict_do_nothing(),
            [{"name": self._name, "owner": "", "until": now, "fence": 1}],
        )
        held = conn.execute(sa.select(t.lease).where(lease.name == self._name).with_for_update()).one()
        if held.until > now and not self._is_gone(held.owner):
            raise _held(held.owner, held.until)
        fence = int(held.fence) + 1
        conn.execute(
            sa.update(t.lease)
            .where(lease.name == self._name)
            .values(owner=self._owner, until=now + self._ttl, fence=fence)
        )
        return fence

    def _update(self, conn: sa.Connection, until: datetime) -> None:
        lease = t.lease.c
        mine = (lease.name == self._name, lease.fence == self.fence)
        conn.execute(sa.update(t.lease).where(*mine).values(until=until))


def holder(conn: sa.Connection, name: str, now: datetime) -> tuple[str, datetime] | None:
    """Who has the lease, and until when; None while it is free."""
    lease = t.lease.c
    query = sa.select(lease.owner, lease.until).where(lease.name == name, lease.until > now)
    row = conn.execute(query).one_or_none()
    return None if row is None else (row.owner, row.until)


def _named(owner: str) -> str:
    """An owner as people know it: what tells processes of one number apart stands in brackets behind it."""
    return owner.partition(" [")[0]


def _held(owner: str, until: datetime) -> LeaseHeld:
    return LeaseHeld(
        f"Another process ({_named(owner)}) writes to this state DB until {until:%Y-%m-%dT%H:%M:%SZ} or"
        " longer.",
        hint="Wait until it is done, or stop it; if it was killed, its lease ends by itself at that time.",
    )
