"""Compiled SQL that all state DBs of a test process share.

SQLAlchemy keeps compiled statements for each engine and each dialect object. The bridge has one engine for
days; tests open thousands, and would compile the same statements for each.
"""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite

COMPILED: dict[Any, Any] = {}


@pytest.fixture(autouse=True, scope="session")
def shared_statements() -> None:
    """For SQLite; its dialect objects are all made alike."""
    SQLiteDialect_pysqlite.__eq__ = lambda one, other: type(one) is type(other)  # type: ignore[assignment]
    SQLiteDialect_pysqlite.__hash__ = lambda one: hash(type(one))  # type: ignore[assignment]
    sa.event.listen(sa.Engine, "engine_connect", _share)


def _share(conn: sa.Connection) -> None:
    if conn.dialect.name == "sqlite":
        conn.execution_options(compiled_cache=COMPILED)
