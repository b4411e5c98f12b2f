"""Reading the event history to its end (MyPreferences `Retrieve events`)."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from bridge.core.ports import Hint, Page
from bridge.mypreferences import wire
from bridge.mypreferences.client import EventSlice
from bridge.mypreferences.events.types import EventRelevance, relevance_of

_SECOND = timedelta(seconds=1)


def drain_events(
    read: Callable[[datetime, datetime], EventSlice],
    since: datetime,
    *,
    window: timedelta,
    clock: Callable[[], datetime],
) -> Iterator[Page]:
    """Pages of hints from `since` to the server's now, oldest window first.

    The watermark on the last page is the server's time at which the first question was put: its answer's
    Date less the time the answer took. Without a Date header it is the newest event's time; without events
    there is none. A profile is hinted at once: whoever reads it then reads it after all these events. The
    last page tells of kinds of events that the documents do not list.
    """
    began = clock()
    start, until = since, None
    newest: datetime | None = None
    server_began: datetime | None = None
    pages = _Pages()
    while True:
        end = max(start + window if until is None else min(start + window, until), start + _SECOND)
        asked = clock()
        found = read(start, end)
        if until is None:
            if found.server_time is not None:
                server_began = found.server_time - max(clock() - asked, timedelta())
            until = found.server_time or began
        times = [event.earliest for event in found.events]
        newest = max((time for time in (*times, newest) if time is not None), default=None)
        if end >= until:
            # A Date header may go missing; an event dated ahead must not carry the watermark with it.
            fallback = None if newest is None else min(newest, began)
            yield pages.last(found, server_began or fallback)
            return
        yield pages.next(found)
        start = end


class _Pages:
    """Turns windows of events into pages of hints, a burst about one profile into one."""

    def __init__(self) -> None:
        self._hinted: set[str] = set()
        self._odd: Counter[str] = Counter()
        self._unnamed = 0

    def next(self, found: EventSlice) -> Page:
        """The page of one window: which profiles it is the first to name."""
        about = self._about(found.events)
        fresh = {profile: events for profile, events in about.items() if self._is_news(profile, events)}
        self._hinted |= fresh.keys()
        repeated = [_key(event) for profile in about.keys() - fresh.keys() for event in about[profile]]
        hints = [_hint(profile, events) for profile, events in fresh.items()]
        return Page(hints=hints, repeated=repeated)

    def last(self, found: EventSlice, watermark: datetime | None) -> Page:
        """The last page, with what there is to say of them all."""
        page = self.next(found)
        warnings = [
            f"{count} events of the unknown type '{name}'" for name, count in sorted(self._odd.items())
        ]
        if self._unnamed:
            warnings.append(
                f"{self._unnamed} events name no profile id: "
                "unset AlternateIdType on the webhook subscription"
            )
        return replace(page, watermark=watermark, warnings=warnings, skipped=self._unnamed)

    def _about(self, events: Sequence[wire.Event]) -> dict[str, list[wire.Event]]:
        """The events that bear on consent, by profile."""
        about: dict[str, list[wire.Event]] = {}
        for event in events:
            bearing = relevance_of(event.event_type)
            if bearing is EventRelevance.IRRELEVANT:
                continue
            if bearing is None:
                self._odd[_shown(event.event_type)] += 1
            profile = _profile_id(event)
            if profile:
                about.setdefault(profile, []).append(event)
            else:
                self._unnamed += 1
        return about

    def _is_news(self, profile: str, events: Sequence[wire.Event]) -> bool:
        return profile not in self._hinted or any(map(_former, events))


def _hint(profile: str, events: Sequence[wire.Event]) -> Hint:
    former = {address: event.earliest for event in events if (address := _former(event))}
    return Hint(id=profile, keys=tuple(map(_key, events)), former=tuple(former.items()))


def _former(event: wire.Event) -> str | None:
    """The address that an event says the profile had before; None for any other event."""
    return event.former_address if relevance_of(event.event_type) is EventRelevance.REKEY else None


def _key(event: wire.Event) -> str:
    """What tells one event from another: its id, or where it has none, all that is known of it."""
    if event.event_id is not None:
        return str(event.event_id)
    return f"{event.event_type} {event.profile_id} {event.earliest}"


def _profile_id(event: wire.Event) -> str:
    text = "" if event.profile_id is None else str(event.profile_id).strip()
    return text if text.isascii() and text.isdigit() else ""


def _shown(event_type: str) -> str:
    """A type's name fit for a log: whatever came in its place, no address gets through."""
    return re.sub(r"[^A-Za-z0-9_. -]", "?", event_type)[:60]
