"""Who may connect and under which name: connections that do nothing keep nobody out."""

from __future__ import annotations

import http.client
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from urllib.parse import urlsplit

import pytest

from bridge.web import connections
from bridge.web.connections import MOST_OF_ONE
from bridge.web.server import HttpAnswer, WebServer, make_app
from tests.daemon.harness import PATIENCE, get, wait_until


class Steady:
    def alive(self) -> HttpAnswer:
        return HttpAnswer(True, {"alive": True, "rounds": {"done": 3}})

    def ready(self) -> HttpAnswer:
        return HttpAnswer(False, {"ready": False, "reasons": ["<script>\x9b31m"], "feeds": {}})


@pytest.fixture
def server() -> Iterator[WebServer]:
    served = WebServer(make_app(Steady()), host="127.0.0.1", port=0)
    served.start()
    yield served
    served.stop()


def connect(server: WebServer) -> socket.socket:
    parts = urlsplit(server.url)
    return socket.create_connection((parts.hostname or "", parts.port or 0), timeout=PATIENCE)


def answer(server: WebServer, path: str = "/healthz", **headers: str) -> http.client.HTTPResponse:
    parts = urlsplit(server.url)
    caller = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=PATIENCE)
    caller.putrequest("GET", path, skip_host="Host" in headers)
    for name, value in headers.items():
        caller.putheader(name, value)
    caller.endheaders()
    given = caller.getresponse()
    given.read()
    caller.close()
    return given


def test_idle_connections_keep_nobody_out(server: WebServer) -> None:
    with ExitStack() as held:
        for _ in range(505):
            held.enter_context(connect(server))
        assert get(f"{server.url}/healthz") == (200, {"alive": True, "rounds": {"done": 3}})
        assert len(server._server.server_state.connections) <= MOST_OF_ONE + 1


def test_of_too_many_connections_in_all_the_longest_idle_is_closed(
    server: WebServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "MOST", 3)
    with ExitStack() as held:
        first, *_ = [held.enter_context(connect(server)) for _ in range(4)]
        assert first.recv(1) == b""
        assert get(f"{server.url}/healthz")[0] == 200


@pytest.mark.parametrize(
    "sent", [b"", b"GET /healthz HT", b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-Slow: "]
)
def test_headers_that_do_not_come_end_the_connection(
    server: WebServer, monkeypatch: pytest.MonkeyPatch, sent: bytes
) -> None:
    monkeypatch.setattr(connections, "HEADER_SECONDS", 0.1)
    with connect(server) as slow:
        slow.sendall(sent)
        assert slow.recv(1) == b""


def test_a_body_that_does_not_come_ends_the_connection(
    server: WebServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "BODY_SECONDS", 0.1)
    with connect(server) as slow:
        slow.sendall(b"POST /nothing HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\nab")
        while slow.recv(4096):
            pass
    wait_until(lambda: not server._server.server_state.connections, "it is closed")


def test_a_connection_may_be_used_again(server: WebServer) -> None:
    parts = urlsplit(server.url)
    kept = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=PATIENCE)
    kept.connect()
    used = kept.sock
    for _ in range(2):
        kept.request("GET", "/healthz")
        assert kept.getresponse().read()
        assert kept.sock is used
    kept.close()


@pytest.mark.parametrize("host", ["localhost", "localhost:8080", "127.0.0.1:1", "[::1]:8080", "10.1.2.3"])
def test_local_names_and_addresses_are_answered(server: WebServer, host: str) -> None:
    assert answer(server, Host=host).status == 200


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example", "", "127.0.0.1.evil.example"])
def test_another_host_name_is_refused(server: WebServer, host: str) -> None:
    assert answer(server, Host=host).status == 400


def test_allowed_host_names_are_those_of_the_setting() -> None:
    app = make_app(Steady(), hosts=("bridge.example.com", "*.internal.example"))
    served = WebServer(app, host="127.0.0.1", port=0)
    served.start()
    try:
        names = ("bridge.example.com:443", "a.internal.example", "internal.example", "other.example")
        assert [answer(served, Host=name).status for name in names] == [200, 200, 400, 400]
        assert answer(served, "/hooks/mypreferences/x", Host="other.example").status == 400
    finally:
        served.stop()


@pytest.mark.parametrize("path", ["/healthz/", "/readyz/", "/nothing", "//evil.example/"])
def test_nothing_redirects(server: WebServer, path: str) -> None:
    given = answer(server, path)
    assert given.status == 404
    assert given.getheader("Location") is None


@pytest.mark.parametrize("path", ["/", "/healthz", "/readyz", "/nothing"])
def test_every_answer_has_the_security_headers(server: WebServer, path: str) -> None:
    given = answer(server, path)
    assert given.getheader("X-Content-Type-Options") == "nosniff"
    assert given.getheader("X-Frame-Options") == "DENY"
    assert given.getheader("Cache-Control") == "no-store"
    assert "default-src 'none'" in (given.getheader("Content-Security-Policy") or "")


def test_the_page_shows_both_checks_and_escapes_what_it_shows(server: WebServer) -> None:
    parts = urlsplit(server.url)
    caller = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=PATIENCE)
    caller.request("GET", "/")
    page = caller.getresponse().read().decode()
    caller.close()
    assert "Not ready" in page
    assert "&lt;script&gt;" in page
    assert "<script>" not in page
    assert "\x9b" not in page
    assert "rounds: done" in page
