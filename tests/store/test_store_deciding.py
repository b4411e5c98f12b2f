"""Dirty cells, settling, attempts, holds, the inbox, runs and facts."""

from __future__ import annotations

from dataclasses import replace

import pytest
import sqlalchemy as sa

from bridge.core.model import Agreement, PersonId, RunId
from bridge.core.store_values import AttemptState, Counts, LedgerEntry, RunKind, Settlement
from bridge.store import Store
from bridge.store.cells import _DIRTY
from tests.store.helpers import (
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
    attempt,
    begun,
    body,
    cell,
    dirty_topics,
    ended,
    logged,
    news,
    person,
    seen,
    settled,
)

# dirty


def test_dirty_people_come_in_pages_with_all_their_cells(store: Store, run: RunId) -> None:
    settled(store, run)
    ann, bob = person(store), person(store, BOB)
    assert [one.person for (one, *_) in store.cells.dirty(None, 10)] == [ann, bob]
    (page,) = store.cells.dirty(None, 1)
    assert [(one.person, one.topic) for one in page] == [(ann, NEWS), (ann, OFFERS)]  # the clean one too
    (page,) = store.cells.dirty(ann, 10)
    assert {one.person for one in page} == {bob}
    assert store.cells.dirty(bob, 10) == []


def test_dirty_cells_are_found_by_their_own_index(store: Store) -> None:
    if store._unit.engine.dialect.name != "sqlite":
        pytest.skip("PostgreSQL plans by statistics, which an empty table has none of")
    query = str(_DIRTY.compile(dialect=store._unit.engine.dialect))
    with store._unit.read() as conn:
        plan = conn.exec_driver_sql(f"EXPLAIN QUERY PLAN {query}", (1, 5, 0)).all()
    assert "ix_cells_dirty" in str(plan)


# settling


def test_what_is_agreed_comes_back_as_it_was_given(store: Store, run: RunId) -> None:
    now = cell(store)
    agreed = Agreement(IN, at(-9), "newer_opt_in", at(1.000001), {MINE: "v1"}, ("DAILY", "WEEKLY"))
    store.cells.settle(run, [Settlement(now.person, NEWS, now.ground, agreed)])
    assert cell(store).agreed == agreed
    assert store.cells.counts().waiting == 3


def test_nothing_agreed_is_decided_all_the_same(store: Store, run: RunId) -> None:
    now = cell(store)
    store.cells.settle(run, [Settlement(now.person, NEWS, now.ground)])
    assert cell(store).agreed is None
    assert store.cells.counts().waiting == 3


def test_an_agreement_on_ground_that_moved_is_stored_and_the_cell_decided_again(
    store: Store, run: RunId
) -> None:
    settled(store, run)
    now = cell(store)
    store.observations.record([news(ANN, IN, 5)], THEIRS, run=run)
    store.cells.settle(run, [Settlement(now.person, NEWS, now.ground, agreement(now, IN, 3))])
    agreed = cell(store).agreed
    assert agreed is not None
    assert agreed.choice is IN
    assert (now.person, NEWS) in dirty_topics(store)


def test_no_ground_leaves_the_cell_to_be_decided(store: Store, run: RunId) -> None:
    settled(store, run)
    now = cell(store)
    store.cells.settle(run, [Settlement(now.person, NEWS, "", agreement(now))])
    assert (now.person, NEWS) in dirty_topics(store)


def test_settlements_and_their_ledger_are_stored_together_or_not_at_all(store: Store, run: RunId) -> None:
    now = cell(store)
    entry = LedgerEntry("agreed", {}, now.person, NEWS)
    good = Settlement(now.person, NEWS, now.ground, agreement(now), entry)
    with pytest.raises(LookupError):
        store.cells.settle(run, [good, replace(good, person=PersonId(999))])
    assert cell(store).agreed is None
    assert store.ledger.verify().entries == 0
    store.cells.settle(run, [good])
    assert [entry["kind"] for entry in store.ledger.export()] == ["agreed", "settled"]
    store.cells.settle(run, [])


# attempts


