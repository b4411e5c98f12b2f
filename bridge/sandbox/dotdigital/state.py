"""The emulated account, and what people, the account's owner and the platform do to it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from copy import deepcopy
from datetime import datetime
from functools import partial
from typing import Any

from bridge.sandbox.dotdigital import bulk, consent, events, wire
from bridge.sandbox.dotdigital.account import Account
from bridge.sandbox.dotdigital.preference_tree import DefinedPreference
from bridge.sandbox.dotdigital.records import EMAIL, StoredContact

_NOT_LIFTED_BY_THE_PERSON = {*wire.NEVER_UNSUPPRESSED, wire.SUPPRESSED}


class DotdigitalState(Account):
    """One account. Every method takes the lock; times given must carry a zone."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.contacts.notify = partial(events.capture, self)
        self.lock.settlers.append(partial(bulk.settle_due, self))

    # Preference definitions, edited by the account's owner

    def define_category(self, id: int | None = None, name: str = "") -> int:
        """Add a category at the top; returns its id."""
        return self._define(f"Category {id or ''}", name, id)

    def define_preference(
        self, id: int | None = None, name: str = "", category: int | None = None, public: bool = True
    ) -> int:
        """Add a preference (a leaf), at the top or in a category; returns its id."""
        return self._define(
            f"Preference {id or ''}", name, id, is_preference=True, category_id=category, is_public=public
        )

    # People

    def add_contact(
        self,
        email: str | None,
        status: str = wire.SUBSCRIBED,
        opt_ins: Mapping[int, tuple[bool, datetime | None]] | None = None,
        mobile: str | None = None,
        when: datetime | None = None,
    ) -> int:
        """A contact as an import by the owner would leave it; `when` dates a status that is a suppression."""
        if status not in wire.STATUSES:
            raise ValueError(f"{status!r} is not a status; known: {', '.join(sorted(wire.STATUSES))}")
        with self.lock:
            contact = self._revived(email) or self.contacts.create(email, mobile)
            if status not in wire.MAILABLE_OR_WAITING:
                consent.suppress(self, contact, status, _stamp(when))
            elif status != contact.status and not contact.suppressed:
                self.contacts.set_status(contact, status, None)
            for preference_id, (opted_in, modified) in (opt_ins or {}).items():
                self.set_preference(contact.id, preference_id, opted_in, modified)
            return contact.id

    def set_preference(
        self, contact_id: int, preference_id: int, opted_in: bool, when: datetime | None = None
    ) -> None:
        """The person changes a preference in the preference centre. Raises KeyError for an unknown one."""
        with self.lock:
            if self.preferences.leaf(preference_id) is None:
                raise KeyError(f"preference {preference_id} is not defined")
            consent.write_opt_in(self, self._get(contact_id), preference_id, opted_in, _stamp(when))

    def import_opt_ins(self, emails: Iterable[str], preference_ids: Iterable[int]) -> list[int]:
        """The owner's staff imports a file of opt-ins, all dated this instant, also those that were given
        before. Unknown and deleted contacts are created or brought back. Returns the contacts' ids."""
        with self.lock:
            now, preference_ids = self.now(), list(preference_ids)
            ids = []
            for email in emails:
                found = self._revived(email) or self.contacts.find(EMAIL, email)
                ids.append((found or self.contacts.create(email)).id)
                for preference_id in preference_ids:
                    self.set_preference(ids[-1], preference_id, True, now)
            return ids

    def unsubscribe(
        self, contact_id: int, when: datetime | None = None, reason: str = wire.UNSUBSCRIBED
    ) -> None:
        """The person uses the unsubscribe link; with `reason`, any other suppression. Preferences stay."""
        if reason not in wire.STATUSES - wire.MAILABLE_OR_WAITING:
            raise ValueError(f"{reason!r} is not a reason to be suppressed")
        with self.lock:
            consent.suppress(self, self._get(contact_id), reason, _stamp(when))

    def suppress_sms(self, contact_id: int) -> None:
        """The person answers STOP to an SMS. E-mail goes on."""
        with self.lock:
            contact = self._get(contact_id)
            contact.sms_removed = contact.suppression_changed = self.now()
            self.contacts.version += 1

    def subscribe(self, contact_id: int) -> bool:
        """The person signs up again by a form. False where a block of another kind forbids it."""
        with self.lock:
            contact = self._get(contact_id)
            returns = contact.status == wire.SUPPRESSED and self.switches.suppressed_returns_by_form
            if contact.status in _NOT_LIFTED_BY_THE_PERSON and not returns:
                return False
            if contact.status != wire.SUBSCRIBED:
                consent.restore(self, contact)
            return True

    def complain(self, contact_id: int, when: datetime | None = None, direct: bool = False) -> None:
        """The person presses "spam", or complains to the platform (`direct`)."""
        self.unsubscribe(contact_id, when, "DirectComplaint" if direct else "IspComplained")

    def bounce(self, contact_id: int, when: datetime | None = None, hard: bool = True) -> None:
        """Mail to the person came back."""
        self.unsubscribe(contact_id, when, "HardBounced" if hard else "SoftBounced")

    def click_challenge(self, email: str) -> bool:
        """The person clicks the confirmation e-mail. False when none is waiting, or a block came since."""
        with self.lock:
            contact = self.contacts.find(EMAIL, email)
            if contact is None or contact.id not in self.open_challenges:
                return False
            self.open_challenges.discard(contact.id)
            if contact.binned or contact.status in _NOT_LIFTED_BY_THE_PERSON:
                return False
            consent.restore(self, contact)
            return True

    def delete_contact(self, contact_id: int) -> None:
        """To the recycle bin, for 30 days."""
        with self.lock:
            self.contacts.bin(self._get(contact_id))

    def change_email(self, contact_id: int, email: str) -> None:
        """The person gets another address. Raises ValueError when another contact has it."""
        with self.lock:
            stays = self.switches.suppression_follows == "address"
            self.contacts.set_identifier(self._get(contact_id), EMAIL, email, block_stays=stays)

    def contact(self, contact_id: int) -> StoredContact:
        """A snapshot, which later changes do not touch. Raises KeyError for an unknown contact."""
        with self.lock:
            return deepcopy(self._get(contact_id))

    def find(self, email: str) -> StoredContact | None:
        """A snapshot of the contact with that address, case ignored, or None."""
        with self.lock:
            found = self.contacts.find(EMAIL, email)
            return deepcopy(found)

    def use_elsewhere(self, tier: str, calls: int) -> None:
        """Another integration of the account spends `calls` of `tier` (low, medium, high)."""
        with self.lock:
            self.limits.use_elsewhere(self.clock.now(), tier, calls)

    def define_identifier(self, name: str) -> None:
        """Make a custom identifier known to the account."""
        with self.lock:
            self.custom_identifiers.add(name)

    def people(self) -> list[dict[str, Any]]:
        """What is recorded of every contact, for checks."""
        with self.lock:
            return [_recorded(contact) for contact in self.contacts.by_id.values()]

    def _define(self, default: str, name: str, preference_id: int | None, **other: Any) -> int:
        label = name or default.strip()
        wanted = DefinedPreference(public_name=label, private_name=label, **other)
        with self.lock:
            return self.preferences.define(wanted, preference_id).id

    def _revived(self, email: str | None) -> StoredContact | None:
        found = None if email is None else self.contacts.find(EMAIL, email)
        if found is None or not found.binned:
            return None
        self.contacts.revive(found)
        return found

    def _get(self, contact_id: int) -> StoredContact:
        found = self.contacts.find_id(contact_id)
        if found is None:
            raise KeyError(f"contact {contact_id} is unknown")
        return found


def _stamp(when: datetime | None) -> datetime | None:
    return None if when is None else wire.to_millisecond(when)


def _recorded(contact: StoredContact) -> dict[str, Any]:
    return {
        "id": contact.id,
        "email": contact.email,
        "mobile": contact.mobile,
        "status": contact.status,
        "date_removed": None if contact.date_removed is None else wire.render(contact.date_removed),
        "binned": contact.binned,
        "preferences": {
            str(row.preference_id): {"opted_in": row.opted_in, "modified": wire.render(row.modified)}
            for row in contact.opt_ins.values()
        },
    }
