"""How far each feed was read, and which of its hints were followed."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

import sqlalchemy as sa

from bridge.core.model import RunId
from bridge.core.ports import batched, cursor_key
from bridge.store import tables as t
from bridge.store import webhook_events
from bridge.store.engine import UnitOfWork
from bridge.store.key_values import set_text
from bridge.store.statements import Insert, InsertRows, among, param, upsert

KEPT = timedelta(days=1)  # after a hint was last seen: a feed read with a longer overlap is followed again

_f, _w = t.followed.c, t.watermarks.c
_WATERMARKS = sa.select(_w.feed, _w.at).order_by(_w.feed)
_FOLLOWED = sa.select(_f.key, _f.first_at, _f.last_at).where(
    _f.feed == sa.bindparam("named"), among(_f.key, "keys")
)
_FOLLOW = upsert(t.followed, ["feed", "key"], ["last_at"])
_FORGET_ALL = sa.delete(t.followed).where(_f.last_at < param("before", _f.last_at))
_FORGET = sa.delete(t.followed).where(
    _f.feed == sa.bindparam("named"), _f.last_at < param("before", _f.last_at)
)


def _forward(insert: Insert) -> Insert:
    """A page never moves a watermark back."""
    new = insert.excluded
    given = {"at": new.at, "run": new.run, "updated_at": new.updated_at}
    return insert.on_conflict_do_update(index_elements=["feed"], set_=given, where=new.at >= _w.at)


_ADVANCE = InsertRows.build(_forward, t.watermarks)
_MOVE_BACK = (
    sa.update(t.watermarks)
    .where(_w.feed == sa.bindparam("named"), _w.at > param("mark", _w.at))
    .values(at=param("mark", _w.at))
)


class FeedStore:
    """Watermarks, in each side's own time."""

    def __init__(self, unit: UnitOfWork) -> None:
        self._unit = unit

    def watermark(self, feed: str) -> datetime | None:
        """How far a feed was read."""
        return self.watermarks().get(feed)

    def watermarks(self) -> dict[str, datetime]:
        """How far each feed was read."""
        with self._unit.read() as conn:
            return {row.feed: row.at for row in conn.execute(_WATERMARKS)}

    def move_back(self, feed: str, mark: datetime) -> None:
        """A feed was read to here only, whatever a clock that was wrong has said."""
        with self._unit.write() as conn:
            conn.execute(_MOVE_BACK, {"named": feed, "mark": mark})

    def settled_keys(self, feed: str, keys: Sequence[str], settling: timedelta) -> frozenset[str]:
        """Those of a feed's keys that were last followed at least `settling` after they were first."""
        found: set[str] = set()
        with self._unit.read() as conn:
            for some in batched(keys):
                rows = conn.execute(_FOLLOWED, {"named": feed, "keys": some})
                found |= {row.key for row in rows if row.last_at - row.first_at >= settling}
        return frozenset(found)


def forget(conn: sa.Connection, now: datetime) -> None:
    """Forget old hints of every feed, of those too that are no longer read to their end."""
    conn.execute(_FORGET_ALL, {"before": now - KEPT})


def note_page(
    conn: sa.Connection,
    feed: str,
    run: RunId,
    now: datetime,
    *,
    followed: Sequence[str],
    cursor: str | None,
    watermark: datetime | None,
) -> None:
    """A page of a feed is stored in this transaction. With a watermark, old hints are forgotten."""
    if keys := dict.fromkeys(followed):
        _FOLLOW.run(conn, [{"feed": feed, "key": key, "first_at": now, "last_at": now} for key in keys])
    if cursor is not None:
        set_text(conn, cursor_key(feed), cursor)
    if watermark is not None:
        _ADVANCE.run(conn, [{"feed": feed, "at": watermark, "run": run, "updated_at": now}])
        conn.execute(_FORGET, {"named": feed, "before": now - KEPT})
        webhook_events.forget(conn, now)
