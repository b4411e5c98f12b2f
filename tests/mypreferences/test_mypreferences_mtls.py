"""A client certificate in place of the secret: used for token requests only, and named where it fails."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
from cryptography.hazmat.primitives import serialization
from starlette.types import ASGIApp, Receive, Scope, Send

from bridge.app import App, Options
from bridge.core.errors import ConfigError, SignInRefused, Unreachable
from bridge.mypreferences.auth.oauth import ClientCredentials, MtlsTokenClient, client_context
from bridge.sandbox.faults import InjectedFault
from bridge.sandbox.mypreferences import MyPreferencesState, create_app
from bridge.sandbox.mypreferences.account import CLIENT_ID
from bridge.sandbox.server import CONNECTION, Server
from bridge.settings import load
from tests.mypreferences.mp_world import NOON
from tests.tls import DEMANDS, Authority, Pair, Refusing

MINE = "BRIDGE_MYPREFERENCES__"
CERTIFICATE, KEY = f"{MINE}CERTIFICATE_FILE", f"{MINE}CERTIFICATE_KEY_FILE"


class Watching:
    """The service, and which certificate came with the calls of each path."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self.shown: dict[str, set[bytes | None]] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.shown.setdefault(scope["path"], set()).add(scope["extensions"][CONNECTION].certificate)
        await self._app(scope, receive, send)


@pytest.fixture
def pair(authority: Authority, state: MyPreferencesState) -> Pair:
    """The bridge's certificate, which the service knows."""
    made = authority.pair()
    state.register_certificate(made.der)
    return made


@pytest.fixture
def watching(state: MyPreferencesState) -> Watching:
    return Watching(create_app(state))


@pytest.fixture
def url(watching: Watching, authority: Authority) -> Iterator[str]:
    """API and sign-in service on one server, which asks every caller for a certificate and demands none."""
    with Server(watching, tls=authority.server()) as server:
        yield server.url


Open = Callable[..., App]


@pytest.fixture
def opened(state: MyPreferencesState, pair: Pair) -> Iterator[Open]:
    """The app as its settings make it."""
    apps: list[App] = []

    def made(url: str, token_url: str = "", **changed: str) -> App:
        given = {
            "BASE_URL": f"{url}/Profiles/v4",
            "ACCOUNT": state.config.account,
            "USER_ID": "bridge",
            "AUTH": "certificate",
            "TOKEN_URL": f"{token_url or url}/oauth2/v1/token",
            "CLIENT_ID": CLIENT_ID,
            "CERTIFICATE_FILE": str(pair.certificate),
            "CERTIFICATE_KEY_FILE": str(pair.key),
        } | changed
        settings = load(environ={f"{MINE}{name}": value for name, value in given.items() if value})
        options = Options(clock=state.clock.now, sleep=lambda _: None, read_timeout=120.0, tries=2)
        apps.append(App(settings, options))
        return apps[-1]

    yield made
    for app in apps:
        app.close()


def test_a_certificate_signs_in_and_is_shown_on_the_token_call_only(
    opened: Open, url: str, pair: Pair, watching: Watching
) -> None:
    client = opened(url).mypreferences.client
    assert client.retrieve_programs()
    token = watching.shown.pop("/oauth2/v1/token")
    assert token == {pair.der}
    assert set().union(*watching.shown.values()) == {None}


def test_a_server_that_takes_nobody_without_a_certificate_is_signed_in_to(
    opened: Open, url: str, state: MyPreferencesState, authority: Authority
) -> None:
    """MyPreferences "Authorization": a certificate may stand in for the secret; RFC 8705 section 2."""
    with Server(create_app(state), tls=authority.server(DEMANDS)) as service:
        with pytest.raises(httpx.TransportError):
            httpx.post(f"{service.url}/oauth2/v1/token", verify=authority_only(authority), trust_env=False)
        assert opened(url, service.url).mypreferences.client.retrieve_programs()


def authority_only(authority: Authority) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=authority.file)


def test_a_token_request_with_a_certificate_holds_no_secret_and_is_counted(
    opened: Open, url: str, state: MyPreferencesState
) -> None:
    client = opened(url, CLIENT_SECRET="never-sent").mypreferences.client
    client.retrieve_programs()
    state.access.revoke_tokens()
    client.retrieve_programs()
    assert state.calls.count("token") == 2
    assert client.calls == 5  # two sign-ins, three requests


def test_one_file_may_hold_certificate_and_key(opened: Open, url: str, pair: Pair, tmp_path: Path) -> None:
    both = tmp_path / "both.pem"
    both.write_bytes(pair.key.read_bytes() + pair.certificate.read_bytes())
    app = opened(url, CERTIFICATE_FILE=str(both), CERTIFICATE_KEY_FILE="")
    assert app.mypreferences.client.retrieve_programs()


def test_an_unregistered_certificate_is_reported(opened: Open, url: str, authority: Authority) -> None:
    other = authority.pair("other")
    app = opened(url, CERTIFICATE_FILE=str(other.certificate), CERTIFICATE_KEY_FILE=str(other.key))
    with pytest.raises(SignInRefused) as caught:
        app.mypreferences.client.retrieve_programs()
    assert "is registered" in caught.value.hint
    assert CERTIFICATE in caught.value.hint
    assert "CLIENT_SECRET" not in caught.value.hint


