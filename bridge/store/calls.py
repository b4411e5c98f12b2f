"""Calls to the state DB that are in progress, so that a process which has to stop need not wait for them."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from weakref import WeakKeyDictionary

import sqlalchemy as sa

BUSY_SECONDS = 30  # that SQLite waits for a lock
LOCK_SLICE = 0.5  # of them, how many in one go: its driver cannot be interrupted


class DbCalls:
    """The calls in progress of one engine. Thread-safe. `monotonic` returns seconds."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._begun: dict[object, tuple[float, Callable[[], None]]] = {}
        self.is_given_up = False  # the server was not reached while the process stops
        self.is_stopping = False  # waits for a lock or a connection end soon then

    @contextmanager
    def watch(self, end: Callable[[], None]) -> Iterator[None]:
        """A call is in progress in this context; `end`, from another thread, makes it fail."""
        call = object()
        with self._lock:
            self._begun[call] = self._monotonic(), end
        try:
            yield
        finally:
            with self._lock:
                del self._begun[call]

    def end_hanging(self, after: float) -> int:
        """Make calls fail that have been in progress for `after` seconds, and let no other wait long. Returns
        how many there were. Their transactions are rolled back."""
        self.is_stopping = True
        with self._lock:
            limit = self._monotonic() - after
            hanging = [end for begun, end in self._begun.values() if begun <= limit]
            for end in hanging:  # under the lock: a connection is not closed while this uses it
                end()
        return len(hanging)


_CALLS: WeakKeyDictionary[sa.Engine, DbCalls] = WeakKeyDictionary()


def calls_of(engine: sa.Engine) -> DbCalls:
    """The calls in progress of an engine."""
    return _CALLS.setdefault(engine, DbCalls())


def begin_immediate(connection: sa.Connection, patience: float) -> None:
    """Take SQLite's write lock, within `patience` seconds. Raises OperationalError where another process
    keeps it for longer, or where this process has to stop."""
    raw = connection.connection.driver_connection
    if not isinstance(raw, sqlite3.Connection):
        raise TypeError("this is no connection to SQLite")
    calls = calls_of(connection.engine)
    until = time.monotonic() + patience
    _wait_for_locks(raw, min(LOCK_SLICE, patience / 2))
    try:
        while not calls.is_stopping and time.monotonic() < until:
            try:
                raw.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY:
                    break
            else:
                return
        _wait_for_locks(raw, 0)
        connection.exec_driver_sql("BEGIN IMMEDIATE")  # fails in the words of the library
    finally:
        _wait_for_locks(raw, patience)


def _wait_for_locks(raw: sqlite3.Connection, seconds: float) -> None:
    raw.execute(f"PRAGMA busy_timeout = {seconds * 1000:.0f}")
