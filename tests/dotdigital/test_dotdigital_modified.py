"""`~modified` decides whose turn it is, once it was shown to tell; it is never believed about a choice."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from dotdigital_world import NEWS, NEWSLETTER, START

from bridge.core.mapping import Mapping
from bridge.core.model import Choice
from bridge.core.ports import Hint, Page
from bridge.dotdigital.client.access import V3Access
from bridge.dotdigital.client.v2 import ClientV2
from bridge.dotdigital.client.v3 import ClientV3
from bridge.dotdigital.importer import InMemoryKeyValue
from bridge.dotdigital.polling.feed_rotation import LONGEST, MODIFIED
from bridge.dotdigital.polling.stored import Capabilities, Capability, CapabilityState, TrustLevel
from bridge.dotdigital.polling.v2_feeds import SUPPRESSED
from bridge.dotdigital.reader import DotdigitalReader
from bridge.sandbox.dotdigital import DotdigitalState
from bridge.sandbox.faults import InjectedFault
from tests.port_calls import feed_named, feed_names

MINUTE = timedelta(minutes=1)
LISTING = "getContacts"


def shown(verdict: TrustLevel = TrustLevel.SHOWN) -> InMemoryKeyValue:
    memory = InMemoryKeyValue()
    state = CapabilityState(verdict, START, 3)
    Capabilities({Capability.MOVES_ON_PREFERENCES: state}, {}, START).save(memory)
    return memory


class Polls:
    """Runs a minute apart. `marks` is how far each feed was read."""

    def __init__(self, state: DotdigitalState, reader: DotdigitalReader) -> None:
        self.state, self.reader = state, reader
        self.marks: dict[str, datetime] = {}
        self.pages: list[Page] = []

    def run(self) -> list[str]:
        """One run; the feeds that it read."""
        self.state.clock.advance(60)
        self.pages, read = [], []
        for feed in self.reader.feeds_due(dict(self.marks), MINUTE):
            for page in self.reader.read_feed(feed, START - MINUTE):
                self.pages.append(page)
                if page.watermark is not None:
                    self.marks[feed] = page.watermark
            read.append(feed)
        return read

    @property
    def hints(self) -> list[Hint]:
        return [hint for page in self.pages for hint in page.hints if hint.keys[0][0].isdigit()]


@pytest.fixture
def polls(state: DotdigitalState, v2: ClientV2, v3: ClientV3, mapping: Mapping) -> Polls:
    state.switches.modified_moves_on_preferences = True
    memory = shown()
    return Polls(state, DotdigitalReader(v2, V3Access(v3), mapping, state.clock.now, memory=memory))


def idle(polls: Polls) -> Polls:
    """Everything was read, and nothing has happened since."""
    assert polls.run() == [SUPPRESSED, MODIFIED, *preferences(polls)]
    assert polls.run() == [SUPPRESSED, MODIFIED]
    return polls


def preferences(polls: Polls) -> list[str]:
    return [feed for feed in feed_names(polls.reader) if feed != SUPPRESSED]


def test_an_idle_run_asks_two_questions(polls: Polls) -> None:
    idle(polls)
    calls = polls.reader.calls
    for _ in range(10):
        assert polls.run() == [SUPPRESSED, MODIFIED]
    assert polls.reader.calls - calls == 10 * 3  # with the service's time


def test_each_feed_is_read_before_too_long_all_the_same(polls: Polls) -> None:
    idle(polls)
    oldest = [
        max(polls.state.clock.now() - polls.marks[feed] for feed in preferences(polls))
        for _ in range(40)
        if polls.run()
    ]
    assert max(oldest) <= LONGEST
    assert feed_named(polls.reader, preferences(polls)[0], MINUTE).period == LONGEST
    assert feed_named(polls.reader, SUPPRESSED, MINUTE).period == MINUTE


def test_a_modified_contact_is_read_once(polls: Polls) -> None:
    contact = polls.state.add_contact("a@example.com")
    polls.state.clock.advance(3600)
    idle(polls)
    polls.state.set_preference(contact, NEWS, True, polls.state.clock.now())
    assert polls.run() == [SUPPRESSED, MODIFIED]
    assert [(hint.id, hint.address) for hint in polls.hints] == [(str(contact), "a@example.com")]
    assert polls.reader.read_hint(polls.hints[0])[0].topics[NEWSLETTER].choice is Choice.OPTED_IN
    polls.run()
    assert polls.hints == []
    polls.state.set_preference(contact, NEWS, False, polls.state.clock.now())
    polls.run()
    assert len(polls.hints) == 1


def test_the_listing_itself_says_nothing_of_anybody(polls: Polls) -> None:
    """Its rows have no dates: an opt-in in them must raise nobody."""
    polls.state.add_contact("a@example.com", opt_ins={NEWS: (True, START)})
    pages = list(polls.reader.read_feed(MODIFIED, START))
    assert [page.views for page in pages] == [()]
    assert all(page.watermark is None for page in pages)
    assert MODIFIED not in feed_names(polls.reader)


def test_where_many_were_modified_the_feeds_are_read_at_once(polls: Polls) -> None:
    idle(polls)
    for number in range(len(preferences(polls)) + 1):
        polls.state.add_contact(f"p{number}@example.com", opt_ins={NEWS: (True, polls.state.clock.now())})
    assert set(polls.run()) == {SUPPRESSED, MODIFIED, *preferences(polls)}
    assert not any(hint.id for hint in polls.hints)
    rest = [polls.run() for _ in range(5)]
    assert [SUPPRESSED, MODIFIED] in rest[2:]  # feeds may lag a little, so they are read for two minutes


def test_a_second_page_is_never_asked_for(polls: Polls, monkeypatch: pytest.MonkeyPatch) -> None:
    idle(polls)
    before, asked = ClientV3.get_contacts, []

    def contacts(self: ClientV3, **more: object) -> object:
        asked.append(more)
        found = before(self, **more)  # type: ignore[arg-type]
        return replace_links(found)

    monkeypatch.setattr(ClientV3, "get_contacts", contacts)
    assert set(polls.run()) == {SUPPRESSED, MODIFIED, *preferences(polls)}
    assert len(asked) == 1


def replace_links(page: object) -> object:
    from bridge.dotdigital.client.wire import ContactsPage, Link, Links

    assert isinstance(page, ContactsPage)
    return ContactsPage(items=page.items, links=Links(next=Link(marker="more")))


@pytest.mark.parametrize("kind", ["status", "html", "null", "truncate"])
def test_where_it_cannot_be_asked_the_feeds_take_their_turns(polls: Polls, kind: str) -> None:
    idle(polls)
    polls.state.faults.add(InjectedFault(LISTING, kind, times=99))
    assert polls.run() == [SUPPRESSED, MODIFIED, *preferences(polls)]
    assert any("falling back to the v2 feeds" in text for page in polls.pages for text in page.warnings)
    polls.state.faults.clear()
    assert polls.run() == [SUPPRESSED, MODIFIED]


@pytest.mark.parametrize("verdict", [TrustLevel.UNKNOWN, TrustLevel.NOT_SHOWN])
def test_until_it_was_shown_the_feeds_are_read(
    state: DotdigitalState, v2: ClientV2, v3: ClientV3, mapping: Mapping, verdict: TrustLevel
) -> None:
    memory = shown(verdict)
    polls = Polls(state, DotdigitalReader(v2, V3Access(v3), mapping, state.clock.now, memory=memory))
    for _ in range(3):
        assert polls.run() == [SUPPRESSED, *preferences(polls)]


@pytest.mark.parametrize("topics", [0, 1, 3])
def test_without_v3_or_with_one_preference_there_is_nothing_to_save(
    state: DotdigitalState, v2: ClientV2, v3: ClientV3, mapping: Mapping, topics: int
) -> None:
    access = V3Access(None if topics == 3 else v3)
    fewer = replace(mapping, topics=mapping.topics[:topics])
    polls = Polls(state, DotdigitalReader(v2, access, fewer, state.clock.now, memory=shown()))
    for _ in range(3):
        assert polls.run() == [SUPPRESSED, *preferences(polls)]


def test_a_new_process_looks_back_as_far_as_a_feed_may_go_unread(polls: Polls) -> None:
    contact = polls.state.add_contact("a@example.com")
    polls.state.clock.advance(3600)
    polls.state.set_preference(contact, NEWS, True, polls.state.clock.now())
    polls.state.clock.advance((LONGEST - 2 * MINUTE).total_seconds())
    polls.run()
    assert len(polls.hints) == 1
