"""Records as the documents the service answers with."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from bridge.sandbox.mypreferences.config import Config, Filter
from bridge.sandbox.mypreferences.dates import write_moment
from bridge.sandbox.mypreferences.records import (
    KINDS,
    PHONE,
    Consent,
    Element,
    Preference,
    Profile,
    User,
)

EXPRESSED, IMPLIED = "Expressed", "Implied"


class Render:
    """Builds documents for one account."""

    def __init__(self, config: Config) -> None:
        self._config = config

    def profile(
        self,
        profile: Profile,
        implied: bool = True,
        history: bool = True,
        pending: bool = False,
        archived: bool = False,
    ) -> dict[str, Any]:
        """A Profile; `implied`, `history` and `archived` add inherited, former and archived items."""
        document: dict[str, Any] = {
            "ProfileId": profile.profile_id,
            "IsActive": profile.is_active,
            "Status": "Pending Update" if pending else "Complete",
            "RegistrationConfirmed": profile.registration_confirmed,
            "CustomerType": profile.customer_type,
            "PreserveConsents": profile.preserve_consents,
            "PreservePreferences": profile.preserve_preferences,
            "CustomerName": profile.name,
            "DefaultLocale": profile.locale,
            "AlternateIds": [
                {"AlternateIdType": name, "AlternateId": value, "IsActive": True}
                for name, value in profile.alternate_ids.items()
            ],
            **{
                kind.collection: [
                    self.element(profile, item, implied, history, archived)
                    for item in profile.of_kind(kind)
                    if item.is_active
                ]
                for kind in KINDS
            },
            "ProfilePreferences": self._preferences(profile, None, implied, archived),
            "Consents": consents(profile.consents, history),
            "CustomFields": [],
            "Groups": [],
            "ProfileTags": [],
            "Edited": {
                "CreatedBy": profile.created_by.user_id,
                "CreatedDate": write_moment(profile.created),
                "ModifiedBy": profile.modified_by.user_id,
                "ModifiedDate": write_moment(profile.modified),
            },
        }
        document.update(profile.extras)
        return document

    def element(
        self, profile: Profile, element: Element, implied: bool, history: bool, archived: bool = False
    ) -> dict[str, Any]:
        """A contact element with its preferences and consents."""
        return {
            **element_data(element),
            "Edited": edited(element.created, element.modified, element.user),
            element.kind.preferences_field: self._preferences(profile, element, implied, archived),
            "Consents": consents(element.consents, history),
        }

    def preference(
        self,
        profile: Profile,
        preference: Preference,
        match_type: str = EXPRESSED,
        filter_id: str | None = None,
    ) -> dict[str, Any]:
        """A ProfilePreference; `filter_id` stands in for the filter that inherits it."""
        own = filter_id or preference.filter_id
        wanted, program = self._config.filter(own), self._config.program_of(own)
        document: dict[str, Any] = {
            "FilterId": own,
            "PreferenceType": 1 if preference.opted_in else 2,
            "PreferenceAttributes": [
                {"Key": key, "Value": value} for key, value in preference.attributes.items()
            ],
            "CustomerDate": write_moment(preference.customer_date),
            "ProgramId": program.program_id if program else "",
            "ChannelId": wanted.channel if wanted else "",
            "Consents": self._associated(profile, own),
            "MatchType": match_type,
            "ReasonCode": preference.attributes.get("$Reason_Code", ""),
            "ExpirationDate": "",
            "PreferenceStatus": "Archived" if preference.archived else "Active",
            "LastModifiedDate": write_moment(preference.modified),
            "UserId": preference.user.user_id,
            "SourceId": preference.user.source_id,
        }
        if preference.frequency is not None:
            document["FrequencyId"] = preference.frequency
        return document

    def _preferences(
        self, profile: Profile, element: Element | None, implied: bool, archived: bool
    ) -> list[dict[str, Any]]:
        held = profile.held(element)
        stated = [item for item in held.values() if archived or not item.archived]
        documents = [self.preference(profile, item) for item in stated]
        if implied:
            documents += self._inherited(profile, held)
        return documents

    def _inherited(self, profile: Profile, held: dict[str, Preference]) -> list[dict[str, Any]]:
        """Choices taken over from a filter above where the person stated none (Preference Propagation)."""
        found = []
        for wanted in self._config.filters():
            if _live(held, wanted.filter_id) is None:
                source = self._source(held, wanted)
                if source is not None:
                    found.append(self.preference(profile, source, IMPLIED, wanted.filter_id))
        return found

    def _source(self, held: dict[str, Preference], wanted: Filter) -> Preference | None:
        """The nearest stated preference further up."""
        above = self._config.filter(wanted.parent) if wanted.parent else None
        if above is None:
            return None
        return _live(held, above.filter_id) or self._source(held, above)

    def _associated(self, profile: Profile, filter_id: str) -> list[dict[str, Any]]:
        found = []
        for consent_type in self._config.consents_of(filter_id):
            current = profile.consent(consent_type)
            if current is not None and any(
                key[:2] == (consent_type, filter_id) for key in profile.associations
            ):
                found.append(
                    {
                        "ConsentType": consent_type,
                        "ConsentVersion": current.version,
                        "ConsentStatus": current.status,
                    }
                )
        return found


def preference_data(element: Element | None, document: dict[str, Any]) -> dict[str, Any]:
    """The Data of a preference event: the contact element and the preference's document."""
    if element is None:
        return document
    kind = element.kind
    held = {kind.type_field: element.type_name, kind.value_field: element.value}
    return {"ContactType": kind.name, **held, **document}


def _live(held: dict[str, Preference], filter_id: str) -> Preference | None:
    found = held.get(filter_id)
    return None if found is None or found.archived else found


def element_data(element: Element) -> dict[str, Any]:
    """The Data of a contact event."""
    kind = element.kind
    document: dict[str, Any] = {
        kind.type_field: element.type_name,
        kind.value_field: element.value,
        **element.details,
        "IsDefault": element.is_default,
        "IsActive": element.is_active,
    }
    if kind is PHONE:
        document["PhoneNumberNumeric"] = int(element.key)
        document.setdefault("IsMobile", False)
    return document


def consent(item: Consent) -> dict[str, Any]:
    """A CustomerConsent."""
    return {
        "ConsentType": item.consent_type,
        "ConsentVersion": item.version,
        "Locale": item.locale,
        "ConsentStatus": item.status,
        "ConsentDate": write_moment(item.date),
        "ExpirationDate": None,
        "Expired": False,
        "Edited": edited(item.created, item.modified, item.user),
    }


def consents(items: Iterable[Consent], history: bool) -> list[dict[str, Any]]:
    """Consents by type, version and modified date; former ones only with `history`."""
    shown = [item for item in items if history or item.active]
    shown.sort(key=lambda item: (item.consent_type, item.version, item.modified, item.active))
    return [consent(item) for item in shown]


def edited(created: Any, modified: Any, user: User) -> dict[str, Any]:
    """An EditInfo: system fields of creation and change."""
    return {
        "CreatedDate": write_moment(created),
        "ModifiedBy": user.user_id,
        "ModifiedDate": write_moment(modified),
    }
