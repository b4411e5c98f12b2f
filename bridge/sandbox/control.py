"""The control surface under /_sandbox/: for tests and demos, loopback only, never part of a vendor's API."""

from __future__ import annotations

import copy
import dataclasses
import json
from collections.abc import Callable, Collection, Mapping
from datetime import datetime
from typing import Any, Protocol

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from bridge.sandbox.calls import Calls
from bridge.sandbox.clock import SandboxClock
from bridge.sandbox.faults import Fault, Faults, nearest


class Controlled(Protocol):
    """What a service's state offers to the control surface. `switches` is a dataclass instance."""

    @property
    def clock(self) -> SandboxClock: ...
    @property
    def calls(self) -> Calls: ...
    @property
    def faults(self) -> Faults: ...
    @property
    def switches(self) -> Any: ...
    def people(self) -> Any:
        """The full truth per person, as JSON values."""


def patch_switches(switches: Any, changes: Mapping[str, Any]) -> None:
    """Set fields of the dataclass `switches`, all or none.

    Raises ValueError for an unknown switch (naming the nearest) or a value of another type.
    """
    current = {item.name: getattr(switches, item.name) for item in dataclasses.fields(switches)}
    for name, value in changes.items():
        if name not in current:
            raise ValueError(f"unknown switch {name!r}{nearest(name, current)}")
        if not _same_type(current[name], value):
            raise ValueError(f"switch {name!r} takes a {type(current[name]).__name__}")
    # A switch may refuse a value when it is set: try on a copy, so that a refusal changes nothing.
    for target in (copy.copy(switches), switches):
        for name, value in changes.items():
            setattr(target, name, float(value) if isinstance(current[name], float) else value)


def _same_type(current: Any, value: Any) -> bool:
    if current is None:
        return True
    if isinstance(current, float):
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    return type(value) is type(current)


def control_routes(
    state: Controlled,
    operations: Collection[str],
    configure: Callable[[str, dict[str, Any]], None] | None = None,
) -> list[Route]:
    """Routes of the control surface for one service; put them before the service's own. `operations` are the
    ids that a fault may name; `configure` carries out a change of the account's configuration."""

    async def clock(request: Request) -> Response:
        document = await _document(request)
        if "advance" in document:
            state.clock.advance(float(document["advance"]))
        elif "set" in document:
            state.clock.set(datetime.fromisoformat(document["set"]))
        else:
            raise ValueError('the clock takes {"advance": seconds} or {"set": "2026-01-01T00:00:00Z"}')
        return JSONResponse({"now": state.clock.now().isoformat()})

    async def switches(request: Request) -> Response:
        if request.method == "PATCH":
            patch_switches(state.switches, await _document(request))
        return JSONResponse(dataclasses.asdict(state.switches))

    async def faults(request: Request) -> Response:
        if request.method == "DELETE":
            state.faults.clear()
            return Response(status_code=204)
        document = json.loads(await request.body())
        added = [Fault.from_json(item) for item in (document if isinstance(document, list) else [document])]
        for fault in added:
            if fault.operation not in ("*", *operations):
                near = nearest(fault.operation, sorted(operations))
                raise ValueError(f"unknown operation {fault.operation!r}{near}")
        for fault in added:
            state.faults.add(fault)
        return JSONResponse({"added": len(added)}, 201)

    async def calls(request: Request) -> Response:
        if request.method == "POST":
            state.calls.reset()
        return JSONResponse({"total": state.calls.total(), "counts": state.calls.counts()})

    async def people(_: Request) -> Response:
        truth = await run_in_threadpool(state.people)
        return Response(json.dumps(truth), media_type="application/json")

    async def config(request: Request) -> Response:
        document = await _document(request)
        act = str(document.pop("act", ""))
        if configure is None:
            raise ValueError("the configuration of this service is changed by its own API")
        configure(act, document)
        return JSONResponse({"done": act})

    async def ready(_: Request) -> Response:
        return JSONResponse({"ready": True})

    def route(path: str, handler: Callable[[Request], Any], *methods: str) -> Route:
        return Route(f"/_sandbox/{path}", _refusing(handler), methods=list(methods))

    return [
        route("ready", ready, "GET"),
        route("calls", calls, "GET"),
        route("calls/reset", calls, "POST"),
        route("faults", faults, "POST", "DELETE"),
        route("switches", switches, "GET", "PATCH"),
        route("clock", clock, "POST"),
        route("people", people, "GET"),
        route("config", config, "POST"),
    ]


def _refusing(handler: Callable[[Request], Any]) -> Callable[[Request], Any]:
    async def guarded(request: Request) -> Response:
        try:
            answer: Response = await handler(request)
        except (ValueError, TypeError) as error:
            return JSONResponse({"error": str(error)}, 400)
        return answer

    return guarded


async def _document(request: Request) -> dict[str, Any]:
    document = json.loads(await request.body())
    if not isinstance(document, dict):
        raise ValueError("a JSON object is needed")
    return document
