"""What a round does, on two fake sides and a real state DB."""

from __future__ import annotations

from datetime import timedelta

import pytest

from bridge.core.decision import Rule
from bridge.core.errors import (
    BadAnswer,
    MappingStale,
    OutcomeUnknown,
    PlanMoved,
    Refused,
    ServerTrouble,
    SideError,
    SignInRefused,
    Throttled,
    Unreachable,
)
from bridge.core.mapping import Conflict
from bridge.core.model import HoldState, Side, TopicId
from tests.engine.world import IN, MINE, NEWS, OFFERS, OUT, THEIRS, UNSET, World

ADA, BOB = "ada@example.com", "bob@example.com"


def error(kind: type[SideError], side: Side = THEIRS) -> SideError:
    return kind("something went wrong", side=side, operation="test")


# both directions


@pytest.mark.parametrize("side", list(Side))
def test_a_withdrawal_at_either_side_is_followed_at_the_other(world: World, side: Side) -> None:
    world.both(ADA, NEWS, IN)
    world.started()
    world.say(side, ADA, NEWS, OUT)
    report = world.round()
    assert world.shows(ADA) == (OUT, OUT)
    assert report.tally.withdrawals[side.other] == report.tally.writes == 1
    assert report.in_sync


@pytest.mark.parametrize("side", list(Side))
def test_a_newer_dated_opt_in_at_either_side_is_followed_at_the_other(world: World, side: Side) -> None:
    world.both(ADA, NEWS, OUT)
    world.started()
    world.say(side, ADA, NEWS, IN)
    report = world.round()
    assert world.shows(ADA) == (IN, IN)
    assert report.tally.raises[side.other] == report.tally.writes == 1


@pytest.mark.parametrize("side", list(Side))
def test_an_undated_opt_in_raises_nobody_and_is_taken_back(world: World, side: Side) -> None:
    world.both(ADA, NEWS, OUT)
    world.started()
    world.say(side, ADA, NEWS, IN, dated=False)
    world.round()
    assert world.shows(ADA) == (OUT, OUT)


@pytest.mark.parametrize("side", list(Side))
def test_an_opt_in_older_than_the_agreed_opt_out_is_taken_back(world: World, side: Side) -> None:
    world.both(ADA, NEWS, OUT)
    world.started()
    world.say(side, ADA, NEWS, IN, at=world.now - timedelta(days=40))
    world.round()
    assert world.shows(ADA) == (OUT, OUT)


def test_opposite_changes_at_once_end_opted_out_at_both_sides(world: World) -> None:
    world.both(ADA, NEWS, UNSET)
    world.started()
    now = world.now
    world.say(MINE, ADA, NEWS, IN, at=now)
    world.say(THEIRS, ADA, NEWS, OUT, at=now)
    world.round()
    assert world.shows(ADA) == (OUT, OUT)


def test_with_the_policy_latest_a_newer_opt_in_wins_over_an_older_opt_out(world: World) -> None:
    world.conflict(Conflict.LATEST)
    world.both(ADA, NEWS, IN)
    world.started()
    world.say(THEIRS, ADA, NEWS, OUT, at=world.now - timedelta(minutes=10))
    world.say(MINE, ADA, NEWS, IN, at=world.now)
    world.round()
    assert world.shows(ADA) == (IN, IN)


def test_a_frequency_follows_the_newer_choice(world: World) -> None:
    world.both(ADA, OFFERS, IN, "DAILY")
    world.started()
    world.say(THEIRS, ADA, OFFERS, IN, frequencies=("WEEKLY",))
    report = world.round()
    assert world.cell(ADA, OFFERS).seen[MINE].frequencies == ("WEEKLY",)
    assert report.tally.other[MINE] == 1


def test_a_second_round_writes_nothing(world: World) -> None:
    world.both(ADA, NEWS, IN)
    world.both(BOB, NEWS, OUT)
    world.started()
    world.say(MINE, ADA, NEWS, OUT)
    world.say(THEIRS, BOB, NEWS, IN)
    assert world.round().tally.writes == 2
    again = world.round()
    assert again.tally.writes == 0
    assert again.in_sync


# first run


def test_the_first_run_delivers_withdrawals_and_holds_opt_ins(world: World) -> None:
    month = world.now - timedelta(days=30)
    for address, mine, theirs in ((ADA, IN, OUT), (BOB, IN, UNSET)):
        world.say(MINE, address, NEWS, mine, at=month)
        world.say(THEIRS, address, NEWS, theirs, at=month)
    report = world.round()
    assert world.shows(ADA) == (OUT, OUT)
    assert world.shows(BOB) == (IN, UNSET)
    assert (report.kind, report.counts.held, report.exit_code) == ("first", 1, 3)


def test_approving_raises_lets_dated_opt_ins_from_before_the_first_run_go(world: World) -> None:
    world.say(MINE, BOB, NEWS, IN, at=world.now - timedelta(days=30))
    world.say(THEIRS, BOB, NEWS, UNSET)
    world.round()
    report = world.round(approve_raises=True)
    assert world.shows(BOB) == (IN, IN)
    assert (report.counts.held, report.exit_code) == (0, 0)