def test_an_attempt_is_known_before_it_is_sent(store: Store, run: RunId) -> None:
    settled(store, run)
    number = attempt(store, run, NEWS, NEWS)
    (found,) = store.attempts.in_doubt()
    assert (found.id, found.run, found.person, found.side) == (number, run, person(store), THEIRS)
    assert (found.state, found.begun_at, found.body) == (AttemptState.BEGUN, START, body(NEWS, NEWS))
    assert store.cells.counts().unproven == 1
    assert cell(store).in_doubt_since == {THEIRS: START}
    assert cell(store, topic=OFFERS).in_doubt_since == {}
    assert (person(store), NEWS) in dirty_topics(store)


def test_a_proven_attempt_stores_all_it_proves(store: Store, clock: Clock, run: RunId) -> None:
    number = attempt(store, run, NEWS)
    sent, read = clock.tick(), clock.tick()
    back = news(ANN, IN, 2)
    ended(store, run, number, AttemptState.DONE, written_at=sent, topics=[NEWS], views=[back])
    after = cell(store)
    assert after.written_at == {THEIRS: sent}
    assert after.seen[THEIRS] == seen(IN, 2)
    assert after.seen[THEIRS].read_at == read
    assert after.in_doubt_since == {}
    assert store.attempts.in_doubt() == []
    assert [entry["kind"] for entry in store.ledger.export()] == ["decided", "outcome"]
    assert [one.state for one in store.attempts.of(after.person)] == [AttemptState.DONE]


def test_a_read_begun_before_our_write_shows_nothing_of_it(store: Store, clock: Clock, run: RunId) -> None:
    number = attempt(store, run, NEWS)
    ended(store, run, number, AttemptState.DONE, written_at=at(5), topics=[NEWS], views=[news(ANN, IN, 6)])
    store.observations.record([news(ANN, OUT, 4.9)], THEIRS, run=run)
    assert cell(store).seen[THEIRS] == seen(IN, 6)
    assert cell(store, topic=OFFERS).written_at == {}
    assert cell(store, BOB).written_at == {}


def test_an_attempt_that_ends_halfway_ends_not_at_all(store: Store, run: RunId) -> None:
    number = attempt(store, run, NEWS)
    broken = LedgerEntry("outcome", {"n": object()})
    with pytest.raises(TypeError):
        ended(
            store,
            run,
            number,
            AttemptState.DONE,
            ledger=broken,
            written_at=at(5),
            topics=[NEWS],
            views=[news(ANN, IN, 6)],
        )
    assert [one.state for one in store.attempts.in_doubt()] == [AttemptState.BEGUN]
    assert cell(store).written_at == {}
    assert cell(store).seen[THEIRS] == seen(OUT)


def test_an_unknown_outcome_stays_in_doubt_since_it_ended(store: Store, clock: Clock, run: RunId) -> None:
    number = attempt(store, run, NEWS)
    clock.tick(30)
    ended(store, run, number, AttemptState.IN_DOUBT, error="timed out")
    assert cell(store).in_doubt_since == {THEIRS: at(30)}
    assert [one.state for one in store.attempts.in_doubt()] == [AttemptState.IN_DOUBT]
    assert store.cells.counts().unproven == 1


def test_an_end_of_no_attempt_is_refused(store: Store, run: RunId) -> None:
    with pytest.raises(LookupError):
        ended(store, run, 999, AttemptState.DONE)


def test_unfollowed_writes_are_counted_until_the_cell_is_agreed(store: Store, run: RunId) -> None:
    for state, written in [
        (AttemptState.FAILED, at(1)),  # accepted, and not followed
        (AttemptState.FAILED, at(2)),
        (AttemptState.FAILED, None),  # never accepted
        (AttemptState.DONE, at(3)),
    ]:
        number = attempt(store, run, NEWS)
        ended(store, run, number, state, written_at=written, topics=[NEWS])
    assert store.attempts.ineffective(person(store), NEWS) == 2
    assert store.attempts.ineffective(person(store), OFFERS) == 0
    assert store.attempts.ineffective(person(store, BOB), NEWS) == 0
    now = cell(store)
    store.cells.settle(run, [Settlement(now.person, NEWS, now.ground)])
    assert store.attempts.ineffective(now.person, NEWS) == 2  # decided, not agreed
    settled(store, run)
    assert store.attempts.ineffective(now.person, NEWS) == 0


