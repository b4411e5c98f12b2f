"""The service's state, and the Python API by which tests and demos act as people or other systems."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from bridge.sandbox.clock import SandboxClock
from bridge.sandbox.faults import Calls, Faults
from bridge.sandbox.mypreferences.auth import Auth
from bridge.sandbox.mypreferences.choices import Choices
from bridge.sandbox.mypreferences.config import Config, sample_config
from bridge.sandbox.mypreferences.dates import to_milliseconds
from bridge.sandbox.mypreferences.delivery import Deliveries
from bridge.sandbox.mypreferences.drafts import (
    ConsentDraft,
    ElementDraft,
    PreferenceDraft,
    ProfileDraft,
    Reader,
)
from bridge.sandbox.mypreferences.events import Events
from bridge.sandbox.mypreferences.export import Exports
from bridge.sandbox.mypreferences.imports import Imports
from bridge.sandbox.mypreferences.patching import Patcher
from bridge.sandbox.mypreferences.people import People
from bridge.sandbox.mypreferences.profiles import Profiles, snapshot
from bridge.sandbox.mypreferences.reconfigure import Console
from bridge.sandbox.mypreferences.records import CONSENT_STATUS, Actor, Element, Profile, User, element_key
from bridge.sandbox.mypreferences.render import Render
from bridge.sandbox.mypreferences.segments import Segment, SegmentGroup, Segments
from bridge.sandbox.mypreferences.subscriptions import Subscriptions
from bridge.sandbox.mypreferences.switches import Switches
from bridge.sandbox.mypreferences.telling import Teller
from bridge.sandbox.mypreferences.truth import person

PREFERENCE_CENTER = User("preference-center", "PREFERENCE_CENTER")
BRIDGE_USER = User("bridge", "SYNC")
STATUS_MANAGER = User("status-manager", "SYSTEM")  # the add-on that scrubs against do-not-contact lists
CLIENT_ID = "sandbox-mypreferences-client".ljust(48, "0")
CLIENT_SECRET = "sandbox-mypreferences-secret".ljust(64, "0")
API_HASH_KEY = "sandbox-mypreferences-hash-key"

Choice = tuple[Any, ...]
"""(choice, when[, frequency]); choice is a bool, "opted_in" or "opted_out"; when may be None."""


class State:
    """Everything the emulated account knows. All public methods are thread-safe.

    A method about a profile that does not exist raises KeyError; one that names a filter or consent type that
    is not configured raises ValueError.
    """

    def __init__(
        self,
        config: Config | None = None,
        clock: SandboxClock | None = None,
        switches: Switches | None = None,
        users: Iterable[User] = (BRIDGE_USER,),
    ) -> None:
        self.config = config or sample_config()
        self.console = Console(self.config)
        self.clock = clock or SandboxClock()
        self.switches = switches or Switches()
        self.calls = Calls()
        self.faults = Faults()
        self.lock = threading.RLock()
        self.registry = People()
        self.subscriptions = Subscriptions(self.switches)
        self.events = Events(self.clock, self.switches, self.subscriptions)
        self.deliveries = Deliveries(self.lock, self.clock, self.switches, self.subscriptions, self.events)
        self.documents = Render(self.config)
        self.reader = Reader(self.config, self.now)
        self.teller = Teller(self.config, self.switches, self.events, self.documents)
        self.choices = Choices(self.config, self.switches, self.teller, self.now)
        self.profiles = Profiles(
            self.config, self.switches, self.registry, self.teller, self.choices, self.now
        )
        self.segments = Segments()
        self.patcher = Patcher(self.switches, self.reader, self.documents, self.profiles)
        self.exports = Exports(self.clock, self.switches, self.registry, self.documents)
        self.imports = Imports(
            self.config,
            self.clock,
            self.switches,
            self.registry,
            self.profiles,
            self.reader,
            self.begin_write,
        )
        self.auth = Auth(self.config.account, self.clock, self.switches)
        self.auth.add_client(CLIENT_ID, CLIENT_SECRET)
        self.auth.hash_key = API_HASH_KEY
        for user in users:
            self.auth.add_user(user)
        self._forbidden: set[str] = set()
        self._lagging: dict[int, tuple[datetime, Profile]] = {}

    def now(self) -> datetime:
        """The sandbox's present, to the millisecond."""
        return to_milliseconds(self.clock.now())

    def add_profile(
        self,
        emails: Iterable[str | tuple[str, str]] = (),
        alternate_ids: Mapping[str, str] | None = None,
        preferences: Mapping[str, Choice] | None = None,
        consents: Mapping[str, tuple[int | str, datetime | None]] | None = None,
        quiet: bool = True,
    ) -> int:
        """Add a person; returns the profile id. `emails` are addresses or (type, address) pairs.

        Preferences of contact channels hang on the first address. `quiet` raises no events.
        """
        with self.lock:
            drafts = [self._preference(name, *choice) for name, choice in (preferences or {}).items()]
            draft = ProfileDraft(
                alternate_ids=dict(alternate_ids or {}),
                elements=[_email(item) for item in emails],
                preferences=[item for item in drafts if item.filter.kind is None],
                consents=[self._consent(name, *given) for name, given in (consents or {}).items()],
            )
            on_address = tuple(item for item in drafts if item.filter.kind is not None)
            if on_address and not draft.elements:
                raise ValueError(f"filter {on_address[0].filter.filter_id!r} needs an address")
            if on_address:
                draft.elements[0] = replace(draft.elements[0], preferences=on_address)
            return self.profiles.create(draft, _people(quiet)).profile_id

    def set_preference(
        self,
        profile_id: int,
        filter_id: str,
        opted_in: bool,
        when: datetime | None = None,
        frequency: str | None = None,
        email: str | None = None,
        user: User = PREFERENCE_CENTER,
        attributes: Mapping[str, str] | None = None,
    ) -> bool:
        """State a choice (on `email`, else the default address); False when a newer one stands."""
        with self.lock:
            draft = self._preference(filter_id, opted_in, when, frequency)
            draft = replace(draft, attributes=None if attributes is None else dict(attributes))
            return self._choose(self._get(profile_id), draft, email, Actor(user))

    def set_consent(
        self,
        profile_id: int,
        type_name: str,
        status: int | str,
        when: datetime | None = None,
        version: str | None = None,
        locale: str | None = None,
        user: User = PREFERENCE_CENTER,
    ) -> bool:
        """State a consent of the profile (first configured version and locale unless given)."""
        with self.lock:
            draft = self._consent(type_name, status, when, version, locale)
            return self.choices.put_consent(self._get(profile_id), None, draft, Actor(user))

    def archive(
        self, profile_id: int, filter_id: str, reason: str = "", user: User = PREFERENCE_CENTER
    ) -> None:
        """Archive every preference of the profile for a filter."""
        with self.lock:
            profile = self._get(profile_id)
            for email, preference in list(profile.live(filter_id)):
                self.choices.archive(profile, email, preference, Actor(user), reason)

    def add_email(self, profile_id: int, address: str, email_type: str | None = None) -> None:
        """Add an address."""
        with self.lock:
            draft = ProfileDraft(elements=[ElementDraft(address, email_type)])
            self.profiles.update(self._get(profile_id), draft, _people())

    def change_email(self, profile_id: int, old: str, new: str) -> None:
        """Change an address in place; its preferences go with it."""
        with self.lock:
            self.profiles.change_email(self._get(profile_id), old, new, _people())

    def remove_email(self, profile_id: int, address: str) -> None:
        """Take an address off a profile."""
        with self.lock:
            self.profiles.remove_email(self._get(profile_id), address, _people())

    def deactivate(self, profile_id: int, reason: str = "") -> None:
        """Deactivate a profile."""
        with self.lock:
            self.profiles.deactivate(self._get(profile_id), _people(), reason)

    def activate(self, profile_id: int) -> None:
        """Activate a profile again."""
        with self.lock:
            self.profiles.activate(self._get(profile_id), _people())

    def delete(self, profile_id: int, reason: str = "") -> None:
        """Delete a profile for good."""
        with self.lock:
            self.profiles.delete(self._get(profile_id), _people(), reason)

    def profile(self, profile_id: int) -> dict[str, Any]:
        """The profile as a read without implied preferences and history answers it, never lagging."""
        with self.lock:
            return self.documents.profile(self._get(profile_id), implied=False, history=False)

    def find(self, email: str) -> list[int]:
        """Ids of the profiles, active or not, that hold an address."""
        with self.lock:
            return [profile.profile_id for profile in self.registry.by_email(email)]

    def people(self) -> list[dict[str, Any]]:
        """Everybody, for checks: see `truth.person`."""
        with self.lock:
            return [person(profile) for profile in self.registry]

    def add_segment(self, segment: Segment) -> None:
        """Define a segment for export."""
        with self.lock:
            self.segments.add(segment)

    def add_segment_group(self, group: SegmentGroup) -> None:
        """Define a segment group for export."""
        with self.lock:
            self.segments.add_group(group)

    def add_user(self, user: User) -> None:
        """Register an API user."""
        with self.lock:
            self.auth.add_user(user)

    def deactivate_user(self, user_id: str) -> None:
        """Make an API user inactive. Raises KeyError for one that is not active."""
        with self.lock:
            self.auth.deactivate_user(user_id)

    def set_hash_key(self, key: str | None) -> None:
        """Set the account's APIHashKey, by which requests are signed; None: nobody may sign them."""
        with self.lock:
            self.auth.hash_key = key

    def register_certificate(self, certificate: bytes, client_id: str = CLIENT_ID) -> None:
        """Let a client certificate (DER) stand in for an OAuth client's secret. Only a server with TLS that
        asks for certificates ever sees one."""
        with self.lock:
            self.auth.add_certificate(client_id, certificate)

    def revoke_tokens(self) -> None:
        """Make every access token given out so far invalid."""
        with self.lock:
            self.auth.revoke_tokens()

    def forbid(self, operation: str) -> None:
        """Take away the permission for an operation (its id): it answers 403."""
        with self.lock:
            self._forbidden.add(operation)

    def permit(self, operation: str) -> None:
        """Give the permission back."""
        with self.lock:
            self._forbidden.discard(operation)

    def forbidden(self, operation: str) -> bool:
        """Whether an operation was forbidden."""
        return operation in self._forbidden

    def begin_write(self, profile: Profile) -> None:
        """Note how a profile reads before an API write, for as long as `write_lag_seconds` has it."""
        if self.switches.write_lag_seconds <= 0:
            return
        until = self.clock.now() + timedelta(seconds=self.switches.write_lag_seconds)
        shown, _ = self.as_read(profile)
        self._lagging[profile.profile_id] = (until, snapshot(shown))

    def as_read(self, profile: Profile) -> tuple[Profile, bool]:
        """The profile as reads show it now, and whether an update is pending."""
        lagging = self._lagging.get(profile.profile_id)
        if lagging is None:
            return profile, False
        until, former = lagging
        if self.clock.now() >= until:
            del self._lagging[profile.profile_id]
            return profile, False
        return former, True

    def _get(self, profile_id: int) -> Profile:
        profile = self.registry.get(profile_id)
        if profile is None:
            raise KeyError(f"no profile {profile_id}")
        return profile

    def _choose(self, profile: Profile, draft: PreferenceDraft, address: str | None, actor: Actor) -> bool:
        element: Element | None = None
        kind = draft.filter.kind
        if kind is not None:
            element = (
                profile.element(kind, element_key(kind, address, {})) if address else profile.default(kind)
            )
            if element is None:
                raise KeyError(
                    f"profile {profile.profile_id} has no such address for {draft.filter.filter_id}"
                )
        return self.choices.put_preference(profile, element, draft, actor)

    def _preference(
        self, filter_id: str, choice: bool | str, when: datetime | None = None, frequency: str | None = None
    ) -> PreferenceDraft:
        wanted = self.config.filter(filter_id)
        if wanted is None:
            raise ValueError(f"no filter {filter_id!r} is configured")
        if frequency is not None and frequency not in wanted.frequencies:
            raise ValueError(f"filter {filter_id!r} has no frequency {frequency!r}")
        if choice not in (True, False, "opted_in", "opted_out"):
            raise ValueError(f"{choice!r} is not a choice; use a bool, 'opted_in' or 'opted_out'")
        opted_in = choice in (True, "opted_in")
        return PreferenceDraft(
            wanted, opted_in, self._when(when), frequency or wanted.default_frequency, None
        )

    def _consent(
        self,
        type_name: str,
        status: int | str,
        when: datetime | None,
        version: str | None = None,
        locale: str | None = None,
    ) -> ConsentDraft:
        known = self.config.consent_type(type_name)
        numbers = {name.lower(): number for number, name in CONSENT_STATUS.items()}
        number = status if isinstance(status, int) else numbers.get(status.lower(), 0)
        if known is None or number not in CONSENT_STATUS:
            raise ValueError(f"no consent {type_name!r} with status {status!r} is configured")
        chosen = next((item for item in known.versions if version in (None, item.version)), None)
        if chosen is None or (locale is not None and locale not in chosen.locales):
            raise ValueError(f"consent {type_name!r} has no version {version!r} in locale {locale!r}")
        return ConsentDraft(
            known.type_name, chosen.version, locale or chosen.locales[0], number, self._when(when)
        )

    def _when(self, when: datetime | None) -> datetime:
        if when is None:
            return self.now()
        if when.tzinfo is None:
            raise ValueError("a time of choice needs a zone; add tzinfo=UTC")
        return to_milliseconds(when.astimezone(UTC))


def _people(quiet: bool = False) -> Actor:
    return Actor(PREFERENCE_CENTER, quiet)


def _email(item: str | tuple[str, str]) -> ElementDraft:
    return ElementDraft(item) if isinstance(item, str) else ElementDraft(item[1], item[0])
