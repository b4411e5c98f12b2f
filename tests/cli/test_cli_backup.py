"""`bridge db backup`, `restore` and `restored`, and what commands say about a ledger that is not intact."""

from __future__ import annotations

import json
import shutil
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cli_world import Call, CliWorld

from bridge.store import Store

ANNA = "anna.archer@example.com"
SERVER = "postgresql://bridge@db.example.com/bridge"


def words(text: str) -> str:
    return " ".join(text.split())


def entries(file: Path) -> list[str]:
    with closing(sqlite3.connect(file)) as opened:
        return [kind for (kind,) in opened.execute("SELECT kind FROM ledger ORDER BY seq")]


@pytest.fixture
def started(call: Call) -> Call:
    assert call("reconcile").code == 0
    return call


def test_a_backup_is_one_verified_file_for_its_owner_only(started: Call, tmp_path: Path) -> None:
    file = tmp_path / "copy.db"
    result = started("db", "backup", file)
    assert result.code == 0
    assert "Saved and verified" in result.out
    assert file.stat().st_mode & 0o777 == 0o600
    assert {path.name for path in tmp_path.iterdir() if "copy" in path.name} == {"copy.db"}
    assert entries(file) == entries(tmp_path / "bridge.db")


def test_a_backup_is_taken_while_another_process_has_the_lease(
    started: Call, settings: dict[str, str], tmp_path: Path
) -> None:
    with (
        Store.open(settings["BRIDGE_DATABASE_URL"], lambda: datetime.now(UTC)) as store,
        store.lease(owner="a daemon", ttl=timedelta(minutes=2)),
    ):
        shown = started("db", "backup", tmp_path / "copy.db", "--json").json
        assert shown["ledger_entries"] == len(entries(tmp_path / "copy.db"))
        refused = started("db", "restore", tmp_path / "copy.db", "--yes")
        assert refused.code == 6
        assert "a daemon" in refused.err


def test_a_backup_overwrites_nothing(started: Call, tmp_path: Path) -> None:
    (tmp_path / "copy.db").write_text("mine")
    result = started("db", "backup", tmp_path / "copy.db")
    assert (result.code, (tmp_path / "copy.db").read_text()) == (2, "mine")


def test_without_a_state_db_there_is_no_backup(call: Call, tmp_path: Path) -> None:
    assert call("db", "backup", tmp_path / "copy.db").code == 2
    assert list(tmp_path.glob("*.db")) == []


def test_a_backup_of_a_ledger_that_is_broken_is_refused_by_name(started: Call, tmp_path: Path) -> None:
    _edit(tmp_path / "bridge.db")
    result = started("db", "backup", tmp_path / "copy.db")
    assert result.code == 1
    assert "agreements were edited" in result.err
    assert not (tmp_path / "copy.db").exists()


def test_a_restore_keeps_the_replaced_file_and_reads_everybody_first(
    started: Call, cli_world: CliWorld, tmp_path: Path
) -> None:
    assert started("db", "backup", tmp_path / "copy.db").code == 0
    cli_world.opt_out("anna")
    assert started("reconcile").code == 0
    later = entries(tmp_path / "bridge.db")
    result = started("db", "restore", tmp_path / "copy.db", "--yes", "--note", "a trial")
    assert result.code == 0
    (kept,) = tmp_path.glob("bridge.db.replaced-*")
    assert entries(kept) == later
    assert "reads everybody before it opts anybody in" in words(result.out)
    again = entries(tmp_path / "bridge.db")
    assert again == [*entries(tmp_path / "copy.db"), "accepted", "settled"]
    assert (tmp_path / "bridge.db").stat().st_mode & 0o777 == 0o600
    run = started("reconcile", "--json")
    assert run.code == 0
    assert not cli_world.gets_newsletter("anna")
    assert started("ledger", "verify").code == 0


def test_a_restore_publishes_the_head_so_that_nothing_else_has_to_be_accepted(
    call: Call, cli_world: CliWorld, tmp_path: Path
) -> None:
    head = {"LEDGER_HEAD_FILE": str(tmp_path / "head.json"), "ERASURE_KEY": "a-long-random-word-of-tests"}
    assert call("reconcile", **head).code == 0
    assert call("db", "backup", tmp_path / "copy.db").code == 0
    cli_world.opt_out("anna")
    assert call("reconcile").code == 0
    assert call("db", "restore", tmp_path / "copy.db", "--yes").code == 0
    told = json.loads((tmp_path / "head.json").read_text())
    assert told["entries"] == len(entries(tmp_path / "bridge.db"))
    assert call("reconcile").code == 0


def test_who_was_erased_since_the_backup_stays_erased_after_a_restore(call: Call, tmp_path: Path) -> None:
    key = {"ERASURE_KEY": "a-long-random-word-of-tests"}
    assert call("reconcile", **key).code == 0
    assert call("db", "backup", tmp_path / "copy.db", **key).code == 0
    assert call("forget", ANNA, "--yes", **key).code == 0
    restored = call("db", "restore", tmp_path / "copy.db", "--yes", **key)
    assert (restored.code, "Repeat" in restored.out) == (0, False)
    assert not call("forget", ANNA, "--dry-run", "--json", **key).json["here"]
    with closing(sqlite3.connect(tmp_path / "bridge.db")) as opened:
        assert opened.execute("SELECT count(*) FROM erased").fetchone() == (1,)
    assert call("ledger", "verify", **key).code == 0
    assert call("reconcile", **key).code == 0
    assert ANNA.encode() not in b"".join(file.read_bytes() for file in tmp_path.glob("bridge.db*"))


