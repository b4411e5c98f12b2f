"""A new state DB without running the migrations: its schema is copied from one that was migrated once."""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from functools import cache

import pytest
import sqlalchemy as sa

from bridge.store import migrate
from bridge.store.engine import make_engine

Upgrade = Callable[[sa.Engine], None]
UPGRADE: Upgrade = migrate.upgrade_engine


@pytest.fixture(autouse=True, scope="session")
def prepared_schema() -> Iterator[None]:
    """For new SQLite files; every other DB is migrated. Tests of the migrations take `real_migrations`."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(migrate, "upgrade_engine", _upgrade)
        yield


@pytest.fixture
def real_migrations(monkeypatch: pytest.MonkeyPatch) -> None:
    """Run the migrations themselves in this test."""
    monkeypatch.setattr(migrate, "upgrade_engine", UPGRADE)


def _upgrade(engine: sa.Engine) -> None:
    if engine.dialect.name != "sqlite" or isinstance(engine.pool, sa.StaticPool):
        UPGRADE(engine)
        return
    connection = engine.raw_connection()
    try:
        target = connection.driver_connection
        assert isinstance(target, sqlite3.Connection)
        is_new = target.execute("SELECT count(*) FROM sqlite_master").fetchone() == (0,)
        if is_new:
            _schema().backup(target)
    finally:
        connection.close()
    if not is_new:
        UPGRADE(engine)


@cache
def _schema() -> sqlite3.Connection:
    """The newest schema, in memory."""
    made = sqlite3.connect(":memory:", check_same_thread=False)
    with tempfile.TemporaryDirectory() as folder:
        engine = make_engine(f"sqlite:///{folder}/bridge.db")
        UPGRADE(engine)
        engine.dispose()
        file = sqlite3.connect(f"{folder}/bridge.db")
        file.backup(made)
        file.close()
    return made
