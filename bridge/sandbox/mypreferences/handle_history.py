"""Operations on what a profile held before (MyPreferences `Historical APIs`)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from bridge.sandbox.mypreferences import render
from bridge.sandbox.mypreferences.call import Call, Reply
from bridge.sandbox.mypreferences.handle_profiles import profile_by_alternate_id
from bridge.sandbox.mypreferences.records import KINDS, Element, Preference, Profile
from bridge.sandbox.mypreferences.showing import permitted


def preferences(call: Call) -> Reply:
    """Retrieve historical preferences: current, archived and superseded ones, with their elements."""
    profile = _profile(call)
    document = _basic(call, profile)
    for kind in KINDS:
        document[kind.collection] = [
            {
                **render.element_data(element),
                kind.preferences_field: _rows(call, profile, element),
            }
            for element in profile.of_kind(kind)
        ]
    document["ProfilePreferences"] = _rows(call, profile, None)
    return Reply(permitted(call, document))


def consents(call: Call) -> Reply:
    """Retrieve historical consents, ascending by type, version and modified date."""
    profile = _profile(call)
    held = [*profile.consents, *(item for element in profile.elements for item in element.consents)]
    return Reply(permitted(call, {**_basic(call, profile), "Consents": render.consents(held, history=True)}))


def custom_fields(call: Call) -> Reply:
    """Retrieve historical custom fields, ascending by modified date."""
    profile = _profile(call)
    rows = [
        {**item, "Edited": render.edited(moment, moment, user)}
        for moment, user, item in profile.former.custom_fields
    ]
    return Reply({**_basic(call, profile), "CustomFields": rows})


def standard_fields(call: Call) -> Reply:
    """Retrieve historical standard fields: an entry a change, each with the current alternate ids."""
    profile = _profile(call)
    current = _basic(call, profile)
    rows = [
        {
            "ProfileId": profile.profile_id,
            "AlternateIds": current["AlternateIds"],
            **fields,
            "Edited": render.edited(profile.created, moment, user),
        }
        for moment, user, fields in profile.former.standard_fields
    ]
    return Reply({"UserProfilePreferences": rows})


def _profile(call: Call) -> Profile:
    return call.profile() if "profileId" in call.params else profile_by_alternate_id(call)


def _basic(call: Call, profile: Profile) -> dict[str, Any]:
    whole = call.state.documents.profile(profile, implied=False, history=False)
    kept = ("ProfileId", "IsActive", "CustomerName", "CustomerType", "DefaultLocale", "AlternateIds")
    return {name: whole[name] for name in kept}


def _rows(call: Call, profile: Profile, element: Element | None) -> list[dict[str, Any]]:
    wanted = (call.text("filterId") or "").lower()
    former = [item for holder, item in profile.former.preferences if holder is element]
    every: Iterable[Preference] = [*former, *profile.held(element).values()]
    rows = sorted(every, key=lambda item: item.modified)
    return [
        call.state.documents.preference(profile, item)
        for item in rows
        if wanted in ("", item.filter_id.lower())
    ]
