"""State DBs in memory, for simulations: each can be put back to a moment, and outlives the `Store`s on it.

All of them share one connection and its compiled statements, so that a new one costs a copy of its pages and
no migration.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import sqlalchemy as sa

from bridge.core.clocks import Clock
from bridge.core.erasure import ErasureSettings
from bridge.store import migrate
from bridge.store.engine import UnitOfWork, make_engine
from bridge.store.store import Store

Boundary = Callable[[str], None]
"""Called with "store" before each transaction that may write. It may raise: then nothing was written."""


class MemoryDatabase:
    """One state DB in memory. Not to be used by two processes; `Store`s on it may stand for several."""

    def __init__(self) -> None:
        self._engine = make_engine("sqlite://")
        migrate.upgrade_engine(self._engine)
        self._conn = self._engine.connect()
        self._empty = self.save()

    def open(self, clock: Clock, boundary: Boundary, erasing: ErasureSettings | None = None) -> Store:
        """A store as a process that starts now would open it."""
        unit = _WatchedUnit(self._conn, clock, boundary)
        with unit.read() as conn:
            unit.observe(conn)
        return Store(unit, erasing)

    def save(self) -> sqlite3.Connection:
        """A copy of what is stored now."""
        copy = sqlite3.connect(":memory:", check_same_thread=False)
        self._raw().backup(copy)
        return copy

    def restore(self, saved: sqlite3.Connection | None = None) -> None:
        """Put it back to a copy; without one it is empty, with its schema."""
        (saved or self._empty).backup(self._raw())

    def close(self) -> None:
        """Give the memory back."""
        self._conn.close()
        self._engine.dispose()

    def _raw(self) -> sqlite3.Connection:
        raw = self._conn.connection.driver_connection
        if not isinstance(raw, sqlite3.Connection):
            raise TypeError("not an SQLite connection")
        return raw


class _WatchedUnit(UnitOfWork):
    """Units of work of a process that may be stopped before each of them. They keep one connection open,
    which saves a third of the time of small ones."""

    def __init__(self, conn: sa.Connection, clock: Clock, boundary: Boundary) -> None:
        super().__init__(conn.engine, clock)
        self._conn, self._boundary = conn, boundary

    @contextmanager
    def write(self) -> Iterator[sa.Connection]:
        self._boundary("store")
        with self._write_lock, self._conn.begin():
            self._check(self._conn)
            yield self._conn
            self._save_newest(self._conn)

    @contextmanager
    def read(self) -> Iterator[sa.Connection]:
        with self._read_lock, self._conn.begin():
            yield self._conn
