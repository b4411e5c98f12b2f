"""What was read later is newer, whatever the clocks say."""

from __future__ import annotations

from datetime import datetime, time, timedelta, tzinfo
from time import monotonic
from typing import Any

import pytest

from bridge.core.model import Side
from bridge.daemon.scheduler import Job, JobQueue, Scheduler
from bridge.engine.plan import apply_plan, make_plan
from tests.approvals import saved
from tests.safety.safety_world import SafetyLive, is_open
from tests.scenarios.live import IN, MINE, NEWS, OUT, THEIRS, UNSET

BACK = {"minutes": -12}
ALARM = ("clock", "skew", "ahead", "behind")


def _alarmed(warnings: list[str]) -> bool:
    """Whether a warning is about clocks."""
    return any(word in text.lower() for text in warnings for word in ALARM)


# our own clock


@pytest.mark.parametrize("minutes", [-3, -12, -120])
@pytest.mark.parametrize("side", list(Side))
def test_an_opt_out_is_followed_although_our_clock_was_set_back(
    live: SafetyLive, side: Side, minutes: int
) -> None:
    """The host's clock is set back between two runs; then the person opts out."""
    ada = live.add("ada", both={NEWS: IN})
    live.started()
    live.say(side, ada, NEWS, IN)  # it is read once more just before
    live.runs(2)
    live.set_own_clock(minutes=minutes)
    live.say(side, ada, NEWS, OUT)
    reports = live.runs(5)
    assert live.shows(ada) == (OUT, OUT), [report.in_sync for report in reports]


@pytest.mark.parametrize("side", list(Side))
def test_no_opt_in_is_sent_on_an_opt_in_that_was_read_before_a_no(live: SafetyLive, side: Side) -> None:
    """The opt-in was read, the clock is set back, and the no is read at an earlier time by that clock."""
    ada = live.add("ada", both={NEWS: OUT})
    live.started()
    live.refuse_writes(side.other, 503)
    live.say(side, ada, NEWS, IN)
    live.run()
    live.set_own_clock(**BACK)
    live.say(side, ada, NEWS, OUT)
    live.accept_writes(side.other)
    live.runs(5)
    assert live.shows(ada) == (OUT, OUT)


def test_runs_go_on_after_our_clock_was_set_back(live: SafetyLive) -> None:
    """The same events are read again at earlier times by our clock than before."""
    ada = live.add("ada", both={NEWS: IN})
    live.started()
    live.say(MINE, ada, NEWS, OUT)
    live.runs(2)
    live.set_own_clock(**BACK)
    bob = live.add("bob", both={NEWS: IN})
    live.say(MINE, bob, NEWS, OUT)
    live.say(MINE, ada, NEWS, IN)
    live.runs(4)
    assert live.shows(bob) == (OUT, OUT)


@pytest.mark.parametrize("side", list(Side))
@pytest.mark.parametrize("hours", [0.05, 2])
def test_an_opt_out_is_followed_after_our_clock_was_ahead(live: SafetyLive, side: Side, hours: float) -> None:
    """The clock was ahead during two runs and is right again when the person opts out."""
    ada = live.add("ada", both={NEWS: IN})
    live.started()
    live.set_own_clock(hours=hours)
    live.say(side, ada, NEWS, IN)
    live.runs(2)
    live.run(full=True)
    live.set_own_clock()
    live.say(side, ada, NEWS, OUT)
    live.runs(4)
    assert live.shows(ada) == (OUT, OUT)


def test_a_genuine_opt_in_is_not_taken_back_where_our_clock_is_behind(live: SafetyLive) -> None:
    """Our clock is 40 minutes behind all along; the person who had refused opts in."""
    live.set_own_clock(minutes=-40)
    ada = live.add("ada", both={NEWS: OUT})
    live.started()
    live.say(MINE, ada, NEWS, IN)
    reports = live.runs(3)
    assert live.mine(ada, NEWS) is IN
    assert live.theirs(ada, NEWS) is IN or is_open(reports[-1])
    assert _alarmed(reports[-1].warnings)


