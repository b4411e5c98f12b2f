"""An emulated service as an ASGI application: counting, faults and its own Date, then the operation."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Callable, Collection, Iterable
from dataclasses import replace
from datetime import timedelta
from email.utils import format_datetime
from typing import Any, Protocol

from starlette.concurrency import run_in_threadpool
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bridge.sandbox.clock import SandboxClock, StateLock
from bridge.sandbox.control import CONTROL_PREFIX, Controlled, ControlSurface
from bridge.sandbox.faults import Calls, Faults, InjectedFault
from bridge.sandbox.http import ApiRoute, HttpReply, HttpRequest, Refusal, raw_path_of
from bridge.sandbox.server import CONNECTION, Connection

Serve = Callable[[HttpRequest], HttpReply]
"""Answers one request. May raise the service's Refusal."""
OperationOf = Callable[[str, str], str]
"""(method, path as it was sent) -> operation id; it names something for every request, such as "unknown"."""

_PAGE = "<!DOCTYPE html><html><head><title>Service</title></head><body><h1>Please wait</h1></body></html>"


class Emulated(Controlled, Protocol):
    """What a service's state offers to its application."""

    @property
    def lock(self) -> StateLock: ...


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

    def apply_late() -> None:
        for request in state.faults.take_due(state.clock.now()):
            with contextlib.suppress(Refusal):
                serve(request)

    state.lock.settlers.append(apply_late)

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


class ServiceMiddleware:
    """Outermost ASGI application of a service.

    Requests below `/_sandbox/` are neither counted nor faulted. Every reply carries a Date header of the
    sandbox clock (so uvicorn's own must be off, as `Server` has it).
    """

    def __init__(
        self, app: ASGIApp, clock: SandboxClock, calls: Calls, faults: Faults, operation_of: OperationOf
    ) -> None:
        self.app = app
        self._clock = clock
        self._calls = calls
        self._faults = faults
        self._operation_of = operation_of

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        dated = self._dated(send)
        if scope["path"].startswith(CONTROL_PREFIX):
            await self.app(scope, receive, dated)
            return
        operation = self._operation_of(scope["method"], raw_path_of(scope))
        self._calls.record(operation)
        fault = self._faults.record(operation)
        if fault is None:
            await self.app(scope, receive, dated)
        else:
            await self._inject(fault, scope, receive, dated)

    def _dated(self, send: Send) -> Send:
        async def stamped(message: Message) -> None:
            if message["type"] == "http.response.start":
                date = format_datetime(self._clock.now(), usegmt=True).encode("latin-1")
                kept = [pair for pair in message.get("headers", []) if pair[0].lower() != b"date"]
                message = {**message, "headers": [*kept, (b"date", date)]}
            await send(message)

        return stamped

    async def _inject(self, fault: InjectedFault, scope: Scope, receive: Receive, send: Send) -> None:
        kind = fault.kind
        if kind == "slow":
            await asyncio.sleep(fault.delay)
            await self.app(scope, receive, send)
        elif kind in ("timeout_before", "reset", "reset_late"):
            # The whole request is taken in: the connection breaks while the caller waits, not while it sends.
            body, now = await _body(receive), self._clock.now()
            if kind == "reset_late" and body is not None:
                request = replace(HttpRequest.from_scope(scope, body), received=now)
                self._faults.postpone(now + timedelta(seconds=fault.delay), request)
            await _leave_unanswered(fault, scope, receive)
        elif kind in ("timeout_after", "reset_after"):
            await self._apply(scope, receive)
            await _leave_unanswered(fault, scope, receive)
        elif kind in ("truncate", "half_page"):
            reply = await self._apply(scope, receive)
            if kind == "truncate":
                await _truncate(reply, scope, receive, send)
            else:
                await _halve(reply, send)
        else:
            if kind == "status_after":
                await self._apply(scope, receive)
            await _prepared(fault)(scope, receive, send)

    async def _apply(self, scope: Scope, receive: Receive) -> _HeldReply:
        reply = _HeldReply()
        await self.app(scope, receive, reply.keep)
        return reply


class _HeldReply:
    """A finished reply that has not been sent."""

    def __init__(self) -> None:
        self.start: Message = {"type": "http.response.start", "status": 500, "headers": []}
        self.body = b""

    async def keep(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.start = message
        else:
            self.body += message.get("body", b"")


def _prepared(fault: InjectedFault) -> Response:
    headers = dict(fault.headers)
    if fault.kind == "html":
        return Response(fault.body or _PAGE, 200, headers, media_type="text/html")
    if fault.kind == "null":
        return Response("null", 200, headers, media_type="application/json")
    if fault.kind == "empty":
        return Response("", 200, headers, media_type="application/json")
    return Response(fault.body or "", fault.status, headers, media_type=fault.content_type)


async def _leave_unanswered(fault: InjectedFault, scope: Scope, receive: Receive) -> None:
    """Leave the caller without a reply: after the hang, end the connection."""
    if fault.delay and fault.kind != "reset_late":
        # A timeout means the hang is over and the caller still waits: now the connection ends.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(fault.delay):
                await _until_gone(receive)
    connection = _connection(scope)
    if fault.kind.startswith("reset"):
        connection.reset()
    else:
        connection.close()
    await _until_gone(receive)


async def _truncate(reply: _HeldReply, scope: Scope, receive: Receive, send: Send) -> None:
    await send(reply.start)
    await send({"type": "http.response.body", "body": reply.body[: len(reply.body) // 2], "more_body": True})
    _connection(scope).close()
    await _until_gone(receive)


async def _halve(reply: _HeldReply, send: Send) -> None:
    body = _first_half(reply.body)
    headers = [pair for pair in reply.start["headers"] if pair[0].lower() != b"content-length"]
    headers.append((b"content-length", str(len(body)).encode("ascii")))
    await send({**reply.start, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _first_half(body: bytes) -> bytes:
    try:
        document: Any = json.loads(body)
    except ValueError:
        return body
    if isinstance(document, list):
        return json.dumps(document[: len(document) // 2]).encode()
    if isinstance(document, dict):
        lists = [name for name, value in document.items() if isinstance(value, list)]
        if len(lists) == 1:
            rows = document[lists[0]]
            return json.dumps({**document, lists[0]: rows[: len(rows) // 2]}).encode()
    return body


async def _until_gone(receive: Receive) -> None:
    """Wait until the server has seen the connection end, so that it expects no reply any more."""
    while (await receive())["type"] != "http.disconnect":
        continue


def _connection(scope: Scope) -> Connection:
    connection = scope.get("extensions", {}).get(CONNECTION)
    if not isinstance(connection, Connection):
        raise RuntimeError("connection faults need the sandbox's own Server; serve the application with it")
    return connection


async def _body(receive: Receive) -> bytes | None:
    """The whole body; None where the caller has gone before its end."""
    parts = []
    while (message := await receive())["type"] == "http.request":
        parts.append(message.get("body", b""))
        if not message.get("more_body", False):
            return b"".join(parts)
    return None
