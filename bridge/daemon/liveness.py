"""Signs of life: the heartbeat of the current run, the watchdog that reads it, and the lease it keeps."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

from bridge.core.errors import LeaseHeld
from bridge.daemon.process import SystemdNotifier


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

    def hung(self) -> HeartbeatState | None:
        """The round in hand, where it has made no progress for longer than the limit."""
        beat = self.now()
        return beat if beat is not None and beat.silent > self._limit else None


_log = logging.getLogger(__name__)


class Watchdog:
    """Looks at the pulse every `every` seconds, or more often where systemd wants to hear more often. A round
    that hangs is logged once, and systemd is told no more that the daemon lives: it then starts another."""

    def __init__(self, heartbeat: Heartbeat, notifier: SystemdNotifier, *, every: float) -> None:
        self._heartbeat, self._notifier = heartbeat, notifier
        self.every = every if notifier.watchdog is None else min(every, notifier.watchdog / 2)
        self._is_hung = False

    def check(self) -> None:
        """One look."""
        hung = self._heartbeat.hung()
        if hung is None:
            self._notifier.alive()
            if self._is_hung:
                _log.warning("round goes on again")
        elif not self._is_hung:
            _log.error("round hangs", extra={"step": hung.step, "silent_seconds": round(hung.silent, 1)})
        self._is_hung = hung is not None


class Renewable(Protocol):
    """The right to write, for a while. Cheap to renew often."""

    def renew(self) -> None:
        """Raises LeaseHeld where it was lost."""
        ...


class LeaseRenewer:
    """Renews the lease at each heartbeat of a round, and every `every` seconds besides, unless the round
    hangs: then it runs out, and another process may take over. `lost` is called once, from another thread,
    when somebody has."""

    def __init__(
        self, *, lease: Renewable, heartbeat: Heartbeat, lost: Callable[[], None], every: float
    ) -> None:
        self._lease, self._heartbeat, self._lost, self._every = lease, heartbeat, lost, every
        self._stopped = threading.Event()
        self._is_failing = False
        self._thread = threading.Thread(target=self._renew_in_background, name="lease", daemon=True)
        self.error: LeaseHeld | None = None

    def start(self) -> None:
        """Begin to renew."""
        self._thread.start()

    def stop(self) -> None:
        """End. Does nothing where it was never started."""
        self._stopped.set()
        if self._thread.ident is not None:
            self._thread.join()

    def beat(self) -> None:
        """The round in hand makes progress. Raises LeaseHeld where the lease was lost."""
        self._heartbeat.beat()
        if self.error is not None:
            raise self.error
        self._lease.renew()

    def _renew_in_background(self) -> None:
        while self.error is None and not self._stopped.wait(self._every):
            if self._heartbeat.hung() is None:
                self._renew()

    def _renew(self) -> None:
        try:
            self._lease.renew()
            self._is_failing = False
        except LeaseHeld as error:
            self.error = error  # raised in the round, at its next heartbeat
            self._lost()
        except Exception as error:  # noqa: BLE001 - the state DB is away: nothing can be written, so nothing
            # needs the lease before it is back; whether it is still ours then is found out then.
            if not self._is_failing:
                _log.warning("lease not renewed", extra={"error": type(error).__name__})
            self._is_failing = True
