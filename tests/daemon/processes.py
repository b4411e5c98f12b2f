"""The daemon as a process of its own, against both emulated services."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bridge.app import App, Options
from bridge.engine.report import Report
from bridge.engine.run import RunOptions, run_once
from bridge.sandbox.compare import Comparison, compare
from bridge.sandbox.vendor_reads import DotdigitalAccess, MyPreferencesAccess
from bridge.sandbox.world import CHANNEL, TOPICS, World
from bridge.settings import load
from tests.daemon.harness import get, wait_until

ROOT = Path(__file__).resolve().parents[2]
IMPATIENT = (str(ROOT / "tests" / "daemon" / "child.py"),)
COMMAND = ("-m", "bridge", "run")


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


class Process:
    """One daemon. `log` holds its log's lines so far."""

    def __init__(self, settings: Mapping[str, str], program: tuple[str, ...] = IMPATIENT) -> None:
        self._process = subprocess.Popen(
            [sys.executable, *program],
            env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "error", **settings},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.said: list[str] = []
        self.log: list[str] = []
        self._readers = [
            threading.Thread(target=self._read, args=(stream, into), daemon=True)
            for stream, into in ((self._process.stdout, self.said), (self._process.stderr, self.log))
        ]
        for reader in self._readers:
            reader.start()

    def _read(self, stream: Any, into: list[str]) -> None:
        with stream:
            into.extend(line.rstrip("\n") for line in iter(stream.readline, ""))

    def up(self) -> Process:
        wait_until(lambda: bool(self.said) or self._process.poll() is not None, "the daemon is up")
        if not self.said:
            raise AssertionError("\n".join(self.log))
        return self

    def health(self, path: str = "/readyz") -> tuple[int, dict[str, Any]]:
        return get(self.said[0].split()[3].rstrip("/") + path)

    def runs(self) -> list[dict[str, Any]]:
        """The runs that have ended, as logged."""
        return [line for line in map(json.loads, list(self.log)) if line["event"] == "run finished"]

    def signal(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def ended(self) -> int:
        """Wait for its end, and give its exit code."""
        wait_until(lambda: self._process.poll() is not None, "the process has ended")
        for reader in self._readers:
            reader.join()
        return int(self._process.returncode)

    def close(self) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self.ended()


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
