"""Helpers of the store's tests: a manual clock, and short constructors of values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from bridge.core.model import Agreement, Cell, Choice, Observation, PersonId, RunId, Side, TopicId
from bridge.core.ports import PersonView
from bridge.core.store_values import (
    AttemptFinished,
    AttemptStarted,
    AttemptState,
    LedgerEntry,
    RunKind,
    Settlement,
)
from bridge.store import Store, ledger

MINE, THEIRS = Side.MYPREFERENCES, Side.DOTDIGITAL
IN, OUT, UNSET = Choice.OPTED_IN, Choice.OPTED_OUT, Choice.UNSET
NEWS, OFFERS = TopicId("newsletter"), TopicId("offers")
START = datetime(2026, 3, 1, 12, tzinfo=UTC)
ANN, BOB = "ann@example.com", "bob@example.com"
DECIDED, OUTCOME = LedgerEntry("decided", {}), LedgerEntry("outcome", {})


class Clock:
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        return self.now

    def tick(self, seconds: float = 1) -> datetime:
        self.now += timedelta(seconds=seconds)
        return self.now


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def seen(choice: Choice, read: float = 0, **more: Any) -> Observation:
    return Observation(choice, at(read), **more)


def view(
    address: str,
    topics: Mapping[TopicId, Observation],
    *ids: str,
    complete: bool = False,
) -> PersonView:
    return PersonView(address, ids, topics, complete)


def news(address: str, choice: Choice, read: float = 0, *ids: str, **more: Any) -> PersonView:
    """A view with the newsletter only."""
    return view(address, {NEWS: seen(choice, read, **more)}, *ids)


def begun(store: Store) -> RunId:
    return store.runs.begin(RunKind.INCREMENTAL)


def person(store: Store, address: str = ANN) -> PersonId:
    found = store.people.find(address)
    assert found is not None
    return found.person


def cell(store: Store, address: str = ANN, topic: TopicId = NEWS) -> Cell:
    return next(one for one in store.cells.of(person(store, address)) if one.topic == topic)


def agreement(of: Cell, choice: Choice = OUT, when: float = 0) -> Agreement:
    return Agreement(choice, at(when), "agreement", at(when), of.versions)


def settled(
    store: Store, run: RunId, address: str = ANN, choice: Choice = OUT, topic: TopicId = NEWS
) -> None:
    """Agree on a cell as it stands."""
    now = cell(store, address, topic)
    entry = LedgerEntry("agreed", {"choice": choice.value}, now.person, now.topic)
    store.cells.settle(run, [Settlement(now.person, now.topic, now.ground, agreement(now, choice), entry)])


def attempt(
    store: Store, run: RunId, *topics: TopicId, address: str = ANN, side: Side = THEIRS, **more: Any
) -> int:
    """Begin a write about these topics."""
    written = {**body(*topics, side=side), **more}
    (number,) = store.attempts.begin(run, side, [AttemptStarted(person(store, address), written, DECIDED)])
    return number


def ended(
    store: Store,
    run: RunId,
    number: int,
    state: AttemptState,
    *,
    address: str = ANN,
    ledger: LedgerEntry = OUTCOME,
    views: Sequence[PersonView] = (),
    **more: Any,
) -> None:
    """End a write to the other side."""
    end = AttemptFinished(number, person(store, address), state, ledger, **more)
    store.attempts.end(run, THEIRS, [end], views=views)


def logged(store: Store, run: RunId | None, *entries: LedgerEntry) -> None:
    """Add entries to the ledger that belong to no other change."""
    with store._unit.write() as conn:
        ledger.append(conn, run, entries, store._unit.clock())


def dirty_topics(store: Store) -> list[tuple[PersonId, TopicId]]:
    """What is dirty: settled without agreement, each cell of it would rest."""
    with store._unit.read() as conn:
        rows = conn.exec_driver_sql("SELECT person_id, topic FROM cells WHERE dirty ORDER BY 1, 2")
        return [(PersonId(row[0]), TopicId(row[1])) for row in rows]


def body(*topics: TopicId, side: Side = THEIRS) -> dict[str, Any]:
    """An attempt's body as the engine writes it, as far as the store reads it."""
    return {"writes": [{"topic": topic, "side": side.value, "kind": "withdrawal"} for topic in topics]}
