"""Everybody without the v3 listing: who cannot be mailed, who is opted in to each mapped preference, and each
known person who is among neither, read one at a time.

`with-preference` tells who is opted in, and nothing else: no times, and an opt-out looks like never having
been asked. So its views are as shallow as the listing's: a silence is read closely before anything rests on
it.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator, Sequence, Set
from datetime import datetime
from itertools import groupby
from operator import itemgetter

from bridge.core.errors import MappingStale
from bridge.core.mapping import CHANNEL, Mapping
from bridge.core.model import Who, address_key
from bridge.core.ports import Page, PersonView, read_each
from bridge.dotdigital import status, views
from bridge.dotdigital.client.v2 import ClientV2
from bridge.dotdigital.client.wire import ContactV2
from bridge.dotdigital.person_reader import PersonReader
from bridge.dotdigital.polling import drains
from bridge.dotdigital.polling.suppressions import Suppressions

_PAGE = 1000  # people

Row = tuple[int, int, str]  # contact id, preference, address


class V2Listing:
    """Reads all preferences at once, upwards by contact id, so that a person's rows come together: it holds
    one page a preference, however many people there are. Used once."""

    def __init__(
        self,
        v2: ClientV2,
        mapping: Mapping,
        clock: Callable[[], datetime],
        suppressions: Suppressions,
        person: PersonReader,
    ) -> None:
        self._v2, self._mapping, self._clock = v2, mapping, clock
        self._suppressions, self._person = suppressions, person
        self._gone: set[int] = set()
        self._skipped = 0

    def everybody(self, known: Iterable[Who]) -> Iterator[Page]:
        """Raises DrainIncomplete where a preference is not read by contact ids upwards."""
        unmailable: set[str] = set()
        yield from self._suppressions.whole(unmailable)
        listed: set[int] = set()  # fewer bytes than the addresses themselves
        for page in self._opted_in(unmailable):
            listed.update(hash(address_key(view.address)) for view in page.views)
            yield page
        left = (who for who in known if hash(address_key(who.address)) not in listed)
        yield from read_each(self._person.read, left)

    def _opted_in(self, unmailable: Set[str]) -> Iterator[Page]:
        """Everybody who is opted in to anything mapped. A contact that is not among the `unmailable`, read
        before, can be mailed."""
        read_at = self._clock()
        numbers = dict.fromkeys(self._mapping.preference_ids)
        merged = heapq.merge(*(self._rows(number) for number in numbers), key=itemgetter(0))
        found: list[PersonView] = []
        for contact_id, rows in groupby(merged, key=itemgetter(0)):
            found.append(self._view(contact_id, list(rows), unmailable, read_at))
            if len(found) >= _PAGE:
                yield Page(views=found)
                found = []
        yield Page(views=found, skipped=self._skipped)

    def _rows(self, number: int) -> Iterator[Row]:
        def fetch(min_id: int) -> Sequence[ContactV2]:
            return self._v2.get_contacts_opted_into_a_preference(preference_id=number, min_contact_id=min_id)

        try:
            for contacts in drains.drain_upwards(fetch, _id_of):
                for contact in contacts:
                    if contact.address is None:
                        self._skipped += 1
                    else:
                        yield contact.contact_id or 0, number, contact.address
        except MappingStale:  # its topics are left out; the catalogue check tells the operator
            self._gone.add(number)

    def _view(self, contact_id: int, rows: list[Row], unmailable: Set[str], read_at: datetime) -> PersonView:
        inside: dict[int, bool | None] = {number: True for _, number, _ in rows}
        ids = views.ids_of(contact_id)
        topics: views.Topics = {}
        if unmailable.isdisjoint(ids):
            topics[CHANNEL] = status.observe(status.SUBSCRIBED, read_at=read_at, undated=True)
        for topic in self._mapping.topics:
            if self._gone.isdisjoint(topic.preferences.values()):
                topics[topic.id] = views.from_states(topic, inside, read_at, listed=True)
        return PersonView(rows[0][2], ids, topics)


def _id_of(contact: ContactV2) -> int | None:
    return contact.contact_id
