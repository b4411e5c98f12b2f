"""Where the rules of the safety core meet: latches, our own writes, scopes, clocks and erasures."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from bridge.core.errors import OutcomeUnknown, Unreachable
from bridge.core.ports import WriteRequest, WriteResponse
from bridge.engine.plan import make_plan
from tests.engine.world import ADA, IN, MINE, NEWS, OUT, THEIRS, World, trouble
from tests.safety.conftest import Make
from tests.safety.late_side import LateWorld
from tests.safety.safety_world import DAY, SafetyLive, is_open
from tests.safety.test_scope_version import PROFILING_MAPPED, _edit
from tests.scenarios.live import PROFILING
from tests.scenarios.test_forgetting import forget


@pytest.fixture
def late(tmp_path: Path) -> LateWorld:
    made = LateWorld(tmp_path)
    made.both(ADA, NEWS, OUT)
    made.started()
    return made


# latches and our own writes


def test_our_own_late_opt_in_ends_no_latched_opt_out(late: LateWorld) -> None:
    """Our opt-in is under way when the person opts out at Dotdigital; MyPreferences takes no writes just
    then, and our opt-in lands after both."""
    late.say(MINE, ADA, NEWS, IN)
    late.theirs.holding, late.theirs.answers = True, False
    late.run()
    late.pass_time(minutes=1)
    late.say(THEIRS, ADA, NEWS, OUT)
    late.sides[MINE].fail["send_one"] = [trouble(Unreachable, MINE)] * 2
    late.pass_time(minutes=1)
    late.run()
    assert late.cell(ADA).latch
    late.pass_time(minutes=1)
    late.theirs.land()
    late.sides[MINE].fail.clear()
    late.runs(4)
    assert late.shows(ADA) == (OUT, OUT)


def test_an_opt_out_seen_while_our_opt_in_is_being_sent_is_not_undone_by_it(world: World) -> None:
    """The person opts out at Dotdigital after the confirming read; a feed shows it before our call is
    answered."""
    world.both(ADA, NEWS, OUT)
    world.started()
    world.say(MINE, ADA, NEWS, IN)
    send = world.sides[THEIRS]._send_one

    def seen_before(request: WriteRequest) -> WriteResponse:
        world.sides[THEIRS]._send_one = send  # type: ignore[method-assign]
        world.pass_time(seconds=5)
        world.say(THEIRS, ADA, NEWS, OUT)
        world.pass_time(seconds=5)
        world.plan()
        assert world.cell(ADA).latch
        world.pass_time(seconds=5)
        return send(request)

    world.sides[THEIRS]._send_one = seen_before  # type: ignore[method-assign]
    for _ in range(4):
        world.run()
    assert world.shows(ADA) == (OUT, OUT)


# unsubscribes that withdraw the topics


def test_an_unsubscribe_of_a_new_person_withdraws_the_topics_although_they_bounce(make: Make) -> None:
    """The unsubscribe is read before anything else of the person; MyPreferences takes no writes meanwhile."""
    live = make(on_unsubscribe="all_topics")
    live.add("bob", both={NEWS: IN})
    live.started()
    live.refuse_writes(MINE, 503)
    ada = live.add("ada", both={NEWS: IN}, days_ago=0)
    live.unsubscribe(ada)
    live.run()
    live.unsubscribe(ada, "HardBounced")
    live.runs(2)
    live.accept_writes(MINE)
    live.runs(3, seconds=DAY)
    assert live.mine(ada, NEWS) is OUT


def test_an_unsubscribe_that_waits_withdraws_a_topic_that_is_mapped_meanwhile(make: Make) -> None:
    live = make(on_unsubscribe="all_topics")
    ada = live.add("ada", both={NEWS: IN, PROFILING: IN})
    _edit(live, (PROFILING_MAPPED, ""))
    live.started()
    live.refuse_writes(MINE, 503)
    live.unsubscribe(ada)
    live.runs(2)
    live.unsubscribe(ada, "HardBounced")
    live.run()
    _edit(live, ('[[topics]]\nid = "offers"', PROFILING_MAPPED + '\n[[topics]]\nid = "offers"'))
    live.accept_writes(MINE)
    live.runs(3, seconds=DAY)
    assert live.mine(ada, PROFILING) is OUT


# latches and what a topic is mapped to


def test_an_opt_in_to_what_a_topic_is_mapped_to_now_ends_no_opt_out_from_before(live: SafetyLive) -> None:
    """An opt-out waits for MyPreferences; the topic is re-pointed to a preference that the person ticked
    before that."""
    ada = live.add("ada", both={NEWS: IN})
    live.started()
    live.refuse_writes(MINE, 503)
    live.say(THEIRS, ada, NEWS, OUT)
    live.runs(2)
    live.clock.advance(600)
    live.dotdigital.set_preference(live.contact(ada), 1011, True, live.clock.now())
    live.clock.advance(600)
    _edit(live, ("preference = 1002", "preference = 1011"))
    live.accept_writes(MINE)
    live.runs(3)
    live.run(full=True)
    assert live.mine(ada, NEWS) is OUT


def test_an_opt_out_goes_to_nothing_else_once_a_topic_is_re_pointed_at_both_sides(live: SafetyLive) -> None:
    """An opt-out waits for MyPreferences; the topic then means another purpose at both sides."""
    ada = live.add("ada", both={NEWS: IN, PROFILING: IN})
    _edit(live, (PROFILING_MAPPED, ""))
    live.started()
    live.refuse_writes(MINE, 503)
    live.say(THEIRS, ada, NEWS, OUT)
    live.runs(2)
    news, consent = (
        '{ filter = "NEWS_EMAIL" }',
        '{ consent = "Profiling", version = "1.0", locale = "en_US" }',
    )
    _edit(live, ("preference = 1002", "preference = 1010"), (news, consent))
    live.accept_writes(MINE)
    live.runs(3)
    assert live.shows(ada, PROFILING) == (IN, IN)


def test_a_plan_with_a_mistaken_mapping_leaves_nothing_behind(live: SafetyLive) -> None:
    """A dry run with a topic re-pointed by mistake; then the mapping is as it was."""
    people = [live.add(f"p{number}", both={NEWS: IN}) for number in range(5)]
    live.started()
    for address in people:
        live.dotdigital.set_preference(live.contact(address), 1011, False, live.clock.now())
    live.clock.advance(600)
    live.run()
    _edit(live, ("preference = 1002", "preference = 1011"))
    live.clock.advance(60)
    make_plan(live.app.services())
    _edit(live, ("preference = 1011", "preference = 1002"))
    live.runs(3)
    assert {live.shows(address) for address in people} == {(IN, IN)}


def test_a_mistaken_mapping_that_waited_for_approval_leaves_nothing_behind(live: SafetyLive) -> None:
    """Two preferences are swapped by mistake, which waits for approval; then the mapping is as it was."""
    people = [live.add(f"p{number}", both={NEWS: IN, PROFILING: IN}) for number in range(12)]
    live.started()
    for address in people:
        live.say(MINE, address, PROFILING, OUT)
    live.runs(2)
    before = (live.folder / "mapping.toml").read_text()
    _edit(
        live, ("preference = 1002", "preference = 9"), ("preference = 1010", "preference = 1002"),
        ("preference = 9", "preference = 1010"),
    )  # fmt: skip
    assert is_open(live.run())
    (live.folder / "mapping.toml").write_text(before)
    live.restart()
    live.runs(2)
    report = live.run(approve_mapping=True)
    live.run()
    assert {live.shows(address, NEWS) for address in people} == {(IN, IN)}
    assert {live.shows(address, PROFILING) for address in people} == {(OUT, OUT)}
    assert not report.written.writes


# erased people


def test_opt_ins_of_batches_at_both_sides_do_not_bring_an_erased_person_back(live: SafetyLive) -> None:
    """After an erasure a batch re-creates the record at both sides, with an opt-out of something else; later
    the choice is archived at MyPreferences, and Dotdigital's import is repeated."""
    ada = live.add("ada", both={NEWS: IN})
    live.started()
    before = live.clock.now() - timedelta(days=90)
    forget(live, ada)
    live.run()
    live.add_mine(ada, {NEWS: IN}, before)
    live.mypreferences.set_preference(live.profile(ada), "OFFERS_EMAIL", False, live.clock.now(), None)
    live.clock.advance(3600)
    live.add_theirs(ada, {NEWS: IN}, live.clock.now())
    live.clock.advance(60)
    live.runs(3)
    assert live.cell(ada).erased_at
    live.mypreferences.archive(live.profile(ada), "NEWS_EMAIL", "over")
    live.clock.advance(3600)
    live.dotdigital.set_preference(live.contact(ada), 1002, True, live.clock.now())
    live.clock.advance(60)
    live.runs(3)
    live.run(full=True)
    assert live.mine(ada, NEWS) is not IN


