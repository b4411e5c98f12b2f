"""What a run does when a side fails."""

from __future__ import annotations

from dataclasses import replace
from itertools import count

import pytest

from bridge.core.decision import Rule
from bridge.core.errors import (
    InvalidResponse,
    MappingStale,
    OutcomeUnknown,
    Refused,
    ServerError,
    SideError,
    SignInRefused,
    Throttled,
    Unreachable,
)
from bridge.core.mapping import Conflict, RecordKeys
from bridge.core.model import TopicId
from bridge.core.ports import Hint, PersonView, WriteRequest, WriteResponse
from bridge.engine.context import FAILURES_IN_A_ROW
from bridge.engine.serialize import latch_out
from tests.engine.world import ADA, BOB, IN, MINE, NEWS, OFFERS, OUT, THEIRS, UNSET, World, trouble


def test_a_feed_that_fails_moves_no_watermark_and_the_next_run_catches_up(world: World) -> None:
    world.both(ADA, NEWS, IN)
    world.started()
    before = world.store.feeds.watermarks()
    world.say(THEIRS, ADA, NEWS, OUT)
    world.sides[THEIRS].fail["read_feed"] = [trouble(Unreachable)]
    report = world.run()
    assert world.store.feeds.watermarks()["dotdigital.feed"] == before["dotdigital.feed"]
    assert (report.exit_code, report.in_sync) == (5, False)
    assert world.run().in_sync
    assert world.shows(ADA) == (OUT, OUT)


def test_while_a_feed_cannot_be_read_nobody_is_raised(world: World) -> None:
    world.both(ADA, NEWS, OUT)
    world.started()
    world.say(MINE, ADA, NEWS, IN)
    world.sides[THEIRS].fail["read_feed"] = [trouble(ServerError)]
    world.run()
    assert world.shows(ADA) == (IN, OUT)
    world.run()
    assert world.shows(ADA) == (IN, IN)


def test_one_person_who_cannot_be_read_keeps_nobody_else_waiting(world: World) -> None:
    world.both(ADA, NEWS, IN)
    world.both(BOB, NEWS, IN)
    world.started()
    world.say(MINE, ADA, NEWS, OUT)
    world.say(MINE, BOB, NEWS, OUT)
    world.sides[MINE].fail["read_person"] = [trouble(InvalidResponse, MINE)]
    world.run()
    assert world.shows(BOB) == (OUT, OUT)
    world.run()
    assert world.shows(ADA) == (OUT, OUT)


def test_one_person_who_cannot_be_written_keeps_nobody_else_waiting(world: World) -> None:
    for address in (ADA, BOB):
        world.both(address, NEWS, IN)
    world.started()
    for address in (ADA, BOB):
        world.say(MINE, address, NEWS, OUT)
    world.sides[THEIRS].fail["send_one"] = [trouble(InvalidResponse)]
    assert world.run().exit_code == 3
    assert world.shows(BOB) == (OUT, OUT)
    assert world.run().in_sync
    assert world.shows(ADA) == (OUT, OUT)


def test_a_side_that_serves_nobody_is_left_alone_after_a_while(world: World) -> None:
    people = [f"p{number}@example.com" for number in range(3 * FAILURES_IN_A_ROW)]
    for address in people:
        world.both(address, NEWS, IN)
    world.started()
    for address in people:
        world.say(MINE, address, NEWS, OUT)
    world.sides[THEIRS].fail["send_one"] = [trouble(ServerError) for _ in people]
    assert world.run().exit_code == 5
    assert len(world.sides[THEIRS].fail["send_one"]) == 2 * FAILURES_IN_A_ROW
    world.sides[THEIRS].fail.clear()
    assert world.run().in_sync


@pytest.mark.parametrize("applied", [True, False])
@pytest.mark.parametrize("choice", [IN, OUT])
def test_a_write_without_an_answer_is_read_back_before_anything_else(
    world: World, choice: object, applied: bool
) -> None:
    world.both(ADA, NEWS, IN if choice is OUT else OUT)
    world.started()
    world.say(MINE, ADA, NEWS, choice)  # type: ignore[arg-type]
    fate = "lost_after" if applied else "lost_before"
    world.sides[THEIRS].write_fate.append((fate, trouble(OutcomeUnknown)))
    world.run()
    world.run()
    assert world.shows(ADA) == (choice, choice)
    assert len(world.sides[THEIRS].log) == 1
    assert world.run().in_sync


