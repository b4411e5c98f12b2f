"""Stored people as the documents the service answers with, and plainly, for checks."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from bridge.sandbox.mypreferences.config import AccountConfig
from bridge.sandbox.mypreferences.dates import write_moment
from bridge.sandbox.mypreferences.records import (
    CONSENT_STATUS,
    EMAIL,
    KINDS,
    PHONE,
    AccountUser,
    Holder,
    StoredConsent,
    StoredContactPoint,
    StoredPreference,
    StoredProfile,
)


def profile(
    config: AccountConfig,
    stored: StoredProfile,
    *,
    implied: bool = True,
    history: bool = True,
    pending: bool = False,
    archived: bool = False,
) -> dict[str, Any]:
    """A Profile; `implied`, `history` and `archived` add inherited, former and archived items."""

    def point(item: StoredContactPoint) -> dict[str, Any]:
        return {
            **contact_point_data(item),
            "Edited": edited(item.created, item.modified, item.user),
            item.kind.preferences_field: preferences(config, stored, item, implied, archived),
            "Consents": consents(item.consents, history),
        }

    return {
        "ProfileId": stored.profile_id,
        "IsActive": stored.is_active,
        "Status": "Pending Update" if pending else "Complete",
        "RegistrationConfirmed": stored.registration_confirmed,
        "CustomerType": stored.customer_type,
        "PreserveConsents": stored.preserve_consents,
        "PreservePreferences": stored.preserve_preferences,
        "CustomerName": stored.name,
        "DefaultLocale": stored.locale,
        "AlternateIds": [
            {"AlternateIdType": name, "AlternateId": value, "IsActive": True}
            for name, value in stored.alternate_ids.items()
        ],
        **{
            kind.collection: [point(item) for item in stored.of_kind(kind) if item.is_active]
            for kind in KINDS
        },
        "ProfilePreferences": preferences(config, stored, stored, implied, archived),
        "Consents": consents(stored.consents, history),
        "CustomFields": [],
        "Groups": [],
        "ProfileTags": [],
        "Edited": {
            "CreatedBy": stored.created_by.user_id,
            **edited(stored.created, stored.modified, stored.modified_by),
        },
        **stored.extras,
    }


def preferences(
    config: AccountConfig, stored: StoredProfile, holder: Holder, implied: bool, archived: bool
) -> list[dict[str, Any]]:
    """What is stated of a holder; `implied` adds choices inherited from a filter above where nothing was
    stated (Preference Propagation)."""
    stated = [item for item in holder.preferences.values() if archived or not item.archived]
    documents = [preference(config, stored, item) for item in stated]
    for wanted in config.filters() if implied else ():
        if _live(holder, wanted.filter_id) is None:
            source = _inherited(config, holder, wanted.parent)
            if source is not None:
                documents.append(preference(config, stored, source, inherited_by=wanted.filter_id))
    return documents


def preference(
    config: AccountConfig, stored: StoredProfile, item: StoredPreference, *, inherited_by: str = ""
) -> dict[str, Any]:
    """A ProfilePreference, of the filter it was stated for or of one that inherits it."""
    filter_id = inherited_by or item.filter_id
    wanted, program = config.filter(filter_id), config.program_of(filter_id)
    document: dict[str, Any] = {
        "FilterId": filter_id,
        "PreferenceType": 1 if item.opted_in else 2,
        "PreferenceAttributes": [{"Key": key, "Value": value} for key, value in item.attributes.items()],
        "CustomerDate": write_moment(item.customer_date),
        "ProgramId": program.program_id if program else "",
        "ChannelId": wanted.channel if wanted else "",
        "Consents": _associated(config, stored, filter_id),
        "MatchType": "Expressed" if filter_id == item.filter_id else "Implied",
        "ReasonCode": item.attributes.get("$Reason_Code", ""),
        "ExpirationDate": "",
        "PreferenceStatus": "Archived" if item.archived else "Active",
        "LastModifiedDate": write_moment(item.modified),
        "UserId": item.user.user_id,
        "SourceId": item.user.source_id,
    }
    if item.frequency is not None:
        document["FrequencyId"] = item.frequency
    return document


def contact_point_data(point: StoredContactPoint) -> dict[str, Any]:
    """A contact point without what was chosen for it: the Data of a contact event."""
    kind = point.kind
    document: dict[str, Any] = {
        kind.type_field: point.type_name,
        kind.value_field: point.value,
        **point.details,
        "IsDefault": point.is_default,
        "IsActive": point.is_active,
    }
    if kind is PHONE:
        document["PhoneNumberNumeric"] = int(point.key)
        document.setdefault("IsMobile", False)
    return document


def consent(item: StoredConsent) -> dict[str, Any]:
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


def consents(items: Iterable[StoredConsent], history: bool) -> list[dict[str, Any]]:
    """Consents by type, version and modified date; former ones only with `history`."""
    shown = [item for item in items if history or item.active]
    shown.sort(key=lambda item: (item.consent_type, item.version, item.modified, item.active))
    return [consent(item) for item in shown]


def consent_reference(item: StoredConsent) -> dict[str, Any]:
    """A consent as it stands beside what it is associated with."""
    return {
        "ConsentType": item.consent_type,
        "ConsentVersion": item.version,
        "ConsentStatus": item.status,
    }


def edited(created: datetime, modified: datetime, user: AccountUser) -> dict[str, Any]:
    """An EditInfo: system fields of creation and change."""
    return {
        "CreatedDate": write_moment(created),
        "ModifiedBy": user.user_id,
        "ModifiedDate": write_moment(modified),
    }


def stored_person(stored: StoredProfile) -> dict[str, Any]:
    """What the sandbox really holds, for checks: choices by filter for each address, profile-level choices,
    consents by type."""
    return {
        "profile_id": stored.profile_id,
        "is_active": stored.is_active,
        "alternate_ids": dict(stored.alternate_ids),
        "emails": [
            {
                "type": email.type_name,
                "address": email.value,
                "is_active": email.is_active,
                "is_default": email.is_default,
                "preferences": _stored_preferences(email),
            }
            for email in stored.of_kind(EMAIL)
        ],
        "preferences": _stored_preferences(stored),
        "consents": [
            {
                "type": item.consent_type,
                "version": item.version,
                "locale": item.locale,
                "status": CONSENT_STATUS[item.status],
                "date": write_moment(item.date),
                "user_id": item.user.user_id,
            }
            for item in stored.consents
            if item.active
        ],
    }


def _stored_preferences(holder: Holder) -> dict[str, dict[str, Any]]:
    return {
        name: {
            "choice": "unset" if item.archived else "opted_in" if item.opted_in else "opted_out",
            "archived": item.archived,
            "frequency": item.frequency,
            "customer_date": write_moment(item.customer_date),
            "modified": write_moment(item.modified),
            "user_id": item.user.user_id,
        }
        for name, item in holder.preferences.items()
    }


def _inherited(config: AccountConfig, holder: Holder, parent: str | None) -> StoredPreference | None:
    """The nearest stated preference, from a filter upwards."""
    above = config.filter(parent) if parent else None
    if above is None:
        return None
    return _live(holder, above.filter_id) or _inherited(config, holder, above.parent)


def _live(holder: Holder, filter_id: str) -> StoredPreference | None:
    found = holder.preferences.get(filter_id)
    return None if found is None or found.archived else found


def _associated(config: AccountConfig, stored: StoredProfile, filter_id: str) -> list[dict[str, Any]]:
    associated = {consent_type for consent_type, name, _ in stored.associations if name == filter_id}
    current = [stored.consent(name) for name in config.consents_of(filter_id) if name in associated]
    return [consent_reference(item) for item in current if item is not None]
