"""The priority of a call: which calls wait when a side allows only so many.

The engine knows it and the rate limiter needs it; the clients between them are not concerned. It belongs to
the work: set where the work begins, and copied to the threads that share it.
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
    """Priorities of calls, the most urgent first."""

    WITHDRAWALS = "withdrawals"
    READ_BACKS = "read_backs"
    RAISES = "raises"
    POLLING = "polling"
    SWEEP = "sweep"


_PRIORITY: ContextVar[Priority] = ContextVar("priority", default=Priority.POLLING)


def current_priority() -> Priority:
    """The priority of this thread's calls now; polling where none was set."""
    return _PRIORITY.get()


@contextmanager
def with_priority(priority: Priority) -> Iterator[None]:
    """Calls made within have this priority."""
    before = _PRIORITY.set(priority)
    try:
        yield
    finally:
        _PRIORITY.reset(before)


def keep_priority(work: Callable[[A], R]) -> Callable[[A], R]:
    """`work`, to be run by another thread at the priority that this one has now."""
    priority = current_priority()

    def prioritized(item: A) -> R:
        with with_priority(priority):
            return work(item)

    return prioritized