def test_a_first_run_far_in_the_future_does_not_hold_what_is_said_later(live: SafetyLive) -> None:
    """The first run is made with a clock 30 days ahead; then the clock is put right and a person opts in."""
    live.set_own_clock(days=30)
    ada = live.add("ada", mine={NEWS: UNSET}, theirs={NEWS: UNSET})
    report = live.run()
    live.set_own_clock()
    live.clock.advance(3600)
    live.say(MINE, ada, NEWS, IN)
    reports = [*live.runs(3), live.run(full=True)]
    refused = bool(report.errors) or _alarmed(report.warnings)
    assert live.shows(ada) == (IN, IN) or refused
    assert live.shows(ada) == (IN, IN) or _alarmed(reports[-1].warnings)


@pytest.mark.parametrize("hours", [-0.1, -24.0, -24.0 * 365 * 50])
def test_a_first_run_whose_clock_is_behind_opts_nobody_in_without_approval(
    live: SafetyLive, hours: float
) -> None:
    """What was said before the first run waits for an operator, by the clocks that dated it."""
    live.clock.advance(-60)
    ada = live.add("ada", mine={NEWS: UNSET}, theirs={NEWS: UNSET})
    live.say(MINE, ada, NEWS, IN)
    live.clock.advance(60)
    live.set_own_clock(hours=hours)
    live.run()
    live.set_own_clock()
    live.clock.advance(3600)
    live.runs(3)
    assert live.shows(ada) == (IN, UNSET)
    live.say(MINE, ada, NEWS, OUT)
    live.clock.advance(3600)
    live.say(MINE, ada, NEWS, IN)  # what is said from then on is newer than the bridge
    live.runs(3)
    assert live.shows(ada) == (IN, IN)


def test_an_opt_out_is_followed_after_a_first_run_far_in_the_future(live: SafetyLive) -> None:
    """The same clock must not hide opt-outs either."""
    live.set_own_clock(days=30)
    ada = live.add("ada", both={NEWS: IN})
    live.run()
    live.set_own_clock()
    live.clock.advance(3600)
    live.say(THEIRS, ada, NEWS, OUT)
    live.runs(4)
    assert live.shows(ada) == (OUT, OUT)


def test_runs_stay_due_although_the_clock_steps_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """The host's clock is set back by an hour under a running daemon, which polls ten times a second."""
    queue, back = JobQueue(), [0.0]
    scheduler = Scheduler(
        queue, every=timedelta(seconds=0.1), sweep_at=time(3, 0), wall=lambda: monotonic() + back[-1]
    )
    scheduler.start()
    try:
        queue.take()
        monkeypatch.setattr("apscheduler.schedulers.base.datetime", _AnHourBack)
        monkeypatch.setattr("apscheduler.triggers.interval.datetime", _AnHourBack)
        back.append(-3600.0)
        assert scheduler.check_clock()  # as the daemon does every few seconds
        assert [queue.take() for _ in range(4)] == [Job.POLL] * 4
    finally:
        scheduler.stop()
        queue.close()


class _AnHourBack(datetime):
    """What the host's clock shows after the step."""

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> Any:
        return datetime.now(tz) - timedelta(hours=1)


# two processes


@pytest.mark.parametrize("side", list(Side))
def test_an_opt_out_is_followed_where_two_processes_with_different_clocks_take_turns(
    live: SafetyLive, side: Side
) -> None:
    """Two daemons share the state DB; the clock of one is 12 minutes behind the other's."""
    ada = live.add("ada", both={NEWS: IN})
    live.started()
    live.say(side, ada, NEWS, IN)
    live.runs(2)
    live.set_own_clock(**BACK)
    live.say(side, ada, NEWS, OUT)
    for turn in range(6):
        live.set_own_clock(minutes=-12 if turn % 2 == 0 else 0)
        live.restart()
        live.run()
    assert live.shows(ada) == (OUT, OUT)


