"""Staying within what Dotdigital allows, and leaving a share of it to the account's other integrations.

Calls are counted per account, so strangers use the same allowance. Which scheme an API user is on, and which
tier a call falls in, is learnt from the answers, and unlearnt when they change:
tiered: `X-RateLimit-*` headers, per minute, 429 when used up (`bridge.dotdigital.limits.tiers`);
flat: no headers, per hour, 400 with ERROR_APIUSAGE_EXCEEDED when used up (`bridge.dotdigital.limits.hourly`).

What is left is spent by lane: each leaves a reserve to those more urgent than itself, so that no sweep ever
makes a withdrawal wait.
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
from bridge.dotdigital.client.wire import AccountInfo, decode
from bridge.dotdigital.limits.hourly import HourlyQuota
from bridge.dotdigital.limits.tiers import PRESUMED, TierQuotas, carries_headers
from bridge.transport import Response

FLAT_CODE = "ERROR_APIUSAGE_EXCEEDED"
FLAT_PAUSE = 300.0  # seconds; the cap lifts as the rolling hour moves on
FLAT_LONGEST = 3600.0
JOB_CODES = ("contacts:tooManyActiveImports", "contacts:tooManyBulkDeleteJobs")
ACCOUNT_INFO = "get-account-information"
_SLICE = 5.0  # seconds; a longer wait looks up in between, as answers to others may tell of a nearer reset
_PATIENCE = 180.0  # seconds that one call waits; after them the service itself has the word
_ALL = "all, by the hour"

Watch = Callable[[str, float, float], None]
"""Told while a call waits: the tier, seconds waited so far, and seconds still to go."""


class _Scheme(Enum):
    UNKNOWN = 0
    TIERED = 1
    FLAT = 2


def unwatched(tier: str, waited: float, left: float) -> None:
    """Waits that nobody looks at."""


class RateLimiter:
    """Fills `bridge.transport.Throttle`. Thread-safe; never sleeps while holding its lock.

    `share` (0 to 1) of the allowance is left to strangers. `sleep` takes seconds. `watch` may be set to
    somebody who is to see the waits; `ask` to what calls `Get account information`, which the flat scheme
    needs every few minutes: its answer is seen in passing.
    """

    def __init__(
        self, *, clock: Callable[[], datetime], sleep: Callable[[float], None], share: float = 0.2
    ) -> None:
        if not 0 <= share < 1:
            raise ValueError("the share for strangers lies between 0 and 1")
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
        """Wait until the call fits into its lane. Raises Throttled while the flat scheme's cap lasts, or
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
        """Learn from an answer."""
        with self._lock:
            now = self._clock()
            if answer.status == 400 and FLAT_CODE.encode() in answer.content:
                self._scheme = _Scheme.FLAT
                self._cap()
            elif answer.good:
                self._capped_until, self._next_cap = None, FLAT_PAUSE
                self._recognize(operation, answer)
            self._tiers.probe_capabilities(operation, answer, now, used_up=_is_used_up(answer))
            if operation == ACCOUNT_INFO and answer.good:
                self._hour.told(*_figures(answer), now)

    def allowance(self, operation: str) -> float:
        """Calls a minute of the operation's tier that the lane of this moment may use in the long run,
        whatever is left of them just now. Where no answer has told the limit, the smallest package's."""
        with self._lock:
            flat = self._scheme is _Scheme.FLAT
            return self._hour.allowance() if flat else self._tiers.allowance(operation)

    def room(self, operation: str) -> int | None:
        """How many such calls the lane of this moment could make without waiting; None where nobody knows."""
        with self._lock:
            now, flat = self._clock(), self._scheme is _Scheme.FLAT
            return self._hour.room(now) if flat else self._tiers.room(operation, now)

    @property
    def budget(self) -> Mapping[str, Mapping[str, int | str | None]]:
        """Per tier: calls allowed and left in its window, when that ends, how many are left to strangers, and
        for how long calls have waited so far. `hour` instead of tiers on the flat scheme; `flat` while capped
        there."""
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
                    raise _throttled("Dotdigital's hourly calls are used up.", operation, FLAT_PAUSE)
                pause = 0.0
        if pause <= 0:
            self._hour.count(now)
        return pause

    def _wait(self, operation: str, waited: float, pause: float) -> float:
        """Sleep for a while at most as long as `pause`, in sight of whoever watches; returns the seconds."""
        tier = _ALL if self._scheme is _Scheme.FLAT else self._tiers.of(operation)
        if not waited:
            self._log.info(
                "Dotdigital allows no more calls for now",
                extra={"tier": tier, "lane": current_priority(), "wait": pause},
            )
        self.watch(tier, waited, pause)
        slept = min(pause, _SLICE)
        self._sleep(slept)
        with self._lock:
            self._waited[tier] = self._waited.get(tier, 0.0) + slept
        return slept

    # the flat scheme

    def _refresh(self, operation: str) -> None:
        """Have account information asked for where it is due; one thread asks, the others go on."""
        with self._lock:
            flat = self._scheme is _Scheme.FLAT and operation != ACCOUNT_INFO
            if self.ask is None or self._asking or not flat or not self._hour.due(self._clock()):
                return
            self._asking = True
        try:
            self.ask()
        except SideError as error:
            with self._lock:
                self._hour.unanswered(self._clock())
            self._log.warning("Dotdigital's hourly calls could not be asked after: %s", type(error).__name__)
        finally:
            with self._lock:
                self._asking = False

    def _recognize(self, operation: str, answer: Response) -> None:
        """The scheme that an answer speaks of. Some calls may carry no headers on the tiered scheme either:
        those that have never carried any say nothing against it."""
        if carries_headers(answer):
            self._scheme = _Scheme.TIERED
        elif self._tiers.told(operation) or (self._scheme is _Scheme.UNKNOWN and operation in PRESUMED):
            self._scheme = _Scheme.FLAT

    def _check_cap(self, operation: str) -> None:
        until, now = self._capped_until, self._clock()
        if until is not None and until > now:
            pause = (until - now).total_seconds()
            raise _throttled("Dotdigital has capped this account's calls for a while.", operation, pause)

    def _cap(self) -> None:
        """Several calls in flight may be refused at once: that is one cap, not several doublings."""
        now = self._clock()
        if self._capped_until is not None and self._capped_until > now:
            return
        self._capped_until = now + timedelta(seconds=self._next_cap)
        self._next_cap = min(self._next_cap * 2, FLAT_LONGEST)
        self._hour.forget()


def _throttled(words: str, operation: str, pause: float) -> Throttled:
    return Throttled(
        words,
        side=Side.DOTDIGITAL, operation=operation, code=FLAT_CODE, retry_after=pause,
        hint="Other integrations share the allowance; see Settings > Access > API rate limits there.",
    )  # fmt: skip


def _is_used_up(answer: Response) -> bool:
    """Whether a call was refused for lack of calls. A 429 may also mean that too many jobs are at work: then
    calls are left, and it is the job that has to wait (`Bulk create and update contacts`, `Bulk delete`)."""
    return answer.status == 429 and not any(code.encode() in answer.content for code in JOB_CODES)


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
