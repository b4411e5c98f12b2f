"""Dirty cells, settling, attempts, holds, the inbox, runs and facts."""

from __future__ import annotations

from dataclasses import replace

import pytest
import sqlalchemy as sa

from bridge.core.model import Agreement, HoldState, PersonId, RunId, StandingHold
from bridge.core.ports import Hint
from bridge.core.state import AttemptState, Counts, LedgerEntry, RunKind, Settlement
from bridge.store import Store
from tests.store.desk import (
    ANN,
    BOB,
    IN,
    MINE,
    NEWS,
    OFFERS,
    OUT,
    START,
    THEIRS,
    UNSET,
    Clock,
    agreement,
    at,
    begun,
    body,
    cell,
    dirty_topics,
    news,
    person,
    seen,
    settled,
    view,
)

DECIDED = LedgerEntry("decided", {})
OUTCOME = LedgerEntry("outcome", {})


@pytest.fixture
def run(store: Store) -> RunId:
    """A run, and two people who are in at one side and out at the other."""
    number = begun(store)
    both = {NEWS: seen(IN, changed_at=at(-9)), OFFERS: seen(IN)}
    store.record([view(ANN, both, "a"), view(BOB, both, "b")], MINE, run=number)
    store.record([news(ANN, OUT), news(BOB, OUT)], THEIRS, run=number)
    return number


def attempt(store: Store, run: RunId, *topics: str, address: str = ANN) -> int:
    return store.begin_attempt(run, person(store, address), THEIRS, body(*topics), DECIDED)  # type: ignore[arg-type]


# dirty


def test_dirty_people_come_in_pages_with_all_their_cells(store: Store, run: RunId) -> None:
    settled(store, run)
    ann, bob = person(store), person(store, BOB)
    assert [one.person for (one, *_) in store.dirty(None, 10)] == [ann, bob]
    (page,) = store.dirty(None, 1)
    assert [(one.person, one.topic) for one in page] == [(ann, NEWS), (ann, OFFERS)]  # the clean one too
    (page,) = store.dirty(ann, 10)
    assert {one.person for one in page} == {bob}
    assert store.dirty(bob, 10) == []


def test_dirty_cells_are_found_by_their_own_index(store: Store) -> None:
    if store._unit.engine.dialect.name != "sqlite":
        pytest.skip("PostgreSQL plans by statistics, which an empty table has none of")
    with store._unit.read() as conn:
        plan = conn.exec_driver_sql(
            "EXPLAIN QUERY PLAN SELECT DISTINCT person_id FROM cells WHERE dirty AND person_id > 1 LIMIT 5"
        ).all()
    assert "ix_cells_dirty" in str(plan)


# settling


def test_what_is_agreed_comes_back_as_it_was_given(store: Store, run: RunId) -> None:
    now = cell(store)
    agreed = Agreement(IN, at(-9), "newer_opt_in", at(1.000001), {MINE: "v1"}, ("DAILY", "WEEKLY"))
    store.settle(run, [Settlement(now.person, NEWS, now.ground, agreed)])
    assert cell(store).agreed == agreed
    assert store.counts().waiting == 3


def test_nothing_agreed_is_decided_all_the_same(store: Store, run: RunId) -> None:
    now = cell(store)
    store.settle(run, [Settlement(now.person, NEWS, now.ground)])
    assert cell(store).agreed is None
    assert store.counts().waiting == 3


def test_an_agreement_on_ground_that_moved_is_stored_and_the_cell_decided_again(
    store: Store, run: RunId
) -> None:
    settled(store, run)
    now = cell(store)
    store.record([news(ANN, IN, 5)], THEIRS, run=run)
    store.settle(run, [Settlement(now.person, NEWS, now.ground, agreement(now, IN, 3))])
    agreed = cell(store).agreed
    assert agreed is not None
    assert agreed.choice is IN
    assert (now.person, NEWS) in dirty_topics(store)


def test_no_ground_leaves_the_cell_to_be_decided(store: Store, run: RunId) -> None:
    settled(store, run)
    now = cell(store)
    store.settle(run, [Settlement(now.person, NEWS, "", agreement(now))])
    assert (now.person, NEWS) in dirty_topics(store)


def test_settlements_and_their_ledger_are_stored_together_or_not_at_all(store: Store, run: RunId) -> None:
    now = cell(store)
    entry = LedgerEntry("agreed", {}, now.person, NEWS)
    good = Settlement(now.person, NEWS, now.ground, agreement(now), entry)
    with pytest.raises(LookupError):
        store.settle(run, [good, replace(good, person=PersonId(999))])
    assert cell(store).agreed is None
    assert store.verify_ledger().entries == 0
    store.settle(run, [good])
    assert store.verify_ledger().entries == 1
    store.settle(run, [])


# attempts


