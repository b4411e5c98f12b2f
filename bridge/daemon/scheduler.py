"""The schedule. APScheduler only says what is due; it runs nothing that takes time."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from datetime import UTC, datetime, time, timedelta
from typing import Any

from apscheduler.events import EVENT_JOB_MAX_INSTANCES, EVENT_JOB_MISSED
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.cron import CronTrigger
from apscheduler.triggers.date import DateTrigger
from apscheduler.triggers.interval import IntervalTrigger

from bridge.daemon.job_queue import Job, JobQueue

# A kick that comes late still counts (the library's default drops what is a second late: after the machine
# slept through the night, the sweep would be lost), and several late ones are one.
_ALWAYS: Mapping[str, Any] = {"misfire_grace_time": None, "coalesce": True, "max_instances": 1}


class Scheduler:
    """Makes a poll due every `every`, and a sweep each day at `sweep_at` (UTC). `pause` passes between being
    asked for a poll and making it due."""

    def __init__(
        self, agenda: JobQueue, *, every: timedelta, sweep_at: time, pause: timedelta = timedelta(seconds=5)
    ) -> None:
        self._agenda, self._pause = agenda, pause
        self._lock = threading.Lock()
        self._is_soon = False
        self._counts = {EVENT_JOB_MISSED: 0, EVENT_JOB_MAX_INSTANCES: 0}
        self._scheduler = BackgroundScheduler(timezone=UTC)
        self._scheduler.add_job(
            agenda.ask,
            IntervalTrigger(seconds=every.total_seconds(), timezone=UTC),
            args=[Job.POLL],
            id=Job.POLL,
            **_ALWAYS,
        )
        self._scheduler.add_job(
            agenda.ask,
            CronTrigger(hour=sweep_at.hour, minute=sweep_at.minute, timezone=UTC),
            args=[Job.SWEEP],
            id=Job.SWEEP,
            **_ALWAYS,
        )
        self._scheduler.add_listener(self._count, EVENT_JOB_MISSED | EVENT_JOB_MAX_INSTANCES)

    def soon(self) -> None:
        """Make a poll due when the pause has passed. Asking again until then changes nothing."""
        with self._lock:
            if self._is_soon:
                return
            self._is_soon = True
        at = DateTrigger(run_date=datetime.now(UTC) + self._pause)
        self._scheduler.add_job(self._now, at, **_ALWAYS)

    def _now(self) -> None:
        with self._lock:
            self._is_soon = False
        self._agenda.ask(Job.POLL)

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
