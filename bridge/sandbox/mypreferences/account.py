"""The state of the emulated account, which all modules of the service share."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal

from bridge.sandbox.clock import SandboxClock, ServiceClock, StateLock
from bridge.sandbox.faults import Calls, Faults
from bridge.sandbox.mypreferences.auth import AccessControl
from bridge.sandbox.mypreferences.config import AccountAdmin, AccountConfig, sample_config
from bridge.sandbox.mypreferences.dates import to_milliseconds
from bridge.sandbox.mypreferences.delivery import WebhookDelivery
from bridge.sandbox.mypreferences.events import EventLog
from bridge.sandbox.mypreferences.records import (
    AccountUser,
    ContactKind,
    StoredContactPoint,
    StoredProfile,
    WriteAuthor,
)
from bridge.sandbox.mypreferences.requests import ProfileRequest, RequestChecker
from bridge.sandbox.mypreferences.subscriptions import SubscriptionRegistry
from bridge.sandbox.mypreferences.switches import MyPreferencesSwitches

Holds = Callable[[StoredProfile], bool]
PREFERENCE_CENTER = AccountUser("preference-center", "PREFERENCE_CENTER")
STAFF = AccountUser("staff-import", "IMPORT")
BRIDGE_USER = AccountUser("bridge", "SYNC")
STATUS_MANAGER = AccountUser("status-manager", "SYSTEM")
"""The add-on that compares with do-not-contact lists."""
CLIENT_ID = "sandbox-mypreferences-client".ljust(48, "0")
CLIENT_SECRET = "sandbox-mypreferences-secret".ljust(64, "0")
API_HASH_KEY = "sandbox-mypreferences-hash-key"


@dataclass(frozen=True)
class Segment:
    """People chosen by the account. `of_deleted` holds what is left of deleted profiles instead."""

    name: str
    holds: Holds
    of_deleted: bool = False


@dataclass(frozen=True)
class SegmentGroup:
    """Segments combined, from left to right (MyPreferences export: AND, OR and EXCEPT)."""

    name: str
    first: Segment
    rest: tuple[tuple[Literal["AND", "OR", "EXCEPT"], Segment], ...] = ()

    def holds(self, profile: StoredProfile) -> bool:
        """Whether the combination holds a profile."""
        held = self.first.holds(profile)
        for operator, segment in self.rest:
            other = segment.holds(profile)
            held = {"AND": held and other, "OR": held or other, "EXCEPT": held and not other}[operator]
        return held


EVERYBODY = Segment("EVERYBODY", lambda profile: profile.is_active)


@dataclass(frozen=True)
class DeletedProfile:
    """What is left of a deleted profile."""

    profile_id: int
    deleted: datetime
    reason_code: str


class ProfileRegistry:
    """Profiles and their indexes. Not thread-safe: the account's lock guards it."""

    def __init__(self) -> None:
        self._by_id: dict[int, StoredProfile] = {}
        self._by_point: dict[tuple[str, str], dict[int, None]] = {}
        self._by_alternate_id: dict[tuple[str, str], int] = {}
        self._next_id = 1001
        self.deleted: list[DeletedProfile] = []

    def __iter__(self) -> Iterator[StoredProfile]:
        return iter(self._by_id.values())

    def next_id(self) -> int:
        """A fresh profile id."""
        self._next_id += 1
        return self._next_id - 1

    def add(self, profile: StoredProfile) -> None:
        """Keep a new profile; its contact points and ids are indexed as they are added."""
        self._by_id[profile.profile_id] = profile

    def remove(self, profile: StoredProfile, moment: datetime, reason: str) -> None:
        """Delete a profile for good."""
        for point in profile.points:
            self.unindex(profile, point)
        for type_name, value in profile.alternate_ids.items():
            self.unindex_alternate_id(profile, type_name, value)
        del self._by_id[profile.profile_id]
        self.deleted.append(DeletedProfile(profile.profile_id, moment, reason))

    def get(self, profile_id: int) -> StoredProfile | None:
        """The profile of that id, active or not."""
        return self._by_id.get(profile_id)

    def existed(self, profile_id: int) -> bool:
        """Whether there is a profile of that id, or was one that has been deleted."""
        return profile_id in self._by_id or any(item.profile_id == profile_id for item in self.deleted)

    def by_contact(self, kind: ContactKind, key: str) -> list[StoredProfile]:
        """Profiles with an active contact point of that key, oldest first."""
        return [self._by_id[profile_id] for profile_id in self._by_point.get((kind.name, key), {})]

    def by_alternate_id(self, type_name: str, value: str) -> StoredProfile | None:
        """The profile with that alternate id (any case)."""
        found = self._by_alternate_id.get((type_name.lower(), value.lower()))
        return None if found is None else self._by_id[found]

    def index(self, profile: StoredProfile, point: StoredContactPoint) -> None:
        """Make a profile findable by a contact point."""
        self._by_point.setdefault((point.kind.name, point.key), {})[profile.profile_id] = None

    def unindex(self, profile: StoredProfile, point: StoredContactPoint) -> None:
        """Forget that a profile has a contact point."""
        key = (point.kind.name, point.key)
        holders = self._by_point.get(key, {})
        holders.pop(profile.profile_id, None)
        if not holders:
            self._by_point.pop(key, None)

    def index_alternate_id(self, profile: StoredProfile, type_name: str, value: str) -> None:
        """Make a profile findable by an alternate id; the first holder stays."""
        self._by_alternate_id.setdefault((type_name.lower(), value.lower()), profile.profile_id)

    def unindex_alternate_id(self, profile: StoredProfile, type_name: str, value: str) -> None:
        """Forget an alternate id of a profile."""
        key = (type_name.lower(), value.lower())
        if self._by_alternate_id.get(key) == profile.profile_id:
            del self._by_alternate_id[key]