def test_a_no_is_not_undone_where_the_person_ticked_the_box_while_our_write_was_lost(late: LateWorld) -> None:
    """Our opt-in gets no answer; she opts in there herself in that moment, then says no; then ours lands."""
    late.say(MINE, ADA, NEWS, IN)
    late.theirs.holding, late.theirs.answers = True, False
    apply = late.theirs._apply

    def tick(*args: Any) -> None:
        late.pass_time(seconds=20)
        late.theirs.say(ADA, NEWS, IN)
        late.pass_time(seconds=20)
        apply(*args)

    late.theirs._apply = tick  # type: ignore[method-assign]
    late.run()
    late.theirs._apply = apply  # type: ignore[method-assign]
    late.runs(2)
    late.theirs.holding = False
    late.say(MINE, ADA, NEWS, OUT)
    late.runs(2)
    late.pass_time(minutes=5)
    late.theirs.land()
    late.runs(4)
    assert late.shows(ADA) == (OUT, OUT)


# opt-outs without a date


@pytest.mark.parametrize("run_between", [False, True])
def test_an_opt_out_made_again_without_a_date_is_newer_than_every_opt_in(
    world: World, run_between: bool
) -> None:
    """Opted out at both sides; opts in at both; opts out at MyPreferences, which gives no date any more."""
    world.both(ADA, NEWS, OUT)
    world.started()
    world.say(THEIRS, ADA, NEWS, IN)
    if run_between:
        world.sides[MINE].fail["send_one"] = [trouble(Unreachable, MINE)] * 9
        world.run()
        world.sides[MINE].fail.clear()
    world.say(MINE, ADA, NEWS, IN)
    world.pass_time(seconds=20)
    world.say(MINE, ADA, NEWS, OUT, dated=False)
    for _ in range(4):
        world.run()
    assert world.shows(ADA)[0] is OUT


