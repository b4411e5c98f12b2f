"""The sandbox's own time: real time plus an offset, or standing still."""

from __future__ import annotations

import threading
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
