"""Rare situations that a reading of the code put in doubt, and reads that may not be relied on."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest

from bridge.core.errors import Ambiguous, BridgeError, ServerError
from bridge.core.model import Side, Who
from bridge.core.ports import Page, ReadReplica, WriteRequest, WriteResponse, read_person
from bridge.engine import send
from bridge.engine.attempts import read_back
from bridge.engine.context import RunContext
from bridge.engine.fetch import record
from bridge.sandbox.dotdigital import consent
from bridge.sandbox.faults import InjectedFault
from tests.engine.world import ADA, IN, MINE, NEWS, OUT, THEIRS, World, trouble
from tests.safety.conftest import Make
from tests.safety.late_side import LateWorld
from tests.safety.safety_world import DAY, SafetyLive, is_open
from tests.scenarios.live import EMAIL, PROFILING
from tests.scenarios.test_forgetting import forget

SENDS = ("set-preferences-for-contact", "importContact", "importContacts")


@pytest.fixture
def late(tmp_path: Path) -> LateWorld:
    made = LateWorld(tmp_path)
    made.both(ADA, NEWS, OUT)
    made.started()
    return made


# dates


@pytest.mark.parametrize("hours", [0.5, 8])
def test_an_opt_out_dated_later_today_is_no_weaker_than_one_dated_now(world: World, hours: float) -> None:
    """An opt-out carries today's date and a later hour; then an opt-in from an hour before it shows."""
    world.both(ADA, NEWS, IN)
    world.started()
    world.say(MINE, ADA, NEWS, OUT, at=world.now + timedelta(hours=hours))
    world.run()
    assert world.shows(ADA) == (OUT, OUT)
    world.say(THEIRS, ADA, NEWS, IN, at=world.now - timedelta(hours=1))
    for _ in range(3):
        world.run()
    assert world.shows(ADA) == (OUT, OUT)


def test_an_opt_out_is_never_written_with_a_date_from_the_far_future(live: SafetyLive) -> None:
    """MyPreferences holds an opt-in dated 2099: a later opt-out there would lock the person out for good."""
    ada = live.add("ada", both={NEWS: IN})
    live.started()
    live.say(MINE, ada, NEWS, IN, datetime(2099, 1, 1, tzinfo=UTC))
    live.run()
    live.say(THEIRS, ada, NEWS, OUT)
    reports = live.runs(3)
    with live.mypreferences.lock:
        profile = live.mypreferences.profiles.get(live.profile(ada))
        assert profile is not None
        stored = next(kept for _, kept in profile.live_preferences("NEWS_EMAIL"))
        was_ours = not stored.opted_in
    assert not was_ours or stored.customer_date <= live.clock.now() + timedelta(minutes=15)
    assert was_ours or is_open(reports[-1])


# writes in doubt


@pytest.mark.parametrize("busy", [False, True])
def test_an_older_act_is_not_agreed_over_a_newer_opt_out(late: LateWorld, busy: bool) -> None:
    """An opt-in has an unknown outcome; the person's opt-out is agreed; only then the opt-in lands."""
    late.say(MINE, ADA, NEWS, IN)
    late.theirs.holding, late.theirs.answers = True, False
    late.run()
    late.theirs.busy = busy
    late.pass_time(seconds=10)
    late.say(MINE, ADA, NEWS, OUT)
    late.say(THEIRS, ADA, NEWS, OUT)
    late.runs(2)
    late.theirs.land()
    late.theirs.busy = False
    reports = late.runs(4)
    assert late.shows(ADA)[0] is OUT
    assert late.shows(ADA)[1] is OUT or is_open(reports[-1])


@pytest.mark.parametrize("busy", [False, True])
def test_a_saved_plan_does_not_cross_a_write_that_is_in_doubt(late: LateWorld, busy: bool) -> None:
    """An opt-in is under way with an unknown outcome; a plan with the person's later opt-out is applied."""
    late.say(MINE, ADA, NEWS, IN)
    late.theirs.holding, late.theirs.answers = True, False
    late.run()
    late.theirs.holding, late.theirs.busy = False, busy
    late.pass_time(seconds=10)
    late.say(MINE, ADA, NEWS, OUT)
    plan = late.plan()
    with suppress(BridgeError):  # refusing it is as good
        late.carry_out(plan)
    late.theirs.land()
    late.theirs.busy = False
    reports = late.runs(4)
    assert late.shows(ADA)[0] is OUT
    assert late.shows(ADA)[1] is OUT or is_open(reports[-1])


# erasure


def test_a_backup_from_before_an_erasure_brings_nobody_back(live: SafetyLive) -> None:
    """The state DB is restored as it was before a person was erased; then a batch re-creates them."""
    ada = live.add("ada", both={NEWS: IN})
    live.started()
    file, copy = live.folder / "bridge.db", live.folder / "backup.db"
    live.app.close()
    shutil.copy(file, copy)
    live.restart()
    forget(live, ada)
    live.app.close()
    for old in live.folder.glob("bridge.db*"):
        old.unlink()
    shutil.copy(copy, file)
    live.restart()
    live.add_mine(ada, {}, live.clock.now())
    live.add_theirs(ada, {NEWS: IN}, live.clock.now())
    live.clock.advance(60)
    reports = [*live.runs(2), live.run(full=True)]
    assert live.mine(ada, NEWS) is not IN or is_open(reports[-1])


# blocks


