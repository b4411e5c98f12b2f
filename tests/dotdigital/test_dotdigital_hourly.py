"""The flat scheme: 2,000 calls a rolling hour, no headers, 400 once it is used up (`Call rate limits`)."""

from __future__ import annotations

import json
import random
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from bridge.core.errors import Throttled, Unreachable
from bridge.core.model import Side
from bridge.core.priority import Priority, with_priority
from bridge.dotdigital.limits.limiter import RateLimiter
from bridge.sandbox.dotdigital.limits import LOW
from bridge.sandbox.dotdigital.limits import CallAllowances as Counted
from bridge.sandbox.dotdigital.switches import DotdigitalSwitches
from bridge.transport import Response

FEED, READ, INFO = "get-suppressed-contacts-since-date", "get-contact", "get-account-information"
START = datetime(2026, 3, 1, 12, 0, 10, tzinfo=UTC)
PLAIN = Response(200, httpx.Headers(), b"[]", None)
CAPPED = Response(400, httpx.Headers(), b'{"message":"Capped. ERROR_APIUSAGE_EXCEEDED"}', None)
TIERED = httpx.Headers(
    {
        "X-RateLimit-Limit": "10",
        "X-RateLimit-Remaining": "9",
        "X-RateLimit-Reset": "50",
        "X-RateLimit-Scope": "lowCallRate",
    }
)


def quota_answer(used: object, left: object) -> Response:
    rows = [{"name": "ApiCallsInLastHour", "value": used}, {"name": "ApiCallsRemaining", "value": left}]
    return Response(200, httpx.Headers(), json.dumps({"id": 1, "properties": rows}).encode(), None)


class World:
    """An account that counts calls as the sandbox does, and the bridge's limiter for it."""

    def __init__(self, limit: int = 2000) -> None:
        self.now = START
        self.account = Counted(DotdigitalSwitches(rate_limits="flat", limit_flat=limit))
        self.limit = limit
        self.refused = 0
        self.limits = RateLimiter(clock=lambda: self.now, sleep=self.sleep, share=0.2)
        self.limits.ask = self.ask

    def sleep(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)

    def ask(self) -> None:
        self.call(INFO)

    def call(self, operation: str = FEED, purpose: Priority = Priority.POLLING) -> float:
        """Make a call; returns the seconds it waited."""
        began = self.now
        with with_priority(purpose):
            self.limits.before(operation)
        waited = (self.now - began).total_seconds()
        answer = CAPPED
        if self.account.charge(self.now, LOW).allowed:
            used = self.account.last_hour(self.now)
            answer = quota_answer(str(used), str(max(0, self.limit - used))) if operation == INFO else PLAIN
        self.refused += answer is CAPPED
        self.limits.after(operation, answer)
        return waited

    def other_integrations(self, calls: int) -> None:
        self.account.use_elsewhere(self.now, LOW, calls)

    @property
    def left(self) -> object:
        return self.limits.budget["hour"]["remaining"]


def _without_end(world: World, lane: Priority) -> None:
    while True:
        world.call(READ, lane)


@pytest.mark.parametrize("lane", list(Priority))
@pytest.mark.parametrize("seed", range(3))
def test_no_lane_ever_drives_the_account_into_its_cap(lane: Priority, seed: int) -> None:
    """A day without a pause, beside other integrations that use their fifth of the hour at any time. (Only
    withdrawals may use that fifth; they run without other integrations here.)"""
    world, dice = World(limit=200), random.Random(seed)
    spent: deque[datetime] = deque()
    while world.now - START < timedelta(days=1):
        while spent and world.now - spent[0] >= timedelta(hours=1):
            spent.popleft()
        use = 0 if lane is Priority.WITHDRAWALS else min(40 - len(spent), dice.choice([0, 0, 0, 1, 2]))
        world.other_integrations(use)
        spent.extend([world.now] * use)
        world.sleep(dice.choice([0.0, 0.0, 1.0, 30.0]))
        try:
            world.call(READ, lane)
        except Throttled:  # before anything was sent
            world.sleep(60)
    assert world.refused == 0


@pytest.mark.parametrize(("lane", "share"), [(Priority.POLLING, 1280), (Priority.SWEEP, 960)])
def test_a_fifth_of_a_lanes_hour_may_go_at_once_and_the_rest_is_spread_over_it(
    lane: Priority, share: int
) -> None:
    """Of 2,000 calls 400 are for other integrations, and of the rest polling leaves a fifth, a sweep two."""
    world = World()
    world.call(FEED, lane)
    calls = 1
    while not world.call(FEED, lane):
        calls += 1
    assert share / 5 - 2 <= calls <= share / 5
    began, calls = world.now, 0
    while world.now - began < timedelta(hours=3):
        assert world.call(FEED, lane) < 10, "what is paced never waits for long"
        calls += 1
    assert calls / 3 >= share * 0.75


