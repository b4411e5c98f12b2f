"""The control surface under /_sandbox/: for tests and demos, loopback only, never part of a vendor's API."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, Iterable
from datetime import datetime
from typing import Any, Protocol

from bridge.sandbox.clock import SandboxClock
from bridge.sandbox.faults import Calls, Faults, InjectedFault, nearest
from bridge.sandbox.http import (
    ApiRoute,
    Handler,
    HttpReply,
    HttpRequest,
    RouteTable,
    json_reply,
    parse_json,
    split_path,
)
from bridge.sandbox.switches import ServiceSwitches, patch_switches

CONTROL_PREFIX = "/_sandbox/"


class Controlled(Protocol):
    """What a service's state offers to the control surface."""

    @property
    def clock(self) -> SandboxClock: ...
    @property
    def calls(self) -> Calls: ...
    @property
    def faults(self) -> Faults: ...
    @property
    def switches(self) -> ServiceSwitches: ...
    def people(self) -> Any:
        """What is recorded of every person, as JSON values."""


class ControlSurface:
    """Answers the requests under /_sandbox/ for one service.

    `operation_ids` are those that a fault may name. `configure` carries out a change of the account's
    configuration. `more` are further routes, with paths below the prefix.
    """

    def __init__(
        self,
        state: Controlled,
        operation_ids: Collection[str],
        configure: Callable[[str, dict[str, Any]], None] | None = None,
        more: Iterable[ApiRoute] = (),
    ) -> None:
        self._state = state
        self._operation_ids = sorted(operation_ids)
        self._configure = configure

        def route(method: str, path: str, handler: Handler) -> ApiRoute:
            return ApiRoute(path, method, f"{CONTROL_PREFIX}{path}", handler)

        self._table = RouteTable(
            [
                route("GET", "ready", lambda _: json_reply({"ready": True})),
                route("GET", "calls", self._calls),
                route("POST", "calls/reset", self._reset_calls),
                route("POST", "faults", self._add_faults),
                route("DELETE", "faults", self._clear_faults),
                route("GET", "switches", self._switches),
                route("PATCH", "switches", self._patch_switches),
                route("POST", "clock", self._move_clock),
                route("GET", "people", lambda _: json_reply(state.people())),
                route("POST", "config", self._change_configuration),
                *more,
            ]
        )

    def serve(self, request: HttpRequest) -> HttpReply:
        """The reply; 400 where a handler raises ValueError or TypeError."""
        found = self._table.find(request.method, split_path(request.raw_path))
        if found.route is None:
            if not found.allowed:
                return json_reply({"error": f"no control has the path {request.path}"}, 404)
            allowed = ", ".join(found.allowed)
            return json_reply({"error": f"use {allowed}"}, 405, {"Allow": allowed})
        try:
            return found.route.handler(request)
        except (ValueError, TypeError) as error:
            return json_reply({"error": str(error)}, 400)

    def _calls(self, _: HttpRequest) -> HttpReply:
        return json_reply({"total": self._state.calls.total(), "counts": self._state.calls.counts()})

    def _reset_calls(self, request: HttpRequest) -> HttpReply:
        self._state.calls.reset()
        return self._calls(request)

    def _add_faults(self, request: HttpRequest) -> HttpReply:
        document = parse_json(request.body)
        added = [
            InjectedFault.from_json(item) for item in (document if isinstance(document, list) else [document])
        ]
        for fault in added:
            if fault.operation not in ("*", *self._operation_ids):
                near = nearest(fault.operation, self._operation_ids)
                raise ValueError(f"unknown operation {fault.operation!r}{near}")
        for fault in added:
            self._state.faults.add(fault)
        return json_reply({"added": len(added)}, 201)

    def _clear_faults(self, _: HttpRequest) -> HttpReply:
        self._state.faults.clear()
        return HttpReply(204)

    def _switches(self, _: HttpRequest) -> HttpReply:
        return json_reply(dataclasses.asdict(self._state.switches))

    def _patch_switches(self, request: HttpRequest) -> HttpReply:
        patch_switches(self._state.switches, _object(request))
        return self._switches(request)

    def _move_clock(self, request: HttpRequest) -> HttpReply:
        document = _object(request)
        if "advance" in document:
            self._state.clock.advance(float(document["advance"]))
        elif "set" in document:
            self._state.clock.set(datetime.fromisoformat(document["set"]))
        else:
            raise ValueError('the clock takes {"advance": seconds} or {"set": "2026-01-01T00:00:00Z"}')
        return json_reply({"now": self._state.clock.now().isoformat()})

    def _change_configuration(self, request: HttpRequest) -> HttpReply:
        document = _object(request)
        act = str(document.pop("act", ""))
        if self._configure is None:
            raise ValueError("the configuration of this service is changed by its own API")
        self._configure(act, document)
        return json_reply({"done": act})


def _object(request: HttpRequest) -> dict[str, Any]:
    document = parse_json(request.body)
    if not isinstance(document, dict):
        raise ValueError("a JSON object is needed")
    return document
