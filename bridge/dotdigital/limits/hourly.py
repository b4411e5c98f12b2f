"""The flat scheme: so many calls in a rolling hour, all operations together, and no answer tells how many.

Own calls are counted here; `Get account information` tells what the whole account has used and has left,
which corrects the count and shows what other integrations use.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from math import ceil

from bridge.core.priority import Priority, current_priority
from bridge.dotdigital.limits.tiers import reserve

DOCUMENTED = 2000  # calls an hour, where account information cannot be had
ASK_EACH = timedelta(minutes=5)
ASK_USED_UP = timedelta(minutes=15)  # where others have used it up: the question itself may be refused
ASK_AGAIN = timedelta(hours=1)  # where the answer had no figures
_HOUR = 3600.0
_BURST = 0.2  # of what a priority may use in an hour, at once; the rest is spread over the hour
_LOWEST_PAUSE = 0.1  # seconds


class HourlyQuota:
    """`share` (0 to 1) of the hour is left to other integrations, less what they have used of it. Not
    thread-safe.

    Calls are counted by the minute, and each minute counts until its last second is an hour old. Each
    priority is paced as well: otherwise it could use up the hour in its first minutes and wait for the rest
    of it.
    """

    def __init__(self, share: float) -> None:
        self._share = share
        self._made: dict[int, int] = {}  # own calls by minute
        self._pending = dict.fromkeys(Priority, 0.0)  # calls ahead of the pace of each priority
        self._drained: datetime | None = None
        self._limit: int | None = None  # None: no limit is known
        self._others = 0  # calls of other integrations
        self._asked: datetime | None = None

    def allowance(self) -> float:
        """Calls a minute that the current priority may use in the long run."""
        return self._pace(current_priority()) * 60.0

    def count(self, now: datetime) -> None:
        """A call that is sent, whatever the scheme."""
        minute = _minute(now)
        if minute not in self._made:
            self._made = {one: calls for one, calls in self._made.items() if one >= minute - 60}
        self._made[minute] = self._made.get(minute, 0) + 1
        self._drain(now)
        for one in self._pending:
            self._pending[one] += 1.0

    def due(self, now: datetime) -> bool:
        """Whether account information should be asked for again."""
        if self._asked is None:
            return True
        if self._limit is None:
            return now - self._asked >= ASK_AGAIN
        left = self._left(now)
        if left <= 0 and left + self._others <= 0:
            return False  # all of it is our own: only time helps
        return now - self._asked >= (ASK_EACH if left > 0 else ASK_USED_UP)

    def update(self, used: int | None, left: int | None, now: datetime) -> None:
        """What account information says of the last hour (None: nothing, so that only the service's refusal
        limits calls)."""
        self._asked = now
        if used is None or left is None:
            self._limit, self._others = None, 0
            return
        self._limit = used + left
        self._others = max(0, used - self._own(now, 59))

    def update_failed(self, now: datetime) -> None:
        """Account information could not be read: the documented limit, until it can."""
        self._asked = now
        self._limit = self._limit or DOCUMENTED

    def invalidate(self) -> None:
        """The service has refused a call: what was known was wrong."""
        self._asked = None

    def wait(self, now: datetime) -> float:
        """Seconds until a call of the current priority may be tried again; 0: it may be sent."""
        if self._limit is None:
            return 0.0
        priority = current_priority()
        if self._left(now) <= reserve(self._limit, self._for_others, priority):
            return 60.0 - now.timestamp() % 60.0
        if priority is Priority.WITHDRAWALS:
            return 0.0
        too_many = 1.0 - self._at_once(now, priority)
        return 0.0 if too_many <= 0 else max(too_many / self._pace(priority), _LOWEST_PAUSE)

    def room(self, now: datetime) -> int | None:
        """How many calls the current priority could make without waiting; None where that is not known."""
        if self._limit is None:
            return None
        priority = current_priority()
        left = self._left(now) - reserve(self._limit, self._for_others, priority)
        return max(0, int(min(left, self._at_once(now, priority))))

    def _at_once(self, now: datetime, priority: Priority) -> float:
        self._drain(now)
        return max(1.0, self._own_share(priority) * _BURST) - self._pending[priority]

    def is_over(self, now: datetime) -> bool:
        """Whether nothing is left but the share of other integrations."""
        kept = 0.0 if current_priority() is Priority.WITHDRAWALS else self._for_others
        return self._limit is not None and self._left(now) <= kept

    def shown(self, now: datetime) -> dict[str, int | str | None]:
        """Calls allowed and left in the rolling hour, and how many of these are left to other
        integrations."""
        if self._limit is None:
            return {}
        return {
            "limit": self._limit,
            "remaining": max(0, self._left(now)),
            "resets_at": None,  # it never does as a whole
            "left_to_others": ceil(self._for_others),
        }

    def _own_share(self, priority: Priority) -> float:
        """Calls an hour that a priority may use in all."""
        limit = self._limit or DOCUMENTED
        return limit - reserve(limit, self._share * limit, priority)

    @property
    def _for_others(self) -> float:
        return max(0.0, self._share * (self._limit or 0) - self._others)

    def _pace(self, priority: Priority) -> float:
        """Calls a second, such that an hour's calls and a burst before them are the priority's share."""
        return (
            self._own_share(priority) * (1 - _BURST) / (_HOUR + 60.0)
        )  # a minute's calls count a minute longer

    def _drain(self, now: datetime) -> None:
        seconds = 0.0 if self._drained is None else (now - self._drained).total_seconds()
        self._drained = now
        for one, calls in self._pending.items():
            self._pending[one] = max(0.0, calls - self._pace(one) * max(0.0, seconds))

    def _left(self, now: datetime) -> int:
        return (self._limit or 0) - self._others - self._own(now, 60)

    def _own(self, now: datetime, minutes: int) -> int:
        """Own calls of this minute and so many before it."""
        first = _minute(now) - minutes
        return sum(calls for minute, calls in self._made.items() if minute >= first)


def _minute(now: datetime) -> int:
    return int(now.timestamp() // 60)
