"""Contact elements: adding, changing and taking away e-mail addresses, phones and postal addresses."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any

from bridge.sandbox.mypreferences import render
from bridge.sandbox.mypreferences.choices import Choices
from bridge.sandbox.mypreferences.config import Config
from bridge.sandbox.mypreferences.drafts import ElementDraft
from bridge.sandbox.mypreferences.people import People
from bridge.sandbox.mypreferences.records import PHONE, Actor, Element, Kind, Profile
from bridge.sandbox.mypreferences.switches import Switches
from bridge.sandbox.mypreferences.telling import Teller


class Elements:
    """Applies contact elements to profiles. Guarded by the state's lock."""

    def __init__(
        self,
        config: Config,
        switches: Switches,
        people: People,
        teller: Teller,
        choices: Choices,
        now: Callable[[], datetime],
    ) -> None:
        self._config = config
        self._switches = switches
        self._people = people
        self._teller = teller
        self._choices = choices
        self._now = now

    def put(self, profile: Profile, draft: ElementDraft, actor: Actor) -> tuple[Element, bool]:
        """The element as it was sent, added where the profile has none like it; whether it changed."""
        element = profile.element(draft.kind, draft.key, draft.type_name)
        if element is None:
            return self._returned(profile, draft, actor) or self._added(profile, draft, actor), True
        details = {**element.details, **draft.details}
        same_default = draft.is_default in (None, element.is_default)
        if same_default and details == element.details:
            return element, False
        before = render.element_data(element)
        if draft.is_default and not same_default:
            _clear_default(profile, draft.kind)
        element.is_default = element.is_default if draft.is_default is None else draft.is_default
        self._changed(profile, element, details, before, actor)
        return element, True

    def rename(
        self, profile: Profile, element: Element, value: str, details: Mapping[str, Any], actor: Actor
    ) -> None:
        """Change a value in place: its preferences and consents go with it where they are preserved."""
        before = render.element_data(element)
        self._people.unindex(profile, element)
        element.value = value.strip()
        self._changed(profile, element, {**element.details, **details}, before, actor)
        self._people.index(profile, element)
        self._let_go(profile, element, actor)

    def remove(self, profile: Profile, element: Element, actor: Actor) -> None:
        """Take an element off a profile; its preferences are archived unless they are to be preserved."""
        self._let_go(profile, element, actor)
        element.is_active = False
        element.modified, element.user = self._now(), actor.user
        if profile.element(element.kind, element.key) is None:
            self._people.unindex(profile, element)
        self._teller.contact("deleted", profile, element, actor)

    def blank(self, profile: Profile, wanted: Iterable[ElementDraft], actor: Actor) -> None:
        """Take away every element that is not wanted, and the preferences that the wanted ones leave out."""
        for element in [item for item in profile.elements if item.is_active]:
            sent = next((draft for draft in wanted if _means(draft, element)), None)
            if sent is None:
                self.remove(profile, element, actor)
                continue
            stated = {item.filter.filter_id for item in sent.preferences}
            for preference in list(element.preferences.values()):
                if preference.filter_id not in stated:
                    self._choices.archive(profile, element, preference, actor)
            consents = {(item.consent_type, item.version) for item in sent.consents}
            for consent in element.consents:
                if consent.active and (consent.consent_type, consent.version) not in consents:
                    self._choices.consents.deactivate(profile, element, consent, actor)

    def _changed(
        self,
        profile: Profile,
        element: Element,
        details: Mapping[str, Any],
        before: dict[str, Any],
        actor: Actor,
    ) -> None:
        """Note new details; a phone that is no longer a mobile loses its text preferences (MyPreferences
        `preference.archived`)."""
        was_mobile = element.kind is PHONE and element.details.get("IsMobile") is True
        element.details = dict(details)
        element.modified, element.user = self._now(), actor.user
        self._teller.contact("updated", profile, element, actor, before)
        if was_mobile and element.details.get("IsMobile") is False:
            self._choices.archive_all(profile, element, actor, "text")

    def _let_go(self, profile: Profile, element: Element, actor: Actor) -> None:
        if not profile.preserve_preferences:
            self._choices.archive_all(profile, element, actor)
        if not profile.preserve_consents:
            self._choices.consents.deactivate_all(profile, element, actor)

    def _returned(self, profile: Profile, draft: ElementDraft, actor: Actor) -> Element | None:
        """An element that was taken away, with all that was preserved of it; None where there is none."""
        if not self._switches.readded_element_keeps_choices:
            return None
        for element in reversed(profile.of_kind(draft.kind)):
            if not element.is_active and _means(draft, element):
                element.is_active = True
                element.modified, element.user = self._now(), actor.user
                self._people.index(profile, element)
                self._teller.contact("added", profile, element, actor)
                return element
        return None

    def _added(self, profile: Profile, draft: ElementDraft, actor: Actor) -> Element:
        now = self._now()
        first = profile.default(draft.kind) is None
        is_default = first if draft.is_default is None else draft.is_default
        if is_default:
            _clear_default(profile, draft.kind)
        element = Element(
            draft.kind,
            draft.type_name or self._config.types_of(draft.kind)[0],
            draft.value,
            now,
            now,
            actor.user,
            is_default,
            details=dict(draft.details),
        )
        profile.elements.append(element)
        self._people.index(profile, element)
        self._teller.contact("added", profile, element, actor)
        return element


def _means(draft: ElementDraft, element: Element) -> bool:
    same_type = draft.type_name in (None, element.type_name)
    return draft.kind is element.kind and draft.key == element.key and same_type


def _clear_default(profile: Profile, kind: Kind) -> None:
    for item in profile.of_kind(kind):
        item.is_default = False
