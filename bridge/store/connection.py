"""Connections to PostgreSQL: how they are opened, what bounds them, and when they are given up.

Nothing is set for a session, and no statement is prepared at the server: a pooler in transaction mode gives
each transaction to another server connection. What bounds a transaction is set within it.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping, Sequence
from typing import Any

import psycopg
import sqlalchemy as sa

from bridge.core.errors import ConfigError, StateDbError
from bridge.store.calls import DbCalls, calls_of
from bridge.store.db_errors import is_lost

LOCK_SECONDS = 30.0  # that a statement waits for the lock of another transaction
STATEMENT_SECONDS = 600.0
IDLE_SECONDS = 60.0  # a suspended process loses its transaction before its lease, so that it blocks nobody
CONNECT_SECONDS = 5
STOPPING_SECONDS = 2  # to connect while the process stops; the library takes no less
PREPARE = "prepare_threshold"  # of a URL: from which use on a statement is prepared at the server

_NETWORK: Mapping[str, object] = {  # a peer that fell silent is noticed within half a minute
    "connect_timeout": CONNECT_SECONDS,
    "keepalives": 1,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 20_000,
}
_BOUNDS = sa.text(
    "SELECT set_config('lock_timeout', :lock, true), set_config('statement_timeout', :statement, true), "
    "set_config('idle_in_transaction_session_timeout', :idle, true)"
)


class _WatchedConnection(psycopg.Connection[Any]):
    """A connection whose calls can be ended from another thread."""

    calls = DbCalls()

    def wait(self, *args: Any, **more: Any) -> Any:
        with self.calls.watch(self._end):
            return super().wait(*args, **more)

    def _end(self) -> None:
        """Shut the socket down: the call fails as if the server had gone."""
        with socket.socket(fileno=os.dup(self.pgconn.socket)) as copy:
            try:
                copy.shutdown(socket.SHUT_RDWR)
            except OSError:  # it is down already
                return


def postgresql_engine(url: sa.URL, *, read_only: bool, patience: float | None) -> sa.Engine:
    """An engine for PostgreSQL. `patience`: seconds that one transaction may take; it then has one connection
    only. Raises ConfigError for an option of the URL that cannot be used."""
    _require_plain_host(url)
    prepare, url = _prepare_threshold(url)
    connecting = {
        PREPARE: prepare,
        **{name: value for name, value in _NETWORK.items() if name not in url.query},
    }
    if not read_only and "target_session_attrs" not in url.query:
        connecting["target_session_attrs"] = "read-write"  # of several hosts, the one that is no standby
    pool: dict[str, Any] = {"pool_size": 8, "max_overflow": 24}
    if patience is not None:
        pool = {"pool_size": 1, "max_overflow": 0}
        connecting["connect_timeout"] = 2  # whole seconds, 2 or more
    engine = sa.create_engine(
        url,
        hide_parameters=True,
        pool_pre_ping=True,
        isolation_level="READ COMMITTED",
        connect_args=connecting,
        **pool,
    )
    _listen(engine, read_only=read_only, patience=patience)
    return engine


def _require_plain_host(url: sa.URL) -> None:
    if "@" in (url.host or ""):  # the rest of a password: neither is shown
        raise ConfigError(
            "The password in BRIDGE_DATABASE_URL contains an @ that is not written as %40.",
            hint="Write special characters of user and password as %XX: @ is %40, / is %2F, : is %3A.",
        )


def _prepare_threshold(url: sa.URL) -> tuple[int | None, sa.URL]:
    given = url.query.get(PREPARE, "none")
    if isinstance(given, str) and (given.isdecimal() or given.lower() == "none"):
        return (int(given) if given.isdecimal() else None), url.difference_update_query([PREPARE])
    raise ConfigError(
        f"The option {PREPARE} of BRIDGE_DATABASE_URL is neither a whole number nor none.",
        hint="Leave it out: without it no statement is prepared, which suits every pooler.",
    )


def _listen(engine: sa.Engine, *, read_only: bool, patience: float | None) -> None:
    calls = calls_of(engine)
    bounds = _bounds(patience)

    def connect(
        _dialect: Any, _record: Any, args: Sequence[Any], options: dict[str, Any]
    ) -> _WatchedConnection:
        made = _WatchedConnection.connect(*args, **options) if not calls.is_stopping else last(args, options)
        made.calls = calls
        _require_utf8(made)
        if read_only:
            made.read_only = True
        return made

    def last(args: Sequence[Any], options: dict[str, Any]) -> _WatchedConnection:
        """While the process stops, a server that was not reached once is not tried again."""
        if calls.is_given_up:
            raise psycopg.OperationalError("the server was not reached before")
        calls.is_given_up = True
        made = _WatchedConnection.connect(*args, **options | {"connect_timeout": STOPPING_SECONDS})
        calls.is_given_up = False
        return made

    def begin(connection: sa.Connection) -> None:
        connection.execute(_BOUNDS, bounds)

    def handle_error(context: sa.ExceptionContext) -> None:
        if is_lost(context.original_exception, read_only=read_only):
            context.is_disconnect = True  # every connection of the pool is given up

    sa.event.listen(engine, "do_connect", connect)
    sa.event.listen(engine, "begin", begin)
    sa.event.listen(engine, "handle_error", handle_error)


def _require_utf8(connection: psycopg.Connection[Any]) -> None:
    """Raises StateDbError for a database that cannot hold every address."""
    encoding = connection.info.parameter_status("server_encoding")
    if encoding not in (None, "UTF8"):  # a pooler may not pass it on
        connection.close()
        raise StateDbError(
            f"The database is encoded in {encoding}; the state DB needs UTF8.",
            hint="Create it again: CREATE DATABASE name ENCODING 'UTF8' TEMPLATE template0.",
        )


def _bounds(patience: float | None) -> dict[str, str]:
    seconds = {"lock": LOCK_SECONDS, "statement": STATEMENT_SECONDS, "idle": IDLE_SECONDS}
    if patience is not None:
        seconds |= {"lock": patience, "statement": patience}
    return {name: f"{value * 1000:.0f}ms" for name, value in seconds.items()}
