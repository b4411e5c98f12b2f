"""Reading people: one with dates, also a suppressed contact, which most reads hide; many in few calls, by
the v3 listing, the only read that shows thousands at once; or everybody by v2.

Without v3 everybody is read in three steps: who cannot be mailed, who is opted in to each mapped preference,
and each known person who is among neither, one at a time. `with-preference` tells who is opted in, and
nothing else: no times, and an opt-out looks like never having been asked. So its views are as shallow as the
listing's: a silence is read closely before anything rests on it.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator, Sequence, Set
from dataclasses import replace
from datetime import datetime
from itertools import groupby
from operator import itemgetter

from bridge.core.addresses import spellings
from bridge.core.errors import InvalidResponse, MappingStale, NotFound, Refused
from bridge.core.mapping import Mapping
from bridge.core.model import CHANNEL, Side, Who, address_key
from bridge.core.ports import KeyValue, Page, PersonView, read_each
from bridge.dotdigital import views
from bridge.dotdigital.client.access import V3Access
from bridge.dotdigital.client.v2 import ClientV2
from bridge.dotdigital.client.v3 import CHOICES, ClientV3
from bridge.dotdigital.client.wire import ContactsPage, ContactV2, ContactV3
from bridge.dotdigital.polling import drains
from bridge.dotdigital.polling.v2_feeds import Suppressions
from bridge.dotdigital.preference_tree import opt_ins
from bridge.dotdigital.views import is_deleted
from bridge.dotdigital.write_batches import calls_to_read

_PAGES = "dotdigital.pages"
_PAGE_SIZE = 1000  # people
Row = tuple[int, int, str]  # contact id, preference, address


class PersonReader:
    """`clock` gives aware UTC."""

    def __init__(
        self, v2: ClientV2, access: V3Access, mapping: Mapping, clock: Callable[[], datetime]
    ) -> None:
        self._v2, self._access, self._mapping, self._clock = v2, access, mapping, clock

    def read(self, who: Who) -> PersonView:
        """By `subscriptions`, which has the dates. A status has none: an undated observation of the channel
        keeps the date that the suppression feed gave (see the store). The view has the contact's own spelling
        of the address, by which Dotdigital finds it."""
        for way in spellings(who.address):
            view = self._read(replace(who, address=way))
            if view.ids:
                break
        return view

    def _read(self, who: Who) -> PersonView:
        read_at = self._clock()
        try:
            found = self._v2.get_subscriptions_for_contact(email=who.address)
        except NotFound:
            return self._read_hidden(who, read_at)
        contact = _checked(found.contact, who)
        if views.is_gone(contact.status):
            return self._absent(who, read_at)
        rows = views.newest_rows(found.rows)
        if views.is_unclear(rows, self._mapping.preference_ids):
            raise _unreadable("A preference of a contact says neither opted in nor opted out.")
        topics: views.Topics = {CHANNEL: views.from_status(contact.status, read_at=read_at)}
        for topic in self._mapping.topics:
            topics[topic.id] = views.from_rows(topic, rows, read_at)
        return PersonView(who.address, views.ids_of(contact.contact_id), topics, complete=True)

    def address_of(self, contact_id: int) -> str | None:
        """The address of a contact; None where it is not there, or has none. Raises InvalidResponse for an
        address that cannot be used."""
        v3 = self._access.client()
        found: ContactV2 | ContactV3
        try:
            if v3 is not None:
                found = v3.get_contact(identifier="contactId", value=contact_id)
            else:
                found = self._v2.get_contact(contact=contact_id)
        except (NotFound, Refused):
            return None
        if found.is_unusable:
            raise _unreadable("A contact has an address that cannot be used: it is too long, or no address.")
        return found.address

    def _read_hidden(self, who: Who, read_at: datetime) -> PersonView:
        """`subscriptions` does not know them: unknown there, or suppressed and hidden from it."""
        try:
            contact = _checked(self._v2.get_contact(contact=who.address), who)
        except NotFound:
            return self._absent(who, read_at)
        if views.is_gone(contact.status):
            return self._absent(who, read_at)
        states = self._states_of_hidden(contact)
        topics: views.Topics = {CHANNEL: views.from_status(contact.status, read_at=read_at)}
        for topic in self._mapping.topics:
            if states is None or any(number in states for number in topic.preferences.values()):
                topics[topic.id] = views.from_states(topic, states or {}, read_at, listed=False)
        return PersonView(who.address, views.ids_of(contact.contact_id), topics, complete=True)

    def _states_of_hidden(self, contact: ContactV2) -> dict[int, bool | None] | None:
        """The contact's preferences; None where no call shows them."""
        if contact.contact_id is None:
            return None
        try:
            return opt_ins(self._v2.get_preferences_for_contact(contact=contact.contact_id))
        except (NotFound, Refused):
            v3 = self._access.client()
        if v3 is None:
            return None
        try:
            listed = v3.get_contact(identifier="contactId", value=contact.contact_id).preferences or ()
        except (NotFound, Refused):
            return None
        # v3 names only what is opted in to: what it leaves out exists, and is not opted in.
        shown: dict[int, bool | None] = dict.fromkeys(self._mapping.preference_ids, False)
        return shown | {one.id: one.is_opted_in for one in listed}

    def _absent(self, who: Who, read_at: datetime) -> PersonView:
        return PersonView(who.address, (), views.absent(self._mapping, read_at), complete=True)


