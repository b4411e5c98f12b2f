"""What webhooks named, until a round has looked into it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

import sqlalchemy as sa

from bridge.core.model import Side
from bridge.core.ports import Hint
from bridge.core.store_port import PendingEvent, WebhookEvent
from bridge.store import tables as t
from bridge.store.engine import inserter
from bridge.store.types import chunks

KEPT = timedelta(days=1)  # after it was looked into: what comes again later is looked into anew
PAGE = 500  # that one round takes on: what a flood names must not keep others waiting


def waiting(conn: sa.Connection, side: Side) -> int:
    """How many no round has looked into."""
    h = t.hook_hints.c
    query = sa.select(sa.func.count()).where(h.side == side, h.heeded_at.is_(None))
    return conn.execute(query).scalar_one()


def keep(conn: sa.Connection, side: Side, notices: Sequence[WebhookEvent], now: datetime) -> None:
    """Keep them. One whose event is known stays as it is: a repetition tells nothing new."""
    rows = [
        {
            "side": side,
            "event_id": one.event,
            "event_type": one.kind,
            "profile_id": one.profile,
            "received_at": now,
        }
        for one in notices
    ]
    if rows:
        conn.execute(inserter(conn, t.hook_hints).on_conflict_do_nothing(), rows)


def of_side(conn: sa.Connection, side: Side) -> list[PendingEvent]:
    """The next that no round has looked into, the oldest first, and whether a feed has led there since."""
    h, f = t.hook_hints.c, t.followed.c
    followed = sa.exists().where(
        f.key == h.event_id, f.feed.startswith(f"{side}."), f.last_at >= h.received_at
    )
    query = (
        sa.select(h.id, h.profile_id, followed.label("followed"))
        .where(h.side == side, h.heeded_at.is_(None))
        .order_by(h.id)
        .limit(PAGE)
    )
    return [PendingEvent(row.id, Hint(id=row.profile_id), bool(row.followed)) for row in conn.execute(query)]


def mark_processed(conn: sa.Connection, numbers: Sequence[int], now: datetime) -> None:
    """These were looked into."""
    h = t.hook_hints.c
    for some in chunks(numbers):
        conn.execute(sa.update(t.hook_hints).where(h.id.in_(some)).values(heeded_at=now))


def forget(conn: sa.Connection, now: datetime) -> None:
    """What was looked into long ago is not kept."""
    h = t.hook_hints.c
    conn.execute(sa.delete(t.hook_hints).where(h.heeded_at < now - KEPT))
