"""What the replica sees of people, over real HTTP."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

import pytest
from dotdigital_world import (
    DAILY,
    NEWS,
    NEWSLETTER,
    OFFERS,
    PROFILING,
    PROFILING_ID,
    START,
    UNMAPPED,
    WEEKLY,
    who,
)

from bridge.core.errors import DrainIncomplete, InvalidResponse, MappingStale, Refused, SideError
from bridge.core.mapping import Mapping
from bridge.core.model import CHANNEL, Block, Choice, Side
from bridge.core.ports import Hint, Page, PersonView, ReadReplica, read_person
from bridge.dotdigital.client.v2 import ClientV2
from bridge.dotdigital.client.v3 import ClientV3
from bridge.dotdigital.reader import DotdigitalReader
from bridge.dotdigital.replica import DotdigitalReplica
from bridge.sandbox.dotdigital import DotdigitalState
from bridge.sandbox.faults import InjectedFault
from tests.port_calls import feed_names

SUPPRESSED, NEWS_FEED, DAILY_FEED = (
    "dotdigital.suppressed",
    f"dotdigital.opt_ins.{NEWS}",
    f"dotdigital.opt_ins.{DAILY}",
)
HOUR = timedelta(hours=1)
EARLIER, LATER = START - 2 * HOUR, START - HOUR


def views_of(pages: Iterable[Page]) -> dict[str, PersonView]:
    return {view.address: view for page in pages for view in page.views}


def test_the_reader_fills_the_port_and_cannot_write(reader: DotdigitalReader) -> None:
    port: ReadReplica = reader
    assert port.side is Side.DOTDIGITAL
    assert port.oldest_since() is None
    assert not hasattr(reader, "send")
    assert not hasattr(reader, "split")


def test_there_is_a_feed_of_suppressions_and_one_for_each_mapped_preference(reader: DotdigitalReader) -> None:
    numbers = (NEWS, DAILY, WEEKLY, PROFILING_ID)
    assert feed_names(reader) == [SUPPRESSED, *(f"dotdigital.opt_ins.{number}" for number in numbers)]
    with pytest.raises(ValueError, match="not a feed"):
        list(reader.read_feed(f"dotdigital.opt_ins.{UNMAPPED}", START))


# suppressions


def test_suppressions_are_dated_and_distinguished(state: DotdigitalState, reader: DotdigitalReader) -> None:
    words = {
        "Unsubscribed": (Choice.OPTED_OUT, True, None),
        "IspComplained": (Choice.OPTED_OUT, True, Block.COMPLAINT),
        "HardBounced": (Choice.UNSET, False, Block.UNREACHABLE),
        "Suppressed": (Choice.UNSET, False, Block.CONTROLLER),
    }
    numbers = {word: state.add_contact(f"{word}@example.com", status=word, when=LATER) for word in words}
    pages = list(reader.read_feed(SUPPRESSED, EARLIER))
    found = views_of(pages)
    for word, (choice, stated, block) in words.items():
        view = found[f"{word}@example.com"]
        seen = view.topics[CHANNEL]
        assert (seen.choice, seen.stated, seen.block, seen.reason) == (choice, stated, block, word)
        assert seen.changed_at == LATER
        assert view.ids == (str(numbers[word]),)
        assert set(view.topics) == {CHANNEL}
    assert [page.watermark for page in pages][-1] == START
    assert all(page.watermark is None for page in pages[:-1])


def test_the_watermark_is_the_services_time_from_before_the_drain(
    state: DotdigitalState, reader: DotdigitalReader
) -> None:
    state.add_contact("a@example.com", status="Unsubscribed", when=LATER)
    drain = reader.read_feed(SUPPRESSED, EARLIER)
    next(drain)
    state.clock.advance(600)
    assert list(drain)[-1].watermark == START


def test_an_empty_feed_still_moves_the_watermark_for_two_calls(
    state: DotdigitalState, reader: DotdigitalReader
) -> None:
    assert [page.watermark for page in reader.read_feed(SUPPRESSED, EARLIER)] == [START]
    assert reader.calls == state.calls.total() == 2


@pytest.mark.parametrize("order", ["shuffled", "sorted"])
def test_thousands_of_suppressions_are_all_found_while_one_leaves(
    state: DotdigitalState, reader: DotdigitalReader, order: str
) -> None:
    """Dotdigital suppressed-since: skip paging over rows that move."""
    state.switches.feed_order = order
    everybody = {f"p{number}@example.com" for number in range(2500)}
    for address in sorted(everybody):
        state.add_contact(address, status="Unsubscribed", when=LATER)
    drain = reader.read_feed(SUPPRESSED, EARLIER)
    found = views_of([next(drain)])
    back = sorted(found)[0]
    contact = state.find(back)
    assert contact is not None
    state.subscribe(contact.id)
    found |= views_of(drain)
    assert set(found) == everybody


@pytest.mark.parametrize("kind", ["html", "null", "truncate", "status", "empty"])
def test_a_failed_page_moves_no_watermark(
    state: DotdigitalState, reader: DotdigitalReader, kind: str
) -> None:
    state.add_contact("a@example.com", status="Unsubscribed", when=LATER)
    state.faults.add(InjectedFault("get-suppressed-contacts-since-date", kind, nth=2, times=99))
    seen: list[Page] = []
    with pytest.raises(SideError):
        seen.extend(reader.read_feed(SUPPRESSED, EARLIER))  # type: ignore[func-returns-value]
    assert all(page.watermark is None for page in seen)


@pytest.mark.parametrize("nth", [1, 2, 3])
def test_half_a_page_loses_nobody(state: DotdigitalState, reader: DotdigitalReader, nth: int) -> None:
    everybody = {f"p{number}@example.com" for number in range(1200)}
    for address in everybody:
        state.add_contact(address, status="Unsubscribed", when=LATER)
    state.faults.add(InjectedFault("get-suppressed-contacts-since-date", "half_page", nth=nth))
    assert set(views_of(reader.read_feed(SUPPRESSED, EARLIER))) == everybody


def test_a_suppressed_person_without_an_address_is_named_by_id(
    state: DotdigitalState, reader: DotdigitalReader
) -> None:
    nameless = '{"suppressedContact":{"id":7,"email":null},"reason":"Suppressed"}'
    nobody = '{"suppressedContact":null,"reason":"Suppressed"},{"suppressedContact":{"id":0}}'
    body = f"[{nameless},{nobody}]"
    state.faults.add(
        InjectedFault("get-suppressed-contacts-since-date", "status", status=200, body=body, times=9)
    )
    pages = list(reader.read_feed(SUPPRESSED, EARLIER))
    assert [hint for page in pages for hint in page.hints] == [Hint(id="7")]
    assert sum(page.skipped for page in pages) == 2


def test_a_deleted_person_in_the_feed_is_read_again(state: DotdigitalState, reader: DotdigitalReader) -> None:
    body = '[{"suppressedContact":{"id":7,"email":"gone@example.com"},"reason":"Deleted"}]'
    state.faults.add(
        InjectedFault("get-suppressed-contacts-since-date", "status", status=200, body=body, times=9)
    )
    pages = list(reader.read_feed(SUPPRESSED, EARLIER))
    assert views_of(pages) == {}
    assert [hint for page in pages for hint in page.hints] == [Hint("7", "gone@example.com")]


# opt-ins


@pytest.mark.parametrize("inclusive", ["inclusive", "exclusive"])
@pytest.mark.parametrize("doubled", [False, True])
def test_opt_ins_come_dated_in_both_directions(
    state: DotdigitalState, reader: DotdigitalReader, inclusive: str, doubled: bool
) -> None:
    """Dotdigital opt-ins-since: rows of other preferences and of other lists may be among them."""
    state.switches.min_contact_id = inclusive
    state.switches.rows_per_address_book = doubled
    state.add_contact("in@example.com", opt_ins={NEWS: (True, LATER), UNMAPPED: (False, LATER)})
    state.add_contact("out@example.com", opt_ins={NEWS: (False, LATER), DAILY: (True, LATER)})
    state.add_contact("other@example.com", opt_ins={UNMAPPED: (True, LATER)})
    pages = list(reader.read_feed(NEWS_FEED, EARLIER))
    found = views_of(pages)
    assert {address: view.topics[NEWSLETTER].choice for address, view in found.items()} == {
        "in@example.com": Choice.OPTED_IN,
        "out@example.com": Choice.OPTED_OUT,
    }
    assert all(view.topics[NEWSLETTER].changed_at == LATER for view in found.values())
    assert all(set(view.topics) == {NEWSLETTER} for view in found.values())
    assert pages[-1].watermark == START
    assert not any(page.hints for page in pages)


def test_a_frequency_is_read_again(state: DotdigitalState, reader: DotdigitalReader) -> None:
    number = state.add_contact("one@example.com", opt_ins={DAILY: (True, LATER)})
    pages = list(reader.read_feed(DAILY_FEED, EARLIER))
    assert views_of(pages) == {}
    assert [hint for page in pages for hint in page.hints] == [Hint(str(number), "one@example.com")]


def test_a_row_of_an_unsubscribed_contact_is_read_again_too(
    state: DotdigitalState, reader: DotdigitalReader
) -> None:
    state.add_contact("gone@example.com", status="Unsubscribed", when=LATER, opt_ins={NEWS: (True, LATER)})
    pages = list(reader.read_feed(NEWS_FEED, EARLIER))
    assert set(views_of(pages)["gone@example.com"].topics) == {NEWSLETTER}
    assert [hint.address for page in pages for hint in page.hints] == ["gone@example.com"]


def test_thousands_of_opt_ins_are_all_found(state: DotdigitalState, reader: DotdigitalReader) -> None:
    for number in range(2100):
        state.add_contact(f"p{number}@example.com", opt_ins={NEWS: (number % 2 == 0, LATER)})
    assert len(views_of(reader.read_feed(NEWS_FEED, EARLIER))) == 2100


def test_a_missing_preference_is_a_stale_mapping_and_no_opt_out(
    state: DotdigitalState, reader: DotdigitalReader
) -> None:
    state.add_contact("in@example.com", opt_ins={NEWS: (True, LATER)})
    state.delete_preference(NEWS)
    with pytest.raises(MappingStale):
        list(reader.read_feed(NEWS_FEED, EARLIER))


# one person


def look(reader: DotdigitalReader, address: str) -> PersonView:
    return read_person(reader, who(address))


def test_a_single_read_finds_dates_and_distinguishes_unset_from_opted_out(
    state: DotdigitalState, reader: DotdigitalReader
) -> None:
    number = state.add_contact("a+b@example.com", opt_ins={NEWS: (False, LATER)})
    view = look(reader, "a+b@example.com")
    assert (view.ids, view.complete, view.address) == ((str(number),), True, "a+b@example.com")
    assert set(view.topics) == {CHANNEL, NEWSLETTER, OFFERS, PROFILING}
    news, silent, channel = view.topics[NEWSLETTER], view.topics[PROFILING], view.topics[CHANNEL]
    assert (news.choice, news.changed_at, news.stated) == (Choice.OPTED_OUT, LATER, True)
    assert (silent.choice, silent.changed_at, silent.undated) == (Choice.UNSET, None, False)
    assert (channel.choice, channel.stated) == (Choice.OPTED_IN, False)
    assert all(seen.read_at == START and seen.records == 1 for seen in view.topics.values())


@pytest.mark.parametrize(
    ("daily", "weekly", "choice", "frequencies", "changed_at"),
    [
        (None, None, Choice.UNSET, (), None),
        ((True, LATER), None, Choice.OPTED_IN, ("DAILY",), LATER),
        ((False, LATER), (True, EARLIER), Choice.OPTED_IN, ("WEEKLY",), EARLIER),
        ((True, EARLIER), (True, LATER), Choice.OPTED_IN, ("DAILY", "WEEKLY"), LATER),
        ((False, EARLIER), (False, LATER), Choice.OPTED_OUT, (), LATER),
        (None, (False, EARLIER), Choice.OPTED_OUT, (), EARLIER),
    ],
)
def test_a_frequency_is_what_its_preferences_say_together(
    state: DotdigitalState,
    reader: DotdigitalReader,
    daily: tuple[bool, datetime] | None,
    weekly: tuple[bool, datetime] | None,
    choice: Choice,
    frequencies: tuple[str, ...],
    changed_at: datetime | None,
) -> None:
    rows = {number: row for number, row in ((DAILY, daily), (WEEKLY, weekly)) if row is not None}
    state.add_contact("one@example.com", opt_ins=rows)  # type: ignore[arg-type]
    seen = look(reader, "one@example.com").topics[OFFERS]
    assert (seen.choice, seen.frequencies, seen.changed_at) == (choice, frequencies, changed_at)


def test_an_unknown_person_is_absent_in_every_topic(reader: DotdigitalReader) -> None:
    view = look(reader, "nobody@example.com")
    assert (view.ids, view.complete) == ((), True)
    assert set(view.topics) == {CHANNEL, NEWSLETTER, OFFERS, PROFILING}
    assert not any(seen.present for seen in view.topics.values())


def test_a_deleted_person_is_absent(state: DotdigitalState, reader: DotdigitalReader) -> None:
    number = state.add_contact("gone@example.com", opt_ins={NEWS: (True, LATER)})
    state.delete_contact(number)
    assert not any(seen.present for seen in look(reader, "gone@example.com").topics.values())


@pytest.mark.parametrize("with_v3", [True, False])
def test_a_suppressed_contact_is_found_where_subscriptions_hides_it(
    state: DotdigitalState, reader: DotdigitalReader, without_v3: DotdigitalReplica, with_v3: bool
) -> None:
    """Dotdigital get-subscriptions: behaviour for suppressed contacts is not documented."""
    state.switches.subscriptions_of_suppressed = "not_found"
    rows = {NEWS: (True, LATER), DAILY: (True, LATER), PROFILING_ID: (False, LATER)}
    state.add_contact("hidden@example.com", status="IspComplained", when=LATER, opt_ins=rows)  # type: ignore[arg-type]
    topics = look(reader if with_v3 else without_v3, "hidden@example.com").topics
    assert (topics[CHANNEL].choice, topics[CHANNEL].block) == (Choice.OPTED_OUT, Block.COMPLAINT)
    assert (topics[NEWSLETTER].choice, topics[NEWSLETTER].changed_at) == (Choice.OPTED_IN, None)
    assert not topics[NEWSLETTER].undated
    assert topics[OFFERS].frequencies == ("DAILY",)
    assert (topics[PROFILING].choice, topics[PROFILING].block) == (Choice.UNSET, Block.UNREACHABLE)


@pytest.mark.parametrize("kind", ["html", "null", "empty", "status"])
def test_a_look_that_fails_makes_nobody_absent(
    state: DotdigitalState, reader: DotdigitalReader, kind: str
) -> None:
    state.add_contact("one@example.com", opt_ins={NEWS: (True, LATER)})
    state.faults.add(
        InjectedFault("get-subscriptions-for-contact", kind, status=404, body="<p>Gone</p>", times=9)
    )
    with pytest.raises(InvalidResponse):
        look(reader, "one@example.com")


def test_another_contact_than_asked_for_is_not_believed(
    state: DotdigitalState, reader: DotdigitalReader
) -> None:
    body = '{"contact":{"id":5,"email":"other@example.com"},"marketingPreferenceOptIns":[]}'
    state.faults.add(InjectedFault("get-subscriptions-for-contact", "status", status=200, body=body))
    with pytest.raises(InvalidResponse):
        look(reader, "one@example.com")


def test_case_does_not_make_another_person(state: DotdigitalState, reader: DotdigitalReader) -> None:
    state.add_contact("Some.One@Example.com", opt_ins={NEWS: (True, LATER)})
    assert look(reader, "some.one@example.com").topics[NEWSLETTER].choice is Choice.OPTED_IN


def test_hints_are_followed_by_address_and_by_id(
    state: DotdigitalState, reader: DotdigitalReader, without_v3: DotdigitalReplica
) -> None:
    number = state.add_contact("one@example.com", opt_ins={NEWS: (True, LATER)})
    for replica in (reader, without_v3):
        for hint in (
            Hint(address="one@example.com"),
            Hint(id=str(number)),
            Hint(str(number), "one@example.com"),
        ):
            (view,) = replica.read_hint(hint)
            assert (view.address, view.topics[NEWSLETTER].changed_at) == ("one@example.com", LATER)
        assert replica.read_hint(Hint(id="99999")) == []
        assert replica.read_hint(Hint(id="not-a-number")) == []
        assert replica.read_hint(Hint()) == []


# everybody


def test_the_listing_shows_everybody_undated(
    state: DotdigitalState, v2: ClientV2, reader: DotdigitalReader
) -> None:
    state.add_contact(
        "in@example.com", opt_ins={NEWS: (True, LATER), WEEKLY: (True, LATER), PROFILING_ID: (False, LATER)}
    )
    state.add_contact("silent@example.com")
    state.add_contact(None, mobile="447700900123")
    pages = list(reader.list_people([]))
    found = views_of(pages)
    assert set(found) == {"in@example.com", "silent@example.com"}
    topics = found["in@example.com"].topics
    assert (topics[NEWSLETTER].choice, topics[OFFERS].frequencies) == (Choice.OPTED_IN, ("WEEKLY",))
    assert topics[PROFILING].choice is Choice.UNSET
    assert all(seen.undated and seen.changed_at is None for seen in topics.values())
    assert sum(page.skipped for page in pages) == 1
    assert all(page.watermark is None for page in pages)


@pytest.mark.parametrize("listed", [True, False])
def test_suppressed_people_are_covered_whether_listed_or_not(
    state: DotdigitalState, reader: DotdigitalReader, listed: bool
) -> None:
    """Dotdigital contacts v3: whether the list shows suppressed contacts is not documented."""
    state.switches.lists_suppressed = listed
    state.add_contact("out@example.com", status="Unsubscribed", when=EARLIER)
    *_, last = [page for page in reader.list_people([]) if page.views]
    seen = last.views[0].topics[CHANNEL]
    assert (seen.choice, seen.changed_at, seen.undated) == (Choice.OPTED_OUT, EARLIER, False)


def test_the_listing_is_read_page_by_page(state: DotdigitalState, v2: ClientV2, mapping: Mapping) -> None:
    for number in range(25):
        state.add_contact(f"p{number}@example.com")
    small = DotdigitalReader(v2, ClientV3(v2.transport), mapping, state.clock.now, listing_page=10)
    pages = [page for page in small.list_people([]) if page.views]
    assert [len(page.views) for page in pages] == [10, 10, 5]


def test_without_v3_known_people_without_an_opt_in_are_read_one_by_one(
    state: DotdigitalState, without_v3: DotdigitalReplica
) -> None:
    state.add_contact("one@example.com", opt_ins={NEWS: (False, LATER)})
    known = [who("one@example.com"), who("not an address"), who("nobody@example.com")]
    pages = list(without_v3.list_people(known))
    found = views_of(pages)
    assert found["one@example.com"].topics[NEWSLETTER].changed_at == LATER
    assert not found["nobody@example.com"].topics[NEWSLETTER].present
    ((unread, error),) = [failure for page in pages for failure in page.failures]
    assert unread.address == "not an address"
    assert isinstance(error, Refused)


def test_a_feed_that_repeats_a_marker_is_reported_incomplete(
    state: DotdigitalState, reader: DotdigitalReader
) -> None:
    state.add_contact("one@example.com", status="Unsubscribed", when=LATER)
    rows = ",".join(
        f'{{"suppressedContact":{{"id":{number},"email":"p{number}@example.com"}}}}'
        for number in range(1, 301)
    )
    state.faults.add(
        InjectedFault("get-suppressed-contacts-since-date", "status", status=200, body=f"[{rows}]", times=99)
    )
    with pytest.raises(DrainIncomplete):
        list(reader.read_feed(SUPPRESSED, EARLIER))
