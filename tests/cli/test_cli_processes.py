"""What only a process shows: streams, signals, closed pipes, start-up, and the demo as it is typed."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from cli_world import Call, CliWorld, CommandResult, command, environment

from bridge.cli import main
from tests.forked import ForkedProcess, text
from tests.waiting import PATIENCE, unanswered, wait_until


def own_interpreter(args: Sequence[str], settings: dict[str, str], **more: str) -> CommandResult:
    """Run Python with these arguments. For what a forked process does not show: start-up and shutdown."""
    done = subprocess.run(
        [sys.executable, *args],
        env=environment(settings, **more),
        check=False,
        capture_output=True,
        text=True,
        timeout=2 * PATIENCE,
    )
    return CommandResult(done.returncode, done.stdout, done.stderr)


def test_json_is_all_of_stdout_and_stderr_is_silent(cli_world: CliWorld, settings: dict[str, str]) -> None:
    """A warning that an import raises would be seen here too."""
    result = own_interpreter(["-m", "bridge", "reconcile", "--json"], settings, PYTHONWARNINGS="default")
    assert result.code == 0, result.err
    assert result.json["kind"] == "first"
    assert result.err == ""


@pytest.mark.slow
def test_the_demo_agrees_and_writes_nothing_the_third_time(process: Call) -> None:
    result = process("demo", "--people", "40", "--seed", "3", "--json")
    document = result.json
    assert document["people"] == 40
    assert document["first"]["kind"] == "first"
    assert sum(sum(side.values()) for side in document["reconcile"]["writes"].values()) > 5
    assert document["agree"] is True, document.get("differences")
    assert not any(sum(side.values()) for side in document["again"]["writes"].values())
    assert result.code == 0


@pytest.mark.slow
def test_the_demo_report_fits_a_page_and_can_be_saved(process: Call, tmp_path: Path) -> None:
    result = process("demo", "--people", "30", "--keep", tmp_path / "kept")
    lines = result.out.splitlines()
    assert len(lines) <= 60
    assert all(len(line) <= 80 for line in lines if "sqlite:" not in line)  # a command stays in one piece
    assert "\x1b" not in result.out
    assert "Both sides agree" in result.out
    assert (tmp_path / "kept" / "bridge.db").is_file()
    again = process("demo", "--people", "30", "--keep", tmp_path / "kept")
    assert again.code == 2


def test_looking_imports_nothing_that_calls_or_serves(
    cli_world: CliWorld, call: Call, settings: dict[str, str]
) -> None:
    """One after the other: what any of them imports is there at the end."""
    call("reconcile")
    commands = ["status"], ["--help"], ["ledger", "verify"], ["explain", "ben.baker@example.com"]
    code = (
        "import sys; from bridge.cli.entry import run;"
        f"codes = [run(args) for args in {commands}];"
        "heavy = {'alembic', 'httpx', 'uvicorn', 'starlette', 'apscheduler'} & set(sys.modules);"
        "sys.exit(repr((codes, heavy)) if heavy or any(codes) else 0)"
    )
    done = own_interpreter(["-c", code], settings)
    assert done.code == 0, done.err


def test_a_closed_pipe_is_no_error(cli_world: CliWorld, call: Call, settings: dict[str, str]) -> None:
    call("reconcile")
    for args in (["ledger", "export"], ["status"], ["mapping", "schema"]):
        started = subprocess.Popen(
            command(*args),
            env=environment(settings),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert started.stdout is not None
        started.stdout.close()
        _, err = started.communicate(timeout=60)
        assert err == ""
        assert started.returncode == 141


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_a_run_quietly_and_gives_the_lease_back(
    cli_world: CliWorld, call: Call, settings: dict[str, str], number: signal.Signals, code: int
) -> None:
    calls = cli_world.services.dotdigital.calls
    with unanswered(calls, "getContacts"):
        started = ForkedProcess(main, ["reconcile"], environ=environment(settings))
        wait_until(lambda: bool(calls.counts().get("getContacts")), "it reads Dotdigital")
        assert started.running
        started.signal(number)
        assert started.ended() == code, started.err
    assert started.out == []
    assert "Traceback" not in text(started.err)
    assert call("reconcile").code == 0
    assert not cli_world.gets_newsletter("ben")


def test_the_sandbox_serves_until_it_is_stopped() -> None:
    started = ForkedProcess(main, ["sandbox", "--people", "20"], environ=environment({}))
    assert "20 people" in started.first_line()
    started.signal(signal.SIGTERM)
    assert started.ended() == 0
    assert "BRIDGE_DOTDIGITAL__BASE_URL" in text(started.out)


def test_both_ways_to_type_it_are_the_same(process: Call) -> None:
    result = own_interpreter(["-m", "bridge", "--version"], {})
    assert result.code == 0
    assert result.out.startswith("consent-bridge ")
    assert json.loads(process("mapping", "check", "--json").out)["ok"] is True
