from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import httpx
import pytest

from bridge.sandbox.clock import SandboxClock
from bridge.sandbox.dotdigital import DotdigitalState, create_app
from bridge.sandbox.server import Server
from tests.waiting import PATIENCE

START = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


@pytest.fixture
def state() -> DotdigitalState:
    return DotdigitalState(clock=SandboxClock(START, frozen=True))


@pytest.fixture
def server(state: DotdigitalState) -> Iterator[Server]:
    with Server(create_app(state)) as running:
        yield running


@pytest.fixture
def http(state: DotdigitalState, server: Server) -> Iterator[httpx.Client]:
    auth = (state.api_user.username, state.api_user.password)
    with httpx.Client(base_url=server.url, auth=auth, timeout=PATIENCE, trust_env=False) as client:
        yield client