@pytest.mark.parametrize("reason", ["SoftBounced", "HardBounced", "MailBlocked"])
def test_a_withdrawal_from_mail_outlives_the_bounce_that_hid_it(live: SafetyLive, reason: str) -> None:
    """A person whose mail bounced revokes the consent; later the block ends and mail may go again."""
    ada = live.add("ada", both={NEWS: IN})
    live.started()
    live.unsubscribe(ada, reason)
    live.runs(2)
    live.say(MINE, ada, EMAIL, OUT)
    live.runs(3)
    with live.dotdigital.lock:
        consent.restore(live.dotdigital, live.dotdigital.contacts.by_id[live.contact(ada)])
    live.clock.advance(2)
    reports = [*live.runs(3, seconds=DAY), live.run(full=True), live.run()]
    assert live.status(ada) == "Unsubscribed" or is_open(reports[-1])


# reads that failed or were cut short


def test_no_opt_in_is_sent_while_the_suppression_feed_cannot_be_read(make: Make) -> None:
    """An unsubscribe withdraws every topic; the feed that would show it fails, and an opt-in is seen."""
    live = make(on_unsubscribe="all_topics")
    ada = live.add("ada", both={NEWS: OUT})
    live.started()
    live.say(MINE, ada, NEWS, IN)
    for feed in ("get-suppressed-contacts-since-date", "get-unsubscribed-contacts-since-date"):
        live.faults(THEIRS).add(InjectedFault(feed, "html", times=1_000))
    report = live.run()
    assert report.written.raises.total() == 0
    assert live.theirs(ada, NEWS) is OUT
    assert is_open(report)
    live.accept_writes(THEIRS)
    live.runs(2)
    assert live.shows(ada) == (IN, IN)


@pytest.mark.parametrize("side", list(Side))
def test_no_opt_in_is_sent_in_a_run_whose_sweep_was_cut_short(world: World, side: Side) -> None:
    """A sweep of everybody fails after its first page; an opt-in is waiting."""
    for number in range(5):
        world.both(f"p{number}@example.com", NEWS, OUT)
    world.both(ADA, NEWS, OUT)
    world.started()
    world.say(MINE, ADA, NEWS, IN)
    world.sides[side].fail["list_people"] = [None, trouble(ServerError, side)]
    report = world.run(full=True)
    assert report.written.raises.total() == 0
    assert is_open(report)
    world.run()
    assert world.shows(ADA) == (IN, IN)


@pytest.mark.parametrize("side", list(Side))
def test_who_could_not_be_read_in_a_sweep_is_not_taken_for_absent(world: World, side: Side) -> None:
    """A sweep misses a person, whose own read fails too; then they opt out at the other side."""
    world.both(ADA, NEWS, IN)
    world.both("bob@example.com", NEWS, IN)
    world.started()
    there = world.sides[side]
    kept = there.people.pop(ADA)
    there.fail["read_person"] = [trouble(ServerError, side)] * 4
    world.run(full=True)
    there.fail["read_person"] = []
    there.people[ADA] = kept
    world.say(side.other, ADA, NEWS, OUT)
    for _ in range(3):
        world.run()
    assert world.shows(ADA) == (OUT, OUT)


@pytest.mark.parametrize("side", list(Side))
def test_who_cannot_be_read_at_a_side_that_never_showed_them_is_not_absent_there(
    world: World, side: Side
) -> None:
    """A side without a listing is asked for each person; too many records share this one's address."""
    world.say(side.other, ADA, NEWS, OUT)
    there = world.sides[side]
    ambiguous = trouble(Ambiguous, side)

    def listed(known: Iterable[Who], _since: object = None) -> Iterator[Page]:
        yield Page(failures=[(who, ambiguous) for who in known])

    there.list_people = listed  # type: ignore[method-assign, assignment]
    there.fail["read_person"] = [ambiguous] * 20
    world.run()
    report = world.run(full=True)
    assert side not in world.cell(ADA).seen
    assert is_open(report)


def test_a_change_at_the_other_side_during_a_write_is_decided(live: SafetyLive) -> None:
    """While an opt-out of one topic is written to Dotdigital, the person leaves another at MyPreferences."""
    ada = live.add("ada", both={NEWS: IN, PROFILING: IN})
    live.started()
    live.say(MINE, ada, NEWS, OUT)
    met = live.before_call(THEIRS, SENDS, partial(live.say, MINE, ada, PROFILING, OUT))
    live.runs(3)
    assert met
    assert live.shows(ada, PROFILING) == (OUT, OUT)


def test_a_second_thought_during_a_write_is_decided(world: World) -> None:
    """While an opt-in of hers is written to Dotdigital, the person says no again at MyPreferences."""
    world.both(ADA, NEWS, OUT)
    world.started()
    world.say(MINE, ADA, NEWS, IN)
    send = world.sides[THEIRS]._send_one

    def meanwhile(request: WriteRequest) -> WriteResponse:
        answer = send(request)
        world.sides[THEIRS]._send_one = send  # type: ignore[method-assign]
        world.pass_time(seconds=10)
        world.say(MINE, ADA, NEWS, OUT)
        return answer

    world.sides[THEIRS]._send_one = meanwhile  # type: ignore[method-assign]
    for _ in range(3):
        world.run()
    assert world.shows(ADA) == (OUT, OUT)


def test_a_second_thought_that_is_read_before_the_write_is_agreed_is_decided(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An opt-in is written to Dotdigital; before it is agreed, MyPreferences shows the person's new no."""
    world.both(ADA, NEWS, OUT)
    world.started()
    world.say(MINE, ADA, NEWS, IN)

    def meanwhile(run: RunContext, reader: ReadReplica, people: Sequence[Who]) -> object:
        found = read_back(run, reader, people)
        if reader.side is THEIRS and people:
            world.pass_time(seconds=10)
            world.say(MINE, ADA, NEWS, OUT)
            record(run, MINE, [read_person(run.readers[MINE], who) for who in people])
        return found

    monkeypatch.setattr(send, "read_back", meanwhile)
    world.run()
    monkeypatch.undo()
    for _ in range(3):
        world.run()
    assert world.shows(ADA) == (OUT, OUT)
