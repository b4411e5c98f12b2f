"""What is deleted once it is old, and what never is."""

from __future__ import annotations

from datetime import timedelta

import pytest
import sqlalchemy as sa

from bridge.core.store_values import RunKind
from bridge.store import Store, retention
from bridge.store import tables as t
from tests.store.helpers import ANN, IN, MINE, NEWS, THEIRS, Clock, attempt, begun, news

DAY = 86400.0


@pytest.fixture(autouse=True)
def few_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "NEWEST_KEPT", 3)
    monkeypatch.setattr(retention, "SLICE", 4)


def idle_runs(store: Store, clock: Clock, number: int) -> list[str]:
    """Runs of one each day, that found nothing to do."""
    made = []
    for _ in range(number):
        made.append(store.runs.begin(RunKind.INCREMENTAL))
        store.runs.end(made[-1], "done", {"held": 0})
        clock.tick(DAY)
    return [str(run) for run in made]


def kept(store: Store) -> list[str]:
    return [str(run.id) for run in reversed(store.runs.last(1000))]


def test_old_runs_are_deleted_whatever_their_number(store: Store, clock: Clock) -> None:
    runs = idle_runs(store, clock, 30)
    assert store.retention.prune(clock.now - timedelta(days=10, hours=1)) == 20
    assert kept(store) == runs[20:]
    assert store.retention.prune(clock.now - timedelta(days=10, hours=1)) == 0


def test_the_newest_runs_are_kept_however_old_they_are(store: Store, clock: Clock) -> None:
    runs = idle_runs(store, clock, 8)
    store.retention.prune(clock.now + timedelta(days=1000))
    assert kept(store) == runs[-3:]
    assert store.runs.begin(RunKind.FULL).endswith("-9")


def test_runs_that_safety_rests_on_are_kept(store: Store, clock: Clock) -> None:
    wrote, read, open_run = begun(store), begun(store), begun(store)
    store.observations.record([news(ANN, IN)], MINE, run=wrote)
    attempt(store, wrote, NEWS)
    store.observations.record([], THEIRS, run=read, feed="f", watermark=clock.now)
    for run in (wrote, read):
        store.runs.end(run, "done", {})
    idle_runs(store, clock, 8)
    store.retention.prune(clock.now)
    assert kept(store)[:3] == [wrote, read, open_run]
    assert store.ledger.verify().entries >= 0


def test_hints_that_were_settled_are_deleted_also_where_their_feed_is_no_longer_read(
    store: Store, clock: Clock
) -> None:
    run = begun(store)
    store.observations.record([], THEIRS, run=run, feed="left", followed=["a:1", "b:2"])
    clock.tick(DAY / 2)
    store.retention.prune(clock.now)
    assert count(store, t.followed) == 2
    clock.tick(DAY)
    store.retention.prune(clock.now)
    assert count(store, t.followed) == 0


def count(store: Store, table: sa.Table) -> int:
    with store._unit.read() as conn:
        return conn.scalar(sa.select(sa.func.count()).select_from(table)) or 0
