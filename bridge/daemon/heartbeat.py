"""Whether the round in hand goes on, and where it stands if it does not."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True, slots=True)
class HeartbeatState:
    """The step the round in hand is at, and the seconds since it last made progress."""

    step: str
    silent: float


class Heartbeat:
    """Beats with every sign of progress. `monotonic` gives seconds. Thread-safe."""

    def __init__(self, limit: timedelta, monotonic: Callable[[], float]) -> None:
        self._limit = limit.total_seconds()
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._step: str | None = None
        self._last = 0.0

    def beat(self, step: str | None = None) -> None:
        """The round made progress, at `step` where that is a new one."""
        with self._lock:
            self._step = step or self._step or "beginning"
            self._last = self._monotonic()

    def rest(self) -> None:
        """No round is in hand."""
        with self._lock:
            self._step = None

    def now(self) -> HeartbeatState | None:
        """How the round in hand does; None while there is none."""
        with self._lock:
            return None if self._step is None else HeartbeatState(self._step, self._monotonic() - self._last)

    def hang(self) -> HeartbeatState | None:
        """The round in hand, where it has made no progress for longer than the limit."""
        beat = self.now()
        return beat if beat is not None and beat.silent > self._limit else None
