"""Connections: SQLite embedded by default, PostgreSQL by URL; one transaction behaviour for both."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

import sqlalchemy as sa
from sqlalchemy.pool import StaticPool

from bridge.core.clocks import Clock, Sequence
from bridge.core.errors import ConfigError, LeaseHeld, StateDbError, StateDbReplaced
from bridge.store import tables as t
from bridge.store.calls import BUSY_SECONDS, begin_immediate
from bridge.store.db_errors import name_errors, sqlite_path
from bridge.store.statements import InsertRows

READ_ONLY = "bridge_read_only"


class Unstorable(ValueError):
    """Content that this database cannot hold."""


@contextmanager
def storable() -> Iterator[None]:
    """Raises Unstorable for what is wrong with the content, and not with the database or its connection."""
    try:
        yield
    except sa.exc.StatementError as error:
        if isinstance(error, sa.exc.DBAPIError) and not isinstance(error, sa.exc.DataError):
            raise
        raise Unstorable("the state DB cannot hold this content") from None


def make_engine(url: str, *, read_only: bool = False, patience: float | None = None) -> sa.Engine:
    """An engine for the state DB. Raises ConfigError where the URL cannot be used. `patience` is how many
    seconds a transaction waits for others to end; the DB's own measure without it.

    Statement parameters never appear in errors: they hold addresses.
    """
    parsed = _parsed(url)
    match parsed.get_backend_name():
        case "sqlite":
            engine = _sqlite(parsed, read_only=read_only, patience=patience or BUSY_SECONDS)
        case "postgresql":
            from bridge.store.connection import postgresql_engine  # its driver is slow to import

            engine = postgresql_engine(parsed, read_only=read_only, patience=patience)
        case other:
            raise ConfigError(f"The state DB cannot be kept in {other}.", hint=_HINT)
    name_errors(engine)
    return engine


def _parsed(url: str) -> sa.URL:
    try:
        return sa.make_url(url)
    except sa.exc.ArgumentError:
        raise ConfigError("The URL of the state DB cannot be read.", hint=_HINT) from None


def require_present(url: str) -> None:
    """Raises StateDbError where an SQLite file does not exist: only a run makes a state DB."""
    path = file_of(url)
    if path is not None and not path.exists():
        raise StateDbError(
            f"There is no state DB at {path}.",
            hint="The first `bridge reconcile` makes one. If it is elsewhere: --config, --database-url or "
            "BRIDGE_DATABASE_URL.",
        )


def file_of(url: str) -> Path | None:
    """The file of a state DB; None where it is none. Raises ConfigError where the URL cannot be used."""
    parsed = _parsed(url)
    return sqlite_path(parsed) if parsed.get_backend_name() == "sqlite" else None


def is_in_memory(url: str) -> bool:
    """Whether a state DB lives in this process only."""
    return _parsed(url).get_backend_name() == "sqlite" and file_of(url) is None


_HINT = "Set BRIDGE_DATABASE_URL to sqlite:///FILE or postgresql://USER@HOST/DATABASE."


def _sqlite(url: sa.URL, *, read_only: bool, patience: float) -> sa.Engine:
    options: dict[str, Any] = {"connect_args": {"timeout": patience}}
    if url.database in (None, "", ":memory:"):
        options = {"poolclass": StaticPool, "connect_args": {"check_same_thread": False}}
    elif (path := sqlite_path(url)) is not None:
        if not read_only:
            _prepare_file(path)
        elif not is_writable(path):
            url = _in_place(url, path)
    engine = sa.create_engine(url, hide_parameters=True, **options)
    sa.event.listen(engine, "connect", _on_sqlite_read_only if read_only else _on_sqlite_connect)
    sa.event.listen(engine, "begin", partial(_on_sqlite_begin, patience))
    return engine


def _prepare_file(path: Path) -> None:
    """Make the file, readable for its owner only: it holds addresses. A file that exists is not opened: to
    close it would end the locks that this process may hold on it through SQLite, and the next process to
    leave would delete the journal."""
    try:
        if path.exists():
            problem = "" if path.is_file() and os.access(path, os.R_OK | os.W_OK) else "it cannot be written"
        else:
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
            problem = ""
    except FileExistsError:  # another process made it in between
        problem = ""
    except OSError as error:
        problem = error.strerror or str(error)
    if problem:
        raise ConfigError(
            f"The state DB '{path.absolute()}' cannot be opened: {problem}.",
            hint="Create the folder, fix its permissions, or set BRIDGE_DATABASE_URL to another place.",
        )


def is_writable(path: Path) -> bool:
    """Whether this process may write a file and, for SQLite's journal, its folder."""
    return os.access(path, os.W_OK) and os.access(path.parent, os.W_OK)


def _in_place(url: sa.URL, path: Path) -> sa.URL:
    """A file on a medium that cannot be written: nobody changes it, and SQLite must not look for a journal.
    Raises StateDbError where the journal holds changes, without which the file tells less than is true."""
    journal = path.with_name(f"{path.name}-wal")
    if journal.exists() and journal.stat().st_size:
        raise StateDbError(
            f"The state DB {path} is read-only, and {journal.name} beside it holds more changes.",
            hint="Copy both files to a folder that can be written, and name the copy by BRIDGE_DATABASE_URL.",
        )
    return url.set(database=f"file:{quote(str(path))}", query={"mode": "ro", "immutable": "1", "uri": "true"})


