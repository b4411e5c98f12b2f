"""A command that only reads leaves nothing behind: no row, no feed, no file."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from cli_world import EXAMPLE, OUT, Call, CliWorld

READING = (
    ("plan",),
    ("plan", "--full", "--json"),
    ("plan", "--csv"),
    ("reconcile", "--dry-run"),
    ("status",),
    ("explain", "ben.baker@example.com"),
    ("runs", "list"),
    ("holds", "list"),
    ("ledger", "verify"),
    ("ledger", "export"),
    ("mapping", "check", "--live"),
    ("mapping", "scaffold"),
    ("mapping", "preferences", "list"),
    ("forget", "ben.baker@example.com", "--dry-run"),
    ("forget", "ben.baker@example.com", "--check"),
    ("hooks", "list"),
    ("doctor",),
    ("db", "check"),
)


def rows(folder: Path) -> dict[str, list[str]]:
    """Every row of every table."""
    with closing(sqlite3.connect(folder / "bridge.db")) as db:
        lines = [line for line in db.iterdump() if line.startswith("INSERT INTO ")]
    names = {line.split('"')[1] for line in lines}
    return {
        name: sorted(line for line in lines if line.startswith(f'INSERT INTO "{name}"')) for name in names
    }


def files(folder: Path) -> set[str]:
    """What stands in a folder, but for SQLite's own journal."""
    return {one.name for one in folder.rglob("*") if not one.name.endswith(("-wal", "-shm"))}


@pytest.fixture
def other_mapping(tmp_path: Path) -> Path:
    """A mapping with a topic that the real one lacks, and one that is mapped to something else."""
    made = tmp_path / "mapping" / "other.toml"
    made.parent.mkdir()
    text = EXAMPLE.read_text().replace("preference = 1002", "preference = 1012", 1)
    made.write_text(
        f'{text}\n[[topics]]\nid = "tried"\nmypreferences = {{ filter = "EVENTS_EMAIL" }}\n'
        "dotdigital = { preference = 1002 }\n"
    )
    return made


def test_a_reading_command_changes_no_row_of_the_state_db(
    call: Call, cli_world: CliWorld, tmp_path: Path, other_mapping: Path
) -> None:
    cli_world.add_held_opt_in()
    assert call("reconcile", "--yes").code == 3
    cli_world.opt_out("anna")
    cli_world.add_person("dora.dean@example.com", mine=OUT, theirs=None)
    before, there = rows(tmp_path), files(tmp_path)
    tried = ("plan", "--mapping", other_mapping)
    for args in (*READING, tried, (*tried, "--full")):
        done = call(*args)
        assert done.code in (0, 2, 3, 4), (args, done)
        after = rows(tmp_path)
        assert after == before, (args, [name for name in after if after[name] != before.get(name)])
        assert files(tmp_path) == there, args


def test_a_reading_command_makes_no_file_in_an_empty_folder(call: Call, tmp_path: Path) -> None:
    for args in READING:
        call(*args)
        assert files(tmp_path) == set(), args


def test_a_plan_without_a_state_db_shows_what_a_first_run_would_do(call: Call, cli_world: CliWorld) -> None:
    first = call("plan", "--json")
    assert first.code == 0, first.err
    assert {row["to"] for row in first.json["writes"]} == {OUT}
    assert call("plan", "--json").json["writes"] == first.json["writes"]


def test_a_saved_plan_keeps_the_people_it_names_and_no_feed(
    call: Call, cli_world: CliWorld, tmp_path: Path
) -> None:
    plan = tmp_path / "plan.json"
    assert call("plan", "--out", plan).code == 0
    stored = rows(tmp_path)
    acts = json.loads(plan.read_text())["acts"]
    assert len(stored["people"]) == len({act["person"] for act in acts}) == 1
    assert not {"watermarks", "runs", "followed"} & stored.keys()
    applied = call("apply", plan)
    assert "applied and verified" in applied.out, applied
    assert not cli_world.gets_newsletter("ben")
    assert call("reconcile", "--yes").code == 0
    assert call("plan", "--json").json["writes"] == []


def test_a_saved_plan_of_another_mapping_keeps_nothing_about_what_it_maps_otherwise(
    call: Call, cli_world: CliWorld, tmp_path: Path, other_mapping: Path
) -> None:
    assert call("reconcile", "--yes").code == 0
    before = rows(tmp_path)
    cli_world.opt_out("anna")
    saved = call("plan", "--mapping", other_mapping, "--out", tmp_path / "plan.json")
    assert saved.code in (0, 3, 4), saved
    after = rows(tmp_path)
    kept = {"approvals", "ledger", "ledger_head", "meta", "clock", "lease", "people", "cells"}
    kept.add("sqlite_sequence")
    assert {name for name in after if after[name] != before.get(name)} <= kept
    for topic in ("newsletter", "tried"):  # mapped to something else by the plan, and not mapped here
        assert about(after, topic) == about(before, topic)


def about(stored: dict[str, list[str]], topic: str) -> list[str]:
    """The cells of a topic."""
    return [row for row in stored["cells"] if f"'{topic}'" in row]
