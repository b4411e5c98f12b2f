"""The small account of the Dotdigital tests."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import httpx

from bridge.core.model import PersonId, Side, TopicId, Who
from bridge.core.writes import Evidence, Raise, Resubscribe, Withdrawal
from bridge.dotdigital.client.access import ApiUserAuth
from bridge.dotdigital.client.errors import to_error
from bridge.dotdigital.limits.limiter import RateLimiter
from bridge.sandbox.dotdigital import ApiUser, DotdigitalState
from bridge.transport import Transport

START = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
BEFORE = START - timedelta(days=3)
PROOF = Evidence(Side.MYPREFERENCES, START, START, "v")
NEWS, DAILY, WEEKLY, PROFILING_ID, UNMAPPED, CATEGORY = 1002, 1003, 1004, 1010, 1099, 1001
NEWSLETTER, OFFERS, PROFILING = TopicId("newsletter"), TopicId("offers"), TopicId("profiling")

USER = ApiUser()  # the API user that every sandbox account has

Handler = Callable[[httpx.Request], httpx.Response]
Mocked = Callable[[Handler], Transport]


def transport_to(
    base_url: str,
    sleep: Callable[[float], None],
    *,
    clock: Callable[[], datetime] = lambda: START,
    transport: httpx.BaseTransport | None = None,
    read_timeout: float = 120.0,
    throttle: RateLimiter | None = None,
) -> Transport:
    return Transport(
        side=Side.DOTDIGITAL,
        base_url=base_url,
        auth=ApiUserAuth(f" {USER.username} ", f"{USER.password}\n"),
        throttle=throttle or RateLimiter(clock=clock, sleep=sleep),
        to_error=to_error,
        jitter=random.Random(1),
        sleep=sleep,
        transport=transport,
        read_timeout=read_timeout,
    )


def who(address: str, *ids: int) -> Who:
    return Who(PersonId(1), address, {Side.DOTDIGITAL: tuple(str(number) for number in ids)})


def withdrawal(topic: TopicId) -> Withdrawal:
    return Withdrawal(Side.DOTDIGITAL, topic, START, START)


def opt_in(topic: TopicId, frequency: str | None = None, how: Resubscribe | None = None) -> Raise:
    return Raise(Side.DOTDIGITAL, topic, PROOF, frequency, how)


def no_heartbeat() -> None:
    """A heartbeat that is ignored."""


def status(state: DotdigitalState, address: str = "one@example.com") -> str:
    contact = state.find(address)
    assert contact is not None
    return contact.status
