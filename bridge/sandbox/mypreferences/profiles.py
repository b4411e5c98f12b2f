"""Changing profiles as a whole: creating, updating, addresses, archiving, the life cycle."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Any

from bridge.sandbox.mypreferences import render
from bridge.sandbox.mypreferences.choices import Choices
from bridge.sandbox.mypreferences.config import Config
from bridge.sandbox.mypreferences.drafts import EmailDraft, ProfileDraft
from bridge.sandbox.mypreferences.events import Events, Happening
from bridge.sandbox.mypreferences.people import People
from bridge.sandbox.mypreferences.records import Actor, Email, Profile
from bridge.sandbox.mypreferences.refusal import Refused
from bridge.sandbox.mypreferences.switches import Switches


class Profiles:
    """Applies whole submissions to profiles. Guarded by the state's lock."""

    def __init__(
        self,
        config: Config,
        switches: Switches,
        people: People,
        events: Events,
        choices: Choices,
        documents: render.Render,
        now: Callable[[], datetime],
    ) -> None:
        self._config = config
        self._switches = switches
        self._people = people
        self._events = events
        self._choices = choices
        self._documents = documents
        self._now = now

    def create(self, draft: ProfileDraft, actor: Actor) -> Profile:
        """Create a profile with its preferences and consents. Raises Refused 409 for a taken alternate id."""
        self._refuse_taken(draft, None)
        now = self._now()
        profile = Profile(
            self._people.next_id(),
            now,
            now,
            actor.user,
            actor.user,
            self._config.customer_types[0],
            self._config.default_locale,
        )
        self._people.add(profile)
        self._apply(profile, draft, actor)
        if not actor.quiet:
            self._act("profile.created", profile, actor, self._documents.profile(profile))
        return profile

    def update(self, profile: Profile, draft: ProfileDraft, actor: Actor) -> None:
        """Apply what was sent and leave the rest (MyPreferences update profile by POST)."""
        self._refuse_taken(draft, profile)
        changed, chose = self._apply(profile, draft, actor)
        if changed or (chose and self._switches.profile_updated_covers_choices):
            self._act("profile.updated", profile, actor)

    def change_email(self, profile: Profile, old: str, new: str, actor: Actor) -> None:
        """Change an address in place. Raises Refused 404 when the profile does not hold `old`."""
        email = profile.email(old)
        if email is None:
            raise Refused(404, "The EmailAddress was not found.")
        before = render.email_data(email)
        self._people.unindex_email(profile, email.address)
        email.address = new.strip()
        self._people.index_email(profile, email.address)
        email.modified, email.user = self._now(), actor.user
        self._contact("updated", profile, email, actor, before)
        if not profile.preserve_preferences:
            for preference in list(email.preferences.values()):
                self._choices.archive(profile, email, preference, actor)
        self._touch(profile, actor)
        self._act("profile.updated", profile, actor)

    def remove_email(self, profile: Profile, address: str, actor: Actor) -> None:
        """Take an address off a profile; its preferences are archived unless they are to be preserved."""
        email = profile.email(address)
        if email is None:
            raise Refused(404, "The EmailAddress was not found.")
        if not profile.preserve_preferences:
            for preference in list(email.preferences.values()):
                self._choices.archive(profile, email, preference, actor)
        email.is_active = False
        email.modified, email.user = self._now(), actor.user
        if profile.email(address) is None:
            self._people.unindex_email(profile, email.address)
        self._contact("deleted", profile, email, actor)
        self._touch(profile, actor)
        self._act("profile.updated", profile, actor)

    def deactivate(self, profile: Profile, actor: Actor, reason: str = "") -> None:
        """Make a profile inactive; its preferences are archived unless they are to be preserved."""
        profile.is_active, profile.reason_code = False, reason
        if not profile.preserve_preferences:
            for email, preference in profile.all_preferences():
                self._choices.archive(profile, email, preference, actor, reason)
        self._touch(profile, actor)
        self._act("profile.deactivated", profile, actor)

    def activate(self, profile: Profile, actor: Actor) -> None:
        """Make a profile active again and clear the reason."""
        profile.is_active, profile.reason_code = True, ""
        self._touch(profile, actor)
        self._act("profile.reactivated", profile, actor)

    def delete(self, profile: Profile, actor: Actor, reason: str = "") -> None:
        """Delete a profile for good, with its preferences."""
        self._people.remove(profile, self._now(), reason)
        self._act("profile.deleted", profile, actor)

    def _apply(self, profile: Profile, draft: ProfileDraft, actor: Actor) -> tuple[bool, bool]:
        """Returns whether the profile itself, and whether its choices, were changed."""
        changed = self._put_fields(profile, draft)
        for type_name, value in draft.alternate_ids.items():
            changed |= self._put_alternate_id(profile, type_name, value, actor)
        chose = False
        for email_draft in draft.emails:
            email, touched = self._put_email(profile, email_draft, actor)
            changed |= touched
            for entry in email_draft.preferences:
                chose |= self._choices.put_preference(profile, email, entry, actor)
            for consent in email_draft.consents:
                chose |= self._choices.put_consent(profile, email, consent, actor)
        for entry in draft.preferences:
            chose |= self._choices.put_preference(profile, None, entry, actor)
        for consent in draft.consents:
            chose |= self._choices.put_consent(profile, None, consent, actor)
        if changed:
            self._touch(profile, actor)
        return changed, chose

    def _put_fields(self, profile: Profile, draft: ProfileDraft) -> bool:
        changed = False
        for name, value in draft.fields.items():
            changed |= getattr(profile, name) != value
            setattr(profile, name, value)
        for held, sent in ((profile.name, draft.name), (profile.extras, draft.extras)):
            for name, value in sent.items():
                changed |= held.get(name) != value
                held[name] = value
        return changed

    def _put_alternate_id(self, profile: Profile, type_name: str, value: str, actor: Actor) -> bool:
        former = profile.alternate_ids.get(type_name)
        if former is not None and former.lower() == value.lower():
            return False
        if former is not None:
            self._people.unindex_alternate_id(profile, type_name, former)
        profile.alternate_ids[type_name] = value
        self._people.index_alternate_id(profile, type_name, value)
        data = {"AlternateIdType": type_name, "AlternateId": value}
        kind = "contacts.alternateid.added" if former is None else "contacts.alternateid.updated"
        previous = None if former is None else {**data, "AlternateId": former}
        self._events.record(profile, Happening("Contacts", kind, data, type_name, previous), actor)
        return True

    def _put_email(self, profile: Profile, draft: EmailDraft, actor: Actor) -> tuple[Email, bool]:
        email = profile.email(draft.address, draft.email_type)
        if email is None:
            return self._add_email(profile, draft, actor), True
        if draft.is_default is None or draft.is_default == email.is_default:
            return email, False
        before = render.email_data(email)
        if draft.is_default:
            self._clear_default(profile)
        email.is_default = draft.is_default
        email.modified, email.user = self._now(), actor.user
        self._contact("updated", profile, email, actor, before)
        return email, True

    def _add_email(self, profile: Profile, draft: EmailDraft, actor: Actor) -> Email:
        now = self._now()
        first = not any(item.is_active for item in profile.emails)
        is_default = first if draft.is_default is None else draft.is_default
        if is_default:
            self._clear_default(profile)
        email_type = draft.email_type or self._config.email_types[0]
        email = Email(email_type, draft.address, now, now, actor.user, is_default)
        profile.emails.append(email)
        self._people.index_email(profile, email.address)
        self._contact("added", profile, email, actor)
        return email

    @staticmethod
    def _clear_default(profile: Profile) -> None:
        for item in profile.emails:
            item.is_default = False

    def _refuse_taken(self, draft: ProfileDraft, profile: Profile | None) -> None:
        if not self._switches.refuse_duplicate_alternate_ids:
            return
        for type_name, value in draft.alternate_ids.items():
            holder = self._people.by_alternate_id(type_name, value)
            if holder is not None and holder is not profile:
                raise Refused(409, f"A profile with this {type_name} already exists.")

    def _touch(self, profile: Profile, actor: Actor) -> None:
        profile.modified, profile.modified_by = self._now(), actor.user

    def _contact(
        self, kind: str, profile: Profile, email: Email, actor: Actor, previous: dict[str, Any] | None = None
    ) -> None:
        happening = Happening(
            "Contacts", f"contacts.email.{kind}", render.email_data(email), email.email_type, previous
        )
        self._events.record(profile, happening, actor)

    def _act(self, kind: str, profile: Profile, actor: Actor, data: dict[str, Any] | None = None) -> None:
        happening = Happening("ProfileActions", kind, data or {"ProfileId": profile.profile_id})
        self._events.record(profile, happening, actor)


def snapshot(profile: Profile) -> Profile:
    """A copy that later changes do not reach: preferences are never changed in place, the rest is copied."""
    emails = [
        replace(
            item,
            preferences=dict(item.preferences),
            consents=[replace(consent) for consent in item.consents],
        )
        for item in profile.emails
    ]
    return replace(
        profile,
        name=dict(profile.name),
        alternate_ids=dict(profile.alternate_ids),
        emails=emails,
        preferences=dict(profile.preferences),
        consents=[replace(item) for item in profile.consents],
        associations=dict(profile.associations),
        extras=dict(profile.extras),
    )
