"""What a run holds back, what a plan promises, and what is recorded."""

from __future__ import annotations

from datetime import timedelta

import pytest

from bridge.core.errors import PlanMoved
from bridge.core.mapping import Conflict
from bridge.core.model import HoldState, Side, TopicId
from bridge.engine.explain import View, explain
from bridge.engine.serialize import time_out
from tests.engine.world import ADA, BOB, IN, MINE, NEWS, OUT, THEIRS, UNSET, World

# confirm, stale, brakes


def test_a_raise_is_not_sent_when_the_target_withdrew_meanwhile(world: World) -> None:
    world.both(ADA, NEWS, UNSET)
    world.started()
    world.say(MINE, ADA, NEWS, IN)
    target = world.sides[THEIRS]
    changes = target.read_feed

    def late_withdrawal(feed: str, since: object) -> object:
        yield from changes(feed, since)  # type: ignore[arg-type]
        target.say(ADA, NEWS, OUT)

    target.read_feed = late_withdrawal  # type: ignore[method-assign,assignment]
    world.run()
    del target.read_feed
    assert target.shows(ADA, NEWS) is OUT
    world.run()
    assert world.shows(ADA) == (OUT, OUT)


def test_too_many_raises_stop_all_raises_and_no_withdrawal(world: World) -> None:
    people = [f"p{number}@example.com" for number in range(10)]
    for address in [*people, ADA]:
        world.both(address, NEWS, OUT)
    world.both(BOB, NEWS, IN)
    world.started()
    for address in people:
        world.say(MINE, address, NEWS, IN)
    world.say(MINE, BOB, NEWS, OUT)
    world.limits = type(world.limits)(raises_max=5, raises_share=0.05)
    report = world.run()
    assert world.shows(people[0]) == (IN, OUT)
    assert world.shows(BOB) == (OUT, OUT)
    assert (report.exit_code, len(report.brakes)) == (4, 1)


def test_too_many_withdrawals_are_delivered_and_told(world: World) -> None:
    people = [f"p{number}@example.com" for number in range(10)]
    for address in people:
        world.both(address, NEWS, IN)
    world.started()
    for address in people:
        world.say(MINE, address, NEWS, OUT)
    world.limits = type(world.limits)(withdrawals_max=5, withdrawals_share=0.05)
    report = world.run()
    assert world.shows(people[0]) == (OUT, OUT)
    assert report.brakes == []
    assert any("delivered all the same" in warning for warning in report.warnings)


def test_the_operator_may_hold_too_many_withdrawals(world: World) -> None:
    people = [f"p{number}@example.com" for number in range(10)]
    for address in people:
        world.both(address, NEWS, IN)
    world.started()
    for address in people:
        world.say(MINE, address, NEWS, OUT)
    world.limits = type(world.limits)(withdrawals_max=5, withdrawals_share=0.05, hold_withdrawals=True)
    assert world.run().exit_code == 4
    assert world.shows(people[0]) == (OUT, IN)


# plans


def test_a_plan_sends_nothing_and_changes_no_agreement(world: World) -> None:
    world.both(ADA, NEWS, IN)
    world.started()
    world.say(MINE, ADA, NEWS, OUT)
    before = world.cell(ADA).agreed
    plan = world.plan()
    assert world.shows(ADA) == (OUT, IN)
    assert world.cell(ADA).agreed == before
    (row,) = plan.writes
    assert (row["side"], row["topic"], row["from"], row["to"]) == ("dotdigital", NEWS, IN, OUT)
    assert ADA not in str(plan.shown())


def test_a_saved_plan_is_carried_out_exactly(world: World) -> None:
    world.both(ADA, NEWS, IN)
    world.both(BOB, NEWS, IN)
    world.started()
    world.say(MINE, ADA, NEWS, OUT)
    plan = world.plan()
    world.say(MINE, BOB, NEWS, OUT)
    report = world.carry_out(plan)
    assert world.shows(ADA) == (OUT, OUT)
    assert world.shows(BOB) == (OUT, IN)
    assert report.written.writes == len(plan.writes) == 1


