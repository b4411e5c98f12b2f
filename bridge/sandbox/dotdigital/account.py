"""The emulated account as data. What is done to it stands in consent, bulk and state."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial

from bridge.sandbox.clock import SandboxClock, ServiceClock, StateLock
from bridge.sandbox.dotdigital import wire
from bridge.sandbox.dotdigital.limits import CallAllowances
from bridge.sandbox.dotdigital.preference_tree import PreferenceTree
from bridge.sandbox.dotdigital.records import (
    EMAIL,
    MOBILE,
    BulkDeletion,
    BulkImport,
    EventExport,
    GeneratedContacts,
    StoredContact,
    StoredOptIn,
)
from bridge.sandbox.dotdigital.switches import DotdigitalSwitches
from bridge.sandbox.faults import Calls, Faults

RECYCLE_BIN = timedelta(days=30)
_FIRST_ID = 1
_CACHED = 32


class IdentifierTaken(ValueError):
    """The identifier belongs to another contact."""


class Contacts:
    """Contacts by id and by their identifiers. `now` gives the account's present.

    `version` counts changes of suppressions and membership, so that feeds may keep what they sorted. `notify`
    is called with what happens, as the events export names it, and the contact; `begin_change` with a contact
    that is about to change.
    """

    def __init__(self, now: Callable[[], datetime]) -> None:
        self.notify: Callable[[str, StoredContact], None] = _nobody
        self.begin_change: Callable[[StoredContact], None] = partial(_nobody, "")
        self.by_id: dict[int, StoredContact] = {}
        self.suppressed: dict[int, StoredContact] = {}
        self.by_preference: dict[int, dict[int, StoredContact]] = {}
        self.version = 0
        self._now = now
        self._by_identifier: dict[tuple[str, str], StoredContact] = {}
        self._blocks: dict[str, tuple[str, datetime | None]] = {}
        self._next_id = _FIRST_ID

    def create(self, email: str | None, mobile: str | None = None) -> StoredContact:
        """A new contact. An address whose block outlived its contact starts blocked. Raises
        IdentifierTaken."""
        given = {name: value for name, value in ((EMAIL, email), (MOBILE, mobile)) if value is not None}
        for name, value in given.items():
            self._check_free(name, value, None)
        contact = StoredContact(self._next_id, self._now())
        self._next_id += 1
        self.by_id[contact.id] = contact
        for name, value in given.items():
            self.set_identifier(contact, name, value)
        self.version += 1
        self.notify("contact.created", contact)
        return contact

    def find(self, identifier: str, value: str) -> StoredContact | None:
        """The contact with that identifier, binned ones included until their 30 days are over."""
        return self._kept(self._by_identifier.get(_key(identifier, value)))

    def find_id(self, contact_id: int) -> StoredContact | None:
        """The contact with that id, as `find` finds it."""
        return self._kept(self.by_id.get(contact_id))

    def living(self) -> Iterator[StoredContact]:
        """All contacts that are not in the recycle bin, by id."""
        return (contact for contact in self.by_id.values() if contact.binned_at is None)

    def set_identifier(
        self, contact: StoredContact, name: str, value: str, *, block_stays: bool = False
    ) -> None:
        """Give an identifier, or change it. With `block_stays` a suppression stays with the former address.
        Raises IdentifierTaken."""
        self._check_free(name, value, contact)
        former = contact.identifiers.get(name)
        if former is not None:
            self.begin_change(contact)
            del self._by_identifier[_key(name, former)]
            if name == EMAIL and block_stays and contact.suppressed and value.lower() != former.lower():
                self._blocks[former.lower()] = (contact.status, contact.date_removed)
                self.set_status(contact, wire.SUBSCRIBED, None)
        contact.identifiers[name] = value.removeprefix("+") if name == MOBILE else value
        self._by_identifier[_key(name, value)] = contact
        contact.data_changed = self._now()
        if name == EMAIL:
            self.version += 1
            blocked = self._blocks.pop(value.lower(), None)
            if blocked is not None and not contact.suppressed:
                self.set_status(contact, blocked[0], blocked[1] or self._now())

    def set_status(self, contact: StoredContact, status: str, removed: datetime | None) -> None:
        """Give the e-mail channel `status`; `removed` is shown as dateRemoved while it is suppressed.

        Coming back moves `updated` always: the vendor's own connector finds resubscribes that way.
        """
        self.begin_change(contact)
        contact.status = status
        contact.date_removed = removed
        contact.suppression_changed = self._now()
        if contact.suppressed:
            self.suppressed[contact.id] = contact
        else:
            contact.data_changed = self._now()
            self.suppressed.pop(contact.id, None)
        self.version += 1
        self.notify("contact.updated", contact)

    def set_opt_in(
        self, contact: StoredContact, preference_id: int, opted_in: bool, modified: datetime | None = None
    ) -> None:
        """Record the contact's choice on a preference, dated `modified` (default: now)."""
        self.begin_change(contact)
        now = self._now()
        book = 1 + preference_id % 7
        contact.opt_ins[preference_id] = StoredOptIn(preference_id, opted_in, modified or now, now, book)
        contact.preferences_changed = now
        self.by_preference.setdefault(preference_id, {})[contact.id] = contact
        self.notify("contact.preferenceUpdated", contact)

    def drop_preference(self, preference_id: int) -> None:
        """Forget every opt-in of a deleted definition."""
        for contact in self.by_preference.pop(preference_id, {}).values():
            contact.opt_ins.pop(preference_id, None)

    def drop_opt_ins(self, contact: StoredContact, preference_ids: Collection[int]) -> None:
        """Forget the contact's choices on these preferences."""
        self.begin_change(contact)
        for preference_id in preference_ids:
            del contact.opt_ins[preference_id]
            self.by_preference[preference_id].pop(contact.id, None)
        if preference_ids:
            contact.preferences_changed = self._now()
            self.notify("contact.preferenceUpdated", contact)

    def keep_identifiers(self, contact: StoredContact, names: Collection[str]) -> None:
        """Take every identifier from the contact but those named."""
        self.begin_change(contact)
        for name in contact.identifiers.keys() - set(names):
            del self._by_identifier[_key(name, contact.identifiers.pop(name))]
        contact.data_changed = self._now()
        self.version += 1

    def bin(self, contact: StoredContact) -> None:
        """Delete: to the recycle bin. Opt-ins are gone; a block is remembered with the record."""
        for preference_id in contact.opt_ins:
            self.by_preference[preference_id].pop(contact.id, None)
        contact.opt_ins.clear()
        contact.binned_at = self._now()
        self.suppressed.pop(contact.id, None)
        self.version += 1
        self.notify("contact.removed", contact)

    def revive(self, contact: StoredContact) -> None:
        """Bring a binned contact back, with the status it had."""
        contact.binned_at = None
        contact.data_changed = self._now()
        if contact.suppressed:
            self.suppressed[contact.id] = contact
        self.version += 1

    def _kept(self, contact: StoredContact | None) -> StoredContact | None:
        if contact is None or contact.binned_at is None or self._now() - contact.binned_at < RECYCLE_BIN:
            return contact
        for name, value in contact.identifiers.items():
            del self._by_identifier[_key(name, value)]
        if contact.email is not None and contact.suppressed:
            self._blocks[contact.email.lower()] = (contact.status, contact.date_removed)
        del self.by_id[contact.id]
        self.version += 1
        return None

    def _check_free(self, name: str, value: str, owner: StoredContact | None) -> None:
        if self._by_identifier.get(_key(name, value), owner) is not owner:
            raise IdentifierTaken(f"the {name} belongs to another contact")


