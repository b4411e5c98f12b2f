"""The emulated account as data. What is done to it stands in consent, imports, deletions and state."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from bridge.sandbox.clock import SandboxClock, ServiceClock, StateLock
from bridge.sandbox.dotdigital import dates
from bridge.sandbox.dotdigital.contacts import Contacts
from bridge.sandbox.dotdigital.generated_contacts import GeneratedContacts
from bridge.sandbox.dotdigital.limits import CallAllowances
from bridge.sandbox.dotdigital.preference_tree import PreferenceTree
from bridge.sandbox.dotdigital.records import BulkDeletion, BulkImport, EventExport, StoredContact
from bridge.sandbox.dotdigital.switches import DotdigitalSwitches
from bridge.sandbox.faults import Calls, Faults

_CACHED = 32


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
        return dates.to_millisecond(self.clock.now())

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
