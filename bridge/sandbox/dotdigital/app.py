"""The emulated Dotdigital as a web application: its routes, sign-in, region, limits, and the operation."""

from __future__ import annotations

import base64
import binascii
import hmac
import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from bridge.sandbox.dotdigital import bulk, events, feeds, v2_contacts, v2_preferences, v3_contacts
from bridge.sandbox.dotdigital.limits import HIGH, LOW, MEDIUM, UNLIMITED
from bridge.sandbox.dotdigital.refusals import V2Refusal
from bridge.sandbox.dotdigital.state import DotdigitalState
from bridge.sandbox.http import (
    ApiRoute,
    Handler,
    HttpReply,
    HttpRequest,
    Refusal,
    RouteTable,
    json_reply,
    split_path,
    text_reply,
)
from bridge.sandbox.service import ServiceMiddleware, create_service

V3_SERVICES = ("/contacts/v3", "/events/v3", "/configuration/v3")
ACCOUNT_INFO = "get-account-information"
_SINCE = "/contacts/with-preference/{preferenceId}/opt-ins-since/{date}"
_CHOICES = "/contacts/{contactIdentifier}/preferences"
_CHOICES_SINGULAR = "/contact/{contactIdentifier}/preferences"
_CONTACT = "/contacts/v3/{identifier}/{value}"
_EXPORTS = "/events/v3/export/subscriptions"


@dataclass(frozen=True)
class TieredRoute(ApiRoute):
    """Tiers are not published per operation; these follow the rule of thumb."""

    tier: str

    @property
    def is_v3(self) -> bool:
        """Whether the operation belongs to the v3 framework."""
        return self.path.startswith(V3_SERVICES)


def _v2(method: str, path: str, tier: str, handler: Handler) -> TieredRoute:
    return TieredRoute(handler.__name__.replace("_", "-"), method, f"/v2{path}", handler, tier)


def _v3(method: str, path: str, tier: str, handler: Handler) -> TieredRoute:
    first, *others = handler.__name__.split("_")
    return TieredRoute(first + "".join(map(str.capitalize, others)), method, path, handler, tier)


