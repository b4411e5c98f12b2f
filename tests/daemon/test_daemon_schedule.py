"""What is due is done, once, one round at a time, and never lost."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, time, timedelta

from bridge.daemon.scheduler import Job, JobQueue, Scheduler
from tests.daemon.harness import wait_until

NEVER = timedelta(days=300)


def test_what_is_due_twice_is_done_once() -> None:
    agenda = JobQueue()
    agenda.ask(Job.POLL)
    agenda.ask(Job.POLL)
    assert agenda.take() is Job.POLL
    assert agenda.coalesced == 1
    agenda.close()
    assert agenda.take() is None


def test_a_sweep_does_for_the_poll_that_is_due_with_it() -> None:
    agenda = JobQueue()
    agenda.ask(Job.POLL)
    agenda.ask(Job.SWEEP)
    assert agenda.take() is Job.SWEEP
    agenda.ask(Job.POLL)
    assert agenda.take() is Job.POLL


def test_what_comes_due_during_a_round_waits_for_its_end_and_is_counted() -> None:
    agenda = JobQueue()
    agenda.ask(Job.POLL)
    agenda.take()
    agenda.ask(Job.SWEEP)
    agenda.ask(Job.SWEEP)
    assert (agenda.overrun, agenda.coalesced) == (2, 1)
    assert agenda.take() is Job.SWEEP


def test_closing_lets_go_of_whoever_waits_and_nothing_becomes_due_any_more() -> None:
    agenda = JobQueue()
    taken: list[Job | None] = []
    waiting = threading.Thread(target=lambda: taken.append(agenda.take()))
    waiting.start()
    agenda.close()
    waiting.join()
    agenda.ask(Job.POLL)
    assert taken == [None]
    assert agenda.take() is None


def test_the_schedule_makes_polls_due_again_and_again() -> None:
    agenda = JobQueue()
    kicker = Scheduler(agenda, every=timedelta(seconds=0.05), sweep_at=time(3, 0))
    kicker.start()
    try:
        assert [agenda.take() for _ in range(3)] == [Job.POLL] * 3
    finally:
        kicker.stop()


def test_a_poll_asked_for_soon_is_due_once_however_often_it_is_asked_for() -> None:
    agenda = JobQueue()
    kicker = Scheduler(agenda, every=NEVER, sweep_at=time(3, 0), pause=timedelta(seconds=0.1))
    kicker.start()
    try:
        for _ in range(50):
            kicker.soon()
        assert agenda.take() is Job.POLL
        assert agenda.coalesced == 0
        kicker.soon()
        assert agenda.take() is Job.POLL
    finally:
        kicker.stop()
    kicker.soon()  # a webhook that comes while the daemon ends


def test_a_sweep_that_the_machine_slept_through_is_made_up_for_once() -> None:
    """APScheduler would drop a run that is more than a second late (its misfire_grace_time)."""
    agenda = JobQueue()
    kicker = Scheduler(agenda, every=NEVER, sweep_at=time(3, 0))
    kicker.start()
    try:
        kicker._scheduler.modify_job(Job.SWEEP, next_run_time=datetime.now(UTC) - timedelta(days=3, hours=5))
        assert agenda.take() is Job.SWEEP
        assert (agenda.coalesced, kicker.missed) == (0, 0)
    finally:
        kicker.stop()


def test_the_sweep_is_due_at_its_time_in_utc() -> None:
    kicker = Scheduler(JobQueue(), every=NEVER, sweep_at=time(3, 30))
    kicker.start()
    try:
        due = kicker._scheduler.get_job(Job.SWEEP).next_run_time
        assert (due.hour, due.minute, due.utcoffset()) == (3, 30, timedelta(0))
    finally:
        kicker.stop()


def test_kicks_that_find_another_under_way_are_counted() -> None:
    agenda = JobQueue()
    kicker = Scheduler(agenda, every=timedelta(seconds=0.05), sweep_at=time(3, 0))
    with agenda._changed:
        kicker.start()
        wait_until(lambda: kicker.blocked > 1, "two kicks were blocked")
    kicker.stop()
    assert agenda.take() is Job.POLL