def _checked(contact: ContactV2 | None, who: Who) -> ContactV2:
    """The contact, if it is the one asked for: one person's choice must never be stored for another."""
    if contact is None or (contact.address and address_key(contact.address) != address_key(who.address)):
        raise InvalidResponse(
            "Dotdigital answered without a contact, or with another contact than was asked for.",
            side=Side.DOTDIGITAL, operation="get-subscriptions-for-contact",
            hint="A proxy may change addresses in URLs; check with `bridge doctor`.",
        )  # fmt: skip
    return contact


def _unreadable(what: str) -> InvalidResponse:
    return InvalidResponse(
        what, side=Side.DOTDIGITAL, operation="read contact", hint="Correct the contact at Dotdigital."
    )


def pages_in(memory: KeyValue) -> int | None:
    """How many pages the listing had when it was last read whole; None where it never was."""
    return int(memory.get(_PAGES) or 0) or None


class ContactListing:
    """Each whole listing notes in `memory` how many pages there are, so that every command and both halves of
    a run estimate with the same number. `page` is how many contacts a page holds."""

    def __init__(self, v3: ClientV3, page: int, memory: KeyValue) -> None:
        self._v3, self._page, self._memory = v3, page, memory

    def is_cheaper(self, people: int) -> bool:
        """Whether the listing takes fewer calls than reading so many people one at a time."""
        return calls_to_read(people, pages_in(self._memory)) < people

    def everybody(self, include: Sequence[str] = CHOICES) -> Iterator[list[ContactV3]]:
        """The whole listing. Raises DrainIncomplete where a page marker comes again."""
        pages = 0

        def fetch(marker: str | None) -> ContactsPage:
            return self._v3.get_contacts(marker=marker, limit=self._page, include=include)

        for contacts in drains.drain_marker(fetch):
            pages += 1
            yield contacts
        self._memory.set(_PAGES, str(max(pages, 1)))

    def some(self, wanted: Set[str], include: Sequence[str] = CHOICES) -> Iterator[list[ContactV3]]:
        """The contacts whose address keys are wanted, until all were found."""
        missing = set(wanted)
        for contacts in self.everybody(include):
            found = [one for one in contacts if one.address and address_key(one.address) in missing]
            missing -= {address_key(one.address or "") for one in found}
            yield found
            if not missing:
                return

    def writable(self, people: Sequence[Who], heartbeat: Callable[[], None]) -> dict[str, ContactV3]:
        """By address key, the contacts of these people that may be written to: there, and not deleted. Each
        is read by its known id, or found in the listing."""
        wanted = {address_key(who.address) for who in people}
        found: dict[str, ContactV3] = {}
        pages = self.some(wanted) if self.is_cheaper(len(wanted)) else self._each(people)
        for contacts in pages:
            for one in contacts:
                if one.address and not is_deleted(one):
                    found[address_key(one.address)] = one
            heartbeat()
        return {key: one for key, one in found.items() if key in wanted}

    def _each(self, people: Sequence[Who]) -> Iterator[list[ContactV3]]:
        for who in people:
            ids = who.ids.get(Side.DOTDIGITAL, ())
            try:
                if len(ids) == 1:
                    yield [self._v3.get_contact(identifier="contactId", value=ids[0])]
                else:
                    yield [self._v3.get_contact(identifier="email", value=who.address)]
            except (NotFound, Refused):
                continue


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
        yield from read_each(Side.DOTDIGITAL, self._person.read, left)

    def _opted_in(self, unmailable: Set[str]) -> Iterator[Page]:
        """Everybody who is opted in to anything mapped. A contact that is not among the `unmailable`, read
        before, can be mailed."""
        read_at = self._clock()
        numbers = dict.fromkeys(self._mapping.preference_ids)
        merged = heapq.merge(*(self._rows(number) for number in numbers), key=itemgetter(0))
        found: list[PersonView] = []
        for contact_id, rows in groupby(merged, key=itemgetter(0)):
            found.append(self._view(contact_id, list(rows), unmailable, read_at))
            if len(found) >= _PAGE_SIZE:
                yield Page(views=found)
                found = []
        yield Page(views=found, skipped=self._skipped)

    def _rows(self, number: int) -> Iterator[Row]:
        def fetch(min_id: int) -> Sequence[ContactV2]:
            return self._v2.get_contacts_opted_into_a_preference(preference_id=number, min_contact_id=min_id)

        try:
            for contacts in drains.drain_upwards(fetch, _id_of):
                for contact in contacts:
                    if contact.unreadable or contact.address is None:
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
            topics[CHANNEL] = views.from_status(views.SUBSCRIBED, read_at=read_at, undated=True)
        for topic in self._mapping.topics:
            if self._gone.isdisjoint(topic.preferences.values()):
                topics[topic.id] = views.from_states(topic, inside, read_at, listed=True)
        return PersonView(rows[0][2], ids, topics)


def _id_of(contact: ContactV2) -> int | None:
    return contact.contact_id