# the services' clocks


@pytest.mark.parametrize("ahead", [MINE, THEIRS])
def test_a_no_said_seconds_after_an_opt_in_wins_where_the_services_clocks_are_apart(
    live: SafetyLive, ahead: Side
) -> None:
    """One service is five minutes ahead. The opt-in is said there, the no at the other four seconds later."""
    live.set_service_clock(ahead, minutes=5)
    ada = live.add("ada", both={NEWS: IN})
    live.started()
    live.say(ahead.other, ada, NEWS, OUT, None)
    live.runs(2)
    assert live.shows(ada) == (OUT, OUT)
    live.clock.advance(3600)
    clock = live.mypreferences.clock if ahead is MINE else live.dotdigital.clock
    live.say(ahead, ada, NEWS, IN, clock.now())
    live.clock.advance(2)
    _says_no_again(live, ahead.other, ada)
    reports = live.runs(3)
    assert OUT in live.shows(ada)
    assert live.shows(ada) == (OUT, OUT) or is_open(reports[-1])


def _says_no_again(live: SafetyLive, side: Side, address: str) -> None:
    """The person's no is stated again, and dated by that side's own clock. Dotdigital dates changes only."""
    if side is THEIRS:
        live.dotdigital.set_preference(live.contact(address), 1002, True, live.dotdigital.now())
        live.clock.advance(1)
        live.dotdigital.set_preference(live.contact(address), 1002, False, live.dotdigital.now())
    else:
        live.mypreferences.set_preference(live.profile(address), "NEWS_EMAIL", False)
    live.clock.advance(2)


@pytest.mark.parametrize("side", list(Side))
@pytest.mark.parametrize("minutes", [-5, 5])
def test_services_whose_clocks_are_apart_are_warned_of(live: SafetyLive, side: Side, minutes: int) -> None:
    """A service's clock is five minutes off; both are measured by what they answer."""
    live.add("ada", both={NEWS: IN})
    live.started()
    live.set_service_clock(side, minutes=minutes)
    reports = live.runs(2)
    assert _alarmed(reports[-1].warnings)


@pytest.mark.parametrize("apart", [False, True])
def test_a_saved_plan_opts_nobody_in_while_the_services_clocks_are_apart(
    live: SafetyLive, apart: bool
) -> None:
    """The plan was made while they agreed."""
    ada = live.add("ada", both={NEWS: OUT})
    live.started()
    live.say(MINE, ada, NEWS, IN)
    live.clock.advance(60)
    plan = make_plan(live.app.services())
    assert [row["to"] for row in plan.writes] == [IN]
    if apart:
        live.set_service_clock(THEIRS, minutes=5)
    report = apply_plan(
        live.app.services(), live.app.writers(), plan.acts, mapping=plan.mapping, plan=saved(live.app.store)
    )
    assert live.theirs(ada, NEWS) is (OUT if apart else IN)
    assert _alarmed(report.warnings) is apart


@pytest.mark.parametrize("side", list(Side))
def test_an_opt_out_is_followed_where_the_services_clocks_are_apart(live: SafetyLive, side: Side) -> None:
    """A service is twelve minutes behind; an opt-out there or at the other side is followed."""
    ada = live.add("ada", both={NEWS: IN})
    bob = live.add("bob", both={NEWS: IN})
    live.started()
    live.set_service_clock(side, minutes=-12)
    clock = live.mypreferences.clock if side is MINE else live.dotdigital.clock
    live.say(side, ada, NEWS, OUT, clock.now())
    live.say(side.other, bob, NEWS, OUT)
    live.runs(4)
    assert live.shows(ada) == (OUT, OUT)
    assert live.shows(bob) == (OUT, OUT)
