"""The emulated account, and what people, the account's owner and the platform do to it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from bridge.sandbox.calls import Calls
from bridge.sandbox.clock import SandboxClock
from bridge.sandbox.dotdigital import consent, dates, deleting, events, imports, vocabulary
from bridge.sandbox.dotdigital.catalogue import Catalogue
from bridge.sandbox.dotdigital.contacts import Contacts
from bridge.sandbox.dotdigital.limits import Limits
from bridge.sandbox.dotdigital.multitude import Multitude
from bridge.sandbox.dotdigital.records import Contact
from bridge.sandbox.dotdigital.switches import Switches
from bridge.sandbox.faults import Faults

_CACHED = 32


@dataclass(frozen=True)
class ApiUser:
    """The one API user of the account."""

    username: str = "apiuser-sandbox@example.com"
    password: str = field(default="sandbox", repr=False)


class State:
    """One account. Every method takes the lock; times given must carry a zone.

    `challenges` counts confirmation e-mails sent per contact id, `dropped_challenges` the repeats that the
    service swallowed.
    """

    def __init__(
        self,
        clock: SandboxClock | None = None,
        switches: Switches | None = None,
        api_user: ApiUser | None = None,
        account_id: int = 1,
    ) -> None:
        self.lock = threading.RLock()
        self.clock = clock or SandboxClock()
        self.switches = switches or Switches()
        self.api_user = api_user or ApiUser()
        self.account_id = account_id
        self.calls = Calls()
        self.faults = Faults()
        self.limits = Limits(self.switches)
        self.catalogue = Catalogue()
        self.event_exports: dict[int, events.Subscription] = {}
        self.contacts = Contacts(tell=lambda kind, contact: events.capture(self, kind, contact))
        self.challenges: dict[int, int] = {}
        self.dropped_challenges: dict[int, int] = {}
        self.open_challenges: set[int] = set()
        self.imports: dict[str, imports.Import] = {}
        self.deletions: dict[str, deleting.Deletion] = {}
        self.custom_identifiers: set[str] = set()
        self.multitude: Multitude | None = None  # in place of everybody in the v3 listing
        self._cache: dict[tuple[object, ...], list[Contact]] = {}

    def now(self) -> datetime:
        """The account's present, cut to milliseconds as the wire shows it."""
        return dates.to_millisecond(self.clock.now())

    # The catalogue, edited by the account's owner

    def define_category(self, id: int | None = None, name: str = "") -> int:
        """Add a category at the top; returns its id."""
        with self.lock:
            label = name or f"Category {id or ''}".strip()
            return self.catalogue.define(self.now(), label, label, False, preference_id=id).id

    def define_preference(
        self, id: int | None = None, name: str = "", category: int | None = None, public: bool = True
    ) -> int:
        """Add a preference (a leaf), at the top or in a category; returns its id."""
        with self.lock:
            label = name or f"Preference {id or ''}".strip()
            return self.catalogue.define(
                self.now(), label, label, True, preference_id=id, category_id=category or 0, is_public=public
            ).id

    def delete_preference(self, preference_id: int) -> None:
        """Remove a preference, or a category with its preferences. The opt-ins go with them."""
        with self.lock:
            for leaf_id in self.catalogue.delete(preference_id):
                self.contacts.drop_preference(leaf_id)

    # People

    def add_contact(
        self,
        email: str | None,
        status: str = vocabulary.SUBSCRIBED,
        opt_ins: Mapping[int, tuple[bool, datetime | None]] | None = None,
        mobile: str | None = None,
        when: datetime | None = None,
    ) -> int:
        """A contact as an import by the owner would leave it; `when` dates a status that is a suppression."""
        if status not in vocabulary.STATUSES:
            raise ValueError(f"{status!r} is not a status; known: {', '.join(sorted(vocabulary.STATUSES))}")
        with self.lock:
            contact = self._revived(email) or self.contacts.create(self.now(), email, mobile)
            if status not in vocabulary.MAILABLE_OR_WAITING:
                consent.suppress(self, contact, status, _stamp(when))
            elif status != contact.status and not contact.suppressed:
                self.contacts.set_status(contact, status, None, self.now())
            for preference_id, (opted_in, modified) in (opt_ins or {}).items():
                self.set_preference(contact.id, preference_id, opted_in, modified)
            return contact.id

    def set_preference(
        self, contact_id: int, preference_id: int, opted_in: bool, when: datetime | None = None
    ) -> None:
        """The person changes a preference in the preference centre. Raises KeyError for an unknown one."""
        with self.lock:
            if self.catalogue.leaf(preference_id) is None:
                raise KeyError(f"preference {preference_id} is not defined")
            consent.write_opt_in(self, self._get(contact_id), preference_id, opted_in, _stamp(when))

    def unsubscribe(
        self, contact_id: int, when: datetime | None = None, reason: str = vocabulary.UNSUBSCRIBED
    ) -> None:
        """The person uses the unsubscribe link; with `reason`, any other suppression. Preferences stay."""
        if reason not in vocabulary.STATUSES - vocabulary.MAILABLE_OR_WAITING:
            raise ValueError(f"{reason!r} is not a reason to be suppressed")
        with self.lock:
            consent.suppress(self, self._get(contact_id), reason, _stamp(when))

    def subscribe(self, contact_id: int) -> bool:
        """The person signs up again by a form. False where a block of another kind forbids it."""
        with self.lock:
            contact = self._get(contact_id)
            if contact.status in {*vocabulary.NEVER_UNSUPPRESSED, vocabulary.SUPPRESSED}:
                return False
            if contact.status != vocabulary.SUBSCRIBED:
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
            contact = self.contacts.by_email(email, self.now())
            if contact is None or contact.id not in self.open_challenges:
                return False
            self.open_challenges.discard(contact.id)
            if contact.binned or contact.status in {*vocabulary.NEVER_UNSUPPRESSED, vocabulary.SUPPRESSED}:
                return False
            consent.restore(self, contact)
            return True

    def delete_contact(self, contact_id: int) -> None:
        """To the recycle bin, for 30 days."""
        with self.lock:
            self.contacts.bin(self._get(contact_id), self.now())

    def change_email(self, contact_id: int, email: str) -> None:
        """The person gets another address. Raises ValueError when another contact has it."""
        with self.lock:
            stays = self.switches.suppression_follows == "address"
            self.contacts.rename(self._get(contact_id), email, self.now(), stays)

    def contact(self, contact_id: int) -> Contact:
        """A snapshot. Raises KeyError for an unknown contact."""
        with self.lock:
            self.settle_due()
            return self._get(contact_id).copy()

    def find(self, email: str) -> Contact | None:
        """A snapshot of the contact with that address, case ignored, or None."""
        with self.lock:
            self.settle_due()
            found = self.contacts.by_email(email, self.now())
            return None if found is None else found.copy()

    def strangers_use(self, tier: str, calls: int) -> None:
        """Another integration of the account spends `calls` of `tier` (low, medium, high)."""
        with self.lock:
            self.limits.strangers_use(self.clock.now(), tier, calls)

    def define_identifier(self, name: str) -> None:
        """Make a custom identifier known to the account."""
        with self.lock:
            self.custom_identifiers.add(name)

    def people(self) -> list[dict[str, Any]]:
        """The full truth per contact, for checks."""
        with self.lock:
            self.settle_due()
            return [_truth(contact) for contact in self.contacts.by_id.values()]

    def settle_due(self) -> None:
        """End every job that is due: what it did shows from then on."""
        imports.settle_due(self)
        deleting.settle_due(self)

    def cached(self, key: tuple[object, ...], build: Callable[[], list[Contact]]) -> list[Contact]:
        """`build()`, kept until a suppression or the membership changes; `key` is what else counts."""
        full = (self.contacts.version, *key)
        kept = self._cache.get(full)
        if kept is None:
            if len(self._cache) >= _CACHED:
                self._cache.clear()
            kept = self._cache[full] = build()
        return kept

    def _revived(self, email: str | None) -> Contact | None:
        found = None if email is None else self.contacts.by_email(email, self.now())
        if found is None or not found.binned:
            return None
        self.contacts.revive(found, self.now())
        return found

    def _get(self, contact_id: int) -> Contact:
        found = self.contacts.by_contact_id(contact_id, self.now())
        if found is None:
            raise KeyError(f"contact {contact_id} is unknown")
        return found


def _stamp(when: datetime | None) -> datetime | None:
    return None if when is None else dates.to_millisecond(when)


def _truth(contact: Contact) -> dict[str, Any]:
    return {
        "id": contact.id,
        "email": contact.email,
        "mobile": contact.mobile,
        "status": contact.status,
        "date_removed": None if contact.date_removed is None else dates.render(contact.date_removed),
        "binned": contact.binned,
        "preferences": {
            str(row.preference_id): {"opted_in": row.opted_in, "modified": dates.render(row.modified)}
            for row in contact.opt_ins.values()
        },
    }
