"""PNAUTHINFO3: a signature and a time on each request, and no token (MyPreferences "Authorization")."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Callable, Generator
from datetime import UTC, datetime
from urllib.parse import quote

import httpx

from bridge.mypreferences.auth import SecretValue, SignIn, plain

SCHEME = "PNAUTHINFO3"


def encoded(user_id: str) -> str:
    """A user id as the header holds it: percent-encoded but for letters, digits and `- . _ ~` (RFC 3986, in
    UTF-8, upper-case hex, a space as %20)."""
    return quote(user_id, safe="")


def stamped(moment: datetime) -> str:
    """An aware time as the header holds it: UTC with Z, since the service reads other times as US Eastern.
    Cut to the second, never rounded up: a time in the future is refused."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def signature(account: str, user_id: str, timestamp: str, key: str, *, digest: str, keyed: bool) -> str:
    """The signature, in base64. It signs the characters of the URL (`account`) and of the header (`user_id`,
    `timestamp`) as they are: case matters. `digest` is sha256, sha384 or sha512."""
    message = f"{account}:{user_id}:{timestamp}"
    if keyed:
        raw = hmac.digest(key.encode(), message.encode(), digest)
    else:
        raw = hashlib.new(digest, f"{key}:{message}:{key}".encode()).digest()
    return base64.b64encode(raw).decode("ascii")


def scheme_of(digest: str, keyed: bool) -> str:
    """The scheme's full name, such as PNAUTHINFO3-HMAC-SHA256."""
    return f"{SCHEME}-{'HMAC-' if keyed else ''}{digest.upper()}"


class PnAuthInfo3(SignIn):
    """Signs each request, and again each repetition of it.

    `account` is the clientId as in the URL, `key` the account's APIHashKey. `clock` gives aware times.
    `digest` is sha256, sha384 or sha512. `keyed` chooses HMAC; un-keyed, the key is hashed with the message.
    """

    fix = (
        "Check BRIDGE_MYPREFERENCES__PRIVATE_KEY, __HASH and __KEYED against what the account is set up for, "
        "and BRIDGE_MYPREFERENCES__ACCOUNT and __USER_ID letter by letter, with their case; "
        "then run `bridge doctor`."
    )
    is_dated = True

    def __init__(
        self,
        *,
        account: str,
        user_id: str,
        key: str | SecretValue,
        clock: Callable[[], datetime],
        digest: str = "sha256",
        keyed: bool = True,
    ) -> None:
        self._account, self._user_id, self._key = account, encoded(user_id), key
        self._clock, self._digest, self._keyed = clock, digest, keyed
        self.auth_name = scheme_of(digest, keyed)

    def __repr__(self) -> str:
        return "PnAuthInfo3()"

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Sign the request with the current time."""
        request.headers["Authorization"] = self.header(stamped(self._clock()))
        yield request

    def header(self, timestamp: str) -> str:
        """The Authorization header for a time: two parameters, one blank between them and no comma."""
        signed = signature(
            self._account, self._user_id, timestamp, plain(self._key), digest=self._digest, keyed=self._keyed
        )
        return f"{self.auth_name} Credential={self._user_id}/{timestamp} Signature={signed}"
