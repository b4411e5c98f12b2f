"""The emulated Dotdigital as a web application: sign-in, region, limits, and then the operation."""

from __future__ import annotations

import base64
import binascii
import hmac
import json
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from bridge.sandbox.dotdigital import routes
from bridge.sandbox.dotdigital.refusals import V2Refusal
from bridge.sandbox.dotdigital.routes import ACCOUNT_INFO, V3_SERVICES
from bridge.sandbox.dotdigital.state import DotdigitalState
from bridge.sandbox.http import ApiRoute, HttpReply, HttpRequest, Refusal, json_reply, split_path, text_reply
from bridge.sandbox.service import ServiceMiddleware, create_service


def create_app(state: DotdigitalState, controls: Iterable[ApiRoute] = ()) -> ServiceMiddleware:
    """Serve `state`: the vendor's calls, and the control surface under /_sandbox/ with `controls` added."""
    return create_service(
        state,
        lambda request: _serve(state, request),
        operation_of=routes.operation_of,
        operation_ids=routes.ROUTES.operation_ids,
        controls=controls,
    )


def _serve(state: DotdigitalState, request: HttpRequest) -> HttpReply:
    match = routes.ROUTES.find(request.method, split_path(request.raw_path))
    route, path = match.route, request.path.lower()
    is_v3 = path.startswith(V3_SERVICES) if route is None else route.is_v3
    if state.switches.region == "wrong" and (route is None or route.operation_id != ACCOUNT_INFO):
        return _forbidden()
    if not _signed_in(state, request.headers.get("authorization", ""), is_v3):
        return _unauthorized(is_v3)
    position = _service_position(state, path) if is_v3 else "there"
    if position != "there":
        return _no_resource() if position == "absent" else _forbidden()
    if route is None:
        return _no_resource(", ".join(match.allowed))
    charge = state.limits.charge(state.clock.now(), route.tier)
    if not charge.allowed and charge.flat:
        text = "The account made too many API calls and is capped for now; contact support."
        raise V2Refusal(400, "ERROR_APIUSAGE_EXCEEDED", text)
    if not charge.allowed:
        return json_reply({"message": "Too many requests."}, 429, charge.headers)
    if state.switches.refused_writes and request.method != "GET":
        return json_reply({"message": "No changes are taken at present."}, state.switches.refused_writes)
    try:
        reply = route.handler(state, replace(request, parameters=match.parameters))
    except Refusal as refusal:
        reply = refusal.reply(state.switches)
    if state.switches.unknown_in_answers:
        reply = _with_unknown(reply)
    return replace(reply, headers={**reply.headers, **charge.headers})


def _signed_in(state: DotdigitalState, authorization: str, is_v3: bool) -> bool:
    """Whether HTTP Basic names the account's API user. White space round user and password was seen to pass
    on v2, never on v3."""
    scheme, _, token = authorization.partition(" ")
    try:
        username, colon, password = base64.b64decode(token, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return False
    if scheme.lower() != "basic" or not colon:
        return False
    if not is_v3 and state.switches.untrimmed_credentials_on_v2 == "accepted":
        username, password = username.strip(), password.strip()
    user = state.api_user
    return hmac.compare_digest(username.encode(), user.username.encode()) and hmac.compare_digest(
        password.encode(), user.password.encode()
    )


def _service_position(state: DotdigitalState, path: str) -> str:
    """Whether the service of v3 that a path belongs to is there: the position of its switch."""
    switches = state.switches
    positions = zip(V3_SERVICES, (switches.v3, switches.events, switches.configuration), strict=True)
    return next((position for prefix, position in positions if path.startswith(prefix)), switches.v3)


def _forbidden() -> HttpReply:
    return text_reply("Forbidden: Access is denied.", 403)


def _unauthorized(is_v3: bool) -> HttpReply:
    if is_v3:
        return HttpReply(401)
    return json_reply({"message": "Authorization has been denied for this request."}, 401)


def _no_resource(allowed: str = "") -> HttpReply:
    if not allowed:
        return json_reply({"message": "No HTTP resource was found for this request."}, 404)
    text = "The requested resource does not support this method."
    return json_reply({"message": text}, 405, {"Allow": allowed})


def _with_unknown(reply: HttpReply) -> HttpReply:
    if not (reply.content_type or "").startswith("application/json"):
        return reply
    return json_reply(_extended(json.loads(reply.body)), reply.status)


def _extended(value: Any) -> Any:
    """With a property that no document names, but not in objects whose names are the account's own."""
    if isinstance(value, list):
        return [_extended(one) for one in value]
    if not isinstance(value, dict):
        return value
    free = ("dataFields", "identifiers", "identifier")
    extended = {key: one if key in free else _extended(one) for key, one in value.items()}
    return {"addedLater": {"status": "notInTheSpecification"}, **extended}