def _key(name: str, value: str) -> tuple[str, str]:
    """What makes two identifiers the same: addresses ignore case, numbers a plus sign."""
    if name == EMAIL:
        return name, value.lower()
    return name, value.removeprefix("+") if name == MOBILE else value


def _nobody(event: str, contact: StoredContact) -> None:
    del event, contact


@dataclass(frozen=True)
class ApiUser:
    """The one API user of the account."""

    username: str = "apiuser-sandbox@example.com"
    password: str = field(default="sandbox", repr=False)


@dataclass(eq=False, repr=False)
class Account:
    """What the account holds.

    `challenges` counts confirmation e-mails sent per contact id, `dropped_challenges` the repeats that the
    service did not send. `generated` stands in place of all contacts in the v3 listing.
    """

    clock: SandboxClock = field(default_factory=SandboxClock)
    switches: DotdigitalSwitches = field(default_factory=DotdigitalSwitches)
    api_user: ApiUser = field(default_factory=ApiUser)
    account_id: int = 1
    lock: StateLock = field(default_factory=StateLock, init=False)
    calls: Calls = field(default_factory=Calls, init=False)
    faults: Faults = field(default_factory=Faults, init=False)
    event_exports: dict[int, EventExport] = field(default_factory=dict, init=False)
    challenges: dict[int, int] = field(default_factory=dict, init=False)
    dropped_challenges: dict[int, int] = field(default_factory=dict, init=False)
    open_challenges: set[int] = field(default_factory=set, init=False)
    imports: dict[str, BulkImport] = field(default_factory=dict, init=False)
    deletions: dict[str, BulkDeletion] = field(default_factory=dict, init=False)
    custom_identifiers: set[str] = field(default_factory=set, init=False)
    generated: GeneratedContacts | None = field(default=None, init=False)
    _cache: dict[tuple[object, ...], list[StoredContact]] = field(default_factory=dict, init=False)
    _lagging: dict[int, tuple[datetime, StoredContact]] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        self.clock = ServiceClock(self.clock, lambda: self.switches.clock_ahead_seconds)
        self.limits = CallAllowances(self.switches)
        self.preferences = PreferenceTree(self.now)
        self.contacts = Contacts(self.now)
        self.contacts.begin_change = self._begin_change

    def now(self) -> datetime:
        """The account's present, cut to milliseconds as the wire shows it."""
        return wire.to_millisecond(self.clock.now())

    def as_read(self, contact: StoredContact) -> StoredContact:
        """The contact as reads of contacts and of their choices show it now."""
        until, former = self._lagging.get(contact.id, (None, contact))
        return former if until is not None and self.now() < until else contact

    def _begin_change(self, contact: StoredContact) -> None:
        """Note how a contact reads before a change, for as long as `read_lag_seconds` has it."""
        if self.switches.read_lag_seconds > 0:
            until = self.now() + timedelta(seconds=self.switches.read_lag_seconds)
            self._lagging[contact.id] = (until, deepcopy(self.as_read(contact)))

    def delete_preference(self, preference_id: int) -> None:
        """Remove a preference, or a category with its preferences. The opt-ins go with them. Raises
        V2Refusal for an unknown one."""
        with self.lock:
            for leaf_id in self.preferences.delete(preference_id):
                self.contacts.drop_preference(leaf_id)

    def cached(
        self, key: tuple[object, ...], build: Callable[[], list[StoredContact]]
    ) -> list[StoredContact]:
        """`build()`, kept until a suppression or the membership changes; `key` is what else counts."""
        full = (self.contacts.version, *key)
        kept = self._cache.get(full)
        if kept is None:
            if len(self._cache) >= _CACHED:
                self._cache.clear()
            kept = self._cache[full] = build()
        return kept
