"""Staying within what Dotdigital allows, and leaving a share of it to the account's other integrations.

Calls are counted per account and tier, so strangers use the same allowance. Which scheme an API user is on,
and which tier a call falls in, is learnt from the answers:
tiered: `X-RateLimit-*` headers, per minute, 429 when used up;
flat: no headers, per hour, 400 with ERROR_APIUSAGE_EXCEEDED when used up.

What is left of a tier is spent by lane: each leaves a reserve to those more urgent than itself, so that no
sweep ever makes a withdrawal wait.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import ceil

from bridge.core.errors import Throttled
from bridge.core.lanes import Lane, lane
from bridge.core.model import Side
from bridge.transport import Answer

FLAT_CODE = "ERROR_APIUSAGE_EXCEEDED"
FLAT_PAUSE = 300.0  # seconds; the cap lifts as the rolling hour moves on
FLAT_LONGEST = 3600.0
SHORTEST, LONGEST = 1.0, 120.0  # seconds; no reset of a one-minute window lies outside
UNKNOWN_LIMIT = 35  # calls a minute: the low tier of the smallest package, the only number that is published
_WINDOW = timedelta(seconds=60)
_SLICE = 5.0  # seconds; a longer wait looks up in between, as answers to others may tell of a nearer reset
_PATIENCE = 180.0  # seconds that one call waits; after them the service itself has the word

KEPT_BACK: Mapping[Lane, float] = {
    Lane.WITHDRAWALS: 0.0,
    Lane.READ_BACKS: 0.05,
    Lane.RAISES: 0.1,
    Lane.POLLING: 0.2,
    Lane.SWEEP: 0.4,
}
"""The part of the bridge's own share that a lane leaves to more urgent ones. Withdrawals leave nothing, and
may use what is meant for strangers as well."""

LOW, MEDIUM, HIGH = "lowCallRate", "mediumCallRate", "highCallRate"
_PRESUMED: Mapping[str, str] = {
    "get-suppressed-contacts-since-date": LOW,
    "get-unsubscribed-contacts-since-date": LOW,
    "get-contacts-opted-into-a-preference": LOW,
    "get-contacts-with-modified-preference-opt-in-since-date": LOW,
    "getContacts": LOW,
    "importContacts": LOW,
    "bulk-suppress-contacts": LOW,
    "get-preferences": MEDIUM,
    "get-modified-preferences-since-date": MEDIUM,
    "set-preferences-for-contact": MEDIUM,
    "importContact": MEDIUM,
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
low, changes of one record medium, reads of one record high). Its first answer tells the true one."""


@dataclass(slots=True)
class _Budget:
    limit: int  # 0: not known, from a 429 without headers
    remaining: int
    resets_at: datetime


Watch = Callable[[str, float, float], None]
"""Told while a call waits: the tier, seconds waited so far, and seconds still to go."""


def unwatched(tier: str, waited: float, left: float) -> None:
    """Waits that nobody looks at."""


