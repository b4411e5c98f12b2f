"""Whatever is done to a running daemon: no withdrawal is lost, nobody is opted in, it is ready only when it
is, and it stops when it is asked to."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from _pytest.mark import ParameterSet

from tests.chaos.chaos_world import LEASE_SECONDS, ChaosWorld
from tests.chaos.disturbances import BOTH, CASES, POSTGRESQL, SQLITE, Case
from tests.postgres import _postgres_state, postgres_server, postgres_state_url
from tests.sizes import FULL
from tests.waiting import wait_until

__all__ = ["_postgres_state", "postgres_server", "postgres_state_url"]

pytestmark = [pytest.mark.slow, pytest.mark.postgres]
STOPS_WITHIN = 30.0  # seconds, on a machine that is busy with other tests; 10 by itself
DATABASES = (SQLITE, POSTGRESQL)
Make = Callable[..., ChaosWorld]


@pytest.fixture
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Make]:
    """Makes the world around a state DB of either kind, and ends it."""
    made: list[ChaosWorld] = []

    def start(database: str, **more: str) -> ChaosWorld:
        url = None if database == SQLITE else str(request.getfixturevalue("postgres_state_url"))
        made.append(ChaosWorld(tmp_path, url, **more))
        return made[-1].__enter__()

    yield start
    for one in made:
        one.__exit__()


def of_size(cases: tuple[Case, ...]) -> list[ParameterSet]:
    return [
        pytest.param(case, database, id=f"{case.name}, {database}")
        for case in cases
        for database in DATABASES
        if case.database in (database, BOTH) and (FULL or not case.full)
    ]


def eventually(true: Callable[[], bool], what: str) -> None:
    """Ask now and then: the services are in this process, and have to answer meanwhile."""

    def asked() -> bool:
        time.sleep(0.15)
        return true()

    wait_until(asked, what)


def polls(chaos: ChaosWorld, number: int = 3) -> None:
    """Wait as long as that many polls take, or as many try to."""
    until = time.monotonic() + number
    while time.monotonic() < until:
        assert chaos.process.running
        time.sleep(0.05)


@pytest.mark.parametrize(("case", "database"), of_size(CASES))
def test_no_opt_out_is_lost_nobody_is_opted_in_and_it_stops(make: Make, case: Case, database: str) -> None:
    chaos = make(database)
    with case.disturb(chaos):
        chaos.opt_out()
        if case.unready:
            eventually(lambda: chaos.health()[0] == 503, "it tells that it is not ready")
            assert chaos.health("/healthz")[0] == 200
        polls(chaos)
    chaos.opt_out()
    eventually(chaos.is_delivered, "every opt-out is at both sides")
    eventually(lambda: chaos.health()[0] == 200, "it is ready again")
    assert chaos.newly_opted_in() == set()
    if not case.stops:
        chaos.process.signal(signal.SIGTERM)
        assert chaos.process.ended() == 0
        return
    with case.disturb(chaos):
        chaos.opt_out()
        polls(chaos, 1)
        asked = time.monotonic()
        chaos.process.signal(signal.SIGTERM)
        assert chaos.process.ended() == 0, chaos.process.err
        assert time.monotonic() - asked < STOPS_WITHIN
    assert chaos.run_elsewhere().exit_code in (0, 3)
    assert chaos.is_delivered()
    assert chaos.newly_opted_in() == set()
    assert "@" not in "\n".join(chaos.process.err)


@pytest.mark.parametrize("database", DATABASES if FULL else [POSTGRESQL])
def test_a_process_that_was_suspended_across_its_lease_ends_and_writes_nothing(
    make: Make, database: str
) -> None:
    chaos = make(database, **{LEASE_SECONDS: "2"})
    chaos.process.signal(signal.SIGSTOP)
    chaos.opt_out()
    time.sleep(2.5)  # the time to live of the lease
    chaos.run_elsewhere()
    assert chaos.is_delivered()
    chaos.process.signal(signal.SIGCONT)
    assert chaos.process.ended() != 0
    assert json.loads(chaos.process.err[-1])["event"] == "ended"
    assert chaos.newly_opted_in() == set()
