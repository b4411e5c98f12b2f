"""The HTTP transport: what is retried, what is counted, and what is never logged."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from starlette.responses import PlainTextResponse

from bridge.core.errors import (
    ConfigError,
    InvalidResponse,
    LeaseHeld,
    OutcomeUnknown,
    Refused,
    ServerError,
    SideError,
    Throttled,
    Unreachable,
)
from bridge.core.model import Side
from bridge.sandbox.server import Server
from bridge.transport import Response, Transport, _is_of, check_url, retry_after
from tests.tls import Authority

Handler = Callable[[httpx.Request], httpx.Response]
ADDRESS = "ann+tag@example.com"


class Open:
    """A throttle that only remembers."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, str | int]] = []

    def before(self, operation: str) -> None:
        self.calls.append(("before", operation))

    def after(self, operation: str, answer: Response) -> None:
        self.calls.append(("after", answer.status))


def map_error(operation: str, answer: Response, is_write: bool) -> SideError | None:
    kinds = {429: Throttled, 400: Refused, 500: ServerError, 503: ServerError}
    kind = kinds.get(answer.status)
    if kind is None:
        return None
    return kind("no", side="dotdigital", operation=operation, retry_after=retry_after(answer))


class Rig:
    """A transport over a scripted server; `pauses` holds the seconds it slept."""

    def __init__(self, handler: Handler, **options: object) -> None:
        self.pauses: list[float] = []
        self.throttle = Open()
        self.requests: list[httpx.Request] = []

        def noted(request: httpx.Request) -> httpx.Response:
            self.requests.append(request)
            return handler(request)

        settings = {
            "side": Side.DOTDIGITAL,
            "base_url": "https://api.example.com/v2/",
            "auth": None,
            "throttle": self.throttle,
            "to_error": map_error,
            "sleep": self.pauses.append,
            "jitter": random.Random(1),
            "transport": httpx.MockTransport(noted),
        }
        self.transport = Transport(**(settings | options))


def script(*steps: httpx.Response | type[Exception]) -> Handler:
    left = list(steps)

    def answer(request: httpx.Request) -> httpx.Response:
        step = left.pop(0)
        if isinstance(step, httpx.Response):
            return step
        raise step("scripted", request=request)

    return answer


@pytest.mark.parametrize(
    "first",
    [
        httpx.ConnectError,
        httpx.ReadTimeout,
        httpx.RemoteProtocolError,
        httpx.Response(500),
        httpx.Response(429),
    ],
)
def test_a_read_is_tried_again_after_any_passing_failure(first: httpx.Response | type[Exception]) -> None:
    rig = Rig(script(first, httpx.Response(200, content=b"[]")))
    assert rig.transport.read("list", "GET", "/people").content == b"[]"
    assert rig.transport.calls == 2
    assert len(rig.pauses) == 1


def test_a_read_gives_up_after_its_tries_with_growing_pauses() -> None:
    rig = Rig(script(*[httpx.ReadTimeout] * 4))
    with pytest.raises(Unreachable) as caught:
        rig.transport.read("list", "GET", "/people")
    assert caught.value.operation == "list"
    assert rig.transport.calls == 4
    assert [round(pause, 1) <= limit for pause, limit in zip(rig.pauses, (0.5, 1, 2), strict=True)] == [
        True
    ] * 3
    assert rig.pauses == sorted(rig.pauses)


def test_a_pause_that_was_asked_for_is_kept() -> None:
    rig = Rig(script(httpx.Response(429, headers={"Retry-After": "7"}), httpx.Response(200)))
    rig.transport.read("list", "GET", "/people")
    assert rig.pauses == [7.0]


def test_a_pause_too_long_to_wait_for_is_handed_to_the_engine() -> None:
    rig = Rig(script(httpx.Response(429, headers={"Retry-After": "3600"})))
    with pytest.raises(Throttled) as caught:
        rig.transport.read("list", "GET", "/people")
    assert caught.value.retry_after == 3600
    assert rig.pauses == []


def test_a_permanent_refusal_is_not_tried_again() -> None:
    rig = Rig(script(httpx.Response(400)))
    with pytest.raises(Refused):
        rig.transport.read("list", "GET", "/people")
    assert rig.transport.calls == 1


@pytest.mark.parametrize(
    "failure", [httpx.ReadTimeout, httpx.ReadError, httpx.RemoteProtocolError, httpx.WriteError]
)
def test_a_write_without_an_answer_is_in_doubt_and_never_sent_twice(failure: type[Exception]) -> None:
    rig = Rig(script(failure))
    with pytest.raises(OutcomeUnknown):
        rig.transport.write("change", "POST", "/people", json={"a": 1})
    assert rig.transport.calls == 1
    assert rig.pauses == []


