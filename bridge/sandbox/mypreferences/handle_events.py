"""Operations on events and webhook subscriptions."""

from __future__ import annotations

from typing import Any

from bridge.sandbox.mypreferences.call import Call, Reply
from bridge.sandbox.mypreferences.events import Query
from bridge.sandbox.mypreferences.refusal import invalid, not_found


def by_account(call: Call) -> Reply:
    """Retrieve events across all subscriptions."""
    return _rows(call, call.state.events.by_account(_query(call)))


def by_subscription(call: Call) -> Reply:
    """Retrieve events by subscription id."""
    number = call.id_param("subscriptionId")
    return _rows(call, call.state.events.by_subscription(number, _query(call)))


def by_profile(call: Call) -> Reply:
    """Retrieve events by profile id; of deleted profiles too, since their last event is the deletion."""
    number = call.id_param("profileId")
    registry = call.state.registry
    if registry.get(number) is None and not registry.was_deleted(number):
        raise not_found("The profile")
    only = call.flag("subscribedOnly", True)
    return _rows(call, call.state.events.by_profile(number, _query(call), only))


def by_id(call: Call) -> Reply:
    """Retrieve event by event id."""
    return Reply(call.state.events.by_id(call.params["eventId"]))


def create_subscription(call: Call) -> Reply:
    """Create new subscription."""
    made = call.state.subscriptions.create(call.body())
    if call.state.switches.handshake_on_create and not call.state.deliveries.shake(made):
        call.state.subscriptions.delete(made.subscription_id)
        raise invalid("The Url did not answer the validation request.")
    return Reply(made.document, call.state.switches.created_status)


def list_subscriptions(call: Call) -> Reply:
    """Retrieve subscriptions, or the one asked for."""
    if call.text("subscriptionId") is None:
        return Reply([item.document for item in call.state.subscriptions.all()])
    return Reply([call.state.subscriptions.get(call.number("subscriptionId", 0)).document])


def replace_subscription(call: Call) -> Reply:
    """Update subscription."""
    made = call.state.subscriptions.replace(call.id_param("subscriptionId"), call.body())
    return Reply(made.document)


def delete_subscription(call: Call) -> Reply:
    """Delete subscription."""
    call.state.subscriptions.delete(call.id_param("subscriptionId"))
    return Reply(status=204)


def webhook_settings(call: Call) -> Reply:
    """Retrieve webhook settings."""
    return Reply(call.state.subscriptions.throughput.document)


def update_webhook_settings(call: Call) -> Reply:
    """Update webhook settings."""
    throughput = call.state.subscriptions.throughput
    throughput.update(call.body(), call.actor.user.user_id)
    return Reply(throughput.document)


def _query(call: Call) -> Query:
    return Query(
        call.text("startAt"), call.text("endAt"), call.text("eventType"), call.listed("sourceGroupIds")
    )


def _rows(call: Call, rows: list[dict[str, Any]]) -> Reply:
    return Reply({"Events": rows} if call.state.switches.events_wrapped else rows)
