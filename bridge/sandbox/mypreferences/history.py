"""What a profile held before (MyPreferences `Historical APIs`)."""

from __future__ import annotations

from typing import Any

from bridge.sandbox.http import HttpReply, json_reply
from bridge.sandbox.mypreferences import render
from bridge.sandbox.mypreferences.call import MyPreferencesCall
from bridge.sandbox.mypreferences.records import KINDS, Holder, StoredProfile
from bridge.sandbox.mypreferences.response_filters import permitted

_BASIC = ("ProfileId", "IsActive", "CustomerName", "CustomerType", "DefaultLocale", "AlternateIds")


def preferences(call: MyPreferencesCall) -> HttpReply:
    """Retrieve historical preferences: current, archived and superseded ones, with their contact points."""
    profile = call.profile()
    document = _basic(call, profile)
    for kind in KINDS:
        document[kind.collection] = [
            {
                **render.contact_point_data(point),
                kind.preferences_field: _rows(call, profile, point),
            }
            for point in profile.of_kind(kind)
        ]
    document["ProfilePreferences"] = _rows(call, profile, profile)
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


def _rows(call: MyPreferencesCall, profile: StoredProfile, holder: Holder) -> list[dict[str, Any]]:
    wanted = (call.text("filterId") or "").lower()
    rows = sorted([*holder.superseded, *holder.preferences.values()], key=lambda item: item.modified)
    return [
        render.preference(call.account.config, profile, item)
        for item in rows
        if wanted in ("", item.filter_id.lower())
    ]
