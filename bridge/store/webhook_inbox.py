"""Where the webhook receiver puts what it was told: quickly, durably, and beside whatever a round writes."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import sqlalchemy as sa

from bridge.core.model import Side
from bridge.core.store_port import WebhookEvent
from bridge.store import webhook_events
from bridge.store.engine import Clock, UnitOfWork, make_engine

PATIENCE = 0.8  # seconds to wait for a round's transaction; the caller wants an answer within two


class InboxResult(StrEnum):
    """What became of notices that were brought."""

    KEPT = "kept"  # they are on disk, or were known
    FULL = "full"  # as many wait as may
    BUSY = "busy"  # the state DB did not take them in time


@dataclass(slots=True, eq=False)
class _Brought:
    notices: Sequence[WebhookEvent]
    outcome: InboxResult | None = None


class WebhookInbox:
    """Keeps notices on a connection of its own. Many that are brought at once share a transaction, so that a
    burst costs the disk little. It needs no lease: nothing is decided here. Thread-safe; `Store` must have
    opened the state DB before."""

    def __init__(self, url: str, clock: Clock, *, side: Side, depth: int, patience: float = PATIENCE) -> None:
        self._unit = UnitOfWork(make_engine(url, patience=patience), clock)
        self._side, self._depth, self._patience = side, depth, patience
        self._lock = threading.Lock()
        self._writing = threading.Lock()
        self._brought: list[_Brought] = []

    def close(self) -> None:
        """Close the connection."""
        self._unit.engine.dispose()

    def put(self, notices: Sequence[WebhookEvent]) -> InboxResult:
        """Keep these, for the next round. Takes at most twice the patience."""
        mine = _Brought(notices)
        with self._lock:
            self._brought.append(mine)
        if not self._writing.acquire(timeout=self._patience):
            with self._lock:
                if mine in self._brought:
                    self._brought.remove(mine)
            return InboxResult.BUSY
        try:
            if mine.outcome is None:
                self._write()
        finally:
            self._writing.release()
        return mine.outcome or InboxResult.BUSY

    def _write(self) -> None:
        """Write all that was brought so far, in one transaction."""
        with self._lock:
            together, self._brought = self._brought, []
        outcome = InboxResult.BUSY
        try:
            outcome = self._keep([notice for one in together for notice in one.notices])
        except (
            sa.exc.DBAPIError
        ):  # locked, full or away; told by the outcome, and polling finds it all the same
            return
        finally:
            for one in together:
                one.outcome = outcome

    def _keep(self, notices: Sequence[WebhookEvent]) -> InboxResult:
        with self._unit.write() as conn:
            if webhook_events.waiting(conn, self._side) + len(notices) > self._depth:
                return InboxResult.FULL
            webhook_events.keep(conn, self._side, notices, self._unit.clock())
        return InboxResult.KEPT
