"""Signing in to Dotdigital: HTTP Basic with the name and password of an API user."""

from __future__ import annotations

import httpx


def basic_auth(username: str, password: str) -> httpx.BasicAuth:
    """Credentials for every call, trimmed: surrounding whitespace is forgiven by v2 and refused by v3."""
    return httpx.BasicAuth(username.strip(), password.strip())
