"""Archiving the preferences that a request names (MyPreferences "Archive preferences")."""

from __future__ import annotations

import msgspec
from msgspec import Struct

from bridge.sandbox.http import HttpReply
from bridge.sandbox.mypreferences import choices
from bridge.sandbox.mypreferences.bodies import ContactPointBody, ContactPointsBody, Text50
from bridge.sandbox.mypreferences.call import NO_CONTENT, MyPreferencesCall
from bridge.sandbox.mypreferences.records import (
    Holder,
    StoredContactPoint,
    StoredPreference,
    contact_key,
)
from bridge.sandbox.mypreferences.refusal import invalid
from bridge.sandbox.mypreferences.requests import RequestChecker


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
