"""A daemon in a thread of the test, with runs that the test controls."""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from bridge.app import App, Options
from bridge.core.errors import SideError
from bridge.core.model import RunId, Side
from bridge.core.store_values import Counts, RunKind
from bridge.daemon.daemon import Daemon
from bridge.engine.context import Progress
from bridge.engine.report import Report, WriteCounts
from bridge.engine.run import RunOptions
from bridge.settings import load
from tests.waiting import PATIENCE, wait_until

FEED = "dotdigital.suppressed"


def get(url: str, headers: Mapping[str, str] | None = None) -> tuple[int, dict[str, Any]]:
    """Status and JSON body of a GET."""
    parts = urlsplit(url)
    caller = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=PATIENCE)
    try:
        caller.request("GET", parts.path, headers=dict(headers or {}))
        answer = caller.getresponse()
        return answer.status, json.loads(answer.read())
    finally:
        caller.close()


def report(kind: RunKind = RunKind.INCREMENTAL, errors: tuple[SideError, ...] = ()) -> Report:
    """A run that found nothing to do."""
    nothing = dict.fromkeys(Side, 0)
    return Report(
        run=RunId("20260301-120000-1"),
        kind=kind,
        started_at=datetime(2026, 3, 1, 12, tzinfo=UTC),
        seconds=0.1,
        observed=dict(nothing),
        written=WriteCounts(),
        counts=Counts(0, 0, 0, 0),
        calls=dict(nothing),
        brakes=[],
        warnings=[],
        errors=list(errors),
    )


@dataclass
class ScriptedRunner:
    """Runs that wait, while `gate` is closed, and end as `fate` says. Fills `bridge.daemon.Work`."""

    feeds: Mapping[str, timedelta] = field(default_factory=dict)
    options_seen: list[RunOptions] = field(default_factory=list)
    fate: list[BaseException | Report] = field(default_factory=list)
    gate: threading.Event = field(default_factory=threading.Event)
    beating: bool = True
    going_on: int = 0
    most_at_once: int = 0
    ended: int = 0
    refuse: Exception | None = None

    def prepare(self) -> None:
        if self.refuse is not None:
            raise self.refuse

    def run(self, options: RunOptions, *, progress: Progress, heartbeat: Callable[[], None]) -> Report:
        self.options_seen.append(options)
        self.going_on += 1
        self.most_at_once = max(self.most_at_once, self.going_on)
        try:
            progress("reading a.feed", 1)
            while not self.gate.wait(0.02):
                if self.beating:
                    heartbeat()
            outcome = self.fate.pop(0) if self.fate else report()
        finally:
            self.going_on -= 1
            self.ended += 1
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome


class Running:
    """A daemon running in a thread. Its `code` is its exit code, `error` what it raised instead."""

    def __init__(
        self,
        folder: Path,
        runner: ScriptedRunner,
        settings: Mapping[str, str] | None = None,
        options: Options | None = None,
        **more: Any,
    ) -> None:
        environ = {
            "BRIDGE_DATABASE_URL": f"sqlite:///{folder / 'bridge.db'}",
            "BRIDGE_POLL_SECONDS": "1",
            "BRIDGE_WEB__PORT": "0",
            **(settings or {}),
        }
        self.app = App(load(environ=environ), options)
        self.runner = runner
        self.code: int | None = None
        self.error: BaseException | None = None
        self._lines: list[str] = []
        self.hard: list[int] = []
        self.daemon = Daemon(
            self.app,
            runner=runner,
            announce=self._lines.append,
            exit_now=self.hard.append,
            environ=more.pop("environ", {}),
            check_every=0.02,
            **more,
        )
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            with self.app:
                self.code = self.daemon.run()
        except BaseException as error:  # noqa: BLE001 - handed to the test
            self.error = error

    def up(self) -> Running:
        """Wait until it says that it runs."""
        wait_until(lambda: bool(self._lines) or not self._thread.is_alive(), "the daemon is up")
        if self.error is not None:
            raise self.error
        return self

    @property
    def url(self) -> str:
        return self._lines[0].split()[3].rstrip("/")

    def health(self, path: str = "/readyz") -> tuple[int, dict[str, Any]]:
        return get(self.url + path)

    def schedule(self) -> dict[str, int]:
        counts: dict[str, int] = self.health("/healthz")[1]["schedule"]
        return counts

    def runs(self) -> dict[str, int]:
        counts: dict[str, int] = self.health("/healthz")[1]["rounds"]
        return counts

    def read_feed(self, ago: timedelta = timedelta(0)) -> None:
        """As if the feed had been read to its end that long ago."""
        store = self.app.store
        run = store.runs.begin(RunKind.INCREMENTAL)
        store.observations.record([], Side.DOTDIGITAL, run=run, feed=FEED, watermark=datetime.now(UTC) - ago)
        store.runs.end(run, "done", {})

    def end(self) -> int | None:
        """Stop it, wait, and give its exit code."""
        self.runner.gate.set()
        self.daemon.stop()
        return self.ended()

    def ended(self) -> int | None:
        wait_until(lambda: not self._thread.is_alive(), "the daemon has ended")
        return self.code