@pytest.mark.parametrize("end", ["agreed", "tried again", "dismissed", "hold closed"])
def test_a_write_given_up_waits_until_it_no_longer_matters(store: Store, run: RunId, end: str) -> None:
    number = attempt(store, run, NEWS)
    ended(store, run, number, AttemptState.DEAD, error="no", error_code="E1")
    who = person(store)
    store.holds.open(run, who, NEWS, reason="refused", why="no", ground=cell(store).ground)
    settled(store, run, BOB)
    assert store.cells.counts().dead == 1
    match end:
        case "agreed":
            settled(store, run)
        case "tried again":
            attempt(store, run, NEWS)
        case "dismissed":
            store.holds.dismiss([hold.id for hold in store.holds.page()])
        case _:
            store.holds.close(who, NEWS)
    assert store.cells.counts().dead == 0
    assert number in [one.id for one in store.attempts.of(who)]  # kept all the same


def test_errors_of_vendors_are_stored_without_addresses(store: Store, run: RunId) -> None:
    number = attempt(store, run, NEWS)
    error = f"no such contact: {ANN}"
    entry = LedgerEntry("outcome", {"error": error, "shown": "a…@example.com"})
    ended(store, run, number, AttemptState.DEAD, ledger=entry, error=error)
    store.holds.open(run, person(store), NEWS, reason="refused", why=error, ground="g")
    store.retry_queue.add(THEIRS, person=person(store), error=error)
    store.runs.end(run, "failed", {"warnings": [error]})
    assert _tables_that_hold(store, ANN) == ["people"]


def _tables_that_hold(store: Store, text: str) -> list[str]:
    found = []
    with store._unit.read() as conn:
        for name in sorted(sa.inspect(conn).get_table_names()):
            rows = conn.exec_driver_sql(f"SELECT * FROM {name}").all()  # noqa: S608
            if text in str(rows):
                found.append(name)
    return found


# runs and facts


def test_runs_are_numbered_and_listed_with_their_reports(store: Store, clock: Clock) -> None:
    first = store.runs.begin(RunKind.FIRST)
    clock.tick(60)
    second = store.runs.begin(RunKind.FULL)
    store.runs.end(first, "done", {"held": 3})
    newest, oldest = store.runs.last(5)
    assert first != second
    assert (newest.id, newest.kind, newest.state, newest.ended_at) == (second, RunKind.FULL, "running", None)
    assert (oldest.id, oldest.started_at, oldest.ended_at) == (first, START, at(60))
    assert oldest.report == {"held": 3}
    assert [row.id for row in store.runs.last(1)] == [second]
    with pytest.raises(LookupError):
        store.runs.end(RunId("unknown"), "done", {})


def test_a_run_ends_in_a_known_state_only(store: Store) -> None:
    with pytest.raises(sa.exc.IntegrityError):
        store.runs.end(begun(store), "perhaps", {})


def test_facts_are_kept(store: Store) -> None:
    assert store.key_values.get("epoch") is None
    store.key_values.set("epoch", "1")
    store.key_values.set("epoch", "2")
    assert store.key_values.get("epoch") == "2"
    assert store.facts.first_run_completed is None
    store.facts.first_run_completed = START
    assert store.facts.first_run_completed == START
    assert store.key_values.get("first_run_completed") == "2026-03-01T12:00:00Z"


def test_an_empty_state_db_waits_for_nothing(store: Store) -> None:
    assert store.cells.counts() == Counts(0, 0, 0, 0)
    assert store.people.find(ANN) is None
    assert store.cells.of(PersonId(1)) == []
    assert store.cells.dirty(None, 10) == []
    assert list(store.people.known()) == []


def test_absent_people_have_their_own_history(store: Store, run: RunId) -> None:
    settled(store, run)
    settled(store, run, BOB)
    logged(store, run, LedgerEntry("outcome", {"n": 1}, person(store)))
    assert [entry["kind"] for entry in store.ledger.history(person(store))] == ["agreed", "outcome"]
    assert [entry["kind"] for entry in store.ledger.history(person(store), OFFERS)] == ["outcome"]
    assert store.observations.record([news(ANN, UNSET, 9, present=False)], THEIRS, run=run).dirtied == 1
