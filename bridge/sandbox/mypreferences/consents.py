"""Storing consents, and what a consent and the preferences tied to it do to each other."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime

from bridge.sandbox.mypreferences import render
from bridge.sandbox.mypreferences.config import Config
from bridge.sandbox.mypreferences.drafts import ConsentDraft
from bridge.sandbox.mypreferences.records import (
    GRANTED,
    REVOKED,
    Actor,
    Consent,
    Element,
    Preference,
    Profile,
)
from bridge.sandbox.mypreferences.switches import Switches
from bridge.sandbox.mypreferences.telling import Teller

Archive = Callable[[Profile, Element | None, Preference, Actor, str], None]
Tie = tuple[str, str | None]
"""A filter, and the contact type it is tied for (None: any)."""
_REASON = "Consent revoked"


class Consents:
    """Applies consents to profiles. Guarded by the state's lock."""

    def __init__(
        self,
        config: Config,
        switches: Switches,
        teller: Teller,
        now: Callable[[], datetime],
        archive: Archive,
    ) -> None:
        self.config = config
        self._switches = switches
        self._teller = teller
        self._now = now
        self._archive = archive

    def put(self, profile: Profile, element: Element | None, draft: ConsentDraft, actor: Actor) -> bool:
        """Store a consent on the profile or an element; False when a newer one stands."""
        held = profile.consents if element is None else element.consents
        same = [item for item in held if item.active and _is(item, draft)]
        if any(self._too_old(draft.date, item.date) for item in same):
            return False
        current = next((item for item in same if item.locale == draft.locale), None)
        before = current.status if current else None
        for item in same:
            if item.locale != draft.locale:
                before = item.status
                self.deactivate(profile, element, item, actor)
        if current is None:
            current = self._made(draft, actor)
            held.append(current)
            self._teller.consent("added", profile, element, current, actor)
        else:
            self._restate(held, current, draft.status, draft.date, actor)
            if before != current.status:
                self._teller.consent("updated", profile, element, current, actor)
        profile.modified, profile.modified_by = current.modified, actor.user
        if element is None:
            self._after_consent(profile, current, before, actor)
        return True

    def deactivate(self, profile: Profile, element: Element | None, item: Consent, actor: Actor) -> None:
        """Make a consent history."""
        item.active = False
        item.modified, item.user = self._now(), actor.user
        self._teller.consent("deactivated", profile, element, item, actor)

    def deactivate_all(self, profile: Profile, element: Element, actor: Actor) -> None:
        """Make all consents of an element history."""
        for item in element.consents:
            if item.active:
                self.deactivate(profile, element, item, actor)

    def after_preference(
        self, profile: Profile, element: Element | None, cause: Preference, actor: Actor
    ) -> None:
        """An opt-out turns an associated Granted consent to Revoked (MyPreferences `consent.updated`).

        The other preferences tied to that consent are archived; the opt-out itself stays readable.
        """
        for consent_type in self._consents_of(profile, element, cause.filter_id):
            if not cause.opted_in:
                self.revoke(profile, consent_type, cause.customer_date, actor, cause)
            self._associate(profile, consent_type, cause.filter_id, actor)

    def revoke(
        self,
        profile: Profile,
        consent_type: str,
        at: datetime,
        actor: Actor,
        cause: Preference | None = None,
    ) -> None:
        """Revoke what of a consent type is granted, and archive what is tied to it except the cause."""
        granted = [
            item
            for item in profile.consents
            if item.active and item.consent_type == consent_type and item.status == GRANTED
        ]
        for current in granted:
            self._restate(profile.consents, current, REVOKED, max(at, current.date), actor)
            self._teller.consent("updated", profile, None, current, actor)
            self._archive_tied(profile, consent_type, actor, cause)

    def tie(self, profile: Profile, current: Consent, filter_id: str, type_name: str, actor: Actor) -> None:
        """Associate a consent with the preferences of a filter on elements of a type."""
        profile.untied.discard((current.consent_type, filter_id))
        self._note(profile, current, (current.consent_type, filter_id, type_name), actor)

    def untie(self, profile: Profile, consent_type: str, filter_id: str, actor: Actor) -> bool:
        """Take every version of a consent off a filter; False where nothing ties them."""
        keys = [key for key in profile.associations if key[:2] == (consent_type, filter_id)]
        current = profile.consent(consent_type)
        for key in keys:
            del profile.associations[key]
            data = render.consent(current) if current else {"ConsentType": consent_type}
            self._teller.association("deactivated", profile, filter_id, data, actor)
        profile.untied.add((consent_type, filter_id))
        return bool(keys)

    def tied(self, profile: Profile, consent_type: str) -> list[Tie]:
        """What hangs on a consent: by the account's configuration, and by this profile's associations."""
        ties: list[Tie] = [
            (filter_id, None)
            for filter_id in self.config.filters_of(consent_type)
            if (consent_type, filter_id) not in profile.untied
        ]
        return ties + [(name, kind) for held, name, kind in profile.associations if held == consent_type]

    def _after_consent(self, profile: Profile, current: Consent, before: int | None, actor: Actor) -> None:
        """A revocation archives the preferences tied to the consent (MyPreferences `preference.archived`)."""
        for filter_id in dict.fromkeys(name for name, _ in self.tied(profile, current.consent_type)):
            self._associate(profile, current.consent_type, filter_id, actor)
        if current.status == REVOKED and before != REVOKED:
            self._archive_tied(profile, current.consent_type, actor, None)

    def _archive_tied(
        self, profile: Profile, consent_type: str, actor: Actor, cause: Preference | None
    ) -> None:
        for filter_id, type_name in self.tied(profile, consent_type):
            self._associate(profile, consent_type, filter_id, actor)
            for holder, preference in list(profile.live(filter_id)):
                if preference is not cause and type_name in (None, _type_of(profile, holder)):
                    self._archive(profile, holder, preference, actor, _REASON)

    def _consents_of(self, profile: Profile, element: Element | None, filter_id: str) -> list[str]:
        own = _type_of(profile, element)
        coupled = [
            name for name in self.config.consents_of(filter_id) if (name, filter_id) not in profile.untied
        ]
        stated = [held for held, name, kind in profile.associations if (name, kind) == (filter_id, own)]
        return list(dict.fromkeys([*coupled, *stated]))

    def _associate(self, profile: Profile, consent_type: str, filter_id: str, actor: Actor) -> None:
        """Tie consent and preference once both are there; tell when the tie's status changes."""
        current = profile.consent(consent_type)
        if current is None:
            return
        for key in [*profile.associations, *self._new_ties(profile, consent_type, filter_id)]:
            if key[:2] == (consent_type, filter_id):
                self._note(profile, current, key, actor)

    def _new_ties(
        self, profile: Profile, consent_type: str, filter_id: str
    ) -> Iterator[tuple[str, str, str]]:
        for holder, _ in profile.live(filter_id):
            yield consent_type, filter_id, _type_of(profile, holder)

    def _note(self, profile: Profile, current: Consent, key: tuple[str, str, str], actor: Actor) -> None:
        known = profile.associations.get(key)
        if known == current.status:
            return
        profile.associations[key] = current.status
        what = "created" if known is None else "updated"
        self._teller.association(what, profile, key[1], render.consent(current), actor)

    def _too_old(self, sent: datetime, stored: datetime) -> bool:
        return sent < stored and not self._switches.honour_older_dates

    def _made(self, draft: ConsentDraft, actor: Actor) -> Consent:
        now = self._now()
        return Consent(
            draft.consent_type, draft.version, draft.locale, draft.status, draft.date, now, now, actor.user
        )

    def _restate(
        self, held: list[Consent], current: Consent, status: int, date: datetime, actor: Actor
    ) -> None:
        """Change a consent in place, leaving its former state behind as history."""
        if current.status != status:
            held.append(replace(current, active=False))
        current.status, current.date = status, date
        current.modified, current.user = self._now(), actor.user


def _type_of(profile: Profile, element: Element | None) -> str:
    """The type an association is kept for: the element's, or the profile's customer type."""
    return profile.customer_type if element is None else element.type_name


def _is(item: Consent, draft: ConsentDraft) -> bool:
    return (item.consent_type, item.version) == (draft.consent_type, draft.version)
