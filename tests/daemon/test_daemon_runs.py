"""The daemon in this process, with runs that the test controls."""

from __future__ import annotations

import logging
import socket
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from bridge.app import App, Options
from bridge.core.errors import ConfigError, LeaseHeld, Unreachable
from bridge.core.model import Side, TopicId
from bridge.core.store_values import RunKind
from bridge.engine.run import RunOptions
from bridge.settings import load
from bridge.store import Store
from bridge.store.feeds import FeedStore
from tests.daemon.conftest import Start
from tests.daemon.harness import FEED, Running, ScriptedRunner, report, wait_until

FULL, FEEDS_ONLY = RunOptions(full=True), RunOptions(polling=True)
EACH_ROUND = timedelta(seconds=1)


def opened() -> ScriptedRunner:
    runner = ScriptedRunner()
    runner.gate.set()
    return runner


def store_in(folder: Path) -> Store:
    return Store.open(f"sqlite:///{folder / 'bridge.db'}", lambda: datetime.now(UTC))


def down() -> Unreachable:
    return Unreachable("Dotdigital does not answer.", side=Side.DOTDIGITAL, operation="get-server-time")


# the schedule


def test_runs_follow_one_another_and_never_overlap(start: Start) -> None:
    running = start(ScriptedRunner())
    wait_until(lambda: running.schedule()["coalesced"] >= 2, "three polls came due in one run")
    assert running.runner.ended == 0
    running.runner.gate.set()
    wait_until(lambda: running.runner.ended >= 2, "the poll that came due meanwhile was done")
    assert running.schedule()["overrun"] >= 3
    assert running.schedule()["missed"] == 0
    assert running.end() == 0
    assert running.runner.most_at_once == 1


def test_the_first_run_after_a_long_pause_reads_everybody(start: Start, tmp_path: Path) -> None:
    long_ago = datetime.now(UTC) - timedelta(hours=25, minutes=1)
    with store_in(tmp_path) as store:
        store.facts.swept_at = long_ago
    running = start(opened())
    wait_until(lambda: running.runs()["done"] >= 2, "two runs have ended")
    assert running.runner.options_seen[:2] == [FULL, FEEDS_ONLY]


def test_a_sweep_within_the_last_day_is_not_repeated_at_start(start: Start, tmp_path: Path) -> None:
    with store_in(tmp_path) as store:
        store.facts.swept_at = datetime.now(UTC) - timedelta(hours=24)
    running = start(opened())
    wait_until(lambda: running.runs()["done"] >= 1, "a run has ended")
    assert running.runner.options_seen[0] == FEEDS_ONLY


def test_the_sweep_of_a_one_shot_run_counts(start: Start, tmp_path: Path) -> None:
    with store_in(tmp_path) as store:
        store.runs.end(store.runs.begin(RunKind.FULL), "done", {})
        store.runs.end(store.runs.begin(RunKind.INCREMENTAL), "done", {})
    running = start(opened())
    wait_until(lambda: running.runs()["done"] >= 1, "a run has ended")
    assert running.runner.options_seen[0] == FEEDS_ONLY


def test_a_sweep_that_failed_stays_owed_and_is_tried_again_after_a_while(start: Start) -> None:
    ahead = [timedelta(0)]
    runner = opened()
    runner.fate = [report(RunKind.FULL, errors=(down(),))]
    running = start(runner, options=Options(clock=lambda: datetime.now(UTC) + ahead[0]))
    wait_until(lambda: running.runs()["done"] >= 2, "two runs have ended")
    assert running.runner.options_seen[:2] == [FULL, FEEDS_ONLY]
    ahead[0] = timedelta(minutes=16)
    wait_until(lambda: FULL in running.runner.options_seen[2:], "the sweep was tried again")


# trouble


