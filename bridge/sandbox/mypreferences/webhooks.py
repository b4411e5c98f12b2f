"""Operations on events and webhook subscriptions."""

from __future__ import annotations

from typing import Any

from bridge.sandbox.http import HttpReply, json_reply
from bridge.sandbox.mypreferences.call import NO_CONTENT, MyPreferencesCall
from bridge.sandbox.mypreferences.events import EventQuery
from bridge.sandbox.mypreferences.refusal import invalid, not_found


def events_of_account(call: MyPreferencesCall) -> HttpReply:
    """Retrieve events across all subscriptions."""
    return _rows(call, call.account.events.by_account(_query(call)))


def events_of_subscription(call: MyPreferencesCall) -> HttpReply:
    """Retrieve events by subscription id."""
    return _rows(call, call.account.events.by_subscription(call.id("subscriptionId"), _query(call)))


def events_of_profile(call: MyPreferencesCall) -> HttpReply:
    """Retrieve events by profile id; of deleted profiles too, since their last event is the deletion."""
    profile_id = call.id("profileId")
    if not call.account.profiles.existed(profile_id):
        raise not_found("The profile")
    subscribed_only = call.flag("subscribedOnly", True)
    return _rows(call, call.account.events.by_profile(profile_id, _query(call), subscribed_only))


def event(call: MyPreferencesCall) -> HttpReply:
    """Retrieve event by event id."""
    return json_reply(call.account.events.by_id(call.parameter("eventId")))


def create_subscription(call: MyPreferencesCall) -> HttpReply:
    """Create new subscription."""
    account = call.account
    made = account.subscriptions.create(call.document())
    if account.switches.handshake_on_create and not account.deliveries.validate(made):
        account.subscriptions.delete(made.subscription_id)
        raise invalid("The Url did not answer the validation request.")
    return json_reply(made.document, account.switches.created_status)


def retrieve_subscriptions(call: MyPreferencesCall) -> HttpReply:
    """Retrieve subscriptions, or the one asked for."""
    subscriptions = call.account.subscriptions
    if call.text("subscriptionId") is None:
        return json_reply([item.document for item in subscriptions])
    return json_reply([subscriptions.get(call.number("subscriptionId", 0)).document])


def update_subscription(call: MyPreferencesCall) -> HttpReply:
    """Update subscription."""
    return json_reply(call.account.subscriptions.replace(call.id("subscriptionId"), call.document()).document)


def delete_subscription(call: MyPreferencesCall) -> HttpReply:
    """Delete subscription."""
    call.account.subscriptions.delete(call.id("subscriptionId"))
    return NO_CONTENT


def retrieve_settings(call: MyPreferencesCall) -> HttpReply:
    """Retrieve webhook settings."""
    return json_reply(call.account.subscriptions.settings.document)


def update_settings(call: MyPreferencesCall) -> HttpReply:
    """Update webhook settings."""
    settings = call.account.subscriptions.settings
    settings.update(call.document(), call.author.user.user_id)
    return json_reply(settings.document)


def _query(call: MyPreferencesCall) -> EventQuery:
    start_at, end_at, event_type = call.text("startAt"), call.text("endAt"), call.text("eventType")
    return EventQuery(start_at, end_at, event_type, call.values("sourceGroupIds"))


def _rows(call: MyPreferencesCall, rows: list[dict[str, Any]]) -> HttpReply:
    return json_reply({"Events": rows} if call.account.switches.events_wrapped else rows)
