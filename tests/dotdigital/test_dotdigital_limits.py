from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from dotdigital_world import transport_to

from bridge.core.errors import Throttled
from bridge.core.mapping import Mapping
from bridge.dotdigital.client_v2 import ClientV2
from bridge.dotdigital.limits import Limits
from bridge.dotdigital.replica import DotdigitalReader
from bridge.sandbox.dotdigital import State
from bridge.sandbox.server import Server
from bridge.transport import Answer

FEED, READ, OUT = "get-suppressed-contacts-since-date", "get-contact", "unsubscribe-contact"
START = datetime(2026, 3, 1, 12, 0, 10, tzinfo=UTC)


class World:
    def __init__(self) -> None:
        self.now = START
        self.slept: list[float] = []
        self.limits = Limits(clock=lambda: self.now, sleep=self.sleep, share=0.2)

    def sleep(self, seconds: float) -> None:
        assert self.limits._lock.acquire(blocking=False), "slept while holding the lock"
        self.limits._lock.release()
        self.slept.append(seconds)
        self.now += timedelta(seconds=seconds)

    def call(
        self,
        operation: str,
        remaining: int,
        *,
        limit: int = 10,
        scope: str = "lowCallRate",
        status: int = 200,
    ) -> None:
        self.limits.before(operation)
        self.limits.after(operation, tiered(self.now, remaining, limit, scope, status))


def tiered(
    now: datetime, remaining: int, limit: int = 10, scope: str = "lowCallRate", status: int = 200
) -> Answer:
    end = now.replace(second=0) + timedelta(minutes=1)
    headers = {
        "x-ratelimit-limit": str(limit),
        "x-ratelimit-remaining": str(remaining),
        "x-ratelimit-reset": str(int(end.timestamp())),
        "x-ratelimit-scope": scope,
    }
    return Answer(status, httpx.Headers(headers), b"[]", now)


@pytest.fixture
def world() -> World:
    return World()


def test_nothing_is_held_back_before_anything_is_known(world: World) -> None:
    world.limits.before(FEED)
    assert world.slept == []
    assert world.limits.budget == {}


def test_a_share_of_each_tier_is_left_to_strangers(world: World) -> None:
    world.call(FEED, remaining=2)
    world.limits.before(FEED)
    assert world.slept == [50.0]  # until the minute is over


def test_withdrawals_use_the_share_kept_for_strangers_too(world: World) -> None:
    world.call(OUT, remaining=2)
    world.limits.before(OUT)
    world.limits.before(OUT)
    assert world.slept == []
    world.limits.before(OUT)
    assert world.slept == [50.0]


def test_tiers_are_counted_apart(world: World) -> None:
    world.call(FEED, remaining=0)
    world.call(READ, remaining=9, scope="highCallRate")
    world.limits.before(READ)
    assert world.slept == []


def test_strangers_may_use_the_tier_up(world: World) -> None:
    world.call(FEED, remaining=9)
    world.call(FEED, remaining=0)
    world.limits.before(FEED)
    assert len(world.slept) == 1


def test_calls_in_flight_are_counted_before_their_answers(world: World) -> None:
    world.call(FEED, remaining=4)
    for _ in range(2):
        world.limits.before(FEED)
    assert world.slept == []
    world.limits.before(FEED)
    assert len(world.slept) == 1


def test_an_older_answer_does_not_give_calls_back(world: World) -> None:
    world.call(FEED, remaining=4)
    world.limits.before(FEED)
    world.limits.after(FEED, tiered(world.now, 4))
    assert world.limits.budget["lowCallRate"]["remaining"] == 3


def test_a_429_empties_the_tier_until_its_reset(world: World) -> None:
    world.call(FEED, remaining=7, status=429)
    world.limits.before(FEED)
    assert world.slept == [50.0]


def test_a_429_without_headers_waits_a_minute(world: World) -> None:
    world.limits.after(FEED, Answer(429, httpx.Headers(), b"", None))
    for _ in range(3):
        world.limits.before(FEED)
    assert world.slept == [60.0]  # and then it goes on: no allowance is made up