@pytest.mark.parametrize("failure", [httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout])
def test_a_write_that_never_left_changed_nothing(failure: type[Exception]) -> None:
    rig = Rig(script(failure))
    with pytest.raises(Unreachable):
        rig.transport.write("change", "POST", "/people", json={})


@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_a_server_error_to_a_write_is_in_doubt(status: int) -> None:
    rig = Rig(script(httpx.Response(status)))
    with pytest.raises(OutcomeUnknown) as caught:
        rig.transport.write("change", "POST", "/people", json={})
    assert caught.value.status == status
    assert rig.transport.calls == 1


def test_a_throttled_write_is_known_not_to_be_applied() -> None:
    rig = Rig(script(httpx.Response(429, headers={"Retry-After": "5"})))
    with pytest.raises(Throttled) as caught:
        rig.transport.write("change", "POST", "/people", json={})
    assert caught.value.retry_after == 5


def test_an_answer_nobody_judges_is_not_taken_for_success() -> None:
    with pytest.raises(InvalidResponse):
        Rig(script(httpx.Response(302))).transport.read("list", "GET", "/people")
    with pytest.raises(OutcomeUnknown):
        Rig(script(httpx.Response(302))).transport.write("change", "POST", "/people")


def test_a_failure_that_names_no_request_counts_as_the_requests_own() -> None:
    """Then the write may have been sent."""
    assert _is_of(httpx.ReadTimeout("bare"), httpx.Request("GET", "https://api.example.com"))


class SignIn(httpx.Auth):
    """An auth that asks somewhere else first."""

    def auth_flow(self, request: httpx.Request):  # type: ignore[no-untyped-def]
        yield httpx.Request("POST", "https://auth.example.com/token")
        yield request


def test_a_sign_in_that_fails_on_the_way_leaves_a_write_unsent() -> None:
    rig = Rig(script(httpx.ReadTimeout), auth=SignIn())
    with pytest.raises(Unreachable, match="sign-in"):
        rig.transport.write("change", "POST", "/people", json={})


def test_sign_in_calls_are_counted() -> None:
    rig = Rig(script(httpx.Response(200), httpx.Response(200)), auth=SignIn())
    rig.transport.read("list", "GET", "/people")
    assert rig.transport.calls == 2


def test_the_throttle_sees_each_attempt_and_each_answer() -> None:
    rig = Rig(script(httpx.Response(503), httpx.ConnectError, httpx.Response(200)))
    rig.transport.read("list", "GET", "/people")
    assert rig.throttle.calls == [
        ("before", "list"),
        ("after", 503),
        ("before", "list"),
        ("before", "list"),
        ("after", 200),
    ]


def test_no_log_line_and_no_error_holds_an_address_a_url_or_a_body(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    rig = Rig(script(httpx.Response(503, text=ADDRESS), httpx.ReadTimeout, httpx.Response(400, text=ADDRESS)))
    with pytest.raises(Refused) as caught:
        rig.transport.read(
            "search", "GET", f"/people/{ADDRESS}", params={"email": ADDRESS}, json={"to": ADDRESS}
        )
    assert "search: 503, attempt 1" in caplog.text
    assert "search: ReadTimeout, attempt 2" in caplog.text
    for secret in (ADDRESS, "example.com", "ann"):
        assert secret not in caplog.text
        assert secret not in str(caught.value)


@pytest.mark.parametrize("send", ["read", "write"])
def test_a_value_that_no_url_can_hold_is_an_error_of_the_call(send: str) -> None:
    rig = Rig(script(httpx.Response(200)))
    with pytest.raises(InvalidResponse, match="no URL can hold") as caught:
        getattr(rig.transport, send)("list", "GET", "/people", params={"marker": "m" * 100_000})
    assert not rig.requests
    assert "mmm" not in str(caught.value)


def test_a_plus_in_an_address_reaches_the_server_as_a_plus() -> None:
    rig = Rig(script(httpx.Response(200)))
    rig.transport.read("search", "GET", "/people", params={"email": ADDRESS, "type": None, "n": 5})
    assert dict(rig.requests[0].url.params) == {"email": ADDRESS, "n": "5"}
    assert rig.requests[0].url.path == "/v2/people"


def test_cookies_are_not_kept() -> None:
    rig = Rig(script(httpx.Response(200, headers={"Set-Cookie": "sid=1"}), httpx.Response(200)))
    rig.transport.read("list", "GET", "/people")
    rig.transport.read("list", "GET", "/people")
    assert "cookie" not in rig.requests[1].headers


def test_the_server_time_is_the_date_header_in_utc() -> None:
    rig = Rig(
        script(
            httpx.Response(200, headers={"Date": "Wed, 06 Jan 2021 05:00:00 GMT"}),
            httpx.Response(200, headers={"Date": "yesterday"}),
        )
    )
    assert rig.transport.read("list", "GET", "/").server_time == datetime(2021, 1, 6, 5, tzinfo=UTC)
    assert rig.transport.read("list", "GET", "/").server_time is None


def test_a_retry_after_date_is_measured_by_the_servers_own_clock() -> None:
    headers = httpx.Headers({"Retry-After": "Wed, 06 Jan 2021 05:00:30 GMT"})
    now = datetime(2021, 1, 6, 5, tzinfo=UTC)
    assert retry_after(Response(429, headers, b"", now)) == 30
    assert retry_after(Response(429, headers, b"", None)) is None
    assert retry_after(Response(429, httpx.Headers({"Retry-After": "soon"}), b"", now)) is None


@pytest.mark.parametrize(
    "url",
    ["http://127.0.0.1:8080/x/", "http://localhost", "http://[::1]:9", "https://pm.example.com/Profiles/v4/"],
)
def test_https_and_loopback_http_are_taken_without_the_last_slash(url: str) -> None:
    assert check_url(url) == url.rstrip("/")


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com",
        "ftp://example.com",
        "example.com",
        "",
        "https://",
        "https://u:p@example.com",
        "https://a.com/?x=1",
        "https://[",
        "https://a.com:port",
    ],
)
def test_any_other_base_url_is_refused_without_repeating_its_credentials(url: str) -> None:
    with pytest.raises(ConfigError) as caught:
        check_url(url)
    assert "u:p" not in str(caught.value)


