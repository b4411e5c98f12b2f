"""What the bridge has written recently."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa

from bridge.core.store_values import AttemptState
from bridge.store import Store
from tests.store.helpers import (
    ANN,
    BOB,
    IN,
    MINE,
    NEWS,
    OUT,
    START,
    THEIRS,
    Clock,
    at,
    attempt,
    begun,
    cell,
    ended,
    news,
    person,
)


def raise_of(said: float, kind: str = "raise") -> list[dict[str, Any]]:
    """The writes of an attempt that opts in, on a statement of that time."""
    evidence = {"changed_at": at(said).isoformat().replace("+00:00", "Z")}
    return [{"topic": NEWS, "side": THEIRS.value, "kind": kind, "evidence": evidence}]


def test_it_returns_the_records_of_people_with_a_started_write(store: Store) -> None:
    run = begun(store)
    store.observations.record([news(ANN, IN, 0, "7"), news(BOB, IN, 0, "8")], THEIRS, run=run)
    store.observations.record([news(BOB, IN, 0, "9")], MINE, run=run)
    attempt(store, run, NEWS)
    attempt(store, run, NEWS, address=BOB, side=MINE)
    assert store.attempts.written_since(THEIRS, ["7", "8", "99"], at(-60)) == {"7"}
    assert store.attempts.written_since(MINE, ["9"], at(-60)) == {"9"}
    assert store.attempts.written_since(THEIRS, ["7", "8"], at(60)) == set()
    assert store.attempts.written_since(THEIRS, [], at(-60)) == set()


def test_the_window_counts_people_by_the_writes_begun_in_it(store: Store, clock: Clock) -> None:
    run = begun(store)
    store.observations.record([news(ANN, IN), news(BOB, IN)], THEIRS, run=run)
    attempt(store, run, NEWS, writes=raise_of(-90))
    clock.tick(10)
    for _ in range(2):
        attempt(store, run, NEWS, address=BOB, writes=raise_of(-30))
    attempt(store, run, NEWS)
    ann, bob = person(store), person(store, BOB)
    minute = START.replace(minute=59, hour=11)
    use = store.attempts.window(at(-60), 10)
    assert (use.raised, use.withdrawn) == ({ann, bob}, 1)
    assert use.said == {(MINE, minute): {bob}, (MINE, minute.replace(minute=58)): {ann}}
    later = store.attempts.window(at(5), 10)
    assert (later.raised, later.withdrawn) == ({bob}, 1)
    assert store.attempts.window(at(20), 10).withdrawn == 0
    assert store.attempts.window(at(-60), 0).withdrawn == 0


def test_the_window_is_found_by_its_own_indexes(store: Store) -> None:
    if store._unit.engine.dialect.name != "sqlite":
        pytest.skip("PostgreSQL plans by statistics, which an empty table has none of")
    plans: list[str] = []
    engine = store._unit.engine

    def explain(_conn: Any, cursor: Any, statement: str, values: Any, *_: Any) -> None:
        if "begun_at" in statement:
            cursor.execute(f"EXPLAIN QUERY PLAN {statement}", values)
            plans.append(str(cursor.fetchall()))

    sa.event.listen(engine, "before_cursor_execute", explain)
    store.attempts.window(at(-60), 10)
    sa.event.remove(engine, "before_cursor_execute", explain)
    for index, plan in zip(("ix_attempts_raises", "ix_attempts_withdrawals"), plans, strict=True):
        assert f"INDEX {index} " in plan


def test_a_cell_knows_when_it_was_opted_in_and_proven(store: Store, clock: Clock) -> None:
    """A change of frequency opts nobody in, nor does a write without effect."""
    run = begun(store)
    store.observations.record([news(ANN, OUT)], THEIRS, run=run)
    for kind, state in (
        ("raise", AttemptState.DONE),
        ("raise", AttemptState.FAILED),
        ("adjustment", AttemptState.DONE),
        ("raise", AttemptState.DONE),
    ):
        ended(store, run, attempt(store, run, NEWS, writes=raise_of(-30, kind)), state)
        clock.tick()
    assert cell(store).raised_at == (at(0), at(3))
