"""What happened to people."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from bridge.mypreferences import wire
from bridge.mypreferences.client.base import Caller, items
from bridge.mypreferences.timestamps import render_moment


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

    def events_by_profile(
        self, profile_id: str, *, start_at: datetime, end_at: datetime, subscribed_only: bool = True
    ) -> EventSlice:
        """Events of one profile, a deleted one's too; without `subscribed_only` also those that belong to no
        subscription (MyPreferences `Retrieve events by profile id`). Raises NotFound."""
        more = {"subscribedOnly": subscribed_only}
        return self._events("events_by_profile", start_at, end_at, more, profile_id=profile_id)

    def event_by_id(self, event_id: str) -> wire.Event:
        """One event, for replay and audit (MyPreferences `Retrieve event by event id`). Raises NotFound."""
        operation = "event_by_id"
        answer = self._read(operation, event_id=event_id)
        event: wire.Event = wire.decode(wire.Event, answer.content, operation=operation)
        if str(event.event_id) != event_id:
            raise wire.bad_answer(operation)
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
        return EventSlice(items(operation, answer, "Events", wire.Event), answer.server_time)
