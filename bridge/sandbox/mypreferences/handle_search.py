"""Searches: people by e-mail, phone, address, preference attributes and group."""

from __future__ import annotations

import re
from collections.abc import Iterable

from bridge.sandbox.mypreferences.call import Call, Reply
from bridge.sandbox.mypreferences.profiles import snapshot
from bridge.sandbox.mypreferences.records import EMAIL, PHONE, Element, Kind, Preference, Profile, element_key
from bridge.sandbox.mypreferences.refusal import invalid, not_found
from bridge.sandbox.mypreferences.showing import found

_INDEXED = re.compile(r"[a-z.]*\[(\d+)\]\.?(key|value)")


def by_email(call: Call) -> Reply:
    """Retrieve profiles by e-mail; more than 50 matches answer as a missing permission does."""
    return found(call, _holders(call, EMAIL, "emailAddress", "emailType"))


def by_phone(call: Call) -> Reply:
    """Retrieve profiles by phone: the digits count."""
    return found(call, _holders(call, PHONE, "phoneNumber", "phoneType"))


def by_address(call: Call) -> Reply:
    """Retrieve profiles by address: all that is given must match."""
    call.needed("city"), call.needed("stateProvince")
    return found(
        call, [item for item in call.state.registry if _lives(call, item) and _is_called(call, item)]
    )


def by_preference_attributes(call: Call) -> Reply:
    """Retrieve profiles by preference attributes, with only the preferences that match inside."""
    wanted = _attributes(call)
    holders = [
        profile
        for profile in call.state.registry
        if any(_marked(item, wanted) and not item.archived for _, item in profile.all_preferences())
    ]
    return found(call, [_only(profile, wanted) for profile in holders])


def group_by_id(call: Call) -> Reply:
    """Retrieve group profiles by the profile id of the group's primary profile."""
    return found(call, _members(call, [call.profile()]))


def group_by_email(call: Call) -> Reply:
    """Retrieve group profiles by e-mail address of the group's primary profile."""
    return found(call, _members(call, _holders(call, EMAIL, "emailAddress", "emailType")))


def group_by_phone(call: Call) -> Reply:
    """Retrieve group profiles by phone of the group's primary profile."""
    return found(call, _members(call, _holders(call, PHONE, "phoneNumber", "phoneType")))


def _holders(call: Call, kind: Kind, value_name: str, type_name: str) -> list[Profile]:
    key = element_key(kind, call.needed(value_name), {})
    wanted = call.text(type_name)
    if wanted is not None and call.state.config.element_type(kind, wanted) is None:
        raise not_found(f"The {kind.type_field} '{wanted}'")
    holders = call.state.registry.holders(kind, key)
    return [profile for profile in holders if profile.element(kind, key, wanted) is not None]


def _lives(call: Call, profile: Profile) -> bool:
    exact = {
        "Address2": "address2",
        "City": "city",
        "StateProvince": "stateProvince",
        "PostalCode": "postalCode",
    }
    wanted = {name: call.text(query) for name, query in exact.items()}
    first, partial = call.text("address1"), call.flag("partialAddress1Match", False)
    type_name = call.text("addressType")

    def fits(element: Element) -> bool:
        details = element.details
        return (
            all(text is None or _same(details.get(name), text) for name, text in wanted.items())
            and (first is None or _matches(details.get("Address1"), first, partial))
            and (type_name is None or _same(element.type_name, type_name))
        )

    return any(item.is_active and item.kind.name == "Address" and fits(item) for item in profile.elements)


def _is_called(call: Call, profile: Profile) -> bool:
    names = {"FirstName": "firstName", "MiddleName": "middleName", "LastName": "lastName"}
    partial = call.flag("partialNameMatch", False)
    asked = ((name, call.text(query)) for name, query in names.items())
    return all(text is None or _matches(profile.name.get(name), text, partial) for name, text in asked)


def _matches(held: object, wanted: str, partial: bool) -> bool:
    return str(held or "").lower().startswith(wanted.lower()) if partial else _same(held, wanted)


def _same(held: object, wanted: str) -> bool:
    return str(held or "").strip().lower() == wanted.strip().lower()


def _attributes(call: Call) -> dict[str, str]:
    """The indexed array of the query; what it is called is not documented, so any name is taken."""
    pairs: dict[str, dict[str, str]] = {}
    for name, value in call.query():
        match = _INDEXED.fullmatch(name)
        if match:
            pairs.setdefault(match[1], {})[match[2]] = value
    if not pairs or any("key" not in pair for pair in pairs.values()):
        raise invalid("At least one key is required.")
    return {pair["key"]: pair.get("value", "") for pair in pairs.values()}


def _marked(item: Preference, wanted: dict[str, str]) -> bool:
    return all(item.attributes.get(key) == value for key, value in wanted.items())


def _only(profile: Profile, wanted: dict[str, str]) -> Profile:
    copy = snapshot(profile)
    for holder in (None, *copy.elements):
        held = copy.held(holder)
        for filter_id in [name for name, item in held.items() if not _marked(item, wanted)]:
            del held[filter_id]
    return copy


def _members(call: Call, primaries: Iterable[Profile]) -> list[Profile]:
    """Everybody in a group of the type (and name) that one of these is the primary profile of."""
    kind, name = call.needed("groupType"), call.text("groupName")
    led = {
        group
        for profile in primaries
        for group, is_primary in _groups(profile)
        if is_primary and group[0] == kind.lower() and name in (None, group[1])
    }
    return [item for item in call.state.registry if led & {group for group, _ in _groups(item)}]


def _groups(profile: Profile) -> list[tuple[tuple[str, str], bool]]:
    return [
        ((str(item.get("GroupType")).lower(), str(item.get("GroupName"))), item.get("IsPrimary") is True)
        for item in profile.extras.get("Groups") or ()
        if item.get("IsActive") is not False
    ]
