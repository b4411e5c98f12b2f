"""What is deleted once it is old: runs, and hints that were followed.

Kept is all that safety rests on: attempts and the runs that they and the watermarks name, holds, agreements,
erasures and the ledger.
"""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa

from bridge.store import feeds, webhook_events
from bridge.store import tables as t
from bridge.store.engine import UnitOfWork
from bridge.store.statements import SIZE, param

SLICE = 5000  # rows for each transaction, so that none is kept waiting for long
NEWEST_KEPT = 200  # runs that are kept however old they are

_r, _old = t.runs.c, t.runs.alias("old").c
_NEWEST = sa.select(sa.func.max(_r.number))
_NAMED = sa.union(sa.select(t.attempts.c.run), sa.select(t.watermarks.c.run))
_FORGET_RUNS = sa.delete(t.runs).where(
    _r.number.in_(
        sa.select(_old.number)
        .where(
            _old.ended_at < param("before", _r.ended_at),
            _old.number <= sa.bindparam("last", type_=sa.BigInteger),
            _old.id.not_in(_NAMED),
        )
        .order_by(_old.number)
        .limit(SIZE)
    )
)


class RetentionStore:
    """Deletes what is old, in slices."""

    def __init__(self, unit: UnitOfWork) -> None:
        self._unit = unit

    def prune(self, before: datetime) -> int:
        """Delete runs that ended before a time, and hints that were settled long ago. Returns how many runs
        were deleted."""
        with self._unit.write() as conn:
            now = self._unit.clock()
            feeds.forget(conn, now)
            webhook_events.forget(conn, now)
            last = (conn.scalar(_NEWEST) or 0) - NEWEST_KEPT
        deleted, found = 0, SLICE
        while found == SLICE:
            with self._unit.write() as conn:
                found = conn.execute(_FORGET_RUNS, {"before": before, "last": last, "size": SLICE}).rowcount
            deleted += found
        return deleted