def test_a_saved_plan_whose_ground_has_moved_is_refused_before_the_first_write(world: World) -> None:
    world.both(ADA, NEWS, IN)
    world.both(BOB, NEWS, IN)
    world.started()
    world.say(MINE, ADA, NEWS, OUT)
    world.say(MINE, BOB, NEWS, OUT)
    plan = world.plan()
    world.say(MINE, BOB, NEWS, IN)
    with pytest.raises(PlanMoved) as caught:
        world.carry_out(plan)
    assert world.shows(ADA) == (OUT, IN)
    assert BOB not in str(caught.value)


def test_the_calls_of_a_plan_are_those_of_the_run_that_carries_it_out(world: World) -> None:
    world.both(ADA, NEWS, IN)
    world.both(BOB, NEWS, OUT)
    world.started()
    world.say(MINE, ADA, NEWS, OUT)
    world.say(MINE, BOB, NEWS, IN)
    plan = world.plan()
    before = {side: world.sides[side].calls for side in Side}
    world.run()
    for side in Side:  # on one state DB with the plan, the run reads no catalogue and no profile twice
        assert 0 <= plan.calls[side] - (world.sides[side].calls - before[side]) <= 4


# holds that end by themselves


def test_a_hold_ends_when_its_ground_is_gone(world: World) -> None:
    world.conflict(Conflict.HOLD)
    world.both(ADA, NEWS, UNSET)
    world.started()
    world.say(MINE, ADA, NEWS, IN)
    world.say(THEIRS, ADA, NEWS, OUT)
    world.run()
    assert world.shows(ADA) == (IN, OUT)
    assert [hold.state for hold in world.store.holds.page()] == [HoldState.OPEN]
    world.say(MINE, ADA, NEWS, OUT)
    assert world.run().counts.held == 0


def test_every_run_is_on_record_with_its_report(world: World) -> None:
    world.both(ADA, NEWS, IN)
    world.started()
    (run,) = world.store.runs.last(1)
    assert (run.kind, run.state) == ("first", "done")
    assert run.report is not None
    assert run.report["in_sync"] is True


def test_the_ledger_tells_why_and_holds_no_address(world: World) -> None:
    world.both(ADA, NEWS, IN)
    world.started()
    world.say(MINE, ADA, NEWS, OUT)
    world.run()
    entries = list(world.store.ledger.export())
    kinds = ["settled", "decided", "outcome", "agreed", "settled"]
    assert [entry["kind"] for entry in entries] == kinds
    assert "ada@" not in str(entries)
    assert world.store.ledger.verify().entries == len(entries)


def test_what_we_wrote_is_explained_as_ours(world: World) -> None:
    """Dotdigital dates it by its own clock: nobody said it then."""
    world.both(ADA, NEWS, OUT)
    world.started()
    world.say(MINE, ADA, NEWS, IN)
    said = world.sides[MINE].people[ADA].said[TopicId(NEWS)].at
    world.run()
    who, one = world.store.people.find(ADA), world.cell(ADA)
    assert who is not None
    (topic,) = explain(world.mapping, who, [one], [], View(world.now))["topics"]
    assert topic["dotdigital"]["written_for"] == time_out(said)
    assert topic["dotdigital"]["by"] == "bridge"
    assert not {"by", "written_for"} & topic["mypreferences"].keys()
    assert topic["agreed"]["stated_at"] == ["mypreferences"]


def test_an_explanation_gives_the_true_reason_where_one_side_shows_no_choice(world: World) -> None:
    """Both sides do not say the same: one was never asked."""
    world.say(MINE, ADA, NEWS, OUT, at=world.now - timedelta(days=30))
    world.say(THEIRS, ADA, "offers", IN, frequencies=("DAILY",), at=world.now - timedelta(days=30))
    world.started()
    who, one = world.store.people.find(ADA), world.cell(ADA)
    assert who is not None
    (topic,) = explain(world.mapping, who, [one], [], View(world.now))["topics"]
    assert topic["agreed"]["choice"] == "opted_out"
    assert "the other shows no choice" in topic["agreed"]["why"]
    assert topic["mypreferences"]["mapped"] == "filter NEWS_EMAIL"
