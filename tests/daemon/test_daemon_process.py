"""The daemon as a real process, with real signals, against both emulated services."""

from __future__ import annotations

import json
import re
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bridge.cli import main
from bridge.sandbox.faults import InjectedFault
from bridge.sandbox.population import Population
from bridge.sandbox.world import World
from tests.daemon.harness import get, wait_until
from tests.daemon.processes import Process, agreement, environ, impatient, reconcile
from tests.forked import Main
from tests.waiting import unanswered

READ = "get-suppressed-contacts-since-date"
Begin = Callable[..., Process]


@pytest.fixture
def world() -> Iterator[World]:
    """Its limits are so high that each run reads every feed, and imports are done at once."""
    with World(25, 1) as world:
        switches = world.dotdigital.switches
        switches.rate_limits, switches.limit_low, switches.import_seconds = "tiered", 1_000_000, 0.1
        yield world


@pytest.fixture(autouse=True)
def population(world: World) -> Population:
    population = Population(world, 1)
    population.create()
    return population


@pytest.fixture
def settings(world: World, tmp_path: Path) -> dict[str, str]:
    return environ(world, tmp_path)


@pytest.fixture
def begin(settings: dict[str, str]) -> Iterator[Begin]:
    started: list[Process] = []

    def start(program: Main = impatient, args: tuple[str, ...] = (), **more: str) -> Process:
        started.append(Process({**settings, **more}, program, args))
        return started[-1]

    yield start
    for process in started:
        process.close()


def asked(world: World, operation: str) -> int:
    return world.dotdigital.calls.count(operation)


def test_what_people_do_reaches_the_other_side_while_it_runs(
    world: World, population: Population, begin: Begin
) -> None:
    process = begin().up()
    wait_until(lambda: bool(process.runs()), "the first run has ended")
    assert process.health()[0] == 200
    population.act(pause=2.0)  # an opt-in within a second of the first read would be held as older than it
    assert not agreement(world).agree
    wait_until(lambda: agreement(world).agree, "both sides agree")
    process.signal(signal.SIGTERM)
    assert process.ended() == 0
    assert [one["kind"] for one in process.runs()[:2]] == ["first", "incremental"]


def test_sigterm_in_a_run_lets_the_run_end_and_no_other_begin(world: World, begin: Begin) -> None:
    with unanswered(world.dotdigital.calls, READ):
        process = begin().up()
        wait_until(lambda: asked(world, READ) == 1, "the run reads Dotdigital")
        process.signal(signal.SIGTERM)
        wait_until(
            lambda: "the daemon is stopping" in process.health()[1]["reasons"], "it tells that it stops"
        )
        assert process.health()[0] == 503
        assert process.health("/healthz")[0] == 200
    assert process.ended() == 0
    assert [one["kind"] for one in process.runs()] == ["first"]
    assert json.loads(process.log[-1])["event"] == "ended"
    assert agreement(world).agree


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_second_signal_ends_it_at_once(
    world: World, begin: Begin, number: signal.Signals, code: int
) -> None:
    with unanswered(world.dotdigital.calls, READ):
        process = begin().up()
        wait_until(lambda: asked(world, READ) == 1, "the run reads Dotdigital")
        process.signal(number)
        wait_until(
            lambda: "the daemon is stopping" in process.health()[1]["reasons"],
            "the first signal was taken",
        )
        process.signal(number)
        assert process.ended() == code
    assert process.runs() == []


@pytest.mark.parametrize("operation", ["importContact", "unsubscribe-contact", "getContacts"])
def test_killed_anywhere_it_ends_where_an_uninterrupted_run_would_have(
    world: World, settings: dict[str, str], begin: Begin, operation: str
) -> None:
    """Invariant: crash equivalence. The killed process's lease is not waited for, either."""
    with unanswered(world.dotdigital.calls, operation):
        process = begin().up()
        wait_until(lambda: asked(world, operation) == 1, f"{operation} is under way")
        process.signal(signal.SIGKILL)
        assert process.ended() == -signal.SIGKILL
    report = reconcile(settings)
    assert (report.exit_code, report.counts.held, report.counts.unproven) == (0, 0, 0)
    assert reconcile(settings).written.writes == 0
    assert agreement(world).agree


def test_two_daemons_on_one_state_db_are_one_too_many(begin: Begin) -> None:
    """By the command itself: what it says when it is up, and when it is refused."""
    first = begin(main, ("run",)).up()
    assert re.fullmatch(r"bridge is running: http://127\.0\.0\.1:\d+/ .*", first.said[0])
    second = begin(main, ("run",))
    assert second.ended() == 6
    assert second.said == []
    assert "Another process (" in "\n".join(second.log)


def test_a_side_that_is_down_is_shown_and_waited_for(world: World, begin: Begin) -> None:
    world.dotdigital.faults.add(InjectedFault("*", "reset", times=100_000))
    process = begin(BRIDGE_OVERLAP_SECONDS="0").up()
    wait_until(lambda: bool(process.health()[1]["last_round"]), "a run has ended")
    status, body = process.health()
    assert status == 503
    assert "dotdigital.suppressed has never been read to its end" in body["reasons"]
    assert body["last_round"]["ended"] == "trouble"
    assert process.health("/healthz")[0] == 200
    world.dotdigital.faults.clear()
    wait_until(lambda: process.health()[0] == 200, "it is ready again")
    process.signal(signal.SIGTERM)
    assert process.ended() == 0
    assert "@" not in "\n".join(process.log)
    assert agreement(world).agree


def test_the_token_guards_everything_but_the_sign_of_life(begin: Begin) -> None:
    process = begin(BRIDGE_WEB__TOKEN="long-random-word").up()
    assert process.health("/healthz")[0] == 200
    assert process.health("/readyz")[0] == 401
    url = process.said[0].split()[3]
    assert get(f"{url}nothing", {"Authorization": "Bearer long-random-word"})[0] == 404
    assert "long-random-word" not in "\n".join(process.log)
