"""The bridge's own rate limit for MyPreferences, and the pause that a 429 asks for."""

from __future__ import annotations

import httpx
import pytest

from bridge.mypreferences.client.base import RateLimit
from bridge.transport import Response


class Watch:
    def __init__(self) -> None:
        self.now = 100.0
        self.slept: list[float] = []

    def ticks(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(round(seconds, 3))
        self.now += seconds


def test_calls_are_spread_evenly_after_a_small_burst() -> None:
    watch = Watch()
    limit = RateLimit(5, burst=2, monotonic=watch.ticks, sleep=watch.sleep)
    for _ in range(5):
        limit.before("any")
    assert watch.slept == [0.2, 0.2, 0.2]
    watch.now += 60
    limit.before("any")
    assert len(watch.slept) == 3


def test_no_rate_means_no_wait() -> None:
    watch = Watch()
    limit = RateLimit(None, monotonic=watch.ticks, sleep=watch.sleep)
    for _ in range(1000):
        limit.before("any")
    assert watch.slept == []


def test_a_429_closes_the_gate_for_everybody() -> None:
    watch = Watch()
    limit = RateLimit(None, monotonic=watch.ticks, sleep=watch.sleep)
    limit.after("any", Response(200, httpx.Headers({"Retry-After": "9"}), b"", None))
    limit.before("any")
    limit.after("any", Response(429, httpx.Headers({"Retry-After": "9"}), b"", None))
    limit.before("other")
    assert watch.slept == [9.0]


def test_an_impossible_rate_is_refused() -> None:
    with pytest.raises(ValueError, match="rate"):
        RateLimit(0)