def test_where_the_file_that_was_there_does_not_tell_who_was_erased_a_restore_says_so(
    started: Call, tmp_path: Path
) -> None:
    assert started("db", "backup", tmp_path / "copy.db").code == 0
    (tmp_path / "bridge.db").write_text("damaged" * 1000)
    result = started("db", "restore", tmp_path / "copy.db", "--yes")
    assert "Repeat `bridge forget`" in words(result.out)


@pytest.mark.parametrize("content", ["", "no database at all" * 100])
def test_what_is_no_backup_is_not_restored(started: Call, tmp_path: Path, content: str) -> None:
    file = tmp_path / "copy.db"
    file.write_text(content)
    before = entries(tmp_path / "bridge.db")
    result = started("db", "restore", file, "--yes")
    assert result.code == 2
    assert str(file) in result.err
    assert file.read_text() == content
    assert entries(tmp_path / "bridge.db") == before
    assert list(tmp_path.glob(".*")) == []


def test_a_backup_that_was_edited_is_not_restored(started: Call, tmp_path: Path) -> None:
    assert started("db", "backup", tmp_path / "copy.db").code == 0
    _edit(tmp_path / "copy.db")
    before = entries(tmp_path / "bridge.db")
    result = started("db", "restore", tmp_path / "copy.db", "--yes")
    assert (result.code, entries(tmp_path / "bridge.db")) == (1, before)


def test_a_restore_over_a_damaged_file_keeps_that_too(started: Call, tmp_path: Path) -> None:
    assert started("db", "backup", tmp_path / "copy.db").code == 0
    (tmp_path / "bridge.db").write_text("damaged" * 1000)
    assert started("db", "restore", tmp_path / "copy.db", "--yes").code == 0
    kept = min(tmp_path.glob("bridge.db.replaced-*"))
    assert kept.read_text() == "damaged" * 1000
    assert started("reconcile").code == 0


def test_a_restore_is_confirmed_first(started: Call, tmp_path: Path) -> None:
    assert started("db", "backup", tmp_path / "copy.db").code == 0
    result = started("db", "restore", tmp_path / "copy.db")
    assert result.code == 2
    assert "--yes" in result.err
    assert list(tmp_path.glob("*.replaced-*")) == []


@pytest.mark.parametrize("what", ["backup", "restore"])
def test_on_a_server_its_own_tools_are_named(call: Call, tmp_path: Path, what: str) -> None:
    result = call("db", what, tmp_path / "copy.db", DATABASE_URL=SERVER)
    assert result.code == 2
    assert "pg_dump" in result.err
    assert "bridge db restored" in words(result.err)


def test_an_older_file_put_back_is_told_alike_and_can_be_accepted(
    call: Call, cli_world: CliWorld, tmp_path: Path
) -> None:
    head = {"LEDGER_HEAD_FILE": str(tmp_path / "head.json")}
    assert call("reconcile", **head).code == 0
    assert call("db", "backup", tmp_path / "copy.db").code == 0
    cli_world.opt_out("anna")
    assert call("reconcile").code == 0
    shutil.copy(tmp_path / "copy.db", tmp_path / "bridge.db")
    assert call("status").code == 4  # before any run
    assert "went back" in call("ledger", "verify").err
    assert call("ledger", "verify", "--json").json["ok"] is False
    run = call("reconcile")
    assert run.code == 4
    assert "bridge db restored" in words(run.out)
    status = call("status", "--json")
    assert (status.code, status.json["ready"]) == (4, False)
    assert "ledger" in {one["condition"] for one in status.json["conditions"]}
    refused = call("db", "restored", "--note", "the snapshot of 03:00")
    assert refused.code == 2
    assert "went back" in refused.err
    assert call("db", "restored", "--note", "the snapshot of 03:00", "--yes").code == 0
    assert call("reconcile").code == 0
    assert call("status").code == 0


def test_a_broken_ledger_is_told_with_the_way_out(started: Call, tmp_path: Path) -> None:
    _edit(tmp_path / "bridge.db")
    verify = started("ledger", "verify")
    assert verify.code == 1
    assert "bridge db restored" in words(verify.err)
    assert started("ledger", "verify", "--json").json["ok"] is False
    assert started("db", "restored", "--note", "edited by me", "--yes").code == 0
    after = started("ledger", "verify")
    assert after.code == 0
    assert "was accepted" in words(after.out)


def test_a_person_settled_together_with_others_shows_that_entry(started: Call) -> None:
    shown = started("explain", "anna.archer@example.com", "--json").json
    lines = [line for topic in shown["topics"] for line in topic["history"] if line["kind"] == "settled"]
    assert lines
    assert {line["entry"] for line in lines} == {1}
    assert "ledger entry 1" in words(started("explain", "anna.archer@example.com").out)


def _edit(file: Path) -> None:
    """An agreement is changed by SQL."""
    with closing(sqlite3.connect(file)) as opened, opened:
        opened.execute("UPDATE cells SET agreed_at = agreed_at + 1 WHERE agreed_choice IS NOT NULL")
