"""The account's contacts with their indexes. No rules of the vendor's calls live here, only consistency."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from datetime import datetime, timedelta

from bridge.sandbox.dotdigital import vocabulary
from bridge.sandbox.dotdigital.records import Contact, OptIn

RECYCLE_BIN = timedelta(days=30)
_FIRST_ID = 1


class IdentifierTaken(ValueError):
    """The e-mail address or mobile number belongs to another contact."""


class Contacts:
    """Contacts by id, e-mail (case ignored) and mobile number.

    `version` counts changes of suppressions and membership, so that feeds may keep what they sorted. `tell`
    hears of what happens, as the events export names it.
    """

    def __init__(self, tell: Callable[[str, Contact], None]) -> None:
        self._tell = tell
        self.by_id: dict[int, Contact] = {}
        self.suppressed: dict[int, Contact] = {}
        self.by_preference: dict[int, dict[int, Contact]] = {}
        self.version = 0
        self._by_email: dict[str, Contact] = {}
        self._by_mobile: dict[str, Contact] = {}
        self._by_custom: dict[tuple[str, str], Contact] = {}
        self._blocks: dict[str, tuple[str, datetime | None]] = {}
        self._next_id = _FIRST_ID

    def create(self, now: datetime, email: str | None, mobile: str | None = None) -> Contact:
        """A new contact. An address whose block outlived its contact starts blocked.

        Raises IdentifierTaken.
        """
        mobile = None if mobile is None else mobile.removeprefix("+")
        self._free(email, mobile, None)
        contact = Contact(self._next_id, email, now, mobile=mobile)
        self._next_id += 1
        self.by_id[contact.id] = contact
        if email is not None:
            self._by_email[email.lower()] = contact
            self._inherit_block(contact, email, now)
        if mobile is not None:
            self._by_mobile[mobile] = contact
        self.version += 1
        self._tell("contact.created", contact)
        return contact

    def by_email(self, email: str, now: datetime) -> Contact | None:
        """The contact with that address, binned ones included until their 30 days are over."""
        return self._kept(self._by_email.get(email.lower()), now)

    def by_mobile(self, mobile: str, now: datetime) -> Contact | None:
        """The contact with that mobile number."""
        return self._kept(self._by_mobile.get(mobile), now)

    def by_contact_id(self, contact_id: int, now: datetime) -> Contact | None:
        """The contact with that id."""
        return self._kept(self.by_id.get(contact_id), now)

    def by_custom(self, name: str, value: str, now: datetime) -> Contact | None:
        """The contact with that custom identifier."""
        return self._kept(self._by_custom.get((name, value)), now)

    def living(self) -> Iterator[Contact]:
        """All contacts that are not in the recycle bin, by id."""
        return (contact for contact in self.by_id.values() if contact.binned_at is None)

    def rename(self, contact: Contact, email: str, now: datetime, block_stays: bool) -> None:
        """Change the address; with `block_stays` a suppression stays behind. Raises IdentifierTaken."""
        self._free(email, None, contact)
        if contact.email is not None:
            del self._by_email[contact.email.lower()]
            if block_stays and contact.suppressed and email.lower() != contact.email.lower():
                self._blocks[contact.email.lower()] = (contact.status, contact.date_removed)
                self.set_status(contact, vocabulary.SUBSCRIBED, None, now)
        contact.email = email
        self._by_email[email.lower()] = contact
        contact.data_changed = now
        self.version += 1
        self._inherit_block(contact, email, now)

    def set_mobile(self, contact: Contact, mobile: str, now: datetime) -> None:
        """Change the mobile number. Raises IdentifierTaken."""
        mobile = mobile.removeprefix("+")
        self._free(None, mobile, contact)
        if contact.mobile is not None:
            del self._by_mobile[contact.mobile]
        contact.mobile = mobile
        self._by_mobile[mobile] = contact
        contact.data_changed = now

    def set_custom(self, contact: Contact, name: str, value: str, now: datetime) -> None:
        """Change a custom identifier, which the caller has found to be free."""
        self._by_custom.pop((name, contact.identifiers.get(name, "")), None)
        contact.identifiers[name] = value
        self._by_custom[name, value] = contact
        contact.data_changed = now

    def set_status(self, contact: Contact, status: str, removed: datetime | None, now: datetime) -> None:
        """Give the e-mail channel `status`; `removed` is shown as dateRemoved while it is suppressed.

        Coming back moves `updated` always: the vendor's own connector finds resubscribes that way.
        """
        contact.status = status
        contact.date_removed = removed
        contact.suppression_changed = now
        if contact.suppressed:
            self.suppressed[contact.id] = contact
        else:
            contact.data_changed = now
            self.suppressed.pop(contact.id, None)
        self.version += 1
        self._tell("contact.updated", contact)

    def set_opt_in(
        self, contact: Contact, preference_id: int, opted_in: bool, modified: datetime, now: datetime
    ) -> None:
        """Record the contact's word on a preference."""
        book = 1 + preference_id % 7
        contact.opt_ins[preference_id] = OptIn(preference_id, opted_in, modified, now, book)
        contact.preferences_changed = now
        self.by_preference.setdefault(preference_id, {})[contact.id] = contact
        self._tell("contact.preferenceUpdated", contact)

    def drop_preference(self, preference_id: int) -> None:
        """Forget every opt-in of a deleted definition."""
        for contact in self.by_preference.pop(preference_id, {}).values():
            contact.opt_ins.pop(preference_id, None)

    def drop_opt_ins(self, contact: Contact, preference_ids: Collection[int], now: datetime) -> None:
        """Forget the contact's word on these preferences."""
        for preference_id in preference_ids:
            del contact.opt_ins[preference_id]
            self.by_preference[preference_id].pop(contact.id, None)
        if preference_ids:
            contact.preferences_changed = now
            self._tell("contact.preferenceUpdated", contact)

    def keep_identifiers(self, contact: Contact, names: Collection[str], now: datetime) -> None:
        """Take every identifier from the contact but those named."""
        if contact.email is not None and "email" not in names:
            del self._by_email[contact.email.lower()]
            contact.email = None
        if contact.mobile is not None and "mobileNumber" not in names:
            del self._by_mobile[contact.mobile]
            contact.mobile = None
        for name in [name for name in contact.identifiers if name not in names]:
            del self._by_custom[name, contact.identifiers.pop(name)]
        contact.data_changed = now
        self.version += 1

    def bin(self, contact: Contact, now: datetime) -> None:
        """Delete: to the recycle bin. Opt-ins are gone; a block is remembered with the record."""
        for preference_id in contact.opt_ins:
            self.by_preference[preference_id].pop(contact.id, None)
        contact.opt_ins.clear()
        contact.binned_at = now
        self.suppressed.pop(contact.id, None)
        self.version += 1
        self._tell("contact.removed", contact)

    def revive(self, contact: Contact, now: datetime) -> None:
        """Bring a binned contact back, with the status it had."""
        contact.binned_at = None
        contact.data_changed = now
        if contact.suppressed:
            self.suppressed[contact.id] = contact
        self.version += 1

    def _inherit_block(self, contact: Contact, email: str, now: datetime) -> None:
        blocked = self._blocks.pop(email.lower(), None)
        if blocked is not None and not contact.suppressed:
            self.set_status(contact, blocked[0], blocked[1] or now, now)

    def _kept(self, contact: Contact | None, now: datetime) -> Contact | None:
        if contact is None or contact.binned_at is None or now - contact.binned_at < RECYCLE_BIN:
            return contact
        if contact.email is not None:
            del self._by_email[contact.email.lower()]
            if contact.suppressed:
                self._blocks[contact.email.lower()] = (contact.status, contact.date_removed)
        if contact.mobile is not None:
            del self._by_mobile[contact.mobile]
        for pair in contact.identifiers.items():
            del self._by_custom[pair]
        del self.by_id[contact.id]
        self.version += 1
        return None

    def _free(self, email: str | None, mobile: str | None, owner: Contact | None) -> None:
        if email is not None and self._by_email.get(email.lower(), owner) is not owner:
            raise IdentifierTaken("the e-mail address belongs to another contact")
        if mobile is not None and self._by_mobile.get(mobile, owner) is not owner:
            raise IdentifierTaken("the mobile number belongs to another contact")
