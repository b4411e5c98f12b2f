"""The daemon as a process of its own, against both emulated services."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bridge.app import App, Options
from bridge.daemon.daemon import Daemon
from bridge.engine.report import Report
from bridge.engine.run import RunOptions, run_once
from bridge.logs import configure
from bridge.sandbox.compare import Comparison, compare
from bridge.sandbox.vendor_reads import DotdigitalAccess, MyPreferencesAccess
from bridge.sandbox.world import CHANNEL, TOPICS, World
from bridge.settings import load
from tests.daemon.harness import get
from tests.forked import ForkedProcess, Main

ROOT = Path(__file__).resolve().parents[2]


def environ(world: World, folder: Path) -> dict[str, str]:
    """The settings of a bridge between the two services."""
    return {
        **world.settings(),
        "BRIDGE_DATABASE_URL": f"sqlite:///{folder / 'bridge.db'}",
        "BRIDGE_MAPPING": str(ROOT / "mappings" / "bridge.toml"),
        "BRIDGE_MYPREFERENCES__RATE": "1000",
        "BRIDGE_POLL_SECONDS": "1",
        "BRIDGE_WEB__PORT": "0",
    }


def impatient() -> int:
    """`bridge run` with short pauses between tries and between polls of a job. Returns the exit code."""
    configure("info", json=True)
    options = Options(
        sleep=lambda seconds: time.sleep(min(seconds, 0.05)), export_poll=0.05, import_poll=0.05
    )
    with App(load(), options) as app:
        return Daemon(app, check_every=0.1).run()


class Process:
    """One daemon. `log` holds its log's lines so far."""

    def __init__(
        self, settings: Mapping[str, str], program: Main = impatient, args: tuple[str, ...] = ()
    ) -> None:
        environ = {"PATH": os.environ["PATH"], **settings}
        self._process = ForkedProcess(program, args, environ=environ, strict=True)
        self.said, self.log = self._process.out, self._process.err
        self.signal, self.ended, self.close = self._process.signal, self._process.ended, self._process.close

    def up(self) -> Process:
        self._process.first_line()
        return self

    def health(self, path: str = "/readyz") -> tuple[int, dict[str, Any]]:
        return get(self.said[0].split()[3].rstrip("/") + path)

    def runs(self) -> list[dict[str, Any]]:
        """The runs that have ended, as logged."""
        return [line for line in map(json.loads, list(self.log)) if line["event"] == "run finished"]


def reconcile(settings: Mapping[str, str]) -> Report:
    """One run in this process, under the lease."""
    with App(load(environ=settings), Options(export_poll=0.05)) as app, app.lease() as lease:
        report = run_once(app.services(heartbeat=lease.renew), app.writers(), RunOptions())
        app.store.ledger.verify()
        return report


def agreement(world: World) -> Comparison:
    """What an impartial check finds at both services."""
    where = world.settings()
    return compare(MyPreferencesAccess.of(where), DotdigitalAccess.of(where), TOPICS, CHANNEL)
