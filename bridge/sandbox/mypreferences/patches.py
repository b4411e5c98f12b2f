"""Patches of a profile (MyPreferences `Update profile (PATCH)`): its document is patched, and what then
differs is carried out."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import jsonpatch
from jsonpointer import JsonPointerException
from msgspec import UNSET, Struct

from bridge.sandbox.mypreferences import choices, contact_points, render
from bridge.sandbox.mypreferences.account import MyPreferencesAccount
from bridge.sandbox.mypreferences.bodies import (
    ConsentBody,
    ContactPointBody,
    PreferenceBody,
    ProfileBody,
    read,
    spelled,
    spelled_throughout,
)
from bridge.sandbox.mypreferences.edits import ProfileEdit
from bridge.sandbox.mypreferences.records import (
    KINDS,
    ContactKind,
    Holder,
    StoredConsent,
    StoredContactPoint,
    StoredPreference,
    StoredProfile,
)
from bridge.sandbox.mypreferences.refusal import MyPreferencesRefusal, invalid
from bridge.sandbox.mypreferences.requests import (
    ConsentRequest,
    ContactPointRequest,
    PreferenceRequest,
    ProfileRequest,
)

_READ_ONLY = ("ProfileId", "IsActive", "Status", "Edited")
_FIELDS = (
    "registration_confirmed",
    "customer_type",
    "preserve_consents",
    "preserve_preferences",
    "default_locale",
)
_COLLECTIONS = ("custom_fields", "groups", "profile_tags")
_OPERATIONS = ("add", "replace", "remove", "test")  # documented: no move, no copy


class PatchOperation(Struct):
    """One operation of a JSON patch."""

    op: str
    path: str
    value: Any = UNSET

    @property
    def rfc6902(self) -> dict[str, Any]:
        """As the library takes it, with property names in their documented spelling."""
        if self.op.lower() not in _OPERATIONS:
            raise invalid(f"The operation '{self.op}' is not supported.")
        if not self.path.startswith("/"):
            raise invalid("The JSON patch document was malformed.")
        path = "/".join(spelled(part) for part in self.path.split("/"))
        operation = {"op": self.op.lower(), "path": path}
        return operation if self.value is UNSET else operation | {"value": spelled_throughout(self.value)}


class PatchBody(Struct, rename="pascal"):
    """A patch as an object."""

    operations: list[PatchOperation]


@dataclass
class PlannedPatch:
    """What a patch comes to: the removals, and a request for the rest."""

    request: ProfileRequest
    removed_points: list[StoredContactPoint] = field(default_factory=list)
    removed_preferences: list[tuple[Holder, StoredPreference]] = field(default_factory=list)
    removed_consents: list[tuple[Holder, StoredConsent]] = field(default_factory=list)
    removed_names: list[str] = field(default_factory=list)
    removed_alternate_ids: list[str] = field(default_factory=list)
    renamed: list[tuple[StoredContactPoint, ContactPointRequest]] = field(default_factory=list)

    def apply_removals(self, edit: ProfileEdit) -> bool:
        """Carry out all but the request. Returns whether that changed anything."""
        for holder, preference in self.removed_preferences:
            choices.archive(edit, holder, preference)
        for holder, consent in self.removed_consents:
            choices.deactivate_consent(edit, holder, consent)
        for point in self.removed_points:
            contact_points.remove(edit, point)
        for point, sent in self.renamed:
            point.type_name = sent.type_name or point.type_name
            contact_points.rename(edit, point, sent.value, sent.details)
        for part in self.removed_names:
            del edit.profile.name[part]
        for type_name in self.removed_alternate_ids:
            edit.drop_alternate_id(type_name)
        choices_changed = self.removed_preferences or self.removed_consents
        fields_changed = self.removed_names or self.removed_alternate_ids
        return bool(choices_changed or self.removed_points or self.renamed or fields_changed)


def patched(account: MyPreferencesAccount, document: Any, patch: Any) -> dict[str, Any]:
    """A patched copy of a document. Raises MyPreferencesRefusal: 400 for what cannot be carried out, and the
    status of the `patch_failed_test_status` switch for a test that fails."""
    shape = account.switches.patch_body
    if isinstance(patch, list) and shape in ("array", "either"):
        operations = read(patch, list[PatchOperation])
    elif isinstance(patch, dict) and shape in ("object", "either"):
        operations = read(patch, PatchBody).operations
    else:
        raise invalid("The JSON patch document was malformed.")
    try:
        after = jsonpatch.apply_patch(document, [item.rfc6902 for item in operations])
    except jsonpatch.JsonPatchTestFailed:
        status = account.switches.patch_failed_test_status
        raise MyPreferencesRefusal(status, "The current value is not equal to the test value.") from None
    except (jsonpatch.JsonPatchException, JsonPointerException, TypeError):
        raise invalid("The target location specified by the path was not found.") from None
    return dict(after)


def planned(account: MyPreferencesAccount, profile: StoredProfile, patch: Any) -> PlannedPatch:
    """What a patch comes to, checked whole before anything is applied. Raises MyPreferencesRefusal."""
    before = _document(account, profile)
    after = patched(account, before, patch)
    if any(before.get(name) != after.get(name) for name in _READ_ONLY):
        raise invalid("A property that is read-only cannot be patched.")
    return _Planner(account, profile).plan(read(before, ProfileBody), read(after, ProfileBody))


def _document(account: MyPreferencesAccount, profile: StoredProfile) -> dict[str, Any]:
    """The profile; each contact point bears its index, by which it is found again."""
    document = render.profile(account.config, profile, implied=False, history=False)
    for kind in KINDS:
        active = [index for index, item in enumerate(profile.points) if item.kind is kind and item.is_active]
        for shown, index in zip(document[kind.collection], active, strict=True):
            shown["$index"] = index
    return document


class _Planner:
    """Compares the bodies before and after a patch."""

    def __init__(self, account: MyPreferencesAccount, profile: StoredProfile) -> None:
        self._check = account.checker
        self._profile = profile
        self._plan = PlannedPatch(ProfileRequest())

    def plan(self, before: ProfileBody, after: ProfileBody) -> PlannedPatch:
        plan, profile = self._plan, self._profile
        plan.request = self._check.profile(_changed_fields(before, after))
        plan.removed_names = [part for part in profile.name if part not in (after.customer_name or {})]
        kept = plan.request.alternate_ids
        plan.removed_alternate_ids = [name for name in profile.alternate_ids if name not in kept]
        former = {item.index: item for item in before.points}
        plan.request.points = [self._point(former.pop(item.index, None), item) for item in after.points]
        removed = sorted(index for index in former if index is not None)
        plan.removed_points = [profile.points[index] for index in removed]
        stated = (before.profile_preferences or [], after.profile_preferences or [])
        plan.request.preferences = self._preferences(profile, None, *stated)
        plan.request.consents = self._consents(profile, before.consents or [], after.consents or [])
        return plan

    def _point(self, before: ContactPointBody | None, after: ContactPointBody) -> ContactPointRequest:
        request = self._check.contact_point(after)
        if before is None or before.index is None:
            return request
        point = self._profile.points[before.index]
        stated = (before.preferences or [], after.preferences or [])
        request = replace(
            request,
            preferences=tuple(self._preferences(point, after.kind, *stated)),
            consents=tuple(self._consents(point, before.consents or [], after.consents or [])),
        )
        if (request.key, request.type_name) != (point.key, point.type_name):
            self._plan.renamed.append((point, request))
        return request

    def _preferences(
        self,
        holder: Holder,
        kind: ContactKind | None,
        before: list[PreferenceBody],
        after: list[PreferenceBody],
    ) -> list[PreferenceRequest]:
        kept = {item.filter_id.lower() for item in after}
        self._plan.removed_preferences += [
            (holder, item)
            for item in holder.preferences.values()
            if not item.archived and item.filter_id.lower() not in kept
        ]
        return [self._check.preference(item, kind) for item in after if item not in before]

    def _consents(
        self, holder: Holder, before: list[ConsentBody], after: list[ConsentBody]
    ) -> list[ConsentRequest]:
        kept = {(item.consent_type, item.consent_version) for item in after}
        self._plan.removed_consents += [
            (holder, item)
            for item in holder.consents
            if item.active and (item.consent_type, item.version) not in kept
        ]
        return [self._check.consent(item) for item in after if item not in before]


def _changed_fields(before: ProfileBody, after: ProfileBody) -> ProfileBody:
    """A body of the fields that differ, and of all alternate ids. Collections kept as they are sent become
    empty when they are removed; other fields stay."""
    changed: dict[str, Any] = {"alternate_ids": after.alternate_ids}
    for name in _FIELDS:
        if getattr(after, name) != getattr(before, name):
            changed[name] = getattr(after, name)
    for name in _COLLECTIONS:
        was, now = getattr(before, name), getattr(after, name)
        if now != was:
            changed[name] = [] if now is UNSET else now
    former = before.customer_name or {}
    names = (after.customer_name or {}).items()
    changed["customer_name"] = {part: text for part, text in names if former.get(part) != text}
    return ProfileBody(**changed)
