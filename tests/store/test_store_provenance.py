"""What our writes said, what is agreed by their receipts, and what an upgrade makes of older state DBs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config

from bridge.core.model import RunId
from bridge.core.own_writes import OwnWrite
from bridge.core.store_values import AttemptStarted, AttemptState, LedgerEntry, Receipt
from bridge.store import Store, migrate
from bridge.store import tables as t
from bridge.store.columns import EPOCH
from bridge.store.engine import make_engine
from tests.prepared import real_migrations
from tests.store.helpers import (
    ANN,
    BOB,
    DECIDED,
    IN,
    MINE,
    NEWS,
    OUT,
    OUTCOME,
    START,
    THEIRS,
    Clock,
    agreement,
    at,
    attempt,
    begun,
    cell,
    ended,
    news,
    person,
    settled,
)

__all__ = ["real_migrations"]


@pytest.fixture
def run(store: Store) -> RunId:
    """A run in which both sides have shown one person."""
    started = begun(store)
    for side in (MINE, THEIRS):
        store.observations.record([news(ANN, IN), news(BOB, OUT)], side, run=started)
    return started


def receipt(store: Store, *, when: float = 0, ledger: LedgerEntry | None = None) -> Receipt:
    """What both sides show is agreed by a write to Dotdigital, as of the cell as it stands."""
    now = cell(store)
    entry = ledger or LedgerEntry("agreed", {}, now.person, NEWS)
    return Receipt(now.person, NEWS, agreement(now, now.seen[MINE].choice, when), entry, {THEIRS}, now)


# what was written


def test_a_write_is_known_with_the_date_it_carries_from_before_it_is_sent(store: Store, run: RunId) -> None:
    said = at(-60)
    writes = [
        {"topic": NEWS, "kind": "raise", "evidence": {"changed_at": said.isoformat().replace("+00:00", "Z")}}
    ]
    store.attempts.begin(run, THEIRS, [AttemptStarted(person(store), {"writes": writes}, DECIDED)])
    assert cell(store).own_writes == {THEIRS: [OwnWrite(False, said, START)]}
    with store._unit.read() as conn:
        assert conn.scalars(sa.select(t.attempts.c.raises)).all() == [True]
    assert cell(store, BOB).own_writes == {}


def test_a_proven_write_is_known_with_the_date_that_it_shows(store: Store, clock: Clock, run: RunId) -> None:
    number = attempt(store, run, NEWS)
    clock.tick(5)
    ended(store, run, number, AttemptState.DONE, topics=[NEWS], shown={NEWS: at(3)})
    assert cell(store).own_writes == {THEIRS: [OwnWrite(True, None, START, at(3), may_apply=False)]}


@pytest.mark.parametrize("state", [AttemptState.IN_DOUBT, AttemptState.FAILED])
def test_a_write_that_may_still_be_applied_is_never_forgotten(
    store: Store, clock: Clock, run: RunId, state: AttemptState
) -> None:
    number = attempt(store, run, NEWS)
    ended(store, run, number, state, topics=[NEWS], may_apply=True)
    settled(store, run)
    clock.tick(365 * 86_400)
    assert [one.may_apply for one in cell(store).own_writes[THEIRS]] == [True]


def test_a_write_that_was_never_applied_is_nothing_of_ours(store: Store, run: RunId) -> None:
    ended(store, run, attempt(store, run, NEWS), AttemptState.DEAD, error="no")
    assert cell(store).own_writes == {}


# what is agreed by it


def test_a_receipt_and_what_is_agreed_by_it_are_stored_together_or_not_at_all(
    store: Store, clock: Clock, run: RunId
) -> None:
    number = attempt(store, run, NEWS)
    clock.tick()
    broken = receipt(store, ledger=LedgerEntry("agreed", {"n": object()}))
    with pytest.raises(TypeError):
        ended(store, run, number, AttemptState.DONE, topics=[NEWS], receipts=[broken])
    assert cell(store).agreed is None
    assert [one.state for one in store.attempts.in_doubt()] == [AttemptState.BEGUN]
    ended(store, run, number, AttemptState.DONE, topics=[NEWS], receipts=[receipt(store)])
    assert cell(store).agreed == receipt(store).agreement
    assert store.attempts.in_doubt() == []
    assert store.cells.dirty(None, 10) == [store.cells.of(person(store, BOB))]


@pytest.mark.parametrize("newer", ["decided later", "said later"])
def test_an_old_act_is_not_agreed_over_a_newer_agreement(
    store: Store, clock: Clock, run: RunId, newer: str
) -> None:
    old = receipt(store, when=-10)
    if newer == "said later":
        settled(store, run, choice=IN)
    clock.tick()
    number = attempt(store, run, NEWS)
    clock.tick()
    if newer == "decided later":
        now = cell(store)
        late = agreement(now, IN, 5)
        other = Receipt(now.person, NEWS, late, OUTCOME, {THEIRS}, now)
        ended(store, run, attempt(store, run, NEWS), AttemptState.DONE, receipts=[other])
    agreed = cell(store).agreed
    assert agreed is not None
    ended(store, run, number, AttemptState.DONE, topics=[NEWS], receipts=[old])
    assert cell(store).agreed == agreed


def test_an_old_act_is_not_agreed_over_one_that_was_stored_later_by_a_clock_that_went_back(
    store: Store, clock: Clock, run: RunId
) -> None:
    old = receipt(store)
    number = attempt(store, run, NEWS)
    clock.tick(-3600)
    now = cell(store)
    late = replace(agreement(now, OUT), decided_at=clock())
    other = Receipt(now.person, NEWS, late, OUTCOME, {THEIRS}, now)
    ended(store, run, attempt(store, run, NEWS), AttemptState.DONE, receipts=[other])
    ended(store, run, number, AttemptState.DONE, topics=[NEWS], receipts=[old])
    assert cell(store).agreed == late


def test_what_changed_at_the_other_side_during_a_write_is_decided(store: Store, run: RunId) -> None:
    decided = receipt(store)
    number = attempt(store, run, NEWS)
    store.observations.record([news(ANN, OUT, 1)], MINE, run=run)
    ended(store, run, number, AttemptState.DONE, topics=[NEWS], receipts=[decided])
    assert [cells[0].person for cells in store.cells.dirty(None, 10)] == [person(store), person(store, BOB)]


def test_a_hold_closes_with_the_receipt_of_what_it_held(store: Store, run: RunId) -> None:
    store.holds.open(run, person(store), NEWS, reason="first_run", why="w", ground=cell(store).ground)
    store.holds.release([one.id for one in store.holds.page()])
    number = attempt(store, run, NEWS)
    ended(store, run, number, AttemptState.DONE, topics=[NEWS], receipts=[receipt(store)])
    assert cell(store).hold is None
    assert person(store) not in [cells[0].person for cells in store.cells.dirty(None, 10)]


# state DBs of earlier versions


@pytest.fixture
def older(url: str, real_migrations: None) -> Iterator[sa.Engine]:
    """A state DB whose schema is that of the revision before."""
    engine = make_engine(url)
    config = Config()
    config.set_main_option("script_location", str(migrate.scripts()))
    with engine.begin() as conn:
        config.attributes["connection"] = conn
        command.upgrade(config, "0007")
    yield engine
    engine.dispose()


def insert(engine: sa.Engine, table: str, *rows: dict[str, Any]) -> None:
    with engine.begin() as conn:
        for row in rows:
            conn.execute(sa.insert(sa.table(table, *map(sa.column, row))).values(row))


def micros(when: datetime) -> int:
    return (when - EPOCH) // timedelta(microseconds=1)


def known(number: int, address: str) -> dict[str, Any]:
    return {"id": number, "address": address, "address_key": address.casefold(), "created_at": 1}


AGREED = {"agreed_at": 1, "agreed_rule": "agreement", "agreed_decided_at": 1, "agreed_frequencies": "[]"}


def test_older_address_keys_become_those_of_the_address_that_is_known(
    older: sa.Engine, url: str, clock: Clock
) -> None:
    """Case folding made one person of two: what was agreed on an opt-in may be the other's."""
    composed, apart = "zo\u00eb@example.com", "zoe\u0308@example.com"
    insert(
        older, "people", known(1, "Straße@example.com"), known(2, ANN), known(3, composed), known(4, apart)
    )
    cells = [(1, NEWS, IN), (1, "offers", OUT), (2, NEWS, IN)]
    for number, topic, choice in cells:
        row = {"person_id": number, "topic": topic, "dirty": False, "agreed_choice": choice.value, **AGREED}
        insert(older, "cells", row)
    migrate.upgrade(url)
    with Store.open(url, clock) as store:
        assert person(store, "STRAßE@example.com") == 1
        assert store.people.find("strasse@example.com") is None
        assert person(store, composed) == person(store, apart) == 3
        assert cell(store, "straße@example.com").agreed is None
        assert cell(store, "straße@example.com", topic="offers").agreed_out
        assert cell(store, ANN).agreed is not None
        assert store.facts.sweep_due == "addresses"


