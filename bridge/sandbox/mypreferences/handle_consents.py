"""Operations on the consents of people, and on what ties them to preferences."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from bridge.sandbox.mypreferences import render
from bridge.sandbox.mypreferences.call import Call, Reply
from bridge.sandbox.mypreferences.drafts import as_object
from bridge.sandbox.mypreferences.records import KINDS, Consent, Profile
from bridge.sandbox.mypreferences.refusal import invalid, not_found
from bridge.sandbox.mypreferences.showing import permitted


def add(call: Call) -> Reply:
    """Add consents to a profile."""
    profile = call.profile()
    drafts = call.state.reader.consents(call.body())
    call.state.begin_write(profile)
    for draft in drafts:
        call.state.choices.put_consent(profile, None, draft, call.actor)
    seen, _ = call.state.as_read(profile)
    return Reply(permitted(call, {"Consents": render.consents(seen.consents, history=False)}))


def filters(call: Call) -> Reply:
    """Filter associations of a profile, read: implied ones only where they are asked for."""
    profile, _ = call.state.as_read(call.profile())
    return Reply(permitted(call, list(_rows(call, profile, call.flag("implied", False)))))


def add_filters(call: Call) -> Reply:
    """Filter associations of a profile, add: of consents that the profile has."""
    profile = call.profile()
    wanted = [tie for item in _listed(call.body()) for tie in _ties(call, profile, item)]
    call.state.begin_write(profile)
    for current, filter_id, type_name in wanted:
        call.state.choices.consents.tie(profile, current, filter_id, type_name, call.actor)
    return Reply(permitted(call, list(_rows(call, profile, implied=False))))


def remove_filter(call: Call) -> Reply:
    """Filter association, remove: every version of the consent type on that filter."""
    profile = call.profile()
    wanted = call.state.config.filter(call.params["filterId"])
    known = call.state.config.consent_type(call.params["consentType"])
    if wanted is None or known is None:
        raise not_found("The FilterId or ConsentType")
    call.state.begin_write(profile)
    if not call.state.choices.consents.untie(profile, known.type_name, wanted.filter_id, call.actor):
        raise not_found("The association")
    return Reply(status=204)


def _rows(call: Call, profile: Profile, implied: bool) -> Iterator[dict[str, Any]]:
    asked = (call.text("filterId") or "").lower()
    ties: dict[tuple[str, str], list[str]] = {}
    for consent_type, filter_id, type_name in profile.associations:
        ties.setdefault((filter_id, type_name), []).append(consent_type)
    for (filter_id, type_name), consent_types in ties.items():
        if asked in ("", filter_id.lower()):
            yield _row(profile, filter_id, type_name, consent_types, is_implied=False)
        for heir in call.state.config.heirs(filter_id) if implied else ():
            stated = (heir, type_name) in ties or any(profile.live(heir))
            if not stated and asked in ("", heir.lower()):
                yield _row(profile, heir, type_name, consent_types, is_implied=True)


def _row(
    profile: Profile, filter_id: str, type_name: str, consent_types: list[str], *, is_implied: bool
) -> dict[str, Any]:
    held = [profile.consent(name) for name in consent_types]
    return {
        "FilterId": filter_id,
        "TypeName": type_name,
        "Implied": is_implied,
        "Consents": [
            {
                "ConsentType": item.consent_type,
                "ConsentVersion": item.version,
                "ConsentStatus": item.status,
            }
            for item in held
            if item is not None
        ],
    }


def _listed(body: Any) -> list[dict[str, Any]]:
    if not isinstance(body, list) or not body:
        raise invalid("A list of consent filters is required.")
    return [as_object(item) for item in body]


def _ties(call: Call, profile: Profile, item: dict[str, Any]) -> Iterator[tuple[Consent, str, str]]:
    wanted = call.state.config.filter(str(item.get("FilterId") or ""))
    if wanted is None:
        raise invalid(f"The FilterId '{item.get('FilterId')}' is not valid.")
    type_name = str(item.get("TypeName") or "")
    known = (
        {profile.customer_type.lower(): profile.customer_type}
        if wanted.kind is None
        else {
            name.lower(): name
            for kind in KINDS
            if kind is wanted.kind
            for name in call.state.config.types_of(kind)
        }
    )
    if type_name.lower() not in known:
        raise not_found(f"The TypeName '{type_name}'")
    for entry in item.get("Consents") or ():
        named = as_object(entry)
        current = next((held for held in profile.consents if held.active and _is(held, named)), None)
        if current is None:
            raise invalid(f"The ConsentType '{named.get('ConsentType')}' is not one of the profile.")
        yield current, wanted.filter_id, known[type_name.lower()]


def _is(held: Consent, named: dict[str, Any]) -> bool:
    version = named.get("ConsentVersion")
    same = held.consent_type.lower() == str(named.get("ConsentType")).lower()
    return same and version in (None, held.version)
