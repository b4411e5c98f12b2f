"""Every operation of both clients, with every kind of hostile answer: a result or the one error, in time."""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import httpx
import pytest

from bridge.core.errors import SideError
from bridge.core.model import Side
from bridge.dotdigital.client.access import ApiUserAuth
from bridge.dotdigital.client.errors import to_error
from bridge.dotdigital.client.v2 import ClientV2
from bridge.dotdigital.client.v3 import ClientV3
from bridge.dotdigital.limits.limiter import RateLimiter
from bridge.mypreferences.client import MyPreferencesClient
from bridge.mypreferences.client.base import RateLimit
from bridge.mypreferences.client.errors import error_mapper
from bridge.mypreferences.client.routes import load_routes
from bridge.sandbox import dotdigital
from bridge.sandbox.clock import SandboxClock
from bridge.sandbox.dotdigital.app import operation_of
from bridge.sandbox.mypreferences import create_app
from bridge.sandbox.mypreferences.app import _operation_id
from bridge.sandbox.server import Server
from bridge.transport import Transport
from tests.hostile.kinds import KINDS, HostileService, Kind
from tests.mypreferences.mp_world import World
from tests.sizes import size
from tests.spec_check.client import CALLS as PUBLISHED

TESTS = Path(__file__).resolve().parents[1]
for folder in ("mypreferences", "dotdigital"):  # their modules name each other without a package
    sys.path.append(str(TESTS / folder))

from client_calls import CALLS as MINE  # noqa: E402
from client_calls import Known, prepared  # noqa: E402
from test_dotdigital_operation_table import BESIDE, START  # noqa: E402

SECONDS = 5.0
PER_OPERATION = size(3, len(KINDS))


def kinds_of(number: int) -> list[Kind]:
    """The kinds that an operation meets: in an ordinary run of the tests they take turns."""
    return [KINDS[(number * PER_OPERATION + step) % len(KINDS)] for step in range(PER_OPERATION)]


def promise(service: HostileService, call: Callable[[], object], kind: Kind) -> None:
    service.arm("", kind)
    service.any_operation = True
    began = time.monotonic()
    with suppress(SideError):
        call()
    assert time.monotonic() - began < SECONDS, kind.name


@pytest.fixture(scope="module")
def theirs() -> Iterator[tuple[HostileService, Transport]]:
    state = dotdigital.DotdigitalState(SandboxClock(frozen=True))
    service = HostileService(dotdigital.create_app(state), operation_of)
    with Server(service) as server:
        transport = Transport(
            side=Side.DOTDIGITAL, base_url=server.url,
            auth=ApiUserAuth(state.api_user.username, state.api_user.password),
            throttle=RateLimiter(clock=state.clock.now, sleep=lambda _: None), to_error=to_error,
            jitter=random.Random(1), sleep=lambda _: None, tries=1, read_timeout=0.5, answer_timeout=1.0,
        )  # fmt: skip
        yield service, transport
        transport.close()


@pytest.mark.parametrize(("number", "operation"), list(enumerate(sorted({*PUBLISHED, *BESIDE}))))
def test_an_operation_of_dotdigital_ends_in_a_result_or_the_one_error(
    number: int, operation: str, theirs: tuple[HostileService, Transport]
) -> None:
    service, transport = theirs
    v2, v3 = ClientV2(transport), ClientV3(transport)
    for kind in kinds_of(number):
        if operation in PUBLISHED:
            promise(service, lambda: PUBLISHED[operation](v2, START), kind)
        else:
            promise(service, lambda: BESIDE[operation](v2, v3), kind)


@pytest.fixture(scope="module")
def mine() -> Iterator[tuple[HostileService, MyPreferencesClient]]:
    service = HostileService(create_app(state := prepared()), _operation_id)
    with Server(service) as server:
        world = World(state, server.url)
        auth = world.auth()
        transport = Transport(
            side=Side.MYPREFERENCES, base_url=f"{server.url}/Profiles/v4", auth=auth,
            throttle=RateLimit(None), to_error=error_mapper(auth, state.clock.now),
            jitter=random.Random(1), sleep=lambda _: None, tries=1, read_timeout=0.5, answer_timeout=1.0,
        )  # fmt: skip
        yield service, MyPreferencesClient(transport, account=state.config.account, routes=load_routes(None))
        transport.close()
        world.close()


@pytest.mark.parametrize(("number", "name"), list(enumerate(sorted(MINE))))
def test_an_operation_of_mypreferences_ends_in_a_result_or_the_one_error(
    number: int, name: str, mine: tuple[HostileService, MyPreferencesClient]
) -> None:
    service, client = mine
    for kind in kinds_of(number):
        promise(service, lambda: MINE[name](client, Known()), kind)


def test_a_url_that_leads_elsewhere_is_not_followed() -> None:
    """A redirect would send credentials to wherever an answer says."""
    assert httpx.Client().follow_redirects is False
