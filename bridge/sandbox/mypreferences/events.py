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
from bridge.sandbox.mypreferences.records import StoredProfile, WriteAuthor
from bridge.sandbox.mypreferences.refusal import invalid, not_found
from bridge.sandbox.mypreferences.subscriptions import StoredSubscription, SubscriptionRegistry
from bridge.sandbox.mypreferences.switches import MyPreferencesSwitches

MAX_EVENT_HISTORY_DAYS = 15
_CATCH_UP = timedelta(days=15)


@dataclass(frozen=True, slots=True)
class ProfileEvent:
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
class EventQuery:
    """Filters of an event query, as sent; times are inclusive."""

    start_at: str | None = None
    end_at: str | None = None
    event_type: str | None = None
    source_group_ids: tuple[str, ...] = ()


@dataclass(slots=True)
class QueuedMessage:
    """One event for one subscription. `paused`: it was generated, or still waited, during a pause."""

    number: int
    subscription_id: int
    at: datetime
    paused: bool
    tries: int = 0


class EventLog:
    """Recorded events in order of recording, and the messages that wait for delivery. Not thread-safe: the
    account's lock guards it."""

    def __init__(
        self, clock: SandboxClock, switches: MyPreferencesSwitches, subscriptions: SubscriptionRegistry
    ) -> None:
        self._clock = clock
        self._switches = switches
        self._subscriptions = subscriptions
        self._log: list[_Recorded] = []
        self._by_number: dict[int, _Recorded] = {}
        self._by_profile: dict[int, list[_Recorded]] = {}
        self._number = 0
        self.waiting: list[QueuedMessage] = []

    def record(self, profile: StoredProfile, event: ProfileEvent, author: WriteAuthor) -> None:
        """Record an event. Only a subscribed one reaches the account's history."""
        if author.quiet:
            return
        matching = self._subscriptions.matching(event.entity, event.event_type, event.instance)
        shown: dict[int, int | str] = {}
        for item in matching:
            alternate_id = profile.alternate_ids.get(item.alternate_id_type or "")
            shown[item.subscription_id] = alternate_id or profile.profile_id
        self._number += 1
        at = to_milliseconds(self._clock.now())
        body = _body(event, at, author)
        row = _Recorded(self._number, at, profile.profile_id, author.user.source_id, body, shown)
        self._by_profile.setdefault(profile.profile_id, []).append(row)
        if shown:
            self._by_number[row.number] = row
            self.waiting += [
                QueuedMessage(row.number, item.subscription_id, at, not item.is_active) for item in matching
            ]
            bisect.insort(self._log, row, key=lambda item: item.at)

    def by_account(self, query: EventQuery) -> list[dict[str, Any]]:
        """Events of all subscriptions; one row for each subscription an event belongs to."""
        rows = [self._document(row, item) for row in self._window(query) for item in self._live(row)]
        return self._ordered(rows)

    def by_subscription(self, subscription_id: int, query: EventQuery) -> list[dict[str, Any]]:
        """Events of one subscription. Raises MyPreferencesRefusal 404 for an unknown one."""
        self._subscriptions.get(subscription_id)
        rows = [row for row in self._window(query) if subscription_id in row.shown_ids]
        return self._ordered([self._document(row, subscription_id) for row in rows])

    def by_profile(self, profile_id: int, query: EventQuery, subscribed_only: bool) -> list[dict[str, Any]]:
        """Events about one profile; without `subscribed_only` also those nobody subscribed to."""
        start, end = self._bounds(query)
        shown: list[dict[str, Any]] = []
        for row in self._matching(self._by_profile.get(profile_id, []), query):
            if start <= row.at <= end:
                live = self._live(row)
                shown += [self._document(row, item) for item in live]
                if not live and not subscribed_only:
                    shown.append(self._document(row, None))
        return self._ordered(shown)

    def by_id(self, event_id: str) -> dict[str, Any]:
        """One event. Raises MyPreferencesRefusal 404."""
        number = event_id.split("-")[1] if event_id.startswith("evt-") else ""
        row = self._by_number.get(int(number)) if number.isdecimal() else None
        if row is not None and self._is_visible(row.at):
            for subscription_id in row.shown_ids:
                if self._event_id(row, subscription_id) == event_id:
                    return self._document(row, subscription_id)
        raise not_found(f"Event {event_id}")

    def message(self, message: QueuedMessage) -> dict[str, Any]:
        """A queued event as it is delivered to its subscription."""
        return self._document(self._by_number[message.number], message.subscription_id)

    def take(self) -> list[QueuedMessage]:
        """The messages that may go out in one cycle, in the order of recording. What was generated during a
        pause goes out afterwards with CatchUpOnResume only, and within 15 days (MyPreferences "Create new
        subscription")."""
        now = self._clock.now()
        taken: list[QueuedMessage] = []
        left: list[QueuedMessage] = []
        for message in self.waiting:
            if message.subscription_id not in self._subscriptions:
                continue
            subscription = self._subscriptions.get(message.subscription_id)
            if not subscription.is_active:
                message.paused = True
                left.append(message)
            elif message.paused and not _catches_up(subscription, now - message.at):
                continue
            elif len(taken) < self._subscriptions.settings.batch_size and self._is_visible(message.at):
                taken.append(message)
            else:
                left.append(message)
        self.waiting = left
        return taken

    def _live(self, row: _Recorded) -> list[int]:
        return [item for item in row.shown_ids if item in self._subscriptions]

    def _window(self, query: EventQuery) -> list[_Recorded]:
        start, end = self._bounds(query)
        first = bisect.bisect_left(self._log, start, key=lambda item: item.at)
        last = bisect.bisect_right(self._log, end, key=lambda item: item.at)
        return self._matching(self._log[first:last], query)

    def _matching(self, rows: Iterable[_Recorded], query: EventQuery) -> list[_Recorded]:
        wanted = query.event_type.lower() if query.event_type else None
        return [
            row
            for row in rows
            if self._is_visible(row.at)
            and (wanted is None or row.body["EventType"] == wanted)
            and (not query.source_group_ids or row.source_id in query.source_group_ids)
        ]

    def _is_visible(self, at: datetime) -> bool:
        return at + timedelta(seconds=self._switches.event_lag_seconds) <= self._clock.now()

    def _bounds(self, query: EventQuery) -> tuple[datetime, datetime]:
        """The window asked for (MyPreferences "Retrieve events"). Raises MyPreferencesRefusal 400."""
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

    def _event_id(self, row: _Recorded, subscription_id: int | None) -> str:
        shared = self._switches.event_ids_shared or subscription_id is None
        return f"evt-{row.number:09d}" if shared else f"evt-{row.number:09d}-{subscription_id}"

    def _document(self, row: _Recorded, subscription_id: int | None) -> dict[str, Any]:
        document = {
            "EventId": self._event_id(row, subscription_id),
            **row.body,
            "ProfileId": row.profile_id,
        }
        if subscription_id is not None:
            document["SubscriptionId"] = subscription_id
            document["ProfileId"] = row.shown_ids[subscription_id]
        return document


def _catches_up(subscription: StoredSubscription, age: timedelta) -> bool:
    return subscription.catches_up and age <= _CATCH_UP


def _body(event: ProfileEvent, at: datetime, author: WriteAuthor) -> dict[str, Any]:
    moment = write_moment(at)
    body: dict[str, Any] = {
        "EventType": event.event_type,
        "Subject": "",
        "Entity": event.entity,
        "Name": event.event_type.replace(".", " ").title(),
        "Description": f"Raised for {event.event_type}",
        "Data": dict(event.data),
        "OriginalEventTime": moment,
        "QueuedTime": moment,
        "RecordedTime": moment,
        "UserId": author.user.user_id,
    }
    if event.previous is not None:
        body["PreviousData"] = dict(event.previous)
    return body
