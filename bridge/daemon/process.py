"""The daemon as an operating-system process: signals received, systemd notifications sent."""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import FrameType

_STOPPING = (signal.SIGTERM, signal.SIGINT)


@contextmanager
def handling_signals(stop: Callable[[str], None], exit_now: Callable[[int], None]) -> Iterator[None]:
    """In this context the first signal calls `stop` with its name, the second `exit_now` with an exit code.
    Both are called between any two instructions of the main thread, so they must not take a lock. Off the
    main thread, where Python delivers no signals, this does nothing."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    received: list[int] = []

    def handle(number: int, _: FrameType | None) -> None:
        received.append(number)
        if len(received) > 1:
            exit_now(128 + number)
        else:
            stop(signal.Signals(number).name)

    before = {number: signal.signal(number, handle) for number in _STOPPING}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class SystemdNotifier:
    """Sends to the socket in NOTIFY_SOCKET; does nothing without one."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        name = environ.get("NOTIFY_SOCKET", "")
        self._address = f"\0{name[1:]}" if name.startswith("@") else name
        self.watchdog = _watchdog(environ)

    def ready(self, status: str) -> None:
        """The daemon is up."""
        self._send(f"READY=1\nSTATUS={status}")

    def alive(self) -> None:
        """The current work makes progress."""
        if self.watchdog is not None:
            self._send("WATCHDOG=1")

    def stopping(self) -> None:
        """The daemon stops after the current run."""
        self._send("STOPPING=1\nSTATUS=finishing the current run")

    def _send(self, text: str) -> None:
        if not self._address:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sending:
                sending.settimeout(1.0)
                sending.sendto(text.encode(), self._address)
        except OSError:
            self._address = ""  # the receiver is gone


def _watchdog(environ: Mapping[str, str]) -> float | None:
    """Seconds within which systemd expects a keep-alive; None if it expects none from this process."""
    usec, pid = environ.get("WATCHDOG_USEC", ""), environ.get("WATCHDOG_PID", "")
    if not usec.isdigit() or int(usec) == 0 or (pid and pid != str(os.getpid())):
        return None
    return int(usec) / 1_000_000
