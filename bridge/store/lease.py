"""The lease: one process at a time may sync with this state DB.

It has an owner and an expiry, so that a killed process blocks nobody for long, and a fence: a number that
grows with every owner, by which a former owner is refused (see `UnitOfWork.write` and `require_fence`).
"""

from __future__ import annotations

import logging
import os
import secrets
import socket
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Self, cast

import sqlalchemy as sa

from bridge.core.errors import LeaseHeld, StateDbBusy, StateDbError
from bridge.store import runs
from bridge.store import tables as t
from bridge.store.engine import UnitOfWork
from bridge.store.statements import insert_new, is_postgresql, param

NAME = "writer"
_log = logging.getLogger(__name__)

_l = t.lease.c
_NAMED = _l.name == sa.bindparam("named")
_ENSURE = insert_new(t.lease)
_LOCK = sa.select(t.lease).where(_NAMED).with_for_update()
_TAKE = (
    sa.update(t.lease)
    .where(_NAMED)
    .values(
        owner=sa.bindparam("new_owner"),
        since=param("new_since", _l.since),
        until=param("new_until", _l.until),
        fence=sa.bindparam("new_fence"),
    )
)
_RENEW = (
    sa.update(t.lease)
    .where(_NAMED, _l.fence == sa.bindparam("mine"))
    .values(until=param("new_until", _l.until))
)
_SERVER_NOW = sa.select(sa.func.clock_timestamp())
_LAST = sa.select(_l.owner).where(_NAMED)
_HOLDER = sa.select(_l.owner, _l.until).where(_NAMED, _l.until > param("now", _l.until))


class Lease:
    """Take it with `with`; renew it more often than its time to live. Raises LeaseHeld while another process
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
        self._renewed: datetime | None = None
        self.fence = 0

    def __enter__(self) -> Self:
        try:
            with self._unit.write() as conn:
                self.fence = self._take(conn, self._now(conn))
                self._unit.observe(conn)  # what the owner before stored came before all that this one reads
                runs.stop_abandoned(conn, self._unit.clock())
        except StateDbBusy as error:
            raise self._blocked(error) from None
        self._renewed = self._unit.wall()
        self._unit.fence = (self._name, self.fence)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._unit.fence = None
        self._renewed = None
        try:
            with self._unit.write() as conn:
                self._update(conn, self._now(conn))
        except StateDbError as failed:  # it expires by itself, and what was to be done is done
            _log.warning("the lease could not be given back", extra={"why": str(failed)})

    def renew(self) -> None:
        """Stay the owner for another time to live. Cheap to call often: it writes when a third has passed."""
        now, renewed = self._unit.wall(), self._renewed
        if renewed is None:
            raise LeaseHeld("The lease was already given back.", hint="Start the run again.")
        if renewed <= now < renewed + self._ttl / 3:  # a clock that was set back tells nothing
            return
        with self._unit.write() as conn:  # refused there if another process took over
            self._update(conn, self._now(conn) + self._ttl)
        self._renewed = now

    def _take(self, conn: sa.Connection, now: datetime) -> int:
        # a row to lock, so that of two takers the second waits and then finds it taken
        _ENSURE.run(conn, [{"name": self._name, "owner": "", "since": now, "until": now, "fence": 1}])
        held = conn.execute(_LOCK, {"named": self._name}).one()
        if held.until > now and not self._is_gone(held.owner):
            raise _held(held.owner, held.since, held.until)
        fence = int(held.fence) + 1
        values = {
            "new_owner": self._owner,
            "new_since": now,
            "new_until": now + self._ttl,
            "new_fence": fence,
        }
        conn.execute(_TAKE, values | {"named": self._name})
        return fence

    def _blocked(self, error: StateDbBusy) -> LeaseHeld | StateDbBusy:
        """Who keeps this process waiting: the last owner, while its transaction is open."""
        with self._unit.read() as conn:
            row = conn.execute(_LAST, {"named": self._name}).one_or_none()
        if row is None or not row.owner:
            return error
        return LeaseHeld(
            f"Another process ({shown_owner(row.owner)}) keeps this state DB locked, and has not ended its "
            "transaction; it may be suspended.",
            hint="Continue or end that process, then try again.",
        )

    def _now(self, conn: sa.Connection) -> datetime:
        """The time by which the lease expires: on PostgreSQL the server's, since the clocks of two machines
        may differ."""
        return now_at(conn, self._unit)

    def _update(self, conn: sa.Connection, until: datetime) -> None:
        conn.execute(_RENEW, {"named": self._name, "mine": self.fence, "new_until": until})


def holder(conn: sa.Connection, name: str, unit: UnitOfWork) -> tuple[str, datetime] | None:
    """Who has the lease, and until when; None while it is free."""
    row = conn.execute(_HOLDER, {"named": name, "now": now_at(conn, unit)}).one_or_none()
    return None if row is None else (row.owner, row.until)


def now_at(conn: sa.Connection, unit: UnitOfWork) -> datetime:
    """The time by which leases expire."""
    if not (unit.server_clock and is_postgresql(conn)):
        return unit.wall()
    (now,) = conn.execute(_SERVER_NOW).one()
    return cast("datetime", now)


def shown_owner(owner: str) -> str:
    """An owner as people know it, without the part in brackets that tells processes of one number apart."""
    return owner.partition(" [")[0]


def _held(owner: str, since: datetime, until: datetime) -> LeaseHeld:
    began = f", since {since:%Y-%m-%dT%H:%M:%SZ}" if since.timestamp() > 0 else ""  # else an earlier version
    return LeaseHeld(
        f"Another process ({shown_owner(owner)}) writes to this state DB{began},"
        f" until {until:%Y-%m-%dT%H:%M:%SZ} or longer.",
        hint="Wait until it is done, or stop it; if it was killed, its lease ends by itself at that time.",
    )


# the owner


_TOKEN = secrets.token_hex(3)  # tells this process from an earlier one with the same number


@dataclass(frozen=True, slots=True)
class Owner:
    """A process: its host, its number, and the space in which that number is unique ("": unknown)."""

    host: str
    pid: int
    space: str
    token: str

    def __str__(self) -> str:
        return f"{self.host} pid {self.pid} [{self.space} {self.token}]"


def this_process() -> Owner:
    """The owner that this process is."""
    return Owner(socket.gethostname(), os.getpid(), _space(), _TOKEN)


def is_gone(shown: str) -> bool:
    """Whether the process that `str(Owner)` named has certainly ended. In doubt it runs: its lease then
    expires by itself."""
    owner, mine = _parse(shown), this_process()
    if owner is None or not owner.space or (owner.host, owner.space) != (mine.host, mine.space):
        return False
    if owner.pid == mine.pid:
        return owner.token != mine.token
    return not Path(f"/proc/{owner.pid}").exists()


def _space() -> str:
    """This boot of this machine, and this space of process numbers: two containers may share the rest."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot[:8]}-{Path('/proc/self/ns/pid').stat().st_ino}"
    except OSError:
        return ""


def _parse(shown: str) -> Owner | None:
    """The owner that a text names, if it is one."""
    before, _, after = shown.rstrip("]").partition(" [")
    host, _, pid = before.rpartition(" pid ")
    space, _, token = after.partition(" ")
    return Owner(host, int(pid), space, token) if host and pid.isdigit() and token else None
