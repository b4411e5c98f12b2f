"""SIGTERM and SIGINT: the first asks the daemon to stop, the second ends it at once."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

_STOPPING = (signal.SIGTERM, signal.SIGINT)


@contextmanager
def caught(stop: Callable[[str], None], end_hard: Callable[[int], None]) -> Iterator[None]:
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
            end_hard(128 + number)
        else:
            stop(signal.Signals(number).name)

    before = {number: signal.signal(number, handle) for number in _STOPPING}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
