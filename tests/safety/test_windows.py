"""Mass and repetition are evidence against an opt-in, however it is spread over runs."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

import pytest

from bridge.core.brakes import BrakeLimits
from bridge.core.errors import BridgeError
from bridge.core.model import Choice, Side
from bridge.engine.plan import Plan
from tests.engine.world import IN, MINE, NEWS, OUT, THEIRS, World
from tests.safety.safety_world import SafetyLive, is_open

FEW = BrakeLimits(raises_max=5, raises_share=0.0)


def _people(world: World, count: int, choice: Choice = OUT) -> list[str]:
    addresses = [f"p{number}@example.com" for number in range(count)]
    for address in addresses:
        world.both(address, NEWS, choice)
    return addresses


def _raised(world: World, addresses: Iterable[str], side: Side = THEIRS) -> list[str]:
    return [one for one in addresses if world.sides[side].shows(one, NEWS) is IN]


# windows


def test_opt_ins_spread_over_many_runs_stay_within_the_brake(world: World) -> None:
    """A hundred opt-ins come five a minute, under a brake of five."""
    world.limits = FEW
    people = _people(world, 100)
    world.started()
    reports = []
    for start in range(0, 100, 5):
        for address in people[start : start + 5]:
            world.say(MINE, address, NEWS, IN)
            world.pass_time(seconds=3)
        reports.append(world.run())
    assert len(_raised(world, people)) <= 5
    assert reports[-1].brakes
    assert reports[-1].exit_code == 4
    assert is_open(reports[-1])


def test_opt_ins_spread_over_restarts_stay_within_the_brake(world: World) -> None:
    """Two new opt-ins before each of three runs, under a brake of two; the process is restarted between."""
    world.limits = BrakeLimits(raises_max=2, raises_share=0.0)
    people = _people(world, 6)
    world.started()
    for start in (0, 2, 4):
        for address in people[start : start + 2]:
            world.say(MINE, address, NEWS, IN)
            world.pass_time(seconds=30)
        world.run()
        world.restart()
    assert len(_raised(world, people)) <= 2


def test_a_plan_that_is_split_stays_within_the_brake(world: World) -> None:
    """A plan of six opt-ins is carried out as three plans of two, under a brake of two."""
    world.limits = BrakeLimits(raises_max=2, raises_share=0.0)
    people = _people(world, 6)
    world.started()
    for address in people:
        world.say(MINE, address, NEWS, IN)
        world.pass_time(seconds=30)
    plan = world.plan()
    for start in (0, 2, 4):
        _try(world, Plan(plan.run, plan.mapping, plan.made_at, acts=plan.acts[start : start + 2]))
    assert len(_raised(world, people)) <= 2


def _try(world: World, plan: Plan) -> None:
    try:
        world.carry_out(plan)
    except BridgeError:
        return  # refusing it is as good


def test_a_brake_lets_opt_ins_through_again_once_its_window_is_over(world: World) -> None:
    """Within any one window no more than the brake allows; two days later the next may go."""
    world.limits = FEW
    people = _people(world, 8)
    world.started()
    for days, some in ((0, people[:4]), (2, people[4:])):
        world.pass_time(days=days)
        for address in some:
            world.say(MINE, address, NEWS, IN)
            world.pass_time(minutes=3)
        world.run()
    assert _raised(world, people) == people


@pytest.mark.parametrize("people", [60, 400])
def test_a_small_account_has_a_brake_too(world: World, people: int) -> None:
    """Nearly everybody of a small account is opted in at one side within a quarter of an hour."""
    addresses = _people(world, people)
    world.started()
    for address in addresses:
        world.say(MINE, address, NEWS, IN)
        world.pass_time(seconds=900 / people)
    report = world.run()
    assert report.brakes
    assert len(_raised(world, addresses)) < people / 2
    assert is_open(report)


# bursts of opt-ins


@pytest.mark.parametrize("source", list(Side))
def test_opt_ins_of_one_moment_over_agreed_opt_outs_are_held(live: SafetyLive, source: Side) -> None:
    """An import at one side opts in twelve people who had refused, all at one instant."""
    people = [live.add(f"p{number}", both={NEWS: OUT}) for number in range(12)]
    live.started().with_settings(BRAKES__BURST_MAX=5)
    at = live.clock.now()
    for address in people:
        if source is THEIRS:
            live.dotdigital.set_preference(live.contact(address), 1002, True, at)
        else:
            live.mypreferences.set_preference(live.profile(address), "NEWS_EMAIL", True, at)
    live.clock.advance(2)
    reports = live.runs(3)
    at_target = [live.theirs(one, NEWS) if source is MINE else live.mine(one, NEWS) for one in people]
    assert at_target.count(IN) <= 5
    assert is_open(reports[-1])
    assert reports[-1].exit_code != 0


def test_a_single_opt_in_beside_a_burst_of_opt_ins_is_still_followed(live: SafetyLive) -> None:
    """One person says yes an hour after an import that opted in many others."""
    people = [live.add(f"p{number}", both={NEWS: OUT}) for number in range(12)]
    ada = live.add("ada", both={NEWS: OUT})
    live.started().with_settings(BRAKES__BURST_MAX=5)
    at = live.clock.now()
    for address in people:
        live.dotdigital.set_preference(live.contact(address), 1002, True, at)
    live.run()
    live.clock.advance(7200)
    live.say(THEIRS, ada, NEWS, IN)
    live.runs(2)
    assert live.shows(ada) == (IN, IN)


def test_a_burst_of_opt_ins_is_held_however_many_runs_it_is_read_in(world: World) -> None:
    """Sixty refusals are turned to yes in one instant; the feed shows twenty of them to each run."""
    world.limits = BrakeLimits(raises_max=25, raises_share=0.0, burst_max=10)
    people = _people(world, 60)
    world.started()
    at = world.pass_time(minutes=1)
    for start in (0, 20, 40):
        _import(world, people[start : start + 20], at)
        world.run()
    assert len(_raised(world, people, MINE)) <= 25
    assert is_open(world.run())


def _import(world: World, addresses: Iterable[str], at: datetime) -> None:
    for address in addresses:
        world.say(THEIRS, address, NEWS, IN, at=at)


# flips


@pytest.mark.parametrize("resetting", list(Side))
def test_a_topic_that_keeps_flipping_is_frozen_as_a_hold(live: SafetyLive, resetting: Side) -> None:
    """Another integration sets yes again, dated now, after each no of the person."""
    ada = live.add("ada", both={NEWS: IN})
    live.started()
    raises = 0
    for _ in range(5):
        live.say(resetting.other, ada, NEWS, OUT)
        live.run()
        live.say(resetting, ada, NEWS, IN)
        raises += live.run().written.raises.total()
    assert raises <= 2
    assert live.holds_of(ada)
    report = live.run()
    assert is_open(report)


def test_a_frozen_topic_still_lets_a_withdrawal_through(live: SafetyLive) -> None:
    """However often it flipped, the person's last word at either side is no."""
    ada = live.add("ada", both={NEWS: IN})
    live.started()
    for _ in range(5):
        live.say(MINE, ada, NEWS, OUT)
        live.run()
        live.say(THEIRS, ada, NEWS, IN)
        live.run()
    live.say(MINE, ada, NEWS, OUT)
    live.say(THEIRS, ada, NEWS, OUT)
    live.runs(3)
    assert live.shows(ada) == (OUT, OUT)


def test_few_opt_ins_are_not_stopped_by_any_window(world: World) -> None:
    """Three people of sixty say yes on one day, minutes apart."""
    people = _people(world, 60)
    world.started()
    for address in people[:3]:
        world.say(MINE, address, NEWS, IN)
        world.pass_time(minutes=4)
    world.run()
    assert _raised(world, people) == people[:3]
