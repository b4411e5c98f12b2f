"""The sandbox's own time: real time plus an offset, or standing still."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta


class SandboxClock:
    """A clock that tests can move.

    It runs with real time unless `frozen`; `start` (aware) is what it shows first, default the present.
    """

    def __init__(self, start: datetime | None = None, frozen: bool = False) -> None:
        self._lock = threading.Lock()
        self._frozen = frozen
        self._offset = timedelta(0)
        self._stopped_at = datetime.now(UTC)
        if start is not None:
            self.set(start)

    def now(self) -> datetime:
        """The sandbox's present, aware and in UTC."""
        with self._lock:
            return self._base() + self._offset

    def advance(self, seconds: float) -> None:
        """Move by `seconds` (negative moves back, as a badly set server clock would)."""
        with self._lock:
            self._offset += timedelta(seconds=seconds)

    def set(self, moment: datetime) -> None:
        """Show `moment` from now on. Raises ValueError for a datetime without a zone."""
        if moment.tzinfo is None:
            raise ValueError("the sandbox clock needs a datetime with a zone; add tzinfo=UTC")
        with self._lock:
            self._offset = moment.astimezone(UTC) - self._base()

    def _base(self) -> datetime:
        return self._stopped_at if self._frozen else datetime.now(UTC)


class ServiceClock(SandboxClock):
    """What one service takes for the time: the sandbox's clock, and `ahead()` seconds more. Moving it moves
    the sandbox's clock."""

    def __init__(self, sandbox: SandboxClock, ahead: Callable[[], float]) -> None:
        super().__init__()
        self._sandbox = sandbox
        self._ahead = ahead

    def now(self) -> datetime:
        """The service's present, aware and in UTC."""
        return self._sandbox.now() + timedelta(seconds=self._ahead())

    def advance(self, seconds: float) -> None:
        """Move the sandbox's clock by `seconds`."""
        self._sandbox.advance(seconds)

    def set(self, moment: datetime) -> None:
        """Let the service show `moment` from now on. Raises ValueError for a datetime without a zone."""
        self._sandbox.set(moment - timedelta(seconds=self._ahead()))


class StateLock:
    """The lock of a service's state. When it is taken, what is due is done first: by `settlers`."""

    def __init__(self) -> None:
        self.settlers: list[Callable[[], None]] = []
        self._lock = threading.RLock()
        self._depth = 0

    def __enter__(self) -> None:
        self._lock.acquire()
        self._depth += 1
        if self._depth == 1:
            with ExitStack() as entering:
                entering.push(self.__exit__)
                for settle in self.settlers:
                    settle()
                entering.pop_all()

    def __exit__(self, *_: object) -> None:
        self._depth -= 1
        self._lock.release()
