"""The schema: made by migrations, equal to the tables in code, with constraints against impossible rows."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from bridge.core.errors import ConfigError, SchemaOutOfDate, StateDbError
from bridge.store import Store, migrate
from bridge.store import tables as t
from bridge.store.engine import make_engine
from tests.forked import ForkedProcess, run_code
from tests.prepared import real_migrations
from tests.store.helpers import ANN, IN, THEIRS, Clock, begun, news

__all__ = ["real_migrations"]

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.usefixtures("real_migrations")


@pytest.fixture
def engine(url: str) -> Iterator[sa.Engine]:
    made = make_engine(url)
    yield made
    made.dispose()


# migrations


def test_migrations_lead_from_nothing_to_the_tables_in_code(url: str, engine: sa.Engine) -> None:
    assert migrate.check(url) == migrate.SchemaState(None, migrate.HEAD)
    assert migrate.upgrade(url).up_to_date
    with engine.connect() as conn:
        context = MigrationContext.configure(conn, opts={"compare_type": True})
        assert compare_metadata(context, t.metadata) == []


def test_constraints_of_migrations_are_those_in_code(url: str, engine: sa.Engine) -> None:
    """Autogenerate does not compare checks and conditions of indexes: this does."""
    migrate.upgrade(url)
    migrated = _conditions(engine)
    with engine.begin() as conn:
        conn.exec_driver_sql("DROP TABLE alembic_version")
        t.metadata.drop_all(conn)
    with engine.begin() as conn:
        t.metadata.create_all(conn)
    assert _conditions(engine) == migrated


def _conditions(engine: sa.Engine) -> set[tuple[str, ...]]:
    inspector = sa.inspect(engine)
    found: set[tuple[str, ...]] = set()
    for table in t.metadata.sorted_tables:
        for check in inspector.get_check_constraints(table.name):
            found.add((table.name, str(check["name"]), "".join(check["sqltext"].split())))
        for index in inspector.get_indexes(table.name):
            options = {key: str(value) for key, value in index.get("dialect_options", {}).items()}
            found.add((table.name, str(index["name"]), str(sorted(options.items()))))
        for foreign in inspector.get_foreign_keys(table.name):
            found.add((table.name, str(foreign["name"]), str(foreign["options"])))
    if engine.dialect.name == "sqlite":
        with engine.begin() as conn:
            rows = conn.exec_driver_sql("SELECT name, sql FROM sqlite_master WHERE type = 'table'")
            found |= {(name, "never reused") for name, sql in rows if "AUTOINCREMENT" in sql}
    return found


def test_upgrading_twice_changes_nothing(url: str) -> None:
    migrate.upgrade(url)
    assert migrate.upgrade(url).up_to_date


def test_the_program_knows_every_revision() -> None:
    config = Config()
    config.set_main_option("script_location", str(migrate.scripts()))
    revisions = [script.revision for script in ScriptDirectory.from_config(config).walk_revisions()]
    assert tuple(reversed(revisions)) == migrate.REVISIONS


def test_migrations_are_found_inside_an_installed_package(tmp_path: Path) -> None:
    (tmp_path / "_migrations").mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("bridge.store.migrate.resources.files", lambda _: tmp_path)
        assert migrate.scripts() == tmp_path / "_migrations"
    assert (migrate.scripts() / "env.py").is_file()


def test_several_processes_may_upgrade_at_once(url: str) -> None:
    code = f"from bridge.store import migrate; assert migrate.upgrade({url!r}).up_to_date"

    processes = [ForkedProcess(run_code, [code], environ=os.environ) for _ in range(3)]
    assert [process.ended() for process in processes] == [0, 0, 0]


def test_looking_needs_no_alembic(tmp_path: Path) -> None:
    """Alembic is slow to import; commands that only look must not wait for it."""
    url = f"sqlite:///{tmp_path / 'bridge.db'}"
    migrate.upgrade(url)
    code = (
        "import sys; from datetime import UTC, datetime; from bridge.store import Store; "
        f"Store.open({url!r}, lambda: datetime.now(UTC)).close(); sys.exit('alembic' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


# opening


def test_sqlite_makes_its_own_schema_and_postgresql_waits(url: str, engine: sa.Engine, clock: Clock) -> None:
    if engine.dialect.name == "sqlite":
        with Store.open(url, clock) as store:
            assert store.people.count() == 0
    else:
        with pytest.raises(SchemaOutOfDate, match="bridge db upgrade"):
            Store.open(url, clock)


def test_without_leave_to_upgrade_an_old_schema_is_refused(url: str, clock: Clock) -> None:
    with pytest.raises(SchemaOutOfDate, match=r"no schema yet.*bridge db upgrade"):
        Store.open(url, clock, upgrade=False)


def test_a_schema_newer_than_the_program_is_refused(url: str, engine: sa.Engine, clock: Clock) -> None:
    migrate.upgrade(url)
    with engine.begin() as conn:
        conn.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    for upgrade in (True, False, None):
        with pytest.raises(SchemaOutOfDate, match="newer than this program"):
            Store.open(url, clock, upgrade=upgrade)
    with pytest.raises(SchemaOutOfDate):
        migrate.upgrade(url)


def test_a_reader_reads_and_the_db_refuses_it_to_write(state_url: str, store: Store, clock: Clock) -> None:
    run = begun(store)
    store.observations.record([news(ANN, IN)], THEIRS, run=run)
    with Store.reader(state_url, clock) as reader:
        assert reader.people.count() == 1
        with pytest.raises(StateDbError, match="read-only"):
            reader.observations.record([news(ANN, IN, 1)], THEIRS, run=run)
        with pytest.raises(StateDbError, match="read-only"):
            reader.key_values.set("key", "value")
    assert store.key_values.get("key") is None


def test_a_reader_makes_nothing_where_there_is_no_state_db(tmp_path: Path, clock: Clock) -> None:
    with pytest.raises(StateDbError, match=f"no state DB at {tmp_path}/bridge.db"):
        Store.reader(f"sqlite:///{tmp_path / 'bridge.db'}", clock)
    assert list(tmp_path.iterdir()) == []


def test_the_file_is_for_its_owner_only(tmp_path: Path, clock: Clock) -> None:
    with Store.open(f"sqlite:///{tmp_path / 'bridge.db'}", clock) as store:
        begun(store)
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    assert set(modes.values()) == {0o600}
    assert "bridge.db" in modes


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("sqlite:////nowhere/at/all/bridge.db", "No such file or directory"),
        ("mysql://host/db", "cannot be kept in mysql"),
        ("bridge.db", "cannot be read"),
        ("postgresql://bridge:hunter2@127.0.0.1:1/db", "cannot be opened"),
    ],
)
def test_a_state_db_that_cannot_be_opened_is_reported(url: str, said: str, clock: Clock) -> None:
    with pytest.raises(ConfigError, match=said) as caught:
        Store.open(url, clock)
    assert "hunter2" not in str(caught.value)


def test_a_file_that_is_no_database_is_reported(tmp_path: Path, clock: Clock) -> None:
    (tmp_path / "bridge.db").write_text("not a database, but long enough to be taken for one" * 20)
    with pytest.raises(ConfigError, match="cannot be opened"):
        Store.open(f"sqlite:///{tmp_path / 'bridge.db'}", clock)


def test_errors_show_no_address(store: Store) -> None:
    with pytest.raises(sa.exc.IntegrityError) as caught:
        store.observations.record([news(ANN, IN), news("", IN)], THEIRS, run=begun(store))
    assert ANN not in str(caught.value)


# impossible rows

SEEN = {
    "choice": "opted_in",
    "frequencies": "[]",
    "present": True,
    "stated": True,
    "shallow": False,
    "uniform": True,
    "records": 1,
    "read_at": 1,
}
AGREED = {
    "agreed_choice": "unset",
    "agreed_at": 1,
    "agreed_rule": "r",
    "agreed_decided_at": 1,
    "agreed_frequencies": "[]",
}
CELL = {"person_id": 1, "topic": "t", "dirty": False}
ATTEMPT = {"run": "r1", "person_id": 1, "side": "dotdigital", "body": "{}", "state": "begun", "begun_at": 1}
HOLD = {"person_id": 1, "topic": "t", "reason": "r", "why": "w", "ground": "g", "state": "open",
        "proposed": "[]", "opened_at": 1}  # fmt: skip
INBOX = {"side": "dotdigital", "what": "w", "error": "e", "tries": 1, "kept_at": 1}
FORMER = {"side": "dotdigital", "external_id": "1", "person_id": 1, "until": 1, "left_at": 2}
RUN = {"number": 2, "id": "r2", "kind": "full", "started_at": 1, "state": "running"}
LEDGER = {"seq": 1, "at": 1, "kind": "k", "body": "{}", "prev_hash": "0" * 64, "hash": "1" * 64}


def seen_at(side: str, **changes: Any) -> dict[str, Any]:
    return CELL | {f"{side}_{name}": value for name, value in (SEEN | changes).items()}


POSSIBLE = [
    ("cells", CELL),
    ("cells", seen_at("dotdigital")),
    ("cells", seen_at("mypreferences", choice="unset", present=False, records=0)),
    ("cells", seen_at("dotdigital", block="complaint", reason="IspComplained", changed_at=-5)),
    ("cells", CELL | AGREED),
    ("cells", CELL | AGREED | {"agreed_dotdigital_version": "v"}),
    ("attempts", ATTEMPT),
    ("attempts", ATTEMPT | {"state": "dead", "ended_at": 2}),
    ("holds", HOLD),
    ("holds", HOLD | {"state": "released", "answered_at": 2}),
    ("inbox", INBOX | {"person_id": 1}),
    ("inbox", INBOX | {"hint_id": "1", "hint_person_id": 1}),
    ("runs", RUN),
    ("ledger", LEDGER),
    ("bindings", {"side": "dotdigital", "external_id": "1", "person_id": 1}),
    ("watermarks", {"feed": "f", "at": 1, "run": "r1", "updated_at": 1}),
    ("former_bindings", FORMER),
]
IMPOSSIBLE = [
    ("people", {"address": "A", "address_key": "a", "created_at": 1}),  # the same address twice
    ("people", {"address": "", "address_key": "", "created_at": 1}),
    ("people", {"address": "b", "address_key": "b", "created_at": 1, "dotdigital_present": True}),
    ("people", {"address": "b", "address_key": "b", "created_at": 1, "mypreferences_read_at": 1}),
    ("bindings", {"side": "elsewhere", "external_id": "1", "person_id": 1}),
    ("bindings", {"side": "dotdigital", "external_id": "", "person_id": 1}),
    ("bindings", {"side": "dotdigital", "external_id": "1", "person_id": 2}),
    ("former_bindings", FORMER | {"side": "elsewhere"}),
    ("former_bindings", FORMER | {"external_id": ""}),
    ("former_bindings", FORMER | {"person_id": 2}),
    ("successions", {"side": "dotdigital", "former_id": 1, "heir_id": 1, "since": 1}),
    ("cells", CELL | {"person_id": 2}),  # of nobody
    ("cells", CELL | {"topic": ""}),
    ("cells", CELL | {"dirty": None}),
    *(("cells", seen_at(side, choice="perhaps")) for side in ("mypreferences", "dotdigital")),
    *(("cells", seen_at("dotdigital", **{name: None})) for name in SEEN),
    ("cells", seen_at("dotdigital", block="mood")),
    ("cells", seen_at("dotdigital", records=-1)),
    ("cells", seen_at("dotdigital", present=False)),  # nobody there, and opted in
    ("cells", CELL | {"dotdigital_block": "complaint"}),  # blocked, and never seen
    ("cells", CELL | {"dotdigital_changed_at": 1}),
    *(("cells", CELL | AGREED | {name: None}) for name in AGREED),
    ("cells", CELL | AGREED | {"agreed_choice": "perhaps"}),
    ("cells", CELL | {"agreed_dotdigital_version": "v"}),  # a version of no agreement
    ("attempts", ATTEMPT | {"run": "unknown"}),
    ("attempts", ATTEMPT | {"side": "elsewhere"}),
    ("attempts", ATTEMPT | {"state": "lost", "ended_at": 1}),
    ("attempts", ATTEMPT | {"ended_at": 1}),  # begun, and ended
    ("attempts", ATTEMPT | {"state": "done"}),  # done, and not ended
    ("attempt_topics", {"attempt_id": 9, "topic": "t", "settled": False}),
    ("holds", HOLD | {"state": "closed"}),
    ("holds", HOLD | {"answered_at": 1}),  # open, and answered
    ("holds", HOLD | {"state": "dismissed"}),  # dismissed, and never answered
    ("inbox", INBOX),  # nobody to read
    ("inbox", INBOX | {"person_id": 1, "hint_id": "1"}),
    ("inbox", INBOX | {"person_id": 1, "tries": 0}),
    ("inbox", INBOX | {"person_id": 1, "side": "elsewhere"}),
    ("runs", RUN | {"id": "r1"}),
    ("runs", RUN | {"number": 1}),
    ("runs", RUN | {"state": "perhaps", "ended_at": 1}),
    ("runs", RUN | {"ended_at": 1}),  # running, and ended
    ("runs", RUN | {"state": "done"}),
    ("watermarks", {"feed": "f", "at": 1, "run": "unknown", "updated_at": 1}),
    ("ledger", LEDGER | {"seq": 0}),
    ("ledger", LEDGER | {"hash": "short"}),
    ("ledger_head", {"id": 2, "seq": 0, "hash": "0" * 64}),  # a second head
    ("lease", {"name": "n", "owner": "o", "until": 1, "fence": 0}),
]


@pytest.fixture
def populated(store: Store) -> sa.Engine:
    """One person and one run."""
    engine = store._unit.engine
    insert(engine, "people", {"address": "a", "address_key": "a", "created_at": 1})
    insert(engine, "runs", RUN | {"number": 1, "id": "r1"})
    return engine


def insert(engine: sa.Engine, table: str, row: dict[str, Any]) -> None:
    """Behind the program's back: raw values, by the table's own columns."""
    raw = sa.table(table, *(sa.column(name) for name in row))
    with engine.begin() as conn:
        conn.execute(sa.insert(raw).values(row))


def test_possible_rows_are_taken(populated: sa.Engine) -> None:
    for table, row in POSSIBLE:
        insert(populated, table, row)
        with populated.begin() as conn:
            if table != "ledger":
                conn.exec_driver_sql(
                    f"DELETE FROM {table}"  # noqa: S608
                    + (" WHERE number > 1" if table == "runs" else "")
                )


def test_impossible_rows_are_refused(populated: sa.Engine) -> None:
    taken = []
    for table, row in IMPOSSIBLE:
        try:
            insert(populated, table, row)
        except sa.exc.IntegrityError:
            continue
        taken.append((table, row))
    assert taken == []


def test_a_cell_has_one_standing_hold_at_most(populated: sa.Engine) -> None:
    insert(populated, "holds", HOLD | {"closed_at": 2})
    insert(populated, "holds", HOLD)
    with pytest.raises(sa.exc.IntegrityError):
        insert(populated, "holds", HOLD | {"reason": "other"})


def test_the_ledger_does_not_fork(populated: sa.Engine) -> None:
    insert(populated, "ledger", LEDGER)
    with pytest.raises(sa.exc.IntegrityError):
        insert(populated, "ledger", LEDGER | {"seq": 2, "hash": "2" * 64})


def test_a_removed_person_leaves_nothing_but_ledger_entries(populated: sa.Engine) -> None:
    rows = [("cells", CELL), ("attempts", ATTEMPT), ("holds", HOLD), ("inbox", INBOX | {"person_id": 1}),
            ("bindings", {"side": "dotdigital", "external_id": "1", "person_id": 1})]  # fmt: skip
    for table, row in rows:
        insert(populated, table, row)
    with populated.begin() as conn:
        conn.execute(sa.delete(t.people))
        left = [name for name, _ in rows if conn.scalar(sa.text(f"SELECT count(*) FROM {name}"))]  # noqa: S608
    assert left == []
