"""SIGHUP: the daemon goes on with new settings and secrets, or with the old ones where the new are wrong; and
giving way to a command that waits for the lease."""

from __future__ import annotations

import json
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from pathlib import Path

import pytest

from bridge.app import Options
from bridge.cli.entry import run as run_command
from bridge.core.clocks import utc_now
from bridge.daemon.service import Service
from bridge.logs import configure
from bridge.sandbox.world import World
from bridge.settings import load
from bridge.store import Store
from tests.daemon.harness import Running, ScriptedRunner, wait_until
from tests.daemon.processes import Process, environ

Start = Callable[..., Running]


def serve() -> int:
    """`bridge run` with the config file that is its argument, and short pauses."""
    configure("info", json=True)
    config = Path(sys.argv[1])
    options = Options(sleep=lambda seconds: time.sleep(min(seconds, 0.05)), export_poll=0.05)
    return Service(load(config), lambda: load(config), options=options).run()


def command() -> int:
    """Any command line."""
    return run_command(sys.argv[1:])


@pytest.fixture
def world() -> Iterator[World]:
    with World(20, 1) as made:
        yield made


@pytest.fixture
def settings(world: World, tmp_path: Path) -> dict[str, str]:
    given = environ(world, tmp_path) | {"BRIDGE_ERASURE_KEY": "a-long-random-word"}
    del given["BRIDGE_MYPREFERENCES__SEGMENT"], given["BRIDGE_POLL_SECONDS"]
    return given


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "bridge.toml"
    path.write_text("poll_seconds = 3600\nsecrets_dir = 'secrets'\n")
    (tmp_path / "secrets").mkdir()
    return path


@pytest.fixture
def daemon(settings: Mapping[str, str], config: Path) -> Iterator[Process]:
    process = Process(settings, serve, (str(config),))
    yield process.up()
    process.close()


def events(process: Process) -> list[str]:
    return [json.loads(line)["event"] for line in list(process.log)]


def test_new_settings_are_used_after_sighup(daemon: Process, config: Path) -> None:
    config.write_text(config.read_text().replace("3600", "7200"))
    daemon.signal(signal.SIGHUP)
    wait_until(lambda: len(daemon.said) == 2, "it runs with the new settings")
    assert "polling every 7200 s" in daemon.said[1]
    assert "settings reloaded" in events(daemon)
    daemon.said[:] = daemon.said[1:]
    assert daemon.health("/healthz")[0] == 200
    daemon.signal(signal.SIGTERM)
    assert daemon.ended() == 0


def test_a_secret_that_was_rotated_is_read_again(daemon: Process, config: Path) -> None:
    (config.parent / "secrets" / "web__token").write_text("long-random-word")
    assert daemon.health("/readyz")[0] != 401
    daemon.signal(signal.SIGHUP)
    wait_until(lambda: len(daemon.said) == 2, "it runs with the new secret")
    daemon.said[:] = daemon.said[1:]
    assert daemon.health("/readyz")[0] == 401
    assert "long-random-word" not in "\n".join(daemon.log)


@pytest.mark.parametrize(
    "wrong", ["poll_seconds = 'often'", "poll_secnods = 3", "[web]\ntoken = 'short'", "="]
)
def test_wrong_new_settings_leave_the_old_ones(daemon: Process, config: Path, wrong: str) -> None:
    config.write_text(wrong)
    daemon.signal(signal.SIGHUP)
    wait_until(lambda: "the new settings are not used; the old ones stay" in events(daemon), "it says so")
    (line,) = [one for one in map(json.loads, list(daemon.log)) if "old ones stay" in one["event"]]
    assert line["level"] == "error"
    assert daemon.health("/healthz")[0] == 200
    assert len(daemon.said) == 1
    daemon.signal(signal.SIGTERM)
    assert daemon.ended() == 0


