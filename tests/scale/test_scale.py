"""A full sweep by export, in its own process: how much memory it takes, and how it continues after a kill."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from bridge.sandbox.mypreferences import MyPreferencesState, create_app
from bridge.sandbox.server import Server
from tests.sizes import size

FEW = size(3000, 10_000)
HERE = Path(__file__).parent
ENVIRONMENT = {"PATH": os.environ["PATH"], "PYTHONPATH": str(HERE.parents[1])}


@contextmanager
def running_service(people: int) -> Iterator[str]:
    """The sandbox in its own process, so that its memory does not count as the bridge's."""
    process = subprocess.Popen(
        [sys.executable, str(HERE / "service_process.py"), str(people)],
        env=ENVIRONMENT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
    finally:
        process.communicate()


def start_sweep(folder: Path, url: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, str(HERE / "sweep_process.py"), f"sqlite:///{folder / 'bridge.db'}", url],
        env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def result_of(process: subprocess.Popen[str]) -> dict[str, Any]:
    output, errors = process.communicate()
    assert process.returncode == 0, errors
    found: dict[str, Any] = json.loads(output)
    return found


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_ten_times_as_many_people_take_no_more_memory(tmp_path: Path) -> None:
    """People are read and stored page by page, so memory does not grow with their number."""
    peaks = []
    for people in (FEW, 10 * FEW):
        folder = tmp_path / str(people)
        folder.mkdir()
        with running_service(people) as url:
            found = result_of(start_sweep(folder, url))
        assert (found["swept"], found["people"], found["progress"]) == (True, people, [people, people])
        peaks.append(found["peak"])
    small, large = peaks
    assert small > 0
    assert large < small * 1.15, f"{small} KiB for {FEW} people, {large} KiB for ten times as many"


class KillAtBlock:
    """Kills a process when it requests the n-th block of an export."""

    def __init__(self, state: MyPreferencesState, nth: int) -> None:
        self._left, self._record = nth, state.calls.record
        self.process: subprocess.Popen[str] | None = None
        state.calls.record = self._count  # type: ignore[method-assign]

    def _count(self, operation: str) -> None:
        self._record(operation)
        self._left -= operation == "retrieveExport"
        if self._left == 0 and operation == "retrieveExport" and self.process is not None:
            self.process.send_signal(signal.SIGKILL)


@pytest.mark.slow
@pytest.mark.parametrize("nth", [1, 3])
def test_the_next_process_continues_a_killed_sweep(tmp_path: Path, nth: int) -> None:
    """MyPreferences `Segment: Retrieve data`: the next process can use an export token again."""
    state = MyPreferencesState()
    for number in range(3500):
        state.add_profile([f"person-{number}@example.com"])
    with Server(create_app(state)) as server:
        kill = KillAtBlock(state, nth)
        kill.process = start_sweep(tmp_path, server.url)
        kill.process.communicate()
        assert kill.process.returncode == -signal.SIGKILL
        found = result_of(start_sweep(tmp_path, server.url))
    assert (found["swept"], found["people"], found["progress"]) == (True, 3500, [3500, 3500])
    assert state.calls.count("initiateExportSegment") == 1
    assert state.calls.count("retrieveExport") == 4 + 1  # the block that was not stored is read twice
    assert state.calls.count("retrieveProfilesByEmail") == 0
