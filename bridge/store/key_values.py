"""Texts by key: the facts of this state DB, and what a side remembers between processes."""

from __future__ import annotations

import sqlalchemy as sa

from bridge.core.facts import Facts
from bridge.store import tables as t
from bridge.store.engine import UnitOfWork
from bridge.store.statements import upsert

_GET = sa.select(t.meta.c.value).where(t.meta.c.key == sa.bindparam("wanted"))
_SET = upsert(t.meta, ["key"], ["value"])


class KeyValueStore:
    """Each access is one transaction."""

    def __init__(self, unit: UnitOfWork) -> None:
        self._unit = unit

    def get(self, key: str) -> str | None:
        """The text under a key."""
        with self._unit.read() as conn:
            return _Texts(conn).get(key)

    def set(self, key: str, value: str) -> None:
        """Keep a text in place of what was kept under its key."""
        with self._unit.write() as conn:
            _Texts(conn).set(key, value)


class _Texts:
    """The same within a transaction."""

    def __init__(self, conn: sa.Connection) -> None:
        self._conn = conn

    def get(self, key: str) -> str | None:
        return self._conn.scalar(_GET, {"wanted": key})

    def set(self, key: str, value: str) -> None:
        _SET.run(self._conn, [{"key": key, "value": value}])


def facts_in(conn: sa.Connection) -> Facts:
    """The facts of the state DB, within a transaction."""
    return Facts(_Texts(conn))


def set_text(conn: sa.Connection, key: str, value: str) -> None:
    """Keep a text within a transaction."""
    _Texts(conn).set(key, value)
