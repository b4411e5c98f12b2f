"""The state DB: SQLite embedded, or PostgreSQL by URL."""

from bridge.store.lease import Lease
from bridge.store.ledger import LedgerBroken, LedgerHead, Verified
from bridge.store.store import Store
from bridge.store.webhook_events import InboxResult, WebhookInbox

__all__ = ["InboxResult", "Lease", "LedgerBroken", "LedgerHead", "Store", "Verified", "WebhookInbox"]
