"""Adding, changing and removing the e-mail addresses, phones and postal addresses of a profile."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from bridge.sandbox.mypreferences import choices, render
from bridge.sandbox.mypreferences.edits import ProfileEdit
from bridge.sandbox.mypreferences.records import PHONE, StoredContactPoint
from bridge.sandbox.mypreferences.requests import ContactPointRequest


def put(edit: ProfileEdit, request: ContactPointRequest) -> tuple[StoredContactPoint, bool]:
    """The contact point as it was sent, added where the profile has none like it; whether it changed."""
    point = edit.profile.point(request.kind, request.key, request.type_name)
    if point is None:
        return _restored(edit, request) or _added(edit, request), True
    details = {**point.details, **request.details}
    same_default = request.is_default in (None, point.is_default)
    if same_default and details == point.details:
        return point, False
    before = render.contact_point_data(point)
    if request.is_default is not None and not same_default:
        _set_default(edit, point, request.is_default)
    _update(edit, point, details, before)
    return point, True


def rename(edit: ProfileEdit, point: StoredContactPoint, value: str, details: Mapping[str, Any]) -> None:
    """Change a value in place; its preferences and consents stay with it where they are preserved."""
    before = render.contact_point_data(point)
    edit.account.profiles.unindex(edit.profile, point)
    point.value = value.strip()
    _update(edit, point, {**point.details, **details}, before)
    edit.account.profiles.index(edit.profile, point)
    _drop_choices(edit, point)


def remove(edit: ProfileEdit, point: StoredContactPoint) -> None:
    """Remove a contact point; its preferences are archived unless they are to be preserved."""
    _drop_choices(edit, point)
    point.is_active = False
    point.modified, point.user = edit.now, edit.author.user
    if edit.profile.point(point.kind, point.key) is None:
        edit.account.profiles.unindex(edit.profile, point)
    edit.contact_event("deleted", point)


def keep_only(edit: ProfileEdit, wanted: Iterable[ContactPointRequest]) -> None:
    """Remove every contact point that is not wanted, and the choices that the wanted ones leave out."""
    for point in [item for item in edit.profile.points if item.is_active]:
        request = next((item for item in wanted if _is_same(item, point)), None)
        if request is None:
            remove(edit, point)
        else:
            choices.keep_only(edit, point, request.preferences, request.consents)


def _update(
    edit: ProfileEdit, point: StoredContactPoint, details: Mapping[str, Any], before: dict[str, Any]
) -> None:
    """Note new details; a phone that is no longer a mobile loses its text preferences (MyPreferences
    `preference.archived`)."""
    was_mobile = point.kind is PHONE and point.details.get("IsMobile") is True
    point.details = dict(details)
    point.modified, point.user = edit.now, edit.author.user
    edit.contact_event("updated", point, before)
    if was_mobile and point.details.get("IsMobile") is False:
        choices.archive_all(edit, point, "text")


def _drop_choices(edit: ProfileEdit, point: StoredContactPoint) -> None:
    if not edit.profile.preserve_preferences:
        choices.archive_all(edit, point)
    if not edit.profile.preserve_consents:
        choices.deactivate_consents(edit, point)


def _restored(edit: ProfileEdit, request: ContactPointRequest) -> StoredContactPoint | None:
    """A contact point that was removed, with all that was preserved of it; None where there is none."""
    if not edit.account.switches.readded_element_keeps_choices:
        return None
    for point in reversed(edit.profile.of_kind(request.kind)):
        if not point.is_active and _is_same(request, point):
            point.is_active = True
            point.modified, point.user = edit.now, edit.author.user
            edit.account.profiles.index(edit.profile, point)
            edit.contact_event("added", point)
            return point
    return None


def _added(edit: ProfileEdit, request: ContactPointRequest) -> StoredContactPoint:
    profile, now = edit.profile, edit.now
    is_first = profile.default(request.kind) is None
    point = StoredContactPoint(
        request.kind,
        request.type_name or edit.account.config.types_of(request.kind)[0],
        request.value,
        now,
        now,
        edit.author.user,
        details=dict(request.details),
    )
    _set_default(edit, point, is_first if request.is_default is None else request.is_default)
    profile.points.append(point)
    edit.account.profiles.index(profile, point)
    edit.contact_event("added", point)
    return point


def _set_default(edit: ProfileEdit, point: StoredContactPoint, is_default: bool) -> None:
    if is_default:
        for other in edit.profile.of_kind(point.kind):
            other.is_default = False
    point.is_default = is_default


def _is_same(request: ContactPointRequest, point: StoredContactPoint) -> bool:
    same_type = request.type_name in (None, point.type_name)
    return request.kind is point.kind and request.key == point.key and same_type
