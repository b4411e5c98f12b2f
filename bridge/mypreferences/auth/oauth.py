"""OAuth 2.0 client credentials, with a secret or a client certificate (MyPreferences "Authorization"; RFC
8705, mutual TLS). The certificate replaces the secret and is presented with token requests only."""

from __future__ import annotations

import base64
import ssl
import threading
from collections.abc import Callable, Generator
from datetime import datetime, timedelta
from http.cookiejar import CookieJar, DefaultCookiePolicy
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx
import msgspec

from bridge import bounds
from bridge.core.errors import ConfigError, InvalidResponse, ServerError, SideError, SignInRefused, Throttled
from bridge.core.model import Side
from bridge.mypreferences.auth import SecretValue, SignIn, plain
from bridge.proxies import by_environment
from bridge.transport import Response, bound_body, check_url, retry_after, tls_error, trusted

OPERATION = "token"
_DEFAULT_LIFETIME = 60.0  # seconds, where the answer names none
OAUTH_FIX = (
    "Check BRIDGE_MYPREFERENCES__CLIENT_ID, BRIDGE_MYPREFERENCES__CLIENT_SECRET, "
    "BRIDGE_MYPREFERENCES__ACCOUNT and BRIDGE_MYPREFERENCES__USER_ID, then run `bridge doctor`."
)
CERTIFICATE_FIX = (
    "Check BRIDGE_MYPREFERENCES__CLIENT_ID, BRIDGE_MYPREFERENCES__ACCOUNT and "
    "BRIDGE_MYPREFERENCES__USER_ID, and ask PossibleNOW whether the certificate of "
    "BRIDGE_MYPREFERENCES__CERTIFICATE_FILE is registered; then run `bridge doctor`."
)
CERTIFICATE = "BRIDGE_MYPREFERENCES__CERTIFICATE_FILE"
CERTIFICATE_KEY = "BRIDGE_MYPREFERENCES__CERTIFICATE_KEY_FILE"
_NO_PEM = "Name a PEM file; `openssl pkcs12 -in FILE -out client.pem -noenc` converts a .p12 or .pfx file."
_ALERTS = (
    "CERTIFICATE",
    "UNKNOWN_CA",
    "ACCESS_DENIED",
    "HANDSHAKE_FAILURE",
)  # alerts of a refusal


class _Token(msgspec.Struct):
    access_token: str
    expires_in: float | str | None = None

    def __repr__(self) -> str:
        return "_Token()"