def test_a_side_that_is_down_ends_no_daemon_and_is_shown(
    start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    runner = opened()
    runner.fate = [report(errors=(down(),)), down(), report()]
    with caplog.at_level(logging.INFO):
        running = start(runner)
        wait_until(lambda: running.runs()["troubled"] == 2, "both ways of telling were counted")
        wait_until(lambda: running.runner.ended >= 3, "runs go on")
    assert running.runs()["failed"] == 0
    troubles = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert [record.message for record in troubles] == ["side failed", "run finished", "run refused"]
    assert all(record.exc_info is None for record in troubles)


def test_an_unexpected_error_makes_it_unready_until_a_run_ends_well(
    start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    runner = ScriptedRunner(feeds={FEED: EACH_ROUND})
    runner.fate = [KeyError("x"), ValueError("y"), ZeroDivisionError("z")]
    running = start(runner)
    running.read_feed()
    assert running.health()[0] == 200
    for failures in (1, 2, 3):
        runner.gate.set()
        wait_until(lambda done=failures: running.runs()["failed"] == done, "a run has failed")  # type: ignore[misc]
        runner.gate.clear()
        status, body = running.health()
        assert status == 503
        assert "unexpected error" in body["reasons"][0]
        assert body["exit_code"] == 1
    assert running.health("/healthz")[0] == 200
    assert "KeyError" in caplog.text
    runner.gate.set()
    wait_until(lambda: running.health()[0] == 200, "it is ready again")


def test_a_run_that_hangs_turns_the_sign_of_life_off_and_names_its_step(start: Start) -> None:
    runner = ScriptedRunner(beating=False)
    running = start(runner, limit=timedelta(milliseconds=100))
    wait_until(lambda: running.health("/healthz")[0] == 503, "the hang was found")
    assert running.health("/healthz")[1]["round"]["step"] == "reading a.feed"
    assert "hung" in running.health()[1]["reasons"][0]
    runner.gate.set()
    wait_until(lambda: running.health("/healthz")[0] == 200, "it goes on")


# readiness


def test_it_is_ready_once_every_feed_is_fresh(start: Start) -> None:
    runner = opened()
    running = start(runner, settings={"BRIDGE_OVERLAP_SECONDS": "10"})
    assert running.health()[1]["reasons"] == ["no run has read a feed yet"]
    runner.feeds = {FEED: EACH_ROUND}
    assert running.health()[1]["reasons"] == [f"{FEED} has never been read to its end"]
    running.read_feed(ago=timedelta(minutes=1))
    status, body = running.health()
    assert status == 503
    assert body["fresh_seconds"] == 13
    assert body["reasons"][0].startswith(f"{FEED} was last read to its end 0:01")
    running.read_feed()
    assert running.health()[0] == 200


def test_a_mapping_that_waits_for_approval_makes_it_unready_and_is_named(start: Start) -> None:
    """All other topics go on; the operator sees what to do."""
    runner = opened()
    runner.feeds = {FEED: EACH_ROUND}
    runner.fate = [replace(report(), unapproved=(TopicId("news"), TopicId("offers")))] * 100
    running = start(runner)
    running.read_feed()
    wait_until(lambda: running.health()[0] == 503, "it is not ready")
    (reason,) = running.health()[1]["reasons"]
    assert "bridge reconcile --approve-mapping" in reason
    assert "news, offers" in reason


def test_a_feed_that_waits_for_its_turn_is_fresh_for_as_long_as_that_may_take(start: Start) -> None:
    runner = opened()
    runner.feeds = {FEED: timedelta(minutes=10)}
    running = start(runner, settings={"BRIDGE_OVERLAP_SECONDS": "10"})
    running.read_feed(ago=timedelta(minutes=10))
    assert running.health()[0] == 200
    runner.feeds = {FEED: timedelta(minutes=9)}
    assert running.health()[0] == 503


def test_a_state_db_that_does_not_answer_makes_it_unready(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    running = start(ScriptedRunner(feeds={FEED: EACH_ROUND}))

    def gone(_: FeedStore) -> dict[str, datetime]:
        raise OSError("disk is gone")

    monkeypatch.setattr(FeedStore, "watermarks", gone)
    assert running.health()[1]["reasons"] == ["the state DB is unavailable (OSError)"]


# the lease


def test_a_second_daemon_is_refused_with_the_lease_holder_named(start: Start, tmp_path: Path) -> None:
    start(ScriptedRunner())
    second = Running(tmp_path, ScriptedRunner())
    second.ended()
    assert isinstance(second.error, LeaseHeld)
    assert socket.gethostname() in str(second.error)


@pytest.mark.parametrize("in_a_run", [True, False])
def test_a_lost_lease_ends_the_current_run_and_the_daemon(
    start: Start, tmp_path: Path, caplog: pytest.LogCaptureFixture, in_a_run: bool
) -> None:
    ahead = [timedelta(0)]
    runner = ScriptedRunner() if in_a_run else opened()
    running = start(
        runner,
        settings={"BRIDGE_POLL_SECONDS": "3600"},
        options=Options(clock=lambda: datetime.now(UTC) + ahead[0]),
    )
    if in_a_run:
        wait_until(lambda: runner.going_on == 1, "a run goes on")
    else:
        wait_until(lambda: running.runs()["done"] == 1, "the run has ended")
    with store_in(tmp_path) as other, other.lease(owner="x", ttl=timedelta(hours=2), is_gone=lambda _: True):
        ahead[0] = timedelta(seconds=90)  # a lease is renewed once a third of its time has passed
        assert running.ended() == 1
    assert runner.ended == 1
    assert running.hard == []
    assert "Another process took over" in str(caplog.records[-1].__dict__["why"])


def test_a_run_that_lost_its_lease_and_does_not_end_is_ended_with_the_process(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bridge.daemon.daemon.LOST_GRACE", 0.05)
    ahead = [timedelta(0)]
    options = Options(clock=lambda: datetime.now(UTC) + ahead[0])
    running = start(ScriptedRunner(beating=False), options=options)
    wait_until(lambda: running.runner.going_on == 1, "a run goes on")
    with store_in(tmp_path) as other, other.lease(owner="x", ttl=timedelta(hours=2), is_gone=lambda _: True):
        ahead[0] = timedelta(seconds=90)
        wait_until(lambda: running.hard == [1], "the process was ended")


def test_the_lease_is_given_back_at_the_end(start: Start, tmp_path: Path) -> None:
    assert start(opened()).end() == 0
    with store_in(tmp_path) as store, store.lease(owner="next", ttl=timedelta(minutes=1)) as lease:
        assert lease.fence > 1


# the end


def test_stopping_finishes_the_current_run_and_shows_in_health(start: Start) -> None:
    runner = ScriptedRunner(feeds={FEED: EACH_ROUND})
    running = start(runner)
    running.read_feed()
    wait_until(lambda: runner.going_on == 1, "a run goes on")
    running.daemon.stop()
    wait_until(
        lambda: running.health()[1]["reasons"] == ["the daemon is stopping"], "health reports stopping"
    )
    status, body = running.health("/healthz")
    assert (status, body["stopping"], runner.ended) == (200, True, 0)
    runner.gate.set()
    assert running.ended() == 0
    assert (runner.ended, len(runner.options_seen)) == (1, 1)


def test_a_worker_that_ends_takes_the_daemon_with_it(start: Start) -> None:
    runner = opened()
    runner.fate = [SystemExit(7)]
    assert start(runner).ended() == 1


def test_a_web_server_that_ends_takes_the_daemon_with_it(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    running = start(opened())

    async def fail(*_: object) -> bool:
        raise OSError("no more files")

    monkeypatch.setattr("bridge.web.server._Uvicorn.on_tick", fail)
    assert running.ended() == 1


def test_what_cannot_begin_says_why_and_leaves_the_lease_free(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        running = Running(tmp_path, ScriptedRunner(), settings={"BRIDGE_WEB__PORT": port})
        running.ended()
    assert isinstance(running.error, ConfigError)
    assert running.runner.options_seen == []
    with store_in(tmp_path) as store, store.lease(owner="next", ttl=timedelta(minutes=1)):
        assert store.runs.last() == []


def test_missing_settings_are_named_before_anything_begins(tmp_path: Path) -> None:
    from bridge.daemon.daemon import Daemon

    settings = load(environ={"BRIDGE_DATABASE_URL": f"sqlite:///{tmp_path / 'bridge.db'}"})
    with App(settings) as app, pytest.raises(ConfigError, match="MyPreferences cannot be called"):
        Daemon(app).run()
    assert not (tmp_path / "bridge.db").exists()
