"""The events export names changed contacts early; nothing depends on it (events v3, `Export events`)."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from dotdigital_world import NEWS, START

from bridge.core.mapping import Mapping
from bridge.core.model import Side
from bridge.core.ports import Hint, Page, cursor_key
from bridge.core.store_values import RunKind
from bridge.dotdigital.client.v2 import ClientV2
from bridge.dotdigital.client.v3 import ClientV3
from bridge.dotdigital.client.wire import ExportedEvent
from bridge.dotdigital.importer import InMemoryKeyValue
from bridge.dotdigital.polling.events import FEED, MOST_PAGES, NO_EVENTS, EventsExport, hint_of
from bridge.dotdigital.reader import DotdigitalReader
from bridge.sandbox.dotdigital import DotdigitalState
from bridge.sandbox.faults import InjectedFault
from bridge.store import Store
from tests.port_calls import feed_named, feed_names

NAME = "consent-bridge"


@pytest.fixture
def memory(state: DotdigitalState) -> InMemoryKeyValue:
    state.switches.event_activation_seconds = 0
    return InMemoryKeyValue()


@pytest.fixture
def events(v3: ClientV3, memory: InMemoryKeyValue) -> EventsExport:
    """With a subscription that exists and has no events."""
    made = EventsExport(v3, NAME, memory)
    made.permit()
    assert list(made.pages()) == []
    return made


def drained(events: EventsExport, memory: InMemoryKeyValue) -> list[Page]:
    """All pages, each stored as the engine does before it asks for the next."""
    found = []
    for page in events.pages():
        found.append(page)
        if page.cursor is not None:
            memory.set(cursor_key(FEED), page.cursor)
    return found


def ask_in_small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bridge.dotdigital.polling.events._PAGE", 1)


def test_a_subscription_is_made_once_and_then_found_by_its_name(
    state: DotdigitalState, events: EventsExport, memory: InMemoryKeyValue, v3: ClientV3
) -> None:
    again = EventsExport(v3, NAME, memory)
    again.permit()
    assert list(events.pages()) == list(again.pages()) == []
    assert [one.body["name"] for one in state.event_exports.values()] == [NAME]
    assert state.calls.count("createSubscription") == 1


def test_a_dry_run_neither_creates_nor_reactivates_a_subscription(
    state: DotdigitalState, memory: InMemoryKeyValue, v3: ClientV3
) -> None:
    assert list(EventsExport(v3, NAME, memory).pages()) == []
    assert not state.event_exports
    v3.create_subscription(name=NAME, types=["contact.updated"])
    state.clock.advance(timedelta(days=31).total_seconds())
    (page,) = EventsExport(v3, NAME, memory).pages()
    assert "inactive" in page.warnings[0]
    assert state.calls.count("updateSubscription") == 0


@pytest.mark.parametrize("place", ["contactId", "nested", "identifiers", "email"])
def test_contact_ids_are_found_anywhere_in_an_event(
    state: DotdigitalState, events: EventsExport, memory: InMemoryKeyValue, place: str
) -> None:
    state.switches.event_data = place
    number = state.add_contact("a@example.com", opt_ins={NEWS: (True, START)})
    (page,) = drained(events, memory)
    by_id = place in ("contactId", "nested")
    assert page.hints == ((Hint(id=str(number)) if by_id else Hint(address="a@example.com")),)
    assert (page.views, page.watermark, page.skipped) == ((), None, 0)
    assert drained(events, memory) == []


@pytest.mark.parametrize("data", [None, 7, [], {}, {"contactId": True}, {"contactId": "x"}, {"email": "x"}])
def test_an_event_that_names_nobody_is_counted_and_no_more(data: object) -> None:
    assert hint_of(ExportedEvent(data=data)) is None


def test_a_page_that_was_not_stored_comes_again(
    state: DotdigitalState,
    events: EventsExport,
    memory: InMemoryKeyValue,
    v3: ClientV3,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Passing the checkpoint is the acknowledgement, so none is passed before it is stored."""
    ask_in_small_pages(monkeypatch)
    numbers = [state.add_contact(f"{name}@example.com") for name in "abc"]
    lost = list(events.pages())
    assert [page.hints for page in lost] == [(Hint(id=str(numbers[0])),)]
    assert state.event_exports[1].acknowledged == 0
    after_a_crash = EventsExport(v3, NAME, memory)
    pages = drained(after_a_crash, memory)
    assert [page.hints for page in pages] == [(Hint(id=str(number)),) for number in numbers]
    assert state.event_exports[1].acknowledged == 3