def test_what_a_sign_in_sends_by_itself_is_counted_too() -> None:
    rig = Rig(script(httpx.Response(200, content=b"[]")), calls_beside=lambda: 3)
    rig.transport.read("list", "GET", "/people")
    assert rig.transport.calls == 4


@pytest.fixture
def stranger(tmp_path: Path) -> Iterator[str]:
    """A server of this machine behind TLS, whose authority is in `tmp_path`."""
    with Server(PlainTextResponse("{}"), tls=Authority(tmp_path / "authority").server()) as server:
        yield server.url


def test_authorities_of_ones_own_are_trusted_by_the_usual_variable(
    stranger: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "authority" / "authority.pem"))
    rig = Rig(script(), transport=None, base_url=stranger)
    assert rig.transport.read("list", "GET", "/people").status == 200
    rig.transport.close()


@pytest.mark.parametrize("is_write", [False, True])
def test_an_untrusted_server_is_reported_and_nothing_is_sent(
    stranger: str, monkeypatch: pytest.MonkeyPatch, is_write: bool
) -> None:
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    rig = Rig(script(), transport=None, base_url=stranger, tries=1)
    send = rig.transport.write if is_write else rig.transport.read
    with pytest.raises(Unreachable) as caught:
        send("list", "GET", "/people")
    assert "has a certificate that is not trusted" in caught.value.what
    assert "SSL_CERT_FILE" in caught.value.hint
    rig.transport.close()


def test_an_unreadable_ca_file_is_reported_with_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", "/nowhere/authority.pem")
    with pytest.raises(ConfigError, match="SSL_CERT_FILE"):
        Rig(script(), transport=None)


def test_the_right_to_write_is_asked_for_after_the_wait_and_before_each_write() -> None:
    order: list[str] = []

    class Waits(Open):
        def before(self, operation: str) -> None:
            order.append("waited")

    def answer(request: httpx.Request) -> httpx.Response:
        order.append(request.method)
        return httpx.Response(200)

    rig = Rig(answer, throttle=Waits(), before_write=lambda: order.append("asked"))
    rig.transport.read("list", "GET", "/people")
    rig.transport.write("update", "PUT", "/people/1", json={})
    assert order == ["waited", "GET", "waited", "asked", "PUT"]


def test_nothing_is_sent_without_the_right_to_write() -> None:
    def lost() -> None:
        raise LeaseHeld("Another process took over.", hint="Wait.")

    rig = Rig(script(), before_write=lost)
    with pytest.raises(LeaseHeld):
        rig.transport.write("update", "PUT", "/people/1", json={})
    assert rig.requests == []
    assert rig.transport.calls == 0


def test_each_answer_tells_how_far_the_clock_of_its_side_is_ahead() -> None:
    now = datetime(2026, 3, 1, 12, tzinfo=UTC)
    later = {"Date": "Sun, 01 Mar 2026 12:05:00 GMT"}
    rig = Rig(script(httpx.Response(200), httpx.Response(400, headers=later)), clock=lambda: now)
    rig.transport.read("list", "GET", "/people")
    assert rig.transport.clock_offset is None
    with pytest.raises(Refused):
        rig.transport.read("list", "GET", "/people")
    offset = rig.transport.clock_offset
    assert offset is not None
    assert offset.least == timedelta(minutes=5)
    assert offset.most == timedelta(minutes=5, seconds=1)
