"""After a lost answer nothing is agreed on what one side shows, and nothing on what a topic meant before."""

from __future__ import annotations

import pytest

from bridge.core.errors import OutcomeUnknown, ServerError
from bridge.core.own_writes import OwnWrite
from bridge.core.store_values import AttemptState, RunKind
from bridge.engine.context import WriteContext, Writers
from bridge.engine.recovery import recover
from bridge.engine.run import closing
from tests.engine.world import ADA, IN, MINE, NEWS, OUT, THEIRS, World, trouble


@pytest.fixture
def lost(world: World) -> World:
    """An opt-in was sent to Dotdigital and applied there, and the answer was lost."""
    world.both(ADA, NEWS, OUT)
    world.started()
    world.say(MINE, ADA, NEWS, IN)
    world.sides[THEIRS].write_fate = [("lost_after", trouble(OutcomeUnknown))]
    assert world.run().counts.unproven == 1
    return world


def last_attempt(world: World) -> AttemptState:
    return world.store.attempts.of(world.cell(ADA).person)[-1].state


@pytest.mark.parametrize("readable", [True, False])
def test_recovery_agrees_on_nothing_that_one_side_alone_shows(lost: World, readable: bool) -> None:
    """The person has withdrawn the opt-in at MyPreferences meanwhile, which nobody has read yet."""
    lost.say(MINE, ADA, NEWS, OUT)
    before = lost.cell(ADA).agreed
    if not readable:
        lost.sides[MINE].fail["read_person"] = [trouble(ServerError, MINE)]
    with closing(WriteContext(lost.services(), RunKind.INCREMENTAL, Writers(lost.sides))) as run:
        recover(run)
        run.end("done", {})
    assert last_attempt(lost) is AttemptState.DONE
    assert lost.cell(ADA).agreed == before
    assert lost.cell(ADA).seen[MINE].opted_out is readable
    assert [cells[0].person for cells in lost.store.cells.dirty(None, 10)] == [lost.cell(ADA).person]
    lost.run()
    lost.run()
    assert lost.shows(ADA) == (OUT, OUT)


def test_what_recovery_finds_applied_is_agreed_by_the_run_that_reads_both_sides(lost: World) -> None:
    lost.run()
    agreed = lost.cell(ADA).agreed
    assert agreed is not None
    assert agreed.choice is IN
    assert lost.run().in_sync


def test_a_write_from_before_its_topic_was_re_pointed_is_not_proven_by_the_new_pair(lost: World) -> None:
    """The person shows an opt-in at the preference that the topic is mapped to now."""
    lost.remap(NEWS, preferences={"": 1099})
    lost.run(approve_mapping=True)
    assert last_attempt(lost) is AttemptState.FAILED
    own = [one for one in lost.cell(ADA).own_writes[THEIRS] if not one.withdraws]
    assert [(one.target, one.may_apply, one.shown_at) for one in own] == [("1002", True, None)]


def test_a_write_from_before_its_topic_was_re_pointed_does_not_date_what_the_new_pair_shows() -> None:
    before = OwnWrite(False, None, begun_at=None, target="1002")  # type: ignore[arg-type]
    assert not before.is_about("1099")
    assert before.is_about("1002")
    assert before.is_about("1001 1002")
    assert OwnWrite(False, None, begun_at=None).is_about("1099")  # type: ignore[arg-type]
