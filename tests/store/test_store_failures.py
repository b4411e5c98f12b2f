"""A state DB that fails: the message names the file, the cause and the way out. Reading goes on."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pytest
import sqlalchemy as sa

from bridge.core.errors import StateDbBusy, StateDbError
from bridge.store import Store
from bridge.store import engine as engines
from bridge.store.db_errors import explained

Clock = Callable[[], datetime]


def url_in(folder: Path) -> str:
    return f"sqlite:///{folder / 'bridge.db'}"


def test_a_full_disk_is_named(tmp_path: Path, clock: Clock) -> None:
    with Store.open(url_in(tmp_path), clock) as store:
        with store._unit.engine.connect() as conn:
            pages = conn.exec_driver_sql("PRAGMA page_count").scalar_one()
            conn.exec_driver_sql(f"PRAGMA max_page_count = {pages}")
        with pytest.raises(StateDbError, match="cannot be used: the disk is full") as error:
            store.key_values.set("key", "value " * 100_000)
    assert error.value.hint.startswith("Free space")
    assert error.value.exit_code == 2
    assert str(tmp_path) in str(error.value)


def test_a_file_that_another_process_keeps_locked_is_exit_code_6(tmp_path: Path, clock: Clock) -> None:
    Store.open(url_in(tmp_path), clock).close()
    made = engines.make_engine(url_in(tmp_path), patience=0.01)
    other = sqlite3.connect(tmp_path / "bridge.db", isolation_level=None)
    try:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StateDbBusy, match="locked by another process") as error, made.begin():
            pass
        assert error.value.exit_code == 6
    finally:
        other.close()
        made.dispose()


@pytest.fixture
def read_only(tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A state DB on a medium that cannot be written."""
    with Store.open(url_in(tmp_path), clock) as store:
        store.key_values.set("key", "value")
    monkeypatch.setattr(engines.os, "access", lambda _, mode: mode != os.W_OK)
    return tmp_path


def test_a_read_only_medium_can_be_read(read_only: Path, clock: Clock) -> None:
    before = sorted(path.name for path in read_only.iterdir())
    with Store.reader(url_in(read_only), clock) as reader:
        assert reader.key_values.get("key") == "value"
        assert sorted(path.name for path in read_only.iterdir()) == before
        with pytest.raises(StateDbError, match="read-only"):
            reader.key_values.set("key", "other")


def test_a_read_only_file_whose_journal_holds_more_is_not_taken_for_the_whole(
    read_only: Path, clock: Clock
) -> None:
    (read_only / "bridge.db-wal").write_bytes(b"changes")
    with pytest.raises(StateDbError, match=r"bridge\.db-wal beside it holds more"):
        Store.reader(url_in(read_only), clock)


class Failed(Exception):
    """An error of PostgreSQL's driver."""

    def __init__(self, sqlstate: str | None) -> None:
        super().__init__("password=hunter2 for maria@example.com")
        self.sqlstate = sqlstate


@pytest.mark.parametrize(
    ("sqlstate", "said"),
    [
        ("53100", "its disk is full"), ("25006", "read-only"), ("42501", "lacks a right"),
        ("57P01", "shutting down"), ("08006", "connection was lost"), ("3D000", "does not exist"),
    ],
)  # fmt: skip
def test_what_postgresql_says_is_named_and_never_repeated(sqlstate: str, said: str) -> None:
    Failed.__module__ = "psycopg.errors"
    url = sa.make_url("postgresql://bridge:hunter2@db.example.com/consent")
    found = explained(Failed(sqlstate), url)
    assert found is not None
    assert said in str(found)
    assert "consent at db.example.com" in str(found)
    assert "hunter2" not in str(found)
    assert "maria" not in str(found)


def test_errors_of_the_program_stay_what_they_are() -> None:
    url = sa.make_url("sqlite:////tmp/bridge.db")
    with sqlite3.connect(":memory:") as conn, pytest.raises(sqlite3.Error) as caught:
        conn.execute("SELECT nothing FROM nowhere")
    assert explained(caught.value, url) is None
    assert explained(ValueError("x"), url) is None
