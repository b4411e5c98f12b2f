"""`~modified` as an accelerator: one call that tells whether anything has changed, where that was shown.

It only hints. Its rows have no dates of choices, so nobody is believed by them: a few people are looked at,
with dates, and where there are many the preferences' feeds have their turn at once. Whatever goes wrong here
makes nothing unsure, and what it does not show is found when its feed's turn comes.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from bridge.core.errors import SideError
from bridge.core.ports import Hint, Page
from bridge.dotdigital.client.v3_access import V3Access
from bridge.dotdigital.client.wire import ContactV3
from bridge.dotdigital.views import ids_of

FEED = "dotdigital.modified"
LONGEST = timedelta(minutes=15)
"""How long a preference's feed may go unread while `~modified` shows nobody, and how far back it is asked."""
_SETTLING = timedelta(minutes=2)  # for which feeds may lag behind what the listing shows


class ModifiedFeed:
    """`most`: how many people are looked at; where there are more, reading the feeds takes fewer calls."""

    def __init__(self, access: V3Access, most: int) -> None:
        self._access, self._most = access, most
        self._seen: dict[str, datetime] = {}
        self._many: datetime | None = None
        self.read_at: datetime | None = None  # the service's time of the last call, if that came through

    def is_there(self) -> bool:
        """Whether the listing can be read as far as is known. Costs no call."""
        return self._access.presumed()

    def pages(self, now: datetime) -> Iterator[Page]:
        """Who was modified of late and has not been told of by this process, as hints. Raises no SideError:
        trouble is a warning. `now` is the service's time from before the call."""
        self.read_at = None
        try:
            v3 = self._access.client()
            if v3 is None:
                return
            found = v3.get_contacts(modified_since=now - LONGEST, include=())
        except SideError as error:
            yield Page(warnings=[f"polling goes by the v2 feeds: {error}"])
            return
        fresh = self._unseen(found.items, now)
        if found.next_marker is not None or len(fresh) > self._most:
            self._many = now
            fresh = {}
        yield Page(hints=tuple(hint for key, one in fresh.items() if (hint := _hint(one, key)) is not None))
        self.read_at = now

    def is_due(self, mark: datetime | None, every: timedelta) -> bool:
        """Whether a feed that was read so far is to be read now: since its turn is nearer to this round than
        to the next, or since many people were modified after that."""
        if mark is None or self.read_at is None or self.read_at - mark >= LONGEST - every / 2:
            return True
        return self._many is not None and mark < self._many + _SETTLING

    def _unseen(self, rows: list[ContactV3], now: datetime) -> dict[str, ContactV3]:
        """By key, those that this process has not met in the same state."""
        self._seen = {key: at for key, at in self._seen.items() if at >= now - LONGEST}
        told = {f"{one.contact_id} {one.updated}": one for one in rows}
        fresh = {key: one for key, one in told.items() if key not in self._seen}
        self._seen |= {key: one.updated_at or now for key, one in told.items()}
        return fresh


def _hint(contact: ContactV3, key: str) -> Hint | None:
    number = next(iter(ids_of(contact.contact_id)), None)
    if number is None and contact.address is None:
        return None
    return Hint(number, contact.address, (key,))
