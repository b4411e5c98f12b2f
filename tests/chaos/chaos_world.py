"""A daemon as a process of its own between both emulated services, with relays that can be disturbed."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Self

import bridge.app
from bridge.app import App, Options
from bridge.core.errors import LeaseHeld
from bridge.daemon.daemon import Daemon
from bridge.engine.report import Report
from bridge.logs import configure
from bridge.sandbox.people import RecordedPeople, SandboxPerson
from bridge.sandbox.population import Population
from bridge.sandbox.vendor_reads import IN
from bridge.sandbox.world import World
from bridge.settings import load
from tests.daemon.harness import get
from tests.daemon.processes import environ, reconcile
from tests.forked import ForkedProcess
from tests.tcp import Relay
from tests.waiting import wait_until

CLOCK_FILE, LEASE_SECONDS = "BRIDGE_TEST_CLOCK_FILE", "BRIDGE_TEST_LEASE_SECONDS"
NEWS = "newsletter"


def daemon() -> int:
    """`bridge run` with short pauses, a clock that a file sets, and a lease that the environment may shorten.
    Returns the exit code."""
    configure("info", json=True)
    offset = Path(os.environ[CLOCK_FILE])
    if seconds := os.environ.get(LEASE_SECONDS):
        bridge.app.LEASE = timedelta(seconds=float(seconds))

    def clock() -> datetime:
        with contextlib.suppress(ValueError):  # it is being written
            return datetime.now(UTC) + timedelta(seconds=float(offset.read_text()))
        return datetime.now(UTC)

    options = Options(
        clock=clock, sleep=lambda seconds: time.sleep(min(seconds, 0.05)), export_poll=0.05, import_poll=0.05
    )
    with App(load(), options) as app:
        return Daemon(app, check_every=0.1).run()


class ChaosWorld:
    """Both services, their people, and the daemon. `database_url` leads to the state DB directly; the daemon
    reaches PostgreSQL through `relay` and Dotdigital through `side_relay`."""

    def __init__(self, folder: Path, database_url: str | None, **more: str) -> None:
        self.clock_file = folder / "clock"
        self.clock_file.write_text("0")
        self._open = contextlib.ExitStack()
        self._world = self._open.enter_context(World(24, 1))
        switches = self._world.dotdigital.switches
        switches.rate_limits, switches.limit_low, switches.import_seconds = "tiered", 1_000_000, 0.1
        self._population = Population(self._world, 1)
        self._population.create()
        self.direct = environ(self._world, folder)
        self.database_url = database_url or self.direct["BRIDGE_DATABASE_URL"]
        self.direct["BRIDGE_DATABASE_URL"] = self.database_url
        self.side_relay = self._open.enter_context(Relay.to_http(self._world.dotdigital_url))
        there = {"BRIDGE_DOTDIGITAL__BASE_URL": f"http://127.0.0.1:{self.side_relay.port}"}
        if database_url is not None:
            self.relay = self._open.enter_context(Relay.to_url(database_url))
            there["BRIDGE_DATABASE_URL"] = self.relay.url(database_url)
        self._settings = {**self.direct, **there, **more, CLOCK_FILE: str(self.clock_file)}
        self._opted_out: list[SandboxPerson] = []

    def __enter__(self) -> Self:
        settings = {"PATH": os.environ["PATH"], **self._settings}
        self.process = ForkedProcess(daemon, environ=settings)
        self._open.callback(self.process.close)
        self._url = self.process.first_line().split()[3].rstrip("/")
        wait_until(lambda: self.health()[0] == 200, "the first run has ended, and the daemon is ready")
        self._in_before = self._opted_in()
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def health(self, path: str = "/readyz") -> tuple[int, Mapping[str, Any]]:
        """A health check of the daemon."""
        return get(self._url + path)

    def opt_out(self) -> None:
        """One more person opts out of the newsletter at each side."""
        now = self._world.clock.now()
        for one, at_mypreferences in zip(self._both_in()[:2], (True, False), strict=True):
            if at_mypreferences:
                self._world.mypreferences.set_preference(one.profiles[0], "NEWS_EMAIL", False, now)
            else:
                assert one.contact is not None
                self._world.dotdigital.set_preference(one.contact, 1002, False, now)
            self._opted_out.append(one)

    def _both_in(self) -> list[SandboxPerson]:
        recorded = RecordedPeople(self._world)
        return [
            one
            for one in self._population.people
            if (state := recorded.of(one)) is not None
            and state.status == "Subscribed"
            and state.mypreferences[NEWS].choice == state.dotdigital[NEWS].choice == IN
        ]

    def is_delivered(self) -> bool:
        """Whether both sides show every opt-out so far."""
        recorded = RecordedPeople(self._world)
        states = [recorded.of(one) for one in self._opted_out]
        return all(
            state is not None and IN not in (state.mypreferences[NEWS].choice, state.dotdigital[NEWS].choice)
            for state in states
        )

    def newly_opted_in(self) -> set[tuple[int, str, str]]:
        """People who are opted in to something at a side where they were not before."""
        return self._opted_in() - self._in_before

    def _opted_in(self) -> set[tuple[int, str, str]]:
        recorded = RecordedPeople(self._world)
        return {
            (one.number, side, topic)
            for one in self._population.people
            if (state := recorded.of(one)) is not None
            for side, choices in (("mypreferences", state.mypreferences), ("dotdigital", state.dotdigital))
            for topic, held in choices.items()
            if held.choice == IN
        }

    def run_elsewhere(self) -> Report:
        """One run by another process of the operator's, as soon as the lease is free."""
        found: list[Report] = []

        def attempt() -> bool:
            time.sleep(0.1)
            with contextlib.suppress(LeaseHeld):
                found.append(reconcile(self.direct))
            return bool(found)

        wait_until(attempt, "the lease is free")
        return found[0]
