"""Waiting for a bulk job at a side: when to ask about it again, and when to stop asking."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timedelta

HEARTBEAT = 5.0  # seconds between two heartbeats at most


def backoff(longest: float, first: float = 0.5) -> Iterator[float]:
    """Delays in seconds that double up to `longest`, without end: a small job is ready at once."""
    delay = first
    while True:
        yield min(delay, longest)
        delay = min(2 * delay, longest)


def polls(
    delays: Iterable[float],
    *,
    patience: timedelta,
    clock: Callable[[], datetime],
    sleep: Callable[[float], None],
    heartbeat: Callable[[], None] = lambda: None,
) -> Iterator[int]:
    """Pace the questions about a job: yields the number of each, from 0, and sleeps before the next one.

    Ends when the next question would come after `patience`, by the clock or by what was slept, or when
    `delays` (seconds) run out: the job's end was not seen then. A loop that sees it leaves by `break` or
    `return`. `heartbeat` is called at least every `HEARTBEAT` seconds of sleep and may raise, which ends the
    waiting and not the job.
    """
    began, slept = clock(), timedelta()
    for number, seconds in enumerate(delays):
        yield number
        delay = timedelta(seconds=seconds)
        if max(clock() - began, slept) + delay > patience:
            return
        _rest(seconds, sleep, heartbeat)
        slept += delay


def _rest(seconds: float, sleep: Callable[[float], None], heartbeat: Callable[[], None]) -> None:
    while True:
        heartbeat()
        sleep(min(seconds, HEARTBEAT))
        seconds -= HEARTBEAT
        if seconds <= 0:
            return