class Limits:
    """Fills `bridge.transport.Throttle`. Thread-safe; never sleeps while holding its lock.

    `share` (0 to 1) of each tier is left to strangers. `sleep` takes seconds. `watch` may be set to somebody
    who is to see the waits.
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
        self._waited: dict[str, float] = {}  # seconds per tier, of all calls together
        self._capped_until: datetime | None = None
        self._next_cap = FLAT_PAUSE
        self._log = logging.getLogger("bridge.limits")
        self.watch: Watch = unwatched

    def before(self, operation: str) -> None:
        """Wait until the call fits into its lane. Raises Throttled while the flat scheme's cap lasts: that is
        too long to wait here, and nothing was sent."""
        waited = 0.0
        while waited < _PATIENCE:
            with self._lock:
                self._check_cap(operation)
                pause = self._take(operation)
            if pause <= 0:
                return
            waited += self._wait(operation, waited, pause)

    def _wait(self, operation: str, waited: float, pause: float) -> float:
        """Sleep for a while at most as long as `pause`, in sight of whoever watches; returns the seconds."""
        tier = self._tier(operation)
        if not waited:
            self._log.info(
                "Dotdigital allows no more calls for now", extra={"tier": tier, "lane": lane(), "wait": pause}
            )
        self.watch(tier, waited, pause)
        slept = min(pause, _SLICE)
        self._sleep(slept)
        with self._lock:
            self._waited[tier] = self._waited.get(tier, 0.0) + slept
        return slept

    def after(self, operation: str, answer: Answer) -> None:
        """Learn from an answer."""
        with self._lock:
            if answer.status == 400 and FLAT_CODE.encode() in answer.content:
                self._cap()
            elif answer.good:
                self._capped_until, self._next_cap = None, FLAT_PAUSE
            self._learn(operation, answer)

    def allowance(self, operation: str) -> float:
        """Calls a minute of the operation's tier that the lane of this moment may use in the long run,
        whatever is left of them just now. Where no answer has told the limit, the smallest package's."""
        with self._lock:
            budget = self._budgets.get(self._tier(operation))
            limit = budget.limit if budget is not None and budget.limit else UNKNOWN_LIMIT
            return limit - self._kept(limit)

    @property
    def budget(self) -> Mapping[str, Mapping[str, int | str | None]]:
        """Per tier: calls allowed and left in its window, when that ends, how many are left to strangers, and
        for how long calls have waited so far; `flat` while capped there."""
        with self._lock:
            now = self._clock()
            shown: dict[str, Mapping[str, int | str | None]] = {
                scope: {
                    **_shown(one.limit, one.remaining, one.resets_at),
                    "left_to_others": ceil(self._share * one.limit),
                    "waited_seconds": round(self._waited.get(scope, 0.0)),
                }
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

    def _tier(self, operation: str) -> str:
        return self._scopes.get(operation) or _PRESUMED.get(operation, f"tier of {operation}")

    def _take(self, operation: str) -> float:
        """Take one call from its tier, or say how many seconds it has to wait."""
        budget = self._budgets.get(self._tier(operation))
        if budget is None:
            return 0.0  # the first answer tells
        now = self._clock()
        if budget.resets_at <= now:
            if not budget.limit:
                return 0.0  # nothing is known of the new window: the next answer tells
            windows = (now - budget.resets_at) // _WINDOW + 1
            budget.remaining, budget.resets_at = budget.limit, budget.resets_at + windows * _WINDOW
        if budget.remaining <= self._kept(budget.limit):
            return _clamped((budget.resets_at - now).total_seconds())
        budget.remaining -= 1
        return 0.0

    def _kept(self, limit: int) -> float:
        """The calls of a window that this lane may not touch: fewer than all, or it would wait for ever."""
        if lane() is Lane.WITHDRAWALS:
            return 0.0
        others = self._share * limit
        return max(0.0, min(others + KEPT_BACK[lane()] * (limit - others), limit - 1))

    def _learn(self, operation: str, answer: Answer) -> None:
        scope = answer.headers.get("X-RateLimit-Scope", "").strip() or self._scopes.get(operation)
        limit = _number(answer, "X-RateLimit-Limit")
        remaining = 0.0 if answer.status == 429 else _number(answer, "X-RateLimit-Remaining")
        if remaining is None or (limit is None and answer.status != 429):
            return
        scope = scope or self._tier(operation)
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
    held between 1 and 120. A span comes in whole seconds, cut off: one is added, or the window would be
    opened too early. None where it is absent, or an epoch without a time to measure it from."""
    raw = _number(answer, "X-RateLimit-Reset")
    if raw is None:
        return None
    if raw <= 1e9:
        return _clamped(raw + 1)
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


def _shown(limit: int | None, remaining: int, resets_at: datetime) -> dict[str, int | str | None]:
    return {"limit": limit, "remaining": remaining, "resets_at": resets_at.isoformat()}
