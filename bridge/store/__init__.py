"""The state DB: SQLite embedded, or PostgreSQL by URL."""

from bridge.core.ledger import LedgerHead
from bridge.store.lease import Lease
from bridge.store.ledger import LedgerBroken
from bridge.store.ledger_check import Verified
from bridge.store.store import Store
from bridge.store.webhook_events import InboxResult, WebhookInbox

__all__ = ["InboxResult", "Lease", "LedgerBroken", "LedgerHead", "Store", "Verified", "WebhookInbox"]
