"""The service as an ASGI application."""

from __future__ import annotations

import json
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from bridge.sandbox.control import control_routes
from bridge.sandbox.frontdoor import FrontDoor
from bridge.sandbox.mypreferences.auth import TokenError
from bridge.sandbox.mypreferences.call import Call, Reply
from bridge.sandbox.mypreferences.refusal import FORBIDDEN, Refused
from bridge.sandbox.mypreferences.routes import TOKEN_PATH, Router, account_in, names
from bridge.sandbox.mypreferences.state import State
from bridge.sandbox.server import CONNECTION, Connection

_METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
_JSON = "application/json; charset=utf-8"


def create_app(state: State) -> ASGIApp:
    """The emulated service on `state`, with its control surface under /_sandbox/."""
    router = Router()

    async def serve(request: Request) -> Response:
        body = await request.body()
        return await run_in_threadpool(_serve, state, router, request, body)

    routes = [
        *control_routes(state, names(), state.console.carry_out),
        Route("/{path:path}", serve, methods=_METHODS),
    ]
    return FrontDoor(Starlette(routes=routes), state.clock, state.calls, state.faults, router.operation_of)


def _serve(state: State, router: Router, request: Request, body: bytes) -> Response:
    with state.lock:
        try:
            if request.scope["path"].lower() == TOKEN_PATH:
                return _token(state, request, body)
            return _response(_reply(state, router, request, body))
        except Refused as refusal:
            document = None if refusal.message is None else {"Message": refusal.message}
            return _response(Reply(document, refusal.status, refusal.headers))


def _reply(state: State, router: Router, request: Request, body: bytes) -> Reply:
    path = request.scope["path"]
    account = account_in(path)
    if account is None or account.lower() != state.config.account.lower():
        raise Refused(404, None)
    state.imports.run_due()
    user = state.auth.user(request.headers.get("authorization"), account)
    match = router.find(request.method, path)
    if match is None:
        allowed = router.allowed(path)
        if allowed:
            words = f"The requested resource does not support http method '{request.method}'."
            raise Refused(405, words, {"Allow": ", ".join(allowed)})
        raise Refused(404, "No HTTP resource was found that matches the request URI.")
    if state.forbidden(match.operation.name):
        raise Refused(403, FORBIDDEN)
    return match.operation.handler(Call(state, user, match.params, request.url.query, body))


def _token(state: State, request: Request, body: bytes) -> Response:
    headers = {"Cache-Control": "no-store", "Pragma": "no-cache"}
    if request.method != "POST":
        return _response(Reply(None, 405, {"Allow": "POST"}))
    connection = request.scope.get("extensions", {}).get(CONNECTION)
    certificate = connection.certificate if isinstance(connection, Connection) else None
    try:
        return _response(Reply(state.auth.token(request.headers, body, certificate), 200, headers))
    except TokenError as error:
        return _response(Reply({"error": error.error}, error.status, {**headers, **error.headers}))


def _response(reply: Reply) -> Response:
    if reply.body is None:
        return Response(b"", reply.status, dict(reply.headers))
    return Response(_encoded(reply.body), reply.status, dict(reply.headers), media_type=_JSON)


def _encoded(body: Any) -> bytes:
    return json.dumps(body, separators=(",", ":"), ensure_ascii=False).encode()