def test_what_polling_is_promised_a_minute_it_has_every_minute() -> None:
    world = World()
    world.call()
    with with_priority(Priority.POLLING):
        promised = int(world.limits.allowance(FEED))
    assert promised == 16
    for minute in range(180):
        world.now = START.replace(second=1) + timedelta(minutes=minute + 2)
        assert sum(world.call() for _ in range(promised)) == 0


def test_withdrawals_use_what_all_others_leave() -> None:
    world = World(limit=100)
    world.call()
    while not world.call(READ, Priority.SWEEP):
        pass
    assert [world.call(READ, Priority.WITHDRAWALS) for _ in range(60)] == [0] * 60


def test_calls_of_other_integrations_are_seen_every_few_minutes() -> None:
    world = World()
    world.call()
    world.call()
    assert world.left == 2000 - 3  # one of them asked
    world.other_integrations(1500)
    assert world.left == 2000 - 3
    world.sleep(300)
    world.call()
    assert world.left == 500 - 5


def test_other_integrations_keep_what_they_have_used_of_their_share() -> None:
    """400 are theirs: having used 300, they are left 100."""
    world = World()
    world.other_integrations(300)
    world.call()
    world.call()
    assert world.limits.budget["hour"] == {
        "limit": 2000,
        "remaining": 1697,
        "resets_at": None,
        "left_to_others": 100,
        "waited_seconds": 0,
    }


def test_a_used_up_hour_is_reported_without_a_call() -> None:
    world = World(limit=100)
    world.call()
    world.other_integrations(90)
    world.sleep(300)
    for lane in (Priority.POLLING, Priority.WITHDRAWALS):
        with pytest.raises(Throttled, match="used up") as waits:
            _without_end(world, lane)
        assert waits.value.retry_after == 300
    assert world.account.last_hour(world.now) == 100
    assert world.refused == 0


def test_a_call_that_waits_is_let_through_where_only_more_urgent_ones_might_need_it() -> None:
    world = World(limit=100)
    world.call()
    for _ in range(60):
        world.call(READ, Priority.WITHDRAWALS)
    assert world.call(FEED, Priority.SWEEP) == 180.0


@pytest.mark.parametrize("answer", [quota_answer("x", "5"), quota_answer("5", None), PLAIN])
def test_without_figures_nothing_is_held_back(answer: Response) -> None:
    """Then the service's refusal is what tells, as it is where nobody can be asked."""
    world = World()
    world.limits.after(FEED, PLAIN)
    world.limits.after(INFO, answer)
    for _ in range(3000):
        world.limits.before(FEED)
    assert world.now == START
    assert world.limits.budget == {}


def test_an_account_that_cannot_be_asked_has_the_documented_number() -> None:
    world = World()

    def fails() -> None:
        raise Unreachable("gone", side=Side.DOTDIGITAL, operation=INFO, hint="")

    world.limits.ask = fails
    world.limits.after(FEED, PLAIN)
    world.limits.before(FEED)
    assert world.limits.budget["hour"]["limit"] == 2000


def _headers_are_gone(limits: RateLimiter) -> None:
    limits.after(FEED, PLAIN)


def _is_capped(limits: RateLimiter) -> None:
    limits.after(READ, CAPPED)


@pytest.mark.parametrize("turn", [_headers_are_gone, _is_capped])
def test_a_user_moved_to_the_flat_scheme_is_noticed(turn: Callable[[RateLimiter], None]) -> None:
    """The scheme is a property of the API user, and may be edited while the bridge runs."""
    world = World()
    world.limits.after(FEED, Response(200, TIERED, b"[]", None))
    assert world.limits.budget.keys() == {"lowCallRate"}
    turn(world.limits)
    world.sleep(300)
    world.call()
    world.call()
    assert world.limits.budget.keys() == {"hour"}


def test_a_user_moved_to_the_tiered_scheme_is_noticed() -> None:
    world = World()
    world.call()
    world.call()
    world.limits.after(FEED, Response(200, TIERED, b"[]", None))
    assert world.limits.budget.keys() == {"lowCallRate"}


def test_calls_that_never_carry_headers_say_nothing_against_tiers() -> None:
    """Whether unlimited calls carry them is not documented."""
    world = World()
    world.limits.after(FEED, Response(200, TIERED, b"[]", None))
    for operation in ("getImportStatus", "get-server-time", "exportEvents"):
        world.limits.after(operation, PLAIN)
    assert world.limits.budget.keys() == {"lowCallRate"}


@pytest.mark.parametrize("code", ["contacts:tooManyActiveImports", "contacts:tooManyBulkDeleteJobs"])
def test_too_many_jobs_are_no_lack_of_calls(code: str) -> None:
    """Contacts v3: these answer 429 too, and mean that a job has to end first."""
    world = World()
    world.limits.after("importContacts", Response(200, TIERED, b"{}", None))
    refused = json.dumps({"errorCode": code, "description": "Too many jobs"}).encode()
    world.limits.after("importContacts", Response(429, TIERED, refused, None))
    world.limits.after("importContacts", Response(429, httpx.Headers(), refused, None))
    assert world.limits.budget["lowCallRate"]["remaining"] == 9
    world.limits.before(FEED)
    assert world.now == START
