"""Storing preferences and consents: which submission counts, what hangs on what, and what it raises."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Any

from bridge.sandbox.mypreferences import render
from bridge.sandbox.mypreferences.config import Config
from bridge.sandbox.mypreferences.drafts import ConsentDraft, PreferenceDraft
from bridge.sandbox.mypreferences.events import Events, Happening
from bridge.sandbox.mypreferences.records import (
    GRANTED,
    REVOKED,
    Actor,
    Consent,
    Email,
    Preference,
    Profile,
)
from bridge.sandbox.mypreferences.switches import Switches


class Choices:
    """Applies preferences and consents to profiles. Guarded by the state's lock."""

    def __init__(
        self,
        config: Config,
        switches: Switches,
        events: Events,
        documents: render.Render,
        now: Callable[[], datetime],
    ) -> None:
        self._config = config
        self._switches = switches
        self._events = events
        self._documents = documents
        self._now = now

    def put_preference(
        self, profile: Profile, email: Email | None, draft: PreferenceDraft, actor: Actor
    ) -> bool:
        """Store a preference; False when the stored one is newer and stands (200 all the same)."""
        held = profile.preferences if email is None else email.preferences
        stored = held.get(draft.filter.filter_id)
        live = stored if stored is not None and not stored.archived else None
        if live is not None and self._too_old(draft.date, live.customer_date):
            return False
        made = self._made(draft, live, actor)
        held[made.filter_id] = made
        _touch(profile, made.modified, actor)
        if live is None:
            self._raise_preference("preference.added", profile, email, made, actor)
        elif self._switches.repeat_raises_event or _differ(live, made):
            self._raise_preference("preference.updated", profile, email, made, actor)
        for consent_type in self._config.consents_of(made.filter_id):
            if not made.opted_in:
                self._revoke_with(profile, consent_type, made, actor)
            self._associate(profile, consent_type, made.filter_id, actor)
        return True

    def put_consent(self, profile: Profile, email: Email | None, draft: ConsentDraft, actor: Actor) -> bool:
        """Store a consent on the profile or an address; False when a newer one stands."""
        held = profile.consents if email is None else email.consents
        same = [item for item in held if item.active and _is(item, draft)]
        if any(self._too_old(draft.date, item.date) for item in same):
            return False
        now = self._now()
        former = [item for item in same if item.locale != draft.locale]
        current = next((item for item in same if item.locale == draft.locale), None)
        before = current.status if current else None
        for item in former:
            before = item.status
            self._deactivate(profile, email, item, actor)
        if current is None:
            current = Consent(
                draft.consent_type,
                draft.version,
                draft.locale,
                draft.status,
                draft.date,
                now,
                now,
                actor.user,
            )
            held.append(current)
            self._raise_consent(_kind(email, "added"), profile, email, current, actor)
        else:
            self._restate(held, current, draft.status, draft.date, actor)
            if before != current.status:
                self._raise_consent(_kind(email, "updated"), profile, email, current, actor)
        _touch(profile, now, actor)
        if email is None:
            self._after_consent(profile, current, before, actor)
        return True

    def archive(
        self, profile: Profile, email: Email | None, preference: Preference, actor: Actor, reason: str = ""
    ) -> None:
        """Take a preference out of ordinary reads. Does nothing to an archived one."""
        if preference.archived:
            return
        attributes = {**preference.attributes, "$Reason_Code": reason} if reason else preference.attributes
        made = replace(
            preference, archived=True, attributes=attributes, modified=self._now(), user=actor.user
        )
        held = profile.preferences if email is None else email.preferences
        held[made.filter_id] = made
        _touch(profile, made.modified, actor)
        self._raise_preference("preference.archived", profile, email, made, actor)

    def _made(self, draft: PreferenceDraft, live: Preference | None, actor: Actor) -> Preference:
        kept = live.attributes if live is not None else {}
        return Preference(
            draft.filter.filter_id,
            draft.opted_in,
            draft.date,
            self._now(),
            actor.user,
            draft.frequency,
            kept if draft.attributes is None else draft.attributes,
        )

    def _too_old(self, sent: datetime, stored: datetime) -> bool:
        return sent < stored and not self._switches.honour_older_dates

    def _after_consent(self, profile: Profile, current: Consent, before: int | None, actor: Actor) -> None:
        """A revocation archives the preferences tied to the consent (MyPreferences `preference.archived`)."""
        for filter_id in self._config.filters_of(current.consent_type):
            self._associate(profile, current.consent_type, filter_id, actor)
            if current.status == REVOKED and before != REVOKED:
                for email, preference in list(profile.live(filter_id)):
                    self.archive(profile, email, preference, actor, "Consent revoked")

    def _revoke_with(self, profile: Profile, consent_type: str, cause: Preference, actor: Actor) -> None:
        """An opt-out turns an associated Granted consent to Revoked (MyPreferences `consent.updated`).

        The other preferences tied to that consent are archived; the opt-out itself stays readable.
        """
        for current in [
            item for item in profile.consents if item.active and item.consent_type == consent_type
        ]:
            if current.status != GRANTED:
                continue
            date = max(cause.customer_date, current.date)
            self._restate(profile.consents, current, REVOKED, date, actor)
            self._raise_consent("consent.updated", profile, None, current, actor)
            for filter_id in self._config.filters_of(consent_type):
                self._associate(profile, consent_type, filter_id, actor)
                for holder, preference in list(profile.live(filter_id)):
                    if preference is not cause:
                        self.archive(profile, holder, preference, actor, "Consent revoked")

    def _restate(
        self, held: list[Consent], current: Consent, status: int, date: datetime, actor: Actor
    ) -> None:
        """Change a consent in place, leaving its former state behind as history."""
        if current.status != status:
            held.append(replace(current, active=False))
        current.status, current.date = status, date
        current.modified, current.user = self._now(), actor.user

    def _deactivate(self, profile: Profile, email: Email | None, item: Consent, actor: Actor) -> None:
        item.active = False
        item.modified, item.user = self._now(), actor.user
        self._raise_consent(_kind(email, "deactivated"), profile, email, item, actor)

    def _associate(self, profile: Profile, consent_type: str, filter_id: str, actor: Actor) -> None:
        """Tie consent and preference once both are there; tell when the tie's status changes."""
        current = profile.consent(consent_type)
        key = (consent_type, filter_id)
        known = profile.associations.get(key)
        if current is None or (known is None and not any(profile.live(filter_id))):
            return
        if known == current.status:
            return
        profile.associations[key] = current.status
        kind = "created" if known is None else "updated"
        data = {"FilterId": filter_id, **render.consent(current)}
        self._events.record(
            profile, Happening("Consents", f"consent.filterassociation.{kind}", data, consent_type), actor
        )

    def _raise_preference(
        self, kind: str, profile: Profile, email: Email | None, item: Preference, actor: Actor
    ) -> None:
        if actor.quiet:
            return
        data = self._documents.preference_data(profile, email, item)
        self._events.record(profile, Happening("Preferences", kind, data, item.filter_id), actor)

    def _raise_consent(
        self, kind: str, profile: Profile, email: Email | None, item: Consent, actor: Actor
    ) -> None:
        element: dict[str, Any] = {} if email is None else render.email_data(email)
        data = {**element, **render.consent(item)}
        self._events.record(profile, Happening("Consents", kind, data, item.consent_type), actor)


def _touch(profile: Profile, moment: datetime, actor: Actor) -> None:
    profile.modified, profile.modified_by = moment, actor.user


def _is(item: Consent, draft: ConsentDraft) -> bool:
    return (item.consent_type, item.version) == (draft.consent_type, draft.version)


def _kind(email: Email | None, what: str) -> str:
    if email is None:
        return f"consent.{what}"
    return f"consent.elementassociation.{'created' if what == 'added' else what}"


def _differ(before: Preference, after: Preference) -> bool:
    def said(item: Preference) -> tuple[Any, ...]:
        return (item.opted_in, item.frequency, item.attributes, item.customer_date)

    return said(before) != said(after)