def test_a_raise_whose_answer_was_lost_is_no_new_statement_under_the_policy_latest(world: World) -> None:
    """Our own write comes back dated later than the person's withdrawal: it must not overrule it."""
    world.conflict(Conflict.LATEST)
    world.both(ADA, NEWS, OUT)
    world.started()
    world.say(MINE, ADA, NEWS, IN)
    world.sides[THEIRS].write_fate.append(("lost_after", trouble(OutcomeUnknown)))
    world.sides[THEIRS].fail["read_person"] = [None, trouble(Unreachable)]  # the confirmation, the read back
    world.run()
    world.say(MINE, ADA, NEWS, OUT)
    world.run()
    world.run()
    assert world.shows(ADA) == (OUT, OUT)


def test_an_opt_in_whose_consent_record_cannot_be_read_is_reported_as_failed(world: World) -> None:
    world.remap(record=RecordKeys("Wording", "Page", "Ip", "Browser"))
    world.both(ADA, NEWS, OUT)
    world.started()
    world.say(MINE, ADA, NEWS, IN)
    world.sides[MINE].fail["consent_records"] = [trouble(InvalidResponse, MINE)]
    report = world.run()
    assert world.shows(ADA) == (IN, OUT)
    assert (report.written.failed, report.exit_code, report.in_sync) == (1, 3, False)
    assert any("consent record" in text for text in report.warnings)
    assert world.run().in_sync
    assert world.shows(ADA) == (IN, IN)


def test_a_refused_opt_in_is_held_with_its_reason_and_not_repeated(world: World) -> None:
    world.both(ADA, NEWS, OUT)
    world.started()
    world.say(MINE, ADA, NEWS, IN)
    world.sides[THEIRS].fail["send_one"] = [trouble(Refused)]
    report = world.run()
    (hold,) = world.store.holds.page()
    assert (hold.reason, report.exit_code) == (Rule.REFUSED, 3)
    calls = world.sides[THEIRS].calls
    world.run()
    world.pass_time(days=2)
    world.run()
    assert world.shows(ADA) == (IN, OUT)
    assert world.sides[THEIRS].calls - calls <= 6


def test_a_refused_opt_out_is_held_and_sent_again_ever_less_often_until_it_is_proven(world: World) -> None:
    world.both(ADA, NEWS, IN)
    world.started()
    world.say(MINE, ADA, NEWS, OUT)
    refusals = world.sides[THEIRS].fail["send_one"] = [trouble(Refused) for _ in range(8)]
    sent = []
    for minutes in (0, 0, 0, 5, 5, 60, 60, 360, 360, 24 * 60, 12 * 60, 12 * 60):
        world.pass_time(minutes=minutes)
        assert world.run().exit_code == 3
        sent.append(8 - len(refusals))
        assert [hold.reason for hold in world.store.holds.page()] == [Rule.REFUSED]
    assert sent == [1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7]
    shown = latch_out(world.cell(ADA))["latched"]
    assert (shown["side"], shown["retry_at"] is None) == (MINE, False)
    refusals.clear()
    world.pass_time(days=1)
    assert world.run().in_sync
    assert world.shows(ADA) == (OUT, OUT)
    assert world.store.holds.page(None) == []


def test_a_write_that_is_refused_again_after_its_release_is_held_again(world: World) -> None:
    test_a_refused_opt_in_is_held_with_its_reason_and_not_repeated(world)
    world.sides[THEIRS].fail["send_one"] = [trouble(Refused)]
    world.store.holds.release([hold.id for hold in world.store.holds.page()])
    report = world.run()
    assert [hold.reason for hold in world.store.holds.page()] == [Rule.REFUSED]
    assert report.exit_code == 3


def test_releasing_a_refused_write_tries_it_again(world: World) -> None:
    test_a_refused_opt_in_is_held_with_its_reason_and_not_repeated(world)
    world.store.holds.release([hold.id for hold in world.store.holds.page()])
    world.run()
    assert world.shows(ADA) == (IN, IN)
    assert world.store.holds.page(None) == []


