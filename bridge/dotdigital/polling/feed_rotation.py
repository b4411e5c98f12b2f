"""Which feeds a polling run reads. Dotdigital has one feed for each preference, and no call that reads them
all: where the rate limits do not allow all of them in every run, they take turns.

A feed that is not read in a run is not in doubt for that: its watermark stays, and what it covers is read
before anybody is opted in on it (see `recheck` in `bridge.engine.apply`).

`~modified` is read first where it was shown to include preference changes (`capabilities`): one call that
tells whether anything has changed. It only hints. Its rows have no dates of choices, so no choice is taken
from them: a few people are read, with dates, and where there are many the preferences' feeds are read at
once. A failure here makes nothing unsure, and what it does not show is found when the feed of its preference
is read.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from math import ceil, floor
from typing import Protocol

from bridge.core.errors import SideError
from bridge.core.ports import Hint, KeyValue, Page, Watermarks
from bridge.dotdigital.client.access import V3Access
from bridge.dotdigital.client.wire import ContactV3
from bridge.dotdigital.polling.capabilities import CapabilityProbe
from bridge.dotdigital.polling.stored import ROTATION_KEY, Capability
from bridge.dotdigital.views import ids_of

OPERATION = "get-contacts-with-modified-preference-opt-in-since-date"
SPARED = 4  # calls of a window that a run leaves unused: the next run may fall into the same window
_FEW = 1  # feeds that take no more calls than asking whether they have to be read
_MINUTE = timedelta(minutes=1)
_NEVER = datetime.min.replace(tzinfo=UTC)
MODIFIED = "dotdigital.modified"
LONGEST = timedelta(minutes=15)
"""How long a preference's feed may go unread while `~modified` shows nobody, and how far back it asks."""
_SETTLING = timedelta(minutes=2)  # for which feeds may lag behind what the listing shows


class RateBudget(Protocol):
    """What is known of the rate limit of a feed's reads."""

    def allowance(self, operation: str) -> float:
        """How many such calls a minute polling may make, as far as is known."""
        ...

    def room(self, operation: str) -> int | None:
        """How many of them could be made now without waiting; None where that is not known."""
        ...


def per_run(feeds: int, allowance: float, poll_interval: timedelta, *, other_calls: int) -> int:
    """How many of the feeds a run has room for: always one at least. `allowance` is in calls a minute,
    `other_calls` are those that a run makes of the same allowance anyway."""
    room = floor((allowance - SPARED) * (poll_interval / _MINUTE)) - other_calls
    return max(1, min(room, feeds))


def period(feeds: int, per_run: int, poll_interval: timedelta) -> timedelta:
    """How long it takes until each feed was read once."""
    return poll_interval * max(1, ceil(feeds / per_run))


def oldest_first(feeds: Sequence[str], marks: Watermarks) -> list[str]:
    """The feeds that were read longest ago first, those that never were before them."""
    return sorted(feeds, key=lambda feed: marks.get(feed, _NEVER))


def affordable(feeds: Sequence[str], poll_interval: timedelta, budget: RateBudget) -> Iterator[str]:
    """The first of a run's feeds in any case, the others while nothing has to wait. Runs that are more
    than a minute apart have the time to wait for the next window."""
    for number, feed in enumerate(feeds):
        room = budget.room(OPERATION) if number and poll_interval <= _MINUTE else None
        if room is not None and room <= SPARED:
            return
        yield feed


