"""Who is answered, and what every answer carries: the host names, the token, and the security headers."""

from __future__ import annotations

import re
import socket
from collections.abc import Collection, MutableMapping
from ipaddress import ip_address
from secrets import compare_digest
from typing import Any

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from bridge.web.webhooks import PATH

ALIVE = "/healthz"
OPEN = frozenset({ALIVE})  # a supervisor that restarts a hung process has no token
NO_STORE = {"Cache-Control": "no-store"}
SECURITY_HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"content-security-policy", b"default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"),
    (b"cross-origin-resource-policy", b"same-origin"),
)


class SecurityHeaders:
    """Adds headers to every answer that it does not set itself."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                given = {name.lower() for name, _ in message["headers"]}
                more = [one for one in SECURITY_HEADERS if one[0] not in given]
                if b"cache-control" not in given:
                    more.append((b"cache-control", b"no-store"))
                message["headers"] = [*message["headers"], *more]
            await send(message)

        await self._app(scope, receive, send_with_headers)


class AllowedHosts:
    """Refuses a request whose Host header names another machine: a web page that lets its own name resolve to
    this address would read the answers. `names` None: local names and any address; webhooks, which have a
    secret, then go by any name."""

    def __init__(self, app: ASGIApp, names: Collection[str] | None, own: Collection[str] = ()) -> None:
        self._app, self._any_hook = app, names is None
        local = {"localhost", socket.gethostname().lower(), *(name.lower() for name in own)}
        self._names = frozenset(local if names is None else {"localhost", *names})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and not self._is_allowed(scope):
            body = {"error": "Unknown host name. Allow it in BRIDGE_WEB__ALLOWED_HOSTS."}
            await JSONResponse(body, 400, NO_STORE)(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _is_allowed(self, scope: Scope) -> bool:
        if self._any_hook and scope["path"].startswith(PATH):
            return True
        given = [value for name, value in scope["headers"] if name == b"host"]
        if len(given) != 1:
            return False
        host = re.sub(r":[0-9]*$", "", given[0].decode("latin-1")).lower()
        return _is_address(host) or any(_matches(host, name) for name in self._names)


def _is_address(host: str) -> bool:
    """Whether it is no name: only names can be made to resolve to another address."""
    try:
        ip_address(host.removeprefix("[").removesuffix("]"))
    except ValueError:
        return False
    return True


def _matches(host: str, name: str) -> bool:
    return name in ("*", host) or (name.startswith("*.") and host.endswith(name[1:]))


class BearerAuth:
    """Requires the token."""

    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app = app
        self._token = token.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and not _is_open(scope["path"]) and not self._allowed(scope):
            body = {"error": "Send the token of BRIDGE_WEB__TOKEN as `Authorization: Bearer TOKEN`."}
            headers = {**NO_STORE, "WWW-Authenticate": "Bearer"}
            await JSONResponse(body, 401, headers)(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _allowed(self, scope: Scope) -> bool:
        given = [value for name, value in scope["headers"] if name == b"authorization"]
        if len(given) != 1:
            return False
        scheme, _, token = given[0].partition(b" ")
        # Constant time, so that the duration reveals nothing about the token.
        return compare_digest(token.strip(), self._token) and scheme.lower() == b"bearer"


def _is_open(path: str) -> bool:
    """Whether the path needs no token. Webhooks have a secret of their own."""
    return path in OPEN or path.startswith(PATH)
