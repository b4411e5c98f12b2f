"""Webhook events: taken by the receiver, kept until a run has processed them."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

import sqlalchemy as sa

from bridge.core.clocks import Clock
from bridge.core.errors import StateDbError
from bridge.core.model import Side
from bridge.core.ports import Hint, batched
from bridge.core.store_values import PendingEvent, WebhookEvent
from bridge.store import tables as t
from bridge.store.engine import UnitOfWork, make_engine
from bridge.store.statements import among, count_of, insert_new, param

KEPT = timedelta(days=1)  # after it was processed: what comes again later is processed again
PAGE = 500  # that one run takes on: a flood of events must not delay everything else
PATIENCE = 0.8  # seconds to wait for a run's transaction; the caller wants an answer within two

_h, _f = t.hook_hints.c, t.followed.c
_HERE = (_h.side == sa.bindparam("at_side"), _h.processed_at.is_(None))
_WAITING = count_of(t.hook_hints, *_HERE)
_KEEP = insert_new(t.hook_hints)
_PENDING = (
    sa.select(
        _h.id,
        _h.profile_id,
        sa.exists()
        .where(
            _f.key == _h.event_id,
            _f.feed.startswith(sa.bindparam("feeds", type_=sa.Text)),
            _f.last_at >= _h.received_at,
        )
        .label("followed"),
    )
    .where(*_HERE)
    .order_by(_h.id)
    .limit(PAGE)
)
_PROCESSED = (
    sa.update(t.hook_hints).where(among(_h.id, "ids")).values(processed_at=param("now", _h.processed_at))
)
_FORGET = sa.delete(t.hook_hints).where(_h.processed_at < param("before", _h.processed_at))


class WebhookEventStore:
    """Events that no run has processed."""

    def __init__(self, unit: UnitOfWork) -> None:
        self._unit = unit

    def pending(self, side: Side) -> list[PendingEvent]:
        """The next events, the oldest first, and whether a feed has led to the same profile since."""
        with self._unit.read() as conn:
            return [
                PendingEvent(row.id, Hint(id=row.profile_id), bool(row.followed))
                for row in conn.execute(_PENDING, {"at_side": side, "feeds": f"{side}."})
            ]

    def mark_processed(self, events: Sequence[int]) -> None:
        """A run has processed these."""
        with self._unit.write() as conn:
            now = self._unit.clock()
            for ids in batched(events):
                conn.execute(_PROCESSED, {"ids": ids, "now": now})


def forget(conn: sa.Connection, now: datetime) -> None:
    """Delete what was processed long ago."""
    conn.execute(_FORGET, {"before": now - KEPT})


class InboxResult(StrEnum):
    """What became of events that were delivered."""

    KEPT = "kept"  # they are on disk, or were known
    FULL = "full"  # as many wait as may
    BUSY = "busy"  # the state DB did not take them in time


@dataclass(slots=True, eq=False)
class _Delivery:
    events: Sequence[WebhookEvent]
    outcome: InboxResult | None = None


class WebhookInbox:
    """Keeps events for the receiver, on a connection of its own. Deliveries that come at once share a
    transaction, so that a burst costs the disk little. It needs no lease: nothing is decided here.
    Thread-safe; `Store` must have opened the state DB before."""

    def __init__(self, url: str, clock: Clock, *, side: Side, depth: int, patience: float = PATIENCE) -> None:
        self._unit = UnitOfWork(make_engine(url, patience=patience), clock)
        self._side, self._depth, self._patience = side, depth, patience
        self._lock = threading.Lock()
        self._writing = threading.Lock()
        self._delivered: list[_Delivery] = []

    def close(self) -> None:
        """Close the connection."""
        self._unit.engine.dispose()

    def put(self, events: Sequence[WebhookEvent]) -> InboxResult:
        """Keep these for the next run. Takes at most twice the patience."""
        mine = _Delivery(events)
        with self._lock:
            self._delivered.append(mine)
        if not self._writing.acquire(timeout=self._patience):
            with self._lock:
                if mine in self._delivered:
                    self._delivered.remove(mine)
            return InboxResult.BUSY
        try:
            if mine.outcome is None:
                self._write()
        finally:
            self._writing.release()
        return mine.outcome or InboxResult.BUSY

    def _write(self) -> None:
        """Write all that was delivered so far, in one transaction."""
        with self._lock:
            together, self._delivered = self._delivered, []
        outcome = InboxResult.BUSY
        try:
            outcome = self._keep([event for one in together for event in one.events])
        except (sa.exc.DBAPIError, StateDbError):
            return  # locked, full or away; the outcome says so, and polling finds the change
        finally:
            for one in together:
                one.outcome = outcome

    def _keep(self, events: Sequence[WebhookEvent]) -> InboxResult:
        """An event that is known stays as it is: a repetition tells nothing new."""
        with self._unit.write() as conn:
            if (conn.scalar(_WAITING, {"at_side": self._side}) or 0) + len(events) > self._depth:
                return InboxResult.FULL
            now = self._unit.clock()
            _KEEP.run(
                conn,
                [
                    {
                        "side": self._side,
                        "event_id": one.event,
                        "event_type": one.kind,
                        "profile_id": one.profile,
                        "received_at": now,
                    }
                    for one in events
                ],
            )
        return InboxResult.KEPT
