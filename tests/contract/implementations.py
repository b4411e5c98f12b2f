"""One implementation of the Replica port a side, and a way to act as its people.

The same promises are tested on the fake and on both real clients against the emulated services.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Protocol

from bridge.core.errors import Unreachable
from bridge.core.mapping import (
    ConsentRef,
    FilterRef,
    Mapping,
    OnUnsubscribe,
    Topic,
)
from bridge.core.model import CHANNEL, Choice, PersonId, Side, TopicId, Who
from bridge.core.ports import ReadReplica, Replica
from bridge.dotdigital.client.access import ApiUserAuth
from bridge.dotdigital.client.errors import to_error as judge_dotdigital
from bridge.dotdigital.client.v2 import ClientV2
from bridge.dotdigital.client.v3 import ClientV3
from bridge.dotdigital.limits.limiter import RateLimiter
from bridge.dotdigital.reader import DotdigitalReader
from bridge.dotdigital.replica import DotdigitalReplica
from bridge.mypreferences.auth.oauth import ClientCredentials
from bridge.mypreferences.bulk.segment_export import SegmentRef
from bridge.mypreferences.client import MyPreferencesClient
from bridge.mypreferences.client.base import RateLimit
from bridge.mypreferences.client.errors import to_error as judge_mypreferences
from bridge.mypreferences.client.routes import load_routes
from bridge.mypreferences.reader import MyPreferencesReader
from bridge.mypreferences.replica import MyPreferencesReplica
from bridge.sandbox import dotdigital, mypreferences
from bridge.sandbox.faults import InjectedFault
from bridge.sandbox.mypreferences.account import CLIENT_ID, CLIENT_SECRET
from bridge.sandbox.server import Server
from bridge.transport import Throttle, Transport
from tests.fakes import FakeSide
from tests.positions import DOTDIGITAL, MYPREFERENCES, ONLY_A_SWEEP_TELLS

MAPPING = Mapping(
    topics=(
        Topic(TopicId("newsletter"), FilterRef("NEWS_EMAIL"), {"": 1002}),
        Topic(TopicId("offers"), FilterRef("OFFERS_EMAIL"), {"DAILY": 1003, "WEEKLY": 1004}),
    ),
    channel=Topic(CHANNEL, ConsentRef("EmailMarketing", "1.0", "en_US"), {}),
    on_unsubscribe=OnUnsubscribe.CHANNEL,
    digest="contract",
)
NEWS, OFFERS = TopicId("newsletter"), TopicId("offers")


EVERYTHING = {
    "Name": "bridge",
    "Url": "https://bridge.example.com/hooks",
    "State": "Active",
    "Subscriptions": [
        {"Entity": "Preferences", "EventType": "preference.added", "Filters": ["AllFilters"]},
        {"Entity": "Preferences", "EventType": "preference.updated", "Filters": ["AllFilters"]},
        {"Entity": "Preferences", "EventType": "preference.archived", "Filters": ["AllFilters"]},
        {"Entity": "Consents", "EventType": "consent.added", "ConsentTypes": ["AllConsents"]},
        {"Entity": "Consents", "EventType": "consent.updated", "ConsentTypes": ["AllConsents"]},
        {"Entity": "ProfileActions", "EventType": "profile.created"},
    ],
}


class Implementation(Protocol):
    """What the contract suite needs of an implementation."""

    side: Side
    reader: ReadReplica
    replica: Replica
    swept: bool  # some of what people say comes by no feed: only a sweep tells

    def now(self) -> datetime: ...

    def wait(self) -> None:
        """Until everything that was done shows, where this side takes its time."""
        ...

    def say(self, address: str, topic: TopicId, choice: Choice, at: datetime, frequency: str = "") -> None:
        """The person states a choice at this side."""
        ...

    def break_read(self) -> None:
        """The next read gets no answer, however often it is tried."""
        ...

    def lose_write(self, *, applied: bool) -> None:
        """The answer to the next write is lost, after or before it was applied."""
        ...


def who(address: str) -> Who:
    return Who(PersonId(1), address)


@dataclass
class FakeImplementation:
    side: Side
    fake: FakeSide
    now: Callable[[], datetime]
    swept: bool = False

    def __post_init__(self) -> None:
        self.reader = self.replica = self.fake

    def wait(self) -> None:
        """Nothing to wait for."""

    def say(self, address: str, topic: TopicId, choice: Choice, at: datetime, frequency: str = "") -> None:
        self.fake.say(address, topic, choice, at, (frequency,) if frequency else ())

    def break_read(self) -> None:
        for operation in ("read_person", "read_feed", "list_people"):
            self.fake.fail[operation] = [Unreachable("no answer", side=self.side, operation=operation)]

    def lose_write(self, *, applied: bool) -> None:
        from bridge.core.errors import OutcomeUnknown

        lost = OutcomeUnknown("no answer", side=self.side, operation="write")
        self.fake.write_fate.append(("lost_after" if applied else "lost_before", lost))


@contextmanager
def fake_implementation() -> Iterator[Implementation]:
    clock = ticking()
    yield FakeImplementation(Side.DOTDIGITAL, FakeSide(Side.DOTDIGITAL, MAPPING, clock), clock)


def ticking() -> Callable[[], datetime]:
    """A clock that moves a little whenever it is read, so that no two instants are the same."""
    start = datetime(2026, 3, 1, 12, tzinfo=UTC)
    ticks = iter(range(10**9))
    return lambda: start + timedelta(milliseconds=next(ticks))


def _transport(side: Side, url: str, auth: object, throttle: Throttle) -> Transport:
    return Transport(
        side=side,
        base_url=url,
        auth=auth,
        throttle=throttle,
        to_error=judge_mypreferences if side is Side.MYPREFERENCES else judge_dotdigital,
        jitter=random.Random(1),
        sleep=lambda _: None,
        read_timeout=120.0,
        tries=2,
    )


class MyPreferencesImplementation:
    side = Side.MYPREFERENCES
    swept = False

    def __init__(self, state: mypreferences.MyPreferencesState, url: str) -> None:
        self.state = state
        auth = ClientCredentials(
            token_url=f"{url}/oauth2/v1/token",
            client_id=CLIENT_ID,
            client_secret=CLIENT_SECRET,
            scope="ACME_Corp/bridge",
            clock=self.now,
        )
        transport = _transport(self.side, f"{url}/Profiles/v4", auth, RateLimit(None))
        client = MyPreferencesClient(transport, account="ACME_Corp", routes=load_routes(None))
        parts = (client, MAPPING, self.now)
        self.reader = MyPreferencesReader(*parts, segment=SegmentRef("EVERYBODY"), sleep=lambda _: None)
        self.replica = MyPreferencesReplica(*parts, segment=SegmentRef("EVERYBODY"), sleep=lambda _: None)
        self.close = client.close

    def now(self) -> datetime:
        return self.state.clock.now()

    def wait(self) -> None:
        switches = self.state.switches
        self.state.clock.advance(max(switches.write_lag_seconds, switches.event_lag_seconds))

    def say(self, address: str, topic: TopicId, choice: Choice, at: datetime, frequency: str = "") -> None:
        found = self.state.find(address)
        profile = found[0] if found else self.state.add_profile([address], quiet=False)
        if topic == CHANNEL:
            status = "Granted" if choice is Choice.OPTED_IN else "Revoked"
            self.state.set_consent(profile, "EmailMarketing", status, at)
        else:
            name = "NEWS_EMAIL" if topic == NEWS else "OFFERS_EMAIL"
            self.state.set_preference(profile, name, choice is Choice.OPTED_IN, at, frequency or None)
        self.state.clock.advance(1)  # the service tells its time in whole seconds

    def break_read(self) -> None:
        self.state.faults.add(InjectedFault("*", "reset", times=50))

    def lose_write(self, *, applied: bool) -> None:
        kind = "reset_after" if applied else "reset"
        self.state.faults.add(InjectedFault("updateProfilePost", kind))


@contextmanager
def mypreferences_implementation(*position: tuple[str, Any]) -> Iterator[Implementation]:
    state = mypreferences.MyPreferencesState()
    for switch, value in position:
        setattr(state.switches, switch, value)
    state.subscriptions.create(EVERYTHING)  # only events that belong to a subscription are kept
    with Server(mypreferences.create_app(state)) as server:
        side = MyPreferencesImplementation(state, server.url)
        yield side
        side.close()


class DotdigitalImplementation:
    side = Side.DOTDIGITAL
    swept = False

    def __init__(self, state: dotdigital.DotdigitalState, url: str) -> None:
        self.state = state
        state.define_preference(1002, "Newsletter")
        category = state.define_category(8, "Offers")
        state.define_preference(1003, "Daily", category)
        state.define_preference(1004, "Weekly", category)
        auth = ApiUserAuth(state.api_user.username, state.api_user.password)
        limits = RateLimiter(clock=self.now, sleep=state.clock.advance)
        transport = _transport(self.side, url, auth, limits)
        parts = (ClientV2(transport), ClientV3(transport), MAPPING, self.now)
        self.reader = DotdigitalReader(*parts, sleep=state.clock.advance)
        self.replica = DotdigitalReplica(*parts, sleep=state.clock.advance)
        self.close = transport.close

    def now(self) -> datetime:
        return self.state.clock.now()

    def wait(self) -> None:
        self.state.clock.advance(self.state.switches.feed_lag_seconds)

    def say(self, address: str, topic: TopicId, choice: Choice, at: datetime, frequency: str = "") -> None:
        found = self.state.find(address)
        contact = self.state.add_contact(address) if found is None else found.id
        if topic == CHANNEL:
            if choice is Choice.OPTED_OUT:
                self.state.unsubscribe(contact, at)
            return
        leaves = MAPPING.topic(topic).preferences
        for name, number in leaves.items():
            self.state.set_preference(contact, number, choice is Choice.OPTED_IN and name == frequency, at)

    def break_read(self) -> None:
        self.state.faults.add(InjectedFault("*", "reset", times=50))

    def lose_write(self, *, applied: bool) -> None:
        kind = "reset_after" if applied else "reset"
        self.state.faults.add(InjectedFault("importContact", kind))


@contextmanager
def dotdigital_implementation(*position: tuple[str, Any]) -> Iterator[Implementation]:
    state = dotdigital.DotdigitalState()
    for switch, value in position:
        setattr(state.switches, switch, value)
    with Server(dotdigital.create_app(state)) as server:
        side = DotdigitalImplementation(state, server.url)
        side.swept = any(one in ONLY_A_SWEEP_TELLS for one in position)
        yield side
        side.close()


Make = Callable[[], AbstractContextManager[Implementation]]

IMPLEMENTATIONS: dict[str, Make] = {
    "fake": fake_implementation,
    "mypreferences": mypreferences_implementation,
    "dotdigital": dotdigital_implementation,
    **{
        f"mypreferences_{one[0]}_{one[1]}": partial(mypreferences_implementation, one)
        for one in MYPREFERENCES
    },
    **{f"dotdigital_{one[0]}_{one[1]}": partial(dotdigital_implementation, one) for one in DOTDIGITAL},
}
"""Each side as the documents have it, and once for each position of what they leave open."""