def test_a_flood_of_events_waits_for_the_next_run(
    state: DotdigitalState, events: EventsExport, memory: InMemoryKeyValue, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask_in_small_pages(monkeypatch)
    for number in range(MOST_PAGES + 1):
        state.add_contact(f"p{number}@example.com")
    assert [len(drained(events, memory)) for _ in range(3)] == [MOST_PAGES, 1, 0]


def test_a_checkpoint_that_no_url_can_hold_is_not_kept_and_one_that_was_kept_is_dropped(
    state: DotdigitalState, events: EventsExport, memory: InMemoryKeyValue, monkeypatch: pytest.MonkeyPatch
) -> None:
    number = state.add_contact("a@example.com")
    memory.set(cursor_key(FEED), "9" * 100_000)
    real = ClientV3.export_events

    def hostile(self: ClientV3, **given: Any) -> Any:
        return msgspec.structs.replace(real(self, **given), check_point="9" * 100_000)

    with monkeypatch.context() as patched:
        patched.setattr(ClientV3, "export_events", hostile)
        (page,) = events.pages()
        assert page.cursor is None
        assert "no URL can hold" in page.warnings[0]
    assert [page.hints for page in drained(events, memory)] == [(Hint(id=str(number)),)]


@pytest.mark.parametrize("how", ["forbidden", "absent"])
def test_a_missing_feature_is_logged_once_and_not_requested_again(
    state: DotdigitalState, memory: InMemoryKeyValue, v3: ClientV3, how: str
) -> None:
    state.switches.events = how
    events = EventsExport(v3, NAME, memory)
    assert [page.warnings for page in events.pages()] == [[NO_EVENTS]]
    calls = state.calls.total()
    assert list(events.pages()) == []
    assert state.calls.total() == calls


def test_an_inactive_subscription_is_reactivated_and_reported(
    state: DotdigitalState, events: EventsExport, memory: InMemoryKeyValue
) -> None:
    """Unread for 30 days it collects no more (409 `events:inactiveSubscription`)."""
    state.clock.advance(timedelta(days=31).total_seconds())
    state.add_contact("lost@example.com")
    (page,) = drained(events, memory)
    assert "active again" in page.warnings[0]
    number = state.add_contact("a@example.com")
    assert [page.hints for page in drained(events, memory)] == [(Hint(id=str(number)),)]


def test_a_deleted_subscription_is_created_again_and_old_checkpoints_forgotten(
    state: DotdigitalState, events: EventsExport, memory: InMemoryKeyValue
) -> None:
    state.add_contact("a@example.com")
    drained(events, memory)
    state.event_exports.clear()
    (page,) = drained(events, memory)
    assert "could not be read" in page.warnings[0]
    drained(events, memory)
    state.add_contact("b@example.com")
    state.event_exports[1].acknowledged = 1  # an old checkpoint is now behind what is known
    state.event_exports[1].events *= 2
    memory.set(cursor_key(FEED), "1.0")
    assert [len(page.hints) for page in drained(events, memory)] == [1]


@pytest.mark.parametrize("kind", ["html", "null"])
def test_an_answer_that_cannot_be_read_is_a_warning(
    state: DotdigitalState, events: EventsExport, memory: InMemoryKeyValue, kind: str
) -> None:
    state.faults.add(InjectedFault("exportEvents", kind, times=99))
    (page,) = drained(events, memory)
    assert page.cursor is None
    assert "polling still finds every change" in page.warnings[0]


def test_the_feed_is_last_covers_nothing_and_is_there_only_when_asked_for(
    v2: ClientV2,
    v3: ClientV3,
    mapping: Mapping,
    state: DotdigitalState,
    events: EventsExport,
    reader: DotdigitalReader,
) -> None:
    assert FEED not in feed_names(reader)
    with_events = DotdigitalReader(v2, v3, mapping, state.clock.now, events=events)
    assert feed_names(with_events) == [*feed_names(reader), FEED]
    assert feed_named(with_events, FEED).topics == frozenset()
    state.add_contact("a@example.com")
    (page,) = with_events.read_feed(FEED, START)
    (view,) = with_events.read_hint(page.hints[0])
    assert view.address == "a@example.com"


def test_a_cursor_is_stored_with_its_page(tmp_path: Path) -> None:
    store = Store.open(f"sqlite:///{tmp_path / 'bridge.db'}", clock=lambda: START)
    try:
        run = store.runs.begin(RunKind.INCREMENTAL)
        store.observations.record([], Side.DOTDIGITAL, run=run, feed=FEED, cursor="1.1")
        assert store.key_values.get(cursor_key(FEED)) == "1.1"
        assert store.feeds.watermark(FEED) is None
    finally:
        store.close()