def test_a_person_is_erased_beside_the_daemon(
    daemon: Process, world: World, settings: Mapping[str, str], config: Path
) -> None:
    address = "anna.archer@example.com"
    world.dotdigital.switches.delete_polls = 0
    world.mypreferences.add_profile([("Primary", address)])
    wait_until(lambda: bool(daemon.runs()), "the first run is done")
    dry = Process(settings, command, ("forget", address, "--dry-run", "--config", str(config)))
    assert dry.ended() == 0, dry.log
    forget = Process(settings, command, ("forget", address, "--yes", "--config", str(config)))
    assert forget.ended() == 0, forget.log
    assert not world.mypreferences.find(address)
    wait_until(lambda: "the lease is back" in events(daemon), "the daemon has its lease back")
    assert daemon.health("/healthz")[0] == 200
    check = Process(settings, command, ("forget", address, "--check", "--json", "--config", str(config)))
    assert check.ended() == 0
    assert json.loads("".join(check.said))["erased"] is True
    daemon.signal(signal.SIGTERM)
    assert daemon.ended() == 0


def test_a_plan_is_made_beside_the_daemon_and_leaves_nothing_behind(
    daemon: Process, settings: Mapping[str, str], config: Path, tmp_path: Path
) -> None:
    wait_until(lambda: bool(daemon.runs()), "the first run is done")
    with Store.reader(settings["BRIDGE_DATABASE_URL"], utc_now) as store:
        before = store.runs.last(5)
    plan = Process(settings, command, ("plan", "--json", "--config", str(config)))
    assert plan.ended() in (0, 3), plan.log
    assert json.loads("\n".join(plan.said))["writes_sent"] == 0
    saved = Process(settings, command, ("plan", "--out", str(tmp_path / "p.json"), "--config", str(config)))
    assert saved.ended() == 2
    assert not (tmp_path / "p.json").exists()
    with Store.reader(settings["BRIDGE_DATABASE_URL"], utc_now) as store:
        assert store.runs.last(5) == before


def test_what_the_daemon_writes_is_seen_beside_it_whatever_command_came_and_went(
    settings: Mapping[str, str], config: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """A command that leaves must not take the daemon's journal with it."""
    hooks = {
        "BRIDGE_WEB__HOOK_SECRET": "a-long-random-word"
    }  # webhooks are stored by a connection of their own
    daemon = Process({**settings, **hooks}, command, ("run", "--config", str(config)))
    request.addfinalizer(daemon.close)
    daemon.up()

    def number_of_runs() -> int:
        listed = Process(settings, command, ("runs", "list", "--json", "--config", str(config)))
        assert listed.ended() == 0, listed.log
        return len(json.loads("\n".join(listed.said))["runs"])

    wait_until(lambda: bool(daemon.runs()), "the first run is done")
    for name in ("status", "doctor", "plan"):
        Process(settings, command, (name, "--config", str(config))).ended()
    before = number_of_runs()
    daemon.signal(signal.SIGHUP)
    wait_until(lambda: len(daemon.said) == 2, "it reads its settings and opens the state DB again")
    wait_until(lambda: len(daemon.runs()) == 2, "another run is done")
    assert number_of_runs() == before + 1
    assert (tmp_path / "bridge.db-wal").exists()


def test_the_lease_is_lent_between_two_runs_and_the_daemon_goes_on(start: Start) -> None:
    runner = ScriptedRunner()
    runner.gate.set()
    running = start(runner)
    store = running.app.store
    wait_until(lambda: store.lease_holder() is not None, "the daemon has the lease")
    store.turns.ask("another pid 1")
    wait_until(lambda: store.lease_holder() is None, "it gives way")
    store.turns.withdraw("another pid 1")
    wait_until(lambda: store.lease_holder() is not None, "it takes the lease back")
    before = runner.ended
    wait_until(lambda: runner.ended > before, "runs go on")
    assert running.end() == 0


def test_a_daemon_that_lent_its_lease_can_be_stopped(start: Start, tmp_path: Path) -> None:
    runner = ScriptedRunner()
    runner.gate.set()
    running = start(runner)
    store = running.app.store
    store.turns.ask("another pid 1")
    wait_until(lambda: store.lease_holder() is None, "it gives way")
    with (
        Store.open(f"sqlite:///{tmp_path / 'bridge.db'}", running.app.options.clock) as other,
        other.lease(owner="another pid 1", ttl=timedelta(minutes=1)),
    ):
        assert running.end() == 0
