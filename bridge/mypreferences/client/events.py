"""What happened to people, and the webhook subscriptions it is kept for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from bridge.mypreferences import wire
from bridge.mypreferences.client.calling import Caller, items
from bridge.mypreferences.moments import render_moment


@dataclass(frozen=True, slots=True)
class EventSlice:
    """Events of one window, in no order, and the server's time when it answered."""

    events: Sequence[wire.Event]
    server_time: datetime | None


class Events(Caller):
    """One method an endpoint. Every method raises SideError."""

    def events_by_account(self, *, start_at: datetime, end_at: datetime) -> EventSlice:
        """Events of all webhook subscriptions, both ends inclusive, at most 15 days back (MyPreferences
        `Retrieve events`)."""
        return self._events("events_by_account", start_at, end_at)

    def events_by_subscription(
        self, subscription_id: int, *, start_at: datetime, end_at: datetime
    ) -> EventSlice:
        """Events of one webhook subscription (MyPreferences `Retrieve events by subscription id`)."""
        return self._events("events_by_subscription", start_at, end_at, subscription_id=subscription_id)

    def subscriptions(self) -> list[wire.Subscription]:
        """All webhook subscriptions, paused ones too (MyPreferences `Retrieve subscriptions`)."""
        answer = self._read("subscriptions")
        return items("subscriptions", answer, "Subscriptions", wire.Subscription)

    def create_subscription(self, wanted: wire.Subscription) -> wire.Subscription:
        """Subscribe (MyPreferences `Create new subscription`): Paused unless `state` says Active. Raises
        Refused where the same URL has the same event already."""
        operation = "create_subscription"
        answer = self._write(operation, wire.encode(wanted))
        made: wire.Subscription = wire.decode(
            wire.Subscription, answer.content, operation=operation, is_write=True
        )
        return made

    def _events(self, operation: str, start_at: datetime, end_at: datetime, **path: str | int) -> EventSlice:
        params = {"startAt": render_moment(start_at), "endAt": render_moment(end_at, up=True)}
        answer = self._read(operation, params=params, **path)
        return EventSlice(items(operation, answer, "Events", wire.Event), answer.server_time)
