"""Signing in to MyPreferences: what its schemes have in common."""

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

    `auth_name` names the scheme for people. `fix` says what to check where the credentials are refused.
    `is_dated`: each request carries this machine's time, which the service compares with its own.
    """

    auth_name: str
    fix: str
    is_dated = False

    @property
    def calls(self) -> int:
        """Requests that it sent outside the transport that it signs for."""
        return 0

    def close(self) -> None:
        """Close what it opened."""
