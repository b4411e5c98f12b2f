"""What waits for a review, and what was answered, outlasts a person who cannot be read meanwhile."""

from __future__ import annotations

import pytest

from bridge.core.decision import HoldChange, Rule, hold_change
from bridge.core.errors import Ambiguous, InvalidResponse, ServerError
from bridge.core.latch import hold_ground
from bridge.core.model import HoldState, StandingHold
from tests.engine.world import ADA, IN, MINE, NEWS, OUT, THEIRS, World, trouble


@pytest.mark.parametrize("state", list(HoldState))
@pytest.mark.parametrize("reason", [rule for rule in Rule if rule is not Rule.UNREADABLE])
def test_no_hold_is_replaced_because_a_side_cannot_be_read(reason: Rule, state: HoldState) -> None:
    standing = StandingHold(reason, "before", state)
    assert hold_change(standing, Rule.UNREADABLE, "now", None) is HoldChange.KEEP


@pytest.fixture
def held(world: World) -> World:
    """An opt-out at Dotdigital waits for review as part of a clean-up."""
    world.both(ADA, NEWS, IN)
    world.started()
    world.say(THEIRS, ADA, NEWS, OUT)
    world.sides[MINE].fail["send_one"] = [trouble(ServerError, MINE)]
    report = world.run()
    cell = world.cell(ADA)
    world.store.holds.open(
        report.run, cell.person, cell.topic, reason=Rule.BURST, why="a clean-up", ground=hold_ground(cell)
    )
    assert (world.run().counts.held, world.shows(ADA)) == (1, (IN, OUT))
    return world


def unreadable_once(world: World) -> None:
    """One run in which the person cannot be read at MyPreferences."""
    mine = world.sides[MINE]
    mine.person(ADA).touched = world.clock()
    mine.fail["read_person"] = [trouble(InvalidResponse, MINE), trouble(Ambiguous, MINE)]
    report = world.run()
    assert not report.in_sync
    assert any("cannot be read" in warning for warning in report.warnings)


def test_an_opt_out_held_as_a_clean_up_is_not_sent_after_its_person_could_not_be_read(held: World) -> None:
    unreadable_once(held)
    for _ in range(3):
        held.pass_time(minutes=10)
        held.sides[MINE].person(ADA).touched = held.clock()
        held.run()
    assert held.shows(ADA) == (IN, OUT)
    assert [hold.reason for hold in held.store.holds.page()] == [Rule.BURST]


def test_a_release_is_carried_out_after_its_person_could_not_be_read(held: World) -> None:
    held.store.holds.release_all(Rule.BURST)
    held.sides[MINE].fail["send_one"] = [trouble(ServerError, MINE)]
    unreadable_once(held)
    held.run()
    assert held.shows(ADA) == (OUT, OUT)


def test_a_dismissal_stands_after_its_person_could_not_be_read(held: World) -> None:
    held.store.holds.dismiss([hold.id for hold in held.store.holds.page()])
    held.run()
    unreadable_once(held)
    for _ in range(2):
        held.run()
    assert held.shows(ADA) == (IN, OUT)
    assert held.store.holds.page() == []
