"""Staying within Dotdigital's rate limits, and leaving a share to the account's other integrations.

Calls are counted per account, so other integrations use the same allowance. Which scheme an API user is on,
and which tier a call belongs to, is read from the answers, and follows them when they change:
tiered: `X-RateLimit-*` headers, per minute, 429 when used up (`bridge.dotdigital.limits.tiers`);
flat: no headers, per hour, 400 with ERROR_APIUSAGE_EXCEEDED when used up (`bridge.dotdigital.limits.hourly`).

What is left is spent by priority: each leaves a reserve to more urgent calls, so that no sweep ever makes a
withdrawal wait.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from enum import Enum

from bridge.core.errors import SideError, Throttled
from bridge.core.model import Side
from bridge.core.priority import current_priority
from bridge.dotdigital.client.codes import FLAT_CODE, FLAT_PAUSE, TOO_MANY_DELETIONS, TOO_MANY_IMPORTS
from bridge.dotdigital.client.wire import AccountInfo, decode, has_rate_headers
from bridge.dotdigital.limits.hourly import HourlyQuota
from bridge.dotdigital.limits.tiers import PRESUMED, TierQuotas
from bridge.transport import Response

FLAT_LONGEST = 3600.0
ACCOUNT_INFO = "get-account-information"
_SLICE = 5.0  # seconds; a longer wait checks in between, as other answers may show a nearer reset
_PATIENCE = 180.0  # seconds that one call waits; after that it is sent, and the service decides
_ALL = "all, hourly"

Watch = Callable[[str, float, float], None]
"""Called while a call waits: the tier, seconds waited so far, and seconds left."""


class _Scheme(Enum):
    UNKNOWN = 0
    TIERED = 1
    FLAT = 2


def unwatched(tier: str, waited: float, left: float) -> None:
    """Where waits are not shown."""


class RateLimiter:
    """Fills `bridge.transport.Throttle`. Thread-safe; never sleeps while holding its lock.

    `share` (0 to 1) of the allowance is left to other integrations. `sleep` takes seconds. `watch` may be set
    to show the waits; `ask` to what calls `Get account information`, which the flat scheme needs every few
    minutes: its answer comes through `after`.
    """

    def __init__(
        self, *, clock: Callable[[], datetime], sleep: Callable[[float], None], share: float = 0.2
    ) -> None:
        if not 0 <= share < 1:
            raise ValueError("the share left to other integrations lies between 0 and 1")
        self._clock, self._sleep = clock, sleep
        self._lock = threading.Lock()
        self._scheme = _Scheme.UNKNOWN
        self._tiers, self._hour = TierQuotas(share), HourlyQuota(share)
        self._waited: dict[str, float] = {}  # seconds per tier, of all calls together
        self._capped_until: datetime | None = None
        self._next_cap = FLAT_PAUSE
        self._asking = False
        self._log = logging.getLogger("bridge.limits")
        self.watch: Watch = unwatched
        self.ask: Callable[[], object] | None = None

    def before(self, operation: str) -> None:
        """Wait until the call's priority allows it. Raises Throttled while the flat scheme's cap lasts, or
        where its hour is used up: that is too long to wait here, and nothing was sent."""
        waited = 0.0
        while True:
            with self._lock:
                self._check_cap(operation)
            self._refresh(operation)
            with self._lock:
                pause = self._take(operation, waited)
            if pause <= 0:
                return
            waited += self._wait(operation, waited, pause)

    def after(self, operation: str, answer: Response) -> None:
        """Read the limits from an answer."""
        with self._lock:
            now = self._clock()
            if answer.status == 400 and FLAT_CODE.encode() in answer.content:
                self._scheme = _Scheme.FLAT
                self._cap()
            elif answer.good:
                self._capped_until, self._next_cap = None, FLAT_PAUSE
                self._recognize(operation, answer)
            self._tiers.update(operation, answer, now, used_up=_is_used_up(answer))
            if operation == ACCOUNT_INFO and answer.good:
                self._hour.update(*_figures(answer), now)

    def allowance(self, operation: str) -> float:
        """Calls a minute of the operation's tier that the current priority may use in the long run, whatever
        is left of them now. Where no answer has shown the limit, the smallest package's."""
        with self._lock:
            flat = self._scheme is _Scheme.FLAT
            return self._hour.allowance() if flat else self._tiers.allowance(operation)

    def room(self, operation: str) -> int | None:
        """How many such calls the current priority could make without waiting; None where that is not
        known."""
        with self._lock:
            now, flat = self._clock(), self._scheme is _Scheme.FLAT
            return self._hour.room(now) if flat else self._tiers.room(operation, now)

    @property
    def budget(self) -> Mapping[str, Mapping[str, int | str | None]]:
        """Per tier: calls allowed and left in its window, when that ends, how many are left to other
        integrations, and how long calls have waited so far. `hour` instead of tiers on the flat scheme;
        `flat` while capped there."""
        with self._lock:
            now = self._clock()
            shown: dict[str, Mapping[str, int | str | None]] = {}
            if self._scheme is not _Scheme.FLAT:
                for tier, one in self._tiers.shown(now).items():
                    shown[tier] = {**one, "waited_seconds": round(self._waited.get(tier, 0.0))}
            elif hour := self._hour.shown(now):
                shown["hour"] = {**hour, "waited_seconds": round(self._waited.get(_ALL, 0.0))}
            if self._capped_until is not None and self._capped_until > now:
                until = self._capped_until.isoformat()
                shown["flat"] = {"limit": None, "remaining": 0, "resets_at": until}
            return shown

    # waiting

    def _take(self, operation: str, waited: float) -> float:
        """Take one call, or say how many seconds it has to wait."""
        now = self._clock()
        if self._scheme is not _Scheme.FLAT:
            pause = 0.0 if waited >= _PATIENCE else self._tiers.take(operation, now)
        elif operation == ACCOUNT_INFO:
            pause = 0.0
        else:
            pause = self._hour.wait(now)
            if pause > 0 and waited >= _PATIENCE:
                if self._hour.is_over(now):
                    raise _throttled("Dotdigital's hourly quota is used up.", operation, FLAT_PAUSE)
                pause = 0.0
        if pause <= 0:
            self._hour.count(now)
        return pause

    def _wait(self, operation: str, waited: float, pause: float) -> float:
        """Sleep for `pause` seconds or a part of it, and report that; returns the seconds slept."""
        tier = _ALL if self._scheme is _Scheme.FLAT else self._tiers.of(operation)
        if not waited:
            self._log.info(
                "waiting for Dotdigital's rate limit",
                extra={"tier": tier, "priority": current_priority(), "wait": pause},
            )
        self.watch(tier, waited, pause)
        slept = min(pause, _SLICE)
        self._sleep(slept)
        with self._lock:
            self._waited[tier] = self._waited.get(tier, 0.0) + slept
        return slept

    # the flat scheme

    def _refresh(self, operation: str) -> None:
        """Ask for account information where that is due; one thread asks, the others continue."""
        with self._lock:
            flat = self._scheme is _Scheme.FLAT and operation != ACCOUNT_INFO
            if self.ask is None or self._asking or not flat or not self._hour.due(self._clock()):
                return
            self._asking = True
        try:
            self.ask()
        except SideError as error:
            with self._lock:
                self._hour.update_failed(self._clock())
            self._log.warning("could not read Dotdigital's remaining hourly quota: %s", type(error).__name__)
        finally:
            with self._lock:
                self._asking = False

    def _recognize(self, operation: str, answer: Response) -> None:
        """Which scheme an answer shows. Some calls may have no headers on the tiered scheme either: those
        that never had any are no evidence against it."""
        if has_rate_headers(answer):
            self._scheme = _Scheme.TIERED
        elif self._tiers.has_headers(operation) or (
            self._scheme is _Scheme.UNKNOWN and operation in PRESUMED
        ):
            self._scheme = _Scheme.FLAT

    def _check_cap(self, operation: str) -> None:
        until, now = self._capped_until, self._clock()
        if until is not None and until > now:
            pause = (until - now).total_seconds()
            raise _throttled(
                "Dotdigital refuses this account's calls for a while: its hourly quota is used up.",
                operation,
                pause,
            )

    def _cap(self) -> None:
        """Several calls in flight may be refused at once: that is one cap, doubled once."""
        now = self._clock()
        if self._capped_until is not None and self._capped_until > now:
            return
        self._capped_until = now + timedelta(seconds=self._next_cap)
        self._next_cap = min(self._next_cap * 2, FLAT_LONGEST)
        self._hour.invalidate()


def _throttled(words: str, operation: str, pause: float) -> Throttled:
    return Throttled(
        words,
        side=Side.DOTDIGITAL, operation=operation, code=FLAT_CODE, retry_after=pause,
        hint="Other integrations share the quota; see Settings > Access > API rate limits in Dotdigital.",
    )  # fmt: skip


def _is_used_up(answer: Response) -> bool:
    """Whether a call was refused for lack of calls. A 429 may also mean that too many jobs are running: then
    calls are left, and the job has to wait (`Bulk create and update contacts`, `Bulk delete contacts`)."""
    return answer.status == 429 and not any(
        code.encode() in answer.content for code in (TOO_MANY_IMPORTS, TOO_MANY_DELETIONS)
    )


def _figures(answer: Response) -> tuple[int | None, int | None]:
    """Calls used and left in the last hour, by `Get account information`; None where it does not say."""
    try:
        info = decode(answer, AccountInfo, ACCOUNT_INFO)
    except SideError:
        return None, None
    used, left = info.value("ApiCallsInLastHour"), info.value("ApiCallsRemaining")
    if used is None or left is None or not (used.isdecimal() and left.isdecimal()):
        return None, None
    return int(used), int(left)
