"""The webhook receiver: who may deliver, what is stored before the answer, and what is refused."""

from __future__ import annotations

import hashlib
import hmac
import http.client
import json
import logging
import threading
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import pytest

from bridge.core.model import Side
from bridge.core.store_values import WebhookEvent
from bridge.settings import load
from bridge.settings.values import read_networks
from bridge.store import InboxResult
from bridge.web.server import HttpAnswer, WebServer, make_app
from bridge.web.webhooks import MAX_BODY, PATH, WebhookConfig, WebhookReceiver
from tests.daemon.harness import PATIENCE, Running, ScriptedRunner, get, wait_until

SECRET = "long-random-word"
EVENT = {"EventId": "e-1", "EventType": "preference.updated", "ProfileId": 1001}
NOTICE = WebhookEvent("e-1", "preference.updated", "1001")
Start = Callable[..., Running]


class Calm:
    def alive(self) -> HttpAnswer:
        return HttpAnswer(True, {"alive": True})

    def ready(self) -> HttpAnswer:
        return HttpAnswer(True, {"ready": True})


@dataclass
class FakeInbox:
    """Keeps events in memory. `fate` is the result of storing them, `gate` must be open for that."""

    fate: InboxResult = InboxResult.KEPT
    kept: list[WebhookEvent] = field(default_factory=list)
    gate: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.gate.set()

    def put(self, notices: Sequence[WebhookEvent]) -> InboxResult:
        self.gate.wait(PATIENCE)
        if self.fate is InboxResult.KEPT:
            self.kept += notices
        return self.fate


@dataclass
class WebhookClient:
    """Sends deliveries to a receiver that is served, and shows the result."""

    url: str
    inbox: FakeInbox
    wake_ups: list[int]
    receiver: WebhookReceiver

    def ask(
        self, method: str = "POST", body: Any = None, *, secret: str = SECRET, query: str = "", **headers: str
    ) -> tuple[int, Mapping[str, str], bytes]:
        raw = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return ask(method, f"{self.url}{PATH}{secret}", raw, query, named)


def ask(
    method: str, url: str, body: bytes, query: str = "", headers: Mapping[str, str] | None = None
) -> tuple[int, Mapping[str, str], bytes]:
    parts = urlsplit(url)
    caller = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=PATIENCE)
    try:
        caller.request(method, parts.path + query, body, dict(headers or {}))
        answer = caller.getresponse()
        return answer.status, dict(answer.getheaders()), answer.read()
    finally:
        caller.close()


@contextmanager
def serving(inbox: FakeInbox | None = None, token: str | None = None, **gate: Any) -> Iterator[WebhookClient]:
    inbox, wake_ups = inbox or FakeInbox(), []
    ticks = gate.pop("ticks", lambda: 0.0)
    gate.setdefault("proxies", read_networks("127.0.0.0/8, ::1"))
    receiver = WebhookReceiver(
        WebhookConfig(secret=SECRET, **gate), inbox, lambda: wake_ups.append(1), monotonic=ticks
    )
    server = WebServer(make_app(Calm(), token=token, receiver=receiver), host="127.0.0.1", port=0)
    server.start()
    try:
        yield WebhookClient(server.url, inbox, wake_ups, receiver)
    finally:
        inbox.gate.set()
        server.stop()


def test_a_delivery_is_stored_then_answered_and_a_run_is_asked_for() -> None:
    with serving() as client:
        status, _, body = client.ask(body=EVENT)
        assert (status, json.loads(body)) == (200, {"received": 1})
        assert (client.inbox.kept, client.wake_ups) == ([NOTICE], [1])
        assert client.receiver.counts() == {"taken": 1}


@pytest.mark.parametrize("secret", ["", "long-random-wor", "long-random-word2", "x", "%C3%A9", "..%2Freadyz"])
@pytest.mark.parametrize("token", [None, "another"])
def test_without_the_secret_there_is_nothing(secret: str, token: str | None) -> None:
    with serving(token=token) as client:
        status, _, body = client.ask(body=EVENT, secret=secret)
        assert (status, json.loads(body)) == (404, {"error": "Not found."})
        assert (client.inbox.kept, client.wake_ups) == ([], [])


def test_webhooks_need_no_token_and_open_nothing_else() -> None:
    with serving(token="another") as client:
        assert client.ask(body=EVENT)[0] == 200
        assert get(f"{client.url}/readyz")[0] == 401
        assert get(f"{client.url}{PATH}../../readyz")[0] == 404


def test_without_a_receiver_the_way_is_closed() -> None:
    server = WebServer(make_app(Calm(), token="another"), host="127.0.0.1", port=0)
    server.start()
    try:
        assert ask("POST", f"{server.url}{PATH}{SECRET}", b"{}")[0] == 404
    finally:
        server.stop()


