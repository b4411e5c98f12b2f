"""The event history: what is recorded, for which subscriptions, and what a query shows of it."""

from __future__ import annotations

import bisect
import random
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from bridge.sandbox.clock import SandboxClock
from bridge.sandbox.mypreferences.dates import EASTERN, read_moment, to_milliseconds, write_moment
from bridge.sandbox.mypreferences.outbox import Outbox
from bridge.sandbox.mypreferences.records import Actor, Profile
from bridge.sandbox.mypreferences.refusal import invalid, not_found
from bridge.sandbox.mypreferences.subscriptions import Subscriptions
from bridge.sandbox.mypreferences.switches import Switches

MAX_EVENT_HISTORY_DAYS = 15


@dataclass(frozen=True, slots=True)
class Happening:
    """What is to be recorded; `instance` is the filter, consent type or contact type it is about."""

    entity: str
    event_type: str
    data: Mapping[str, Any]
    instance: str = ""
    previous: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class _Recorded:
    number: int
    at: datetime
    profile_id: int
    source_id: str
    body: dict[str, Any]
    shown_ids: dict[int, int | str]
    """subscription id -> the id that stands for the profile in its events"""


@dataclass(frozen=True)
class Query:
    """Filters of an event query, as sent; times are inclusive."""

    start_at: str | None = None
    end_at: str | None = None
    event_type: str | None = None
    source_group_ids: tuple[str, ...] = ()


