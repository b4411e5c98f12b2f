"""Call allowances of the two schemes, counted by the sandbox clock."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from bridge.sandbox.dotdigital.switches import DotdigitalSwitches

LOW, MEDIUM, HIGH, UNLIMITED = "low", "medium", "high", "unlimited"
_HOUR = timedelta(hours=1)


@dataclass
class CallCharge:
    """Whether a call may pass, and the headers its answer carries."""

    allowed: bool
    flat: bool = False
    headers: dict[str, str] = field(default_factory=dict)


class CallAllowances:
    """Allowances are the account's, shared with every other integration on it."""

    def __init__(self, switches: DotdigitalSwitches) -> None:
        self._switches = switches
        self._minute: datetime | None = None
        self._used: dict[str, int] = {}
        self._hour: deque[datetime] = deque()

    def use_elsewhere(self, now: datetime, tier: str, calls: int) -> None:
        """Spend allowance as another integration of the account would."""
        self._roll(now)
        self._used[tier] = self._used.get(tier, 0) + calls
        self._hour.extend([now] * calls)

    def last_hour(self, now: datetime) -> int:
        """Calls charged in the last hour."""
        self._roll(now)
        return len(self._hour)

    def charge(self, now: datetime, tier: str) -> CallCharge:
        """Count one call of `tier`. Refused calls cost nothing further."""
        self._roll(now)
        scheme = self._switches.rate_limits
        if scheme == "flat":
            allowed = len(self._hour) < self._switches.limit_flat
            if allowed:
                self._hour.append(now)
            return CallCharge(allowed, flat=True)
        if scheme == "none" or tier == UNLIMITED:
            self._hour.append(now)
            return CallCharge(True)
        return self._tiered(now, tier)

    def _tiered(self, now: datetime, tier: str) -> CallCharge:
        limit: int = getattr(self._switches, f"limit_{tier}")
        used = self._used.get(tier, 0)
        allowed = used < limit
        if allowed:
            used += 1
            self._used[tier] = used
            self._hour.append(now)
        headers = {
            "X-RateLimit-Limit": str(limit),
            "X-RateLimit-Remaining": str(max(limit - used, 0)),
            "X-RateLimit-Reset": str(self._reset(now)),
            "X-RateLimit-Scope": f"{tier}CallRate",
        }
        return CallCharge(allowed, headers=headers)

    def _reset(self, now: datetime) -> int:
        end = now.replace(second=0, microsecond=0) + timedelta(minutes=1)
        form = self._switches.reset_form
        if form == "epoch_milliseconds":
            return int(end.timestamp() * 1000)
        if form == "seconds_from_now":
            return max(1, int((end - now).total_seconds()))
        return int(end.timestamp())

    def _roll(self, now: datetime) -> None:
        minute = now.replace(second=0, microsecond=0)
        if minute != self._minute:
            self._minute = minute
            self._used = {}
        while self._hour and now - self._hour[0] >= _HOUR:
            self._hour.popleft()
