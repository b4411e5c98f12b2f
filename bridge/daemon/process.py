"""The daemon as a process: signals come in, systemd notifications go out."""

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
    """While this lasts, the first signal calls `stop` with its name, the second `end_hard` with an exit code.

    Both are called in the middle of whatever the main thread does: they must not take a lock. Off the main
    thread, where Python delivers no signals, this does nothing.
    """
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
    """Sends to the socket that NOTIFY_SOCKET names; without one, to nobody."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        name = environ.get("NOTIFY_SOCKET", "")
        self._address = f"\0{name[1:]}" if name.startswith("@") else name
        self.watchdog = _watchdog(environ)

    def ready(self, status: str) -> None:
        """The daemon is up."""
        self._send(f"READY=1\nSTATUS={status}")

    def alive(self) -> None:
        """What was begun goes on."""
        if self.watchdog is not None:
            self._send("WATCHDOG=1")

    def stopping(self) -> None:
        """The daemon ends with the round in hand."""
        self._send("STOPPING=1\nSTATUS=finishing the round in hand")

    def _send(self, text: str) -> None:
        if not self._address:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sending:
                sending.settimeout(1.0)
                sending.sendto(text.encode(), self._address)
        except OSError:
            self._address = ""  # nobody listens there any more


def _watchdog(environ: Mapping[str, str]) -> float | None:
    """How many seconds systemd waits for a sign of life; None where it does not wait for this process."""
    usec, pid = environ.get("WATCHDOG_USEC", ""), environ.get("WATCHDOG_PID", "")
    if not usec.isdigit() or int(usec) == 0 or (pid and pid != str(os.getpid())):
        return None
    return int(usec) / 1_000_000
