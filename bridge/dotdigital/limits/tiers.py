"""The tiered scheme: calls a minute, for each tier by itself, as the headers of each answer state."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import ceil

from bridge.core.priority import Priority, current_priority
from bridge.dotdigital.client.wire import clamped, header_number, reset_in
from bridge.transport import Response

UNKNOWN_LIMIT = 35  # calls a minute: the low tier of the smallest package, the only number that is published
_WINDOW = timedelta(seconds=60)

LOW, MEDIUM, HIGH = "lowCallRate", "mediumCallRate", "highCallRate"
PRESUMED: Mapping[str, str] = {
    "get-suppressed-contacts-since-date": LOW,
    "get-unsubscribed-contacts-since-date": LOW,
    "get-contacts-opted-into-a-preference": LOW,
    "get-contacts-with-modified-preference-opt-in-since-date": LOW,
    "getContacts": LOW,
    "importContacts": LOW,
    "deleteContacts": LOW,
    "bulk-suppress-contacts": LOW,
    "get-preferences": MEDIUM,
    "get-modified-preferences-since-date": MEDIUM,
    "set-preferences-for-contact": MEDIUM,
    "importContact": MEDIUM,
    "deleteContact": MEDIUM,
    "delete-contact": MEDIUM,
    "unsubscribe-contact": MEDIUM,
    "resubscribe-contact": MEDIUM,
    "resubscribe-contact-with-no-challenge": MEDIUM,
    "get-preferences-for-contact": HIGH,
    "get-subscriptions-for-contact": HIGH,
    "get-contact": HIGH,
    "getContact": HIGH,
    "get-account-information": HIGH,
    "get-server-time": HIGH,
}
"""The tier of an operation that has not answered yet, by the documents' rule of thumb (bulky reads and writes
low, changes of one record medium, reads of one record high). Its first answer states the true one."""

KEPT_BACK: Mapping[Priority, float] = {
    Priority.WITHDRAWALS: 0.0,
    Priority.READ_BACKS: 0.05,
    Priority.RAISES: 0.1,
    Priority.POLLING: 0.2,
    Priority.SWEEP: 0.4,
}
"""The part of the bridge's own share that calls of a priority leave to more urgent ones. Withdrawals leave
nothing, and may use the share of other integrations as well."""


def reserve(limit: int, others: float, priority: Priority) -> float:
    """The calls of `limit` that a priority may not use, `others` of them meant for other
    integrations: fewer than all, or it would wait for ever."""
    if priority is Priority.WITHDRAWALS:
        return 0.0
    return max(0.0, min(others + KEPT_BACK[priority] * (limit - others), limit - 1))


@dataclass(slots=True)
class _Budget:
    limit: int  # 0: not known, from a 429 without headers
    remaining: int
    resets_at: datetime


class TierQuotas:
    """`share` (0 to 1) of each tier is left to other integrations. Not thread-safe: its owner is."""

    def __init__(self, share: float) -> None:
        self._share = share
        self._scopes: dict[str, str] = {}  # operation -> tier, as answers stated
        self._budgets: dict[str, _Budget] = {}

    def of(self, operation: str) -> str:
        """The tier of an operation, as far as is known."""
        return self._scopes.get(operation) or PRESUMED.get(operation, f"tier of {operation}")

    def has_headers(self, operation: str) -> bool:
        """Whether answers to this operation have had the scheme's headers."""
        return operation in self._scopes

    def allowance(self, operation: str) -> float:
        """Calls a minute that the current priority may use in the long run."""
        budget = self._budgets.get(self.of(operation))
        limit = budget.limit if budget is not None and budget.limit else UNKNOWN_LIMIT
        return limit - reserve(limit, self._share * limit, current_priority())

    def room(self, operation: str, now: datetime) -> int | None:
        """How many such calls the current priority could make without waiting; None where the window is not
        known."""
        budget = self._opened(operation, now)
        if budget is None:
            return None
        return max(0, ceil(budget.remaining - self._reserved(budget)))

    def take(self, operation: str, now: datetime) -> float:
        """Take one call from its tier, or say how many seconds it has to wait."""
        budget = self._opened(operation, now)
        if budget is None:
            return 0.0  # the next answer shows the window
        if budget.remaining <= self._reserved(budget):
            return clamped((budget.resets_at - now).total_seconds())
        budget.remaining -= 1
        return 0.0

    def _reserved(self, budget: _Budget) -> float:
        """Calls of this window that the current priority may not use."""
        return reserve(budget.limit, self._share * budget.limit, current_priority())

    def _opened(self, operation: str, now: datetime) -> _Budget | None:
        """What is known to be left in the current window."""
        budget = self._budgets.get(self.of(operation))
        if budget is None or (budget.resets_at <= now and not budget.limit):
            return None
        if budget.resets_at <= now:
            windows = (now - budget.resets_at) // _WINDOW + 1
            budget.remaining, budget.resets_at = budget.limit, budget.resets_at + windows * _WINDOW
        return budget

    def update(self, operation: str, answer: Response, now: datetime, *, used_up: bool) -> None:
        """Read an answer's headers; `used_up`: it was refused for lack of calls."""
        scope = answer.headers.get("X-RateLimit-Scope", "").strip() or self._scopes.get(operation)
        limit = header_number(answer, "X-RateLimit-Limit")
        remaining = 0.0 if used_up else header_number(answer, "X-RateLimit-Remaining")
        if remaining is None or (limit is None and not used_up):
            return
        scope = scope or self.of(operation)
        self._scopes[operation] = scope
        pause = reset_in(answer, answer.server_time or now)
        resets_at = now + (_WINDOW if pause is None else timedelta(seconds=pause))
        known = self._budgets.get(scope)
        if known is not None and abs(known.resets_at - resets_at) < timedelta(seconds=5):
            # Same window: calls in flight may not be counted in this answer yet.
            remaining = min(remaining, known.remaining)
        allowed = limit if limit is not None else (known.limit if known else 0)
        self._budgets[scope] = _Budget(int(allowed), int(remaining), resets_at)

    def shown(self, now: datetime) -> dict[str, dict[str, int | str | None]]:
        """Per tier whose window is still open: calls allowed and left, when it ends, how many are left to
        other integrations."""
        return {
            scope: {
                "limit": one.limit,
                "remaining": one.remaining,
                "resets_at": one.resets_at.isoformat(),
                "left_to_others": ceil(self._share * one.limit),
            }
            for scope, one in sorted(self._budgets.items())
            if one.resets_at > now
        }
