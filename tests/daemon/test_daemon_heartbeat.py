"""A run that hangs is detected and reported to the log, to systemd and over HTTP."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from bridge.daemon.liveness import Heartbeat, SystemdNotifier, Watchdog


class Time:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def systemd(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(tmp_path / "notify"))
        listening.settimeout(10)
        yield listening


def test_a_run_hangs_only_after_the_limit_without_progress() -> None:
    time = Time()
    heartbeat = Heartbeat(timedelta(seconds=10), time)
    assert heartbeat.hung() is None
    heartbeat.beat("reading a feed")
    time.now += 10
    assert heartbeat.hung() is None
    heartbeat.beat()
    time.now += 10.5
    hung = heartbeat.hung()
    assert hung is not None
    assert (hung.step, hung.silent) == ("reading a feed", 10.5)
    heartbeat.rest()
    assert heartbeat.hung() is None


def test_a_hang_is_logged_once_with_its_step_and_so_is_its_end(caplog: pytest.LogCaptureFixture) -> None:
    time = Time()
    heartbeat = Heartbeat(timedelta(seconds=10), time)
    watchdog = Watchdog(heartbeat, SystemdNotifier({}), every=5)
    heartbeat.beat("reading a feed")
    time.now += 11
    with caplog.at_level(logging.WARNING):
        watchdog.check()
        watchdog.check()
        heartbeat.beat()
        watchdog.check()
        watchdog.check()
    assert [record.message for record in caplog.records] == ["run hangs", "run continues"]
    assert caplog.records[0].__dict__["step"] == "reading a feed"


def test_systemd_is_notified_of_ready_watchdog_and_stopping(systemd: socket.socket) -> None:
    """systemd's sd_notify(3): READY=1, WATCHDOG=1 at half of WATCHDOG_USEC, STOPPING=1."""
    notifier = SystemdNotifier({"NOTIFY_SOCKET": systemd.getsockname(), "WATCHDOG_USEC": "8000000"})
    watchdog = Watchdog(Heartbeat(timedelta(seconds=10), Time()), notifier, every=5)
    assert watchdog.every == 4
    notifier.ready("polling")
    watchdog.check()
    notifier.stopping()
    received = [systemd.recv(200).decode().splitlines()[0] for _ in range(3)]
    assert received == ["READY=1", "WATCHDOG=1", "STOPPING=1"]


def test_a_daemon_that_hangs_sends_systemd_nothing(systemd: socket.socket) -> None:
    time = Time()
    heartbeat = Heartbeat(timedelta(seconds=10), time)
    notifier = SystemdNotifier(
        {
            "NOTIFY_SOCKET": systemd.getsockname(),
            "WATCHDOG_USEC": "8000000",
            "WATCHDOG_PID": str(os.getpid()),
        }
    )
    watchdog = Watchdog(heartbeat, notifier, every=5)
    heartbeat.beat("reading a feed")
    time.now += 11
    watchdog.check()
    notifier.stopping()
    assert systemd.recv(200).startswith(b"STOPPING=1")


def test_a_watchdog_meant_for_another_process_is_not_fed(systemd: socket.socket) -> None:
    notifier = SystemdNotifier(
        {"NOTIFY_SOCKET": systemd.getsockname(), "WATCHDOG_USEC": "8000000", "WATCHDOG_PID": "1"}
    )
    assert notifier.watchdog is None


def test_a_supervisor_that_is_gone_harms_nobody(tmp_path: Path) -> None:
    notifier = SystemdNotifier({"NOTIFY_SOCKET": str(tmp_path / "nobody"), "WATCHDOG_USEC": "1000"})
    notifier.ready("polling")
    notifier.alive()
    assert SystemdNotifier({"NOTIFY_SOCKET": "@abstract"})._address == "\0abstract"
