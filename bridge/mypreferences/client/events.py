"""Events of profiles, webhook subscriptions, and how fast the account's webhooks are delivered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from bridge.core.errors import NotFound
from bridge.core.model import Side
from bridge.mypreferences.client.base import Caller, listed
from bridge.mypreferences.wire.codec import bad_answer, encode, render_moment
from bridge.mypreferences.wire.events import Event, SettingsAnswer, Subscription, WebhookSettings


@dataclass(frozen=True, slots=True)
class EventSlice:
    """Events of one window, in no order, and the server's time when it answered."""

    events: Sequence[Event]
    server_time: datetime | None


class Events(Caller):
    """One method for each endpoint. Every method raises SideError. Windows include both ends."""

    def retrieve_events(self, *, start_at: datetime, end_at: datetime) -> EventSlice:
        """Events of all webhook subscriptions, at most 15 days back (MyPreferences `Retrieve events`)."""
        return self._events("retrieveEvents", start_at, end_at)

    def retrieve_events_by_subscription(
        self, subscription_id: int, *, start_at: datetime, end_at: datetime
    ) -> EventSlice:
        """Events of one webhook subscription (MyPreferences `Retrieve events by subscription id`)."""
        return self._events("retrieveEventsBySubscription", start_at, end_at, subscription_id=subscription_id)

    def retrieve_events_by_profile(
        self, profile_id: str, *, start_at: datetime, end_at: datetime, subscribed_only: bool = True
    ) -> EventSlice:
        """Events of one profile, also of a deleted one; without `subscribed_only` also those that belong to
        no subscription (MyPreferences `Retrieve events by profile id`). Raises NotFound."""
        more = {"subscribedOnly": subscribed_only}
        return self._events("retrieveEventsByProfile", start_at, end_at, more, profile_id=profile_id)

    def retrieve_event(self, event_id: str) -> Event:
        """One event, for replay and audit (MyPreferences `Retrieve event by event id`). Raises NotFound."""
        operation = "retrieveEvent"
        event = self._read_as(operation, Event, event_id=event_id)
        if str(event.event_id) != event_id:
            raise bad_answer(operation)
        return event

    def _events(
        self,
        operation: str,
        start_at: datetime,
        end_at: datetime,
        more: dict[str, Any] | None = None,
        **path: str | int,
    ) -> EventSlice:
        params = {"startAt": render_moment(start_at), "endAt": render_moment(end_at, up=True), **(more or {})}
        answer = self._read(operation, params=params, **path)
        found = listed(operation, answer, "Events", Event, malformed=Event.of_malformed)
        return EventSlice(found, answer.server_time)


class Webhooks(Caller):
    """One method for each endpoint. Every method raises SideError."""

    def retrieve_subscriptions(self) -> list[Subscription]:
        """All webhook subscriptions, also paused ones (MyPreferences `Retrieve subscriptions`)."""
        return self._read_list("retrieveSubscriptions", "Subscriptions", Subscription)

    def retrieve_subscription(self, subscription_id: int) -> dict[str, Any]:
        """One subscription with every property that the service shows: updating it needs them all, also those
        not known here (MyPreferences `Retrieve subscriptions` with `subscriptionId`). Raises NotFound."""
        operation = "retrieveSubscriptions"
        found: list[dict[str, Any]] = []
        with suppress(NotFound):
            answer = self._read(operation, params={"subscriptionId": subscription_id})
            found = listed(operation, answer, "Subscriptions", dict[str, Any])
        wanted = [one for one in found if str(one.get("Id")) == str(subscription_id)]
        if len(wanted) != 1:
            raise NotFound(
                f"There is no webhook subscription {subscription_id}.",
                side=Side.MYPREFERENCES,
                operation=operation,
                hint="See `bridge hooks list`.",
            )
        return wanted[0]

    def create_subscription(self, wanted: Subscription) -> Subscription:
        """Subscribe (MyPreferences `Create new subscription`): paused unless `state` is Active. Raises
        Refused where the same URL is subscribed to the same event already."""
        return self._write_as("createSubscription", encode(wanted), Subscription)

    def update_subscription(self, subscription_id: int, whole: Mapping[str, Any]) -> Subscription:
        """Replace a subscription by `whole` (MyPreferences `Update subscription`). What is left out counts as
        empty, and an empty `IsActive` would delete it: it is always sent as true. Raises NotFound."""
        body = {name: value for name, value in whole.items() if name != "Id"} | {"IsActive": True}
        return self._write_as("updateSubscription", body, Subscription, subscription_id=subscription_id)

    def delete_subscription(self, subscription_id: int) -> None:
        """Delete a subscription, for good (MyPreferences `Delete subscription`). Raises NotFound."""
        self._write_only("deleteSubscription", None, subscription_id=subscription_id)

    def retrieve_webhook_settings(self) -> WebhookSettings:
        """How fast webhooks are delivered, for all subscriptions of the account (MyPreferences `Retrieve
        webhook settings`)."""
        return self._read_as("retrieveWebhookSettings", SettingsAnswer).settings

    def update_webhook_settings(self, wanted: WebhookSettings) -> WebhookSettings:
        """Set it, for all subscriptions of the account (MyPreferences `Update webhook settings`). Raises
        ValueError for numbers that the documents do not allow."""
        wanted.check()
        body = {"Settings": encode(wanted)}
        return self._write_as("updateWebhookSettings", body, SettingsAnswer).settings
