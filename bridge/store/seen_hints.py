"""Which hints of a feed were followed: overlapping reads bring the same ones again."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

import sqlalchemy as sa

from bridge.store import tables as t
from bridge.store.engine import inserter
from bridge.store.types import chunks

KEPT = timedelta(days=1)  # after the last sight: a feed read with a longer overlap is looked into anew


def note(conn: sa.Connection, feed: str, keys: Sequence[str], now: datetime) -> None:
    """These were followed now."""
    rows = [{"feed": feed, "key": key, "first_at": now, "last_at": now} for key in dict.fromkeys(keys)]
    if not rows:
        return
    statement = inserter(conn, t.followed)
    conn.execute(
        statement.on_conflict_do_update(
            index_elements=["feed", "key"], set_={"last_at": statement.excluded.last_at}
        ),
        rows,
    )


def settled(conn: sa.Connection, feed: str, keys: Sequence[str], settling: timedelta) -> frozenset[str]:
    """Those that were last followed at least `settling` after they were first."""
    f = t.followed.c
    found: set[str] = set()
    for some in chunks(keys):
        rows = conn.execute(sa.select(f.key, f.first_at, f.last_at).where(f.feed == feed, f.key.in_(some)))
        found |= {row.key for row in rows if row.last_at - row.first_at >= settling}
    return frozenset(found)


def forget(conn: sa.Connection, feed: str, now: datetime) -> None:
    """What the feed has not brought for long is not kept."""
    f = t.followed.c
    conn.execute(sa.delete(t.followed).where(f.feed == feed, f.last_at < now - KEPT))