class Events:
    """Recorded events in order of recording. Not thread-safe: the state's lock guards it."""

    def __init__(self, clock: SandboxClock, switches: Switches, subscriptions: Subscriptions) -> None:
        self._clock = clock
        self._switches = switches
        self._subscriptions = subscriptions
        self._log: list[_Recorded] = []
        self._by_number: dict[int, _Recorded] = {}
        self._by_profile: dict[int, list[_Recorded]] = {}
        self._number = 0
        self.outbox = Outbox()

    def record(self, profile: Profile, happening: Happening, actor: Actor) -> None:
        """Record an event. Only a subscribed one reaches the account's history."""
        if actor.quiet:
            return
        paused_too = self._switches.paused_keeps_events
        matching = self._subscriptions.matching(
            happening.entity, happening.event_type, happening.instance, paused_too
        )
        shown: dict[int, int | str] = {}
        for item in matching:
            alternate = profile.alternate_ids.get(item.alternate_id_type or "")
            shown[item.subscription_id] = alternate or profile.profile_id
        self._number += 1
        at = to_milliseconds(self._clock.now())
        body = _body(happening, at, actor)
        row = _Recorded(self._number, at, profile.profile_id, actor.user.source_id, body, shown)
        self._by_profile.setdefault(profile.profile_id, []).append(row)
        if shown:
            self._by_number[row.number] = row
            self.outbox.add(row.number, at, matching)
            bisect.insort(self._log, row, key=lambda item: item.at)

    def by_account(self, query: Query) -> list[dict[str, Any]]:
        """Events of all subscriptions; one row for each subscription an event belongs to."""
        rows = [
            self._document(row, subscription)
            for row in self._window(query)
            for subscription in row.shown_ids
            if self._subscriptions.exists(subscription)
        ]
        return self._ordered(rows)

    def by_subscription(self, subscription_id: int, query: Query) -> list[dict[str, Any]]:
        """Events of one subscription. Raises Refused 404 for an unknown one."""
        self._subscriptions.get(subscription_id)
        rows = [row for row in self._window(query) if subscription_id in row.shown_ids]
        return self._ordered([self._document(row, subscription_id) for row in rows])

    def by_profile(self, profile_id: int, query: Query, subscribed_only: bool) -> list[dict[str, Any]]:
        """Events about one profile; without `subscribed_only` also those nobody subscribed to."""
        start, end = self._bounds(query)
        shown: list[dict[str, Any]] = []
        for row in self._matching(self._by_profile.get(profile_id, []), query):
            if not start <= row.at <= end:
                continue
            alive = [item for item in row.shown_ids if self._subscriptions.exists(item)]
            shown += [self._document(row, item) for item in alive]
            if not alive and not subscribed_only:
                shown.append(self._document(row, None))
        return self._ordered(shown)

    def by_id(self, event_id: str) -> dict[str, Any]:
        """One event. Raises Refused 404."""
        number = event_id.split("-")[1] if event_id.startswith("evt-") else ""
        row = self._by_number.get(int(number)) if number.isdecimal() else None
        for subscription in row.shown_ids if row is not None and self._visible(row) else ():
            if row is not None and self._event_id(row, subscription) == event_id:
                return self._document(row, subscription)
        raise not_found(f"Event {event_id}")

    def delivered(self, number: int, subscription_id: int) -> dict[str, Any]:
        """A recorded event as one of its subscriptions is told of it."""
        return self._document(self._by_number[number], subscription_id)

    def _window(self, query: Query) -> list[_Recorded]:
        start, end = self._bounds(query)
        first = bisect.bisect_left(self._log, start, key=lambda item: item.at)
        last = bisect.bisect_right(self._log, end, key=lambda item: item.at)
        return self._matching(self._log[first:last], query)

    def _matching(self, rows: Iterable[_Recorded], query: Query) -> list[_Recorded]:
        wanted = query.event_type.lower() if query.event_type else None
        return [
            row
            for row in rows
            if self._visible(row)
            and (wanted is None or row.body["EventType"] == wanted)
            and (not query.source_group_ids or row.source_id in query.source_group_ids)
        ]

    def _visible(self, row: _Recorded) -> bool:
        return row.at + timedelta(seconds=self._switches.event_lag_seconds) <= self._clock.now()

    def _bounds(self, query: Query) -> tuple[datetime, datetime]:
        """The window asked for (MyPreferences "Retrieve events"). Raises Refused 400."""
        now = self._clock.now()
        oldest = now - timedelta(days=MAX_EVENT_HISTORY_DAYS)
        start = self._moment(query.start_at, "startAt") if query.start_at else oldest
        end = self._moment(query.end_at, "endAt") if query.end_at else now
        if start < oldest:
            raise invalid(f"startAt may not be more than {MAX_EVENT_HISTORY_DAYS} days in the past.")
        if start > end:
            raise invalid("startAt must precede endAt.")
        return start, end

    def _moment(self, text: str, name: str) -> datetime:
        try:
            return read_moment(text, EASTERN if self._switches.event_times_eastern else None)
        except (ValueError, OverflowError):
            raise invalid(f"{name} is not a valid date.") from None

    def _ordered(self, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        if self._switches.events_shuffled:
            random.Random(len(rows)).shuffle(rows)
        return rows

    def _event_id(self, row: _Recorded, subscription: int | None) -> str:
        shared = self._switches.event_ids_shared or subscription is None
        return f"evt-{row.number:09d}" if shared else f"evt-{row.number:09d}-{subscription}"

    def _document(self, row: _Recorded, subscription: int | None) -> dict[str, Any]:
        document = {"EventId": self._event_id(row, subscription), **row.body, "ProfileId": row.profile_id}
        if subscription is not None:
            document["SubscriptionId"] = subscription
            document["ProfileId"] = row.shown_ids[subscription]
        return document


def _body(happening: Happening, at: datetime, actor: Actor) -> dict[str, Any]:
    title = happening.event_type.replace(".", " ").title()
    moment = write_moment(at)
    body: dict[str, Any] = {
        "EventType": happening.event_type,
        "Subject": "",
        "Entity": happening.entity,
        "Name": title,
        "Description": f"Raised for {happening.event_type}",
        "Data": dict(happening.data),
        "OriginalEventTime": moment,
        "QueuedTime": moment,
        "RecordedTime": moment,
        "UserId": actor.user.user_id,
    }
    if happening.previous is not None:
        body["PreviousData"] = dict(happening.previous)
    return body
