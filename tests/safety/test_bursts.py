"""Opt-ins of one moment are held until an operator lets them through, in this run and in later ones."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from bridge.core.brakes import BrakeLimits
from bridge.core.model import Side
from tests.engine.world import ADA, IN, MINE, NEWS, OUT, THEIRS, UNSET, World
from tests.safety.safety_world import SafetyLive
from tests.scenarios.live import EMAIL

LIMITS = BrakeLimits(raises_max=100, burst_max=5)
MANY = [f"p{number}@example.com" for number in range(8)]


@pytest.fixture
def imported(world: World) -> tuple[World, datetime]:
    """Eight people who had refused were opted in at Dotdigital at one moment; a run has found that."""
    world.limits = LIMITS
    for address in (*MANY, ADA):
        world.both(address, NEWS, OUT)
    world.started()
    at = world.now
    for address in MANY:
        world.say(THEIRS, address, NEWS, IN, at=at)
    assert world.run().counts.held == len(MANY)
    return world, at


def test_a_moment_found_once_holds_what_is_read_of_it_later(imported: tuple[World, datetime]) -> None:
    """One more opt-in of that minute is read a day later, by another process."""
    world, at = imported
    world.restart()
    world.pass_time(days=1)
    world.say(THEIRS, ADA, NEWS, IN, at=at + timedelta(milliseconds=1))
    report = world.run()
    assert (world.shows(ADA), report.counts.held) == ((OUT, IN), len(MANY) + 1)


def test_a_plan_finds_and_remembers_a_moment_too(world: World) -> None:
    world.limits = LIMITS
    for address in MANY:
        world.both(address, NEWS, OUT)
    world.started()
    for address in MANY:
        world.say(MINE, address, NEWS, IN, at=world.now)
    plan = world.plan()
    assert (plan.writes, len(plan.held)) == ([], len(MANY))
    assert [burst.opts_in for burst in world.store.facts.bursts or ()] == [True]


def test_opt_ins_of_one_moment_are_sent_once_an_operator_releases_them(
    imported: tuple[World, datetime],
) -> None:
    world, _ = imported
    world.store.holds.release_all("burst")
    report = world.run()
    assert all(world.shows(address) == (IN, IN) for address in MANY)
    assert not any("within one minute" in warning for warning in report.warnings)


def test_the_source_at_which_nobody_was_imported_is_trusted_as_before(
    imported: tuple[World, datetime],
) -> None:
    world, at = imported
    world.say(MINE, ADA, NEWS, IN, at=at)
    world.run()
    assert world.shows(ADA) == (IN, IN)


def test_a_single_choice_said_later_ends_the_hold_of_a_moment(imported: tuple[World, datetime]) -> None:
    """One of the eight opts in by herself, minutes later."""
    world, _ = imported
    world.pass_time(minutes=10)
    world.say(THEIRS, MANY[0], NEWS, IN)
    report = world.run()
    assert (world.shows(MANY[0]), report.counts.held) == ((IN, IN), len(MANY) - 1)


def test_opt_ins_from_before_the_bridge_that_were_approved_are_no_burst(world: World) -> None:
    """Years ago a list was taken over at one moment: the operator approved what was said then."""
    world.limits = LIMITS
    for address in MANY:
        world.say(THEIRS, address, NEWS, UNSET)
        world.say(MINE, address, NEWS, IN, at=world.now.replace(year=2020))
    world.started()
    world.run(approve_raises=True)
    assert all(world.shows(address) == (IN, IN) for address in MANY)


def test_a_clean_up_of_a_list_is_remembered_as_one(live: SafetyLive) -> None:
    people = [live.add(f"p{number}", both={NEWS: IN}) for number in range(8)]
    live.started().with_settings(BRAKES__BURST_MAX=5)
    at = live.clock.now()
    for address in people:
        live.dotdigital.unsubscribe(live.contact(address), at, "Unsubscribed")
    live.run()
    live.restart()
    known = live.app.store.facts.bursts or ()
    assert [(burst.side, burst.opts_in) for burst in known] == [(Side.DOTDIGITAL, False)]
    assert {live.mine(address, EMAIL) for address in people} == {IN}
