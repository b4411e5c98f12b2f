"""Holds that wait for an operator, and the retry queue of reads."""

from __future__ import annotations

import pytest

from bridge.core.approval import Operator
from bridge.core.model import HoldState, RunId, StandingHold
from bridge.core.ports import Hint
from bridge.core.store_values import LedgerEntry, Settlement
from bridge.store import Store
from tests.store.helpers import (
    ANN,
    BOB,
    MINE,
    NEWS,
    OFFERS,
    START,
    THEIRS,
    Clock,
    begun,
    cell,
    dirty_topics,
    person,
    settled,
)

# holds


def held(
    store: Store, run: RunId, address: str = ANN, *, reason: str = "conflict", ground: str = "g"
) -> bool:
    entry = LedgerEntry("held", {"rule": reason}, person(store, address), NEWS)
    return store.holds.open(
        run,
        person(store, address),
        NEWS,
        reason=reason,
        why="both changed",
        ground=ground,
        proposed=[{"topic": NEWS, "kind": "withdrawal"}],
        ledger=entry,
    )


def test_a_hold_is_listed_with_what_it_proposes_and_stands_in_its_cell(store: Store, run: RunId) -> None:
    assert held(store, run)
    (row,) = store.holds.page()
    assert (row.person, row.topic, row.reason, row.why) == (person(store), NEWS, "conflict", "both changed")
    assert (row.ground, row.state, row.opened_at) == ("g", HoldState.OPEN, START)
    assert row.proposed == ({"topic": NEWS, "kind": "withdrawal"},)
    assert cell(store).hold == StandingHold("conflict", "g", HoldState.OPEN)
    assert store.cells.counts().held == 1


def test_the_same_hold_is_opened_once(store: Store, run: RunId) -> None:
    held(store, run)
    (row,) = store.holds.page()
    assert held(store, run) is False
    assert store.holds.page() == [row]
    assert store.ledger.verify().entries == 1


def test_new_ground_for_the_same_reason_keeps_the_age(store: Store, clock: Clock, run: RunId) -> None:
    held(store, run)
    clock.tick(60)
    assert held(store, run, ground="other")
    (row,) = store.holds.page()
    assert (row.ground, row.opened_at) == ("other", START)


@pytest.mark.parametrize("answer", [HoldState.RELEASED, HoldState.DISMISSED])
def test_an_answer_binds_on_its_ground_only(
    store: Store, clock: Clock, run: RunId, answer: HoldState
) -> None:
    held(store, run)
    (row,) = store.holds.page()
    assert (store.holds.release if answer is HoldState.RELEASED else store.holds.dismiss)([row.id]) == 1
    assert held(store, run) is False
    assert cell(store).hold == StandingHold("conflict", "g", answer)
    assert held(store, run, ground="other")
    assert cell(store).hold == StandingHold("conflict", "other", HoldState.OPEN)


def test_another_reason_takes_the_place_of_the_first(store: Store, run: RunId) -> None:
    held(store, run)
    assert held(store, run, reason="undated")
    assert [hold.reason for hold in store.holds.page()] == ["undated"]


def test_a_closed_hold_stands_no_longer(store: Store, run: RunId) -> None:
    held(store, run)
    store.holds.close(person(store), NEWS)
    assert store.holds.page(None) == []
    assert cell(store).hold is None
    assert store.cells.counts().held == 0
    assert held(store, run)


def test_an_answer_has_the_cell_decided_again_and_is_in_the_ledger(store: Store, run: RunId) -> None:
    held(store, run)
    settled(store, run)
    (row,) = store.holds.page()
    assert store.holds.release([row.id, row.id, 999], Operator("ops", "asked her")) == 1
    assert store.holds.release([row.id]) == 0
    assert (person(store), NEWS) in dirty_topics(store)
    assert store.holds.page() == []
    assert [hold.id for hold in store.holds.page(HoldState.RELEASED)] == [row.id]
    *_, last = store.ledger.export()
    assert (last["kind"], last["person"], last["body"]["by"]) == ("released", person(store), "ops")


def test_an_answer_given_during_a_run_is_not_lost_to_it(store: Store, clock: Clock, run: RunId) -> None:
    """The run decided before the operator answered; settling afterwards must not clean the cell."""
    held(store, run)
    decided_on = cell(store)
    clock.tick()
    store.holds.release([hold.id for hold in store.holds.page()])
    store.cells.settle(run, [Settlement(decided_on.person, NEWS, decided_on.ground)])
    assert (decided_on.person, NEWS) in dirty_topics(store)
    clock.tick()
    later = begun(store)
    store.cells.settle(later, [Settlement(decided_on.person, NEWS, decided_on.ground)])
    assert (decided_on.person, NEWS) not in dirty_topics(store)


def test_all_open_holds_of_one_reason_are_released_together(store: Store, run: RunId) -> None:
    held(store, run, reason="first_run")
    held(store, run, BOB, reason="first_run")
    store.holds.open(run, person(store), OFFERS, reason="undated", why="w", ground="g")
    assert store.holds.release_all("first_run") == 2
    assert [hold.reason for hold in store.holds.page()] == ["undated"]
    assert store.holds.release_all("first_run") == 0


def test_holds_are_listed_in_pages(store: Store, run: RunId) -> None:
    held(store, run)
    held(store, run, BOB)
    (first,) = store.holds.page(limit=1)
    (second,) = store.holds.page(limit=1, after=first.id)
    assert [first.person, second.person] == [person(store), person(store, BOB)]
    assert store.holds.page(reason="undated") == []


# inbox


@pytest.mark.parametrize(
    "hint", [Hint(id="p1"), Hint(address="new@example.com"), Hint(id="p1", address="new@example.com")]
)
def test_a_hint_is_kept_as_it_was(store: Store, run: RunId, hint: Hint) -> None:
    store.retry_queue.add(MINE, hint=hint, error="timed out")
    (kept,) = store.retry_queue.of(MINE)
    assert (kept.hint, kept.person) == (hint, None)
    assert store.retry_queue.of(THEIRS) == []
    store.retry_queue.drop(kept.id)
    assert store.retry_queue.of(MINE) == []


def test_a_person_is_kept_by_number(store: Store, run: RunId) -> None:
    store.retry_queue.add(MINE, person=person(store), error="timed out")
    (kept,) = store.retry_queue.of(MINE)
    assert (kept.person, kept.hint) == (person(store), Hint())


def test_an_item_queued_again_survives_removal_of_the_first(store: Store, run: RunId) -> None:
    store.retry_queue.add(MINE, person=person(store), error="timed out")
    (first,) = store.retry_queue.of(MINE)
    store.retry_queue.add(MINE, person=person(store), error="timed out again")
    (second,) = store.retry_queue.of(MINE)
    store.retry_queue.drop(first.id)
    assert store.retry_queue.of(MINE) == [second]


def test_the_inbox_keeps_either_a_hint_or_a_person(store: Store, run: RunId) -> None:
    with pytest.raises(ValueError, match="either"):
        store.retry_queue.add(MINE, error="nothing")
    with pytest.raises(ValueError, match="either"):
        store.retry_queue.add(MINE, hint=Hint(id="1"), person=person(store), error="both")
