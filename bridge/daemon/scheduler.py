"""When runs are due: the schedule, the queue of due jobs, and whether a sweep is overdue."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, time, timedelta
from enum import StrEnum
from typing import Any

from apscheduler.events import EVENT_JOB_MAX_INSTANCES, EVENT_JOB_MISSED
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.cron import CronTrigger
from apscheduler.triggers.date import DateTrigger
from apscheduler.triggers.interval import IntervalTrigger

from bridge.core.store_port import RunKind
from bridge.store import RunRow, Store


class Job(StrEnum):
    """What a round is for."""

    POLL = "poll"
    SWEEP = "sweep"


class JobQueue:
    """Due work is kept until it is taken, however long the round before it lasts. Asking twice for what is
    not yet taken is asking once. Thread-safe."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._due: set[Job] = set()
        self._closed = False
        self._busy = False
        self._overrun = 0
        self._coalesced = 0

    def ask(self, what: Job) -> None:
        """Make something due. Without effect once closed."""
        with self._changed:
            if self._closed:
                return
            self._overrun += self._busy
            self._coalesced += what in self._due
            self._due.add(what)
            self._changed.notify_all()

    def take(self) -> Job | None:
        """Wait for what is due next, and take it; None once closed. What was taken before counts as done.

        A sweep reads the feeds too, so taking one takes the poll with it.
        """
        with self._changed:
            self._busy = False
            self._changed.wait_for(lambda: self._due or self._closed)
            if self._closed:
                return None
            self._busy = True
            if Job.SWEEP in self._due:
                self._due.clear()
                return Job.SWEEP
            self._due.remove(Job.POLL)
            return Job.POLL

    def close(self) -> None:
        """Nothing is taken any more."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    @property
    def overrun(self) -> int:
        """How often something came due while a round was going on."""
        with self._changed:
            return self._overrun

    @property
    def coalesced(self) -> int:
        """How often something came due that was due already."""
        with self._changed:
            return self._coalesced


# A kick that comes late still counts (the library's default drops what is a second late: after the machine
# slept through the night, the sweep would be lost), and several late ones are one.
_ALWAYS: Mapping[str, Any] = {"misfire_grace_time": None, "coalesce": True, "max_instances": 1}


class Scheduler:
    """Makes a poll due every `every`, and a sweep each day at `sweep_at` (UTC). `pause` passes between being
    asked for a poll and making it due."""

    def __init__(
        self, queue: JobQueue, *, every: timedelta, sweep_at: time, pause: timedelta = timedelta(seconds=5)
    ) -> None:
        self._queue, self._pause = queue, pause
        self._lock = threading.Lock()
        self._is_poll_soon = False
        self._counts = {EVENT_JOB_MISSED: 0, EVENT_JOB_MAX_INSTANCES: 0}
        self._scheduler = BackgroundScheduler(timezone=UTC)
        self._scheduler.add_job(
            queue.ask,
            IntervalTrigger(seconds=every.total_seconds(), timezone=UTC),
            args=[Job.POLL],
            id=Job.POLL,
            **_ALWAYS,
        )
        self._scheduler.add_job(
            queue.ask,
            CronTrigger(hour=sweep_at.hour, minute=sweep_at.minute, timezone=UTC),
            args=[Job.SWEEP],
            id=Job.SWEEP,
            **_ALWAYS,
        )
        self._scheduler.add_listener(self._count, EVENT_JOB_MISSED | EVENT_JOB_MAX_INSTANCES)

    def poll_soon(self) -> None:
        """Make a poll due when the pause has passed. Asking again until then changes nothing."""
        with self._lock:
            if self._is_poll_soon:
                return
            self._is_poll_soon = True
        at = DateTrigger(run_date=datetime.now(UTC) + self._pause)
        self._scheduler.add_job(self._now, at, **_ALWAYS)

    def _now(self) -> None:
        with self._lock:
            self._is_poll_soon = False
        self._queue.ask(Job.POLL)

    def start(self) -> None:
        """Begin to kick."""
        self._scheduler.start()

    def stop(self) -> None:
        """Kick no more. Does nothing where it was never started."""
        if self._scheduler.running:
            self._scheduler.shutdown(wait=True)  # a kick takes no time

    @property
    def missed(self) -> int:
        """Kicks that the scheduler gave up."""
        return self._counts[EVENT_JOB_MISSED]

    @property
    def blocked(self) -> int:
        """Kicks that found the one before them still under way."""
        return self._counts[EVENT_JOB_MAX_INSTANCES]

    def _count(self, event: Any) -> None:
        self._counts[event.code] += 1


SWEPT = "swept_at"
LONGEST = timedelta(hours=25)  # a day, and the time that a sweep may take
PAUSE = timedelta(minutes=15)  # before a sweep that failed is tried again
_LOOK_BACK = 200  # runs; sweeps of one-shot runs are not noted elsewhere
_SWEEPING = frozenset({RunKind.FIRST, RunKind.FULL})


class SweepSchedule:
    """Keeps a sweep owed until one has succeeded. Used by one thread."""

    def __init__(self, store: Store, clock: Callable[[], datetime]) -> None:
        self._store = store
        self._clock = clock
        self._last_attempt: datetime | None = None
        self._last = _last(store)

    def is_overdue(self) -> bool:
        """Whether the last sweep is older than a day should leave it, and none was tried just now."""
        now = self._clock()
        if self._last_attempt is not None and now - self._last_attempt < PAUSE:
            return False
        return self._last is None or now - self._last > LONGEST

    def started(self) -> None:
        """A sweep begins; whether it succeeds is not known yet."""
        self._last_attempt = self._clock()

    def done(self) -> None:
        """A sweep has succeeded."""
        self._last = self._clock()
        self._store.set_meta(SWEPT, self._last.isoformat())


def _last(store: Store) -> datetime | None:
    stored = store.meta(SWEPT)
    found = [datetime.fromisoformat(stored)] if stored else []
    found += [row.ended_at for row in store.last_runs(_LOOK_BACK) if row.ended_at and _is_sweep(row)]
    return max(found, default=None)


def _is_sweep(row: RunRow) -> bool:
    return row.kind in _SWEEPING and row.state == "done"
