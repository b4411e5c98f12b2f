"""What is due. Kicks put it here; one worker takes it, a round at a time."""

from __future__ import annotations

import threading
from enum import StrEnum


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
