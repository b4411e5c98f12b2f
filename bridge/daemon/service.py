"""The service that `bridge run` is: one daemon after the other, each with the settings that SIGHUP read."""

from __future__ import annotations

import logging
import os
import signal
import time
from collections.abc import Callable
from queue import SimpleQueue

from bridge.app import App, Options
from bridge.core.errors import ConfigError, LeaseHeld
from bridge.daemon.daemon import Daemon, handling_signals
from bridge.daemon.worker import EngineRunner
from bridge.settings import Settings

_LEASE_TRIES = 120  # seconds in which a process that used the lease meanwhile must be done

_SIGNALS = frozenset(one.name for one in signal.Signals)

_log = logging.getLogger(__name__)

Start = Callable[[App, Callable[[], Settings], "SimpleQueue[str]"], Daemon]


def new_daemon(app: App, reload: Callable[[], Settings], reasons: SimpleQueue[str]) -> Daemon:
    """A daemon that leaves signals to the service."""
    return Daemon(app, reload=reload, reasons=reasons)


class Service:
    """Runs daemons until one of them is to stop. `read` reads the settings of all sources, `apply` does what
    else follows from them; `options` are those of the parts."""

    def __init__(
        self,
        settings: Settings,
        read: Callable[[], Settings],
        *,
        apply: Callable[[Settings], None] = lambda _: None,
        options: Options | None = None,
        start: Start = new_daemon,
    ) -> None:
        self._settings, self._read, self._apply = settings, read, apply
        self._options, self._make = options, start
        self._reasons: SimpleQueue[str] = SimpleQueue()

    def run(self) -> int:
        """Returns the exit code. Raises what `Daemon.run` raises with the first settings."""
        with handling_signals(self._stop, os._exit):
            settings, before = self._settings, None
            while True:
                self._apply(settings)
                try:
                    following, code = self._run_one(settings, patient=before is not None)
                except ConfigError as error:
                    if before is None:
                        raise
                    _log.error("the new settings cannot be used; the old ones are", extra={"why": str(error)})
                    settings, before = before, None
                    continue
                if following is None:
                    return code
                settings, before = following, settings
                _log.info("settings reloaded")

    def _run_one(self, settings: Settings, *, patient: bool) -> tuple[Settings | None, int]:
        for left in reversed(range(_LEASE_TRIES if patient else 1)):
            try:
                with App(settings, self._options) as app:
                    daemon = self._make(app, self._checked, self._next_reasons())
                    code = daemon.run()
                    return daemon.next_settings, code
            except LeaseHeld:
                if not left or not self._reasons.empty():
                    raise
            time.sleep(1.0)
        raise RuntimeError("unreachable: the loop returns or raises")

    def _stop(self, reason: str) -> None:
        """A signal came: it is for the daemon that runs now."""
        self._reasons.put(reason)

    def _next_reasons(self) -> SimpleQueue[str]:
        """A queue for one daemon. A signal that came between two daemons is for the next one; what else is
        left was the last one's own."""
        before, self._reasons = self._reasons, SimpleQueue()
        while not before.empty():
            if (reason := before.get()) in _SIGNALS:
                self._reasons.put(reason)
        return self._reasons

    def _checked(self) -> Settings:
        """The settings as they are now. Raises ConfigError where a daemon could not start with them."""
        settings = self._read()
        with App(settings, self._options) as app:
            EngineRunner(app).prepare()
        return settings
