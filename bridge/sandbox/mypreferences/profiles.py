"""Changing profiles as a whole: creating, updating, replacing, the life cycle."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Any

from bridge.sandbox.mypreferences.choices import Choices
from bridge.sandbox.mypreferences.config import Config
from bridge.sandbox.mypreferences.drafts import ProfileDraft
from bridge.sandbox.mypreferences.elements import Elements
from bridge.sandbox.mypreferences.people import People
from bridge.sandbox.mypreferences.records import Actor, Profile
from bridge.sandbox.mypreferences.refusal import Refused
from bridge.sandbox.mypreferences.switches import Switches
from bridge.sandbox.mypreferences.telling import Teller


class Profiles:
    """Applies whole submissions to profiles. Guarded by the state's lock."""

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
        self.choices = choices
        self._now = now
        self.elements = Elements(config, switches, people, teller, choices, now)

    def create(self, draft: ProfileDraft, actor: Actor) -> Profile:
        """Create a profile with its preferences and consents. Raises Refused 409 for a taken alternate id."""
        self.refuse_taken(draft, None)
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
        self._teller.whole("profile.created", profile, actor)
        return profile

    def update(self, profile: Profile, draft: ProfileDraft, actor: Actor, *, changed: bool = False) -> bool:
        """Apply what was sent and leave the rest (MyPreferences update profile by POST). `changed` tells of
        changes made before, that belong to the same update. False when a choice was passed over, since a
        newer one stands."""
        self.refuse_taken(draft, profile)
        applied, honoured = self._apply(profile, draft, actor)
        if changed or applied or (any(honoured) and self._switches.profile_updated_covers_choices):
            self._teller.acted("profile.updated", profile, actor)
        return all(honoured)

    def replace(self, profile: Profile, draft: ProfileDraft, actor: Actor) -> None:
        """Make a profile what was sent and blank the rest (MyPreferences update profile by PUT)."""
        self.refuse_taken(draft, profile)
        self._blank(profile, draft, actor)
        self._apply(profile, draft, actor)
        self._touch(profile, actor)
        self._teller.whole("profile.replaced", profile, actor)

    def change_email(self, profile: Profile, old: str, new: str, actor: Actor) -> None:
        """Change an address in place. Raises Refused 404 when the profile does not hold `old`."""
        email = profile.email(old)
        if email is None:
            raise Refused(404, "The EmailAddress was not found.")
        self.elements.rename(profile, email, new, email.details, actor)
        self._touch(profile, actor)
        self._teller.acted("profile.updated", profile, actor)

    def remove_email(self, profile: Profile, address: str, actor: Actor) -> None:
        """Take an address off a profile; its preferences are archived unless they are to be preserved."""
        email = profile.email(address)
        if email is None:
            raise Refused(404, "The EmailAddress was not found.")
        self.elements.remove(profile, email, actor)
        self._touch(profile, actor)
        self._teller.acted("profile.updated", profile, actor)

    def deactivate(self, profile: Profile, actor: Actor, reason: str = "") -> None:
        """Make a profile inactive; its preferences are archived unless they are to be preserved."""
        profile.is_active, profile.reason_code = False, reason
        if not profile.preserve_preferences:
            for element, preference in profile.all_preferences():
                self.choices.archive(profile, element, preference, actor, reason)
        if not profile.preserve_consents:
            for element in profile.elements:
                self.choices.consents.deactivate_all(profile, element, actor)
        self._touch(profile, actor)
        self._teller.acted("profile.deactivated", profile, actor)

    def activate(self, profile: Profile, actor: Actor) -> None:
        """Make a profile active again and clear the reason; what was preserved is there again."""
        profile.is_active, profile.reason_code = True, ""
        self._touch(profile, actor)
        self._teller.acted("profile.reactivated", profile, actor)

    def delete(self, profile: Profile, actor: Actor, reason: str = "") -> None:
        """Delete a profile for good, with its preferences."""
        self._people.remove(profile, self._now(), reason)
        self._teller.acted("profile.deleted", profile, actor)

    def drop_alternate_id(self, profile: Profile, type_name: str) -> None:
        """Take an alternate id off a profile."""
        self._people.unindex_alternate_id(profile, type_name, profile.alternate_ids.pop(type_name))

    def _apply(self, profile: Profile, draft: ProfileDraft, actor: Actor) -> tuple[bool, list[bool]]:
        """Returns whether the profile itself was changed, and of each choice, whether it was honoured."""
        changed = self._put_fields(profile, draft, actor)
        for type_name, value in draft.alternate_ids.items():
            changed |= self._put_alternate_id(profile, type_name, value, actor)
        honoured: list[bool] = []
        for sent in draft.elements:
            element, touched = self.elements.put(profile, sent, actor)
            changed |= touched
            for entry in sent.preferences:
                honoured.append(self.choices.put_preference(profile, element, entry, actor))
            for consent in sent.consents:
                honoured.append(self.choices.put_consent(profile, element, consent, actor))
        for entry in draft.preferences:
            honoured.append(self.choices.put_preference(profile, None, entry, actor))
        for consent in draft.consents:
            honoured.append(self.choices.put_consent(profile, None, consent, actor))
        if changed:
            self._touch(profile, actor)
        return changed, honoured

    def _blank(self, profile: Profile, draft: ProfileDraft, actor: Actor) -> None:
        """Take away what a replacement leaves out. The flags decide what becomes of choices, so they are
        blanked first."""
        keep = self._switches.put_keeps_preserve_flags
        profile.preserve_preferences = draft.fields.get("preserve_preferences", keep)
        profile.preserve_consents = draft.fields.get("preserve_consents", keep)
        profile.registration_confirmed = False
        profile.customer_type, profile.locale = self._config.customer_types[0], self._config.default_locale
        profile.name, profile.extras = {}, {}
        for type_name in [name for name in profile.alternate_ids if name not in draft.alternate_ids]:
            self.drop_alternate_id(profile, type_name)
        self.elements.blank(profile, draft.elements, actor)
        stated = {item.filter.filter_id for item in draft.preferences}
        for preference in list(profile.preferences.values()):
            if preference.filter_id not in stated:
                self.choices.archive(profile, None, preference, actor)
        consents = {(item.consent_type, item.version) for item in draft.consents}
        for consent in profile.consents:
            if consent.active and (consent.consent_type, consent.version) not in consents:
                self.choices.consents.deactivate(profile, None, consent, actor)

    def _put_fields(self, profile: Profile, draft: ProfileDraft, actor: Actor) -> bool:
        fields, custom = standard_fields(profile), copy.deepcopy(profile.extras.get("CustomFields"))
        changed = False
        for name, value in draft.fields.items():
            changed |= getattr(profile, name) != value
            setattr(profile, name, value)
        for held, sent in ((profile.name, draft.name), (profile.extras, draft.extras)):
            for name, value in sent.items():
                changed |= held.get(name) != value
                held[name] = value
        now, former = self._now(), profile.former
        if not former.standard_fields or standard_fields(profile) != fields:
            former.standard_fields.append((now, actor.user, standard_fields(profile)))
        if profile.extras.get("CustomFields") != custom:
            former.custom_fields += [
                (now, actor.user, item)
                for item in profile.extras["CustomFields"]
                if item not in (custom or ())
            ]
        return changed

    def _put_alternate_id(self, profile: Profile, type_name: str, value: str, actor: Actor) -> bool:
        former = profile.alternate_ids.get(type_name)
        if former is not None and former.lower() == value.lower():
            return False
        if former is not None:
            self._people.unindex_alternate_id(profile, type_name, former)
        profile.alternate_ids[type_name] = value
        self._people.index_alternate_id(profile, type_name, value)
        self._teller.alternate_id(profile, type_name, value, former, actor)
        return True

    def refuse_taken(self, draft: ProfileDraft, profile: Profile | None) -> None:
        """Raises Refused 409 where an alternate id is another profile's."""
        if not self._switches.refuse_duplicate_alternate_ids:
            return
        for type_name, value in draft.alternate_ids.items():
            holder = self._people.by_alternate_id(type_name, value)
            if holder is not None and holder is not profile:
                raise Refused(409, f"A profile with this {type_name} already exists.")

    def _touch(self, profile: Profile, actor: Actor) -> None:
        profile.modified, profile.modified_by = self._now(), actor.user


def standard_fields(profile: Profile) -> dict[str, Any]:
    """The fields that every account has (MyPreferences `Retrieve historical standard fields`)."""
    return {
        "CustomerName": dict(profile.name),
        "DefaultLocale": profile.locale,
        "CustomerType": profile.customer_type,
        "RegistrationConfirmed": profile.registration_confirmed,
    }


def snapshot(profile: Profile) -> Profile:
    """A copy that later changes do not reach: preferences are never changed in place, the rest is copied."""
    elements = [
        replace(
            item,
            details=dict(item.details),
            preferences=dict(item.preferences),
            consents=[replace(consent) for consent in item.consents],
        )
        for item in profile.elements
    ]
    return replace(
        profile,
        name=dict(profile.name),
        alternate_ids=dict(profile.alternate_ids),
        elements=elements,
        preferences=dict(profile.preferences),
        consents=[replace(item) for item in profile.consents],
        associations=dict(profile.associations),
        extras=dict(profile.extras),
    )