class ClientCredentials(SignIn):
    """Puts a bearer token on each request: one for all threads, refreshed before it expires, and once more
    when a request is answered with 401.

    `scope` is ACCOUNT/USER: whose permissions apply and who is recorded as author. `clock` gives aware UTC.
    `in_body` sends the credentials as form fields instead of by Basic. `token_client` sends the token
    requests with a certificate instead of the secret; it is closed with this. `margin` is how many seconds
    before its end a token is refreshed (at most a quarter of its lifetime).
    """

    def __init__(
        self,
        *,
        token_url: str,
        client_id: str,
        client_secret: str | SecretValue | None = None,
        scope: str,
        clock: Callable[[], datetime],
        in_body: bool = False,
        token_client: MtlsTokenClient | None = None,
        margin: float = 30.0,
    ) -> None:
        if (client_secret is None) == (token_client is None):
            raise ValueError("client credentials need either a secret or a certificate")
        self._token_url = check_url(token_url)
        self._client_id, self._client_secret = client_id, client_secret
        self._scope, self._clock = scope, clock
        self._in_body, self._margin = in_body, margin
        self._token_client = token_client
        self.fix = OAUTH_FIX if token_client is None else CERTIFICATE_FIX
        self.auth_name = _auth_name(in_body, token_client)
        self._lock = threading.Lock()
        self._token: str | None = None
        self._valid_until: datetime | None = None

    def __repr__(self) -> str:
        return "ClientCredentials()"

    @property
    def calls(self) -> int:
        """Token requests with the certificate; those with a secret go through the transport."""
        return 0 if self._token_client is None else self._token_client.calls

    def close(self) -> None:
        """Close the connection that presents the certificate."""
        if self._token_client is not None:
            self._token_client.close()

    def sync_auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Sign the request; on 401 sign it once more with a new token (a request answered with 401 was not
        executed). Raises SignInRefused, Throttled, ServerError or InvalidResponse for the token endpoint's
        answer."""
        token = yield from self._current(request, refused=None)
        request.headers["Authorization"] = f"Bearer {token}"
        response = yield request
        if response.status_code == httpx.codes.UNAUTHORIZED:
            token = yield from self._current(request, refused=token)
            request.headers["Authorization"] = f"Bearer {token}"
            yield request

    def _current(
        self, request: httpx.Request, *, refused: str | None
    ) -> Generator[httpx.Request, httpx.Response, str]:
        """The valid token; `refused` is one that no longer works. The lock is held while one thread asks."""
        with self._lock:
            valid = self._valid_until is not None and self._clock() < self._valid_until
            if self._token is not None and valid and self._token != refused:
                return self._token
            self._token = None
            asked_at = self._clock()
            wanted = self._request(request)
            response = (yield wanted) if self._token_client is None else self._token_client.send(wanted)
            response.read()
            read = _read(response, self.fix)
            lifetime = _lifetime(read)
            self._token = read.access_token
            self._valid_until = asked_at + timedelta(seconds=lifetime - min(self._margin, lifetime / 4))
            return self._token

    def _request(self, original: httpx.Request) -> httpx.Request:
        form = {"grant_type": "client_credentials", "scope": self._scope}
        headers = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}
        if self._client_secret is None:
            form |= {"client_id": self._client_id}
        elif self._in_body:
            form |= {"client_id": self._client_id, "client_secret": plain(self._client_secret)}
        else:
            pair = base64.b64encode(f"{self._client_id}:{plain(self._client_secret)}".encode()).decode(
                "ascii"
            )
            headers["Authorization"] = f"Basic {pair}"
        timeouts = {key: value for key, value in original.extensions.items() if key == "timeout"}
        body = urlencode(form).encode("ascii")
        return httpx.Request("POST", self._token_url, headers=headers, content=body, extensions=timeouts)


def _auth_name(in_body: bool, token_client: MtlsTokenClient | None) -> str:
    if token_client is not None:
        return "OAuth with a client certificate"
    return f"OAuth client credentials ({'in the body' if in_body else 'Basic'})"


def _lifetime(token: _Token) -> float:
    try:
        seconds = float(token.expires_in) if token.expires_in is not None else _DEFAULT_LIFETIME
    except ValueError:
        seconds = _DEFAULT_LIFETIME
    return max(0.0, min(seconds, bounds.SECONDS_MAX)) if seconds == seconds else _DEFAULT_LIFETIME


def _read(response: httpx.Response, fix: str) -> _Token:
    if not response.is_success:
        raise _refusal(response, fix)
    try:
        token: _Token | None = bounds.decode(response.content, _Token)
    except bounds.Malformed:
        token = None
    if token is None or not token.access_token or not token.access_token.isascii():
        raise _error(
            InvalidResponse, "The sign-in service of MyPreferences did not return a valid token.",
            response, "Check BRIDGE_MYPREFERENCES__TOKEN_URL.",
        )  # fmt: skip
    return token


def _refusal(response: httpx.Response, fix: str) -> SideError:
    status = response.status_code
    if status == 429:
        return _error(Throttled, "The sign-in service of MyPreferences asks for a pause.", response)
    if status >= 500:
        return _error(ServerError, "The sign-in service of MyPreferences returned a server error.", response)
    if status in (400, 401, 403):
        return _error(SignInRefused, "MyPreferences refused the sign-in.", response, fix)
    return _error(
        SignInRefused, f"The token URL is wrong ({status}).", response,
        "Check BRIDGE_MYPREFERENCES__TOKEN_URL.",
    )  # fmt: skip


def _error(kind: type[SideError], what: str, response: httpx.Response, hint: str = "") -> SideError:
    answer = Response(response.status_code, response.headers, b"", None)
    details: dict[str, Any] = {"status": response.status_code, "retry_after": retry_after(answer)}
    return kind(what, side=Side.MYPREFERENCES, operation=OPERATION, hint=hint, **details)


class MtlsTokenClient:
    """Sends token requests over TLS with the client certificate. Thread-safe.

    Raises ConfigError for files that cannot be used, and for a token URL that is not https.
    """

    def __init__(self, token_url: str, certificate: Path, key: Path | None = None) -> None:
        url = httpx.URL(check_url(token_url))
        if url.scheme != "https":
            raise ConfigError(
                "BRIDGE_MYPREFERENCES__TOKEN_URL starts with http://, but a client certificate needs TLS.",
                hint="Use https://, or another value of BRIDGE_MYPREFERENCES__AUTH.",
            )
        self._calls = 0
        self._lock = threading.Lock()
        self._client = httpx.Client(
            transport=by_environment(str(url), client_context(certificate, key)),
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
            event_hooks={"request": [self._count], "response": [bound_body]},
            trust_env=False,  # the transport itself finds the proxy
        )

    @property
    def calls(self) -> int:
        """Requests sent so far."""
        with self._lock:
            return self._calls

    def send(self, request: httpx.Request) -> httpx.Response:
        """The whole answer. Raises SignInRefused where the certificate is refused, httpx.TransportError where
        there is no answer for another reason."""
        try:
            return self._client.send(request)
        except httpx.TransportError as error:
            why = _certificate_refusal(error)
            if why is None:
                raise
            raise SignInRefused(
                f"The sign-in service of MyPreferences refused the client certificate ({why}).",
                side=Side.MYPREFERENCES, operation="token",
                hint=f"Ask PossibleNOW whether the certificate of {CERTIFICATE} is registered, and check "
                "that it has not expired: `openssl x509 -in FILE -noout -dates`.",
            ) from None  # fmt: skip

    def close(self) -> None:
        """Close the connection."""
        self._client.close()

    def _count(self, _request: httpx.Request) -> None:
        with self._lock:
            self._calls += 1


def client_context(certificate: Path, key: Path | None) -> ssl.SSLContext:
    """TLS that trusts the same authorities as the bridge and presents this certificate. Without `key`, the
    certificate's file also holds the key. Raises ConfigError, which never quotes the files."""
    _check_certificate(certificate)
    _check_key(certificate, key)
    context = trusted()
    try:
        context.load_cert_chain(certificate, key, password=_no_passphrase)
    except _ProtectedKey:
        raise ConfigError(
            f"The private key in {key or certificate} is protected by a passphrase, which the bridge cannot "
            "ask for.",
            hint="Remove it by `openssl pkey -in FILE -out bare.key`, let only the bridge's user "
            f"read that file, and name it in {CERTIFICATE_KEY}.",
        ) from None
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            raise ConfigError(
                f"The private key in {key or certificate} does not match the certificate in {certificate}.",
                hint=f"Name a matching pair in {CERTIFICATE} and {CERTIFICATE_KEY}; "
                "in a file with a chain, the bridge's own certificate comes first.",
            ) from None
        raise ConfigError(
            f"The certificate in {certificate} and its key cannot be used ({error.reason}).",
            hint=f"Check {CERTIFICATE} and {CERTIFICATE_KEY}: `openssl x509 -in FILE -noout -text` and "
            "`openssl pkey -in FILE -noout` must read them.",
        ) from None
    return context


