from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from dotdigital_world import transport_to

from bridge.core.errors import Throttled
from bridge.core.mapping import Mapping
from bridge.core.priority import Priority, current_priority, keep_priority, with_priority
from bridge.dotdigital.client.v2 import ClientV2
from bridge.dotdigital.limits.limiter import RateLimiter
from bridge.dotdigital.replica import DotdigitalReader
from bridge.sandbox.dotdigital import DotdigitalState
from bridge.sandbox.server import Server
from bridge.transport import Response

FEED, READ, OUT = "get-suppressed-contacts-since-date", "get-contact", "unsubscribe-contact"
START = datetime(2026, 3, 1, 12, 0, 10, tzinfo=UTC)


class World:
    def __init__(self) -> None:
        self.now = START
        self.slept: list[float] = []
        self.limits = RateLimiter(clock=lambda: self.now, sleep=self.sleep, share=0.2)

    def sleep(self, seconds: float) -> None:
        assert self.limits._lock.acquire(blocking=False), "slept while holding the lock"
        self.limits._lock.release()
        self.slept.append(seconds)
        self.now += timedelta(seconds=seconds)

    def wait(self, operation: str, purpose: Priority = Priority.POLLING) -> float:
        """How long a call waits, in seconds."""
        before = self.now
        with with_priority(purpose):
            self.limits.before(operation)
        return (self.now - before).total_seconds()

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
) -> Response:
    end = now.replace(second=0) + timedelta(minutes=1)
    headers = {
        "x-ratelimit-limit": str(limit),
        "x-ratelimit-remaining": str(remaining),
        "x-ratelimit-reset": str(int(end.timestamp())),
        "x-ratelimit-scope": scope,
    }
    return Response(status, httpx.Headers(headers), b"[]", now)


@pytest.fixture
def world() -> World:
    return World()


def test_nothing_is_held_back_before_anything_is_known(world: World) -> None:
    world.limits.before(FEED)
    assert world.slept == []
    assert world.limits.budget == {}


def test_a_share_of_each_tier_is_left_to_other_integrations(world: World) -> None:
    world.call(FEED, remaining=2)
    assert world.wait(FEED) == 50.0  # until the minute is over


def test_withdrawals_may_use_the_reserved_share(world: World) -> None:
    world.call(OUT, remaining=2)
    assert world.wait(OUT, Priority.WITHDRAWALS) == 0
    assert world.wait(OUT, Priority.WITHDRAWALS) == 0
    assert world.wait(OUT, Priority.WITHDRAWALS) == 50.0


def test_each_lane_leaves_a_reserve_to_more_urgent_ones(world: World) -> None:
    """100 a minute, 20 left to others: of the other 80 a sweep leaves 32, polling 16, and so on."""
    world.call(FEED, remaining=100, limit=100)
    floors = {}
    for purpose in reversed(Priority):
        while not world.wait(FEED, purpose):
            floors[purpose] = world.limits.budget["lowCallRate"]["remaining"]
        world.now = START
        last = floors[purpose]
        assert isinstance(last, int)
        world.limits = RateLimiter(clock=lambda: world.now, sleep=world.sleep, share=0.2)
        world.call(FEED, remaining=last, limit=100)
    assert list(floors.values()) == [52, 36, 28, 24, 0]


def test_a_lane_travels_with_the_work_to_other_threads() -> None:
    with with_priority(Priority.SWEEP), ThreadPoolExecutor(1) as pool:
        assert list(pool.map(lambda _: current_priority(), [1])) == [Priority.POLLING]
        assert list(pool.map(keep_priority(lambda _: current_priority()), [1])) == [Priority.SWEEP]
    assert current_priority() is Priority.POLLING


def test_the_smallest_allowance_still_serves_every_lane(world: World) -> None:
    world.call(FEED, remaining=1, limit=1)
    assert [world.wait(FEED, purpose) for purpose in (Priority.SWEEP, Priority.SWEEP)] == [0, 50.0]


def test_an_operation_that_has_not_answered_yet_counts_in_the_tier_that_it_is_presumed_in(
    world: World,
) -> None:
    """Dotdigital `Call rate limits`: bulky reads are of the low tier."""
    world.call(FEED, remaining=0)
    assert world.wait("getContacts") == 50.0


def test_no_wait_outlasts_a_reset_that_another_answer_shows(world: World) -> None:
    world.call(FEED, remaining=0)
    slept: list[float] = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        world.now += timedelta(seconds=seconds)
        if len(slept) == 2:  # ten of fifty seconds: an answer to another thread's call
            names = ("Limit", "Remaining", "Reset")
            headers = {f"X-RateLimit-{name}": value for name, value in zip(names, "991", strict=True)}
            world.limits.after(FEED, Response(200, httpx.Headers(headers), b"", None))

    world.limits._sleep = sleep
    world.limits.before(FEED)
    assert sum(slept) == 10.0


def test_a_window_that_began_unseen_ends_with_its_minute(world: World) -> None:
    world.call(FEED, remaining=0)
    world.now += timedelta(seconds=50 + 45)
    for _ in range(7):
        assert world.wait(FEED) == 0
    assert world.wait(FEED) == 15.0


