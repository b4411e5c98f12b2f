"""The daemon as a real process whose state DB is taken away, replaced, or put back to an older one."""

from __future__ import annotations

import json
import shutil
import signal
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from urllib.error import URLError

import pytest

from bridge.cli.db import opened
from bridge.core.approval import ApprovalKind, Operator
from bridge.sandbox.population import Population
from bridge.sandbox.world import World
from bridge.settings import load
from bridge.store.snapshot import copy_state
from tests.daemon.harness import wait_until
from tests.daemon.processes import Process, environ

Begin = Callable[[], Process]


@pytest.fixture
def settings(tmp_path: Path) -> Iterator[dict[str, str]]:
    """A bridge between two services, that publishes its head."""
    with World(20, 1) as world:
        switches = world.dotdigital.switches
        switches.rate_limits, switches.limit_low, switches.import_seconds = "tiered", 1_000_000, 0.1
        Population(world, 1).create()
        more = {
            "BRIDGE_LEDGER_HEAD_FILE": str(tmp_path / "head.json"),
            "BRIDGE_ERASURE_KEY": "a-long-random-word-of-tests",
        }
        yield {**environ(world, tmp_path), **more}


@pytest.fixture
def begin(settings: dict[str, str]) -> Iterator[Begin]:
    started: list[Process] = []

    def start() -> Process:
        started.append(Process(settings).up())
        wait_until(lambda: bool(started[-1].runs()), "the first run has ended")
        return started[-1]

    yield start
    for process in started:
        process.close()


@pytest.mark.parametrize("how", ["gone", "another file"])
def test_a_daemon_whose_state_db_is_gone_or_another_ends_and_names_the_fix(
    begin: Begin, tmp_path: Path, how: str
) -> None:
    process = begin()
    file, copy = tmp_path / "bridge.db", tmp_path / "copy.db"
    copy_state(f"sqlite:///{file}", copy)
    for suffix in ("", "-wal", "-shm"):
        file.with_name(file.name + suffix).unlink(missing_ok=True)
    if how == "another file":
        copy.rename(file)
    with suppress(URLError, OSError):  # it may have ended by now
        assert process.health()[0] == 503
    assert process.ended() == 1
    ended = next(line for line in map(json.loads, process.log) if line["event"] == "ended")
    assert f"The state DB {file} is {'gone' if how == 'gone' else 'another file'}" in ended["why"]
    assert "bridge db restore" in ended["why"]


def test_a_daemon_logs_and_publishes_the_head_of_each_run(begin: Begin, tmp_path: Path) -> None:
    process = begin()
    logged = process.runs()[0]["ledger_head"]
    number, _, signature = logged.split(":")
    told = json.loads((tmp_path / "head.json").read_text())
    assert int(number) <= told["entries"]
    assert len(signature) == 64
    process.signal(signal.SIGTERM)
    assert process.ended() == 0


def test_a_daemon_on_an_older_state_db_is_not_ready_and_says_why(
    begin: Begin, settings: dict[str, str], tmp_path: Path
) -> None:
    copy = tmp_path / "copy.db"
    first = begin()
    copy_state(settings["BRIDGE_DATABASE_URL"], copy)
    first.signal(signal.SIGTERM)
    assert first.ended() == 0
    assert "bridge.db-wal" not in {path.name for path in tmp_path.iterdir()}
    with opened(load(environ=settings)) as store:
        store.approvals.give(ApprovalKind.RAISES, "a mapping", Operator("ann"))
    shutil.copy(copy, tmp_path / "bridge.db")
    second = begin()
    code, body = second.health()
    assert (code, body["exit_code"]) == (503, 4)
    assert any("The ledger went back" in reason for reason in body["reasons"])
    assert second.runs()[0]["ledger_head"]
    assert not second.runs()[0]["in_sync"]