def test_an_attempt_is_known_before_it_is_sent(store: Store, run: RunId) -> None:
    settled(store, run)
    number = attempt(store, run, NEWS, NEWS)
    (found,) = store.in_doubt()
    assert (found.id, found.run, found.person, found.side) == (number, run, person(store), THEIRS)
    assert (found.state, found.begun_at, found.body) == (AttemptState.BEGUN, START, body(NEWS, NEWS))
    assert store.counts().unproven == 1
    assert cell(store).in_doubt_since == {THEIRS: START}
    assert cell(store, topic=OFFERS).in_doubt_since == {}
    assert (person(store), NEWS) in dirty_topics(store)


def test_a_proven_attempt_stores_all_it_proves(store: Store, clock: Clock, run: RunId) -> None:
    number = attempt(store, run, NEWS)
    sent, read = clock.tick(), clock.tick()
    back = news(ANN, IN, 2)
    now = cell(store)
    store.end_attempt(
        run,
        number,
        AttemptState.DONE,
        ledger=OUTCOME,
        written_at=sent,
        topics=[NEWS],
        views=[back],
        settlements=[Settlement(now.person, NEWS, now.ground, agreement(now, IN))],
    )
    after = cell(store)
    assert after.written_at == {THEIRS: sent}
    assert after.seen[THEIRS] == seen(IN, 2)
    assert after.seen[THEIRS].read_at == read
    assert after.agreed is not None
    assert after.in_doubt_since == {}
    assert store.in_doubt() == []
    assert [entry["kind"] for entry in store.export_ledger()] == ["decided", "outcome"]
    assert [one.state for one in store.attempts(now.person)] == [AttemptState.DONE]


def test_a_read_begun_before_our_write_shows_nothing_of_it(store: Store, clock: Clock, run: RunId) -> None:
    number = attempt(store, run, NEWS)
    store.end_attempt(
        run,
        number,
        AttemptState.DONE,
        ledger=OUTCOME,
        written_at=at(5),
        topics=[NEWS],
        views=[news(ANN, IN, 6)],
    )
    store.record([news(ANN, OUT, 4.9)], THEIRS, run=run)
    assert cell(store).seen[THEIRS] == seen(IN, 6)
    assert cell(store, topic=OFFERS).written_at == {}
    assert cell(store, BOB).written_at == {}


def test_an_attempt_that_ends_halfway_ends_not_at_all(store: Store, run: RunId) -> None:
    number = attempt(store, run, NEWS)
    broken = Settlement(PersonId(999), NEWS, "")
    with pytest.raises(LookupError):
        store.end_attempt(
            run,
            number,
            AttemptState.DONE,
            ledger=OUTCOME,
            written_at=at(5),
            topics=[NEWS],
            views=[news(ANN, IN, 6)],
            settlements=[broken],
        )
    assert [one.state for one in store.in_doubt()] == [AttemptState.BEGUN]
    assert cell(store).written_at == {}
    assert cell(store).seen[THEIRS] == seen(OUT)


def test_an_unknown_outcome_stays_in_doubt_since_it_ended(store: Store, clock: Clock, run: RunId) -> None:
    number = attempt(store, run, NEWS)
    clock.tick(30)
    store.end_attempt(run, number, AttemptState.IN_DOUBT, ledger=OUTCOME, error="timed out")
    assert cell(store).in_doubt_since == {THEIRS: at(30)}
    assert [one.state for one in store.in_doubt()] == [AttemptState.IN_DOUBT]
    assert store.counts().unproven == 1


def test_an_end_of_no_attempt_is_refused(store: Store, run: RunId) -> None:
    with pytest.raises(LookupError):
        store.end_attempt(run, 999, AttemptState.DONE, ledger=OUTCOME)


def test_unfollowed_writes_are_counted_until_the_cell_is_agreed(store: Store, run: RunId) -> None:
    for state, written in [
        (AttemptState.FAILED, at(1)),  # accepted, and not followed
        (AttemptState.FAILED, at(2)),
        (AttemptState.FAILED, None),  # never accepted
        (AttemptState.DONE, at(3)),
    ]:
        number = attempt(store, run, NEWS)
        store.end_attempt(run, number, state, ledger=OUTCOME, written_at=written, topics=[NEWS])
    assert store.unfollowed(person(store), NEWS) == 2
    assert store.unfollowed(person(store), OFFERS) == 0
    assert store.unfollowed(person(store, BOB), NEWS) == 0
    now = cell(store)
    store.settle(run, [Settlement(now.person, NEWS, now.ground)])
    assert store.unfollowed(now.person, NEWS) == 2  # decided, not agreed
    settled(store, run)
    assert store.unfollowed(now.person, NEWS) == 0


@pytest.mark.parametrize("end", ["agreed", "tried again", "dismissed", "hold closed"])
def test_a_write_given_up_waits_until_it_no_longer_matters(store: Store, run: RunId, end: str) -> None:
    number = attempt(store, run, NEWS)
    store.end_attempt(run, number, AttemptState.DEAD, ledger=OUTCOME, error="no", error_code="E1")
    who = person(store)
    store.open_hold(run, who, NEWS, reason="refused", why="no", ground=cell(store).ground)
    settled(store, run, BOB)
    assert store.counts().dead == 1
    match end:
        case "agreed":
            settled(store, run)
        case "tried again":
            attempt(store, run, NEWS)
        case "dismissed":
            store.dismiss([hold.id for hold in store.holds()])
        case _:
            store.close_hold(who, NEWS)
    assert store.counts().dead == 0
    assert number in [one.id for one in store.attempts(who)]  # kept all the same


