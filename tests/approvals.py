"""Plans as `bridge plan --out` registers them."""

from __future__ import annotations

import uuid

from bridge.core.approval import Approval, ApprovalKind, Operator
from bridge.store import Store


def saved(store: Store) -> Approval:
    """The record of a plan that was saved and not applied yet."""
    return store.approvals.give(ApprovalKind.PLAN, uuid.uuid4().hex, Operator("ops"))
