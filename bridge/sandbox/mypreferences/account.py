"""The state of the emulated account, which all modules of the service share."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from bridge.sandbox.clock import SandboxClock, ServiceClock, StateLock
from bridge.sandbox.faults import Calls, Faults
from bridge.sandbox.mypreferences.admin import AccountAdmin
from bridge.sandbox.mypreferences.auth import AccessControl
from bridge.sandbox.mypreferences.config import AccountConfig, sample_config
from bridge.sandbox.mypreferences.dates import to_milliseconds
from bridge.sandbox.mypreferences.delivery import WebhookDelivery
from bridge.sandbox.mypreferences.events import EventLog
from bridge.sandbox.mypreferences.records import AccountUser, StoredProfile, WriteAuthor
from bridge.sandbox.mypreferences.registry import ProfileRegistry
from bridge.sandbox.mypreferences.requests import ProfileRequest, RequestChecker
from bridge.sandbox.mypreferences.segments import EVERYBODY, SegmentGroup
from bridge.sandbox.mypreferences.subscriptions import SubscriptionRegistry
from bridge.sandbox.mypreferences.switches import MyPreferencesSwitches

PREFERENCE_CENTER = AccountUser("preference-center", "PREFERENCE_CENTER")
STAFF = AccountUser("staff-import", "IMPORT")
BRIDGE_USER = AccountUser("bridge", "SYNC")
STATUS_MANAGER = AccountUser("status-manager", "SYSTEM")
"""The add-on that compares with do-not-contact lists."""
CLIENT_ID = "sandbox-mypreferences-client".ljust(48, "0")
CLIENT_SECRET = "sandbox-mypreferences-secret".ljust(64, "0")
API_HASH_KEY = "sandbox-mypreferences-hash-key"


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
