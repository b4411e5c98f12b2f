"""`BRIDGE_DOTDIGITAL__INTEGRATION_TOKEN` goes with every call to Dotdigital, and nowhere else."""

from __future__ import annotations

import logging
import random
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import httpx
import pytest
from dotdigital_world import START, USER
from test_dotdigital_cassettes import FOLDER, scrub_request
from test_dotdigital_operation_table import BESIDE, ROWS
from vcr.request import Request

from bridge.core.errors import SideError
from bridge.core.model import Side
from bridge.dotdigital.client.access import ApiUserAuth
from bridge.dotdigital.client.errors import to_error
from bridge.dotdigital.client.v2 import ClientV2
from bridge.dotdigital.client.v3 import ClientV3
from bridge.dotdigital.limits.limiter import RateLimiter
from bridge.sandbox.dotdigital import DotdigitalState
from bridge.sandbox.server import Server
from bridge.transport import Transport
from tests.operation_page import Row, named
from tests.spec_check.client import CALLS

HEADER = "x-ddg-integration-token"
TOKEN = "9d3f0a1c-5b1e-4c52-8a66-1f0e7d2b9c44"


@contextmanager
def signed(
    token: str | None, url: str = "https://r1-api.dotdigital.com", mock: httpx.MockTransport | None = None
) -> Iterator[Transport]:
    transport = Transport(
        side=Side.DOTDIGITAL,
        base_url=url,
        auth=ApiUserAuth(USER.username, USER.password, token),
        throttle=RateLimiter(clock=lambda: START, sleep=lambda _: None),
        to_error=to_error,
        jitter=random.Random(1),
        sleep=lambda _: None,
        transport=mock,
        tries=1,
    )
    yield transport
    transport.close()


def requests_of(row: Row, token: str | None) -> list[httpx.Request]:
    """What a client sends for the operation of a row."""
    sent: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        sent.append(request)
        return httpx.Response(404, json={"message": "Nobody."})

    with signed(token, mock=httpx.MockTransport(answer)) as transport, suppress(SideError):
        if row.operation in CALLS:
            CALLS[row.operation](ClientV2(transport), START)
        else:
            BESIDE[row.operation](ClientV2(transport), ClientV3(transport))
    return sent


@pytest.mark.parametrize("row", ROWS, ids=named)
def test_every_operation_carries_the_token(row: Row) -> None:
    sent = requests_of(row, TOKEN)
    assert [request.headers.get_list(HEADER) for request in sent] == [[TOKEN]]


@pytest.mark.parametrize("row", ROWS, ids=named)
def test_without_a_token_no_operation_has_the_header(row: Row) -> None:
    sent = requests_of(row, None)
    assert [HEADER in request.headers for request in sent] == [False]


def test_an_account_that_demands_the_token_serves_who_sends_it(
    state: DotdigitalState, server: Server
) -> None:
    state.switches.integration_token = TOKEN
    with signed(TOKEN, server.url) as transport:
        assert ClientV2(transport).get_preferences()
        assert ClientV3(transport).get_contacts(limit=1)
    for token in (None, TOKEN.replace("9", "8")):
        with signed(token, server.url) as transport:
            with pytest.raises(SideError, match="403"):
                ClientV2(transport).get_preferences()
            with pytest.raises(SideError, match="403"):
                ClientV3(transport).get_contacts(limit=1)


def test_an_account_that_demands_none_serves_with_and_without(state: DotdigitalState, server: Server) -> None:
    for token in (None, TOKEN):
        with signed(token, server.url) as transport:
            assert ClientV2(transport).get_preferences()


def test_the_token_does_not_follow_a_redirect_to_another_host() -> None:
    hosts: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        hosts.append(request.url.host)
        return httpx.Response(307, headers={"Location": "https://elsewhere.example/v2/preferences"})

    with signed(TOKEN, mock=httpx.MockTransport(answer)) as transport, pytest.raises(SideError):
        ClientV2(transport).get_preferences()
    assert hosts == ["r1-api.dotdigital.com"]


def test_the_token_is_in_no_log_and_no_error(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    for status in (200, 400, 401, 403, 404, 429, 500):
        mock = httpx.MockTransport(lambda _, status=status: httpx.Response(status, text="?"))
        with signed(TOKEN, mock=mock) as transport, pytest.raises(SideError) as failed:
            ClientV2(transport).get_preferences()
        assert TOKEN not in f"{failed.value!r} {failed.value}"
    assert caplog.text
    assert TOKEN not in caplog.text


def test_no_cassette_records_the_token() -> None:
    request = Request("GET", "https://r1-api.dotdigital.com/v2/preferences", None, {HEADER: TOKEN})
    assert HEADER not in scrub_request(request).headers
    assert not [path.name for path in FOLDER.glob("*.yaml") if HEADER in path.read_text().lower()]
