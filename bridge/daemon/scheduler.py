"""When runs are due: the schedule, the queue of due jobs, and whether a sweep is overdue."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime, time, timedelta
from enum import StrEnum
from time import monotonic as monotonic_seconds
from time import time as wall_seconds
from typing import Any

from apscheduler.events import EVENT_JOB_MAX_INSTANCES, EVENT_JOB_MISSED
from apscheduler.jobstores.base import JobLookupError
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.cron import CronTrigger
from apscheduler.triggers.interval import IntervalTrigger

from bridge.core.store_values import RunKind, RunRow
from bridge.store import Store


class Job(StrEnum):
    """The kind of run that is due."""

    POLL = "poll"
    SWEEP = "sweep"
    GIVE_WAY = "give_way"  # no run: another process gets the lease for a while


class JobQueue:
    """Jobs stay due until taken, however long the run before them takes. A job that is already due is not
    added again. Thread-safe."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._due: set[Job] = set()
        self._closed = False
        self._busy = False
        self._overrun = 0
        self._coalesced = 0

    def ask(self, what: Job) -> None:
        """Make a job due. No effect once closed."""
        with self._changed:
            if self._closed:
                return
            self._overrun += self._busy
            self._coalesced += what in self._due
            self._due.add(what)
            self._changed.notify_all()

    def take(self) -> Job | None:
        """Wait for the next job and take it; None once closed. The job taken before counts as done.

        A sweep reads the feeds too, so taking a sweep also takes the poll.
        """
        with self._changed:
            self._busy = False
            self._changed.wait_for(lambda: self._due or self._closed)
            if self._closed:
                return None
            self._busy = True
            if Job.GIVE_WAY in self._due:
                self._due.remove(Job.GIVE_WAY)
                return Job.GIVE_WAY
            if Job.SWEEP in self._due:
                self._due.clear()
                return Job.SWEEP
            self._due.remove(Job.POLL)
            return Job.POLL

    @property
    def closed(self) -> bool:
        """Whether nothing can be taken any more."""
        return self._closed

    def close(self) -> None:
        """Nothing can be taken after this."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    @property
    def overrun(self) -> int:
        """How often a job became due during a run."""
        with self._changed:
            return self._overrun

    @property
    def coalesced(self) -> int:
        """How often a job became due that was due already."""
        with self._changed:
            return self._coalesced


# A late trigger still counts: the library drops what is a second late by default, so a machine that slept
# through the night would lose its sweep. Several late triggers count as one.
_ALWAYS: Mapping[str, Any] = {"misfire_grace_time": None, "coalesce": True, "max_instances": 1}


# A job that only requests make due. The library removes a job that has no next time, and fails in its own
# thread where it is stopped at that moment; so this one's next time is a century away.
_SOON = "soon"
_ON_REQUEST = IntervalTrigger(days=36_500, timezone=UTC)

SET_BACK = 2.0  # seconds by which the clock is set back, not merely corrected


class Scheduler:
    """Makes a poll due every `every`, and a sweep daily at `sweep_at` (UTC). `pause`: how long requests by
    `poll_soon` are gathered after the first. `wall` and `monotonic` return seconds: of the machine's clock,
    and since some moment, never set back."""

    def __init__(
        self,
        queue: JobQueue,
        *,
        every: timedelta,
        sweep_at: time,
        pause: timedelta = timedelta(seconds=5),
        wall: Callable[[], float] = wall_seconds,
        monotonic: Callable[[], float] = monotonic_seconds,
    ) -> None:
        self._wall, self._monotonic = wall, monotonic
        self._ahead = wall() - monotonic()
        self._queue, self._pause = queue, pause
        self._lock = threading.Lock()
        self._is_poll_soon = False
        self._asked_at: float | None = None  # when a poll was last made due by a request
        self._counts = {EVENT_JOB_MISSED: 0, EVENT_JOB_MAX_INSTANCES: 0}
        self._scheduler = BackgroundScheduler(timezone=UTC)
        self._every, self._sweep_at = every, sweep_at
        for job, trigger in self._triggers().items():
            self._scheduler.add_job(queue.ask, trigger, args=[job], id=job, **_ALWAYS)
        self._scheduler.add_job(self._now, _ON_REQUEST, id=_SOON, next_run_time=None, **_ALWAYS)
        self._scheduler.add_listener(self._count, EVENT_JOB_MISSED | EVENT_JOB_MAX_INSTANCES)

    def poll_soon(self) -> None:
        """Make a poll due at once; within the pause after that, once more at its end, however many requests
        there are until then."""
        with self._lock:
            if self._is_poll_soon:
                return
            waited = (
                self._pause
                if self._asked_at is None
                else timedelta(seconds=self._monotonic() - self._asked_at)
            )
            self._is_poll_soon = waited < self._pause
        if waited >= self._pause:
            self._now()
        else:
            at = datetime.now(UTC) + self._pause - waited
            with suppress(JobLookupError):  # a request that comes when the schedule is stopped
                self._scheduler.modify_job(_SOON, next_run_time=at)

    def _now(self) -> None:
        with self._lock:
            self._is_poll_soon = False
            self._asked_at = self._monotonic()
        self._queue.ask(Job.POLL)

    def _triggers(self) -> Mapping[Job, Any]:
        """New ones each time: an interval begins when its trigger is made."""
        at = self._sweep_at
        return {
            Job.POLL: IntervalTrigger(seconds=self._every.total_seconds(), timezone=UTC),
            Job.SWEEP: CronTrigger(hour=at.hour, minute=at.minute, timezone=UTC),
        }

    def check_clock(self) -> bool:
        """Schedule everything again where the machine's clock was set back since the last check: the library
        waits by it, and would do nothing for as long as the clock is behind. Returns whether it was. A clock
        that was set forward makes triggers late, and late ones count."""
        ahead = self._wall() - self._monotonic()
        is_back = ahead < self._ahead - SET_BACK
        self._ahead = ahead
        if is_back:
            for job, trigger in self._triggers().items():
                self._scheduler.reschedule_job(job, trigger=trigger)
            self._now()
        return is_back

    def start(self) -> None:
        """Start the schedule."""
        self._scheduler.start()

    def stop(self) -> None:
        """Stop the schedule. Does nothing if never started."""
        if self._scheduler.running:
            self._scheduler.shutdown(wait=True)  # a trigger takes no time

    @property
    def missed(self) -> int:
        """Triggers that the scheduler skipped."""
        return self._counts[EVENT_JOB_MISSED]

    @property
    def blocked(self) -> int:
        """Triggers that found the one before them still running."""
        return self._counts[EVENT_JOB_MAX_INSTANCES]

    def _count(self, event: Any) -> None:
        self._counts[event.code] += 1


SWEPT = "swept_at"
LONGEST = timedelta(hours=25)  # a day, and the time that a sweep may take
PAUSE = timedelta(minutes=15)  # before a failed sweep is retried
_LOOK_BACK = 200  # runs searched for a sweep; sweeps of `bridge reconcile` are recorded only there
_SWEEPING = frozenset({RunKind.FIRST, RunKind.FULL})


class SweepSchedule:
    """Keeps a sweep overdue until one succeeds. Used by one thread."""

    def __init__(self, store: Store, clock: Callable[[], datetime]) -> None:
        self._store = store
        self._clock = clock
        self._last_attempt: datetime | None = None
        self._last = _last(store)

    def is_overdue(self) -> bool:
        """Whether the last sweep is older than LONGEST, and none was tried within PAUSE."""
        now = self._clock()
        if self._last_attempt is not None and now - self._last_attempt < PAUSE:
            return False
        return self._last is None or now - self._last > LONGEST

    def started(self) -> None:
        """A sweep starts."""
        self._last_attempt = self._clock()

    def done(self) -> None:
        """A sweep succeeded."""
        self._last = self._clock()
        self._store.facts.swept_at = self._last


def _last(store: Store) -> datetime | None:
    stored = store.facts.swept_at
    found = [] if stored is None else [stored]
    found += [row.ended_at for row in store.runs.last(_LOOK_BACK) if row.ended_at and _is_sweep(row)]
    return max(found, default=None)


def _is_sweep(row: RunRow) -> bool:
    return row.kind in _SWEEPING and row.state == "done"
