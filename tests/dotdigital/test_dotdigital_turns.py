"""Which preferences' feeds a polling run reads within the call quota."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import httpx
import pytest
from dotdigital_world import NEWS, START, transport_to
from hypothesis import given
from hypothesis import strategies as st

from bridge.core.mapping import ConsentRef, FilterRef, Mapping, OnUnsubscribe, Topic
from bridge.core.model import CHANNEL, TopicId
from bridge.core.watermark import is_stale
from bridge.dotdigital.client.v2 import ClientV2
from bridge.dotdigital.limits.limiter import RateLimiter
from bridge.dotdigital.polling.feed_rotation import SPARED, affordable, oldest_first, per_run, period
from bridge.dotdigital.polling.v2_feeds import PREFIX as OPT_INS
from bridge.dotdigital.polling.v2_feeds import SUPPRESSED as SUPPRESSED
from bridge.dotdigital.reader import DotdigitalReader
from bridge.sandbox.clock import SandboxClock
from bridge.sandbox.dotdigital import DotdigitalState, create_app
from bridge.sandbox.server import Server
from bridge.transport import Response
from tests.port_calls import feed_named, feed_names

MINUTE = timedelta(minutes=1)
OPERATION = "get-contacts-with-modified-preference-opt-in-since-date"


@dataclass
class Paced:
    """An allowance whose room is set before each read."""

    rooms: list[int | None] = field(default_factory=list)
    a_minute: float = 22.4

    def allowance(self, operation: str) -> float:
        return self.a_minute

    def room(self, operation: str) -> int | None:
        return self.rooms.pop(0) if self.rooms else None


def answer(limit: int | None, remaining: int = 0, status: int = 200, content: bytes = b"[]") -> Response:
    headers = {} if limit is None else {
        "X-RateLimit-Limit": str(limit), "X-RateLimit-Remaining": str(remaining),
        "X-RateLimit-Reset": "59", "X-RateLimit-Scope": "lowCallRate",
    }  # fmt: skip
    return Response(status=status, headers=httpx.Headers(headers), content=content, server_time=None)


def limits(clock: SandboxClock) -> RateLimiter:
    return RateLimiter(clock=clock.now, sleep=clock.advance, share=0.2)


# pure


@pytest.mark.parametrize(
    ("feeds", "allowance", "interval", "a_run", "whole"),
    [
        (3, 22.4, MINUTE, 3, MINUTE),  # a few: all of them, every run
        (200, 22.4, MINUTE, 17, 12 * MINUTE),
        (200, 22.4, 5 * MINUTE, 91, 15 * MINUTE),  # rarer runs have room for more
        (200, 22.4, timedelta(seconds=1), 1, timedelta(seconds=200)),
        (200, 0.5, MINUTE, 1, 200 * MINUTE),  # one at least, however little there is
        (0, 22.4, MINUTE, 1, MINUTE),
    ],
)
def test_a_run_reads_as_many_as_the_allowance_has_room_for(
    feeds: int, allowance: float, interval: timedelta, a_run: int, whole: timedelta
) -> None:
    found = per_run(feeds, allowance, interval, other_calls=1)
    assert found == a_run
    assert period(feeds, found, interval) == whole


def test_the_feed_read_longest_ago_is_first_and_never_read_ones_before_it() -> None:
    marks = {"a": START, "b": START - MINUTE, "d": START - 2 * MINUTE}
    assert oldest_first(["a", "b", "c", "d"], marks) == ["c", "d", "b", "a"]


@given(feeds=st.integers(1, 300), a_minute=st.floats(0, 300), every=st.integers(1, 600))
def test_each_feed_has_its_turn_within_a_whole_turn(feeds: int, a_minute: float, every: int) -> None:
    pause = timedelta(seconds=every)
    a_run = per_run(feeds, a_minute, pause, other_calls=2)
    names = [f"f{number}" for number in range(feeds)]
    marks: dict[str, datetime] = {}
    for number in range(period(feeds, a_run, pause) // pause):
        for feed in list(affordable(oldest_first(names, marks)[:a_run], pause, Paced())):
            marks[feed] = START + number * pause
    assert set(marks) == set(names)


def test_turns_end_before_anything_has_to_wait() -> None:
    names: Sequence[str] = [f"f{number}" for number in range(10)]
    assert list(affordable(names, MINUTE, Paced([SPARED + 2, SPARED + 1, SPARED]))) == names[:3]
    assert list(affordable(names, MINUTE, Paced([0]))) == names[:1]


def test_rare_runs_may_wait_for_the_next_window() -> None:
    names = [f"f{number}" for number in range(10)]
    assert list(affordable(names, 5 * MINUTE, Paced([0] * 10))) == names


def test_a_feed_is_stale_once_it_has_missed_two_turns() -> None:
    overlap, turn = 15 * MINUTE, 10 * MINUTE
    assert not is_stale(START - 35 * MINUTE, START, turn=turn, overlap=overlap)
    assert is_stale(START - 36 * MINUTE, START, turn=turn, overlap=overlap)
    assert is_stale(None, START, turn=turn, overlap=overlap)
    assert is_stale(START, None, turn=turn, overlap=overlap)


# what the answers show of the allowance


def test_nothing_known_is_the_smallest_package() -> None:
    """Dotdigital: 35 calls of the low tier a minute, the only number that is documented."""
    clock = SandboxClock(START, frozen=True)
    assert limits(clock).allowance(OPERATION) == pytest.approx(35 * 0.8 * 0.8)
    assert limits(clock).room(OPERATION) is None


def test_the_limit_of_the_tier_is_read_from_answers() -> None:
    clock = SandboxClock(START, frozen=True)
    mine = limits(clock)
    mine.after(OPERATION, answer(100, 60))
    assert mine.allowance(OPERATION) == pytest.approx(64)
    assert mine.room(OPERATION) == 24  # 60 are left, 36 of them not for polling
    clock.advance(61)
    assert mine.room(OPERATION) == 64


def test_the_flat_scheme_is_paced_by_the_hour() -> None:
    """Dotdigital call rate limits: the flat scheme has no headers, and 2,000 calls an hour by default."""
    clock = SandboxClock(START, frozen=True)
    mine = limits(clock)
    mine.after(OPERATION, answer(None))
    assert mine.allowance(OPERATION) == pytest.approx(2000 / 60 * 0.64 * 0.8, rel=0.02)
    assert mine.room(OPERATION) is None  # the account's information has not been asked for
    mine.ask = lambda: None
    figures = [{"name": "ApiCallsInLastHour", "value": "0"}, {"name": "ApiCallsRemaining", "value": "2000"}]
    body = json.dumps({"id": 1, "properties": figures}).encode()
    mine.after("get-account-information", answer(None, content=body))
    assert mine.room(OPERATION) == 256  # at once, of 1,280 an hour that are polling's
    for _ in range(6):
        mine.before(OPERATION)
    assert mine.room(OPERATION) == 250


# the reader


def many(preferences: int) -> Mapping:
    topics = tuple(
        Topic(TopicId(f"t{number}"), FilterRef(f"F{number}"), {"": NEWS + number})
        for number in range(preferences)
    )
    channel = Topic(CHANNEL, ConsentRef("EmailMarketing", "1.0", "en_US"), {})
    return Mapping(topics, channel, OnUnsubscribe.CHANNEL, "digest")


def test_a_few_preferences_are_read_every_run(reader: DotdigitalReader) -> None:
    assert list(reader.feeds_due({}, MINUTE)) == list(feed_names(reader))
    assert {feed_named(reader, feed, MINUTE).period for feed in feed_names(reader)} == {MINUTE}


@pytest.mark.parametrize("form", ["epoch_seconds", "seconds_from_now"])
def test_two_hundred_preferences_on_the_smallest_package_never_wait(form: str) -> None:
    """Dotdigital call rate limits: 35 calls a minute, a fifth of them left to others."""
    state = DotdigitalState(clock=SandboxClock(START, frozen=True))
    state.switches.rate_limits, state.switches.reset_form = "tiered", form
    for number in range(200):
        state.define_preference(NEWS + number)
    slept: list[float] = []
    mine = RateLimiter(clock=state.clock.now, sleep=slept.append)
    with Server(create_app(state)) as server:
        transport = transport_to(server.url, slept.append, throttle=mine)
        reader = DotdigitalReader(ClientV2(transport), None, many(200), state.clock.now, budget=mine)
        marks: dict[str, datetime] = {}
        runs = 0
        while len(marks) < 201:
            state.clock.advance(60)
            turn = feed_named(reader, f"{OPT_INS}{NEWS}", MINUTE).period
            read = []
            for feed in reader.feeds_due(marks, MINUTE):
                list(reader.read_feed(feed, START))
                read.append(feed)
            assert read[0] == SUPPRESSED
            marks |= dict.fromkeys(read, state.clock.now())
            runs += 1
        transport.close()
    assert not slept
    assert runs * MINUTE <= turn <= 15 * MINUTE
