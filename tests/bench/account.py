"""An emulated Dotdigital account, and the bridge's reader and writer for it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime

from bridge.core.mapping import ConsentRef, FilterRef, Mapping, OnUnsubscribe, Topic
from bridge.core.model import CHANNEL, TopicId
from bridge.core.ports import KeyValue
from bridge.dotdigital.client.v2 import ClientV2
from bridge.dotdigital.client.v3 import ClientV3
from bridge.dotdigital.limits.limiter import RateLimiter
from bridge.dotdigital.replica import DotdigitalReplica
from bridge.sandbox.clock import SandboxClock
from bridge.sandbox.dotdigital import DotdigitalState, create_app
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

    state: DotdigitalState
    url: str
    mapping: Mapping
    _waits: list[float] = field(default_factory=list)

    def _wait(self, seconds: float) -> None:
        self._waits.append(seconds)
        self.state.clock.advance(seconds)

    @property
    def waited(self) -> float:
        """Seconds that calls have waited for their allowance."""
        return sum(self._waits)

    @contextmanager
    def replica(self, *, v3: bool = True, memory: KeyValue | None = None) -> Iterator[DotdigitalReplica]:
        clock = self.state.clock
        limits = RateLimiter(clock=clock.now, sleep=self._wait)
        transport = transport_to(
            self.url, clock.advance, clock=clock.now, read_timeout=120.0, throttle=limits
        )
        client = ClientV3(transport) if v3 else None
        try:
            yield DotdigitalReplica(
                ClientV2(transport),
                client,
                self.mapping,
                clock.now,
                memory=memory,
                budget=limits,
                sleep=clock.advance,
            )
        finally:
            transport.close()


@contextmanager
def account(preferences: int) -> Iterator[Account]:
    """An account with nobody in it; its time stands still, so that no job takes part of another's."""
    state = DotdigitalState(SandboxClock(START, frozen=True))
    for number in ids(preferences):
        state.define_preference(number)
    with Server(create_app(state)) as server:
        yield Account(state, server.url, mapping_of(preferences))
