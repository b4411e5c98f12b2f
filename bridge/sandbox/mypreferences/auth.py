"""Signing in by OAuth 2.0 client credentials or by PNAUTHINFO3, and who a request comes from.

Of the words of the refusals of PNAUTHINFO3 only those about the scheme are documented; of the others, what
they are about.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl, unquote

from bridge.sandbox.clock import SandboxClock
from bridge.sandbox.http import HttpReply, HttpRequest, Refusal, json_reply
from bridge.sandbox.mypreferences.config import spelled_as
from bridge.sandbox.mypreferences.dates import EASTERN, read_moment
from bridge.sandbox.mypreferences.records import AccountUser
from bridge.sandbox.mypreferences.refusal import MyPreferencesRefusal
from bridge.sandbox.mypreferences.switches import MyPreferencesSwitches

WRONG_DATE = (
    "Invalid Authorization Header: The date is invalid. The date should be in ISO 8601 format and should not "
    "be in the future."
)
TOO_FAR = "Invalid Authorization Header: The issued time is too far from now."

_SCHEME = re.compile(r"PNAUTHINFO3-(HMAC-)?(SHA256|SHA384|SHA512)", re.IGNORECASE)
_PARAMETERS = re.compile(r"Credential=([^/\s]+)/([^\s,]+) Signature=([A-Za-z0-9+/]+=*)")
_CHALLENGE = 'PNAUTHINFO3 realm="https://pm.mypreferences.com"'
_BAD_SCHEME = (
    "Invalid Authorization Header: The scheme is invalid. The scheme should contain either PNAUTHINFO3- or "
    "PNAUTHINFO3-HMAC-. For example: PNAUTHINFO3-HMAC-SHA265."
)
_ISSUER = "https://authstg.mypreferences.com/oauth2/v1"
_KEPT = timedelta(hours=1)
_SIGNING_KEY = b"sandbox"
NO_STORE = {"Cache-Control": "no-store", "Pragma": "no-cache"}
"""Headers of every answer of the token endpoint."""


def is_scheme(name: str) -> bool:
    """Whether an authorization scheme, in whichever case, is one of these."""
    return _SCHEME.fullmatch(name) is not None


@dataclass(frozen=True, slots=True)
class SignedHeader:
    """A header's parts, as they were written."""

    keyed: bool
    digest: str
    user: str
    timestamp: str
    signature: str

    @property
    def user_id(self) -> str:
        """The user id, decoded."""
        return unquote(self.user)

    def moment(self) -> datetime:
        """When it was signed; US Eastern where no zone is written. Raises ValueError or OverflowError."""
        return read_moment(self.timestamp, EASTERN)

    def is_of(self, account: str, key: str) -> bool:
        """Whether the signature is that of the key. `account` is the clientId as the URL spells it."""
        message = f"{account}:{self.user}:{self.timestamp}"
        if self.keyed:
            made = hmac.new(key.encode(), message.encode(), self.digest).digest()
        else:
            made = hashlib.new(self.digest, f"{key}:{message}:{key}".encode()).digest()
        return hmac.compare_digest(base64.b64encode(made).decode(), self.signature)


def read(scheme: str, parameters: str) -> SignedHeader | None:
    """What follows a scheme that `is_scheme`; None where that is not whole or set otherwise."""
    named, found = _SCHEME.fullmatch(scheme), _PARAMETERS.fullmatch(parameters)
    if named is None or found is None:
        return None
    keyed, digest = named.groups()
    return SignedHeader(keyed is not None, digest.lower(), *found.groups())


def fault_of_time(signed: SignedHeader, now: datetime, seconds: float) -> str | None:
    """The words that refuse the time of a request; None where it is not ahead, nor older than `seconds`."""
    try:
        moment = signed.moment()
    except (ValueError, OverflowError):
        return WRONG_DATE
    if moment > now:
        return WRONG_DATE
    return TOO_FAR if now - moment > timedelta(seconds=seconds) else None


@dataclass(frozen=True)
class _Token:
    text: str
    user_id: str
    expires: datetime


class TokenRefusal(Refusal):
    """A refusal of the token endpoint (RFC 6749 section 5.2)."""

    def __init__(self, status: int, error: str, basic: bool = False) -> None:
        super().__init__(error)
        self.status = status
        self.error = error
        self.headers = {"WWW-Authenticate": 'Basic realm="oauth2"'} if basic else {}

    def reply(self, switches: Any) -> HttpReply:  # noqa: ARG002 - the form of errors is documented
        return json_reply({"error": self.error}, self.status, {**NO_STORE, **self.headers})