def test_errors_of_vendors_are_stored_without_addresses(store: Store, run: RunId) -> None:
    number = attempt(store, run, NEWS)
    error = f"no such contact: {ANN}"
    entry = LedgerEntry("outcome", {"error": error, "shown": "a…@example.com"})
    store.end_attempt(run, number, AttemptState.DEAD, ledger=entry, error=error)
    store.open_hold(run, person(store), NEWS, reason="refused", why=error, ground="g")
    store.keep_in_inbox(THEIRS, person=person(store), error=error)
    store.end_run(run, "failed", {"warnings": [error]})
    assert _tables_that_hold(store, ANN) == ["people"]


def _tables_that_hold(store: Store, text: str) -> list[str]:
    found = []
    with store._unit.read() as conn:
        for name in sorted(sa.inspect(conn).get_table_names()):
            rows = conn.exec_driver_sql(f"SELECT * FROM {name}").all()  # noqa: S608
            if text in str(rows):
                found.append(name)
    return found


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
    store.keep_in_inbox(MINE, hint=hint, error="timed out")
    (kept,) = store.inbox(MINE)
    assert (kept.hint, kept.person) == (hint, None)
    assert store.inbox(THEIRS) == []
    store.drop_from_inbox(kept.id)
    assert store.inbox(MINE) == []


def test_a_person_is_kept_by_number(store: Store, run: RunId) -> None:
    store.keep_in_inbox(MINE, person=person(store), error="timed out")
    (kept,) = store.inbox(MINE)
    assert (kept.person, kept.hint) == (person(store), Hint())


def test_what_is_kept_again_outlives_the_dropping_of_the_first(store: Store, run: RunId) -> None:
    store.keep_in_inbox(MINE, person=person(store), error="timed out")
    (first,) = store.inbox(MINE)
    store.keep_in_inbox(MINE, person=person(store), error="timed out again")
    (second,) = store.inbox(MINE)
    store.drop_from_inbox(first.id)
    assert store.inbox(MINE) == [second]


def test_the_inbox_keeps_either_a_hint_or_a_person(store: Store, run: RunId) -> None:
    with pytest.raises(ValueError, match="either"):
        store.keep_in_inbox(MINE, error="nothing")
    with pytest.raises(ValueError, match="either"):
        store.keep_in_inbox(MINE, hint=Hint(id="1"), person=person(store), error="both")


# runs and facts


def test_runs_are_numbered_and_listed_with_their_reports(store: Store, clock: Clock) -> None:
    first = store.begin_run(RunKind.FIRST)
    clock.tick(60)
    second = store.begin_run(RunKind.FULL)
    store.end_run(first, "done", {"held": 3})
    newest, oldest = store.last_runs(5)
    assert first != second
    assert (newest.id, newest.kind, newest.state, newest.ended_at) == (second, RunKind.FULL, "running", None)
    assert (oldest.id, oldest.started_at, oldest.ended_at) == (first, START, at(60))
    assert oldest.report == {"held": 3}
    assert [row.id for row in store.last_runs(1)] == [second]
    with pytest.raises(LookupError):
        store.end_run(RunId("unknown"), "done", {})


def test_a_run_ends_in_a_known_state_only(store: Store) -> None:
    with pytest.raises(sa.exc.IntegrityError):
        store.end_run(begun(store), "perhaps", {})


def test_facts_are_kept(store: Store) -> None:
    assert store.meta("epoch") is None
    store.set_meta("epoch", "1")
    store.set_meta("epoch", "2")
    assert store.meta("epoch") == "2"
    assert not store.first_run_completed()
    store.complete_first_run()
    assert store.first_run_completed()
    assert store.meta("first_run_completed") == "2026-03-01T12:00:00Z"


def test_an_empty_state_db_waits_for_nothing(store: Store) -> None:
    assert store.counts() == Counts(0, 0, 0, 0)
    assert store.find(ANN) is None
    assert store.cells(PersonId(1)) == []
    assert store.cells_count() == 0
    assert list(store.known()) == []


def test_absent_people_have_their_own_history(store: Store, run: RunId) -> None:
    settled(store, run)
    settled(store, run, BOB)
    store.ledger_append(run, [LedgerEntry("outcome", {"n": 1}, person(store))])
    assert [entry["kind"] for entry in store.history(person(store))] == ["agreed", "outcome"]
    assert [entry["kind"] for entry in store.history(person(store), OFFERS)] == ["outcome"]
    assert store.record([news(ANN, UNSET, 9, present=False)], THEIRS, run=run).dirtied == 1
