"""OAuth 2.0 client credentials, with a secret or a client certificate (MyPreferences "Authorization")."""

from __future__ import annotations

import base64
import threading
from collections.abc import Callable, Generator
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import httpx
import msgspec

from bridge.core.errors import InvalidResponse, ServerError, SideError, SignInRefused, Throttled
from bridge.core.model import Side
from bridge.mypreferences.auth import SecretValue, SignIn, plain
from bridge.mypreferences.auth.mtls import MtlsTokenClient
from bridge.transport import Response, check_url, retry_after

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
    return max(0.0, min(seconds, 86_400.0))


def _read(response: httpx.Response, fix: str) -> _Token:
    if not response.is_success:
        raise _refusal(response, fix)
    try:
        token = msgspec.json.decode(response.content, type=_Token)
    except (msgspec.DecodeError, UnicodeDecodeError):
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
