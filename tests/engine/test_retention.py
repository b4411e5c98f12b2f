"""Records of runs are deleted once a day, by whatever kind of run comes next."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from bridge.store import retention
from tests.engine.world import ADA, IN, MINE, NEWS, OUT, THEIRS, World


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    monkeypatch.setattr(retention, "NEWEST_KEPT", 2)
    made = World(tmp_path)
    yield made
    made.close()


def runs(world: World) -> int:
    return len(world.store.runs.last(10_000))


def test_a_year_of_idle_runs_leaves_the_runs_of_ninety_days(world: World) -> None:
    world.both(ADA, NEWS, IN)
    world.run()
    for _ in range(52):
        world.pass_time(days=7)
        world.run()
    assert 12 <= runs(world) <= 16
    world.say(MINE, ADA, NEWS, OUT)
    world.run()
    assert world.shows(ADA) == (OUT, OUT)


def test_it_is_done_once_a_day(world: World) -> None:
    for _ in range(4):
        world.run()
    world.pass_time(days=200)
    before = world.store.facts.pruned_at
    world.run()
    pruned_at = world.store.facts.pruned_at
    assert pruned_at != before
    world.pass_time(hours=23)
    world.run()
    assert world.store.facts.pruned_at == pruned_at


def test_a_run_that_wrote_is_kept_and_its_write_is_known_as_our_own(world: World) -> None:
    world.both(ADA, NEWS, IN)
    world.started()
    world.say(THEIRS, ADA, NEWS, OUT)
    wrote = world.run().run
    for _ in range(30):
        world.pass_time(days=30)
        world.run()
    assert wrote in [run.id for run in world.store.runs.last(10_000)]
    assert world.shows(ADA) == (OUT, OUT)
    assert world.store.ledger.verify().entries > 0
