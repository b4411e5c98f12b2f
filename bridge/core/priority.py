"""What a call is for: who has to wait when a side allows only so many.

The lane is the engine's knowledge and the throttle's need; the clients between them are not concerned. It
travels with the work: set by whoever begins it, carried over to the threads that share it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from enum import StrEnum
from typing import TypeVar

A = TypeVar("A")
R = TypeVar("R")


class Priority(StrEnum):
    """Purposes of calls, the most urgent first."""

    WITHDRAWALS = "withdrawals"
    READ_BACKS = "read_backs"
    RAISES = "raises"
    POLLING = "polling"
    SWEEP = "sweep"


_LANE: ContextVar[Priority] = ContextVar("lane", default=Priority.POLLING)


def current_priority() -> Priority:
    """What the calls of this thread are for at this moment; polling where nobody said."""
    return _LANE.get()


@contextmanager
def with_priority(purpose: Priority) -> Iterator[None]:
    """Calls made within are for `purpose`."""
    before = _LANE.set(purpose)
    try:
        yield
    finally:
        _LANE.reset(before)


def keep_priority(work: Callable[[A], R]) -> Callable[[A], R]:
    """`work`, to be run by another thread for the purpose that this one has now."""
    purpose = current_priority()

    def carried(item: A) -> R:
        with with_priority(purpose):
            return work(item)

    return carried
