"""Pages of hints from the event history: what is hinted at, and the watermark."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

import msgspec
import pytest

from bridge.core.ports import Hint, Page
from bridge.mypreferences.client.events import EventSlice
from bridge.mypreferences.events.drain import drain_events
from bridge.mypreferences.wire.events import Event
from tests.mypreferences.mp_world import NOON, ago


def drained(events: list[Event], server_time: datetime | None) -> list[Page]:
    def read(start: datetime, end: datetime) -> EventSlice:
        return EventSlice(events, server_time)

    return list(drain_events(read, ago(minutes=5), window=NOON - ago(hours=1), clock=lambda: NOON))


def test_hints_are_distinct_and_in_order_of_first_sight() -> None:
    events = [Event(profile_id=number, event_type="preference.added") for number in (3, 1, 3, "2")]
    (page,) = drained(events, NOON)
    assert page.hints == [Hint(id="3"), Hint(id="1"), Hint(id="2")]


def test_an_unknown_event_type_is_a_hint_all_the_same_and_is_named() -> None:
    events = [Event(profile_id=1, event_type=name) for name in ("consent.melted", "consent.melted", "a@b.c")]
    (page,) = drained(events, NOON)
    assert page.hints == [Hint(id="1")]
    assert page.warnings == [
        "1 events of the unknown type 'a?b.c'",
        "2 events of the unknown type 'consent.melted'",
    ]


def test_what_nothing_of_consent_hangs_on_costs_no_read() -> None:
    """MyPreferences `EventsExport`: groups, tags, names and custom fields are entities of their own."""
    kinds = (
        "group.added",
        "tag.deleted",
        "standardfield.firstname.updated",
        "customfield.added",
        "contacts.phone.added",
    )
    (page,) = drained([Event(profile_id=1, event_type=kind) for kind in kinds], NOON)
    assert (page.hints, page.warnings) == ([], [])


def test_a_burst_about_one_profile_is_one_hint_whichever_windows_it_falls_into() -> None:
    def read(start: datetime, end: datetime) -> EventSlice:
        event = Event(event_id=f"{start:%H%M}", profile_id=7, event_type="preference.updated")
        return EventSlice([event, event], NOON)

    pages = list(drain_events(read, ago(hours=3), window=timedelta(hours=1), clock=lambda: NOON))
    assert [page.hints for page in pages] == [[Hint(id="7")], [], []]
    assert [list(page.repeated) for page in pages] == [[], ["1000", "1000"], ["1100", "1100"]]


def test_what_a_later_window_claims_beyond_the_hint_is_hinted_at_again() -> None:
    """The read that followed the first hint may have shown the profile as it was before."""

    def read(start: datetime, end: datetime) -> EventSlice:
        return EventSlice([Event(profile_id=7, event_type="preference.updated", event_id=start.hour)], NOON)

    def claims(events: Sequence[Event]) -> dict[str, datetime]:
        return {"filter:NEWS": ago(hours=2 if events[0].event_id == 9 else 1)}

    pages = list(
        drain_events(read, ago(hours=3), window=timedelta(hours=1), clock=lambda: NOON, claims_of=claims)
    )
    hinted = [[(hint.id, dict(hint.claims)) for hint in page.hints] for page in pages]
    assert hinted == [
        [("7", {"filter:NEWS": ago(hours=2)})],
        [("7", {"filter:NEWS": ago(hours=1)})],
        [],
    ]


@pytest.mark.parametrize("inside", [False, True])
def test_the_address_before_a_change_is_found_anywhere_in_the_event(inside: bool) -> None:
    """MyPreferences `Event payload samples`: PreviousData stands beside Data, or inside it."""
    before = {"EmailAddress": "old@example.com"}
    data: dict[str, object] = {"EmailAddress": "new@example.com"}
    body = {"EventType": "contacts.email.updated", "ProfileId": 7, "Data": data, "PreviousData": before}
    if inside:
        data["PreviousData"] = body.pop("PreviousData")
    (page,) = drained([msgspec.json.decode(msgspec.json.encode(body), type=Event)], NOON)
    assert [hint.former for hint in page.hints] == [(("old@example.com", None),)]
    assert "example.com" not in repr(page)


@pytest.mark.parametrize("odd", [7, "x", [1], None, {"EmailAddress": 7}, {"EmailAddress": "NEW@example.com"}])
def test_previous_data_without_another_address_are_ignored(odd: object) -> None:
    body = {
        "EventType": "contacts.email.updated", "ProfileId": 7,
        "Data": {"EmailAddress": "new@example.com"}, "PreviousData": odd,
    }  # fmt: skip
    (page,) = drained([msgspec.json.decode(msgspec.json.encode(body), type=Event)], NOON)
    assert [(hint.id, hint.former) for hint in page.hints] == [("7", ())]


def test_events_that_name_an_alternate_id_are_counted_not_followed() -> None:
    (page,) = drained([Event(profile_id="CRM-7", event_type="profile.updated"), Event()], NOON)
    assert (page.hints, page.skipped) == ([], 2)
    assert "AlternateIdType" in page.warnings[-1]


def test_without_a_date_header_the_newest_event_is_the_watermark() -> None:
    def event(text: str) -> Event:
        return Event(profile_id=1, event_type="profile.updated", original_event_time=text)

    events = [event("2026-01-20T11:58:00Z"), event("2026-01-20T11:57:00Z"), event("")]
    assert drained(events, None)[-1].watermark == ago(minutes=2)
    assert drained([], None)[-1].watermark is None
    assert drained([event("2026-02-01T00:00:00Z")], None)[-1].watermark == NOON


def test_the_watermark_is_no_later_than_the_start_of_the_read() -> None:
    """The Date header is written when the answer is: a slow answer's is later than its question."""
    times = iter([NOON, NOON, NOON + timedelta(seconds=40)])

    def read(start: datetime, end: datetime) -> EventSlice:
        return EventSlice([], NOON + timedelta(seconds=41))

    (page,) = drain_events(read, ago(minutes=5), window=NOON - ago(hours=1), clock=lambda: next(times))
    assert page.watermark == NOON + timedelta(seconds=1)
