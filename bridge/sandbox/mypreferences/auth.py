"""Signing in: OAuth 2.0 client credentials, and who a request comes from."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl, unquote

from bridge.sandbox.clock import SandboxClock
from bridge.sandbox.mypreferences.records import User
from bridge.sandbox.mypreferences.refusal import Refused
from bridge.sandbox.mypreferences.switches import Switches

_CHALLENGE = 'PNAUTHINFO3 realm="https://pm.mypreferences.com"'
_BAD_SCHEME = (
    "Invalid Authorization Header: The scheme is invalid. The scheme should contain either PNAUTHINFO3- or "
    "PNAUTHINFO3-HMAC-. For example: PNAUTHINFO3-HMAC-SHA265."
)
_ISSUER = "https://authstg.mypreferences.com/oauth2/v1"
_SIGNING_KEY = b"sandbox"


@dataclass(frozen=True)
class _Token:
    text: str
    user_id: str
    expires: datetime


class TokenError(Exception):
    """A refusal of the token endpoint (RFC 6749 section 5.2)."""

    def __init__(self, status: int, error: str, basic: bool = False) -> None:
        super().__init__(error)
        self.status = status
        self.error = error
        self.headers = {"WWW-Authenticate": 'Basic realm="oauth2"'} if basic else {}


class Auth:
    """OAuth clients, users and live tokens of one account. Guarded by the state's lock."""

    def __init__(self, account: str, clock: SandboxClock, switches: Switches) -> None:
        self._account = account
        self._clock = clock
        self._switches = switches
        self._clients: dict[str, str] = {}
        self._users: dict[str, User] = {}
        self._tokens: dict[str, _Token] = {}
        self._issued = 0
        self._schemes: dict[str, Callable[[str], User]] = {"bearer": self._bearer}

    def add_client(self, client_id: str, client_secret: str) -> None:
        """Register an OAuth client, or give a known one another secret."""
        self._clients[client_id] = client_secret

    def add_user(self, user: User) -> None:
        """Register an API user."""
        self._users[user.user_id] = user

    def revoke_tokens(self) -> None:
        """Make every token given out so far invalid."""
        self._tokens.clear()

    def token(self, headers: Mapping[str, str], body: bytes) -> dict[str, Any]:
        """Answer a token request. Raises TokenError."""
        form = dict(parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True))
        self._authenticate_client(headers.get("authorization", ""), form)
        if form.get("grant_type") != "client_credentials":
            raise TokenError(400, "unsupported_grant_type" if form.get("grant_type") else "invalid_request")
        scope = form.get("scope", "")
        account, _, user_id = scope.partition("/")
        if account != self._account or user_id not in self._users:
            raise TokenError(400, "invalid_scope")
        token = self._live(user_id) if self._switches.token_reuse else None
        if token is None:
            token = self._issue(user_id)
        left = int((token.expires - self._clock.now()).total_seconds())
        return {
            "access_token": token.text,
            "token_type": "Bearer",
            "expires_in": max(left, 0),
            "scope": scope,
        }

    def user(self, authorization: str | None) -> User:
        """Who sends this Authorization header. Raises Refused 401 with the documented words."""
        if not authorization:
            raise _unauthorized("Missing Authorization Header.")
        scheme, _, rest = authorization.strip().partition(" ")
        known = self._schemes.get(scheme.lower())
        if known is None:
            raise _unauthorized(_BAD_SCHEME)
        return known(rest.strip())

    def _bearer(self, text: str) -> User:
        token = self._tokens.get(text)
        user = self._users.get(token.user_id) if token is not None else None
        if token is None or user is None or token.expires <= self._clock.now():
            raise _unauthorized("Unable to authenticate.")
        return user

    def _authenticate_client(self, authorization: str, form: Mapping[str, str]) -> None:
        basic = authorization.lower().startswith("basic ")
        if basic:
            client_id, secret = _basic(authorization[6:])
        else:
            client_id, secret = form.get("client_id", ""), form.get("client_secret", "")
        expected = self._clients.get(client_id)
        if expected is None or not hmac.compare_digest(expected.encode(), secret.encode()):
            raise TokenError(401, "invalid_client", basic)

    def _live(self, user_id: str) -> _Token | None:
        now = self._clock.now()
        return next(
            (item for item in self._tokens.values() if item.user_id == user_id and item.expires > now), None
        )

    def _issue(self, user_id: str) -> _Token:
        self._issued += 1
        now = self._clock.now()
        # Tokens last whole seconds from the moment they are given, so "expires_in" is what was configured.
        expires = now + timedelta(seconds=self._switches.token_seconds, milliseconds=1)
        claims = {
            "token_type": "Bearer",
            "username": user_id,
            "iss": _ISSUER,
            "aud": ["https://pmstg.mypreferences.com/profiles/v4"],
            "sub": f"{self._account}/{user_id}",
            "jti": hashlib.sha256(f"token {self._issued}".encode()).hexdigest(),
            "iat": int(now.timestamp()),
            "exp": int(expires.timestamp()),
            "nbf": int(now.timestamp()) - self._switches.token_seconds,
        }
        head = f"{_part({'alg': 'RS256', 'kid': 'sandbox', 'typ': 'JWT'})}.{_part(claims)}"
        signature = hmac.new(_SIGNING_KEY, head.encode(), hashlib.sha256).digest()
        token = _Token(f"{head}.{_base64url(signature)}", user_id, expires)
        self._tokens = {text: item for text, item in self._tokens.items() if item.expires > now}
        self._tokens[token.text] = token
        return token


def _unauthorized(message: str) -> Refused:
    return Refused(401, message, {"WWW-Authenticate": _CHALLENGE})


def _basic(encoded: str) -> tuple[str, str]:
    try:
        pair = base64.b64decode(encoded.strip(), validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        raise TokenError(401, "invalid_client", True) from None
    client_id, _, secret = pair.partition(":")
    return unquote(client_id), unquote(secret)


def _part(document: dict[str, Any]) -> str:
    return _base64url(json.dumps(document, separators=(",", ":")).encode())


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
