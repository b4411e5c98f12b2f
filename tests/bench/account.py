"""An emulated Dotdigital account, and the bridge's hands and eyes for it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

from bridge.core.mapping import CHANNEL, ConsentRef, FilterRef, Mapping, OnUnsubscribe, Topic
from bridge.core.model import TopicId
from bridge.dotdigital.client_v2 import ClientV2
from bridge.dotdigital.client_v3 import ClientV3
from bridge.dotdigital.replica import DotdigitalReplica
from bridge.sandbox.clock import SandboxClock
from bridge.sandbox.dotdigital import State, create_app
from bridge.sandbox.server import Server
from tests.dotdigital.dotdigital_world import transport_to

START = datetime(2026, 3, 2, 12, tzinfo=UTC)
FIRST = 2000  # the first preference's id


def mapping_of(preferences: int) -> Mapping:
    """As many topics, each with one preference of its own."""
    topics = tuple(
        Topic(TopicId(f"topic{number}"), FilterRef(f"F{number}"), {"": FIRST + number})
        for number in range(preferences)
    )
    channel = Topic(CHANNEL, ConsentRef("EmailMarketing", "1.0", "en_US"), {})
    return Mapping(topics, channel, OnUnsubscribe.CHANNEL, digest="bench")


def ids(preferences: int) -> Sequence[int]:
    return range(FIRST, FIRST + preferences)


@dataclass(frozen=True)
class Account:
    """The account behind its server, and one bridge's replica of it."""

    state: State
    url: str
    mapping: Mapping

    @contextmanager
    def replica(self) -> Iterator[DotdigitalReplica]:
        clock = self.state.clock
        transport = transport_to(self.url, clock.advance, clock=clock.now, read_timeout=120.0)
        try:
            yield DotdigitalReplica(ClientV2(transport), ClientV3(transport), self.mapping, clock.now)
        finally:
            transport.close()


@contextmanager
def account(preferences: int) -> Iterator[Account]:
    """An account with nobody in it; its time stands still, so that no job takes part of another's."""
    state = State(SandboxClock(START, frozen=True))
    for number in ids(preferences):
        state.define_preference(number)
    with Server(create_app(state)) as server:
        yield Account(state, server.url, mapping_of(preferences))
