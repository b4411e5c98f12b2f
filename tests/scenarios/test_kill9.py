"""A real process, killed with SIGKILL in the middle of calls, ends as it would without the kill."""

from __future__ import annotations

import os
import random
import signal
import threading
from pathlib import Path
from typing import Any

import pytest

from bridge.app import App, Options
from bridge.cli import main
from bridge.engine.run import RunOptions, run_once
from bridge.sandbox.population import Population
from bridge.sandbox.world import World
from bridge.settings import load
from tests.forked import ForkedProcess

ROOT = Path(__file__).parents[2]
PEOPLE, SEED, KILLS = 24, 9, 5  # kills in the first run, and as many in the run after people acted
QUIET_WITHIN = 5


class Trap:
    """Kills a process while the services answer its n-th call."""

    def __init__(self, world: World) -> None:
        self._lock = threading.Lock()
        self._left: int | None = None
        self._pid = 0
        for calls in (world.mypreferences.calls, world.dotdigital.calls):
            calls.record = self._recording(calls.record)  # type: ignore[method-assign]

    def _recording(self, record: Any) -> Any:
        def recorded(operation: str) -> None:
            record(operation)
            self._count()

        return recorded

    def _count(self) -> None:
        with self._lock:
            if self._left is None:
                return
            self._left -= 1
            if self._left == 0:
                self._left = None
                os.kill(self._pid, signal.SIGKILL)

    def run(self, environment: dict[str, str], nth: int) -> bool:
        """Run `bridge reconcile` until its n-th call; whether it was killed there."""
        with self._lock:  # no call is counted before the process is known
            process = ForkedProcess(main, ["reconcile", "--json"], environ=environment)
            self._pid, self._left = process.pid, nth
        code = process.ended()
        with self._lock:
            self._left = None
        assert code in (0, 3, -signal.SIGKILL), process.err
        return code == -signal.SIGKILL


def _environment(world: World, folder: Path) -> dict[str, str]:
    return {
        **world.settings(),
        "BRIDGE_DATABASE_URL": f"sqlite:///{folder / 'bridge.db'}",
        "BRIDGE_MAPPING": str(ROOT / "mappings" / "bridge.toml"),
    }


def _to_the_end(world: World, folder: Path) -> None:
    """Runs until one has nothing to write."""
    options = Options(sleep=lambda _: None, export_poll=0.0)
    with App(load(environ=_environment(world, folder)), options) as app:
        for _ in range(QUIET_WITHIN):
            report = run_once(app.services(), app.writers(), RunOptions())
            if not (report.written.writes or report.written.failed or report.errors):
                app.store.ledger.verify()
                return
    raise AssertionError(report.shown())


def _truth(world: World) -> dict[str, Any]:
    """What both services hold of everybody, without the times."""
    found: dict[str, Any] = {}
    for person in world.mypreferences.people():
        found[f"mine {person['profile_id']}"] = (
            [
                {name: (one["choice"], one["frequency"]) for name, one in email["preferences"].items()}
                for email in person["emails"]
            ],
            sorted((one["type"], one["status"]) for one in person["consents"]),
        )
    for contact in world.dotdigital.people():
        inside = sorted(number for number, row in contact["preferences"].items() if row["opted_in"])
        found[f"theirs {contact['id']}"] = (contact["status"], inside)
    return found


@pytest.mark.slow
def test_killed_again_and_again_it_ends_where_a_twin_ends_that_nobody_killed(tmp_path: Path) -> None:
    folders = {name: tmp_path / name for name in ("killed", "whole")}
    for folder in folders.values():
        folder.mkdir()
    rng = random.Random(SEED)
    with World(PEOPLE, SEED) as killed, World(PEOPLE, SEED) as whole:
        populations = {world: Population(world, SEED) for world in (killed, whole)}
        for population in populations.values():
            population.create()
        assert _truth(killed) == _truth(whole)
        trap = Trap(killed)
        environment = {**_plain(), **_environment(killed, folders["killed"])}
        for acting, most in ((False, 30), (True, 45)):  # calls, about as many as the run makes
            if acting:
                for population in populations.values():
                    population.act(pause=0.5)
            died = sum(trap.run(environment, rng.randint(3, most)) for _ in range(KILLS))
            assert died >= KILLS - 2
            for world, folder in ((killed, folders["killed"]), (whole, folders["whole"])):
                _to_the_end(world, folder)
            assert _truth(killed) == _truth(whole)


def _plain() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("BRIDGE_")}
