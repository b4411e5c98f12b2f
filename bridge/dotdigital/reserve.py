"""What a lane leaves to calls more urgent than its own, and to the account's other integrations."""

from __future__ import annotations

from collections.abc import Mapping

from bridge.core.lanes import Lane, lane

KEPT_BACK: Mapping[Lane, float] = {
    Lane.WITHDRAWALS: 0.0,
    Lane.READ_BACKS: 0.05,
    Lane.RAISES: 0.1,
    Lane.POLLING: 0.2,
    Lane.SWEEP: 0.4,
}
"""The part of the bridge's own share that a lane leaves to more urgent ones. Withdrawals leave nothing, and
may use what is meant for strangers as well."""


def kept(limit: int, others: float) -> float:
    """The calls of `limit` that the lane of this moment may not touch, `others` of them being meant for
    strangers: fewer than all, or it would wait for ever."""
    if lane() is Lane.WITHDRAWALS:
        return 0.0
    return max(0.0, min(others + KEPT_BACK[lane()] * (limit - others), limit - 1))