@pytest.mark.parametrize(
    ("allowed", "header", "given", "status"),
    [
        ("127.0.0.0/8", None, "", 200),
        ("192.0.2.0/24", None, "", 403),
        ("192.0.2.0/24", None, "192.0.2.1", 403),  # the header counts only where it is configured
        ("192.0.2.0/24", "X-Forwarded-For", "192.0.2.1", 200),
        ("192.0.2.0/24", "X-Forwarded-For", "192.0.2.1, 198.51.100.9", 403),  # the last is the proxy's word
        ("192.0.2.0/24", "X-Forwarded-For", "::ffff:192.0.2.1", 200),
        ("192.0.2.0/24", "X-Forwarded-For", "nonsense", 403),
        ("2001:db8::/32", "X-Forwarded-For", "2001:db8::1", 200),
    ],
)
def test_only_addresses_that_are_named_may_deliver(
    allowed: str, header: str | None, given: str, status: int
) -> None:
    networks = load(environ={"BRIDGE_WEB__HOOK_ALLOW": allowed}).web.networks
    with serving(networks=networks, address_header=header) as client:
        headers = {"X_Forwarded_For": given} if given else {}
        assert client.ask(body=EVENT, **headers)[0] == status


def test_of_several_headers_the_proxys_own_is_the_last() -> None:
    networks = load(environ={"BRIDGE_WEB__HOOK_ALLOW": "192.0.2.0/24"}).web.networks
    with serving(networks=networks, address_header="X-Forwarded-For") as client:
        parts = urlsplit(client.url)
        caller = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=PATIENCE)
        caller.putrequest("POST", f"{PATH}{SECRET}")
        for address in ("192.0.2.1", "198.51.100.9"):
            caller.putheader("X-Forwarded-For", address)
        caller.putheader("Content-Length", "0")
        caller.endheaders()
        assert caller.getresponse().status == 403
        caller.close()


@pytest.mark.parametrize("name", ["sha256", "sha384", "sha512"])
@pytest.mark.parametrize("form", ["hex", "HEX", "prefixed", "base64"])
def test_a_signed_delivery_is_taken_in_every_usual_form(name: str, form: str) -> None:
    body = json.dumps(EVENT).encode()
    digest = hmac.new(b"key", body, getattr(hashlib, name)).digest()
    shown = {
        "hex": digest.hex(),
        "HEX": digest.hex().upper(),
        "prefixed": f"{name}={digest.hex()}",
        "base64": b64encode(digest).decode(),
    }[form]
    with serving(signature_key="key", signature_header="X-Signed", signature_hash=name) as client:
        assert client.ask(body=body, X_Signed=shown)[0] == 200


@pytest.mark.parametrize("given", ["", "0" * 64, "é"])
def test_a_delivery_whose_signature_does_not_fit_is_refused(given: str) -> None:
    with serving(signature_key="key") as client:
        assert client.ask(body=EVENT, X_Signature=given)[0] == 401
        assert (client.inbox.kept, client.wake_ups) == ([], [])


@pytest.mark.parametrize(
    ("method", "body", "query", "shown", "kind"),
    [
        (
            "POST",
            {"validationCode": "abc"},
            "",
            b'{"validationCode":"abc","validationResponse":"abc"}',
            "json",
        ),
        ("POST", None, "?challenge=abc", b'{"challenge":"abc","validationResponse":"abc"}', "json"),
        ("GET", None, "?validationCode=abc", b"abc", "plain"),
        ("GET", None, "", b"{}", "json"),
        ("POST", {"hello": "world"}, "", b"{}", "json"),
    ],
)
def test_a_validation_request_gets_its_code_back(
    method: str, body: Any, query: str, shown: bytes, kind: str
) -> None:
    """MyPreferences `Create new subscription`: the form of the validation request is not documented."""
    with serving(signature_key="key") as client:  # which such a request cannot be asked for
        status, headers, found = client.ask(method, body, query=query)
        assert (status, found) == (200, shown)
        assert kind in headers["content-type"]
        assert client.wake_ups == []


@pytest.mark.parametrize(("answer", "kind"), [('{"ok":true}', "json"), ("welcome", "plain")])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_validation_request_gets_what_was_agreed(answer: str, kind: str, method: str) -> None:
    with serving(answer=answer) as client:
        status, headers, found = client.ask(method, None, query="?validationCode=abc")
        assert (status, found.decode()) == (200, answer)
        assert kind in headers["content-type"]
        assert client.ask(body=EVENT)[2] == b'{"received":1}'


@pytest.mark.parametrize("stored", [InboxResult.FULL, InboxResult.BUSY])
def test_what_cannot_be_stored_is_to_come_again_and_a_run_looks_all_the_same(stored: InboxResult) -> None:
    with serving(FakeInbox(stored)) as client:
        status, headers, _ = client.ask(body=EVENT)
        assert status == 503
        assert int(headers["retry-after"]) > 0
        assert client.wake_ups == [1]


def test_too_many_deliveries_are_answered_with_retry_after() -> None:
    now = [0.0]
    with serving(rate=1, ticks=lambda: now[0]) as client:
        found = [client.ask(body=EVENT | {"EventId": f"e-{number}"}) for number in range(11)]
        assert [status for status, _, _ in found] == [200] * 10 + [429]
        assert int(found[-1][1]["retry-after"]) == 1
        assert len(client.wake_ups) == 11
        now[0] = 1.0
        assert client.ask(body=EVENT)[0] == 200


