"""What a failure of the state DB means. Each kind that an operator can do something about has its own
message, with the way out; programming errors stay what they are."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from bridge.core.errors import StateDbBusy, StateDbError

_GO_ON = "Nothing is lost: the next run continues."

# SQLite's primary result codes (sqlite.org/rescode.html), each with what it means and what to do.
_SQLITE: Mapping[int, tuple[str, str]] = {
    sqlite3.SQLITE_FULL: ("the disk is full", f"Free space on that disk. {_GO_ON}"),
    sqlite3.SQLITE_READONLY: (
        "it is read-only",
        "Make the file and its folder writable for this user, or name another one by BRIDGE_DATABASE_URL.",
    ),
    sqlite3.SQLITE_CANTOPEN: (
        "the file cannot be read or made",
        "Check that the folder exists and that this user may read and write it, or set BRIDGE_DATABASE_URL.",
    ),
    sqlite3.SQLITE_PERM: ("permission is denied", "Give this user the right to read and write it."),
    sqlite3.SQLITE_NOTADB: (
        "it is not an SQLite database",
        "Name the right file by BRIDGE_DATABASE_URL, or restore a backup of the state DB.",
    ),
    sqlite3.SQLITE_CORRUPT: ("it is damaged", "Restore a backup of the state DB."),
    sqlite3.SQLITE_IOERR: (
        "the disk failed to read or write it",
        f"Check the disk and its free space. {_GO_ON}",
    ),
}
_OPENING = {sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_PERM}
_BUSY = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
_WAIT = "Wait until it is done, and try again."

# PostgreSQL's error codes (its manual, appendix A): the class, or the whole code.
_POSTGRESQL: Mapping[str, tuple[str, str]] = {
    "53100": ("its disk is full", f"Free space on the disk of the server. {_GO_ON}"),
    "53300": ("it takes no more connections", "Raise max_connections, or end other clients."),
    "25006": (
        "it is read-only, as a standby is",
        "Name the primary server by BRIDGE_DATABASE_URL, or all servers: the bridge finds the primary one.",
    ),
    "25P": ("the server ended a transaction that was idle for long", _GO_ON),
    "42501": ("this user lacks a right there", "Grant it the rights on the schema of the state DB."),
    "28": (
        "it refuses the sign-in",
        "Check user and password in BRIDGE_DATABASE_URL; special characters in them are written as %XX.",
    ),
    "3D000": ("this database does not exist there", "Create it, or correct BRIDGE_DATABASE_URL."),
    "57": ("the server is shutting down or starting", "Wait until it runs again."),
    "08": ("the connection was lost", f"Check that the server runs. {_GO_ON}"),
}


# A lock was not had in time, a statement took too long, or two transactions were in each other's way.
_LOCKED = frozenset({"55P03", "57014", "40001", "40P01"})
_STANDBY = ("session is read-only", "server is in hot standby mode")  # libpq's words: there is no code
_LOST = ("08", "57P", "25P03", "25P04", "25006")  # the connection, or the server's being the primary one


def is_lost(error: BaseException | None, *, read_only: bool) -> bool:
    """Whether all connections of a pool have to be given up: the server ended this one, or it is no longer
    the one that takes writes."""
    state = getattr(error, "sqlstate", None) or ""
    return state.startswith(_LOST) and not (read_only and state == "25006")


def name_errors(engine: sa.Engine) -> None:
    """From now on, failures of this engine are raised as `StateDbError` but for programming errors."""
    url = engine.url

    def name(context: sa.engine.ExceptionContext) -> None:
        found = explained(context.original_exception, url)
        if found is not None and not context.is_pre_ping:  # the pool replaces a connection that is gone
            raise found from None

    sa.event.listen(engine, "handle_error", name)


def explained(error: BaseException, url: sa.URL) -> StateDbError | None:
    """What an error of the driver means; None where it is none that an operator can do something about."""
    if isinstance(error, sqlite3.Error):
        return _of_sqlite(error, url)
    return _of_postgresql(error, url)


def _of_sqlite(error: sqlite3.Error, url: sa.URL) -> StateDbError | None:
    code = getattr(error, "sqlite_errorcode", None)
    if code is None:
        return None
    primary = code & 0xFF
    if primary in _BUSY:
        return StateDbBusy(
            f"The state DB {place(url)} is locked by another process that writes to it.", hint=_WAIT
        )
    if primary not in _SQLITE:
        return None
    what, hint = _SQLITE[primary]
    done = "opened" if primary in _OPENING else "used"
    return StateDbError(f"The state DB {place(url)} cannot be {done}: {what}.", hint=hint)


def _of_postgresql(error: Any, url: sa.URL) -> StateDbError | None:
    if type(error).__module__.partition(".")[0] != "psycopg" or type(error).__name__ == "ProgrammingError":
        return None
    state = getattr(error, "sqlstate", None)
    if state is None:
        if not any(kind.__name__ == "OperationalError" for kind in type(error).__mro__):
            return None
        why = str(error).strip().partition("\n")[0] or "no reason given"
        if any(words in why for words in _STANDBY):
            what, hint = _POSTGRESQL["25006"]
            return StateDbError(f"The state DB {place(url)} cannot be used: {what}.", hint=hint)
        return StateDbError(
            f"The state DB {place(url)} cannot be opened: {why}.",
            hint="Check BRIDGE_DATABASE_URL, and that its server runs and lets this user in.",
        )
    if state in _LOCKED:
        return StateDbBusy(f"The state DB {place(url)} is locked by another process.", hint=_WAIT)
    known = _POSTGRESQL.get(state) or _POSTGRESQL.get(state[:3]) or _POSTGRESQL.get(state[:2])
    if known is None:
        return None
    return StateDbError(f"The state DB {place(url)} cannot be used: {known[0]}.", hint=known[1])


def place(url: sa.URL) -> str:
    """Where a state DB is: the absolute path of a file, or server and name; never a password."""
    if url.get_backend_name() == "sqlite":
        path = sqlite_path(url)
        return "in memory" if path is None else str(path)
    return f"{url.database or ''} at {url.host or 'localhost'}"


def sqlite_path(url: sa.URL) -> Path | None:
    """The absolute path of an SQLite file; None for a DB in memory and for a URI."""
    name = url.database
    if name in (None, "", ":memory:") or str(name).startswith("file:"):
        return None
    return Path(str(name)).absolute()
