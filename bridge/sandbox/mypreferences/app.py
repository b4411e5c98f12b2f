"""The service as an ASGI application."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import unquote, urlencode

from bridge.sandbox.http import HttpReply, HttpRequest
from bridge.sandbox.middleware import ServiceMiddleware
from bridge.sandbox.mypreferences.auth import TokenError
from bridge.sandbox.mypreferences.call import Call, Reply
from bridge.sandbox.mypreferences.refusal import FORBIDDEN, Refused
from bridge.sandbox.mypreferences.routes import TOKEN_PATH, Router, account_in, names
from bridge.sandbox.mypreferences.state import State
from bridge.sandbox.service import create_service

_JSON = "application/json; charset=utf-8"


def create_app(state: State) -> ServiceMiddleware:
    """The emulated service on `state`, with its control surface under /_sandbox/."""
    router = Router()
    return create_service(
        state,
        lambda request: _serve(state, router, request),
        operation_of=lambda method, path: router.operation_of(method, unquote(path)),
        operation_ids=names(),
        configure=state.console.carry_out,
        in_thread=True,  # a new subscription may be shaken hands with, by a call to its receiver
    )


def _serve(state: State, router: Router, request: HttpRequest) -> HttpReply:
    try:
        if request.path.lower() == TOKEN_PATH:
            return _token(state, request)
        return _response(_reply(state, router, request))
    except Refused as refusal:
        document = None if refusal.message is None else {"Message": refusal.message}
        return _response(Reply(document, refusal.status, refusal.headers))


def _reply(state: State, router: Router, request: HttpRequest) -> Reply:
    path = request.path
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
    return match.operation.handler(Call(state, user, match.params, urlencode(request.query), request.body))


def _token(state: State, request: HttpRequest) -> HttpReply:
    headers = {"Cache-Control": "no-store", "Pragma": "no-cache"}
    if request.method != "POST":
        return _response(Reply(None, 405, {"Allow": "POST"}))
    try:
        token = state.auth.token(request.headers, request.body, request.certificate)
        return _response(Reply(token, 200, headers))
    except TokenError as error:
        return _response(Reply({"error": error.error}, error.status, {**headers, **error.headers}))


def _response(reply: Reply) -> HttpReply:
    if reply.body is None:
        return HttpReply(reply.status, headers=reply.headers)
    return HttpReply(reply.status, _encoded(reply.body), _JSON, reply.headers)


def _encoded(body: Any) -> bytes:
    return json.dumps(body, separators=(",", ":"), ensure_ascii=False).encode()
