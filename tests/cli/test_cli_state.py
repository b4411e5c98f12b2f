"""Every condition of the sync is told alike: by the report of a run and its exit code, by `status` as text,
as JSON and by its exit code, by `/readyz` and by `doctor`."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cli_world import Call, CommandResult

from bridge.core.errors import ConfigError, Unreachable
from bridge.core.facts import LaggingRead
from bridge.core.model import PersonId, Side, TopicId
from bridge.core.store_values import Counts, RunKind
from bridge.core.sync_state import TABLE, Condition, Exit, Source, exit_code, is_ready
from bridge.daemon.health import Health, RunStats, StateProbe
from bridge.daemon.liveness import Heartbeat
from bridge.engine.context import RunContext, RunHealth
from bridge.engine.report import Report, WriteCounts, make_report
from bridge.engine.run import closing
from bridge.store.cells import CellStore
from bridge.store.erasures import ErasureStore
from bridge.store.feeds import FeedStore
from tests.engine.world import OUT, THEIRS, World, trouble

FEED = "dotdigital.suppressed"
OF_RUN: Mapping[Condition, Callable[[RunHealth], object]] = {
    Condition.SIDE_DOWN: lambda health: health.lost(THEIRS, trouble(Unreachable)),
    Condition.INCOMPLETE: lambda health: health.incomplete.update({FEED: None}),
    Condition.PEOPLE_UNREAD: lambda health: health.unread_people[THEIRS].add(PersonId(1)),
    Condition.CLOCKS: lambda health: health.clocks.append("the clocks differ by 9 s"),
    Condition.UNAPPROVED: lambda health: health.unapproved.add(TopicId("newsletter")),
    Condition.GONE: lambda health: health.gone.update({TopicId("newsletter"): "no preference 1002"}),
}
OF_ERROR: Mapping[Condition, BaseException] = {
    Condition.RUN_FAILED: KeyError("x"),
    Condition.RUN_REFUSED: ConfigError("This state DB belongs to another account."),
}
COUNTED = {
    Condition.HELD: "held",
    Condition.DEAD: "dead",
    Condition.UNPROVEN: "unproven",
    Condition.WAITING: "waiting",
}
OF_STATE: Mapping[Condition, Callable[[World], object]] = {
    Condition.LEDGER: lambda world: setattr(world.store.facts, "ledger_problem", "the ledger is broken"),
    Condition.FIRST_RUN: lambda world: setattr(world.store.facts, "first_run_completed", None),
    Condition.DEAF_FEED: lambda world: setattr(world.store.facts, "deaf_feeds", ("mypreferences.events",)),
    Condition.LAGGING: lambda world: setattr(
        world.store.facts, "lagging_reads", (LaggingRead(Side.MYPREFERENCES, "7", {}, 1, world.now),)
    ),
    Condition.UNREAD: lambda world: world.store.retry_queue.add(THEIRS, person=_person(world), error="500"),
}
ERASING = {Condition.ERASURES: "unfinished", Condition.ERASURE_KEY: "unreadable"}
OTHERS = {
    Condition.BRAKE, Condition.FAILED, Condition.RUN_STOPPED, Condition.NEVER_RAN, Condition.OVERDUE,
}  # fmt: skip
OF_PROCESS = {Condition.STOPPING, Condition.HUNG, Condition.IDLE, Condition.STATE_DB_DOWN}


def _person(world: World) -> Any:
    who = world.store.people.find("ada@example.com")
    assert who is not None
    return who.person


class States:
    """A state DB whose state a test makes, and every surface that tells it."""

    def __init__(self, world: World, call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
        self.world, self.patch = world, monkeypatch
        self._call = call
        self.stats = RunStats(world.clock)
        self.heartbeat = Heartbeat(timedelta(milliseconds=1), time.monotonic)
        feeds = [feed for side in world.sides.values() for feed in side.feeds(timedelta(seconds=60))]
        self.feeds = {feed.name: timedelta(days=400) for feed in feeds if feed.topics}
        self.health = Health(
            heartbeat=self.heartbeat,
            stats=self.stats,
            probe=StateProbe(world.store),
            feeds=lambda: self.feeds,
            schedule=dict,
            clock=world.clock,
            poll=timedelta(seconds=60),
            overlap=timedelta(seconds=900),
        )

    def run(
        self,
        change: Callable[[RunHealth], object] = lambda _: None,
        failed: int = 0,
        brakes: tuple[str, ...] = (),
    ) -> Report:
        """A run that finds this, and the daemon that made it."""
        run = RunContext(self.world.services(), RunKind.INCREMENTAL)
        change(run.health)
        report = make_report(run, WriteCounts(failed=failed), brakes=brakes)
        run.end("done" if not report.errors else "failed", report.shown())
        self.stats.done(report)
        return report

    def fail(self, error: BaseException) -> None:
        """A run that is ended by an error."""
        with suppress(type(error)), closing(RunContext(self.world.services(), RunKind.INCREMENTAL)):
            raise error
        if isinstance(error, ConfigError):
            self.stats.refused(error)
        else:
            self.stats.failed(type(error).__name__)

    def status(self, *more: str) -> CommandResult:
        return self._call("status", *more, DATABASE_URL=self.world.url)

    def agreed(self) -> set[Condition]:
        """The conditions that all surfaces tell alike, with their exit code and readiness."""
        shown, text = self.status("--json"), self.status()
        status, ready = shown.json, self.health.ready()
        doctor = self._call("doctor", "--json", DATABASE_URL=self.world.url).json["sync"]
        assert (
            shown.code == text.code == status["exit_code"] == doctor["exit_code"] == ready.body["exit_code"]
        )
        assert status["in_sync"] == doctor["in_sync"] == ready.body["in_sync"] == (shown.code == 0)
        assert status["ready"] == doctor["ready"] == ready.body["ready"] == ready.ok
        assert status["conditions"] == doctor["conditions"] == list(ready.body["conditions"])
        words = " ".join(text.out.split()).casefold()
        for one in status["conditions"]:
            assert one["text"].removeprefix("dotdigital: ").casefold().split("`")[0].strip() in words
        assert ("in sync: nothing is waiting" in words) is (shown.code == 0)
        return {Condition(one["condition"]) for one in status["conditions"]}


@pytest.fixture
def states(tmp_path: Path, call: Call, monkeypatch: pytest.MonkeyPatch) -> Iterator[States]:
    world = World(tmp_path)
    world.say(THEIRS, "ada@example.com", "newsletter", OUT)
    world.started()
    made = States(world, call, monkeypatch)
    monkeypatch.setattr("bridge.cli.db.now", world.clock)
    yield made
    world.close()


def agrees_with(states: States, report: Report) -> set[Condition]:
    """The same, and the report of the run says it too."""
    found = states.agreed()
    assert found == {problem.condition for problem in report.problems}
    assert report.exit_code == states.status().code == report.shown()["exit_code"]
    assert report.in_sync is (report.exit_code == 0)
    return found


def test_every_condition_has_a_row_and_a_test() -> None:
    assert TABLE.keys() == set(Condition)
    told = {*OF_RUN, *OF_ERROR, *COUNTED, *OF_STATE, *ERASING, *OTHERS, *OF_PROCESS}
    assert told == set(Condition)
    assert {one for one in Condition if TABLE[one].source is Source.PROCESS} == OF_PROCESS


def test_in_order_all_say_so(states: States) -> None:
    assert agrees_with(states, states.run()) == set()
    assert states.status().code == 0


@pytest.mark.parametrize("condition", OF_RUN)
def test_what_a_run_finds_is_told_alike(states: States, condition: Condition) -> None:
    assert agrees_with(states, states.run(OF_RUN[condition])) == {condition}


def test_a_brake_and_failed_writes_are_told_alike(states: States) -> None:
    report = states.run(failed=2, brakes=("raises: more than 10",))
    assert agrees_with(states, report) == {Condition.BRAKE, Condition.FAILED}
    assert report.exit_code == Exit.BRAKE


@pytest.mark.parametrize("condition", OF_ERROR)
def test_a_run_that_ends_by_an_error_is_told_alike(states: States, condition: Condition) -> None:
    states.fail(OF_ERROR[condition])
    assert states.agreed() == {condition}
    assert not states.health.ready().ok


def test_a_run_that_was_killed_is_told_alike(states: States) -> None:
    states.world.store.runs.begin(RunKind.INCREMENTAL)
    with states.world.store.lease(owner="the next", ttl=timedelta(seconds=30)):
        assert states.agreed() == {Condition.RUN_STOPPED}


def test_no_run_at_all_is_told_alike(states: States) -> None:
    states.patch.setattr("bridge.store.runs.RunStore.last_ended", lambda *_: [])
    states.patch.setattr(states.health, "_feeds", dict)
    assert states.agreed() == {Condition.NEVER_RAN}


@pytest.mark.parametrize("condition", OF_STATE)
def test_what_the_state_db_tells_is_told_alike(states: States, condition: Condition) -> None:
    OF_STATE[condition](states.world)
    assert agrees_with(states, states.run()) == {condition}


@pytest.mark.parametrize("condition", COUNTED)
def test_what_waits_is_told_alike(states: States, condition: Condition) -> None:
    counts = replace(Counts(0, 0, 0, 0), **{COUNTED[condition]: 3})
    states.patch.setattr(CellStore, "counts", lambda _: counts)
    assert agrees_with(states, states.run()) == {condition}


@pytest.mark.parametrize("condition", ERASING)
def test_erasures_are_told_alike(states: States, condition: Condition) -> None:
    states.patch.setattr(ErasureStore, ERASING[condition], lambda _: 2)
    assert agrees_with(states, states.run()) == {condition}


def test_a_feed_behind_its_schedule_is_told_alike_while_a_daemon_is_to_serve(states: States) -> None:
    report = states.run()
    marks = {feed: states.world.now - timedelta(hours=2) for feed in report.feeds}
    states.patch.setattr(FeedStore, "watermarks", lambda _: marks)
    assert states.status().code == 0  # one-shot runs have no schedule
    states.world.store.facts.serving_since = states.world.now
    states.feeds = {feed: timedelta(seconds=60) for feed in report.feeds}
    states.patch.setattr("bridge.engine.sync_facts.last_turns", lambda _: states.feeds)
    shown = states.status("--json")
    assert shown.code == Exit.UNSEEN
    late = shown.json["overdue_seconds"]
    assert set(late) == set(report.feeds)
    assert all(5000 < seconds < 7200 for seconds in late.values())
    ready = states.health.ready()
    assert (ready.ok, ready.body["exit_code"]) == (False, Exit.UNSEEN)
    assert {one["condition"] for one in ready.body["conditions"]} == {"overdue"}


@pytest.mark.parametrize("condition", sorted(OF_PROCESS))
def test_what_the_daemon_knows_about_itself_makes_it_unready(states: States, condition: Condition) -> None:
    states.run()
    match condition:
        case Condition.STOPPING:
            states.health.stop()
        case Condition.HUNG:
            states.heartbeat.beat("reading")
            time.sleep(0.01)
        case Condition.IDLE:
            states.patch.setattr(states.stats, "_ended_at", time.monotonic() - 5000)
        case _:
            states.patch.setattr(FeedStore, "watermarks", _unavailable)
    ready = states.health.ready()
    assert not ready.ok
    assert condition in {one["condition"] for one in ready.body["conditions"]}
    assert ready.body["reasons"]
    json.dumps(ready.body)


def _unavailable(_: object) -> None:
    raise OSError("no disk")


def test_a_state_db_that_hangs_delays_no_health_check(states: States) -> None:
    started: list[float] = []

    def hang(_: object) -> dict[str, Any]:
        started.append(time.monotonic())
        time.sleep(3)
        return {}

    states.patch.setattr(FeedStore, "watermarks", hang)
    states.patch.setattr(states.health, "_probe", StateProbe(states.world.store, patience=0.05))
    for _ in range(3):
        assert {one["condition"] for one in states.health.ready().body["conditions"]} >= {"state_db_down"}
    assert states.health.alive().ok
    assert len(started) == 1  # checks wait for the one reading, and begin no other


def test_the_worst_condition_gives_the_exit_code() -> None:
    every = list(map(_problem, Condition))
    assert exit_code(every) == Exit.UNEXPECTED
    assert exit_code([]) == Exit.IN_SYNC
    assert not is_ready(every)
    for condition in Condition:
        assert exit_code([_problem(condition)]) != Exit.IN_SYNC


def _problem(condition: Condition) -> Any:
    from bridge.core.sync_state import SyncProblem

    return SyncProblem(condition)
