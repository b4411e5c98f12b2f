"""`~modified` as an accelerator: one call that tells whether anything has changed, where that was shown.

It only hints. Its rows have no dates of choices, so no choice is taken from them: a few people are read, with
dates, and where there are many the preferences' feeds are read at once. A failure here makes nothing unsure,
and what it does not show is found when the feed of its preference is read.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from bridge.core.errors import SideError
from bridge.core.ports import Hint, Page
from bridge.dotdigital.client.access import V3Access
from bridge.dotdigital.client.wire import ContactV3
from bridge.dotdigital.views import ids_of

FEED = "dotdigital.modified"
LONGEST = timedelta(minutes=15)
"""How long a preference's feed may go unread while `~modified` shows nobody, and how far back it asks."""
_SETTLING = timedelta(minutes=2)  # for which feeds may lag behind what the listing shows


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
        listed = {f"{one.contact_id} {one.updated}": one for one in rows}
        fresh = {key: one for key, one in listed.items() if key not in self._seen}
        self._seen |= {key: one.updated_at or now for key, one in listed.items()}
        return fresh


def _hint(contact: ContactV3, key: str) -> Hint | None:
    number = next(iter(ids_of(contact.contact_id)), None)
    if number is None and contact.address is None:
        return None
    return Hint(number, contact.address, (key,))
