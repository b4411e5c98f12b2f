"""Killed at any boundary and started again, the bridge ends where an uninterrupted run ends (I6); and so it
does after any call of a side failed in any way. `BRIDGE_TEST_SIZE=full` fails each call with each kind."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from bridge.core.errors import (
    AlreadyDone,
    Ambiguous,
    Forbidden,
    InvalidResponse,
    MappingStale,
    NotFound,
    OutcomeUnknown,
    Refused,
    ServerError,
    SideError,
    SignInRefused,
    Throttled,
    Unreachable,
    Verdict,
)
from bridge.core.model import CHANNEL, HoldState, Side
from bridge.core.writes import Resubscribe
from tests.engine.crash_world import (
    BOB,
    RAISED,
    CrashWorld,
    Killed,
    Wire,
    a_day_of_acts,
    before_the_first_run,
)
from tests.engine.world import IN, MINE, OUT
from tests.sizes import FULL, part

SHARDS = 4
KINDS: tuple[type[SideError], ...] = (
    Unreachable, OutcomeUnknown, InvalidResponse, Throttled, ServerError, SignInRefused, Forbidden, Ambiguous,
    NotFound, Refused, AlreadyDone, MappingStale,
)  # fmt: skip
OPERATIONS = ("catalogue", "read_person", "read_feed", "list_people", "send_one", "send_bulk", "read_people")


@dataclass
class Stage:
    """A world at the moment before a run, and what an uninterrupted life makes of it."""

    world: CrashWorld
    folder: Path
    end: dict[str, Any]
    sent: Any
    boundaries: int
    calls: dict[tuple[Side, str], int]
    undated: bool = False  # Dotdigital shows many people without dates
    made: int = 0

    def twin(self) -> CrashWorld:
        self.made += 1
        return self.world.twin(self.folder / f"w{self.made}")


def _stage(folder: Path, world: CrashWorld) -> Stage:
    whole = world.twin(folder / "whole").wired(Wire())
    whole.run()
    boundaries, names = whole.wire.count, whole.wire.names
    calls = {
        (side, operation): names.count(f"{side}.{operation}") for side in Side for operation in OPERATIONS
    }
    whole.until_quiet()
    stage = Stage(world, folder, whole.end(), whole.sent(), boundaries, calls)
    whole.close()
    return stage


@pytest.fixture(scope="module")
def ordinary(tmp_path_factory: pytest.TempPathFactory) -> Stage:
    folder = tmp_path_factory.mktemp("ordinary")
    world = before_the_first_run(CrashWorld(folder / "world"))
    world.started()
    return _stage(folder, a_day_of_acts(world))


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Stage:
    folder = tmp_path_factory.mktemp("first")
    return _stage(folder, before_the_first_run(CrashWorld(folder / "world")))


def _kill_and_go_on(stage: Stage, at: int, raised: set[tuple[str, str]] = RAISED, extra: int = 1) -> None:
    world = stage.twin().wired(Wire(at))
    with pytest.raises(Killed) as killed:
        world.run()
    where = f"boundary {at}: {killed.value}"
    world.restart()
    world.until_quiet()
    assert world.end() == stage.end, where
    assert _extra(world, stage) <= extra, where
    assert {one for side in Side for one in world.crash_side(side).raised()} <= raised, where
    world.store.ledger.verify()
    world.close()


def _extra(world: CrashWorld, stage: Stage) -> int:
    """Writes beyond those of an uninterrupted life."""
    return sum((world.sent() - stage.sent).values())


def test_the_stage_holds_every_kind_of_write_and_something_that_waits(ordinary: Stage) -> None:
    kinds = {kind for _, _, _, kind in ordinary.sent}
    assert kinds == {"Withdrawal", "Raise", "Adjustment"}
    assert {side for side, *_ in ordinary.sent} == set(Side)
    assert ordinary.end["open"]
    assert ordinary.boundaries > 40


@pytest.mark.slow
@pytest.mark.parametrize("shard", range(SHARDS))
def test_killed_at_any_boundary_it_ends_where_an_uninterrupted_run_ends(ordinary: Stage, shard: int) -> None:
    for at in range(1 + shard, ordinary.boundaries + 1, SHARDS):
        _kill_and_go_on(ordinary, at)


@pytest.mark.slow
@pytest.mark.parametrize("shard", range(SHARDS))
def test_a_first_run_killed_at_any_boundary_ends_where_an_uninterrupted_one_ends(
    first: Stage, shard: int
) -> None:
    for at in range(1 + shard, first.boundaries + 1, SHARDS):
        _kill_and_go_on(first, at)


@pytest.mark.slow
def test_killed_again_while_it_recovers_it_ends_where_an_uninterrupted_run_ends(ordinary: Stage) -> None:
    for at in range(4, ordinary.boundaries + 1, 13):
        for again in (3, 9):
            world = ordinary.twin().wired(Wire(at))
            with pytest.raises(Killed):
                world.run()
            world.restart()
            world.wired(Wire(again))
            with pytest.raises(Killed):
                world.run()
            world.restart()
            world.until_quiet()
            assert world.end() == ordinary.end, (at, again)
            assert _extra(world, ordinary) <= 2, (at, again)
            world.close()


def _fail_and_go_on(stage: Stage, side: Side, operation: str, nth: int, kind: type[SideError]) -> None:
    world = stage.twin()
    error = kind("something went wrong", side=side, operation=operation)
    world.crash_side(side).refusals[operation] = (nth, error)
    where = f"call {nth} of {side}.{operation}: {kind.__name__}"
    world.run()
    world.crash_side(side).refusals.clear()
    for _ in range(3):
        _answer_refusals(world)
        world.run()
        if world.end() == stage.end:
            break
    assert world.end() == stage.end, where
    assert world.run().written.writes == 0, where
    raised = {one for there in Side for one in world.crash_side(there).raised()}
    assert raised <= RAISED, where
    world.close()


def _answer_refusals(world: CrashWorld) -> None:
    """An operator releases the refused writes, so that they are tried again."""
    waits = [
        hold.id for hold in world.store.holds.page(HoldState.OPEN) if hold.reason in ("refused", "unreadable")
    ]
    world.store.holds.release(waits)


def _chosen(calls: int, kind: type[SideError]) -> range:
    """Which calls fail: all kinds together meet every call, and each kind some of the first."""
    return range(1, calls + 1) if FULL else range(1 + KINDS.index(kind) % 6, calls + 1, 6)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("side", list(Side))
def test_any_call_failing_in_any_way_only_delays(ordinary: Stage, side: Side, kind: type[SideError]) -> None:
    for operation in ("catalogue", "read_person", "read_feed", "send_one"):
        for nth in _chosen(ordinary.calls[side, operation], kind):
            _fail_and_go_on(ordinary, side, operation, nth, kind)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("side", list(Side))
def test_any_call_of_the_first_run_failing_in_any_way_only_delays(
    first: Stage, side: Side, kind: type[SideError]
) -> None:
    for operation in ("catalogue", "list_people", "send_one"):
        for nth in _chosen(first.calls[side, operation], kind):
            _fail_and_go_on(first, side, operation, nth, kind)


@pytest.mark.slow
def test_killed_at_any_boundary_nobody_is_asked_twice_to_confirm(tmp_path: Path) -> None:
    world = CrashWorld(tmp_path / "world")
    channel = replace(world.mapping.channel, resubscribe=Resubscribe.CHALLENGE)
    world.mapping = replace(world.mapping, channel=channel)
    world.both(BOB, CHANNEL, OUT)
    world.started()
    world.say(MINE, BOB, CHANNEL, IN)
    stage = _stage(tmp_path, world)
    assert list(stage.sent.values()) == [1]
    for at in range(1, stage.boundaries + 1):
        _kill_and_go_on(stage, at, raised={(BOB, CHANNEL)}, extra=0)


@pytest.fixture(scope="module", params=[False, True], ids=["dated", "undated"])
def together(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Stage:
    """A day of acts at sides that take many writes in one job."""
    folder = tmp_path_factory.mktemp("together")
    world = before_the_first_run(CrashWorld(folder / "world"))
    world.started()
    for side in Side:
        world.crash_side(side).bulk_from = 1
        world.crash_side(side).undated_reads = request.param and side is Side.DOTDIGITAL
    stage = replace(_stage(folder, a_day_of_acts(world)), undated=request.param)
    assert stage.calls[Side.DOTDIGITAL, "send_bulk"]
    assert stage.calls[Side.MYPREFERENCES, "send_bulk"]
    return stage


@pytest.mark.slow
@pytest.mark.parametrize("shard", range(SHARDS))
def test_killed_at_any_boundary_of_a_bulk_job_it_ends_where_an_uninterrupted_run_ends(
    together: Stage, shard: int
) -> None:
    job = 4  # what one job carries may be sent once more
    boundaries = range(1 + shard, together.boundaries + 1, SHARDS)
    for at in part(boundaries, of=2, turn=together.undated):
        _kill_and_go_on(together, at, extra=job)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("operation", ["send_bulk", "read_people"])
def test_any_bulk_call_failing_in_any_way_only_delays(
    together: Stage, operation: str, kind: type[SideError]
) -> None:
    for side in Side:
        calls = range(1, together.calls[side, operation] + 1)
        for nth in part(calls, of=3, turn=KINDS.index(kind) + together.undated):
            _fail_and_go_on(together, side, operation, nth, kind)


def test_holding_verdicts_are_the_only_ones_that_need_a_person() -> None:
    assert {kind for kind in KINDS if kind.verdict is Verdict.HOLD} == {Ambiguous, NotFound, Refused}
