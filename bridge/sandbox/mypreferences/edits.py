"""One change of a profile, and the events it raises."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from bridge.sandbox.mypreferences import render
from bridge.sandbox.mypreferences.account import MyPreferencesAccount
from bridge.sandbox.mypreferences.events import ProfileEvent
from bridge.sandbox.mypreferences.records import (
    AccountUser,
    Holder,
    StoredConsent,
    StoredContactPoint,
    StoredPreference,
    StoredProfile,
    WriteAuthor,
)

SYSTEM = AccountUser("system", "SYSTEM")
"""The author of what nobody did: inherited choices."""


@dataclass(frozen=True, slots=True)
class ProfileEdit:
    """What an author changes of a profile. The account's lock must be held.

    Most methods record events. A preference or consent belongs to a holder: the profile, or a contact point.
    """

    account: MyPreferencesAccount
    profile: StoredProfile
    author: WriteAuthor

    @property
    def now(self) -> datetime:
        """The sandbox's present."""
        return self.account.now()

    def touch(self) -> None:
        """Note that the profile was changed."""
        self.profile.modified, self.profile.modified_by = self.now, self.author.user

    def drop_alternate_id(self, type_name: str) -> None:
        """Remove an alternate id from the profile."""
        value = self.profile.alternate_ids.pop(type_name)
        self.account.profiles.unindex_alternate_id(self.profile, type_name, value)

    def profile_event(self, event_type: str, *, whole: bool = False) -> None:
        """A ProfileActions event. Its data is the profile's id, or the `whole` profile."""
        if not self.author.quiet:
            data = {"ProfileId": self.profile.profile_id}
            document = render.profile(self.account.config, self.profile) if whole else data
            self._record("ProfileActions", event_type, document)

    def contact_event(
        self, change: str, point: StoredContactPoint, previous: Mapping[str, Any] | None = None
    ) -> None:
        """A Contacts event: a contact point was added, updated or deleted."""
        event_type = f"contacts.{point.kind.event}.{change}"
        self._record("Contacts", event_type, render.contact_point_data(point), point.type_name, previous)

    def alternate_id_event(self, type_name: str, value: str, former: str | None) -> None:
        """A Contacts event: an alternate id was added, or updated when there is a `former` one."""
        data = {"AlternateIdType": type_name, "AlternateId": value}
        if former is None:
            self._record("Contacts", "contacts.alternateid.added", data, type_name)
        else:
            previous = {**data, "AlternateId": former}
            self._record("Contacts", "contacts.alternateid.updated", data, type_name, previous)

    def preference_event(self, change: str, holder: Holder, preference: StoredPreference) -> None:
        """A Preferences event (added, updated or archived), and those of the choices inherited from it."""
        if self.author.quiet:
            return
        self._preference_event(change, holder, preference, preference.filter_id, self.author)
        if self.account.switches.propagation_raises_events:
            self._inherited_events(change, holder, preference, preference.filter_id)

    def consent_event(self, change: str, holder: Holder, consent: StoredConsent) -> None:
        """A Consents event: added, updated or deactivated, on the profile or on a contact point."""
        data = render.consent(consent)
        event_type = f"consent.{change}"
        if isinstance(holder, StoredContactPoint):
            event_type = f"consent.elementassociation.{'created' if change == 'added' else change}"
            data = {**render.contact_point_data(holder), **data}
        self._record("Consents", event_type, data, consent.consent_type)

    def association_event(self, change: str, filter_id: str, consent: Mapping[str, Any]) -> None:
        """A Consents event of an association of consent and filter: created, updated or deactivated."""
        data = {"FilterId": filter_id, **consent}
        instance = str(consent["ConsentType"])
        self._record("Consents", f"consent.filterassociation.{change}", data, instance)

    def _inherited_events(
        self, change: str, holder: Holder, preference: StoredPreference, parent: str
    ) -> None:
        """The same, for filters below on which the person stated nothing."""
        for filter_id in self.account.config.children(parent):
            own = holder.preferences.get(filter_id)
            if own is None or own.archived:
                self._preference_event(change, holder, preference, filter_id, WriteAuthor(SYSTEM))
                self._inherited_events(change, holder, preference, filter_id)

    def _preference_event(
        self, change: str, holder: Holder, preference: StoredPreference, filter_id: str, author: WriteAuthor
    ) -> None:
        data = render.preference(self.account.config, self.profile, preference, inherited_by=filter_id)
        if isinstance(holder, StoredContactPoint):
            kind = holder.kind
            named = {kind.type_field: holder.type_name, kind.value_field: holder.value}
            data = {"ContactType": kind.name, **named, **data}
        event = ProfileEvent("Preferences", f"preference.{change}", data, filter_id)
        self.account.events.record(self.profile, event, author)

    def _record(
        self,
        entity: str,
        event_type: str,
        data: Mapping[str, Any],
        instance: str = "",
        previous: Mapping[str, Any] | None = None,
    ) -> None:
        event = ProfileEvent(entity, event_type, data, instance, previous)
        self.account.events.record(self.profile, event, self.author)
