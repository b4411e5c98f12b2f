"""Stopping soon: what waits or reads is told to end. Nothing that was begun is lost by it."""

from __future__ import annotations

import threading
from collections.abc import Callable

from bridge.core.errors import RunStopped


class StopSignal:
    """Whether the process is to end. Thread-safe."""

    def __init__(self) -> None:
        self._asked = threading.Event()

    def request(self) -> None:
        """From now on every wait and every read ends."""
        self._asked.set()

    @property
    def requested(self) -> bool:
        return self._asked.is_set()

    def check(self) -> None:
        """Raise RunStopped where the process is to end."""
        if self._asked.is_set():
            raise RunStopped("The run was stopped. The next one goes on where it ended.")

    def sleep(self, seconds: float) -> None:
        """Sleep, but not past a request to stop. Raises RunStopped."""
        self._asked.wait(max(0.0, seconds))
        self.check()

    def guarding(self, beat: Callable[[], None]) -> Callable[[], None]:
        """A heartbeat that raises RunStopped as well."""

        def guarded() -> None:
            self.check()
            beat()

        return guarded
