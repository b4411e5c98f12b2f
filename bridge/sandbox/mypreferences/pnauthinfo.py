"""PNAUTHINFO3: reading the header of a signed request, and checking it.

Of the words of its refusals only those about the scheme are documented; of the others, what they are about.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import unquote

from bridge.sandbox.mypreferences.dates import EASTERN, read_moment

WRONG_DATE = (
    "Invalid Authorization Header: The date is invalid. The date should be in ISO 8601 format and should not "
    "be in the future."
)
TOO_FAR = "Invalid Authorization Header: The issued time is too far from now."

_SCHEME = re.compile(r"PNAUTHINFO3-(HMAC-)?(SHA256|SHA384|SHA512)", re.IGNORECASE)
_PARAMETERS = re.compile(r"Credential=([^/\s]+)/([^\s,]+) Signature=([A-Za-z0-9+/]+=*)")


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