ROUTES = RouteTable(
    [
        _v2("GET", "/account-info", HIGH, v2_contacts.get_account_information),
        _v2("GET", "/server-time", HIGH, v2_contacts.get_server_time),
        _v2("POST", "/contacts/unsubscribe", MEDIUM, v2_contacts.unsubscribe_contact),
        _v2("PUT", "/contacts/suppress-contacts", LOW, v2_contacts.bulk_suppress_contacts),
        _v2("POST", "/contacts/resubscribe", MEDIUM, v2_contacts.resubscribe_contact),
        _v2(
            "POST",
            "/contacts/resubscribe-with-no-challenge",
            MEDIUM,
            v2_contacts.resubscribe_contact_with_no_challenge,
        ),
        _v2("GET", "/contacts/suppressed-since/{date}", LOW, feeds.get_suppressed_contacts_since_date),
        _v2("GET", "/contacts/unsubscribed-since/{date}", LOW, feeds.get_unsubscribed_contacts_since_date),
        _v2(
            "GET", "/contacts/with-preference/{preferenceId}", LOW, feeds.get_contacts_opted_into_a_preference
        ),
        _v2("GET", _SINCE, LOW, feeds.get_contacts_with_modified_preference_opt_in_since_date),
        _v2("GET", "/contacts/{email}/subscriptions", HIGH, v2_preferences.get_subscriptions_for_contact),
        _v2("POST", "/preferences", MEDIUM, v2_preferences.create_preference),
        _v2("GET", "/preferences", MEDIUM, v2_preferences.get_preferences),
        _v2(
            "GET",
            "/preferences/modified-since/{date}",
            MEDIUM,
            v2_preferences.get_modified_preferences_since_date,
        ),
        _v2("PUT", "/preferences/{id}", MEDIUM, v2_preferences.update_preference),
        _v2("DELETE", "/preferences/{id}", MEDIUM, v2_preferences.delete_preference),
        _v2("PUT", _CHOICES, MEDIUM, v2_preferences.set_preferences_for_contact),
        _v2("GET", _CHOICES, HIGH, v2_preferences.get_preferences_for_contact),
        _v2("PUT", _CHOICES_SINGULAR, MEDIUM, v2_preferences.set_preferences_for_contact),
        _v2("GET", _CHOICES_SINGULAR, HIGH, v2_preferences.get_preferences_for_contact),
        _v2("GET", "/contacts/{contactIdentifier}", HIGH, v2_contacts.get_contact),
        _v2("DELETE", "/contacts/{contactIdentifier}", MEDIUM, v2_contacts.delete_contact),
        _v2("GET", "/campaigns", MEDIUM, v2_contacts.get_campaigns),
        _v2("GET", "/address-books", MEDIUM, v2_contacts.get_address_books),
        _v3("GET", "/contacts/v3", LOW, v3_contacts.get_contacts),
        _v3("POST", "/contacts/v3", MEDIUM, v3_contacts.create_contact),
        _v3("PUT", "/contacts/v3/import", LOW, bulk.import_contacts),
        _v3("GET", "/contacts/v3/import/{importId}", UNLIMITED, bulk.get_import_status),
        _v3("POST", "/contacts/v3/delete", LOW, bulk.delete_contacts),
        _v3("GET", "/contacts/v3/delete/{deleteId}", UNLIMITED, bulk.get_delete_status),
        _v3("GET", _CONTACT, HIGH, v3_contacts.get_contact),
        _v3("PATCH", _CONTACT, MEDIUM, v3_contacts.import_contact),
        _v3("PUT", _CONTACT, MEDIUM, v3_contacts.replace_contact),
        _v3("DELETE", _CONTACT, MEDIUM, v3_contacts.delete_contact),
        _v3("GET", "/configuration/v3/customIdentifiers", MEDIUM, v3_contacts.get_custom_identifiers),
        _v3("POST", _EXPORTS, MEDIUM, events.create_subscription),
        _v3("GET", _EXPORTS, MEDIUM, events.list_subscriptions),
        _v3("PUT", f"{_EXPORTS}/{{subscriptionId}}", MEDIUM, events.update_subscription),
        _v3("GET", "/events/v3/export/{subscriptionId}", LOW, events.export_events),
    ]
)


_SURPLUS = {"get-campaigns", "get-address-books"}
"""Reads that a consent bridge has no use for."""


def operation_of(method: str, raw_path: str) -> str:
    """The operation id of a request, for counting and faults."""
    return ROUTES.operation_id(method, split_path(raw_path))


def create_app(state: DotdigitalState, controls: Iterable[ApiRoute] = ()) -> ServiceMiddleware:
    """Serve `state`: the vendor's calls, and the control surface under /_sandbox/ with `controls` added."""
    return create_service(
        state,
        lambda request: _serve(state, request),
        operation_of=operation_of,
        operation_ids=ROUTES.operation_ids,
        controls=controls,
    )


def _serve(state: DotdigitalState, request: HttpRequest) -> HttpReply:
    match = ROUTES.find(request.method, split_path(request.raw_path))
    route, path = match.route, request.path.lower()
    is_v3 = path.startswith(V3_SERVICES) if route is None else route.is_v3
    if state.switches.region == "wrong" and (route is None or route.operation_id != ACCOUNT_INFO):
        return _forbidden()
    if not _signed_in(state, request.headers.get("authorization", ""), is_v3):
        return _unauthorized(is_v3)
    wanted = state.switches.integration_token
    if wanted and not hmac.compare_digest(
        request.headers.get("x-ddg-integration-token", "").encode(), wanted.encode()
    ):
        return _forbidden()
    position = _service_position(state, path) if is_v3 else "there"
    if position != "there":
        return _no_resource() if position == "absent" else _forbidden()
    if route is None:
        return _no_resource(", ".join(match.allowed))
    if route.operation_id in _SURPLUS and not state.switches.surplus_rights:
        return _forbidden()
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
