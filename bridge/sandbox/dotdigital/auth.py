"""HTTP Basic, as v2 and v3 judge it."""

from __future__ import annotations

import base64
import binascii
import hmac

from bridge.sandbox.dotdigital.state import State


def signed_in(state: State, authorization: str, is_v3: bool) -> bool:
    """Whether the header names the account's API user.

    White space around user and password was seen to pass on v2, never on v3.
    """
    scheme, _, token = authorization.partition(" ")
    if scheme.lower() != "basic":
        return False
    try:
        username, colon, password = base64.b64decode(token, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return False
    if not colon:
        return False
    if not is_v3 and state.switches.untrimmed_credentials_on_v2 == "accepted":
        username, password = username.strip(), password.strip()
    user = state.api_user
    return hmac.compare_digest(username.encode(), user.username.encode()) and hmac.compare_digest(
        password.encode(), user.password.encode()
    )