def test_releasing_a_hold_of_the_first_run_lets_its_opt_in_go(world: World) -> None:
    world.say(MINE, BOB, NEWS, IN, at=world.now - timedelta(days=30))
    world.say(THEIRS, BOB, NEWS, UNSET)
    world.round()
    (hold,) = world.store.holds()
    world.store.release([hold.id])
    report = world.round()
    assert world.shows(BOB) == (IN, IN)
    assert (report.counts.held, report.exit_code) == (0, 0)


def test_a_dismissed_hold_leaves_both_sides_as_they_are(world: World) -> None:
    world.say(MINE, BOB, NEWS, IN, at=world.now - timedelta(days=30))
    world.say(THEIRS, BOB, NEWS, UNSET)
    world.round()
    (hold,) = world.store.holds()
    world.store.dismiss([hold.id])
    report = world.round()
    assert world.shows(BOB) == (IN, UNSET)
    assert (report.counts.held, report.counts.waiting) == (0, 0)


def test_the_first_run_goes_on_where_it_was_stopped(world: World) -> None:
    world.both(ADA, NEWS, IN)
    world.sides[MINE].fail["everyone"] = [error(Unreachable, MINE)]
    assert world.round().kind == "first"
    assert world.round().kind == "first"
    assert world.round().kind == "incremental"


# faults


def test_a_feed_that_fails_moves_no_watermark_and_the_next_round_catches_up(world: World) -> None:
    world.both(ADA, NEWS, IN)
    world.started()
    before = world.store.watermarks()
    world.say(THEIRS, ADA, NEWS, OUT)
    world.sides[THEIRS].fail["changes"] = [error(Unreachable)]
    report = world.round()
    assert world.store.watermarks()["dotdigital.feed"] == before["dotdigital.feed"]
    assert (report.exit_code, report.in_sync) == (5, False)
    assert world.round().in_sync
    assert world.shows(ADA) == (OUT, OUT)


def test_while_a_feed_cannot_be_read_nobody_is_raised(world: World) -> None:
    world.both(ADA, NEWS, OUT)
    world.started()
    world.say(MINE, ADA, NEWS, IN)
    world.sides[THEIRS].fail["changes"] = [error(ServerTrouble)]
    world.round()
    assert world.shows(ADA) == (IN, OUT)
    world.round()
    assert world.shows(ADA) == (IN, IN)


def test_one_person_who_cannot_be_read_keeps_nobody_else_waiting(world: World) -> None:
    world.both(ADA, NEWS, IN)
    world.both(BOB, NEWS, IN)
    world.started()
    world.say(MINE, ADA, NEWS, OUT)
    world.say(MINE, BOB, NEWS, OUT)
    world.sides[MINE].fail["look"] = [error(BadAnswer, MINE)]
    world.round()
    assert world.shows(BOB) == (OUT, OUT)
    world.round()
    assert world.shows(ADA) == (OUT, OUT)


@pytest.mark.parametrize("applied", [True, False])
@pytest.mark.parametrize("choice", [IN, OUT])
def test_a_write_without_an_answer_is_read_back_before_anything_else(
    world: World, choice: object, applied: bool
) -> None:
    world.both(ADA, NEWS, IN if choice is OUT else OUT)
    world.started()
    world.say(MINE, ADA, NEWS, choice)  # type: ignore[arg-type]
    fate = "lost_after" if applied else "lost_before"
    world.sides[THEIRS].write_fate.append((fate, error(OutcomeUnknown)))
    world.round()
    world.round()
    assert world.shows(ADA) == (choice, choice)
    assert len(world.sides[THEIRS].log) == 1
    assert world.round().in_sync


def test_a_raise_whose_answer_was_lost_is_no_new_statement_under_the_policy_latest(world: World) -> None:
    """Our own write comes back dated later than the person's withdrawal: it must not overrule it."""
    world.conflict(Conflict.LATEST)
    world.both(ADA, NEWS, OUT)
    world.started()
    world.say(MINE, ADA, NEWS, IN)
    world.sides[THEIRS].write_fate.append(("lost_after", error(OutcomeUnknown)))
    world.sides[THEIRS].fail["look"] = [error(Unreachable)] * 0
    world.round()
    world.say(MINE, ADA, NEWS, OUT)
    world.round()
    world.round()
    assert world.shows(ADA) == (OUT, OUT)


def test_a_refused_write_is_held_with_its_reason_and_not_repeated(world: World) -> None:
    world.both(ADA, NEWS, IN)
    world.started()
    world.say(MINE, ADA, NEWS, OUT)
    world.sides[THEIRS].fail["write"] = [error(Refused)]
    report = world.round()
    (hold,) = world.store.holds()
    assert (hold.reason, report.exit_code) == (Rule.REFUSED, 3)
    calls = world.sides[THEIRS].calls
    world.round()
    assert world.shows(ADA) == (OUT, IN)
    assert world.sides[THEIRS].calls - calls <= 3


