"""The server, the clock, the counter and the control surface that both emulated services share."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import httpx
import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from bridge.sandbox.clock import SandboxClock, StateLock
from bridge.sandbox.faults import Calls, Faults
from bridge.sandbox.http import ApiRoute, HttpReply, HttpRequest, RouteTable, split_path, text_reply
from bridge.sandbox.server import CONNECTION, Server
from bridge.sandbox.service import create_service
from bridge.sandbox.switches import ServiceSwitches
from tests.waiting import PATIENCE

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)


@dataclass
class Switches(ServiceSwitches):
    lag_seconds: float = 0.0
    wrapped: bool = False


@dataclass
class State:
    clock: SandboxClock = field(default_factory=lambda: SandboxClock(NOON, frozen=True))
    calls: Calls = field(default_factory=Calls)
    faults: Faults = field(default_factory=Faults)
    switches: Switches = field(default_factory=Switches)
    lock: StateLock = field(default_factory=StateLock)

    def people(self) -> list[dict[str, str]]:
        return [{"name": "ann"}]


def _path(_: str, path: str) -> str:
    return path.strip("/")


@pytest.fixture
def state() -> State:
    return State()


@pytest.fixture
def client(state: State) -> Iterator[httpx.Client]:
    table = RouteTable([ApiRoute("hello", "GET", "/hello", lambda _: text_reply("hi"))])

    def serve(request: HttpRequest) -> HttpReply:
        route = table.find(request.method, split_path(request.raw_path)).route
        return HttpReply(404) if route is None else route.handler(request)

    app = create_service(state, serve, operation_of=_path, operation_ids=table.operation_ids)
    with (
        Server(app) as server,
        httpx.Client(base_url=server.url, timeout=PATIENCE, trust_env=False) as client,
    ):
        yield client


def test_a_frozen_clock_moves_only_when_advanced() -> None:
    clock = SandboxClock(NOON, frozen=True)
    clock.advance(90)
    assert clock.now() == datetime(2026, 1, 2, 12, 1, 30, tzinfo=UTC)
    clock.set(NOON)
    assert clock.now() == NOON


def test_a_running_clock_goes_forward_from_its_start() -> None:
    clock = SandboxClock(NOON)
    assert NOON <= clock.now() <= clock.now()


def test_the_clock_refuses_a_time_without_zone() -> None:
    with pytest.raises(ValueError, match="zone"):
        SandboxClock(NOON.replace(tzinfo=None))


def test_the_date_header_is_the_sandbox_clock(client: httpx.Client, state: State) -> None:
    state.clock.advance(3600)
    answer = client.get("/hello")
    assert parsedate_to_datetime(answer.headers["date"]) == datetime(2026, 1, 2, 13, tzinfo=UTC)
    assert len(answer.headers.get_list("date")) == 1


def test_every_request_is_counted_even_when_nothing_is_there(client: httpx.Client, state: State) -> None:
    client.get("/hello")
    client.get("/nothing")
    assert state.calls.counts() == {"hello": 1, "nothing": 1}
    assert client.get("/_sandbox/calls").json() == {"total": 2, "counts": {"hello": 1, "nothing": 1}}
    assert client.post("/_sandbox/calls/reset").json()["total"] == 0


def test_an_unknown_switch_is_refused_by_the_nearest_name_and_nothing_is_set(
    client: httpx.Client, state: State
) -> None:
    answer = client.patch("/_sandbox/switches", json={"wrapped": True, "lag_second": 3})
    assert answer.status_code == 400
    assert "lag_seconds" in answer.json()["error"]
    assert state.switches == Switches()


def test_a_switch_of_another_type_is_refused(client: httpx.Client) -> None:
    assert client.patch("/_sandbox/switches", json={"wrapped": "yes"}).status_code == 400


def test_switches_can_be_set_and_read(client: httpx.Client) -> None:
    assert client.patch("/_sandbox/switches", json={"lag_seconds": 3}).json()["lag_seconds"] == 3.0
    assert client.get("/_sandbox/switches").json() == {
        "clock_ahead_seconds": 0.0,
        "read_lag_seconds": 0.0,
        "refused_writes": 0,
        "surplus_rights": False,
        "lag_seconds": 3.0,
        "wrapped": False,
    }


def test_faults_can_be_added_and_removed_over_http(client: httpx.Client) -> None:
    fault = {"operation": "hello", "kind": "status", "status": 503, "times": 9}
    assert client.post("/_sandbox/faults", json=[fault]).status_code == 201
    assert client.get("/hello").status_code == 503
    assert client.delete("/_sandbox/faults").status_code == 204
    assert client.get("/hello").text == "hi"
    assert client.post("/_sandbox/faults", json={"kind": "nothing"}).status_code == 400


def test_a_fault_for_an_unknown_operation_is_refused_by_the_nearest_name(client: httpx.Client) -> None:
    fault = {"operation": "helo", "kind": "status"}
    answer = client.post("/_sandbox/faults", json=fault)
    assert answer.status_code == 400
    assert "'hello'" in answer.json()["error"]
    assert client.post("/_sandbox/faults", json={"operation": "*", "kind": "slow"}).status_code == 201


def test_the_clock_can_be_moved_over_http(client: httpx.Client, state: State) -> None:
    client.post("/_sandbox/clock", json={"advance": 60})
    assert state.clock.now() == datetime(2026, 1, 2, 12, 1, tzinfo=UTC)
    client.post("/_sandbox/clock", json={"set": "2026-02-01T00:00:00Z"})
    assert state.clock.now() == datetime(2026, 2, 1, tzinfo=UTC)
    assert client.post("/_sandbox/clock", json={}).status_code == 400


def test_the_truth_about_people_is_readable(client: httpx.Client) -> None:
    assert client.get("/_sandbox/people").json() == [{"name": "ann"}]


def test_a_taken_port_is_an_error(client: httpx.Client, state: State) -> None:
    taken = client.base_url.port
    with pytest.raises(OSError, match="in use"), Server(Starlette(), port=taken or 0):
        pass


def test_answers_do_not_wait_for_acknowledgements() -> None:
    options: list[int] = []

    async def look(scope: Scope, receive: Receive, send: Send) -> None:
        transport = scope["extensions"][CONNECTION]._transport
        options.append(transport.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
        await PlainTextResponse("hi")(scope, receive, send)

    with Server(look) as server:
        httpx.get(server.url, timeout=PATIENCE, trust_env=False)
    assert options
    assert all(options)
