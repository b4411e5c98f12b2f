"""Liveness: the heartbeat of the current run, the watchdog that checks it, what systemd is notified of, and
the lease that the run renews."""

from __future__ import annotations

import logging
import os
import socket
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from types import TracebackType
from typing import Protocol

from bridge.core.errors import LeaseHeld


@dataclass(frozen=True, slots=True)
class HeartbeatState:
    """The current run's step, and the seconds since it last made progress."""

    step: str
    silent: float


class Heartbeat:
    """Records every sign of progress. `monotonic` returns seconds. Thread-safe."""

    def __init__(self, limit: timedelta, monotonic: Callable[[], float]) -> None:
        self._limit = limit.total_seconds()
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._step: str | None = None
        self._last = 0.0

    def beat(self, step: str | None = None) -> None:
        """The run made progress; `step` names a new step."""
        with self._lock:
            self._step = step or self._step or "beginning"
            self._last = self._monotonic()

    def rest(self) -> None:
        """No run is active."""
        with self._lock:
            self._step = None

    def now(self) -> HeartbeatState | None:
        """The current run's state; None while there is none."""
        with self._lock:
            return None if self._step is None else HeartbeatState(self._step, self._monotonic() - self._last)

    def hung(self) -> HeartbeatState | None:
        """The current run's state if it has made no progress for longer than the limit, else None."""
        beat = self.now()
        return beat if beat is not None and beat.silent > self._limit else None


class SystemdNotifier:
    """Sends to the socket in NOTIFY_SOCKET; does nothing without one."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        name = environ.get("NOTIFY_SOCKET", "")
        self._address = f"\0{name[1:]}" if name.startswith("@") else name
        self.watchdog = _watchdog(environ)

    def ready(self, status: str) -> None:
        """The daemon is up."""
        self._send(f"READY=1\nSTATUS={status}")

    def alive(self) -> None:
        """The current work makes progress."""
        if self.watchdog is not None:
            self._send("WATCHDOG=1")

    def stopping(self) -> None:
        """The daemon stops after the current run."""
        self._send("STOPPING=1\nSTATUS=finishing the current run")

    def _send(self, text: str) -> None:
        if not self._address:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sending:
                sending.settimeout(1.0)
                sending.sendto(text.encode(), self._address)
        except OSError:
            self._address = ""  # the receiver is gone


def _watchdog(environ: Mapping[str, str]) -> float | None:
    """Seconds within which systemd expects a keep-alive; None if it expects none from this process."""
    usec, pid = environ.get("WATCHDOG_USEC", ""), environ.get("WATCHDOG_PID", "")
    if not usec.isdigit() or int(usec) == 0 or (pid and pid != str(os.getpid())):
        return None
    return int(usec) / 1_000_000


_log = logging.getLogger(__name__)


class Watchdog:
    """Checks the heartbeat every `every` seconds, or more often if systemd asks for it. A hung run is logged
    once, and systemd no longer gets its keep-alive, so that it restarts the daemon."""

    def __init__(self, heartbeat: Heartbeat, notifier: SystemdNotifier, *, every: float) -> None:
        self._heartbeat, self._notifier = heartbeat, notifier
        self.every = every if notifier.watchdog is None else min(every, notifier.watchdog / 2)
        self._is_hung = False

    def check(self) -> None:
        """Check once."""
        hung = self._heartbeat.hung()
        if hung is None:
            self._notifier.alive()
            if self._is_hung:
                _log.warning("run continues")
        elif not self._is_hung:
            _log.error("run hangs", extra={"step": hung.step, "silent_seconds": round(hung.silent, 1)})
        self._is_hung = hung is not None


class Renewable(Protocol):
    """A time-limited right to write. Renewing it often is cheap."""

    def __enter__(self) -> object: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def renew(self) -> None:
        """Raises LeaseHeld if the lease was lost."""
        ...


class LeaseRenewer:
    """Renews the lease at each heartbeat and every `every` seconds, unless the run hangs: then the lease
    expires and another process may take over. `lost` is called once, from another thread, if that happens;
    `after` every time, with the state DB at hand."""

    def __init__(
        self,
        *,
        lease: Renewable,
        heartbeat: Heartbeat,
        lost: Callable[[], None],
        every: float,
        after: Callable[[], None] = lambda: None,
    ) -> None:
        self._lease, self._heartbeat, self._lost, self._every = lease, heartbeat, lost, every
        self._after = after
        self._renewing = threading.Lock()
        self._is_paused = False
        self._stopped = threading.Event()
        self._is_failing = False
        self._thread = threading.Thread(target=self._renew_in_background, name="lease", daemon=True)
        self.error: LeaseHeld | None = None

    def start(self) -> None:
        """Start renewing."""
        self._thread.start()

    def pause(self) -> None:
        """Renew nothing: the lease is lent out."""
        with self._renewing:
            self._is_paused = True

    def resume(self) -> None:
        """The lease is back."""
        with self._renewing:
            self._is_paused = False

    def stop(self) -> None:
        """Stop renewing. Does nothing if never started."""
        self._stopped.set()
        if self._thread.ident is not None:
            self._thread.join()

    def beat(self) -> None:
        """The current run makes progress. Raises LeaseHeld if the lease was lost."""
        self._heartbeat.beat()
        if self.error is not None:
            raise self.error
        self._lease.renew()

    def _renew_in_background(self) -> None:
        while self.error is None and not self._stopped.wait(self._every):
            if self._heartbeat.hung() is None:
                with self._renewing:
                    self._renew()

    def _renew(self) -> None:
        if self._is_paused:
            return
        try:
            self._lease.renew()
            self._after()
            self._is_failing = False
        except LeaseHeld as error:
            self.error = error  # raised in the run, at its next heartbeat
            self._lost()
        except Exception as error:  # noqa: BLE001 - without the state DB nothing can be written, so the lease is
            # not needed until it is back; the next renewal then shows whether it is still ours.
            if not self._is_failing:
                _log.warning("lease not renewed", extra={"error": type(error).__name__})
            self._is_failing = True