@pytest.mark.parametrize("form", ["seconds", "milliseconds", "span"])
def test_the_reset_is_understood_in_each_form(world: World, form: str) -> None:
    end = START + timedelta(seconds=30)
    raw = {"seconds": end.timestamp(), "milliseconds": end.timestamp() * 1000, "span": 30}[form]
    headers = {"X-RateLimit-Limit": "10", "X-RateLimit-Remaining": "0", "X-RateLimit-Reset": str(int(raw))}
    world.limits.after(FEED, Answer(200, httpx.Headers(headers), b"", None))
    world.limits.before(FEED)
    assert world.slept == [30.0]


def test_a_flat_cap_is_told_at_once_and_doubles_up_to_an_hour(world: World) -> None:
    refused = Answer(400, httpx.Headers(), b'{"message":"Capped. ERROR_APIUSAGE_EXCEEDED"}', None)
    pauses: list[float] = []
    for _ in range(6):
        world.limits.after(FEED, refused)
        world.limits.after(FEED, refused)  # another call that was in flight
        with pytest.raises(Throttled) as capped:
            world.limits.before(READ)
        assert capped.value.retry_after is not None
        pauses.append(capped.value.retry_after)
        assert world.limits.budget["flat"]["remaining"] == 0
        world.now += timedelta(seconds=capped.value.retry_after)
        world.limits.before(READ)
    assert pauses == [300, 600, 1200, 2400, 3600, 3600]
    assert world.slept == []


def test_a_good_answer_ends_the_doubling(world: World) -> None:
    refused = Answer(400, httpx.Headers(), b'{"message":"ERROR_APIUSAGE_EXCEEDED"}', None)
    world.limits.after(FEED, refused)
    world.limits.after(FEED, Answer(200, httpx.Headers(), b"[]", None))
    world.limits.before(FEED)
    world.limits.after(FEED, refused)
    with pytest.raises(Throttled) as capped:
        world.limits.before(FEED)
    assert capped.value.retry_after == 300


def test_the_budget_names_each_tier(world: World) -> None:
    world.call(FEED, remaining=7)
    assert world.limits.budget == {
        "lowCallRate": {"limit": 10, "remaining": 7, "resets_at": "2026-03-01T12:01:00+00:00"}
    }


def test_many_threads_never_take_more_than_the_bridge_share() -> None:
    waits: list[float] = []
    limits = Limits(clock=lambda: START, sleep=waits.append)
    limits.after(FEED, tiered(START, 100, limit=100))
    threads = [threading.Thread(target=limits.before, args=(FEED,)) for _ in range(90)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert limits.budget["lowCallRate"]["remaining"] == 20
    assert len(waits) == 30  # the ten that had to wait looked three times each, time standing still


def test_an_impossible_share_is_refused() -> None:
    with pytest.raises(ValueError, match="share"):
        Limits(clock=lambda: START, sleep=lambda _: None, share=1.0)


@pytest.mark.parametrize("form", ["epoch_seconds", "epoch_milliseconds", "seconds_from_now"])
def test_a_drain_keeps_within_the_tier_and_leaves_strangers_their_share(
    state: State, server: Server, mapping: Mapping, form: str
) -> None:
    """Against the sandbox: not one call is refused, however small the allowance."""
    state.switches.rate_limits, state.switches.reset_form = "tiered", form
    state.switches.limit_low = 5
    transport = transport_to(server.url, state.clock.advance, clock=state.clock.now)
    for number in range(5000):
        state.add_contact(f"p{number}@example.com", status="Unsubscribed")
    since = state.clock.now() - timedelta(hours=1)
    began = state.clock.now()
    reader = DotdigitalReader(ClientV2(transport), None, mapping, state.clock.now)
    pages = list(reader.changes("dotdigital.suppressed", since))
    transport.close()
    assert sum(len(page.views) for page in pages) == 5000
    assert state.calls.total() == 1 + 7  # nothing was refused and sent again
    assert state.clock.now() - began >= timedelta(seconds=60)


def test_a_used_up_hour_stops_the_side_without_more_calls(
    state: State, server: Server, slept: list[float]
) -> None:
    state.switches.rate_limits, state.switches.limit_flat = "flat", 1
    transport = transport_to(server.url, slept.append, clock=state.clock.now)
    client = ClientV2(transport)
    client.get_preferences()
    for _ in range(3):
        with pytest.raises(Throttled):
            client.get_preferences()
    assert transport.calls == 2
    state.clock.advance(3700)
    assert client.get_preferences()
    transport.close()
