from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest
from dotdigital_world import (
    CATEGORY,
    DAILY,
    NEWS,
    NEWSLETTER,
    OFFERS,
    PROFILING,
    PROFILING_ID,
    START,
    UNMAPPED,
    WEEKLY,
    Handler,
    Mocked,
    transport_to,
)

from bridge.core.mapping import ConsentRef, FilterRef, Mapping, OnUnsubscribe, Topic
from bridge.core.model import CHANNEL
from bridge.dotdigital.client.v2 import ClientV2
from bridge.dotdigital.client.v3 import ClientV3
from bridge.dotdigital.reader import DotdigitalReader
from bridge.dotdigital.replica import DotdigitalReplica
from bridge.sandbox.clock import SandboxClock
from bridge.sandbox.dotdigital import DotdigitalState, create_app
from bridge.sandbox.server import Server
from bridge.transport import Transport


@pytest.fixture
def slept() -> list[float]:
    return []


@pytest.fixture
def mocked(slept: list[float]) -> Mocked:
    """A transport whose requests are answered by a function."""

    def build(handler: Handler) -> Transport:
        base = "https://r1-api.dotdigital.com"
        return transport_to(base, slept.append, transport=httpx.MockTransport(handler))

    return build


@pytest.fixture
def state() -> DotdigitalState:
    state = DotdigitalState(clock=SandboxClock(START, frozen=True))
    state.define_category(CATEGORY, "Offers")
    state.define_preference(NEWS, "News")
    state.define_preference(DAILY, "Daily", category=CATEGORY)
    state.define_preference(WEEKLY, "Weekly", category=CATEGORY)
    state.define_preference(PROFILING_ID, "Profiling", public=False)
    state.define_preference(UNMAPPED, "Not ours")
    return state


@pytest.fixture
def server(state: DotdigitalState) -> Iterator[Server]:
    with Server(create_app(state)) as running:
        yield running


@pytest.fixture
def transport(state: DotdigitalState, server: Server, slept: list[float]) -> Iterator[Transport]:
    made = transport_to(server.url, slept.append, clock=state.clock.now)
    yield made
    made.close()


@pytest.fixture
def v2(transport: Transport) -> ClientV2:
    return ClientV2(transport)


@pytest.fixture
def v3(transport: Transport) -> ClientV3:
    return ClientV3(transport)


@pytest.fixture
def mapping() -> Mapping:
    topics = (
        Topic(NEWSLETTER, FilterRef("NEWS_EMAIL"), {"": NEWS}),
        Topic(OFFERS, FilterRef("OFFERS_EMAIL"), {"DAILY": DAILY, "WEEKLY": WEEKLY}),
        Topic(PROFILING, ConsentRef("Profiling", "1.0", "en_US"), {"": PROFILING_ID}),
    )
    channel = Topic(CHANNEL, ConsentRef("EmailMarketing", "1.0", "en_US"), {})
    return Mapping(topics, channel, OnUnsubscribe.CHANNEL, "digest")


@pytest.fixture
def reader(v2: ClientV2, v3: ClientV3, mapping: Mapping, state: DotdigitalState) -> DotdigitalReader:
    return DotdigitalReader(v2, v3, mapping, state.clock.now)


@pytest.fixture
def replica(v2: ClientV2, v3: ClientV3, mapping: Mapping, state: DotdigitalState) -> DotdigitalReplica:
    return DotdigitalReplica(v2, v3, mapping, state.clock.now)


@pytest.fixture
def without_v3(v2: ClientV2, mapping: Mapping, state: DotdigitalState) -> DotdigitalReplica:
    return DotdigitalReplica(v2, None, mapping, state.clock.now, sleep=state.clock.advance)