class FeedRotation:
    """`feeds` take turns: one for each preference. The rotation period is noted in `memory`, for commands
    that only report it."""

    def __init__(
        self,
        feeds: Sequence[str],
        budget: RateBudget,
        probe: CapabilityProbe,
        modified: ModifiedFeed,
        memory: KeyValue,
    ) -> None:
        self._feeds, self._budget = feeds, budget
        self._probe, self._modified = probe, modified
        self._memory = memory
        self._noted: str | None = None  # by this process

    def feeds_due(self, marks: Watermarks, poll_interval: timedelta) -> Iterator[str]:
        """The feeds read longest ago, as many as the rate limits allow. Where `~modified` is trusted it is
        read first, and then only the feeds that are due, unless it could not be read."""
        self._note(self.period(poll_interval))
        per_run, queue = self._per_run(poll_interval), oldest_first(self._feeds, marks)
        if self._is_accelerated():
            yield MODIFIED
            if self._modified.read_at is not None:
                queue = [feed for feed in queue if self._modified.is_due(marks.get(feed), poll_interval)]
        yield from affordable(queue[:per_run], poll_interval, self._budget)

    def period(self, poll_interval: timedelta) -> timedelta:
        """How long it may take until each feed was read once, at what is known of the rate limits."""
        whole = period(len(self._feeds), self._per_run(poll_interval), poll_interval)
        return max(whole, LONGEST) if self._is_accelerated() else whole

    def _per_run(self, poll_interval: timedelta) -> int:
        other_calls = 1 + self._is_accelerated()  # suppressed-since, and `~modified`
        allowance = self._budget.allowance(OPERATION)
        return per_run(len(self._feeds), allowance, poll_interval, other_calls=other_calls)

    def _note(self, whole: timedelta) -> None:
        row = json.dumps({"feeds": len(self._feeds), "seconds": whole.total_seconds()})
        if row != self._noted:
            self._memory.set(ROTATION_KEY, row)
            self._noted = row

    def _is_accelerated(self) -> bool:
        return (
            len(self._feeds) > _FEW
            and self._modified.is_there()
            and self._probe.trusts(Capability.MOVES_ON_PREFERENCES)
        )


class ModifiedFeed:
    """`most`: how many people are read; where there are more, reading the feeds takes fewer calls."""

    def __init__(self, access: V3Access, most: int) -> None:
        self._access, self._most = access, most
        self._seen: dict[str, datetime] = {}
        self._many_at: datetime | None = None
        self.read_at: datetime | None = None  # the service's time of the last call, if that succeeded

    def is_there(self) -> bool:
        """Whether the listing can be read as far as is known. Costs no call."""
        return self._access.presumed()

    def pages(self, now: datetime) -> Iterator[Page]:
        """Contacts that were modified lately and not yet reported by this process, as hints. Raises no
        SideError: a failure is a warning. `now` is the service's time from before the call."""
        self.read_at = None
        try:
            v3 = self._access.client()
            if v3 is None:
                return
            found = v3.get_contacts(modified_since=now - LONGEST, include=())
        except SideError as error:
            yield Page(warnings=[f"falling back to the v2 feeds: {error}"])
            return
        fresh = self._unseen(found.items, now)
        if found.next_marker is not None or len(fresh) > self._most:
            self._many_at = now
            fresh = {}
        yield Page(hints=tuple(hint for key, one in fresh.items() if (hint := _hint(one, key)) is not None))
        self.read_at = now

    def is_due(self, mark: datetime | None, poll_interval: timedelta) -> bool:
        """Whether a feed with this watermark is to be read now: since its time is nearer to this run than
        to the next, or since many contacts were modified after it."""
        if mark is None or self.read_at is None or self.read_at - mark >= LONGEST - poll_interval / 2:
            return True
        return self._many_at is not None and mark < self._many_at + _SETTLING

    def _unseen(self, rows: list[ContactV3], now: datetime) -> dict[str, ContactV3]:
        """By key, the contacts that this process has not seen in the same state."""
        self._seen = {key: at for key, at in self._seen.items() if at >= now - LONGEST}
        listed = {f"{one.contact_id} {one.updated_at}": one for one in rows}
        fresh = {key: one for key, one in listed.items() if key not in self._seen}
        self._seen |= {key: one.updated_at or now for key, one in listed.items()}
        return fresh


def _hint(contact: ContactV3, key: str) -> Hint | None:
    number = next(iter(ids_of(contact.contact_id)), None)
    if number is None and contact.address is None:
        return None
    return Hint(number, contact.address, (key,))