def test_releasing_a_refused_write_tries_it_again(world: World) -> None:
    test_a_refused_write_is_held_with_its_reason_and_not_repeated(world)
    world.store.release([hold.id for hold in world.store.holds()])
    world.round()
    assert world.shows(ADA) == (OUT, OUT)
    assert world.store.holds(None) == []


@pytest.mark.parametrize("kind", [Throttled, Unreachable, SignInRefused])
def test_a_side_that_cannot_take_writes_gets_them_in_a_later_round(
    world: World, kind: type[SideError]
) -> None:
    world.both(ADA, NEWS, IN)
    world.started()
    world.say(MINE, ADA, NEWS, OUT)
    world.sides[THEIRS].fail["write"] = [error(kind)]
    report = world.round()
    assert not report.in_sync
    assert world.shows(ADA) == (OUT, IN)
    assert world.round().in_sync
    assert world.shows(ADA) == (OUT, OUT)


def test_a_mapped_thing_that_is_gone_changes_nobodys_choice(world: World) -> None:
    world.both(ADA, NEWS, IN)
    world.started()
    world.sides[THEIRS].gone = {TopicId(NEWS): "Dotdigital has no preference 1002"}
    world.say(THEIRS, ADA, NEWS, UNSET, dated=False)
    world.pass_time(hours=1)
    report = world.round()
    assert world.shows(ADA) == (IN, UNSET)
    assert (report.tally.writes, report.exit_code) == (0, 3)
    assert any("1002" in warning for warning in report.warnings)


def test_a_write_to_something_gone_is_tried_again_once_the_mapping_is_mended(world: World) -> None:
    world.both(ADA, NEWS, IN)
    world.started()
    world.say(MINE, ADA, NEWS, OUT)
    world.sides[THEIRS].fail["write"] = [error(MappingStale)]
    assert world.round().exit_code == 3
    world.round()
    assert world.shows(ADA) == (OUT, OUT)


def test_an_outage_longer_than_the_history_of_events_is_healed_by_a_sweep(world: World) -> None:
    world.both(ADA, NEWS, IN)
    world.started()
    world.say(MINE, ADA, NEWS, OUT)
    world.pass_time(days=20)
    report = world.round()
    assert world.shows(ADA) == (OUT, OUT)
    assert any("does not reach back" in warning for warning in report.warnings)


# confirm, stale, brakes


def test_a_raise_is_not_sent_when_the_target_withdrew_meanwhile(world: World) -> None:
    world.both(ADA, NEWS, UNSET)
    world.started()
    world.say(MINE, ADA, NEWS, IN)
    target = world.sides[THEIRS]
    changes = target.changes

    def late_withdrawal(feed: str, since: object) -> object:
        yield from changes(feed, since)  # type: ignore[arg-type]
        target.say(ADA, NEWS, OUT)

    target.changes = late_withdrawal  # type: ignore[method-assign,assignment]
    world.round()
    del target.changes
    assert target.shows(ADA, NEWS) is OUT
    world.round()
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
    report = world.round()
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
    report = world.round()
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
    assert world.round().exit_code == 4
    assert world.shows(people[0]) == (OUT, IN)


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
    world.round()
    assert world.shows(ADA) == (OUT, OUT)


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
    assert report.tally.writes == len(plan.writes) == 1


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


def test_the_price_of_a_plan_is_what_carrying_it_out_costs(world: World) -> None:
    world.both(ADA, NEWS, IN)
    world.both(BOB, NEWS, OUT)
    world.started()
    world.say(MINE, ADA, NEWS, OUT)
    world.say(MINE, BOB, NEWS, IN)
    plan = world.plan()
    before = {side: world.sides[side].calls for side in Side}
    world.round()
    reading = {side: 2 if side is THEIRS else 4 for side in Side}
    for side in Side:
        assert world.sides[side].calls - before[side] <= plan.calls[side] + reading[side]


# holds that end by themselves


def test_a_hold_ends_when_its_ground_is_gone(world: World) -> None:
    world.conflict(Conflict.HOLD)
    world.both(ADA, NEWS, UNSET)
    world.started()
    world.say(MINE, ADA, NEWS, IN)
    world.say(THEIRS, ADA, NEWS, OUT)
    world.round()
    assert world.shows(ADA) == (IN, OUT)
    assert [hold.state for hold in world.store.holds()] == [HoldState.OPEN]
    world.say(MINE, ADA, NEWS, OUT)
    assert world.round().counts.held == 0


def test_every_run_is_on_record_with_its_report(world: World) -> None:
    world.both(ADA, NEWS, IN)
    world.started()
    (run,) = world.store.last_runs(1)
    assert (run.kind, run.state) == ("first", "done")
    assert run.report is not None
    assert run.report["in_sync"] is True


def test_the_ledger_tells_why_and_holds_no_address(world: World) -> None:
    world.both(ADA, NEWS, IN)
    world.started()
    world.say(MINE, ADA, NEWS, OUT)
    world.round()
    entries = list(world.store.export_ledger())
    assert [entry["kind"] for entry in entries] == ["decided", "outcome", "agreed"]
    assert "ada@" not in str(entries)
    assert world.store.verify_ledger().entries == len(entries)
