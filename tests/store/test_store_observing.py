"""Recording pages: people, bindings, cells and the watermark move together."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta, timezone

import pytest
import sqlalchemy as sa

from bridge.core.model import CHANNEL, Block, Choice, RunId, Side, TopicId
from bridge.core.store_values import LedgerEntry, RecordResult, Settlement, TopicReset
from bridge.store import Store
from tests.store.helpers import (
    ANN,
    BOB,
    IN,
    MINE,
    NEWS,
    OFFERS,
    OUT,
    THEIRS,
    UNSET,
    Clock,
    at,
    begun,
    cell,
    dirty_topics,
    news,
    person,
    seen,
    settled,
    view,
)


def test_a_page_is_stored_whole_with_its_watermark(store: Store) -> None:
    run = begun(store)
    page = [
        view(ANN, {NEWS: seen(IN, changed_at=at(-9)), OFFERS: seen(OUT)}, "1"),
        news(BOB, UNSET, 0, "2"),
    ]
    assert store.observations.record(page, THEIRS, run=run, feed="f", watermark=at(-5)) == RecordResult(
        2, 3, 3
    )
    assert store.feeds.watermarks() == {"f": at(-5)}
    assert store.feeds.watermark("f") == at(-5)
    assert store.feeds.watermark("other") is None
    assert store.people.count() == 2
    assert sum(map(len, store.cells.dirty(None, 10))) == 3


def test_every_part_of_an_observation_comes_back_as_it_was_given(store: Store) -> None:
    full = seen(
        OUT,
        read=1.000001,
        changed_at=at(-3.5),
        frequencies=("DAILY", 'odd, "name"'),
        stated=False,
        undated=True,
        consistent=False,
        records=3,
        block=Block.COMPLAINT,
        reason="IspComplained",
    )
    gone = seen(UNSET, present=False, records=0)
    run = begun(store)
    store.observations.record([view(ANN, {NEWS: full, OFFERS: gone}, "1")], MINE, run=run)
    assert cell(store).seen == {MINE: full}
    assert cell(store, topic=OFFERS).seen == {MINE: gone}


def test_both_sides_stand_side_by_side(store: Store) -> None:
    run = begun(store)
    store.observations.record([news(ANN, IN, 0)], MINE, run=run)
    store.observations.record([news(ANN, OUT, 1)], THEIRS, run=run)
    assert cell(store).seen == {MINE: seen(IN), THEIRS: seen(OUT, 1)}


def test_one_address_is_one_person_however_it_is_written(store: Store) -> None:
    run = begun(store)
    store.observations.record(
        [news(" Ann@Example.com ", IN), news("ann@example.COM", IN, 1)], THEIRS, run=run
    )
    assert store.people.count() == 1
    found = store.people.find("ANN@example.com")
    assert found is not None
    assert found.address == "Ann@Example.com"


def test_a_failed_page_moves_no_watermark_and_stores_nobody(store: Store) -> None:
    run = begun(store)
    store.observations.record([news(ANN, IN)], THEIRS, run=run, feed="f", watermark=at(1))
    broken = [news(BOB, IN), news("", IN)]
    with pytest.raises(sa.exc.IntegrityError):
        store.observations.record(broken, THEIRS, run=run, feed="f", watermark=at(2))
    assert store.feeds.watermark("f") == at(1)
    assert store.people.find(BOB) is None


def test_a_failed_watermark_stores_no_page(store: Store) -> None:
    with pytest.raises(sa.exc.IntegrityError):
        store.observations.record([news(ANN, IN)], THEIRS, run=RunId("unknown"), feed="f", watermark=at(2))
    assert store.people.count() == 0


def test_a_watermark_never_goes_back(store: Store) -> None:
    run = begun(store)
    store.observations.record([], THEIRS, run=run, feed="f", watermark=at(9))
    store.observations.record([], THEIRS, run=run, feed="f", watermark=at(3))
    assert store.feeds.watermark("f") == at(9)


def test_a_page_without_rows_moves_the_watermark_too(store: Store) -> None:
    assert store.observations.record([], THEIRS, run=begun(store), feed="f", watermark=at(9)) == RecordResult(
        0, 0, 0
    )
    assert store.feeds.watermark("f") == at(9)


# what makes a cell dirty


def test_reading_the_same_again_makes_nothing_dirty(store: Store) -> None:
    run = begun(store)
    store.observations.record([news(ANN, IN, changed_at=at(-1))], THEIRS, run=run)
    settled(store, run)
    again = store.observations.record([news(ANN, IN, 5, changed_at=at(-1))], THEIRS, run=run)
    assert (again.cells, again.dirtied) == (1, 0)
    assert store.cells.counts().waiting == 0
    assert cell(store).seen[THEIRS].read_at == at(5)


@pytest.mark.parametrize(
    "news_of_it",
    [
        {"choice": OUT},
        {"changed_at": at(3)},
        {"block": Block.CHANNEL},
        {"frequencies": ("DAILY",)},
        {"consistent": False},
    ],
    ids=lambda change: next(iter(change)),
)
def test_every_change_at_a_side_makes_the_cell_dirty(store: Store, news_of_it: dict[str, object]) -> None:
    run = begun(store)
    first = seen(IN, changed_at=at(-1))
    store.observations.record([view(ANN, {NEWS: first})], THEIRS, run=run)
    settled(store, run)
    changed = replace(first, read_at=at(5), **news_of_it)  # type: ignore[arg-type]
    assert store.observations.record([view(ANN, {NEWS: changed})], THEIRS, run=run).dirtied == 1
    assert dirty_topics(store) == [(person(store), NEWS)]


@pytest.mark.parametrize(
    ("unsubscribe_withdraws_topics", "expected"), [(True, [CHANNEL, NEWS]), (False, [CHANNEL])]
)
def test_a_change_of_the_channel_spreads_where_the_mapping_says_so(
    store: Store, unsubscribe_withdraws_topics: bool, expected: list[TopicId]
) -> None:
    run = begun(store)
    both = {CHANNEL: seen(IN), NEWS: seen(IN)}
    store.observations.record([view(ANN, both), view(BOB, both)], THEIRS, run=run)
    for address in (ANN, BOB):
        settled(store, run, address, topic=CHANNEL)
        settled(store, run, address)
    store.observations.record(
        [view(ANN, {CHANNEL: seen(OUT, 1)})],
        THEIRS,
        run=run,
        unsubscribe_withdraws_topics=unsubscribe_withdraws_topics,
    )
    assert dirty_topics(store) == [(person(store), topic) for topic in expected]


def test_what_is_not_mapped_any_more_is_left_alone_by_the_channel(store: Store) -> None:
    run = begun(store)
    store.observations.record(
        [view(ANN, {CHANNEL: seen(IN), NEWS: seen(IN), OFFERS: seen(IN)})], THEIRS, run=run
    )
    store.cells.remap([CHANNEL, NEWS])
    assert [topic for _, topic in dirty_topics(store)] == [CHANNEL, NEWS]
    for topic in (CHANNEL, NEWS):
        settled(store, run, topic=topic)
    store.observations.record(
        [view(ANN, {CHANNEL: seen(OUT, 1)})], THEIRS, run=run, unsubscribe_withdraws_topics=True
    )
    assert [topic for _, topic in dirty_topics(store)] == [CHANNEL, NEWS]


def test_a_new_mapping_has_everything_mapped_decided_again(store: Store) -> None:
    run = begun(store)
    store.observations.record([view(ANN, {NEWS: seen(IN), OFFERS: seen(IN)})], THEIRS, run=run)
    settled(store, run)
    store.cells.remap([NEWS])
    assert dirty_topics(store) == [(person(store), NEWS)]
    agreed = cell(store).agreed
    assert agreed is not None  # what was agreed stays


@pytest.mark.parametrize("forgotten", [(IN, UNSET), tuple(Choice)])
def test_a_topic_mapped_to_something_else_forgets_what_was_about_the_former(
    store: Store, forgotten: tuple[Choice, ...]
) -> None:
    """The other side and other topics keep all; so does an agreement on a choice that is not named."""
    run = begun(store)
    for side in (MINE, THEIRS):
        store.observations.record([view(ANN, {NEWS: seen(OUT), OFFERS: seen(OUT)})], side, run=run)
        store.observations.record([view(BOB, {NEWS: seen(IN)})], side, run=run)
    settled(store, run)
    settled(store, run, BOB, IN)
    settled(store, run, topic=OFFERS)
    for address in (ANN, BOB):
        store.holds.open(run, person(store, address), NEWS, reason="first_run", why="because", ground="g")
    entry = LedgerEntry("mapping", {"changes": {NEWS: "is mapped to something else"}})
    store.cells.remap([NEWS, OFFERS], run=run, resets=[TopicReset(NEWS, [THEIRS], forgotten)], ledger=[entry])
    ann, bob, offers = cell(store), cell(store, BOB), cell(store, topic=OFFERS)
    assert (ann.seen, bob.seen) == ({MINE: seen(OUT)}, {MINE: seen(IN)})
    assert bob.agreed is None
    assert (ann.agreed is None) is (OUT in forgotten)
    assert (set(offers.seen), offers.agreed is not None) == ({MINE, THEIRS}, True)
    assert ann.hold is bob.hold is None
    assert dirty_topics(store) == [
        (one.person, one.topic) for one in sorted((ann, bob, offers), key=lambda one: (one.person, one.topic))
    ]
    assert [line["kind"] for line in store.ledger.export()][-1] == "mapping"


# stale reads


def test_a_read_that_began_before_the_stored_one_is_dropped(store: Store) -> None:
    run = begun(store)
    store.observations.record([news(ANN, OUT, 5)], THEIRS, run=run)
    assert store.observations.record([news(ANN, IN, 4)], THEIRS, run=run).cells == 0
    assert cell(store).seen[THEIRS] == seen(OUT, 5)


def test_of_one_page_the_later_read_counts_in_any_order(store: Store) -> None:
    run = begun(store)
    store.observations.record([news(ANN, OUT, 2), news(ANN, IN, 1)], THEIRS, run=run)
    store.observations.record([news(BOB, IN, 1), news(BOB, OUT, 2)], THEIRS, run=run)
    assert [cell(store, who).seen[THEIRS].choice for who in (ANN, BOB)] == [OUT, OUT]


def test_times_of_other_zones_make_no_other_version(store: Store) -> None:
    run = begun(store)
    elsewhere = at(-60).astimezone(timezone(timedelta(hours=5)))
    store.observations.record([news(ANN, IN, changed_at=at(-60))], THEIRS, run=run)
    settled(store, run)
    assert store.observations.record([news(ANN, IN, 1, changed_at=elsewhere)], THEIRS, run=run).dirtied == 0


def test_a_time_without_a_zone_is_refused(store: Store) -> None:
    naive = at(0).replace(tzinfo=None)
    with pytest.raises((sa.exc.StatementError, ValueError), match=r"time zone|cannot hold this content"):
        store.observations.record([], THEIRS, run=begun(store), feed="f", watermark=naive)


# bindings


def test_ids_are_added_by_parts_and_replaced_by_the_whole(store: Store) -> None:
    run = begun(store)
    store.observations.record([news(ANN, IN, 0, "a")], MINE, run=run)
    store.observations.record([news(ANN, IN, 1, "b")], MINE, run=run)
    store.observations.record([news(ANN, IN, 1, "77")], THEIRS, run=run)
    found = store.people.find(ANN)
    assert found is not None
    assert found.ids == {MINE: ("a", "b"), THEIRS: ("77",)}
    store.observations.record([view(ANN, {NEWS: seen(IN, 2)}, "b", "c", complete=True)], MINE, run=run)
    assert store.people.get(found.person).ids == {MINE: ("b", "c"), THEIRS: ("77",)}
    store.observations.record(
        [view(ANN, {NEWS: seen(UNSET, 3, present=False)}, complete=True)], MINE, run=run
    )
    assert store.people.get(found.person).ids == {THEIRS: ("77",)}


def test_one_record_may_belong_to_several_people(store: Store) -> None:
    run = begun(store)
    store.observations.record([news(ANN, IN, 0, "p1"), news(BOB, IN, 0, "p1")], MINE, run=run)
    assert [who.address for who in store.people.of_record(MINE, "p1")] == [ANN, BOB]
    assert store.people.of_record(THEIRS, "p1") == []


def test_one_record_of_several_does_not_raise_anybody(store: Store) -> None:
    """A withdrawal of one of several profiles stands, whatever another of them says."""
    run = begun(store)
    store.observations.record([news(ANN, OUT, 0, "a")], MINE, run=run)
    recorded = store.observations.record([news(ANN, IN, 1, "b")], MINE, run=run)
    assert recorded.read_again == (person(store),)
    assert cell(store).seen[MINE] == seen(OUT)


def test_of_two_records_on_one_page_the_withdrawal_stands(store: Store) -> None:
    run = begun(store)
    recorded = store.observations.record([news(ANN, OUT, 0, "a"), news(ANN, IN, 0, "b")], MINE, run=run)
    other = store.observations.record([news(BOB, IN, 0, "c"), news(BOB, OUT, 0, "d")], MINE, run=run)
    assert recorded.read_again == (person(store),)
    assert other.read_again == (person(store, BOB),)
    for address in (ANN, BOB):
        assert cell(store, address).seen[MINE].choice is OUT


def test_who_was_read_whole_on_the_same_page_needs_no_other_look(store: Store) -> None:
    run = begun(store)
    part = news(ANN, OUT, 0, "a")
    other = news(ANN, IN, 1, "b")
    whole = view(ANN, {NEWS: seen(IN, 2)}, "a", "b", complete=True)
    assert store.observations.record([part, other, whole], MINE, run=run).read_again == ()
    assert cell(store).seen[MINE].choice is IN


# absence, and who was not seen


def test_after_a_sweep_those_never_seen_are_not_there(store: Store) -> None:
    run = begun(store)
    store.observations.record([news(ANN, IN)], MINE, run=run)
    store.observations.record([news(BOB, IN)], THEIRS, run=run)
    assert store.observations.mark_absent(THEIRS, [NEWS, OFFERS], run=run, read_at=at(5)) == 1
    for topic in (NEWS, OFFERS):
        nobody = cell(store, topic=topic).seen[THEIRS]
        assert (nobody.choice, nobody.present, nobody.read_at) == (UNSET, False, at(5))
    assert cell(store, BOB).seen == {THEIRS: seen(IN)}
    assert store.observations.mark_absent(THEIRS, [NEWS, OFFERS], run=run, read_at=at(6)) == 0


def test_absence_seen_again_makes_nothing_dirty_and_is_fresh(store: Store) -> None:
    run = begun(store)
    store.observations.record([news(ANN, IN)], MINE, run=run)
    store.observations.mark_absent(THEIRS, [NEWS], run=run, read_at=at(5))
    settled(store, run)
    store.observations.mark_absent(THEIRS, [NEWS], run=run, read_at=at(9))
    assert store.cells.counts().waiting == 0
    assert cell(store).seen[THEIRS].read_at == at(9)
    store.observations.mark_absent(THEIRS, [NEWS], run=run, read_at=at(7))
    assert cell(store).seen[THEIRS].read_at == at(9)


def test_the_absent_who_turn_up_are_seen(store: Store) -> None:
    run = begun(store)
    store.observations.record([news(ANN, IN)], MINE, run=run)
    store.observations.mark_absent(THEIRS, [NEWS], run=run, read_at=at(5))
    assert store.observations.record([news(ANN, OUT, 6, "1")], THEIRS, run=run).dirtied == 1
    assert cell(store).seen[THEIRS] == seen(OUT, 6)
    store.observations.mark_absent(THEIRS, [NEWS], run=run, read_at=at(7))
    assert cell(store).seen[THEIRS] == seen(OUT, 6)  # seen before: to be looked for, not declared gone


def test_many_pages_of_absence_reach_everybody(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bridge.store.observations.PAGE", 2)
    run = begun(store)
    store.observations.record([news(f"p{number}@example.com", IN) for number in range(5)], MINE, run=run)
    assert store.observations.mark_absent(THEIRS, [NEWS], run=run, read_at=at(5)) == 5
    assert all(cell(store, f"p{number}@example.com").seen[THEIRS].present is False for number in range(5))


def test_people_seen_before_but_not_in_this_sweep_are_to_be_read(store: Store) -> None:
    run = begun(store)
    store.observations.record([news(ANN, IN, 0), news(BOB, IN, 0)], THEIRS, run=run)
    store.observations.record([news("carol@example.com", IN, 0)], MINE, run=run)
    store.observations.record([news(BOB, IN, 5)], THEIRS, run=run)
    assert [[who.address for who in page] for page in store.people.unseen_since(THEIRS, at(5))] == [[ANN]]
    store.observations.record(
        [view(ANN, {NEWS: seen(UNSET, 6, present=False)}, complete=True)], THEIRS, run=run
    )
    assert list(store.people.unseen_since(THEIRS, at(7))) == [[store.people.get(person(store, BOB))]]


def test_listings_of_people_come_in_pages(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bridge.store.people.PAGE", 2)
    run = begun(store)
    names = [f"p{number}@example.com" for number in range(5)]
    store.observations.record([news(name, IN, 0, name[:2]) for name in names], THEIRS, run=run)
    store.observations.record([news(names[3], IN, 0, "m")], MINE, run=run)
    assert [[who.address for who in page] for page in store.people.known()] == [
        names[:2],
        names[2:4],
        names[4:],
    ]
    assert [[who.address for who in page] for page in store.people.known(MINE)] == [[names[3]]]
    assert [len(page) for page in store.people.unseen_since(THEIRS, at(1))] == [2, 2, 1]


def test_people_are_found_by_number_in_the_order_asked_for(store: Store) -> None:
    store.observations.record([news(ANN, IN), news(BOB, IN)], THEIRS, run=begun(store))
    ann, bob = person(store), person(store, BOB)
    assert [who.address for who in store.people.get_many([bob, ann, bob])] == [BOB, ANN]
    assert store.people.get_many([]) == []
    with pytest.raises(LookupError):
        store.people.get(type(ann)(999))


def test_a_thousand_people_need_few_statements(store: Store) -> None:
    """A page costs a fixed number of run trips, however many people are on it."""
    run = begun(store)
    counts = []
    for size in (10, 900):
        statements: list[str] = []
        sa.event.listen(
            store._unit.engine,
            "before_cursor_execute",
            lambda *args, kept=statements: kept.append(str(args[2])),
        )
        store.observations.record(
            [news(f"p{number}@example.com", IN, size) for number in range(size)], THEIRS, run=run
        )
        counts.append(len(statements))
    assert counts[1] <= counts[0] + 3


def test_a_cell_that_was_settled_on_older_ground_is_decided_again(store: Store, clock: Clock) -> None:
    run = begun(store)
    store.observations.record([news(ANN, IN)], THEIRS, run=run)
    before = cell(store)
    store.observations.record([news(ANN, OUT, 1)], THEIRS, run=run)
    store.cells.settle(run, [Settlement(before.person, before.topic, before.ground)])
    assert store.cells.counts().waiting == 1


def test_everything_stored_is_separate_for_each_side(store: Store) -> None:
    run = begun(store)
    for side in Side:
        store.observations.record([news(ANN, IN, 0, "same-id")], side, run=run)
    assert [len(store.people.of_record(side, "same-id")) for side in Side] == [1, 1]
