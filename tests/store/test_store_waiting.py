"""What waits: holds for a person at the desk, the inbox for another read."""

from __future__ import annotations

import pytest

from bridge.core.model import HoldState, RunId, StandingHold
from bridge.core.ports import Hint
from bridge.core.store_port import LedgerEntry, Settlement
from bridge.store import Store
from tests.store.desk import (
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
    return store.open_hold(
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
    (row,) = store.holds()
    assert (row.person, row.topic, row.reason, row.why) == (person(store), NEWS, "conflict", "both changed")
    assert (row.ground, row.state, row.opened_at) == ("g", HoldState.OPEN, START)
    assert row.proposed == ({"topic": NEWS, "kind": "withdrawal"},)
    assert cell(store).hold == StandingHold("conflict", "g", HoldState.OPEN)
    assert store.counts().held == 1


def test_the_same_hold_is_opened_once(store: Store, run: RunId) -> None:
    held(store, run)
    (row,) = store.holds()
    assert held(store, run) is False
    assert store.holds() == [row]
    assert store.verify_ledger().entries == 1


def test_new_ground_for_the_same_reason_keeps_the_age(store: Store, clock: Clock, run: RunId) -> None:
    held(store, run)
    clock.tick(60)
    assert held(store, run, ground="other")
    (row,) = store.holds()
    assert (row.ground, row.opened_at) == ("other", START)


@pytest.mark.parametrize("answer", [HoldState.RELEASED, HoldState.DISMISSED])
def test_an_answer_binds_on_its_ground_only(
    store: Store, clock: Clock, run: RunId, answer: HoldState
) -> None:
    held(store, run)
    (row,) = store.holds()
    assert (store.release if answer is HoldState.RELEASED else store.dismiss)([row.id]) == 1
    assert held(store, run) is False
    assert cell(store).hold == StandingHold("conflict", "g", answer)
    assert held(store, run, ground="other")
    assert cell(store).hold == StandingHold("conflict", "other", HoldState.OPEN)


def test_another_reason_takes_the_place_of_the_first(store: Store, run: RunId) -> None:
    held(store, run)
    assert held(store, run, reason="undated")
    assert [hold.reason for hold in store.holds()] == ["undated"]


def test_a_closed_hold_stands_no_longer(store: Store, run: RunId) -> None:
    held(store, run)
    store.close_hold(person(store), NEWS)
    assert store.holds(None) == []
    assert cell(store).hold is None
    assert store.counts().held == 0
    assert held(store, run)


def test_an_answer_has_the_cell_decided_again_and_is_in_the_ledger(store: Store, run: RunId) -> None:
    held(store, run)
    settled(store, run)
    (row,) = store.holds()
    assert store.release([row.id, row.id, 999], by="desk") == 1
    assert store.release([row.id]) == 0
    assert (person(store), NEWS) in dirty_topics(store)
    assert store.holds() == []
    assert [hold.id for hold in store.holds(HoldState.RELEASED)] == [row.id]
    *_, last = store.export_ledger()
    assert (last["kind"], last["person"], last["body"]["by"]) == ("released", person(store), "desk")


def test_an_answer_given_during_a_run_is_not_lost_to_it(store: Store, clock: Clock, run: RunId) -> None:
    """The run decided before the desk spoke; what it settles afterwards must not put the cell to rest."""
    held(store, run)
    decided_on = cell(store)
    clock.tick()
    store.release([hold.id for hold in store.holds()])
    store.settle(run, [Settlement(decided_on.person, NEWS, decided_on.ground)])
    assert (decided_on.person, NEWS) in dirty_topics(store)
    clock.tick()
    later = begun(store)
    store.settle(later, [Settlement(decided_on.person, NEWS, decided_on.ground)])
    assert (decided_on.person, NEWS) not in dirty_topics(store)


def test_all_open_holds_of_one_reason_are_released_together(store: Store, run: RunId) -> None:
    held(store, run, reason="first_run")
    held(store, run, BOB, reason="first_run")
    store.open_hold(run, person(store), OFFERS, reason="undated", why="w", ground="g")
    assert store.release_all("first_run") == 2
    assert [hold.reason for hold in store.holds()] == ["undated"]
    assert store.release_all("first_run") == 0


def test_holds_are_listed_in_pages(store: Store, run: RunId) -> None:
    held(store, run)
    held(store, run, BOB)
    (first,) = store.holds(limit=1)
    (second,) = store.holds(limit=1, after=first.id)
    assert [first.person, second.person] == [person(store), person(store, BOB)]
    assert store.holds(reason="undated") == []


# inbox


@pytest.mark.parametrize(
    "hint", [Hint(id="p1"), Hint(address="new@example.com"), Hint(id="p1", address="new@example.com")]
)
def test_a_hint_is_kept_as_it_was(store: Store, run: RunId, hint: Hint) -> None:
    store.add_retry(MINE, hint=hint, error="timed out")
    (kept,) = store.inbox(MINE)
    assert (kept.hint, kept.person) == (hint, None)
    assert store.inbox(THEIRS) == []
    store.drop_retry(kept.id)
    assert store.inbox(MINE) == []


def test_a_person_is_kept_by_number(store: Store, run: RunId) -> None:
    store.add_retry(MINE, person=person(store), error="timed out")
    (kept,) = store.inbox(MINE)
    assert (kept.person, kept.hint) == (person(store), Hint())


def test_what_is_kept_again_outlives_the_dropping_of_the_first(store: Store, run: RunId) -> None:
    store.add_retry(MINE, person=person(store), error="timed out")
    (first,) = store.inbox(MINE)
    store.add_retry(MINE, person=person(store), error="timed out again")
    (second,) = store.inbox(MINE)
    store.drop_retry(first.id)
    assert store.inbox(MINE) == [second]


def test_the_inbox_keeps_either_a_hint_or_a_person(store: Store, run: RunId) -> None:
    with pytest.raises(ValueError, match="either"):
        store.add_retry(MINE, error="nothing")
    with pytest.raises(ValueError, match="either"):
        store.add_retry(MINE, hint=Hint(id="1"), person=person(store), error="both")
