"""Faults fire when they are due, and break the wire for real."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from bridge.sandbox.clock import SandboxClock
from bridge.sandbox.faults import KINDS, Calls, Faults, InjectedFault
from bridge.sandbox.server import Server
from bridge.sandbox.service import ServiceMiddleware
from tests.waiting import PATIENCE, wait_until


class Toy:
    """A service with one operation that counts how often it was applied."""

    def __init__(self) -> None:
        self.applied = 0
        self.clock, self.calls, self.faults = SandboxClock(), Calls(), Faults()
        routes = [Route("/thing", self.thing, methods=["GET", "POST"])]
        self.app = ServiceMiddleware(
            Starlette(routes=routes), self.clock, self.calls, self.faults, lambda *_: "thing"
        )

    def thing(self, _: Request) -> Response:
        self.applied += 1
        return JSONResponse(list(range(100)))


@pytest.fixture
def toy() -> Toy:
    return Toy()


@pytest.fixture
def client(toy: Toy) -> Iterator[httpx.Client]:
    with (
        Server(toy.app) as server,
        httpx.Client(base_url=server.url, timeout=PATIENCE, trust_env=False) as client,
    ):
        yield client


def test_a_fault_fires_from_its_nth_call_as_often_as_set_and_only_for_its_operation() -> None:
    faults = Faults()
    faults.record("a")
    faults.add(InjectedFault("a", "null", nth=2, times=2))
    fired = [faults.record(name) is not None for name in ("a", "b", "a", "a", "a")]
    assert fired == [False, False, True, True, False]


def test_a_star_fault_counts_every_operation() -> None:
    faults = Faults()
    faults.add(InjectedFault("*", "null", nth=3))
    assert [faults.record(name) is not None for name in "abc"] == [False, False, True]


def test_cleared_faults_no_longer_fire() -> None:
    faults = Faults()
    faults.add(InjectedFault("a", "null"))
    faults.clear()
    assert faults.record("a") is None


def test_exactly_one_of_many_threads_meets_a_single_fault() -> None:
    faults = Faults()
    faults.add(InjectedFault("a", "null", nth=50))
    met: list[InjectedFault | None] = []
    threads = [
        threading.Thread(target=lambda: met.extend(faults.record("a") for _ in range(25))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len([fault for fault in met if fault]) == 1


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ({"operation": "a", "kind": "truncat"}, "did you mean 'truncate'"),
        ({"operation": "a", "kind": "null", "nht": 2}, "did you mean 'nth'"),
        ({"operation": "a"}, "kind"),
        ({"operation": "a", "kind": "null", "nth": 0}, "count from 1"),
        ({"operation": "a", "kind": "status", "status": 7}, "not an HTTP status"),
    ],
)
def test_a_wrong_fault_is_refused_with_a_hint(document: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        InjectedFault.from_json(document)


@pytest.mark.parametrize(
    ("kind", "status", "body", "applied"),
    [
        ("status", 503, '{"x":1}', 0),
        ("status_after", 503, '{"x":1}', 1),
        ("null", 200, "null", 0),
        ("empty", 200, "", 0),
        ("slow", 200, json.dumps(list(range(100)), separators=(",", ":")), 1),
    ],
)
def test_answering_faults_return_what_they_were_given(
    toy: Toy, client: httpx.Client, kind: str, status: int, body: str, applied: int
) -> None:
    toy.faults.add(
        InjectedFault("thing", kind, status=503, body='{"x":1}', headers={"Retry-After": "7"}, delay=0.01)
    )
    answer = client.get("/thing")
    assert (answer.status_code, answer.text, toy.applied) == (status, body, applied)
    assert kind == "slow" or answer.headers["retry-after"] == "7"


def test_the_html_fault_is_a_page_with_status_200(toy: Toy, client: httpx.Client) -> None:
    toy.faults.add(InjectedFault("thing", "html"))
    answer = client.get("/thing")
    assert (answer.status_code, answer.headers["content-type"].split(";")[0]) == (200, "text/html")


def test_half_a_page_is_valid_json_with_the_first_half(toy: Toy, client: httpx.Client) -> None:
    toy.faults.add(InjectedFault("thing", "half_page"))
    assert client.get("/thing").json() == list(range(50))


@pytest.mark.parametrize(
    ("kind", "applied"),
    [("reset", 0), ("reset_after", 1), ("timeout_before", 0), ("timeout_after", 1), ("truncate", 1)],
)
def test_wire_faults_are_real_for_the_client(toy: Toy, client: httpx.Client, kind: str, applied: int) -> None:
    toy.faults.add(InjectedFault("thing", kind))
    # which of the two a dropped connection becomes is up to the kernel's timing
    with pytest.raises((httpx.ReadError, httpx.RemoteProtocolError)):
        client.post("/thing", json={})
    assert toy.applied == applied
    assert client.get("/thing").status_code == 200


@pytest.mark.parametrize(("kind", "applied"), [("timeout_before", 0), ("timeout_after", 1)])
def test_a_hang_longer_than_the_clients_patience_is_a_read_timeout(
    toy: Toy, client: httpx.Client, kind: str, applied: int
) -> None:
    toy.faults.add(InjectedFault("thing", kind, delay=60))
    with pytest.raises(httpx.ReadTimeout):
        client.get("/thing", timeout=httpx.Timeout(60, read=0.3))
    wait_until(lambda: toy.calls.count("thing") == 1 and toy.applied == applied, "the request was handled")


def test_a_server_stops_though_a_request_hangs(toy: Toy) -> None:
    toy.faults.add(InjectedFault("thing", "timeout_before", delay=600))
    with (
        Server(toy.app) as server,
        httpx.Client(base_url=server.url, trust_env=False) as client,
        pytest.raises(httpx.ReadTimeout),
    ):
        client.get("/thing", timeout=httpx.Timeout(60, read=0.2))


def test_every_kind_is_served(toy: Toy, client: httpx.Client) -> None:
    for kind in KINDS:
        toy.faults.add(InjectedFault("thing", kind))
        with contextlib.suppress(httpx.TransportError):
            client.get("/thing")
        toy.faults.clear()
    assert toy.calls.count("thing") == len(KINDS)
