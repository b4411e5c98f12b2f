"""Every due job is done once, one run at a time, and never lost."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, time, timedelta

from bridge.daemon.scheduler import Job, JobQueue, Scheduler
from tests.daemon.harness import wait_until

NEVER = timedelta(days=300)


def test_what_is_due_twice_is_done_once() -> None:
    queue = JobQueue()
    queue.ask(Job.POLL)
    queue.ask(Job.POLL)
    assert queue.take() is Job.POLL
    assert queue.coalesced == 1
    queue.close()
    assert queue.take() is None


def test_a_sweep_does_for_the_poll_that_is_due_with_it() -> None:
    queue = JobQueue()
    queue.ask(Job.POLL)
    queue.ask(Job.SWEEP)
    assert queue.take() is Job.SWEEP
    queue.ask(Job.POLL)
    assert queue.take() is Job.POLL


def test_what_comes_due_during_a_run_waits_for_its_end_and_is_counted() -> None:
    queue = JobQueue()
    queue.ask(Job.POLL)
    queue.take()
    queue.ask(Job.SWEEP)
    queue.ask(Job.SWEEP)
    assert (queue.overrun, queue.coalesced) == (2, 1)
    assert queue.take() is Job.SWEEP


def test_closing_releases_waiting_threads_and_adds_no_more_jobs() -> None:
    queue = JobQueue()
    taken: list[Job | None] = []
    waiting = threading.Thread(target=lambda: taken.append(queue.take()))
    waiting.start()
    queue.close()
    waiting.join()
    queue.ask(Job.POLL)
    assert taken == [None]
    assert queue.take() is None


def test_the_schedule_makes_polls_due_again_and_again() -> None:
    queue = JobQueue()
    scheduler = Scheduler(queue, every=timedelta(seconds=0.05), sweep_at=time(3, 0))
    scheduler.start()
    try:
        assert [queue.take() for _ in range(3)] == [Job.POLL] * 3
    finally:
        scheduler.stop()


def test_a_poll_asked_for_soon_is_due_once_however_often_it_is_asked_for() -> None:
    queue = JobQueue()
    scheduler = Scheduler(queue, every=NEVER, sweep_at=time(3, 0), pause=timedelta(seconds=0.1))
    scheduler.start()
    try:
        scheduler._scheduler.pause()  # nothing comes due while it is asked for
        for _ in range(50):
            scheduler.poll_soon()
        scheduler._scheduler.resume()
        assert queue.take() is Job.POLL
        assert queue.coalesced == 0
        scheduler.poll_soon()
        assert queue.take() is Job.POLL
    finally:
        scheduler.stop()
    scheduler.poll_soon()  # a webhook that comes while the daemon ends


def test_a_sweep_that_the_machine_slept_through_is_made_up_for_once() -> None:
    """APScheduler would drop a run that is more than a second late (its misfire_grace_time)."""
    queue = JobQueue()
    scheduler = Scheduler(queue, every=NEVER, sweep_at=time(3, 0))
    scheduler.start()
    try:
        scheduler._scheduler.modify_job(
            Job.SWEEP, next_run_time=datetime.now(UTC) - timedelta(days=3, hours=5)
        )
        assert queue.take() is Job.SWEEP
        assert (queue.coalesced, scheduler.missed) == (0, 0)
    finally:
        scheduler.stop()


def test_the_sweep_is_due_at_its_time_in_utc() -> None:
    scheduler = Scheduler(JobQueue(), every=NEVER, sweep_at=time(3, 30))
    scheduler.start()
    try:
        due = scheduler._scheduler.get_job(Job.SWEEP).next_run_time
        assert (due.hour, due.minute, due.utcoffset()) == (3, 30, timedelta(0))
    finally:
        scheduler.stop()


def test_kicks_that_find_another_under_way_are_counted() -> None:
    queue = JobQueue()
    scheduler = Scheduler(queue, every=timedelta(seconds=0.05), sweep_at=time(3, 0))
    with queue._changed:
        scheduler.start()
        wait_until(lambda: scheduler.blocked > 1, "two kicks were blocked")
    scheduler.stop()
    assert queue.take() is Job.POLL


def test_a_clock_that_was_set_back_stops_no_poll() -> None:
    """The library waits by the machine's clock, and would wait for as long as it is behind."""
    wall, queue = [1000.0], JobQueue()
    scheduler = Scheduler(
        queue, every=NEVER, sweep_at=time(3, 0), wall=lambda: wall[-1], monotonic=lambda: 0.0
    )
    scheduler.start()
    try:
        assert not scheduler.check_clock()
        scheduler._scheduler.modify_job(Job.POLL, next_run_time=datetime.now(UTC) + 2 * NEVER)
        wall.append(1000.0 - 7200)
        assert scheduler.check_clock()
        assert queue.take() is Job.POLL
        assert scheduler._scheduler.get_job(Job.POLL).next_run_time <= datetime.now(UTC) + NEVER
        assert not scheduler.check_clock()
        wall.append(5000.0)  # set forward: what is late counts as it is
        assert not scheduler.check_clock()
    finally:
        scheduler.stop()


def test_the_first_webhook_starts_a_run_at_once_and_those_after_it_share_one() -> None:
    queue = JobQueue()
    scheduler = Scheduler(queue, every=NEVER, sweep_at=time(3, 0), pause=timedelta(seconds=0.5))
    scheduler.start()
    try:
        scheduler.poll_soon()
        assert queue.take() is Job.POLL  # without any wait: it is due when the call returns
        for _ in range(50):
            scheduler.poll_soon()
        assert queue.take() is Job.POLL
        assert queue.coalesced == 0
    finally:
        scheduler.stop()
