"""The events export: subscriptions that collect, and pages that are acknowledged by asking for the next."""

from __future__ import annotations

import re
import uuid
from bisect import bisect_right
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal

import msgspec

from bridge.sandbox.dotdigital import wire
from bridge.sandbox.dotdigital.account import Account
from bridge.sandbox.dotdigital.records import EventExport, StoredContact
from bridge.sandbox.dotdigital.refusals import V3Refusal
from bridge.sandbox.http import BodyError, HttpReply, HttpRequest, json_reply, read_body

MOST = 5  # subscriptions of an account
_LIMIT = 5000
_TYPE = re.compile(r"[a-zA-Z]+\.[a-zA-Z]+", re.ASCII)


class _Subscribed(msgspec.Struct, rename="camel"):
    """What create and update take; what else they are sent is not kept."""

    name: Annotated[str, msgspec.Meta(min_length=1, max_length=50)]
    subscribed_event_types: Annotated[list[Any], msgspec.Meta(min_length=1, max_length=100)]
    alerts_configuration: dict[str, Any]
    status: Literal["active", "inactive"] = "inactive"


def capture(account: Account, kind: str, contact: StoredContact) -> None:
    """Something happened to a contact: every subscription that collects such events gets one."""
    now = account.now()
    for one in account.event_exports.values():
        if one.is_active(now) and one.collects_from and one.collects_from <= now and kind in one.types:
            one.happened += 1
            _collect(account, one, _event(account, kind, contact, now))


def list_subscriptions(account: Account, request: HttpRequest) -> HttpReply:
    """All of them: there are never more than five."""
    link = {"marker": "", "link": f"{request.base_url}/events/v3/export/subscriptions"}
    items = [one.shown(account.now()) for one in account.event_exports.values()]
    return json_reply({"_items": items, "_links": {"self": link, "first": link}})


def create_subscription(account: Account, request: HttpRequest) -> HttpReply:
    """201. A new one starts to collect only some minutes later."""
    body = _body(account, request, None)
    if len(account.event_exports) >= MOST:
        raise _bad_json("An account has no more than five subscriptions")
    now = account.now()
    number = max(account.event_exports, default=0) + 1
    made = EventExport(number, body, now, now, _starts(account, body), now)
    account.event_exports[number] = made
    return json_reply(made.shown(now), 201)


def update_subscription(account: Account, request: HttpRequest) -> HttpReply:
    """Replaces all of it. Made active, it starts to collect again."""
    found = _find(account, request)
    found.body = _body(account, request, found)
    now = account.now()
    if not (found.is_active(now) and found.body["status"] == "active"):
        found.collects_from = _starts(account, found.body)
    found.updated = found.last_read = now
    return json_reply(found.shown(now))


def export_events(account: Account, request: HttpRequest) -> HttpReply:
    """A page from after what was acknowledged. The checkpoint of the page before acknowledges it."""
    found = _find(account, request)
    now = account.now()
    if not found.is_active(now):
        raise V3Refusal(409, "events:inactiveSubscription", "The subscription is not active")
    limit = request.query_values.get("limit", "2000")
    if not limit.isdigit() or not 1 <= int(limit) <= _LIMIT:
        raise _bad_json("limit is out of range")
    found.last_read = now
    if (given := request.query_values.get("checkpoint")) is not None:
        found.acknowledged = _position(found, given)
    shown = _old_enough(account, found, now)
    page = shown[found.acknowledged : found.acknowledged + int(limit)]
    check_point = f"{found.id}.{found.acknowledged + len(page)}"
    if page and found.acknowledged and account.switches.event_delivery == "replayed":
        page = [found.events[found.acknowledged - 1], *page]
    return json_reply({"checkPoint": check_point, "events": page})


def _collect(account: Account, subscription: EventExport, event: dict[str, Any]) -> None:
    delivery = account.switches.event_delivery
    if delivery == "lost" and subscription.happened % 2:
        return
    subscription.events += [event, event] if delivery == "doubled" else [event]


def _old_enough(account: Account, subscription: EventExport, now: datetime) -> list[dict[str, Any]]:
    """What is old enough to be given out; events are collected in the order they happened."""
    latest = wire.render(now - timedelta(seconds=account.switches.event_lag_seconds))
    return subscription.events[: bisect_right(subscription.events, latest, key=lambda one: one["eventDate"])]


def _event(account: Account, kind: str, contact: StoredContact, now: datetime) -> dict[str, Any]:
    email = contact.email or ""
    data = {
        "contactId": {"contactId": contact.id},
        "nested": {"contact": {"contactId": contact.id}},
        "identifiers": {"identifiers": {"email": email}},
        "email": {"email": email},
        "nobody": {},
    }[account.switches.event_data]
    at = wire.render(now)
    named = {"id": str(uuid.uuid4()), "accountId": account.account_id, "type": kind}
    return {**named, "processedDate": at, "eventDate": at, "data": data}


def _starts(account: Account, body: dict[str, Any]) -> datetime | None:
    if body["status"] != "active":
        return None
    return account.now() + timedelta(seconds=account.switches.event_activation_seconds)


def _find(account: Account, request: HttpRequest) -> EventExport:
    number = request.parameters["subscriptionId"]
    found = account.event_exports.get(int(number)) if number.isascii() and number.isdigit() else None
    if found is None:
        raise V3Refusal(404, "events:subscriptionNotFound", "The subscription was not found")
    return found


def _position(found: EventExport, given: str) -> int:
    owner, _, place = given.partition(".")
    known = owner == str(found.id) and place.isascii() and place.isdigit()
    if not known or not found.acknowledged <= int(place) <= len(found.events):
        raise V3Refusal(400, "events:invalidCheckpoint", "The checkpoint is not valid")
    return int(place)


def _body(account: Account, request: HttpRequest, itself: EventExport | None) -> dict[str, Any]:
    try:
        body = read_body(request.body, _Subscribed)
    except BodyError as error:
        raise _bad_json(f"{error.field or 'The body'} is not valid") from error
    types = [one.get("eventType") if isinstance(one, dict) else None for one in body.subscribed_event_types]
    if not all(isinstance(one, str) and _TYPE.fullmatch(one) for one in types):
        raise V3Refusal(400, "events:invalidEventType", "An event type is not known")
    if any(one is not itself and one.body["name"] == body.name for one in account.event_exports.values()):
        raise V3Refusal(409, "events:nameAlreadyExists", "The name is in use")
    shown: dict[str, Any] = msgspec.to_builtins(body)
    return shown


def _bad_json(text: str) -> V3Refusal:
    return V3Refusal(400, "events:badJson", text)
