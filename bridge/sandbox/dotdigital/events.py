"""The events export: subscriptions that collect, and pages that are acknowledged by asking for the next."""

from __future__ import annotations

import json
import re
import uuid
from bisect import bisect_right
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from bridge.sandbox.dotdigital import dates
from bridge.sandbox.dotdigital.exchange import Answer, Call, answer
from bridge.sandbox.dotdigital.records import Contact
from bridge.sandbox.dotdigital.refusal import V3Refusal

if TYPE_CHECKING:
    from bridge.sandbox.dotdigital.state import State

MOST = 5  # subscriptions of an account
UNREAD = timedelta(days=30)  # after which a subscription is made inactive
_LIMIT = 5000
_TYPE = re.compile(r"[a-zA-Z]+\.[a-zA-Z]+", re.ASCII)


@dataclass
class Subscription:
    """One export. `events` are all that it ever collected, of which the first `acknowledged` are gone."""

    id: int
    body: dict[str, Any]
    created: datetime
    updated: datetime
    collects_from: datetime | None
    last_read: datetime
    acknowledged: int = 0
    happened: int = 0
    events: list[dict[str, Any]] = field(default_factory=list)

    @property
    def types(self) -> set[str]:
        return {entry["eventType"] for entry in self.body["subscribedEventTypes"]}

    def is_active(self, now: datetime) -> bool:
        if self.collects_from is not None and now - self.last_read > UNREAD:
            self.collects_from = None
        return self.collects_from is not None

    def shown(self, now: datetime) -> dict[str, Any]:
        status = "active" if self.is_active(now) else "inactive"
        made = {"created": dates.render(self.created), "updated": dates.render(self.updated)}
        return {"id": self.id, **made, **self.body, "status": status}


def capture(state: State, kind: str, contact: Contact) -> None:
    """Something happened to a contact: every subscription that collects such events gets one."""
    now = state.now()
    for one in state.event_exports.values():
        if one.is_active(now) and one.collects_from and one.collects_from <= now and kind in one.types:
            one.happened += 1
            _collect(state, one, _event(state, kind, contact, now))


def list_subscriptions(state: State, call: Call) -> Answer:
    """All of them: there are never more than five."""
    link = {"marker": "", "link": f"{call.base_url}/events/v3/export/subscriptions"}
    items = [one.shown(state.now()) for one in state.event_exports.values()]
    return answer({"_items": items, "_links": {"self": link, "first": link}})


def create_subscription(state: State, call: Call) -> Answer:
    body = _body(state, call, None)
    if len(state.event_exports) >= MOST:
        raise _bad_json("An account has no more than five subscriptions")
    now = state.now()
    number = max(state.event_exports, default=0) + 1
    made = Subscription(number, body, now, now, _starts(state, body), now)
    state.event_exports[number] = made
    return answer(made.shown(now), 201)


def update_subscription(state: State, call: Call) -> Answer:
    """Replaces all of it. Made active, it starts to collect anew."""
    found = _find(state, call)
    found.body = _body(state, call, found)
    now = state.now()
    if not (found.is_active(now) and found.body["status"] == "active"):
        found.collects_from = _starts(state, found.body)
    found.updated = found.last_read = now
    return answer(found.shown(now))


def export_events(state: State, call: Call) -> Answer:
    """A page from after what was acknowledged. The checkpoint of the page before acknowledges it."""
    found = _find(state, call)
    now = state.now()
    if not found.is_active(now):
        raise V3Refusal(409, "events:inactiveSubscription", "The subscription is not active")
    limit = call.query.get("limit", "2000")
    if not limit.isdigit() or not 1 <= int(limit) <= _LIMIT:
        raise _bad_json("limit is out of range")
    found.last_read = now
    if (given := call.query.get("checkpoint")) is not None:
        found.acknowledged = _position(found, given)
    shown = _shown_by(state, found, now)
    page = shown[found.acknowledged : found.acknowledged + int(limit)]
    check_point = f"{found.id}.{found.acknowledged + len(page)}"
    if page and found.acknowledged and state.switches.event_delivery == "replayed":
        page = [found.events[found.acknowledged - 1], *page]
    return answer({"checkPoint": check_point, "events": page})


def _collect(state: State, subscription: Subscription, event: dict[str, Any]) -> None:
    delivery = state.switches.event_delivery
    if delivery == "lost" and subscription.happened % 2:
        return
    subscription.events += [event, event] if delivery == "doubled" else [event]


def _shown_by(state: State, subscription: Subscription, now: datetime) -> list[dict[str, Any]]:
    """What is old enough to be given out; events are collected in the order they happened."""
    latest = dates.render(now - timedelta(seconds=state.switches.event_lag_seconds))
    return subscription.events[: bisect_right(subscription.events, latest, key=lambda one: one["eventDate"])]


def _event(state: State, kind: str, contact: Contact, now: datetime) -> dict[str, Any]:
    email = contact.email or ""
    data = {
        "contactId": {"contactId": contact.id},
        "nested": {"contact": {"contactId": contact.id}},
        "identifiers": {"identifiers": {"email": email}},
        "email": {"email": email},
        "nobody": {},
    }[state.switches.event_data]
    at = dates.render(now)
    named = {"id": str(uuid.uuid4()), "accountId": state.account_id, "type": kind}
    return {**named, "processedDate": at, "eventDate": at, "data": data}


def _starts(state: State, body: dict[str, Any]) -> datetime | None:
    if body["status"] != "active":
        return None
    return state.now() + timedelta(seconds=state.switches.event_activation_seconds)


def _find(state: State, call: Call) -> Subscription:
    number = call.path["subscriptionId"]
    found = state.event_exports.get(int(number)) if number.isascii() and number.isdigit() else None
    if found is None:
        raise V3Refusal(404, "events:subscriptionNotFound", "The subscription was not found")
    return found


def _position(found: Subscription, given: str) -> int:
    owner, _, place = given.partition(".")
    known = owner == str(found.id) and place.isascii() and place.isdigit()
    if not known or not found.acknowledged <= int(place) <= len(found.events):
        raise V3Refusal(400, "events:invalidCheckpoint", "The checkpoint is not valid")
    return int(place)


def _body(state: State, call: Call, itself: Subscription | None) -> dict[str, Any]:
    try:
        body = json.loads(call.body)
    except ValueError as error:
        raise _bad_json("The body is not JSON") from error
    if not isinstance(body, dict) or not isinstance(body.get("alertsConfiguration"), dict):
        raise _bad_json("alertsConfiguration is missing")
    name, status = body.get("name"), body.get("status", "inactive")
    if not isinstance(name, str) or not 0 < len(name) <= 50 or status not in ("active", "inactive"):
        raise _bad_json("name or status is not valid")
    _check_types(body.get("subscribedEventTypes"))
    if any(one is not itself and one.body["name"] == name for one in state.event_exports.values()):
        raise V3Refusal(409, "events:nameAlreadyExists", "The name is in use")
    keys = ("name", "subscribedEventTypes", "alertsConfiguration")
    return {"status": status, **{key: body[key] for key in keys}}


def _check_types(entries: Any) -> None:
    if not isinstance(entries, list) or not 0 < len(entries) <= 100:
        raise _bad_json("subscribedEventTypes needs 1 to 100 entries")
    named = [entry.get("eventType") if isinstance(entry, dict) else None for entry in entries]
    if not all(isinstance(one, str) and _TYPE.fullmatch(one) for one in named):
        raise V3Refusal(400, "events:invalidEventType", "An event type is not known")


def _bad_json(text: str) -> V3Refusal:
    return V3Refusal(400, "events:badJson", text)
