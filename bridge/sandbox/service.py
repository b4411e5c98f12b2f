"""An emulated service as an ASGI application."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Iterable
from typing import Any, Protocol

from starlette.concurrency import run_in_threadpool
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from bridge.sandbox.control import CONTROL_PREFIX, Controlled, ControlSurface
from bridge.sandbox.http import ApiRoute, HttpReply, HttpRequest, Refusal
from bridge.sandbox.middleware import OperationOf, ServiceMiddleware

Serve = Callable[[HttpRequest], HttpReply]
"""Answers one request. May raise the service's Refusal."""


class Emulated(Controlled, Protocol):
    """What a service's state offers to its application."""

    @property
    def lock(self) -> contextlib.AbstractContextManager[Any]: ...


def create_service(
    state: Emulated,
    serve: Serve,
    *,
    operation_of: OperationOf,
    operation_ids: Collection[str],
    configure: Callable[[str, dict[str, Any]], None] | None = None,
    controls: Iterable[ApiRoute] = (),
    in_thread: bool = False,
) -> ServiceMiddleware:
    """A service that answers by `serve`, with its control surface under /_sandbox/.

    `serve` is called with the state's lock held: in the event loop, which suits handlers that only touch
    memory, or `in_thread`. For `configure` and `controls` see ControlSurface.
    """
    control = ControlSurface(state, operation_ids, configure, controls)

    def locked(request: HttpRequest) -> HttpReply:
        with state.lock:
            try:
                return serve(request)
            except Refusal as refusal:
                return refusal.reply(state.switches)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        body = await _body(receive)
        if body is None:
            return
        request = HttpRequest.from_scope(scope, body)
        if scope["path"].startswith(CONTROL_PREFIX):
            reply = await run_in_threadpool(control.serve, request)
        elif in_thread:
            reply = await run_in_threadpool(locked, request)
        else:
            reply = locked(request)
        response = Response(reply.body, reply.status, dict(reply.headers), reply.content_type)
        await response(scope, receive, send)

    return ServiceMiddleware(app, state.clock, state.calls, state.faults, operation_of)


async def _body(receive: Receive) -> bytes | None:
    """The whole body; None where the caller has gone before its end."""
    parts = []
    while (message := await receive())["type"] == "http.request":
        parts.append(message.get("body", b""))
        if not message.get("more_body", False):
            return b"".join(parts)
    return None