@pytest.mark.parametrize("lost", [False, True])
def test_an_undated_opt_out_that_proves_our_write_may_be_newer_than_what_was_written(
    world: World, lost: bool
) -> None:
    """Opted out at Dotdigital; while that is sent to MyPreferences the person opts in at Dotdigital and then
    opts out at MyPreferences, which gives no date."""
    world.both(ADA, NEWS, IN)
    world.started()
    world.say(THEIRS, ADA, NEWS, OUT)
    mine = world.sides[MINE]
    send = mine._send_one

    def undated_meanwhile(request: WriteRequest) -> WriteResponse:
        mine._send_one = send  # type: ignore[method-assign]
        world.pass_time(seconds=5)
        world.say(THEIRS, ADA, NEWS, IN)
        world.pass_time(seconds=5)
        world.say(MINE, ADA, NEWS, OUT, dated=False)
        if lost:
            raise trouble(OutcomeUnknown, MINE)
        return WriteResponse.ACCEPTED

    mine._send_one = undated_meanwhile  # type: ignore[method-assign]
    for _ in range(4):
        world.run()
    assert world.shows(ADA)[0] is OUT


@pytest.mark.parametrize("minutes", [1, 60])
def test_an_opt_out_made_just_before_our_lost_opt_in_is_no_trace_of_it(world: World, minutes: int) -> None:
    """Opted out at both sides; opts in at MyPreferences; opts out at Dotdigital just before our opt-in
    is sent, whose answer is lost."""
    world.both(ADA, NEWS, OUT)
    world.started()
    world.say(MINE, ADA, NEWS, IN)
    theirs = world.sides[THEIRS]
    send = theirs._send_one

    def out_before(request: WriteRequest) -> WriteResponse:
        theirs._send_one = send  # type: ignore[method-assign]
        world.say(THEIRS, ADA, NEWS, OUT, at=world.now - timedelta(milliseconds=1))
        raise trouble(OutcomeUnknown)

    theirs._send_one = out_before  # type: ignore[method-assign]
    world.run()
    world.pass_time(minutes=minutes)
    for _ in range(4):
        world.run()
    assert world.shows(ADA)[1] is OUT
