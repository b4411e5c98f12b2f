"""The emulated Dotdigital as a web application."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qsl

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from bridge.sandbox.control import control_routes
from bridge.sandbox.dotdigital import auth, routes
from bridge.sandbox.dotdigital.exchange import Answer, Call, answer, text
from bridge.sandbox.dotdigital.limits import Verdict
from bridge.sandbox.dotdigital.refusal import V2Refusal, V3Refusal
from bridge.sandbox.dotdigital.routes import Operation
from bridge.sandbox.dotdigital.state import State
from bridge.sandbox.frontdoor import FrontDoor

_V3 = ("/contacts/v3", "/events/v3", "/configuration/v3")


def create_app(state: State) -> Starlette:
    """Serve `state`: the vendor's calls, and the control surface under /_sandbox/."""
    door = Middleware(
        FrontDoor,
        clock=state.clock,
        calls=state.calls,
        faults=state.faults,
        operation_of=routes.operation_of,
    )
    app = Starlette(routes=control_routes(state, routes.names()), middleware=[door])
    # Not a mount: its pattern lets paths with an encoded line break fall through to a text of the framework.
    app.router.default = _Service(state)
    return app


class _Service:
    def __init__(self, state: State) -> None:
        self._state = state

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        body = await request.body()
        # Handlers only touch memory, so the lock is held briefly; the loop itself may take it.
        with self._state.lock:
            served = _serve(self._state, request, body)
        response = Response(served.body, served.status, dict(served.headers))
        response.headers["content-type"] = served.content_type
        await response(scope, receive, send)


def _serve(state: State, request: Request, body: bytes) -> Answer:
    raw: bytes = request.scope.get("raw_path") or request.scope["path"].encode()
    operation, path, methods = routes.find(request.method, raw.split(b"?")[0].decode("latin-1"))
    place = request.scope["path"].lower()
    is_v3 = place.startswith(_V3) if operation is None else operation.is_v3
    if state.switches.region == "wrong" and (operation is None or operation.id != routes.ACCOUNT_INFO):
        return text("Forbidden: Access is denied.", 403)
    if not auth.signed_in(state, request.headers.get("authorization", ""), is_v3):
        return _unauthorized(is_v3)
    service = _service(state, place)
    if is_v3 and service != "there":
        return _nowhere([]) if service == "absent" else text("Forbidden: Access is denied.", 403)
    if operation is None:
        return _nowhere(methods)
    verdict = state.limits.charge(state.clock.now(), operation.tier)
    if not verdict.allowed:
        return _too_many(state, verdict)
    pairs = parse_qsl(request.url.query, keep_blank_values=True)
    call = Call(path, {name.lower(): value for name, value in pairs}, body, _base_url(request))
    served = _handle(state, operation, call)
    if state.switches.unknown_in_answers:
        served = _with_unknown(served)
    return _with_headers(served, verdict)


def _handle(state: State, operation: Operation, call: Call) -> Answer:
    state.settle_due()
    try:
        return operation.handler(state, call)
    except V2Refusal as refusal:
        return answer({"message": v2_message(state, refusal)}, refusal.status)
    except V3Refusal as refusal:
        shown: dict[str, object] = {"errorCode": refusal.code, "description": refusal.description}
        if refusal.details:
            inner = state.switches.v3_details_key
            shown["details"] = [{"item": item, inner: words} for item, words in refusal.details]
        return answer(shown, refusal.status)


def _with_unknown(served: Answer) -> Answer:
    if not served.content_type.startswith("application/json") or not served.body:
        return served
    return answer(_extended(json.loads(served.body)), served.status)


def _extended(value: Any) -> Any:
    """With a property that no document names, but in objects whose names are the account's own."""
    if isinstance(value, list):
        return [_extended(one) for one in value]
    if not isinstance(value, dict):
        return value
    free = ("dataFields", "identifiers", "identifier")
    extended = {key: one if key in free else _extended(one) for key, one in value.items()}
    return {"addedLater": {"status": "unheardOf"}, **extended}


def v2_message(state: State, refusal: V2Refusal) -> str:
    """The message in one of the forms met in the wild."""
    form = state.switches.error_text
    if form == "error_prefix":
        return f"Error: {refusal.code}"
    if form == "no_code":
        return refusal.text
    return f"{refusal.text} {refusal.code}" + (" " if form == "trailing_space" else "")


def _nowhere(methods: list[str]) -> Answer:
    if not methods:
        return answer({"message": "No HTTP resource was found for this request."}, 404)
    refused = answer({"message": "The requested resource does not support this method."}, 405)
    return Answer(refused.body, 405, refused.content_type, {"Allow": ", ".join(methods)})


def _service(state: State, place: str) -> str:
    """Whether the service of v3 that a path belongs to is there."""
    switches = state.switches
    by_place = zip(_V3, (switches.v3, switches.events, switches.configuration), strict=True)
    return next((position for prefix, position in by_place if place.startswith(prefix)), switches.v3)


def _unauthorized(is_v3: bool) -> Answer:
    if is_v3:
        return Answer(b"", 401)
    return answer({"message": "Authorization has been denied for this request."}, 401)


def _too_many(state: State, verdict: Verdict) -> Answer:
    if verdict.flat:
        words = "The account made too many API calls and is capped for now; contact support."
        refusal = V2Refusal(400, "ERROR_APIUSAGE_EXCEEDED", words)
        return answer({"message": v2_message(state, refusal)}, 400)
    return _with_headers(answer({"message": "Too many requests."}, 429), verdict)


def _with_headers(served: Answer, verdict: Verdict) -> Answer:
    return Answer(served.body, served.status, served.content_type, {**served.headers, **verdict.headers})


def _base_url(request: Request) -> str:
    return f"{request.url.scheme}://{request.url.netloc}"