def _check_certificate(certificate: Path) -> None:
    if "-----BEGIN CERTIFICATE-----" not in _pem_text(CERTIFICATE, certificate):
        raise ConfigError(f"{CERTIFICATE}: {certificate} holds no certificate in PEM form.", hint=_NO_PEM)


def _check_key(certificate: Path, key: Path | None) -> None:
    name, path = (CERTIFICATE, certificate) if key is None else (CERTIFICATE_KEY, key)
    if "PRIVATE KEY-----" not in _pem_text(name, path):
        hint = f"Set {CERTIFICATE_KEY} to the PEM file with its key." if key is None else _NO_PEM
        raise ConfigError(f"{name}: {path} holds no private key in PEM form.", hint=hint)


def _pem_text(name: str, path: Path) -> str:
    try:
        return path.read_text(encoding="ascii", errors="replace")
    except OSError as error:
        raise ConfigError(
            f"{name}: {path} cannot be read ({error.strerror}).",
            hint="Check the path, and that the bridge's own user may read the file.",
        ) from None


class _ProtectedKey(Exception):
    """The key needs a passphrase."""


def _no_passphrase() -> str:
    raise _ProtectedKey


def _certificate_refusal(error: BaseException) -> str | None:
    """The TLS alert that refused the certificate; None where there was none."""
    found = tls_error(error)
    reason = "" if found is None else found.reason or ""
    if "ALERT" not in reason or not any(word in reason for word in _ALERTS):
        return None
    return reason.partition("ALERT_")[2].replace("_", " ").lower()
