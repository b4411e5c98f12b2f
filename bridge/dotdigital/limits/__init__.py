"""Dotdigital's rate limits: what is left, and which calls may use it.

What is left is spent by priority: each leaves a reserve to more urgent calls, and all but withdrawals leave a
share to the account's other integrations.
"""

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
"""The part of the bridge's own share that calls of a priority leave to more urgent ones. Withdrawals leave
nothing, and may use the share of other integrations as well."""


def reserve(limit: int, others: float) -> float:
    """The calls of `limit` that the current priority may not use, `others` of them meant for other
    integrations: fewer than all, or it would wait for ever."""
    if current_priority() is Priority.WITHDRAWALS:
        return 0.0
    return max(0.0, min(others + KEPT_BACK[current_priority()] * (limit - others), limit - 1))
