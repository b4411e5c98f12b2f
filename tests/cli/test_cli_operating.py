"""What operators do beside reconciling: ids and addresses, CSV, past runs, flags before the command, output
that cannot be written, Ctrl-C."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from cli_world import Call, CliWorld, command, environment

from bridge.engine import run as engine_run

EVIL = "News\x1b[31m\x9b1m\u202eletter"


@pytest.fixture
def held(call: Call, cli_world: CliWorld) -> Call:
    """One opt-in is held."""
    cli_world.add_held_opt_in()
    assert call("reconcile").code == 3
    return call


def test_ids_are_always_shown_and_addresses_when_asked_for(held: Call, cli_world: CliWorld) -> None:
    ids = {
        "mypreferences": [str(cli_world.profiles["cora"])],
        "dotdigital": [str(cli_world.contacts["cora"])],
    }
    for args in (["holds", "list"], ["plan"], ["explain", "1"]):
        hidden, shown = held(*args), held(*args, "--show-addresses")
        assert ids["mypreferences"][0] in hidden.out
        assert "cora.carter" not in hidden.out
        assert "cora.carter@example.com" in held(*args, "--show-addresses", "--json").out or "plan" in args
        assert shown.code == hidden.code
    (row,) = held("holds", "list", "--json").json["holds"]
    assert (row["ids"], row["person"]) == (ids, "c…@example.com")
    assert held("explain", "1", "--json").json["ids"] == ids


def test_holds_and_plans_are_printed_as_csv(held: Call, cli_world: CliWorld) -> None:
    (row,) = csv.DictReader(io.StringIO(held("holds", "list", "--csv", "--show-addresses").out))
    assert row["person"] == "cora.carter@example.com"
    assert row["mypreferences"] == str(cli_world.profiles["cora"])
    cli_world.opt_out("anna")
    rows = list(csv.DictReader(io.StringIO(held("plan", "--csv").out)))
    assert {one["does"] for one in rows} == {"write", "hold"}
    assert held("plan", "--csv", "--json").code == 2


def test_a_reason_that_no_hold_can_have_is_refused_with_the_nearest(held: Call) -> None:
    result = held("holds", "list", "--reason", "first_runn")
    assert result.code == 2
    assert "first_run" in result.err
    assert held("holds", "list", "--reason", "complaint").code == 0
    assert held("holds", "list", "--topic", "newsletter", "--json").json["holds"]
    assert not held("holds", "list", "--topic", "other", "--json").json["holds"]


def test_holds_of_every_state_include_those_that_are_resolved(held: Call, cli_world: CliWorld) -> None:
    cli_world.opt_out("cora")
    held("reconcile")
    assert held("holds", "list", "--json").json["holds"] == []
    for state in ("all", "resolved"):
        (row,) = held("holds", "list", "--state", state, "--json").json["holds"]
        assert row["closed_at"] is not None
    assert "resolved" in held("holds", "list", "--state", "all").out


def test_past_runs_are_listed_and_shown(held: Call) -> None:
    held("reconcile")
    newest, first = held("runs", "list", "--json").json["runs"]
    assert (newest["kind"], first["kind"]) == ("incremental", "first")
    assert held("runs", "show", "last", "--json").json == newest
    assert first["run"] in held("runs", "list").out
    shown = held("runs", "show", first["run"])
    assert "Dotdigital 0 raises, 1 withdrawals" in shown.out.replace("0 other, ", "")
    assert held("runs", "show", "nothing").code == 2
    assert len(held("runs", "list", "--kind", "first", "--json").json["runs"]) == 1
    assert held("runs", "list", "--failed", "--json").json["runs"] == []


def test_the_config_file_may_be_named_before_the_command(call: Call, tmp_path: Path) -> None:
    config = tmp_path / "b.toml"
    config.write_text("poll_seconds = 0\n")
    for args in (["--config", str(config), "status"], [f"--config={config}", "status"]):
        result = call(*args)
        assert result.code == 2
        assert "BRIDGE_POLL_SECONDS" in result.err
    config.write_text("poll_seconds = 9\n")
    assert call("--json", "--config", str(config), "doctor").json["settings"]


def test_text_that_is_piped_is_not_wrapped(held: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    wrapped = held("holds", "list").out.splitlines()
    monkeypatch.delenv("COLUMNS")
    whole = held("holds", "list").out.splitlines()
    assert max(map(len, whole)) > 60
    assert len(whole) < len(wrapped)


def test_names_of_the_services_cannot_steer_the_terminal(call: Call, cli_world: CliWorld) -> None:
    leaf = cli_world.services.dotdigital.preferences.leaf(1002)
    assert leaf is not None
    leaf.public_name = leaf.private_name = EVIL
    for args in (["mapping", "preferences", "list"], ["mapping", "preferences", "list", "--json"]):
        result = call(*args)
        assert result.code == 0
        assert not {"\x1b", "\x9b", "\u202e"} & set(result.out)


@pytest.mark.parametrize(
    ("name", "ways"),
    [
        ("status", ("<&- >&- 2>&-", ">&-", "2>&-", ">/dev/full", "2>/dev/full")),
        ("doctor", (">&- 2>/dev/full",)),
    ],
)
def test_closed_streams_end_in_no_traceback(
    settings: Mapping[str, str], name: str, ways: Sequence[str]
) -> None:
    line = " ".join(command(name))
    for closed in ways:
        done = subprocess.run(
            ["sh", "-c", f"{line} {closed}"],
            env=environment(settings),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode in (0, 1, 2, 3), closed
        assert "Traceback" not in done.stderr + done.stdout


def test_a_run_whose_output_nobody_reads_keeps_its_exit_code(
    settings: Mapping[str, str], cli_world: CliWorld
) -> None:
    cli_world.add_held_opt_in()
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(command("reconcile"), env=environment(settings), stdout=writing, check=False)
    os.close(writing)
    assert done.returncode == 3


def test_an_interrupted_run_says_what_was_done(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(engine_run, "read_sides", interrupted)
    result = call("reconcile")
    assert result.code == 130
    assert "0 writes were sent and verified" in result.err
    assert "The next run goes on." in result.err
    assert call("runs", "show", "last", "--json").json["state"] == "stopped"
    assert json.loads(call("reconcile", "--json").out)["error"]["exit_code"] == 130


def test_nothing_in_the_current_folder_stands_in_for_a_module(
    settings: Mapping[str, str], tmp_path: Path
) -> None:
    for name in ("typer", "rich", "httpx", "bridge_cli"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('from the current folder')")
    environ = environment(settings)
    done = subprocess.run(
        [sys.executable, "-m", "bridge", "--version"],
        cwd=tmp_path,
        env=environ,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_the_doctor_says_which_files_are_used_and_who_may_read_them(held: Call, tmp_path: Path) -> None:
    database = tmp_path / "bridge.db"
    assert str(database) in held("doctor", "--json").out
    assert "read by everybody" not in held("doctor", "--json").out
    database.chmod(0o644)
    assert "read by everybody" in held("doctor", "--json").out