@pytest.mark.parametrize(("fault", "words"), [("expired", "certificate expired"), ("foreign", "unknown ca")])
def test_a_certificate_refused_by_tls_is_distinguished_from_a_network_error(
    opened: Open, url: str, authority: Authority, tmp_path: Path, fault: str, words: str
) -> None:
    long_ago = datetime(2020, 1, 1, tzinfo=UTC)
    issuer = authority if fault == "expired" else Authority(tmp_path / "foreign")
    bad = issuer.pair("bad", until=long_ago if fault == "expired" else None)
    with Refusing(authority.server(DEMANDS)) as service:
        app = opened(
            url, service.url, CERTIFICATE_FILE=str(bad.certificate), CERTIFICATE_KEY_FILE=str(bad.key)
        )
        with pytest.raises(SignInRefused) as caught:
            app.mypreferences.client.retrieve_programs()
    assert f"refused the client certificate ({words})" in caught.value.what
    assert "openssl x509" in caught.value.hint


def test_an_untrusted_sign_in_service_is_reported(
    opened: Open, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(Authority(tmp_path / "foreign").file))
    with pytest.raises(Unreachable) as caught:
        opened(url).mypreferences.client.retrieve_programs()
    assert "The sign-in service of MyPreferences has a certificate that is not trusted" in str(caught.value)
    assert "SSL_CERT_FILE" in caught.value.hint


def test_a_sign_in_service_that_hangs_up_is_asked_again(
    opened: Open, url: str, state: MyPreferencesState
) -> None:
    state.faults.add(InjectedFault("token", "reset"))
    assert opened(url).mypreferences.client.retrieve_programs()
    state.access.revoke_tokens()
    state.faults.add(InjectedFault("token", "reset", times=9))
    with pytest.raises(Unreachable) as caught:
        opened(url).mypreferences.client.retrieve_programs()
    assert "The sign-in service of MyPreferences" in caught.value.what


def test_a_certificate_goes_over_https_only(pair: Pair) -> None:
    with pytest.raises(ConfigError, match="TOKEN_URL"):
        MtlsTokenClient("http://127.0.0.1:1/token", pair.certificate, pair.key)


@pytest.mark.parametrize("given", [{}, {"client_secret": "s", "token_client": True}])
def test_credentials_are_a_secret_or_a_certificate(pair: Pair, given: dict[str, object]) -> None:
    token_client = MtlsTokenClient("https://id.example.com/token", pair.certificate, pair.key)
    if "token_client" in given:
        given = {**given, "token_client": token_client}
    with pytest.raises(ValueError, match="either"):
        ClientCredentials(
            token_url="https://id.example.com/token", client_id="c", scope="A/u", clock=lambda: NOON,
            **given,  # type: ignore[arg-type]
        )  # fmt: skip
    token_client.close()


# files that cannot be used


def config_error(certificate: Path, key: Path | None) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        client_context(certificate, key)
    assert caught.value.exit_code == 2
    assert caught.value.hint
    assert "BEGIN" not in str(caught.value)
    return caught.value


def test_a_missing_file_is_reported_with_its_setting(pair: Pair, tmp_path: Path) -> None:
    assert f"{CERTIFICATE}: " in config_error(tmp_path / "gone.pem", pair.key).what
    error = config_error(pair.certificate, tmp_path / "gone.key")
    assert f"{KEY}: " in error.what
    assert "No such file" in error.what


def test_an_unreadable_file_is_reported_with_the_reason(pair: Pair, tmp_path: Path) -> None:
    error = config_error(pair.certificate, tmp_path)
    assert "cannot be read (Is a directory)" in error.what
    assert "may read" in error.hint


def test_a_file_in_another_format_is_reported_with_the_conversion_command(pair: Pair, tmp_path: Path) -> None:
    der = tmp_path / "client.der"
    der.write_bytes(pair.der)
    assert "openssl pkcs12" in config_error(der, pair.key).hint
    assert "holds no private key" in config_error(pair.certificate, der).what


def test_a_certificate_without_its_key_names_the_setting_for_it(pair: Pair) -> None:
    assert KEY in config_error(pair.certificate, None).hint


@pytest.mark.parametrize("form", ["PKCS8", "TraditionalOpenSSL"])
def test_an_encrypted_key_is_reported_without_a_prompt(pair: Pair, tmp_path: Path, form: str) -> None:
    key = serialization.load_pem_private_key(pair.key.read_bytes(), None)
    locked = tmp_path / "locked.key"
    locked.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            getattr(serialization.PrivateFormat, form),
            serialization.BestAvailableEncryption(b"hidden"),
        )
    )
    error = config_error(pair.certificate, locked)
    assert "passphrase" in error.what
    assert "openssl pkey" in error.hint


def test_a_key_of_another_certificate_is_reported(pair: Pair, authority: Authority) -> None:
    error = config_error(pair.certificate, authority.pair("other").key)
    assert "does not match the certificate" in error.what
    assert "matching pair" in error.hint


def test_a_damaged_file_is_reported(pair: Pair, tmp_path: Path) -> None:
    damaged = tmp_path / "damaged.pem"
    damaged.write_text("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    error = config_error(damaged, pair.key)
    assert "cannot be used" in error.what
    assert "openssl x509" in error.hint


def test_a_wrong_file_stops_the_app_before_any_request(
    opened: Open, url: str, state: MyPreferencesState
) -> None:
    with pytest.raises(ConfigError, match="CERTIFICATE_FILE"):
        opened(url, CERTIFICATE_FILE="gone.pem").mypreferences.client.retrieve_programs()
    assert state.calls.total() == 0
