"""Operations on what people stated: archiving, consents and their filters, and what was held before."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
from msgspec import Struct

from bridge.sandbox.http import HttpReply, json_reply
from bridge.sandbox.mypreferences import choices, render
from bridge.sandbox.mypreferences.bodies import ConsentBody, ContactPointBody, ContactPointsBody, Text50
from bridge.sandbox.mypreferences.call import NO_CONTENT, MyPreferencesCall, permitted
from bridge.sandbox.mypreferences.config import spelled_as
from bridge.sandbox.mypreferences.records import (
    KINDS,
    Holder,
    StoredConsent,
    StoredContactPoint,
    StoredPreference,
    StoredProfile,
    contact_key,
)
from bridge.sandbox.mypreferences.refusal import invalid, not_found
from bridge.sandbox.mypreferences.requests import RequestChecker

_BASIC = ("ProfileId", "IsActive", "CustomerName", "CustomerType", "DefaultLocale", "AlternateIds")


class ArchivedPreferenceBody(Struct, rename="pascal"):
    """A profile-level preference to be archived."""

    filter_id: Text50
    reason_code: str | None = msgspec.field(name="Reason_Code", default=None)


class ArchiveBody(ContactPointsBody, kw_only=True):
    """What to archive: everything, or preferences by contact point and filter."""

    global_deactivate: bool | None = None
    reason_code: str | None = msgspec.field(name="Reason_Code", default=None)
    profile_preferences: list[ArchivedPreferenceBody] | None = None


def archive_preferences(call: MyPreferencesCall) -> HttpReply:
    """Archive preferences. All is checked before anything is changed."""
    profile = call.profile()
    body = call.body(ArchiveBody)
    wanted: list[ContactPointBody | ArchivedPreferenceBody] = [
        *body.points,
        *(body.profile_preferences or ()),
    ]
    if not wanted and not body.global_deactivate:
        raise invalid("Nothing to archive: name preferences or set GlobalDeactivate.")
    for item in wanted:
        _check(call.account.checker, item)
    edit = call.edit(profile)
    for holder, preference in profile.all_preferences():
        if body.global_deactivate:
            choices.archive(edit, holder, preference, body.reason_code or "")
            continue
        named = next((item for item in wanted if _names(item, holder, preference)), None)
        if named is not None:
            choices.archive(edit, holder, preference, named.reason_code or body.reason_code or "")
    return NO_CONTENT


def _check(checker: RequestChecker, item: ContactPointBody | ArchivedPreferenceBody) -> None:
    if item.filter_id:
        checker.filter(item.filter_id)
    if isinstance(item, ContactPointBody):
        if item.type_name:
            checker.contact_type(item.kind, item.type_name)
        elif not item.value:
            raise invalid(f"{item.kind.type_field} or {item.kind.value_field} is required.")


def _names(
    item: ContactPointBody | ArchivedPreferenceBody, holder: Holder, preference: StoredPreference
) -> bool:
    """Whether a preference is meant: type, value and filter each narrow it down where they are given."""
    if item.filter_id and preference.filter_id.lower() != item.filter_id.lower():
        return False
    if not isinstance(item, ContactPointBody) or not isinstance(holder, StoredContactPoint):
        return isinstance(item, ArchivedPreferenceBody) and not isinstance(holder, StoredContactPoint)
    if holder.kind is not item.kind:
        return False
    if item.type_name and holder.type_name.lower() != item.type_name.lower():
        return False
    return not item.value or holder.key == contact_key(item.kind, item.value, item.details)


class ConsentsBody(Struct, rename="pascal"):
    """Consents to be added."""

    consents: list[ConsentBody]


class ConsentReferenceBody(Struct, rename="pascal"):
    """A consent of the profile; without a version, any."""

    consent_type: str
    consent_version: str | None = None


class ConsentFilterBody(Struct, rename="pascal"):
    """Consents to be associated with a filter, for contact points of a type or for the profile."""

    filter_id: str
    type_name: str
    consents: list[ConsentReferenceBody] | None = None


def add_consents(call: MyPreferencesCall) -> HttpReply:
    """Add consents to a profile."""
    profile = call.profile()
    requests = [call.account.checker.consent(item) for item in call.body(ConsentsBody).consents]
    if not requests:
        raise invalid("Consents is required.")
    edit = call.edit(profile)
    for request in requests:
        choices.put_consent(edit, profile, request)
    seen, _ = call.account.as_read(profile)
    return json_reply(permitted(call, {"Consents": render.consents(seen.consents, history=False)}))


def retrieve_filters(call: MyPreferencesCall) -> HttpReply:
    """Filter associations of a profile; implied ones only where they are asked for."""
    profile, _ = call.account.as_read(call.profile())
    return json_reply(permitted(call, list(_rows(call, profile, call.flag("implied", False)))))


def add_filters(call: MyPreferencesCall) -> HttpReply:
    """Associate consents that the profile has with filters."""
    profile = call.profile()
    body = call.body(list[ConsentFilterBody])
    if not body:
        raise invalid("A list of consent filters is required.")
    wanted = [found for item in body for found in _wanted(call, profile, item)]
    edit = call.edit(profile)
    for consent, filter_id, type_name in wanted:
        choices.associate(edit, consent, filter_id, type_name)
    return json_reply(permitted(call, list(_rows(call, profile, implied=False))))


def remove_filter(call: MyPreferencesCall) -> HttpReply:
    """Separate every version of a consent type from a filter."""
    profile = call.profile()
    wanted = call.account.config.filter(call.parameter("filterId"))
    known = call.account.config.consent_type(call.parameter("consentType"))
    if wanted is None or known is None:
        raise not_found("The FilterId or ConsentType")
    if not choices.dissociate(call.edit(profile), known.type_name, wanted.filter_id):
        raise not_found("The association")
    return NO_CONTENT


def _rows(call: MyPreferencesCall, profile: StoredProfile, implied: bool) -> Iterator[dict[str, Any]]:
    asked = (call.text("filterId") or "").lower()
    consent_types: dict[tuple[str, str], list[str]] = {}
    for consent_type, filter_id, type_name in profile.associations:
        consent_types.setdefault((filter_id, type_name), []).append(consent_type)
    for (filter_id, type_name), names in consent_types.items():
        shown = [(filter_id, False)]
        for child in call.account.config.children(filter_id) if implied else ():
            if (child, type_name) not in consent_types and not any(profile.live_preferences(child)):
                shown.append((child, True))
        held = [item for name in names if (item := profile.consent(name)) is not None]
        yield from (
            {
                "FilterId": name,
                "TypeName": type_name,
                "Implied": is_implied,
                "Consents": [render.consent_reference(item) for item in held],
            }
            for name, is_implied in shown
            if asked in ("", name.lower())
        )


def _wanted(
    call: MyPreferencesCall, profile: StoredProfile, item: ConsentFilterBody
) -> Iterator[tuple[StoredConsent, str, str]]:
    wanted = call.account.checker.filter(item.filter_id)
    kind = wanted.kind
    known = (profile.customer_type,) if kind is None else call.account.config.types_of(kind)
    type_name = spelled_as(item.type_name, known)
    if type_name is None:
        raise not_found(f"The TypeName '{item.type_name}'")
    for named in item.consents or ():
        consent = next((held for held in profile.consents if held.active and _is(held, named)), None)
        if consent is None:
            raise invalid(f"The ConsentType '{named.consent_type}' is not one of the profile.")
        yield consent, wanted.filter_id, type_name


def _is(held: StoredConsent, named: ConsentReferenceBody) -> bool:
    same_type = held.consent_type.lower() == named.consent_type.lower()
    return same_type and named.consent_version in (None, held.version)


def preferences(call: MyPreferencesCall) -> HttpReply:
    """Retrieve historical preferences: current, archived and superseded ones, with their contact points."""
    profile = call.profile()
    document = _basic(call, profile)
    for kind in KINDS:
        document[kind.collection] = [
            {
                **render.contact_point_data(point),
                kind.preferences_field: _stated(call, profile, point),
            }
            for point in profile.of_kind(kind)
        ]
    document["ProfilePreferences"] = _stated(call, profile, profile)
    return json_reply(permitted(call, document))


def consents(call: MyPreferencesCall) -> HttpReply:
    """Retrieve historical consents, ascending by type, version and modified date."""
    profile = call.profile()
    held = [item for holder in profile.holders for item in holder.consents]
    document = {**_basic(call, profile), "Consents": render.consents(held, history=True)}
    return json_reply(permitted(call, document))


def custom_fields(call: MyPreferencesCall) -> HttpReply:
    """Retrieve historical custom fields, ascending by modified date."""
    profile = call.profile()
    rows = [
        {**item, "Edited": render.edited(moment, moment, user)}
        for moment, user, item in profile.custom_field_history
    ]
    return json_reply({**_basic(call, profile), "CustomFields": rows})


def standard_fields(call: MyPreferencesCall) -> HttpReply:
    """Retrieve historical standard fields: an entry a change, each with the current alternate ids."""
    profile = call.profile()
    alternate_ids = _basic(call, profile)["AlternateIds"]
    rows = [
        {
            "ProfileId": profile.profile_id,
            "AlternateIds": alternate_ids,
            **fields,
            "Edited": render.edited(profile.created, moment, user),
        }
        for moment, user, fields in profile.standard_field_history
    ]
    return json_reply({"UserProfilePreferences": rows})


def _basic(call: MyPreferencesCall, profile: StoredProfile) -> dict[str, Any]:
    whole = render.profile(call.account.config, profile, implied=False, history=False)
    return {name: whole[name] for name in _BASIC}


def _stated(call: MyPreferencesCall, profile: StoredProfile, holder: Holder) -> list[dict[str, Any]]:
    wanted = (call.text("filterId") or "").lower()
    rows = sorted([*holder.superseded, *holder.preferences.values()], key=lambda item: item.modified)
    return [
        render.preference(call.account.config, profile, item)
        for item in rows
        if wanted in ("", item.filter_id.lower())
    ]
