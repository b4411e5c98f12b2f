"""What a lane leaves to calls more urgent than its own, and to the account's other integrations."""

from __future__ import annotations

from collections.abc import Mapping

from bridge.core.priority import Priority, current_priority

KEPT_BACK: Mapping[Priority, float] = {
    Priority.WITHDRAWALS: 0.0,
    Priority.READ_BACKS: 0.05,
    Priority.RAISES: 0.1,
    Priority.POLLING: 0.2,
    Priority.SWEEP: 0.4,
}
"""The part of the bridge's own share that a lane leaves to more urgent ones. Withdrawals leave nothing, and
may use what is meant for strangers as well."""


def reserve(limit: int, others: float) -> float:
    """The calls of `limit` that the lane of this moment may not touch, `others` of them being meant for
    strangers: fewer than all, or it would wait for ever."""
    if current_priority() is Priority.WITHDRAWALS:
        return 0.0
    return max(0.0, min(others + KEPT_BACK[current_priority()] * (limit - others), limit - 1))
