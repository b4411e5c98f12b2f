"""Staying within what Dotdigital allows, and leaving a share of it to the account's other integrations.

Calls are counted per account and tier, so strangers use the same allowance. Which scheme an API user is on,
and which tier a call falls in, is learnt from the answers:
tiered: `X-RateLimit-*` headers, per minute, 429 when used up;
flat: no headers, per hour, 400 with ERROR_APIUSAGE_EXCEEDED when used up.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from bridge.core.errors import Throttled
from bridge.core.model import Side
from bridge.transport import Answer

FLAT_CODE = "ERROR_APIUSAGE_EXCEEDED"
FLAT_PAUSE = 300.0  # seconds; the cap lifts as the rolling hour moves on
FLAT_LONGEST = 3600.0
SHORTEST, LONGEST = 1.0, 120.0  # seconds; no reset of a one-minute window lies outside
_WINDOW = timedelta(seconds=60)
_LOOKS = 3  # waits of one call; after them the service itself has the word

NEVER_HELD_BACK = frozenset({"unsubscribe-contact", "set-preferences-for-contact", "importContact"})
"""Operations that carry withdrawals: they use the share kept for strangers too."""


@dataclass(slots=True)
class _Budget:
    limit: int  # 0: not known, from a 429 without headers
    remaining: int
    resets_at: datetime


class Limits:
    """Fills `bridge.transport.Throttle`. Thread-safe; never sleeps while holding its lock.

    `share` (0 to 1) of each tier is left to strangers. `sleep` takes seconds.
    """

    def __init__(
        self, *, clock: Callable[[], datetime], sleep: Callable[[float], None], share: float = 0.2
    ) -> None:
        if not 0 <= share < 1:
            raise ValueError("the share for strangers lies between 0 and 1")
        self._clock, self._sleep, self._share = clock, sleep, share
        self._lock = threading.Lock()
        self._scopes: dict[str, str] = {}  # operation -> tier, as answers told
        self._budgets: dict[str, _Budget] = {}
        self._capped_until: datetime | None = None
        self._next_cap = FLAT_PAUSE

    def before(self, operation: str) -> None:
        """Wait until the call fits. Raises Throttled while the flat scheme's cap lasts: that is too long to
        wait here, and nothing was sent."""
        for _ in range(_LOOKS):
            with self._lock:
                self._check_cap(operation)
                pause = self._take(operation)
            if pause <= 0:
                return
            self._sleep(pause)

    def after(self, operation: str, answer: Answer) -> None:
        """Learn from an answer."""
        with self._lock:
            if answer.status == 400 and FLAT_CODE.encode() in answer.content:
                self._cap()
            elif answer.good:
                self._capped_until, self._next_cap = None, FLAT_PAUSE
            self._learn(operation, answer)

    @property
    def budget(self) -> Mapping[str, Mapping[str, int | str | None]]:
        """Per tier: calls allowed and left in its window, and when that ends; `flat` while capped there."""
        with self._lock:
            now = self._clock()
            shown: dict[str, Mapping[str, int | str | None]] = {
                scope: _shown(one.limit, one.remaining, one.resets_at)
                for scope, one in sorted(self._budgets.items())
                if one.resets_at > now
            }
            if self._capped_until is not None and self._capped_until > now:
                shown["flat"] = _shown(None, 0, self._capped_until)
            return shown

    def _check_cap(self, operation: str) -> None:
        until, now = self._capped_until, self._clock()
        if until is None or until <= now:
            return
        raise Throttled(
            "Dotdigital has capped this account's calls for a while.",
            side=Side.DOTDIGITAL, operation=operation, code=FLAT_CODE,
            retry_after=(until - now).total_seconds(),
            hint="Other integrations share the allowance; see Settings > Access > API rate limits there.",
        )  # fmt: skip

    def _cap(self) -> None:
        """Several calls in flight may be refused at once: that is one cap, not several doublings."""
        now = self._clock()
        if self._capped_until is not None and self._capped_until > now:
            return
        self._capped_until = now + timedelta(seconds=self._next_cap)
        self._next_cap = min(self._next_cap * 2, FLAT_LONGEST)

    def _take(self, operation: str) -> float:
        """Take one call from its tier, or say how many seconds it has to wait."""
        budget = self._budgets.get(self._scopes.get(operation, ""))
        if budget is None:
            return 0.0  # the first answer tells
        now = self._clock()
        if budget.resets_at <= now:
            if not budget.limit:
                return 0.0  # nothing is known of the new window: the next answer tells
            budget.remaining, budget.resets_at = budget.limit, now + _WINDOW
        kept = 0.0 if operation in NEVER_HELD_BACK else self._share * budget.limit
        if budget.remaining <= kept:
            return _clamped((budget.resets_at - now).total_seconds())
        budget.remaining -= 1
        return 0.0

    def _learn(self, operation: str, answer: Answer) -> None:
        scope = answer.headers.get("X-RateLimit-Scope", "").strip() or self._scopes.get(operation)
        limit = _number(answer, "X-RateLimit-Limit")
        remaining = 0.0 if answer.status == 429 else _number(answer, "X-RateLimit-Remaining")
        if remaining is None or (limit is None and answer.status != 429):
            return
        scope = scope or f"tier of {operation}"
        self._scopes[operation] = scope
        now = self._clock()
        pause = reset_in(answer, answer.server_time or now)
        resets_at = now + (_WINDOW if pause is None else timedelta(seconds=pause))
        known = self._budgets.get(scope)
        if known is not None and abs(known.resets_at - resets_at) < timedelta(seconds=5):
            # Same window: calls in flight may not be counted in this answer yet.
            remaining = min(remaining, known.remaining)
        allowed = limit if limit is not None else (known.limit if known else 0)
        self._budgets[scope] = _Budget(int(allowed), int(remaining), resets_at)


def reset_in(answer: Answer, server_now: datetime | None) -> float | None:
    """Seconds until the window resets, by X-RateLimit-Reset. The documents call it an epoch, the vendor's own
    client seconds from now: told apart by size (above 1e12 milliseconds, above 1e9 seconds, else a span) and
    held between 1 and 120. None where it is absent, or an epoch without a time to measure it from."""
    raw = _number(answer, "X-RateLimit-Reset")
    if raw is None:
        return None
    if raw <= 1e9:
        return _clamped(raw)
    if server_now is None:
        return None
    epoch = raw / 1000 if raw > 1e12 else raw
    return _clamped(epoch - server_now.timestamp())


def _number(answer: Answer, name: str) -> float | None:
    try:
        return float(answer.headers.get(name, ""))
    except ValueError:
        return None


def _clamped(seconds: float) -> float:
    return min(max(seconds, SHORTEST), LONGEST)


def _shown(limit: int | None, remaining: int, resets_at: datetime) -> Mapping[str, int | str | None]:
    return {"limit": limit, "remaining": remaining, "resets_at": resets_at.isoformat()}