@pytest.mark.parametrize("kind", [Throttled, Unreachable, SignInRefused])
def test_a_side_that_cannot_take_writes_gets_them_in_a_later_run(world: World, kind: type[SideError]) -> None:
    world.both(ADA, NEWS, IN)
    world.started()
    world.say(MINE, ADA, NEWS, OUT)
    world.sides[THEIRS].fail["send_one"] = [trouble(kind)]
    report = world.run()
    assert not report.in_sync
    assert world.shows(ADA) == (OUT, IN)
    assert world.run().in_sync
    assert world.shows(ADA) == (OUT, OUT)


def test_a_mapped_thing_that_is_gone_changes_nobodys_choice(world: World) -> None:
    world.both(ADA, NEWS, IN)
    world.started()
    world.sides[THEIRS].gone = {TopicId(NEWS)}
    world.say(THEIRS, ADA, NEWS, UNSET, dated=False)
    world.pass_time(hours=1)
    report = world.run()
    assert world.shows(ADA) == (IN, UNSET)
    assert (report.written.writes, report.exit_code) == (0, 3)
    assert any("1002" in warning for warning in report.warnings)


def test_what_changes_at_a_side_is_told_once_and_opts_nobody_out(world: World) -> None:
    world.both(ADA, NEWS, IN)
    world.started()
    world.sides[THEIRS].gone = {TopicId(NEWS)}
    world.pass_time(hours=1)
    assert any("preference 1002 was removed" in warning for warning in world.plan().warnings)
    assert any("preference 1002 was removed" in warning for warning in world.run().warnings)
    assert not any("was removed" in warning for warning in world.run().warnings)
    world.sides[THEIRS].gone = set()
    back = world.run()
    assert any("preference 1002 was added" in warning for warning in back.warnings)
    assert (world.shows(ADA), back.written.writes) == ((IN, IN), 0)


def test_a_write_to_something_gone_is_tried_again_once_the_mapping_is_corrected(world: World) -> None:
    world.both(ADA, NEWS, IN)
    world.started()
    world.say(MINE, ADA, NEWS, OUT)
    world.sides[THEIRS].fail["send_one"] = [trouble(MappingStale)]
    assert world.run().exit_code == 3
    world.run()
    assert world.shows(ADA) == (OUT, OUT)


def test_an_outage_longer_than_the_history_of_events_is_healed_by_a_sweep(world: World) -> None:
    world.both(ADA, NEWS, IN)
    world.started()
    world.say(MINE, ADA, NEWS, OUT)
    world.pass_time(days=20)
    report = world.run()
    assert world.shows(ADA) == (OUT, OUT)
    assert any("does not reach back" in warning for warning in report.warnings)


def test_two_records_that_each_hide_the_other_end_no_run(world: World) -> None:
    """A read of either shows it alone, so that the other seems lost, and is read again."""
    world.both(ADA, NEWS, IN)
    world.started()
    side, reads = world.sides[THEIRS], count()

    def alone(hint: Hint) -> list[PersonView]:
        next(reads)
        return [replace(side._view(side.people[ADA], side.clock()), ids=(hint.id or "",))]

    side.read_hint = alone  # type: ignore[method-assign]
    side.people[ADA].id = "another"
    world.say(THEIRS, ADA, NEWS, OUT)
    world.run()
    assert world.shows(ADA) == (OUT, OUT)
    assert next(reads) == 2


def test_a_second_thought_that_a_read_back_shows_is_decided(world: World) -> None:
    """An opt-out of one topic is written to MyPreferences. While it is, the person opts in again there to
    another one, whose opt-out is on its way to Dotdigital."""
    world.both(ADA, NEWS, IN)
    world.both(ADA, OFFERS, IN, "DAILY")
    world.started()
    world.say(MINE, ADA, NEWS, OUT)
    world.say(THEIRS, ADA, OFFERS, OUT)
    send = world.sides[MINE]._send_one

    def meanwhile(request: WriteRequest) -> WriteResponse:
        world.sides[MINE]._send_one = send  # type: ignore[method-assign]
        world.pass_time(seconds=10)
        world.say(MINE, ADA, NEWS, IN)
        return send(request)

    world.sides[MINE]._send_one = meanwhile  # type: ignore[method-assign]
    world.run()
    world.sides[MINE].people[ADA].touched = None  # no feed names them again
    world.run()
    assert world.shows(ADA) == (IN, IN)
