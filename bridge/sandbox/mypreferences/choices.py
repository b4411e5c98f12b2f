"""Storing preferences and consents, and what the two do to each other.

Each function changes what a holder has: the profile of the edit, or one of its contact points.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime

from bridge.sandbox.mypreferences import render
from bridge.sandbox.mypreferences.edits import ProfileEdit
from bridge.sandbox.mypreferences.records import (
    GRANTED,
    REVOKED,
    Holder,
    StoredConsent,
    StoredContactPoint,
    StoredPreference,
    StoredProfile,
)
from bridge.sandbox.mypreferences.requests import ConsentRequest, PreferenceRequest

_REASON = "Consent revoked"


def put_preference(edit: ProfileEdit, holder: Holder, request: PreferenceRequest) -> bool:
    """Store a preference; False when the stored one is newer and stays (the answer is 200 all the same)."""
    switches = edit.account.switches
    stored = holder.preferences.get(request.filter.filter_id)
    live = stored if stored is not None and not stored.archived else None
    if live is not None and request.date < live.customer_date and not switches.honour_older_dates:
        return False
    kept = {} if live is None else live.attributes
    made = StoredPreference(
        request.filter.filter_id,
        request.opted_in,
        request.date,
        edit.now,
        edit.author.user,
        request.frequency,
        kept if request.attributes is None else dict(request.attributes),
    )
    _store(edit, holder, made)
    if live is None:
        edit.preference_event("added", holder, made)
    elif switches.repeat_raises_event or replace(live, modified=made.modified, user=made.user) != made:
        edit.preference_event("updated", holder, made)
    _after_preference(edit, holder, made)
    return True


def archive(edit: ProfileEdit, holder: Holder, preference: StoredPreference, reason: str = "") -> None:
    """Take a preference out of ordinary reads. Does nothing to an archived one."""
    if preference.archived:
        return
    attributes = {**preference.attributes, "$Reason_Code": reason} if reason else preference.attributes
    made = replace(preference, archived=True, attributes=attributes, modified=edit.now, user=edit.author.user)
    _store(edit, holder, made)
    edit.preference_event("archived", holder, made)


def archive_all(edit: ProfileEdit, point: StoredContactPoint, channel: str = "") -> None:
    """Archive the preferences of a contact point, of one channel only where that is named."""
    for preference in list(point.preferences.values()):
        wanted = edit.account.config.filter(preference.filter_id)
        if not channel or (wanted is not None and wanted.channel.lower() == channel):
            archive(edit, point, preference)


def put_consent(edit: ProfileEdit, holder: Holder, request: ConsentRequest) -> bool:
    """Store a consent; False when a newer one stays."""
    same = [
        item
        for item in holder.consents
        if item.active and (item.consent_type, item.version) == (request.consent_type, request.version)
    ]
    if not edit.account.switches.honour_older_dates and any(request.date < item.date for item in same):
        return False
    current = next((item for item in same if item.locale == request.locale), None)
    before = current.status if current else None
    for item in same:
        if item.locale != request.locale:
            before = item.status
            deactivate_consent(edit, holder, item)
    if current is None:
        now = edit.now
        current = StoredConsent(
            request.consent_type,
            request.version,
            request.locale,
            request.status,
            request.date,
            now,
            now,
            edit.author.user,
        )
        holder.consents.append(current)
        edit.consent_event("added", holder, current)
    else:
        _restate(edit, holder, current, request.status, request.date)
        if before != current.status:
            edit.consent_event("updated", holder, current)
    edit.touch()
    if isinstance(holder, StoredProfile):
        _after_consent(edit, current, before)
    return True


def deactivate_consent(edit: ProfileEdit, holder: Holder, consent: StoredConsent) -> None:
    """Make a consent history."""
    consent.active = False
    consent.modified, consent.user = edit.now, edit.author.user
    edit.consent_event("deactivated", holder, consent)


def deactivate_consents(edit: ProfileEdit, point: StoredContactPoint) -> None:
    """Make all consents of a contact point history."""
    for consent in point.consents:
        if consent.active:
            deactivate_consent(edit, point, consent)


def keep_only(
    edit: ProfileEdit,
    holder: Holder,
    preferences: Iterable[PreferenceRequest],
    consents: Iterable[ConsentRequest],
) -> None:
    """Archive and deactivate what a holder has and a replacement leaves out."""
    stated = {item.filter.filter_id for item in preferences}
    for preference in list(holder.preferences.values()):
        if preference.filter_id not in stated:
            archive(edit, holder, preference)
    given = {(item.consent_type, item.version) for item in consents}
    for consent in holder.consents:
        if consent.active and (consent.consent_type, consent.version) not in given:
            deactivate_consent(edit, holder, consent)


def associate(edit: ProfileEdit, consent: StoredConsent, filter_id: str, type_name: str) -> None:
    """Associate a consent with the preferences of a filter on contact points of a type, or on the profile."""
    edit.profile.dissociated.discard((consent.consent_type, filter_id))
    _note_association(edit, consent, (consent.consent_type, filter_id, type_name))


def dissociate(edit: ProfileEdit, consent_type: str, filter_id: str) -> bool:
    """Separate every version of a consent from a filter; False where they were not associated."""
    profile = edit.profile
    keys = [key for key in profile.associations if key[:2] == (consent_type, filter_id)]
    current = profile.consent(consent_type)
    data = {"ConsentType": consent_type} if current is None else render.consent(current)
    for key in keys:
        del profile.associations[key]
        edit.association_event("deactivated", filter_id, data)
    profile.dissociated.add((consent_type, filter_id))
    return bool(keys)


def _store(edit: ProfileEdit, holder: Holder, made: StoredPreference) -> None:
    if made.filter_id in holder.preferences:
        holder.superseded.append(holder.preferences[made.filter_id])
    holder.preferences[made.filter_id] = made
    edit.touch()


def _restate(edit: ProfileEdit, holder: Holder, consent: StoredConsent, status: int, date: datetime) -> None:
    """Change a consent in place, leaving its former state behind as history."""
    if consent.status != status:
        holder.consents.append(replace(consent, active=False))
    consent.status, consent.date = status, date
    consent.modified, consent.user = edit.now, edit.author.user


def _after_preference(edit: ProfileEdit, holder: Holder, cause: StoredPreference) -> None:
    """An opt-out turns an associated Granted consent to Revoked (MyPreferences `consent.updated`).

    The other preferences associated with that consent are archived; the opt-out itself stays readable.
    """
    profile, filter_id = edit.profile, cause.filter_id
    coupled = [
        name
        for name in edit.account.config.consents_of(filter_id)
        if (name, filter_id) not in profile.dissociated
    ]
    stated = [key[0] for key in profile.associations if key[1:] == (filter_id, holder.type_name)]
    for consent_type in dict.fromkeys([*coupled, *stated]):
        if not cause.opted_in:
            _revoke(edit, consent_type, cause)
        _note_associations(edit, consent_type, filter_id)


def _revoke(edit: ProfileEdit, consent_type: str, cause: StoredPreference) -> None:
    """Revoke what of a consent type is granted, and archive what is associated with it except the cause."""
    profile = edit.profile
    for consent in list(profile.consents):
        if consent.active and consent.consent_type == consent_type and consent.status == GRANTED:
            _restate(edit, profile, consent, REVOKED, max(cause.customer_date, consent.date))
            edit.consent_event("updated", profile, consent)
            _archive_associated(edit, consent_type, cause)


def _after_consent(edit: ProfileEdit, consent: StoredConsent, before: int | None) -> None:
    """A revocation archives the preferences associated with the consent (MyPreferences
    `preference.archived`)."""
    for filter_id in dict.fromkeys(name for name, _ in _associated_filters(edit, consent.consent_type)):
        _note_associations(edit, consent.consent_type, filter_id)
    if consent.status == REVOKED and before != REVOKED:
        _archive_associated(edit, consent.consent_type, None)


def _archive_associated(edit: ProfileEdit, consent_type: str, cause: StoredPreference | None) -> None:
    for filter_id, type_name in _associated_filters(edit, consent_type):
        _note_associations(edit, consent_type, filter_id)
        for holder, preference in list(edit.profile.live_preferences(filter_id)):
            if preference is not cause and type_name in (None, holder.type_name):
                archive(edit, holder, preference, _REASON)


def _associated_filters(edit: ProfileEdit, consent_type: str) -> list[tuple[str, str | None]]:
    """Filters associated with a consent, with the type of contact they are associated for (None: any): by the
    account's configuration, and by this profile's associations."""
    profile = edit.profile
    coupled: list[tuple[str, str | None]] = [
        (filter_id, None)
        for filter_id in edit.account.config.filters_of(consent_type)
        if (consent_type, filter_id) not in profile.dissociated
    ]
    return coupled + [(name, kind) for held, name, kind in profile.associations if held == consent_type]


def _note_associations(edit: ProfileEdit, consent_type: str, filter_id: str) -> None:
    """Associate consent and preferences once both are there; report when the consent's status changes."""
    profile = edit.profile
    consent = profile.consent(consent_type)
    if consent is None:
        return
    known = [key for key in profile.associations if key[:2] == (consent_type, filter_id)]
    live = [(consent_type, filter_id, holder.type_name) for holder, _ in profile.live_preferences(filter_id)]
    for key in [*known, *live]:
        _note_association(edit, consent, key)


def _note_association(edit: ProfileEdit, consent: StoredConsent, key: tuple[str, str, str]) -> None:
    known = edit.profile.associations.get(key)
    if known != consent.status:
        edit.profile.associations[key] = consent.status
        change = "created" if known is None else "updated"
        edit.association_event(change, key[1], render.consent(consent))
