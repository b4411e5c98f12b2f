"""The imports that were begun and are not known to have ended, kept in the state DB.

Two imports that are active at once may be applied in either order, so a contact in one must not be in
another, nor be written to in any other way. An import is noted before it is sent, since a process may die
before it learns the id.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from threading import Lock

from bridge.core.ports import KeyValue

KEY = "dotdigital.imports"
_LASTS = {True: timedelta(hours=6), False: timedelta(minutes=30)}
_LASTS_UNNAMED = {True: timedelta(hours=1), False: timedelta(0)}


@dataclass(frozen=True, slots=True)
class ImportJob:
    """An import. `raises`: it opts people in; `id` None: whether it was accepted is not known."""

    number: int
    begun_at: datetime
    raises: bool
    id: str | None = None

    def lasts_until(self) -> datetime:
        """When it stops being waited for. Repeating a withdrawal does no harm; an opt-in that is applied late
        could undo one, so it is waited for longer."""
        return self.begun_at + (_LASTS if self.id else _LASTS_UNNAMED)[self.raises]


class InMemoryKeyValue:
    """Keeps values as long as the process lasts."""

    def __init__(self) -> None:
        self._facts: dict[str, str] = {}

    def get(self, key: str) -> str | None:
        return self._facts.get(key)

    def set(self, key: str, value: str) -> None:
        self._facts[key] = value


class JobStore:
    """Thread-safe within one process, which is the only one that writes."""

    def __init__(self, memory: KeyValue, clock: Callable[[], datetime]) -> None:
        self._memory, self._clock = memory, clock
        self._lock = Lock()

    def begin(self, *, raises: bool) -> ImportJob:
        """Note an import that is about to be sent."""
        with self._lock:
            jobs = self._read()
            number = max((job.number for job in jobs), default=0) + 1
            job = ImportJob(number, self._clock(), raises)
            self._write([*jobs, job])
        return job

    def named(self, job: ImportJob, import_id: str) -> ImportJob:
        """It was accepted under this id."""
        known = replace(job, id=import_id)
        with self._lock:
            self._write([known if one.number == job.number else one for one in self._read()])
        return known

    def ended(self, job: ImportJob) -> None:
        """It has ended, or was never accepted."""
        with self._lock:
            self._write([one for one in self._read() if one.number != job.number])

    def open(self) -> list[ImportJob]:
        """Imports that may still be running. Those that are no longer waited for are dropped."""
        with self._lock:
            jobs = self._read()
            now = self._clock()
            waiting = [job for job in jobs if job.lasts_until() > now]
            if len(waiting) < len(jobs):
                self._write(waiting)
        return waiting

    def _read(self) -> list[ImportJob]:
        kept = json.loads(self._memory.get(KEY) or "[]")
        return [
            ImportJob(row["number"], datetime.fromisoformat(row["begun_at"]), row["raises"], row["id"])
            for row in kept
        ]

    def _write(self, jobs: list[ImportJob]) -> None:
        rows = [
            {"number": job.number, "begun_at": job.begun_at.isoformat(), "raises": job.raises, "id": job.id}
            for job in jobs
        ]
        self._memory.set(KEY, json.dumps(rows))