def _on_sqlite_connect(connection: sqlite3.Connection, _: object) -> None:
    connection.isolation_level = None  # the driver's own late BEGIN loses updates; see _on_sqlite_begin
    for pragma in ("journal_mode = wal", "synchronous = full", "foreign_keys = on", "secure_delete = on"):
        connection.execute(f"PRAGMA {pragma}")


def _on_sqlite_read_only(connection: sqlite3.Connection, _: object) -> None:
    connection.isolation_level = None
    connection.execute("PRAGMA query_only = on")


def _on_sqlite_begin(patience: float, connection: sa.Connection) -> None:
    """A transaction that may write takes the write lock at once: what it read cannot change before it
    writes."""
    if connection.get_execution_options().get(READ_ONLY):
        connection.exec_driver_sql("BEGIN")
    else:
        begin_immediate(connection, patience)


_NEWEST = sa.select(t.clock.c.newest)
_SAVE_NEWEST = InsertRows.build(
    lambda insert: insert.on_conflict_do_update(
        index_elements=["id"],
        set_={"newest": insert.excluded.newest},
        where=t.clock.c.newest < insert.excluded.newest,
    ),
    t.clock,
)
_FENCE = sa.select(t.lease.c.fence).where(t.lease.c.name == sa.bindparam("named"))
_WRITE_NOTHING = sa.update(t.lease).where(sa.false()).values(owner=t.lease.c.owner)
_HELD_FENCE = _FENCE.with_for_update(read=True)  # nobody takes the lease before this transaction ends


class UnitOfWork:
    """Units of work: each is one transaction, rolled back whole when anything in it fails."""

    def __init__(
        self, engine: sa.Engine, clock: Clock, *, read_only: bool = False, server_clock: bool = False
    ) -> None:
        self.engine = engine
        self.server_clock = server_clock
        self.wall = clock
        self.clock = Sequence(clock)  # dates everything that is stored
        self._saved: datetime | None = None
        self.read_only = read_only
        self.fence: tuple[str, int] | None = None  # the lease under which this process writes
        self._path = sqlite_path(engine.url) if engine.dialect.name == "sqlite" else None
        self._file = None if self._path is None else _identity(self._path)
        embedded = engine.dialect.name == "sqlite"
        alone = isinstance(engine.pool, StaticPool)  # in memory: one connection for all threads
        lock = threading.Lock() if embedded else None
        self._write_lock: AbstractContextManager[Any] = lock or nullcontext()
        self._read_lock: AbstractContextManager[Any] = lock if lock and alone else nullcontext()

    @contextmanager
    def write(self) -> Iterator[sa.Connection]:
        """A transaction that may write. Raises LeaseHeld where this process had the lease and lost it."""
        self.require_file()
        with self._write_lock, self.engine.begin() as conn:
            self._check(conn)
            yield conn
            self._save_newest(conn)

    def require_file(self) -> None:
        """Raises StateDbReplaced where the file that was opened is no longer the one at its path: what is
        written to it would be gone with this process."""
        if self._file is None or self._path is None or _identity(self._path) == self._file:
            return
        what = "is another file than was opened" if self._path.exists() else "is gone"
        raise StateDbReplaced(
            f"The state DB {self._path} {what}.",
            hint="Put the file back, or restore a backup (`bridge db restore FILE`), then start again.",
        )

    def _check(self, conn: sa.Connection) -> None:
        if self.fence is not None:
            _check_fence(conn.scalar(_HELD_FENCE, {"named": self.fence[0]}), self.fence[1])

    def observe(self, conn: sa.Connection) -> None:
        """Give no time any more before the newest that any process has stored."""
        newest = conn.scalar(_NEWEST)
        if newest is not None:
            self.clock.observe(newest)

    def require_fence(self) -> None:
        """Raises LeaseHeld where this process had the lease and lost it."""
        if self.fence is not None:
            with self.read() as conn:
                _check_fence(conn.scalar(_FENCE, {"named": self.fence[0]}), self.fence[1])

    def require_writable(self) -> None:
        """Raises StateDbError where a PostgreSQL server takes no writes, or the file of SQLite is another
        one. SQLite itself is not asked: it would wait for the transaction of a run."""
        self.require_file()
        if self.engine.dialect.name == "postgresql":
            with self.engine.begin() as conn:
                conn.execute(_WRITE_NOTHING)

    def _save_newest(self, conn: sa.Connection) -> None:
        newest = self.clock.newest
        if newest is None or newest == self._saved:
            return
        _SAVE_NEWEST.run(conn, [{"id": 1, "newest": newest}])
        self._saved = newest

    @contextmanager
    def read(self) -> Iterator[sa.Connection]:
        """A transaction that sees one state throughout and writes nothing."""
        with self._read_lock, self.engine.connect() as plain:
            conn = plain.execution_options(**{READ_ONLY: True})
            if conn.dialect.name == "postgresql":
                conn = conn.execution_options(isolation_level="REPEATABLE READ")
            with conn.begin():
                yield conn

    def clean(self) -> None:
        """Remove deleted rows from SQLite's journal too, as far as nobody reads it at this moment; the last
        connection to close removes the rest. PostgreSQL does this by itself, in time."""
        if self.engine.dialect.name == "sqlite":
            with self._write_lock, self.engine.connect() as conn:
                raw = conn.connection.driver_connection
                if raw is not None:
                    raw.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()


def _identity(path: Path) -> tuple[int, int] | None:
    """What tells a file from another one at the same path; None where there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _check_fence(stored: int | None, mine: int) -> None:
    if stored != mine:
        raise LeaseHeld(
            "Another process took over the right to write to this state DB; this one stops.",
            hint="Run one `bridge run` or `bridge reconcile` at a time.",
        )
