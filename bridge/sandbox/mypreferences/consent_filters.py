"""Consents of people, and their associations with filters."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from msgspec import Struct

from bridge.sandbox.http import HttpReply, json_reply
from bridge.sandbox.mypreferences import choices, render
from bridge.sandbox.mypreferences.bodies import ConsentBody
from bridge.sandbox.mypreferences.call import NO_CONTENT, MyPreferencesCall
from bridge.sandbox.mypreferences.config import spelled_as
from bridge.sandbox.mypreferences.records import StoredConsent, StoredProfile
from bridge.sandbox.mypreferences.refusal import invalid, not_found
from bridge.sandbox.mypreferences.response_filters import permitted


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
