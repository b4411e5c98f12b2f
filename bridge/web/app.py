"""The HTTP application: routes, access and errors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from secrets import compare_digest
from typing import Any, Protocol

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from bridge.web.webhooks import PATH, WebhookReceiver

ALIVE, READY = "/healthz", "/readyz"
OPEN = frozenset({ALIVE})  # a supervisor that restarts a hung process has no token
_NO_STORE = {"Cache-Control": "no-store"}


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """The result of a health check, and its details."""

    ok: bool
    body: Mapping[str, Any]


class HealthSource(Protocol):
    """Answers health checks. Called from the web server's threads."""

    def alive(self) -> HttpAnswer:
        """Whether the current run, if any, makes progress."""
        ...

    def ready(self) -> HttpAnswer:
        """Whether new choices will be synced soon."""
        ...


def make_app(
    health: HealthSource, *, token: str | None = None, receiver: WebhookReceiver | None = None
) -> Starlette:
    """Build the application. With a `token`, everything but liveness and webhooks needs `Authorization:
    Bearer` and that token. Without a `receiver` there is no webhook route."""

    def alive(_: Request) -> JSONResponse:
        return _to_response(health.alive())

    def ready(_: Request) -> JSONResponse:
        return _to_response(health.ready())

    return Starlette(
        routes=[Route(ALIVE, alive), Route(READY, ready), *_webhook_route(receiver)],
        middleware=[] if token is None else [Middleware(BearerAuth, token=token)],
        exception_handlers={HTTPException: _error_response, Exception: _error_response},
    )


def _webhook_route(receiver: WebhookReceiver | None) -> list[Route]:
    if receiver is None:
        return []
    return [Route(f"{PATH}{{secret}}", receiver.__call__, methods=["GET", "POST"])]


class BearerAuth:
    """Requires the token."""

    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app = app
        self._token = token.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and not _is_open(scope["path"]) and not self._allowed(scope):
            body = {"error": "Send the token of BRIDGE_WEB__TOKEN as `Authorization: Bearer TOKEN`."}
            headers = {**_NO_STORE, "WWW-Authenticate": "Bearer"}
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


def _to_response(answer: HttpAnswer) -> JSONResponse:
    return JSONResponse(dict(answer.body), 200 if answer.ok else 503, _NO_STORE)


def _error_response(_: Request, error: Exception) -> JSONResponse:
    status, headers = 500, dict(_NO_STORE)
    if isinstance(error, HTTPException):
        status = error.status_code
        headers |= dict(error.headers or {})
    words = {404: "Not found.", 405: "Method not allowed."}
    return JSONResponse({"error": words.get(status, "Internal error.")}, status, headers)
