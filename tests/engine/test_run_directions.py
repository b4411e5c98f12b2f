"""What a run carries from one side to the other, on two fake sides and a real state DB."""

from __future__ import annotations

from datetime import timedelta

import pytest

from bridge.core.errors import Unreachable
from bridge.core.mapping import Conflict
from bridge.core.model import Side
from tests.engine.world import ADA, BOB, IN, MINE, NEWS, OFFERS, OUT, THEIRS, UNSET, World, trouble

# both directions


@pytest.mark.parametrize("side", list(Side))
def test_a_withdrawal_at_either_side_is_followed_at_the_other(world: World, side: Side) -> None:
    world.both(ADA, NEWS, IN)
    world.started()
    world.say(side, ADA, NEWS, OUT)
    report = world.run()
    assert world.shows(ADA) == (OUT, OUT)
    assert report.written.withdrawals[side.other] == report.written.writes == 1
    assert report.in_sync


@pytest.mark.parametrize("side", list(Side))
def test_a_newer_dated_opt_in_at_either_side_is_followed_at_the_other(world: World, side: Side) -> None:
    world.both(ADA, NEWS, OUT)
    world.started()
    world.say(side, ADA, NEWS, IN)
    report = world.run()
    assert world.shows(ADA) == (IN, IN)
    assert report.written.raises[side.other] == report.written.writes == 1


@pytest.mark.parametrize("side", list(Side))
def test_an_undated_opt_in_raises_nobody_and_is_taken_back(world: World, side: Side) -> None:
    world.both(ADA, NEWS, OUT)
    world.started()
    world.say(side, ADA, NEWS, IN, dated=False)
    world.run()
    assert world.shows(ADA) == (OUT, OUT)


@pytest.mark.parametrize("side", list(Side))
def test_an_opt_in_older_than_the_agreed_opt_out_is_taken_back(world: World, side: Side) -> None:
    world.both(ADA, NEWS, OUT)
    world.started()
    world.say(side, ADA, NEWS, IN, at=world.now - timedelta(days=40))
    world.run()
    assert world.shows(ADA) == (OUT, OUT)


def test_opposite_changes_at_once_end_opted_out_at_both_sides(world: World) -> None:
    world.both(ADA, NEWS, UNSET)
    world.started()
    now = world.now
    world.say(MINE, ADA, NEWS, IN, at=now)
    world.say(THEIRS, ADA, NEWS, OUT, at=now)
    world.run()
    assert world.shows(ADA) == (OUT, OUT)


def test_with_the_policy_latest_a_newer_opt_in_wins_over_an_older_opt_out(world: World) -> None:
    world.conflict(Conflict.LATEST)
    world.both(ADA, NEWS, IN)
    world.started()
    world.say(THEIRS, ADA, NEWS, OUT, at=world.now - timedelta(minutes=10))
    world.say(MINE, ADA, NEWS, IN, at=world.now)
    world.run()
    assert world.shows(ADA) == (IN, IN)


def test_a_frequency_follows_the_newer_choice(world: World) -> None:
    world.both(ADA, OFFERS, IN, "DAILY")
    world.started()
    world.say(THEIRS, ADA, OFFERS, IN, frequencies=("WEEKLY",))
    report = world.run()
    assert world.cell(ADA, OFFERS).seen[MINE].frequencies == ("WEEKLY",)
    assert report.written.other[MINE] == 1


def test_a_second_run_writes_nothing(world: World) -> None:
    world.both(ADA, NEWS, IN)
    world.both(BOB, NEWS, OUT)
    world.started()
    world.say(MINE, ADA, NEWS, OUT)
    world.say(THEIRS, BOB, NEWS, IN)
    assert world.run().written.writes == 2
    again = world.run()
    assert again.written.writes == 0
    assert again.in_sync


# first run


def test_the_first_run_delivers_withdrawals_and_holds_opt_ins(world: World) -> None:
    month = world.now - timedelta(days=30)
    for address, mine, theirs in ((ADA, IN, OUT), (BOB, IN, UNSET)):
        world.say(MINE, address, NEWS, mine, at=month)
        world.say(THEIRS, address, NEWS, theirs, at=month)
    report = world.run()
    assert world.shows(ADA) == (OUT, OUT)
    assert world.shows(BOB) == (IN, UNSET)
    assert (report.kind, report.counts.held, report.exit_code) == ("first", 1, 3)


def test_approving_raises_lets_dated_opt_ins_from_before_the_first_run_go(world: World) -> None:
    world.say(MINE, BOB, NEWS, IN, at=world.now - timedelta(days=30))
    world.say(THEIRS, BOB, NEWS, UNSET)
    world.run()
    report = world.run(approve_raises=True)
    assert world.shows(BOB) == (IN, IN)
    assert (report.counts.held, report.exit_code) == (0, 0)


def test_releasing_a_hold_of_the_first_run_lets_its_opt_in_go(world: World) -> None:
    world.say(MINE, BOB, NEWS, IN, at=world.now - timedelta(days=30))
    world.say(THEIRS, BOB, NEWS, UNSET)
    world.run()
    (hold,) = world.store.holds.page()
    world.store.holds.release([hold.id])
    report = world.run()
    assert world.shows(BOB) == (IN, IN)
    assert (report.counts.held, report.exit_code) == (0, 0)


def test_a_dismissed_hold_leaves_both_sides_as_they_are(world: World) -> None:
    world.say(MINE, BOB, NEWS, IN, at=world.now - timedelta(days=30))
    world.say(THEIRS, BOB, NEWS, UNSET)
    world.run()
    (hold,) = world.store.holds.page()
    world.store.holds.dismiss([hold.id])
    report = world.run()
    assert world.shows(BOB) == (IN, UNSET)
    assert (report.counts.held, report.counts.waiting) == (0, 0)


def test_the_first_run_goes_on_where_it_was_stopped(world: World) -> None:
    world.both(ADA, NEWS, IN)
    world.sides[MINE].fail["list_people"] = [trouble(Unreachable, MINE)]
    assert world.run().kind == "first"
    assert world.run().kind == "first"
    assert world.run().kind == "incremental"


# mapping changes


def test_a_topic_that_is_mapped_later_is_read_for_everybody(world: World) -> None:
    whole = world.mapping
    world.mapping = type(whole)(whole.topics[1:], whole.channel, whole.on_unsubscribe, "less")
    for side in Side:
        world.sides[side].mapping = world.mapping
    world.both(ADA, OFFERS, IN, "DAILY")
    world.say(MINE, ADA, NEWS, OUT)
    world.say(THEIRS, ADA, NEWS, IN)
    world.started()
    assert world.shows(ADA) == (OUT, IN)
    world.mapping = whole
    for side in Side:
        world.sides[side].mapping = whole
    world.run()
    assert world.shows(ADA) == (OUT, OUT)