def test_each_wait_is_shown(world: World) -> None:
    seen: list[tuple[str, float, float]] = []
    world.limits.watch = lambda *wait: seen.append(wait)
    world.call(FEED, remaining=0)
    world.limits.before(FEED)
    assert seen[0] == ("lowCallRate", 0.0, 50.0)
    assert seen[-1] == ("lowCallRate", 45.0, 5.0)
    assert world.limits.budget["lowCallRate"]["waited_seconds"] == 50


def test_tiers_are_counted_apart(world: World) -> None:
    world.call(FEED, remaining=0)
    world.call(READ, remaining=9, scope="highCallRate")
    world.limits.before(READ)
    assert world.slept == []


def test_other_integrations_may_use_the_tier_up(world: World) -> None:
    world.call(FEED, remaining=9)
    world.call(FEED, remaining=0)
    assert world.wait(FEED) == 50.0


def test_calls_in_flight_are_counted_before_their_answers(world: World) -> None:
    world.call(FEED, remaining=4)
    assert world.wait(FEED) == 0
    assert world.wait(FEED) == 50.0


def test_an_older_answer_does_not_give_calls_back(world: World) -> None:
    world.call(FEED, remaining=4)
    world.limits.before(FEED)
    world.limits.after(FEED, tiered(world.now, 4))
    assert world.limits.budget["lowCallRate"]["remaining"] == 3


def test_a_429_empties_the_tier_until_its_reset(world: World) -> None:
    world.call(FEED, remaining=7, status=429)
    assert world.wait(FEED) == 50.0


def test_a_429_without_headers_waits_a_minute(world: World) -> None:
    world.limits.after(FEED, Response(429, httpx.Headers(), b"", None))
    assert [world.wait(FEED) for _ in range(3)] == [
        60.0,
        0,
        0,
    ]  # and then it goes on: no allowance is made up


@pytest.mark.parametrize("form", ["seconds", "milliseconds", "span"])
def test_the_reset_is_understood_in_each_form(world: World, form: str) -> None:
    end = START + timedelta(seconds=30)
    raw = {"seconds": end.timestamp(), "milliseconds": end.timestamp() * 1000, "span": 30}[form]
    headers = {"X-RateLimit-Limit": "10", "X-RateLimit-Remaining": "0", "X-RateLimit-Reset": str(int(raw))}
    world.limits.after(FEED, Response(200, httpx.Headers(headers), b"", None))
    assert world.wait(FEED) == (31.0 if form == "span" else 30.0)  # a span may have been cut off


def test_a_flat_limit_is_reported_at_once_and_doubles_up_to_an_hour(world: World) -> None:
    refused = Response(400, httpx.Headers(), b'{"message":"Capped. ERROR_APIUSAGE_EXCEEDED"}', None)
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
    refused = Response(400, httpx.Headers(), b'{"message":"ERROR_APIUSAGE_EXCEEDED"}', None)
    world.limits.after(FEED, refused)
    world.limits.after(FEED, Response(200, httpx.Headers(), b"[]", None))
    world.limits.before(FEED)
    world.limits.after(FEED, refused)
    with pytest.raises(Throttled) as capped:
        world.limits.before(FEED)
    assert capped.value.retry_after == 300


def test_the_budget_names_each_tier(world: World) -> None:
    world.call(FEED, remaining=7)
    assert world.limits.budget == {
        "lowCallRate": {
            "limit": 10,
            "remaining": 7,
            "resets_at": "2026-03-01T12:01:00+00:00",
            "left_to_others": 2,
            "waited_seconds": 0,
        }
    }


def test_many_threads_never_take_more_than_the_bridge_share() -> None:
    waits: list[float] = []
    limits = RateLimiter(clock=lambda: START, sleep=waits.append)
    limits.after(FEED, tiered(START, 100, limit=100))
    threads = [threading.Thread(target=limits.before, args=(FEED,)) for _ in range(90)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert limits.budget["lowCallRate"]["remaining"] == 36
    assert sum(waits) == 26 * 180  # those that had to wait lost patience, time standing still


def test_a_priority_knows_its_calls_per_minute(world: World) -> None:
    """100 a minute, of which 20 are for others and polling leaves 16 to more urgent calls; unknown: 35."""
    assert world.limits.allowance(FEED) == pytest.approx(35 * 0.8 * 0.8)
    world.call(FEED, remaining=3, limit=100)
    assert world.limits.allowance(FEED) == pytest.approx(64)
    with with_priority(Priority.WITHDRAWALS):
        assert world.limits.allowance(FEED) == 100


def test_an_impossible_share_is_refused() -> None:
    with pytest.raises(ValueError, match="share"):
        RateLimiter(clock=lambda: START, sleep=lambda _: None, share=1.0)


@pytest.mark.parametrize("form", ["epoch_seconds", "epoch_milliseconds", "seconds_from_now"])
def test_a_drain_keeps_within_the_tier_and_its_reserved_share(
    state: DotdigitalState, server: Server, mapping: Mapping, form: str
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
    pages = list(reader.read_feed("dotdigital.suppressed", since))
    transport.close()
    assert sum(len(page.views) for page in pages) == 5000
    assert state.calls.total() == 1 + 7  # nothing was refused and sent again
    assert state.clock.now() - began >= timedelta(seconds=60)


def test_a_used_up_hour_stops_the_side_without_more_calls(
    state: DotdigitalState, server: Server, slept: list[float]
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
