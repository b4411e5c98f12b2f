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


class Lane(StrEnum):
    """Purposes of calls, the most urgent first."""

    WITHDRAWALS = "withdrawals"
    READ_BACKS = "read_backs"
    RAISES = "raises"
    POLLING = "polling"
    SWEEP = "sweep"


_LANE: ContextVar[Lane] = ContextVar("lane", default=Lane.POLLING)


def lane() -> Lane:
    """What the calls of this thread are for at this moment; polling where nobody said."""
    return _LANE.get()


@contextmanager
def calls_for(purpose: Lane) -> Iterator[None]:
    """Calls made within are for `purpose`."""
    before = _LANE.set(purpose)
    try:
        yield
    finally:
        _LANE.reset(before)


def same_lane(work: Callable[[A], R]) -> Callable[[A], R]:
    """`work`, to be run by another thread for the purpose that this one has now."""
    purpose = lane()

    def carried(item: A) -> R:
        with calls_for(purpose):
            return work(item)

    return carried
