"""The emulated account, and the Python API by which tests and demos act as people or other systems."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from bridge.sandbox.mypreferences import choices, contact_points, profiles, render
from bridge.sandbox.mypreferences.account import (
    CLIENT_ID,
    PREFERENCE_CENTER,
    STAFF,
    MyPreferencesAccount,
    Segment,
    SegmentGroup,
)
from bridge.sandbox.mypreferences.dates import to_milliseconds
from bridge.sandbox.mypreferences.edits import ProfileEdit
from bridge.sandbox.mypreferences.records import (
    EMAIL,
    AccountUser,
    Holder,
    StoredProfile,
    WriteAuthor,
    contact_key,
)
from bridge.sandbox.mypreferences.requests import (
    ConsentRequest,
    ContactPointRequest,
    PreferenceRequest,
    ProfileRequest,
    consent_status,
)

Choice = tuple[Any, ...]
"""(choice, when[, frequency]); choice is a bool, "opted_in" or "opted_out"; when may be None."""


class MyPreferencesState(MyPreferencesAccount):
    """The emulated account as people and other systems change it. All methods are thread-safe.

    A method about a profile that does not exist raises KeyError; one that names a filter or consent type that
    is not configured raises ValueError.
    """

    def add_profile(
        self,
        emails: Iterable[str | tuple[str, str]] = (),
        alternate_ids: Mapping[str, str] | None = None,
        preferences: Mapping[str, Choice] | None = None,
        consents: Mapping[str, tuple[int | str, datetime | None]] | None = None,
        quiet: bool = True,
    ) -> int:
        """Add a person; returns the profile id. `emails` are addresses or (type, address) pairs.

        Preferences of contact channels belong to the first address. `quiet` raises no events.
        """
        with self.lock:
            stated = [self._preference(name, *choice) for name, choice in (preferences or {}).items()]
            request = ProfileRequest(
                alternate_ids=dict(alternate_ids or {}),
                points=[_email(item) for item in emails],
                preferences=[item for item in stated if item.filter.kind is None],
                consents=[self._consent(name, *given) for name, given in (consents or {}).items()],
            )
            on_address = tuple(item for item in stated if item.filter.kind is not None)
            if on_address and not request.points:
                raise ValueError(f"filter {on_address[0].filter.filter_id!r} needs an address")
            if on_address:
                request.points[0] = replace(request.points[0], preferences=on_address)
            return profiles.create_profile(self, request, WriteAuthor(PREFERENCE_CENTER, quiet)).profile_id

    def set_preference(
        self,
        profile_id: int,
        filter_id: str,
        opted_in: bool,
        when: datetime | None = None,
        frequency: str | None = None,
        email: str | None = None,
        user: AccountUser = PREFERENCE_CENTER,
        attributes: Mapping[str, str] | None = None,
    ) -> bool:
        """State a choice (for `email`, else the default address); False when a newer one stays."""
        with self.lock:
            edit = self._edit(profile_id, user)
            request = replace(self._preference(filter_id, opted_in, when, frequency), attributes=attributes)
            return choices.put_preference(edit, _holder(edit.profile, request, email), request)

    def set_consent(
        self,
        profile_id: int,
        type_name: str,
        status: int | str,
        when: datetime | None = None,
        version: str | None = None,
        locale: str | None = None,
        user: AccountUser = PREFERENCE_CENTER,
    ) -> bool:
        """State a consent of the profile (first configured version and locale unless given)."""
        with self.lock:
            edit = self._edit(profile_id, user)
            request = self._consent(type_name, status, when, version, locale)
            return choices.put_consent(edit, edit.profile, request)

    def import_opt_ins(self, emails: Iterable[str], filter_ids: Iterable[str]) -> list[int]:
        """The owner's staff imports a file of opt-ins, all dated this instant. An unknown address becomes a
        profile. Returns the profiles' ids."""
        with self.lock:
            now, stated = self.now(), dict.fromkeys(filter_ids, (True, None))
            ids: list[int] = []
            for email in emails:
                known = self.find(email)
                ids += known or [self.add_profile([email], preferences=stated, quiet=False)]
                for profile_id, filter_id in itertools.product(known, stated):
                    self.set_preference(profile_id, filter_id, True, now, email=email, user=STAFF)
            return ids

    def lose_subscriptions(self) -> None:
        """Another administrator deletes every webhook subscription: events are neither kept nor found."""
        with self.lock:
            for subscription in self.subscriptions:
                self.subscriptions.delete(subscription.subscription_id)

    def archive(
        self, profile_id: int, filter_id: str, reason: str = "", user: AccountUser = PREFERENCE_CENTER
    ) -> None:
        """Archive every preference of the profile for a filter."""
        with self.lock:
            edit = self._edit(profile_id, user)
            for holder, preference in list(edit.profile.live_preferences(filter_id)):
                choices.archive(edit, holder, preference, reason)

    def add_email(self, profile_id: int, address: str, email_type: str | None = None) -> None:
        """Add an address."""
        with self.lock:
            request = ProfileRequest(points=[ContactPointRequest(address, email_type)])
            profiles.update_profile(self._edit(profile_id), request)

    def change_email(self, profile_id: int, old: str, new: str, quiet: bool = False) -> None:
        """Change an address in place; its preferences stay with it. `quiet` raises no events."""
        with self.lock:
            edit = self._edit(profile_id, quiet=quiet)
            point = edit.profile.point(EMAIL, contact_key(EMAIL, old))
            if point is None:
                raise KeyError(f"profile {profile_id} has no such address")
            contact_points.rename(edit, point, new, point.details)
            edit.touch()
            edit.profile_event("profile.updated")

    def remove_email(self, profile_id: int, address: str) -> None:
        """Remove an address from a profile."""
        with self.lock:
            edit = self._edit(profile_id)
            point = edit.profile.point(EMAIL, contact_key(EMAIL, address))
            if point is None:
                raise KeyError(f"profile {profile_id} has no such address")
            contact_points.remove(edit, point)
            edit.touch()
            edit.profile_event("profile.updated")

    def deactivate(self, profile_id: int, reason: str = "") -> None:
        """Deactivate a profile."""
        with self.lock:
            profiles.deactivate_profile(self._edit(profile_id), reason)

    def activate(self, profile_id: int) -> None:
        """Activate a profile again."""
        with self.lock:
            profiles.activate_profile(self._edit(profile_id))

    def delete(self, profile_id: int, reason: str = "") -> None:
        """Delete a profile for good."""
        with self.lock:
            profiles.delete_profile(self._edit(profile_id), reason)

    def profile(self, profile_id: int) -> dict[str, Any]:
        """The profile as a read without implied preferences and history answers it, never lagging."""
        with self.lock:
            return render.profile(self.config, self._get(profile_id), implied=False, history=False)

    def find(self, email: str) -> list[int]:
        """Ids of the profiles, active or not, that hold an address."""
        with self.lock:
            found = self.profiles.by_contact(EMAIL, contact_key(EMAIL, email))
            return [profile.profile_id for profile in found]

    def people(self) -> list[dict[str, Any]]:
        """Everybody, for checks: see `render.stored_person`."""
        with self.lock:
            return [render.stored_person(profile) for profile in self.profiles]

    def add_segment(self, segment: Segment) -> None:
        """Define a segment for export; the API cannot."""
        with self.lock:
            self.segments[segment.name.lower()] = segment

    def add_segment_group(self, group: SegmentGroup) -> None:
        """Define a segment group for export; the API cannot."""
        with self.lock:
            self.segment_groups[group.name.lower()] = group

    def register_certificate(self, certificate: bytes, client_id: str = CLIENT_ID) -> None:
        """Let a client certificate (DER) stand in for an OAuth client's secret. Only a server with TLS that
        asks for certificates ever sees one."""
        with self.lock:
            self.access.add_certificate(client_id, certificate)

    def _edit(
        self, profile_id: int, user: AccountUser = PREFERENCE_CENTER, quiet: bool = False
    ) -> ProfileEdit:
        profile = self._get(profile_id)
        self.begin_change(profile, by_api=False)
        return ProfileEdit(self, profile, WriteAuthor(user, quiet))

    def _get(self, profile_id: int) -> StoredProfile:
        profile = self.profiles.get(profile_id)
        if profile is None:
            raise KeyError(f"no profile {profile_id}")
        return profile

    def _preference(
        self, filter_id: str, choice: bool | str, when: datetime | None = None, frequency: str | None = None
    ) -> PreferenceRequest:
        wanted = self.config.filter(filter_id)
        if wanted is None:
            raise ValueError(f"no filter {filter_id!r} is configured")
        if frequency is not None and frequency not in wanted.frequencies:
            raise ValueError(f"filter {filter_id!r} has no frequency {frequency!r}")
        if choice not in (True, False, "opted_in", "opted_out"):
            raise ValueError(f"{choice!r} is not a choice; use a bool, 'opted_in' or 'opted_out'")
        opted_in = choice in (True, "opted_in")
        return PreferenceRequest(wanted, opted_in, self._date(when), frequency or wanted.default_frequency)

    def _consent(
        self,
        type_name: str,
        status: int | str,
        when: datetime | None,
        version: str | None = None,
        locale: str | None = None,
    ) -> ConsentRequest:
        known, number = self.config.consent_type(type_name), consent_status(status)
        if known is None or number is None:
            raise ValueError(f"no consent {type_name!r} with status {status!r} is configured")
        chosen = next((item for item in known.versions if version in (None, item.version)), None)
        if chosen is None or (locale is not None and locale not in chosen.locales):
            raise ValueError(f"consent {type_name!r} has no version {version!r} in locale {locale!r}")
        return ConsentRequest(
            known.type_name, chosen.version, locale or chosen.locales[0], number, self._date(when)
        )

    def _date(self, when: datetime | None) -> datetime:
        if when is None:
            return self.now()
        if when.tzinfo is None:
            raise ValueError("a time of choice needs a zone; add tzinfo=UTC")
        return to_milliseconds(when.astimezone(UTC))


def _holder(profile: StoredProfile, request: PreferenceRequest, address: str | None) -> Holder:
    kind = request.filter.kind
    if kind is None:
        return profile
    point = profile.point(kind, contact_key(kind, address)) if address else profile.default(kind)
    if point is None:
        raise KeyError(f"profile {profile.profile_id} has no such address for {request.filter.filter_id}")
    return point


def _email(item: str | tuple[str, str]) -> ContactPointRequest:
    return ContactPointRequest(item) if isinstance(item, str) else ContactPointRequest(item[1], item[0])
