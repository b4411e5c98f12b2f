"""When everybody was last read, and whether that is too long ago."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from bridge.core.store_port import RunKind
from bridge.store import RunRow, Store

SWEPT = "swept_at"
LONGEST = timedelta(hours=25)  # a day, and the time that a sweep may take
PAUSE = timedelta(minutes=15)  # before a sweep that failed is tried again
_LOOK_BACK = 200  # runs; sweeps of one-shot runs are not noted elsewhere
_SWEEPING = frozenset({RunKind.FIRST, RunKind.FULL})


class SweepSchedule:
    """Keeps a sweep owed until one has succeeded. Used by one thread."""

    def __init__(self, store: Store, clock: Callable[[], datetime]) -> None:
        self._store = store
        self._clock = clock
        self._tried: datetime | None = None
        self._last = _last(store)

    def owed(self) -> bool:
        """Whether the last sweep is older than a day should leave it, and none was tried just now."""
        now = self._clock()
        if self._tried is not None and now - self._tried < PAUSE:
            return False
        return self._last is None or now - self._last > LONGEST

    def begun(self) -> None:
        """A sweep begins; whether it succeeds is not known yet."""
        self._tried = self._clock()

    def done(self) -> None:
        """A sweep has succeeded."""
        self._last = self._clock()
        self._store.set_meta(SWEPT, self._last.isoformat())


def _last(store: Store) -> datetime | None:
    noted = store.meta(SWEPT)
    found = [datetime.fromisoformat(noted)] if noted else []
    found += [row.ended_at for row in store.last_runs(_LOOK_BACK) if row.ended_at and _is_sweep(row)]
    return max(found, default=None)


def _is_sweep(row: RunRow) -> bool:
    return row.kind in _SWEEPING and row.state == "done"
