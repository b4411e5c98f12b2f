"""What happens to a profile, as the events it raises."""

from __future__ import annotations

from typing import Any

from bridge.sandbox.mypreferences import render
from bridge.sandbox.mypreferences.config import Config
from bridge.sandbox.mypreferences.events import Events, Happening
from bridge.sandbox.mypreferences.records import Actor, Consent, Element, Preference, Profile, User
from bridge.sandbox.mypreferences.switches import Switches

SYSTEM = User("system", "SYSTEM")
"""The author of what nobody did: inherited choices, and what the Status Manager finds."""


class Teller:
    """Raises the events of one account. Guarded by the state's lock."""

    def __init__(self, config: Config, switches: Switches, events: Events, documents: render.Render) -> None:
        self._config = config
        self._switches = switches
        self._events = events
        self._documents = documents

    def acted(self, kind: str, profile: Profile, actor: Actor, data: dict[str, Any] | None = None) -> None:
        """A ProfileActions event; its data is the profile's id unless more is given."""
        happening = Happening("ProfileActions", kind, data or {"ProfileId": profile.profile_id})
        self._events.record(profile, happening, actor)

    def whole(self, kind: str, profile: Profile, actor: Actor) -> None:
        """A ProfileActions event that holds the whole profile."""
        if not actor.quiet:
            self.acted(kind, profile, actor, self._documents.profile(profile))

    def contact(
        self,
        what: str,
        profile: Profile,
        element: Element,
        actor: Actor,
        previous: dict[str, Any] | None = None,
    ) -> None:
        """A Contacts event: added, updated or deleted."""
        kind = f"contacts.{element.kind.event}.{what}"
        data = render.element_data(element)
        self._events.record(profile, Happening("Contacts", kind, data, element.type_name, previous), actor)

    def alternate_id(
        self, profile: Profile, type_name: str, value: str, former: str | None, actor: Actor
    ) -> None:
        """A Contacts event of an alternate id that is new or another."""
        data = {"AlternateIdType": type_name, "AlternateId": value}
        kind = "contacts.alternateid.added" if former is None else "contacts.alternateid.updated"
        previous = None if former is None else {**data, "AlternateId": former}
        self._events.record(profile, Happening("Contacts", kind, data, type_name, previous), actor)

    def preference(
        self, what: str, profile: Profile, element: Element | None, item: Preference, actor: Actor
    ) -> None:
        """A Preferences event, and those of the choices that are inherited from it."""
        if actor.quiet:
            return
        document = self._documents.preference(profile, item)
        self._preference(what, profile, element, document, actor)
        if self._switches.propagation_raises_events:
            self._inherit(what, profile, element, item, item.filter_id)

    def _inherit(
        self, what: str, profile: Profile, element: Element | None, item: Preference, parent: str
    ) -> None:
        """The same, for filters below on which the person stated nothing."""
        for heir in self._config.heirs(parent):
            own = profile.held(element).get(heir)
            if own is None or own.archived:
                document = self._documents.preference(profile, item, render.IMPLIED, heir)
                self._preference(what, profile, element, document, Actor(SYSTEM))
                self._inherit(what, profile, element, item, heir)

    def consent(
        self, what: str, profile: Profile, element: Element | None, item: Consent, actor: Actor
    ) -> None:
        """A Consents event: added, updated or deactivated, on the profile or on a contact element."""
        data = render.consent(item)
        kind = f"consent.{what}"
        if element is not None:
            kind = f"consent.elementassociation.{'created' if what == 'added' else what}"
            data = {**render.element_data(element), **data}
        self._events.record(profile, Happening("Consents", kind, data, item.consent_type), actor)

    def association(
        self, what: str, profile: Profile, filter_id: str, item: dict[str, Any], actor: Actor
    ) -> None:
        """A Consents event of a tie between consent and preference: created, updated or deactivated."""
        kind = f"consent.filterassociation.{what}"
        data = {"FilterId": filter_id, **item}
        self._events.record(profile, Happening("Consents", kind, data, str(item["ConsentType"])), actor)

    def _preference(
        self,
        what: str,
        profile: Profile,
        element: Element | None,
        document: dict[str, Any],
        actor: Actor,
    ) -> None:
        data = render.preference_data(element, document)
        happening = Happening("Preferences", f"preference.{what}", data, str(document["FilterId"]))
        self._events.record(profile, happening, actor)
