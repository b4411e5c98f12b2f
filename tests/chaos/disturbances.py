"""What is done to a running daemon, and to what it stands on."""

from __future__ import annotations

import resource
import signal
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import sqlalchemy as sa

if TYPE_CHECKING:
    from tests.chaos.chaos_world import ChaosWorld

Disturb = Callable[["ChaosWorld"], AbstractContextManager[None]]


@dataclass(frozen=True)
class Case:
    """One disturbance. `database`: where it applies. `unready`: it must be seen in `/readyz`. `stops`: the
    daemon stops at once while it lasts."""

    name: str
    database: str
    disturb: Disturb
    unready: bool = False
    stops: bool = True
    full: bool = False  # only at full size


@contextmanager
def _locked_sqlite(chaos: ChaosWorld) -> Iterator[None]:
    """Another process is in the middle of a transaction."""
    other = sqlite3.connect(str(sa.make_url(chaos.database_url).database), isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        other.execute("ROLLBACK")
        other.close()


@contextmanager
def _locked_postgresql(chaos: ChaosWorld) -> Iterator[None]:
    """Another session keeps the row of the lease, as a suspended process does."""
    engine = sa.create_engine(chaos.database_url, poolclass=sa.NullPool)
    with engine.begin() as conn:
        conn.execute(sa.text("SELECT * FROM lease FOR UPDATE"))
        yield


@contextmanager
def _disk_full(chaos: ChaosWorld) -> Iterator[None]:
    """No file can be written beyond its first page."""
    hard = resource.RLIM_INFINITY
    resource.prlimit(chaos.process.pid, resource.RLIMIT_FSIZE, (4096, hard))
    try:
        yield
    finally:
        if chaos.process.running:
            resource.prlimit(chaos.process.pid, resource.RLIMIT_FSIZE, (hard, hard))


@contextmanager
def _clock(chaos: ChaosWorld, hours: float) -> Iterator[None]:
    """The daemon's own clock is set, and set right in the end."""
    chaos.clock_file.write_text(str(hours * 3600))
    try:
        yield
    finally:
        chaos.clock_file.write_text("0")


def _clock_set(hours: float) -> Disturb:
    return lambda chaos: _clock(chaos, hours)


@contextmanager
def _standby(chaos: ChaosWorld) -> Iterator[None]:
    """A switchover: the server still answers, and takes no writes."""
    name = sa.make_url(chaos.database_url).database
    engine = sa.create_engine(chaos.database_url, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
    with engine.connect() as conn:
        conn.execute(sa.text(f"ALTER DATABASE {name} SET default_transaction_read_only = on"))
        chaos.relay.cut()
        try:
            yield
        finally:
            conn.execute(sa.text("SET default_transaction_read_only = off"))
            conn.execute(sa.text(f"ALTER DATABASE {name} RESET default_transaction_read_only"))
            chaos.relay.cut()


@contextmanager
def _down(chaos: ChaosWorld) -> Iterator[None]:
    """The server is killed, and starts again in the end."""
    chaos.relay.refuse()
    try:
        yield
    finally:
        chaos.relay.resume()


@contextmanager
def _silent(chaos: ChaosWorld) -> Iterator[None]:
    """The network keeps every packet."""
    chaos.relay.fall_silent()
    try:
        yield
    finally:
        chaos.relay.resume()


@contextmanager
def _silent_side(chaos: ChaosWorld) -> Iterator[None]:
    """Dotdigital takes requests and answers nothing."""
    chaos.side_relay.fall_silent()
    try:
        yield
    finally:
        chaos.side_relay.cut()
        chaos.side_relay.resume()


@contextmanager
def _dripping_side(chaos: ChaosWorld) -> Iterator[None]:
    """Dotdigital answers a byte every fifth of a second."""
    chaos.side_relay.drip(0.2)
    try:
        yield
    finally:
        chaos.side_relay.resume()


@contextmanager
def _suspended(chaos: ChaosWorld) -> Iterator[None]:
    """The process is suspended, and goes on in the end."""
    chaos.process.signal(signal.SIGSTOP)
    try:
        yield
    finally:
        chaos.process.signal(signal.SIGCONT)


SQLITE, POSTGRESQL, BOTH = "sqlite", "postgresql", "both"
CASES = (
    Case("disk full", SQLITE, _disk_full, unready=True),
    Case("locked", SQLITE, _locked_sqlite),
    Case("clock two hours behind", SQLITE, _clock_set(-2)),
    Case("clock a year ahead", BOTH, _clock_set(24 * 365), full=True),
    Case("clock a month behind", BOTH, _clock_set(-24 * 30), full=True),
    Case("silent", POSTGRESQL, _silent, unready=True),
    Case("standby", POSTGRESQL, _standby, unready=True),
    Case("down", POSTGRESQL, _down, unready=True, full=True),
    Case("locked", POSTGRESQL, _locked_postgresql, full=True),
    Case("silent side", BOTH, _silent_side, stops=False, full=True),
    Case("dripping side", BOTH, _dripping_side, stops=False, full=True),
    Case("suspended", BOTH, _suspended, stops=False, full=True),
)
