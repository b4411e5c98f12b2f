"""What every way of signing in to MyPreferences has in common."""

from __future__ import annotations

from typing import Protocol

import httpx


class SecretValue(Protocol):
    """What pydantic's SecretStr offers."""

    def get_secret_value(self) -> str: ...


def plain(secret: str | SecretValue) -> str:
    """The secret itself, for the moment of its use."""
    return secret if isinstance(secret, str) else secret.get_secret_value()


class SignIn(httpx.Auth):
    """Puts credentials on each request.

    `way` names it for people. `mend` says what to check where the credentials are refused. `is_dated` tells
    whether each request carries this machine's time, which the service compares with its own.
    """

    way: str
    mend: str
    is_dated = False

    @property
    def calls(self) -> int:
        """Requests it sent by itself: the transport that it signs for knows nothing of them."""
        return 0

    def close(self) -> None:
        """Close what it opened."""
