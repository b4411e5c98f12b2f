"""Watches the round's pulse for the log and for systemd; waits for nothing and nobody."""

from __future__ import annotations

import logging

from bridge.daemon.heartbeat import Heartbeat
from bridge.daemon.systemd import SystemdNotifier

_log = logging.getLogger(__name__)


class Watchdog:
    """Looks at the pulse every `every` seconds, or more often where systemd wants to hear more often. A round
    that hangs is logged once, and systemd is told no more that the daemon lives: it then starts another."""

    def __init__(self, pulse: Heartbeat, notifier: SystemdNotifier, *, every: float) -> None:
        self._pulse, self._notifier = pulse, notifier
        self.every = every if notifier.watchdog is None else min(every, notifier.watchdog / 2)
        self._hangs = False

    def look(self) -> None:
        """One look."""
        hang = self._pulse.hang()
        if hang is None:
            self._notifier.alive()
            if self._hangs:
                _log.warning("round goes on again")
        elif not self._hangs:
            _log.error("round hangs", extra={"step": hang.step, "silent_seconds": round(hang.silent, 1)})
        self._hangs = hang is not None
