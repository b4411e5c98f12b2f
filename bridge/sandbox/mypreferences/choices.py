"""Storing preferences: which submission counts, what is archived, what hangs on what."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Any

from bridge.sandbox.mypreferences.config import Config
from bridge.sandbox.mypreferences.consents import Consents
from bridge.sandbox.mypreferences.drafts import ConsentDraft, PreferenceDraft
from bridge.sandbox.mypreferences.records import Actor, Element, Preference, Profile
from bridge.sandbox.mypreferences.switches import Switches
from bridge.sandbox.mypreferences.telling import Teller


class Choices:
    """Applies preferences and consents to profiles. Guarded by the state's lock."""

    def __init__(
        self, config: Config, switches: Switches, teller: Teller, now: Callable[[], datetime]
    ) -> None:
        self._switches = switches
        self._teller = teller
        self._now = now
        self.consents = Consents(config, switches, teller, now, self.archive)

    def put_preference(
        self, profile: Profile, element: Element | None, draft: PreferenceDraft, actor: Actor
    ) -> bool:
        """Store a preference; False when the stored one is newer and stands (200 all the same)."""
        held = profile.held(element)
        stored = held.get(draft.filter.filter_id)
        live = stored if stored is not None and not stored.archived else None
        if live is not None and draft.date < live.customer_date and not self._switches.honour_older_dates:
            return False
        made = self._made(draft, live, actor)
        self._keep(profile, element, made, actor)
        if live is None:
            self._teller.preference("added", profile, element, made, actor)
        elif self._switches.repeat_raises_event or _differ(live, made):
            self._teller.preference("updated", profile, element, made, actor)
        self.consents.after_preference(profile, element, made, actor)
        return True

    def put_consent(
        self, profile: Profile, element: Element | None, draft: ConsentDraft, actor: Actor
    ) -> bool:
        """Store a consent on the profile or an element; False when a newer one stands."""
        return self.consents.put(profile, element, draft, actor)

    def archive(
        self,
        profile: Profile,
        element: Element | None,
        preference: Preference,
        actor: Actor,
        reason: str = "",
    ) -> None:
        """Take a preference out of ordinary reads. Does nothing to an archived one."""
        if preference.archived:
            return
        attributes = {**preference.attributes, "$Reason_Code": reason} if reason else preference.attributes
        made = replace(
            preference, archived=True, attributes=attributes, modified=self._now(), user=actor.user
        )
        self._keep(profile, element, made, actor)
        self._teller.preference("archived", profile, element, made, actor)

    def archive_all(self, profile: Profile, element: Element, actor: Actor, channel: str = "") -> None:
        """Archive what hangs on an element, of one channel only where that is named."""
        for preference in list(element.preferences.values()):
            if not channel or self.consents.config.channel_of(preference.filter_id) == channel:
                self.archive(profile, element, preference, actor)

    def _keep(self, profile: Profile, element: Element | None, made: Preference, actor: Actor) -> None:
        held = profile.held(element)
        if made.filter_id in held:
            profile.former.preferences.append((element, held[made.filter_id]))
        held[made.filter_id] = made
        profile.modified, profile.modified_by = made.modified, actor.user

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


def _differ(before: Preference, after: Preference) -> bool:
    def said(item: Preference) -> tuple[Any, ...]:
        return (item.opted_in, item.frequency, item.attributes, item.customer_date)

    return said(before) != said(after)