@dataclass
class ExportJob:
    """An export and its rows, which are JSON documents: as objects they would take far more memory."""

    rows: list[bytes]
    created: datetime
    polls_left: int
    final_status: str
    retrieved: bool = False


@dataclass
class StagedRecord:
    """A record of an import that passed validation."""

    number: int
    sent: dict[str, Any]
    request: ProfileRequest
    profile_id: int | None


@dataclass
class StagedImport:
    """An import; `request` is what it was begun with, and is answered."""

    request: dict[str, Any]
    author: WriteAuthor
    begun: datetime
    expires: datetime
    polls_left: int
    status: str = "Initiated"
    due: datetime | None = None
    received: int = 0
    staged: list[StagedRecord] = field(default_factory=list)
    invalid: int = 0
    processed: int = 0
    not_honored: int = 0
    exceptions: list[dict[str, Any]] = field(default_factory=list)


class MyPreferencesAccount:
    """Everything the emulated account knows. `lock` guards all of it."""

    def __init__(
        self,
        config: AccountConfig | None = None,
        clock: SandboxClock | None = None,
        switches: MyPreferencesSwitches | None = None,
        users: Iterable[AccountUser] = (BRIDGE_USER,),
    ) -> None:
        self.config = config or sample_config()
        self.admin = AccountAdmin(self.config)
        self.switches = switches or MyPreferencesSwitches()
        self.clock = ServiceClock(clock or SandboxClock(), lambda: self.switches.clock_ahead_seconds)
        self.calls = Calls()
        self.faults = Faults()
        self.lock = StateLock()
        self.access = AccessControl(self.config.account, self.clock, self.switches)
        self.access.add_client(CLIENT_ID, CLIENT_SECRET)
        self.access.hash_key = API_HASH_KEY
        for user in users:
            self.access.add_user(user)
        self.profiles = ProfileRegistry()
        self.subscriptions = SubscriptionRegistry(self.switches)
        self.events = EventLog(self.clock, self.switches, self.subscriptions)
        self.deliveries = WebhookDelivery(
            self.lock, self.clock, self.switches, self.subscriptions, self.events
        )
        self.checker = RequestChecker(self.config, self.now)
        self.segments = {EVERYBODY.name.lower(): EVERYBODY}
        self.segment_groups: dict[str, SegmentGroup] = {}
        self.exports: dict[int, ExportJob] = {}
        self.imports: dict[int, StagedImport] = {}
        self.forbidden: set[str] = set()
        """Operation ids for which the API user has no permission"""
        self._lagging: dict[int, tuple[datetime, StoredProfile, bool]] = {}

    def now(self) -> datetime:
        """The sandbox's present, to the millisecond."""
        return to_milliseconds(self.clock.now())

    def begin_change(self, profile: StoredProfile, *, by_api: bool) -> None:
        """Note how a profile reads before a change, for as long as `write_lag_seconds` (of writes by the API)
        and `read_lag_seconds` have it."""
        pending = self.switches.write_lag_seconds if by_api else 0.0
        lag = max(pending, self.switches.read_lag_seconds)
        if lag > 0:
            shown, _ = self.as_read(profile)
            until = self.clock.now() + timedelta(seconds=lag)
            self._lagging[profile.profile_id] = (until, shown.copy(), pending > 0)

    def as_read(self, profile: StoredProfile) -> tuple[StoredProfile, bool]:
        """The profile as reads show it now, and whether they say that an update is pending."""
        until, former, pending = self._lagging.get(profile.profile_id, (None, profile, False))
        return (former, pending) if until is not None and self.clock.now() < until else (profile, False)