def test_the_answer_comes_in_time_even_where_storing_does_not() -> None:
    inbox = FakeInbox()
    inbox.gate.clear()
    with serving(inbox) as client:
        status, headers, _ = client.ask(body=EVENT)
        assert (status, headers["retry-after"]) == (503, "2")
        assert get(f"{client.url}/healthz")[0] == 200


@pytest.mark.parametrize(("body", "status"), [(b"<html>", 400), (b"x" * (MAX_BODY + 1), 413)])
def test_what_is_no_delivery_is_refused(body: bytes, status: int) -> None:
    with serving() as client:
        assert client.ask(body=body)[0] == status
        assert client.inbox.kept == []


def test_neither_the_secret_nor_what_is_delivered_reaches_the_log(caplog: pytest.LogCaptureFixture) -> None:
    networks = load(environ={"BRIDGE_WEB__HOOK_ALLOW": "192.0.2.1"}).web.networks
    with caplog.at_level(logging.DEBUG), serving(networks=networks) as client:
        client.ask(body=EVENT)
        client.ask(body=b"ann@example.com")
    assert "HOOK_ALLOW" in caplog.text
    assert SECRET not in caplog.text
    assert "ann@example.com" not in caplog.text
    assert SECRET not in repr(WebhookConfig(secret=SECRET, signature_key="key"))


# in the daemon


def hooked(start: Start, **more: str) -> Running:
    runner = ScriptedRunner()
    runner.gate.set()
    settings = {
        "BRIDGE_WEB__HOOK_SECRET": SECRET,
        "BRIDGE_POLL_SECONDS": "3600",
        "BRIDGE_WEB__HOOK_PAUSE": "0",
    }
    return start(runner, settings=settings | {f"BRIDGE_WEB__{name}": value for name, value in more.items()})


def test_the_daemon_stores_a_webhook_and_starts_a_run(start: Start) -> None:
    running = hooked(start)
    wait_until(lambda: running.runner.ended == 1, "the first run has ended")
    assert ask("POST", f"{running.url}{PATH}{SECRET}", json.dumps(EVENT).encode())[0] == 200
    (kept,) = running.app.store.webhooks.pending(Side.MYPREFERENCES)
    assert kept.hint.id == "1001"
    wait_until(lambda: running.runner.ended == 2, "the webhook's run has ended")
    assert running.health("/healthz")[1]["hooks"] == {"taken": 1}
    assert running.end() == 0


def test_webhooks_in_a_row_make_one_run(start: Start) -> None:
    running = hooked(start, HOOK_PAUSE="0.5")
    wait_until(lambda: running.runner.ended == 1, "the first run has ended")
    for number in range(20):
        body = json.dumps(EVENT | {"EventId": f"e-{number}"}).encode()
        assert ask("POST", f"{running.url}{PATH}{SECRET}", body)[0] == 200
    wait_until(lambda: running.runner.ended >= 2, "their run has ended")
    assert running.schedule()["coalesced"] == 0
    assert len(running.app.store.webhooks.pending(Side.MYPREFERENCES)) == 20


def test_a_daemon_without_the_secret_is_closed_to_webhooks(start: Start) -> None:
    running = start()
    assert ask("POST", f"{running.url}{PATH}{SECRET}", b"{}")[0] == 404
    assert "hooks" not in running.health("/healthz")[1]


def test_the_header_counts_only_from_a_proxy_of_ours() -> None:
    networks = read_networks("192.0.2.0/24")
    elsewhere = read_networks("198.51.100.0/24")
    with serving(networks=networks, address_header="X-Forwarded-For", proxies=elsewhere) as client:
        assert client.ask(body=EVENT, **{"X-Forwarded-For": "192.0.2.1"})[0] == 403
    both = read_networks("127.0.0.0/8, 198.51.100.0/24")
    with serving(networks=networks, address_header="X-Forwarded-For", proxies=both) as client:
        chain = "203.0.113.5, 192.0.2.1, 198.51.100.7"  # the caller's invention, the caller, a second proxy
        assert client.ask(body=EVENT, **{"X-Forwarded-For": chain})[0] == 200


def test_wrong_secrets_are_counted_and_slowed_down_and_deliveries_are_not() -> None:
    with serving() as client:
        answers = [client.ask(body=EVENT, secret=f"guess-{number}")[0] for number in range(14)]
        assert answers == [404] * 10 + [429] * 4
        assert client.ask(body=EVENT, secret="guess/with/segments")[0] == 429
        assert client.ask(body=EVENT)[0] == 200
        assert client.receiver.counts()["wrong_secret"] == 15


def test_guesses_do_not_fill_the_log(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING), serving() as client:
        for number in range(14):
            client.ask(body=EVENT, secret=f"guess-{number}")
    assert len([one for one in caplog.records if "wrong secret" in one.getMessage()]) == 1
    assert "guess" not in caplog.text
