"""One person, read with dates: also a suppressed contact, which most reads hide."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from bridge.core.errors import InvalidResponse, NotFound, Refused
from bridge.core.mapping import CHANNEL, Mapping
from bridge.core.model import Side, Who, address_key
from bridge.core.ports import PersonView
from bridge.dotdigital import views
from bridge.dotdigital.client.access import V3Access
from bridge.dotdigital.client.v2 import ClientV2
from bridge.dotdigital.client.wire import ContactV2
from bridge.dotdigital.preference_tree import opt_ins


class PersonReader:
    """`clock` gives aware UTC."""

    def __init__(
        self, v2: ClientV2, access: V3Access, mapping: Mapping, clock: Callable[[], datetime]
    ) -> None:
        self._v2, self._access, self._mapping, self._clock = v2, access, mapping, clock

    def read(self, who: Who) -> PersonView:
        """By `subscriptions`, which has the dates. A status has none: an undated observation of the channel
        keeps the date that the suppression feed gave (see the store)."""
        read_at = self._clock()
        try:
            found = self._v2.get_subscriptions_for_contact(email=who.address)
        except NotFound:
            return self._read_hidden(who, read_at)
        contact = _checked(found.contact, who)
        if views.is_gone(contact.status):
            return self._absent(who, read_at)
        rows = views.newest_rows(found.rows)
        topics: views.Topics = {CHANNEL: views.from_status(contact.status, read_at=read_at)}
        for topic in self._mapping.topics:
            topics[topic.id] = views.from_rows(topic, rows, read_at)
        return PersonView(who.address, views.ids_of(contact.contact_id), topics, complete=True)

    def address_of(self, contact_id: int) -> str | None:
        """The address of a contact; None where it is not there."""
        v3 = self._access.client()
        try:
            if v3 is not None:
                return v3.get_contact(identifier="contactId", value=contact_id).address
            return self._v2.get_contact(contact=contact_id).address
        except (NotFound, Refused):
            return None

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
