"""Searches: people by e-mail, phone, address, preference attributes and group."""

from __future__ import annotations

import re
from collections.abc import Iterable

from bridge.sandbox.http import HttpReply
from bridge.sandbox.mypreferences.call import MyPreferencesCall, matches
from bridge.sandbox.mypreferences.records import (
    ADDRESS,
    EMAIL,
    PHONE,
    ContactKind,
    StoredContactPoint,
    StoredPreference,
    StoredProfile,
    contact_key,
)
from bridge.sandbox.mypreferences.refusal import invalid

_INDEXED = re.compile(r"[a-z.]*\[(\d+)\]\.?(key|value)")
_ADDRESS_LINES = ("Address2", "City", "StateProvince", "PostalCode")
_NAMES = ("FirstName", "MiddleName", "LastName")


def by_email(call: MyPreferencesCall) -> HttpReply:
    """Retrieve profiles by e-mail."""
    return matches(call, _having(call, EMAIL, "emailAddress", "emailType"))


def by_phone(call: MyPreferencesCall) -> HttpReply:
    """Retrieve profiles by phone: the digits count."""
    return matches(call, _having(call, PHONE, "phoneNumber", "phoneType"))


def by_address(call: MyPreferencesCall) -> HttpReply:
    """Retrieve profiles by address: all that is given must match."""
    call.required("city"), call.required("stateProvince")
    profiles = (item for item in call.account.profiles if _has_name(call, item))
    return matches(
        call, [item for item in profiles if any(_fits(call, point) for point in item.of_kind(ADDRESS))]
    )


def by_attributes(call: MyPreferencesCall) -> HttpReply:
    """Retrieve profiles by preference attributes, with only the preferences that match inside."""
    wanted = _attributes(call)
    found = [
        profile
        for profile in call.account.profiles
        if any(_bears(item, wanted) and not item.archived for _, item in profile.all_preferences())
    ]
    return matches(call, [_only(profile, wanted) for profile in found])


def group_by_id(call: MyPreferencesCall) -> HttpReply:
    """Retrieve group profiles by the profile id of the group's primary profile."""
    return matches(call, _members(call, [call.profile()]))


def group_by_email(call: MyPreferencesCall) -> HttpReply:
    """Retrieve group profiles by e-mail address of the group's primary profile."""
    return matches(call, _members(call, _having(call, EMAIL, "emailAddress", "emailType")))


def group_by_phone(call: MyPreferencesCall) -> HttpReply:
    """Retrieve group profiles by phone of the group's primary profile."""
    return matches(call, _members(call, _having(call, PHONE, "phoneNumber", "phoneType")))


def _having(
    call: MyPreferencesCall, kind: ContactKind, value_name: str, type_name: str
) -> list[StoredProfile]:
    key = contact_key(kind, call.required(value_name))
    wanted = call.text(type_name)
    if wanted is not None:
        wanted = call.account.checker.contact_type(kind, wanted)
    found = call.account.profiles.by_contact(kind, key)
    return [profile for profile in found if profile.point(kind, key, wanted) is not None]


def _fits(call: MyPreferencesCall, point: StoredContactPoint) -> bool:
    type_name, partial = call.text("addressType"), call.flag("partialAddress1Match", False)
    return (
        point.is_active
        and all(_matches(point.details.get(name), call.text(name)) for name in _ADDRESS_LINES)
        and _matches(point.details.get("Address1"), call.text("address1"), partial)
        and _matches(point.type_name, type_name)
    )


def _has_name(call: MyPreferencesCall, profile: StoredProfile) -> bool:
    partial = call.flag("partialNameMatch", False)
    return all(_matches(profile.name.get(name), call.text(name), partial) for name in _NAMES)


def _matches(held: object, wanted: str | None, partial: bool = False) -> bool:
    """Whether a value is what is asked for, if anything is."""
    if wanted is None:
        return True
    text, wanted = str(held or "").lower(), wanted.lower()
    return text.startswith(wanted) if partial else text.strip() == wanted.strip()


def _attributes(call: MyPreferencesCall) -> dict[str, str]:
    """The indexed array of the query; what it is called is not documented, so any name is taken."""
    pairs: dict[str, dict[str, str]] = {}
    for name, value in call.request.query:
        match = _INDEXED.fullmatch(name)
        if match:
            pairs.setdefault(match[1], {})[match[2]] = value
    if not pairs or any("key" not in pair for pair in pairs.values()):
        raise invalid("At least one key is required.")
    return {pair["key"]: pair.get("value", "") for pair in pairs.values()}


def _bears(item: StoredPreference, wanted: dict[str, str]) -> bool:
    return all(item.attributes.get(key) == value for key, value in wanted.items())


def _only(profile: StoredProfile, wanted: dict[str, str]) -> StoredProfile:
    copy = profile.copy()
    for holder in copy.holders:
        for filter_id, item in list(holder.preferences.items()):
            if not _bears(item, wanted):
                del holder.preferences[filter_id]
    return copy


def _members(call: MyPreferencesCall, primaries: Iterable[StoredProfile]) -> list[StoredProfile]:
    """Everybody in a group of the type (and name) that one of these is the primary profile of."""
    kind, name = call.required("groupType"), call.text("groupName")
    led = {
        group
        for profile in primaries
        for group, is_primary in _groups(profile)
        if is_primary and group[0] == kind.lower() and name in (None, group[1])
    }
    return [item for item in call.account.profiles if led & {group for group, _ in _groups(item)}]


def _groups(profile: StoredProfile) -> list[tuple[tuple[str, str], bool]]:
    return [
        ((str(item.get("GroupType")).lower(), str(item.get("GroupName"))), item.get("IsPrimary") is True)
        for item in profile.extras.get("Groups") or ()
        if item.get("IsActive") is not False
    ]
