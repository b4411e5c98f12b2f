"""Reading the event history to its end (MyPreferences `Retrieve events`)."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from bridge import bounds
from bridge.core.errors import DrainIncomplete
from bridge.core.ports import Hint, Page
from bridge.mypreferences.client.events import EventSlice
from bridge.mypreferences.events.types import EventRelevance, relevance_of
from bridge.mypreferences.wire.events import Event

_SECOND = timedelta(seconds=1)


def _no_claims(_events: Sequence[Event]) -> Mapping[str, datetime]:
    return {}


def drain_events(
    read: Callable[[datetime, datetime], EventSlice],
    since: datetime,
    *,
    window: timedelta,
    clock: Callable[[], datetime],
    claims_of: Callable[[Sequence[Event]], Mapping[str, datetime]] = _no_claims,
) -> Iterator[Page]:
    """Pages of hints from `since` to the server's now, oldest window first.

    The watermark on the last page is the server's time of the first request: its answer's Date less the time
    the answer took. Without a Date header it is the newest event's time; without events there is none. Each
    profile is hinted at once: its later read shows all these events. `claims_of` tells what it must show of a
    profile's events: where a later window claims more than the hint did, the profile is hinted at again,
    since that read may have shown it as it was before. The last page reports event types that the documents
    do not list.
    """
    began = clock()
    start, until = since, None
    newest: datetime | None = None
    server_began: datetime | None = None
    pages = _Pages(claims_of)
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
            # A Date header may be missing; an event with a future date must not move the watermark.
            fallback = None if newest is None else min(newest, began)
            yield pages.last(found, server_began or fallback)
            pages.check()
            return
        yield pages.next(found)
        start = end


class _Pages:
    """Turns windows of events into pages of hints: many events of one profile into one hint."""

    def __init__(self, claims_of: Callable[[Sequence[Event]], Mapping[str, datetime]]) -> None:
        self._claims_of = claims_of
        self._hinted: dict[str, Mapping[str, datetime]] = {}  # profiles, with what was claimed of each
        self._unknown: Counter[str] = Counter()
        self._unnamed = self._lost = 0

    def next(self, found: EventSlice) -> Page:
        """The page of one window: hints at profiles that no earlier window named, or claimed less of."""
        by_profile = self._by_profile(found.events)
        claims = {profile: self._claims_of(events) for profile, events in by_profile.items()}
        new = {
            profile: events
            for profile, events in by_profile.items()
            if self._is_new(profile, claims[profile]) or any(map(_former, events))
        }
        for profile in new:
            self._hinted[profile] = {**self._hinted.get(profile, {}), **claims[profile]}
        repeated = [
            _key(event) for profile in by_profile.keys() - new.keys() for event in by_profile[profile]
        ]
        hints = [replace(_hint(one, events), claims=claims[one]) for one, events in new.items()]
        times = {profile: [one.earliest for one in events] for profile, events in by_profile.items()}
        named = {
            profile: max(known) for profile, some in times.items() if (known := list(filter(None, some)))
        }
        return Page(hints=hints, repeated=repeated, named=named)

    def last(self, found: EventSlice, watermark: datetime | None) -> Page:
        """The last page, with the warnings of all."""
        page = self.next(found)
        warnings = [
            f"{count} events of the unknown type '{name}'" for name, count in sorted(self._unknown.items())
        ]
        if self._unnamed:
            warnings.append(
                f"{self._unnamed} events name no profile id: "
                "unset AlternateIdType on the webhook subscription"
            )
        mark = None if self._lost else watermark
        return replace(page, watermark=mark, warnings=warnings, skipped=self._unnamed)

    def check(self) -> None:
        """Raise DrainIncomplete where events could not be read and name no profile."""
        if self._lost:
            raise DrainIncomplete(
                f"Events of MyPreferences cannot be read: {self._lost}.",
                hint="Nothing is lost: the watermark stays, and the next run reads them again.",
            )

    def _by_profile(self, events: Sequence[Event]) -> dict[str, list[Event]]:
        """The relevant events, by profile."""
        by_profile: dict[str, list[Event]] = {}
        for event in events:
            self._lost += event.is_lost
            relevance = relevance_of(event.event_type)
            if relevance is EventRelevance.NONE or event.is_lost:
                continue
            if relevance is None:
                self._unknown[_printable(event.event_type)] += 1
            profile = _profile_id(event)
            if profile:
                by_profile.setdefault(profile, []).append(event)
            else:
                self._unnamed += 1
        return by_profile

    def _is_new(self, profile: str, claims: Mapping[str, datetime]) -> bool:
        """Whether nothing was claimed of a profile yet, or less than now."""
        known = self._hinted.get(profile)
        return known is None or any(name not in known or at > known[name] for name, at in claims.items())


def _hint(profile: str, events: Sequence[Event]) -> Hint:
    former = {address: event.earliest for event in events if (address := _former(event))}
    return Hint(id=profile, keys=tuple(map(_key, events)), former=tuple(former.items()))


def _former(event: Event) -> str | None:
    """The address that the profile had before this event; None where it did not change one."""
    return event.former_address if relevance_of(event.event_type) is EventRelevance.ADDRESS else None


def _key(event: Event) -> str:
    """What identifies an event: its id, or without one all that is known of it."""
    if event.event_id is not None and bounds.is_id(str(event.event_id)):
        return str(event.event_id)
    return f"{event.event_type} {event.profile_id} {event.earliest}"


def _profile_id(event: Event) -> str:
    text = "" if event.profile_id is None else str(event.profile_id).strip()
    return text if text.isascii() and text.isdigit() and bounds.is_id(text) else ""


def _printable(event_type: str) -> str:
    """A type's name that is safe in a log: no address passes."""
    return re.sub(r"[^A-Za-z0-9_. -]", "?", event_type)[:60]
