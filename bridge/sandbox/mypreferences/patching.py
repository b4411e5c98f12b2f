"""A patched profile document, made true (MyPreferences `Update profile (PATCH)`)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from bridge.sandbox.mypreferences.drafts import (
    ConsentDraft,
    ElementDraft,
    ProfileDraft,
    Reader,
    as_object,
    spelled,
)
from bridge.sandbox.mypreferences.json_patch import patched
from bridge.sandbox.mypreferences.profiles import Profiles
from bridge.sandbox.mypreferences.records import KINDS, Actor, Consent, Element, Kind, Preference, Profile
from bridge.sandbox.mypreferences.refusal import invalid
from bridge.sandbox.mypreferences.render import Render
from bridge.sandbox.mypreferences.switches import Switches

_TAG = "$element"  # which element a member of a collection is, however its index moves
_READ_ONLY = ("ProfileId", "IsActive", "Status", "Edited")
_SCALARS = (
    "RegistrationConfirmed",
    "CustomerType",
    "PreserveConsents",
    "PreservePreferences",
    "DefaultLocale",
)
_EXTRAS = ("CustomFields", "Groups", "ProfileTags")


@dataclass
class _Change:
    """What a patch comes to: the removals, and a draft of the rest."""

    draft: ProfileDraft
    gone_elements: list[Element] = field(default_factory=list)
    gone_preferences: list[tuple[Element | None, Preference]] = field(default_factory=list)
    gone_consents: list[tuple[Element | None, Consent]] = field(default_factory=list)
    gone_names: list[str] = field(default_factory=list)
    gone_alternate_ids: list[str] = field(default_factory=list)
    renamed: list[tuple[Element, ElementDraft]] = field(default_factory=list)


class Patcher:
    """Applies patches. Guarded by the state's lock."""

    def __init__(self, switches: Switches, reader: Reader, documents: Render, profiles: Profiles) -> None:
        self._switches, self._reader = switches, reader
        self._documents, self._profiles = documents, profiles

    def operations(self, body: Any) -> list[Any]:
        """The operations of a body in the shape that the service takes. Raises Refused 400."""
        shape = self._switches.patch_body
        if isinstance(body, list) and shape in ("array", "either"):
            return body
        if (
            isinstance(body, dict)
            and shape in ("object", "either")
            and isinstance(body.get("Operations"), list)
        ):
            return list(body["Operations"])
        raise invalid("The JSON patch document was malformed.")

    def read(self, profile: Profile, operations: list[Any]) -> Callable[[Actor], None]:
        """What the operations come to, checked whole before anything is applied. Raises Refused."""
        before = self._document(profile)
        status = self._switches.patch_failed_test_status
        after = as_object(patched(before, operations, spelled, status))
        if any(before.get(name) != after.get(name) for name in _READ_ONLY):
            raise invalid("A property that is read-only cannot be patched.")
        change = _Change(self._scalars(before, after))
        self._alternate_ids(profile, before, after, change)
        for kind in KINDS:
            self._elements(profile, kind, before, after, change)
        change.draft.preferences = list(self._preferences(None, None, before, after, profile, change))
        change.draft.consents = list(self._consents(None, before, after, profile, change))
        self._profiles.refuse_taken(change.draft, profile)
        return lambda actor: self._apply(profile, change, actor)

    def _document(self, profile: Profile) -> dict[str, Any]:
        document = self._documents.profile(profile, implied=False, history=False)
        for kind in KINDS:
            active = [item for item in profile.of_kind(kind) if item.is_active]
            for shown, element in zip(document[kind.collection], active, strict=True):
                shown[_TAG] = profile.elements.index(element)
        return document

    def _scalars(self, before: dict[str, Any], after: dict[str, Any]) -> ProfileDraft:
        changed = {
            name: after[name]
            for name in (*_SCALARS, *_EXTRAS)
            if name in after and after[name] != before.get(name)
        }
        draft = self._reader.profile(changed)
        draft.extras |= {name: [] for name in _EXTRAS if name not in after and before.get(name)}
        name = after.get("CustomerName") or {}
        draft.name = {
            part: str(text) for part, text in name.items() if before["CustomerName"].get(part) != text
        }
        return draft

    def _alternate_ids(
        self, profile: Profile, before: dict[str, Any], after: dict[str, Any], change: _Change
    ) -> None:
        wanted = self._reader.profile({"AlternateIds": after.get("AlternateIds")}).alternate_ids
        change.draft.alternate_ids = wanted
        change.gone_alternate_ids = [name for name in profile.alternate_ids if name not in wanted]
        names = after.get("CustomerName") or {}
        change.gone_names = [part for part in before["CustomerName"] if part not in names]

    def _elements(
        self, profile: Profile, kind: Kind, before: dict[str, Any], after: dict[str, Any], change: _Change
    ) -> None:
        former = {item[_TAG]: item for item in before[kind.collection]}
        left = set(former)
        for item in after.get(kind.collection) or ():
            was = former.get(as_object(item).get(_TAG))
            draft = self._reader.element(item, kind)
            if was is None:
                change.draft.elements.append(draft)
                continue
            left.discard(was[_TAG])
            element = profile.elements[was[_TAG]]
            stated = tuple(self._preferences(kind, element, was, item, profile, change))
            consents = tuple(self._consents(element, was, item, profile, change))
            draft = replace(draft, preferences=stated, consents=consents)
            if (draft.key, draft.type_name) != (element.key, element.type_name):
                change.renamed.append((element, draft))
            change.draft.elements.append(draft)
        change.gone_elements += [profile.elements[tag] for tag in sorted(left)]

    def _preferences(
        self,
        kind: Kind | None,
        element: Element | None,
        before: dict[str, Any],
        after: dict[str, Any],
        profile: Profile,
        change: _Change,
    ) -> Iterator[Any]:
        name = "ProfilePreferences" if kind is None else kind.preferences_field
        wanted = after.get(name) or []
        for item in wanted:
            draft = self._reader.preference(item, kind)
            if item not in before[name]:
                yield draft
        kept = {str(item.get("FilterId")).lower() for item in wanted}
        change.gone_preferences += [
            (element, item)
            for item in profile.held(element).values()
            if not item.archived and item.filter_id.lower() not in kept
        ]

    def _consents(
        self,
        element: Element | None,
        before: dict[str, Any],
        after: dict[str, Any],
        profile: Profile,
        change: _Change,
    ) -> Iterator[ConsentDraft]:
        wanted = after.get("Consents") or []
        drafts = [self._reader.consent(item) for item in wanted]
        kept = {(draft.consent_type, draft.version) for draft in drafts}
        yield from (
            draft for draft, item in zip(drafts, wanted, strict=True) if item not in before["Consents"]
        )
        held = profile.consents if element is None else element.consents
        change.gone_consents += [
            (element, item) for item in held if item.active and (item.consent_type, item.version) not in kept
        ]

    def _apply(self, profile: Profile, change: _Change, actor: Actor) -> None:
        elements, choices = self._profiles.elements, self._profiles.choices
        for element, preference in change.gone_preferences:
            choices.archive(profile, element, preference, actor)
        for holder, consent in change.gone_consents:
            choices.consents.deactivate(profile, holder, consent, actor)
        for element in change.gone_elements:
            elements.remove(profile, element, actor)
        for element, draft in change.renamed:
            element.type_name = draft.type_name or element.type_name
            elements.rename(profile, element, draft.value, draft.details, actor)
        for part in change.gone_names:
            del profile.name[part]
        for type_name in change.gone_alternate_ids:
            self._profiles.drop_alternate_id(profile, type_name)
        removed = (
            change.gone_preferences,
            change.gone_consents,
            change.gone_elements,
            change.renamed,
            change.gone_names,
            change.gone_alternate_ids,
        )
        self._profiles.update(profile, change.draft, actor, changed=any(removed))
