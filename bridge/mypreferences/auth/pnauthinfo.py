"""Signing in to MyPreferences by PNAUTHINFO3: a signature and a time on each request, and no token
(MyPreferences "Authorization")."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Callable, Generator
from datetime import UTC, datetime
from urllib.parse import quote

import httpx

from bridge.mypreferences.auth.base import SecretValue, SignIn, plain

SCHEME = "PNAUTHINFO3"


def encoded(user_id: str) -> str:
    """A user id as it stands in the header: percent-encoded where it holds anything but letters, digits and
    `- . _ ~` (RFC 3986, in UTF-8, upper-case hex, a space as %20)."""
    return quote(user_id, safe="")


def stamped(moment: datetime) -> str:
    """An aware time as it stands in the header: UTC with Z, which the service would else read as US Eastern.
    Cut to the second, never rounded up: a time in the future is refused."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def signature(account: str, user_id: str, timestamp: str, key: str, *, digest: str, keyed: bool) -> str:
    """The signature, in base64. What is signed are the very characters of the URL (`account`) and of the
    header (`user_id`, `timestamp`): upper and lower case count. `digest` is sha256, sha384 or sha512."""
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
    """Signs each request, and each repetition of it anew.

    `account` is the clientId as in the URL, `key` the account's APIHashKey. `clock` gives aware times.
    `digest` is sha256, sha384 or sha512. `keyed` chooses HMAC; un-keyed, the key is hashed with the message.
    """

    mend = (
        "Check BRIDGE_MYPREFERENCES__PRIVATE_KEY, __HASH and __KEYED against what the account is set up for, "
        "and BRIDGE_MYPREFERENCES__ACCOUNT and __USER_ID letter by letter, upper and lower case too; "
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
        self.way = scheme_of(digest, keyed)

    def __repr__(self) -> str:
        return "PnAuthInfo3()"

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Sign the request by the time it is now."""
        request.headers["Authorization"] = self.header(stamped(self._clock()))
        yield request

    def header(self, timestamp: str) -> str:
        """The Authorization header for a time: two parameters, one blank between them and no comma."""
        signed = signature(
            self._account, self._user_id, timestamp, plain(self._key), digest=self._digest, keyed=self._keyed
        )
        return f"{self.way} Credential={self._user_id}/{timestamp} Signature={signed}"
