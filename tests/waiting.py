"""Waiting for other threads and processes without fixed sleeps."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from bridge.sandbox.faults import Calls

PATIENCE = 120.0  # seconds; only a failing test waits as long


def wait_until(true: Callable[[], bool], what: str) -> None:
    """Poll a condition. Raises AssertionError when it stays false."""
    deadline = time.monotonic() + PATIENCE
    while not true():
        if time.monotonic() > deadline:
            raise AssertionError(f"not seen within {PATIENCE:.0f} seconds: {what}")
        time.sleep(0.01)


@contextmanager
def unanswered(calls: Calls, operation: str) -> Iterator[None]:
    """An emulated service counts a call of that operation, and answers nothing before the block ends."""
    released, record = threading.Event(), calls.record

    def recorded(called: str) -> None:
        record(called)
        if called == operation:
            released.wait(PATIENCE)

    calls.record = recorded  # type: ignore[method-assign]
    try:
        yield
    finally:
        released.set()
        calls.record = record  # type: ignore[method-assign]
