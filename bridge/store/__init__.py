"""The state DB: SQLite embedded, or PostgreSQL by URL."""

from bridge.store.hookbox import HookBox, Stored
from bridge.store.lease import Lease
from bridge.store.ledger import LedgerBroken, Verified
from bridge.store.runs import RunRow
from bridge.store.store import Store

__all__ = ["HookBox", "Lease", "LedgerBroken", "RunRow", "Store", "Stored", "Verified"]
