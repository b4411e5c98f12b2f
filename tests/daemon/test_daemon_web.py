"""The HTTP endpoints: who may read what, and what is never shown."""

from __future__ import annotations

import logging
import socket
from collections.abc import Iterator

import pytest

from bridge.core.errors import ConfigError
from bridge.web.server import HttpAnswer, WebServer, make_app
from tests.daemon.harness import get, wait_until


class Calm:
    def alive(self) -> HttpAnswer:
        return HttpAnswer(True, {"alive": True})

    def ready(self) -> HttpAnswer:
        return HttpAnswer(False, {"ready": False, "reasons": ["the daemon is stopping"]})


class Broken(Calm):
    def ready(self) -> HttpAnswer:
        raise ValueError("broken for maria@example.com")


@pytest.fixture
def guarded() -> Iterator[str]:
    server = WebServer(make_app(Calm(), token="long-random-word"), host="127.0.0.1", port=0)
    server.start()
    yield server.url
    server.stop()


def test_yes_is_200_and_no_is_503_with_its_reasons() -> None:
    server = WebServer(make_app(Calm()), host="localhost", port=0)
    server.start()
    try:
        assert get(f"{server.url}/healthz") == (200, {"alive": True})
        assert get(f"{server.url}/readyz") == (503, {"ready": False, "reasons": ["the daemon is stopping"]})
        assert get(f"{server.url}/nothing")[0] == 404
        assert get(f"{server.url}/hooks/mypreferences/x")[0] == 404
    finally:
        server.stop()


@pytest.mark.parametrize(
    "given", ["", "long-random-word", "Bearer", "Bearer long-random", "Basic long-random-word", "Bearer \xe9"]
)
@pytest.mark.parametrize("path", ["/readyz", "/", "/metrics", "/healthz/", "//healthz"])
def test_without_the_right_token_there_is_nothing_but_the_sign_of_life(
    guarded: str, path: str, given: str
) -> None:
    status, body = get(guarded + path, {"Authorization": given} if given else None)
    assert status == 401
    assert "BRIDGE_WEB__TOKEN" in body["error"]
    assert get(f"{guarded}/healthz")[0] == 200


@pytest.mark.parametrize("scheme", ["Bearer", "bearer"])
def test_the_token_opens_the_rest(guarded: str, scheme: str) -> None:
    brought = {"Authorization": f"{scheme} long-random-word"}
    assert get(f"{guarded}/readyz", brought)[0] == 503
    assert get(f"{guarded}/metrics", brought)[0] == 404


def test_a_port_that_is_taken_is_a_setting_to_fix() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError, match=r"BRIDGE_WEB__PORT"):
            WebServer(make_app(Calm()), host="127.0.0.1", port=port).start()


def test_no_request_is_logged_and_an_error_is_not_shown_to_the_caller(
    caplog: pytest.LogCaptureFixture,
) -> None:
    server = WebServer(make_app(Broken()), host="127.0.0.1", port=0)
    with caplog.at_level(logging.DEBUG):
        server.start()
        try:
            assert get(f"{server.url}/hooks/mypreferences/secret-word")[0] == 404
            assert get(f"{server.url}/readyz") == (500, {"error": "Internal error."})
        finally:
            server.stop()
    assert "secret-word" not in caplog.text


def test_a_web_server_that_ends_by_itself_says_so() -> None:
    ended: list[bool] = []
    server = WebServer(make_app(Calm()), host="127.0.0.1", port=0, ended=lambda: ended.append(True))
    server.start()
    server._server.handle_exit = lambda *_: None  # type: ignore[method-assign]
    server._server.force_exit = True

    async def fail(*_: object) -> bool:
        raise OSError("no more files")

    server._server.on_tick = fail  # type: ignore[method-assign]
    wait_until(lambda: bool(ended), "it has said so")
    server.stop()
