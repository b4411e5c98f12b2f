"""Signing in by client credentials: one token for all, renewed in time, and never shown."""

from __future__ import annotations

import base64
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs

import httpx
import pytest

from bridge.core.errors import (
    ConfigError,
    Forbidden,
    InvalidResponse,
    ServerError,
    SideError,
    SignInRefused,
    Throttled,
)
from bridge.mypreferences.auth.oauth import ClientCredentials
from bridge.sandbox.faults import InjectedFault
from tests.mypreferences.mp_world import World, ago, who, withdrawal
from tests.port_calls import send_one

SECRET = "s3cret-value"
NOON = datetime(2026, 1, 20, 12, tzinfo=UTC)


class TokenService:
    """A token endpoint and an API behind it; `accepted` is the only token that works."""

    def __init__(self, **options: object) -> None:
        self.now = NOON
        self.expires_in: object = 300
        self.issued = 0
        self.forms: list[dict[str, list[str]]] = []
        self.headers: list[httpx.Headers] = []
        self.token_answer: httpx.Response | None = None
        self.accepted: str | None = None
        settings: dict[str, object] = {
            "token_url": "https://auth.example.com/token",
            "client_id": "id",
            "client_secret": SECRET,
            "scope": "ACME/bridge",
            "clock": lambda: self.now,
        }
        self.auth = ClientCredentials(**(settings | options))  # type: ignore[arg-type]
        self.client = httpx.Client(transport=httpx.MockTransport(self.answer), auth=self.auth)

    def answer(self, request: httpx.Request) -> httpx.Response:
        if request.url.path != "/token":
            wanted = self.accepted or f"t{self.issued}"
            return httpx.Response(200 if request.headers["Authorization"] == f"Bearer {wanted}" else 401)
        self.forms.append(parse_qs(request.content.decode()))
        self.headers.append(request.headers)
        if self.token_answer is not None:
            return self.token_answer
        self.issued += 1
        return httpx.Response(200, json={"access_token": f"t{self.issued}", "expires_in": self.expires_in})

    def call(self) -> int:
        return self.client.get("https://api.example.com/x").status_code


def test_credentials_go_by_basic_and_the_scope_is_account_and_user() -> None:
    """MyPreferences "Authorization": grant_type, scope ClientId/UserId, Basic."""
    service = TokenService()
    assert service.call() == 200
    assert service.forms == [{"grant_type": ["client_credentials"], "scope": ["ACME/bridge"]}]
    assert (
        service.headers[0]["Authorization"] == "Basic " + base64.b64encode(f"id:{SECRET}".encode()).decode()
    )


def test_credentials_may_go_in_the_body() -> None:
    service = TokenService(in_body=True)
    service.call()
    assert service.forms[0]["client_secret"] == [SECRET]
    assert "Authorization" not in service.headers[0]


def test_a_token_is_used_until_shortly_before_its_end() -> None:
    service = TokenService()
    service.call()
    service.now += timedelta(seconds=269)
    service.call()
    assert service.issued == 1
    service.now += timedelta(seconds=2)
    service.call()
    assert service.issued == 2


def test_a_token_with_little_life_left_is_still_of_use() -> None:
    service = TokenService()
    service.expires_in = 8
    service.call()
    service.now += timedelta(seconds=5)
    service.call()
    assert service.issued == 1


@pytest.mark.parametrize("unstated", [None, "soon"])
def test_a_token_without_a_stated_life_is_used_for_a_minute_at_most(unstated: object) -> None:
    service = TokenService()
    service.expires_in = unstated
    service.call()
    service.call()
    assert service.issued == 1
    service.now += timedelta(seconds=60)
    service.call()
    assert service.issued == 2


def test_a_refused_token_is_renewed_once() -> None:
    service = TokenService()
    service.call()
    service.accepted = "t2"
    assert service.call() == 200
    service.accepted = "never"
    assert service.call() == 401
    assert service.issued == 3


def test_threads_share_one_sign_in() -> None:
    service = TokenService()
    gate = threading.Barrier(8)

    def call() -> int:
        gate.wait()
        return service.call()

    with ThreadPoolExecutor(8) as pool:
        assert {item.result() for item in [pool.submit(call) for _ in range(8)]} == {200}
    assert service.issued == 1


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (httpx.Response(401, json={"error": "invalid_client"}), SignInRefused),
        (httpx.Response(400, json={"error": "invalid_scope"}), SignInRefused),
        (httpx.Response(404), SignInRefused),
        (httpx.Response(429, headers={"Retry-After": "9"}), Throttled),
        (httpx.Response(503), ServerError),
        (httpx.Response(200, text="<html>hello</html>"), InvalidResponse),
        (httpx.Response(200, text="null"), InvalidResponse),
        (httpx.Response(200, json={"access_token": ""}), InvalidResponse),
        (httpx.Response(200, json={"token": "t"}), InvalidResponse),
    ],
)
def test_token_endpoint_answers_are_distinguished(answer: httpx.Response, kind: type[SideError]) -> None:
    service = TokenService()
    service.token_answer = answer
    with pytest.raises(kind) as caught:
        service.call()
    assert SECRET not in str(caught.value)
    if answer.status_code in (400, 401):
        assert "BRIDGE_MYPREFERENCES__CLIENT_SECRET" in caught.value.hint


def test_a_failed_sign_in_does_not_block_the_next_one() -> None:
    service = TokenService()
    service.token_answer = httpx.Response(503)
    with pytest.raises(ServerError):
        service.call()
    service.token_answer = None
    assert service.call() == 200


def test_secrets_are_in_no_representation() -> None:
    class Hidden:
        def get_secret_value(self) -> str:
            return SECRET

    service = TokenService(client_secret=Hidden())
    assert service.call() == 200
    assert SECRET not in repr(service.auth)
    assert "t1" not in repr(service.auth)


def test_the_token_address_is_https() -> None:
    with pytest.raises(ConfigError):
        TokenService(token_url="http://auth.example.com/token")


def test_a_revoked_token_is_renewed_at_the_sandbox(world: World) -> None:
    world.client.retrieve_programs()
    world.state.access.revoke_tokens()
    world.client.retrieve_programs()
    assert world.calls("token") == 2
    assert world.client.calls == 5  # two sign-ins, three requests


def test_a_write_refused_for_its_token_is_sent_again(world: World) -> None:
    """A 401 was not carried out, so nothing is in doubt."""
    world.subscribe()
    world.state.access.revoke_tokens()
    profile_id = world.add(preferences={"NEWS_EMAIL": (True, ago(days=1))})
    send_one(world.replica(), who(), [withdrawal()])
    assert world.state.profile(int(profile_id))["Emails"][0]["EmailPreferences"][0]["PreferenceType"] == 2


@pytest.mark.parametrize("option", [{"secret": "wrong"}, {"user": "nobody"}])
def test_wrong_credentials_are_refused_at_the_sandbox(world: World, option: dict[str, str]) -> None:
    with httpx.Client(auth=world.auth(**option), trust_env=False) as client, pytest.raises(SignInRefused):
        client.get(f"{world.url}/Profiles/v4/ACME_Corp/Programs")


def test_a_failing_sign_in_service_is_retried(world: World) -> None:
    world.state.faults.add(InjectedFault("token", "status", status=503, times=2))
    assert world.client.retrieve_programs()
    assert len(world.pauses) == 2


def test_missing_permission_is_distinguished_from_a_failed_sign_in(world: World) -> None:
    world.state.forbidden.add("retrievePrograms")
    with pytest.raises(Forbidden):
        world.client.retrieve_programs()
