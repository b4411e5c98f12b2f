"""Asking about a bulk job: how often, how long, and with a heartbeat in between."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import islice, repeat

import pytest

from bridge.core.jobs import HEARTBEAT, backoff, polls


class Time:
    """A clock that moves by what is slept. `slept` holds the seconds of each sleep."""

    def __init__(self) -> None:
        self.slept: list[float] = []

    def now(self) -> datetime:
        return datetime(2026, 3, 1, tzinfo=UTC) + timedelta(seconds=sum(self.slept))

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)


@pytest.fixture
def time() -> Time:
    return Time()


def test_delays_double_up_to_the_longest() -> None:
    assert list(islice(backoff(3.0), 5)) == [0.5, 1.0, 2.0, 3.0, 3.0]
    assert list(islice(backoff(0.0), 3)) == [0.0, 0.0, 0.0]
    assert next(islice(backoff(15.0), 5000, None)) == 15.0


def test_the_first_question_is_asked_at_once_and_each_later_one_after_its_delay(time: Time) -> None:
    asked = []
    for number in polls([1.0, 2.0, 3.0], patience=timedelta(hours=1), clock=time.now, sleep=time.sleep):
        asked.append((number, sum(time.slept)))
        if number == 2:
            break
    assert asked == [(0, 0.0), (1, 1.0), (2, 3.0)]


def test_it_ends_when_patience_is_over(time: Time) -> None:
    turns = polls(repeat(4.0), patience=timedelta(seconds=10), clock=time.now, sleep=time.sleep)
    assert list(turns) == [0, 1, 2]


def test_what_was_slept_counts_though_the_clock_stands_still(time: Time) -> None:
    start = time.now()
    turns = polls(repeat(4.0), patience=timedelta(seconds=10), clock=lambda: start, sleep=time.sleep)
    assert list(turns) == [0, 1, 2]


def test_it_ends_when_the_delays_run_out(time: Time) -> None:
    turns = polls(repeat(0.0, 3), patience=timedelta(seconds=10), clock=time.now, sleep=time.sleep)
    assert list(turns) == [0, 1, 2]


def test_a_long_delay_is_slept_in_parts_with_a_heartbeat_before_each(time: Time) -> None:
    beats: list[float] = []
    turns = polls(
        [12.0, 1.0],
        patience=timedelta(hours=1),
        clock=time.now,
        sleep=time.sleep,
        heartbeat=lambda: beats.append(sum(time.slept)),
    )
    assert list(turns) == [0, 1]
    assert time.slept == [HEARTBEAT, HEARTBEAT, 2.0, 1.0]
    assert beats == [0.0, 5.0, 10.0, 12.0]


def test_a_heartbeat_that_raises_ends_the_waiting(time: Time) -> None:
    def lost() -> None:
        raise RuntimeError("the lease is lost")

    turns = polls([1.0], patience=timedelta(hours=1), clock=time.now, sleep=time.sleep, heartbeat=lost)
    assert next(turns) == 0
    with pytest.raises(RuntimeError, match="lease"):
        next(turns)
    assert time.slept == []