class AccessControl:
    """OAuth clients, users and live tokens of one account. Guarded by the account's lock.

    `hash_key` is the account's APIHashKey; None: nobody may sign requests.
    """

    def __init__(self, account: str, clock: SandboxClock, switches: MyPreferencesSwitches) -> None:
        self.hash_key: str | None = None
        self._account = account
        self._clock = clock
        self._switches = switches
        self._clients: dict[str, str] = {}
        self._users: dict[str, AccountUser] = {}
        self._inactive: dict[str, AccountUser] = {}
        self._created = 0
        self._tokens: dict[str, _Token] = {}
        self._issued = 0
        self._certificates: dict[str, set[str]] = {}

    def add_client(self, client_id: str, client_secret: str) -> None:
        """Register an OAuth client, or give a known one another secret."""
        self._clients[client_id] = client_secret

    def add_certificate(self, client_id: str, certificate: bytes) -> None:
        """Let a client certificate (DER) stand in for the secret of an OAuth client."""
        self._certificates.setdefault(client_id, set()).add(_fingerprint(certificate))

    def add_user(self, user: AccountUser) -> None:
        """Register an API user."""
        self._users[user.user_id] = user

    def deactivate_user(self, user_id: str) -> None:
        """Let nobody sign in as a user any more. Raises KeyError for one that is not active."""
        self._inactive[user_id] = self._users.pop(user_id)

    def create_user(self, user: AccountUser) -> int:
        """Register a user, or make the inactive one of that name (in any case) active again. Returns the
        number given to it. Raises MyPreferencesRefusal 409 for an active one."""
        if spelled_as(user.user_id, self._users) is None:
            inactive = spelled_as(user.user_id, self._inactive)
            self.add_user(user if inactive is None else self._inactive.pop(inactive))
        elif self._switches.active_user_is_409:
            raise MyPreferencesRefusal(409, "A user with this name already exists.")
        self._created += 1
        return 500 + self._created

    def revoke_tokens(self) -> None:
        """Make every token given out so far invalid."""
        self._tokens.clear()

    def token(self, request: HttpRequest) -> dict[str, Any]:
        """Answer a token request. Raises TokenRefusal."""
        form = dict(parse_qsl(request.body.decode("utf-8", "replace"), keep_blank_values=True))
        self._authenticate_client(request.headers.get("authorization", ""), form, request.certificate)
        if form.get("grant_type") != "client_credentials":
            raise TokenRefusal(400, "unsupported_grant_type" if form.get("grant_type") else "invalid_request")
        scope = form.get("scope", "")
        account, _, user_id = scope.partition("/")
        if account != self._account or user_id not in self._users:
            raise TokenRefusal(400, "invalid_scope")
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

    def user(self, authorization: str | None, account: str, received: datetime | None = None) -> AccountUser:
        """Who sends this Authorization header. `account` is the clientId as the URL spells it; `received` is
        when it came in, if not now. Raises MyPreferencesRefusal 401 with the documented text."""
        now = received or self._clock.now()
        if not authorization:
            raise _unauthorized("Missing Authorization Header.")
        scheme, _, rest = authorization.strip().partition(" ")
        if scheme.lower() == "bearer":
            return self._bearer(rest.strip(), now)
        if is_scheme(scheme):
            return self._signed(read(scheme, rest), account, now)
        raise _unauthorized(_BAD_SCHEME)

    def _signed(self, signed: SignedHeader | None, account: str, now: datetime) -> AccountUser:
        """The time is judged before user and signature are."""
        if signed is None:
            raise _unauthorized("Unable to authenticate.")
        fault = fault_of_time(signed, now, self._switches.pnauthinfo_seconds)
        if fault is not None:
            raise _unauthorized(fault)
        user = self._users.get(signed.user_id)
        if user is None or self.hash_key is None or not signed.is_of(account, self.hash_key):
            raise _unauthorized("Unable to authenticate.")
        return user

    def _bearer(self, text: str, now: datetime) -> AccountUser:
        token = self._tokens.get(text)
        user = self._users.get(token.user_id) if token is not None else None
        if token is None or user is None or token.expires <= now:
            raise _unauthorized("Unable to authenticate.")
        return user

    def _authenticate_client(
        self, authorization: str, form: Mapping[str, str], certificate: bytes | None
    ) -> None:
        basic = authorization.lower().startswith("basic ")
        if not basic and "client_secret" not in form:
            known = self._certificates.get(form.get("client_id", ""), set())
            if certificate is None or _fingerprint(certificate) not in known:
                raise TokenRefusal(401, "invalid_client")
            return
        if basic:
            client_id, secret = _basic(authorization[6:])
        else:
            client_id, secret = form.get("client_id", ""), form["client_secret"]
        expected = self._clients.get(client_id)
        if expected is None or not hmac.compare_digest(expected.encode(), secret.encode()):
            raise TokenRefusal(401, "invalid_client", basic)

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
        kept = now - _KEPT  # a request that is applied late is judged by the time it came in
        self._tokens = {text: item for text, item in self._tokens.items() if item.expires > kept}
        self._tokens[token.text] = token
        return token


def _unauthorized(message: str) -> MyPreferencesRefusal:
    return MyPreferencesRefusal(401, message, {"WWW-Authenticate": _CHALLENGE})


def _fingerprint(certificate: bytes) -> str:
    return hashlib.sha256(certificate).hexdigest()


def _basic(encoded: str) -> tuple[str, str]:
    try:
        pair = base64.b64decode(encoded.strip(), validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        raise TokenRefusal(401, "invalid_client", True) from None
    client_id, _, secret = pair.partition(":")
    return unquote(client_id), unquote(secret)


def _part(document: dict[str, Any]) -> str:
    return _base64url(json.dumps(document, separators=(",", ":")).encode())


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