def test_where_no_key_changes_nobody_is_read_again(older: sa.Engine, url: str, clock: Clock) -> None:
    insert(older, "people", known(1, ANN), known(2, "BOB@example.com"))
    migrate.upgrade(url)
    with Store.open(url, clock) as store:
        assert person(store, BOB) == 2
        assert store.facts.sweep_due is None


@pytest.mark.parametrize(
    ("state", "error", "expected"),
    [
        ("done", None, (at(60), False)),
        ("in_doubt", "timed out", (None, True)),
        ("begun", None, (None, True)),
        ("failed", None, (None, True)),  # accepted, and not seen
        ("failed", "throttled", None),
        ("dead", "refused", None),
    ],
)
def test_older_writes_are_known_by_what_they_said(
    older: sa.Engine, url: str, clock: Clock, state: str, error: str | None, expected: object
) -> None:
    body = {"writes": [{"topic": NEWS, "kind": "withdrawal", "said_at": "2026-03-01T11:00:00Z"}]}
    insert(older, "people", known(1, ANN))
    insert(older, "runs", {"number": 1, "id": "r1", "kind": "full", "started_at": 1, "state": "running"})
    insert(older, "cells", {"person_id": 1, "topic": NEWS, "dirty": False})
    row = {"id": 1, "run": "r1", "person_id": 1, "side": "dotdigital", "body": json.dumps(body)}
    times = {"begun_at": micros(START), "ended_at": None if state == "begun" else micros(at(60))}
    insert(older, "attempts", row | times | {"state": state, "error": error})
    insert(older, "attempt_topics", {"attempt_id": 1, "topic": NEWS, "settled": False})
    migrate.upgrade(url)
    with Store.open(url, clock) as store:
        found = cell(store).own_writes.get(THEIRS, [])
    said = datetime.fromisoformat("2026-03-01T11:00:00+00:00")
    shown = [(one.shown_at, one.may_apply) for one in found if one.said_at == said and one.withdraws]
    assert shown == ([] if expected is None else [expected])
