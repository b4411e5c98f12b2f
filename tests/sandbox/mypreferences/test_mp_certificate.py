"""The sandbox's sign-in service behind TLS that asks for a client certificate."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from bridge.sandbox.mypreferences import MyPreferencesState, create_app
from bridge.sandbox.mypreferences.account import CLIENT_ID, CLIENT_SECRET
from bridge.sandbox.server import Server
from tests.tls import DEMANDS, Authority, Pair

FORM = {"grant_type": "client_credentials", "scope": "ACME_Corp/bridge"}


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "authority")


@pytest.fixture
def url(state: MyPreferencesState, authority: Authority) -> Iterator[str]:
    with Server(create_app(state), tls=authority.server()) as server:
        yield f"{server.url}/oauth2/v1/token"


def ask(url: str, authority: Authority, pair: Pair | None, **form: str) -> httpx.Response:
    context = ssl.create_default_context(cafile=authority.file)
    if pair is not None:
        context.load_cert_chain(pair.certificate, pair.key)
    return httpx.post(url, data={**FORM, **form}, verify=context, trust_env=False)


def test_a_registered_certificate_stands_in_for_the_secret(
    state: MyPreferencesState, authority: Authority, url: str
) -> None:
    """MyPreferences "Authorization": support registers the certificate of a client."""
    pair = authority.pair()
    state.register_certificate(pair.der)
    answer = ask(url, authority, pair, client_id=CLIENT_ID)
    assert (answer.status_code, answer.json()["token_type"]) == (200, "Bearer")


def test_a_certificate_is_that_of_one_client(
    state: MyPreferencesState, authority: Authority, url: str
) -> None:
    pair, other = authority.pair(), authority.pair("other")
    state.register_certificate(pair.der)
    for shown, form in (
        (other, {"client_id": CLIENT_ID}),
        (None, {"client_id": CLIENT_ID}),
        (pair, {"client_id": "another"}),
        (pair, {}),
        (pair, {"client_id": CLIENT_ID, "client_secret": "wrong"}),
    ):
        answer = ask(url, authority, shown, **form)
        assert (answer.status_code, answer.json()) == (401, {"error": "invalid_client"})


def test_secrets_work_behind_tls_too(authority: Authority, url: str) -> None:
    answer = ask(url, authority, None, client_id=CLIENT_ID, client_secret=CLIENT_SECRET)
    assert answer.status_code == 200


def test_a_server_that_demands_a_certificate_answers_nobody_without(
    state: MyPreferencesState, authority: Authority
) -> None:
    pair = authority.pair()
    state.register_certificate(pair.der)
    with Server(create_app(state), tls=authority.server(DEMANDS)) as server:
        address = f"{server.url}/oauth2/v1/token"
        with pytest.raises(httpx.TransportError):
            ask(address, authority, None, client_id=CLIENT_ID)
        assert ask(address, authority, pair, client_id=CLIENT_ID).status_code == 200
    assert state.calls.count("token") == 1
