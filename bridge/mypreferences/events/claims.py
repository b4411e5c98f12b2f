"""What an event says about a profile that the read after it must show: a service may show a profile as it was
for some time, and need not say so."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta

from bridge.core.mapping import ConsentRef, FilterRef
from bridge.core.mapping import Mapping as TopicMapping
from bridge.mypreferences.events.types import normalised
from bridge.mypreferences.wire.events import Event
from bridge.mypreferences.wire.profiles import Preference, Profile

Claims = Mapping[str, datetime]
"""By filter or consent: the profile shows it as changed at this time, or later."""

_FILTER, _CONSENT = "filter:", "consent:"
_EARLY = timedelta(minutes=2)  # how much later than the change itself an event may be dated


def claims_of(events: Sequence[Event], mapping: TopicMapping) -> dict[str, datetime]:
    """What these events of one profile say about mapped filters and consents. What was archived later shows
    no more. The names inside `Data` are those of the profile (MyPreferences 4.4, where they are inferred): an
    event without them claims nothing."""
    sources = [topic.source for topic in mapping.all]
    filters = {one.filter for one in sources if isinstance(one, FilterRef)}
    consents = {one.consent for one in sources if isinstance(one, ConsentRef)}
    found: dict[str, datetime] = {}
    archived: dict[str, datetime] = {}
    for event in events:
        data, happened, kind = event.members, event.earliest, normalised(event.event_type)
        if happened is None:
            continue
        if (name := data.get("filterid")) in filters and data.get("matchtype") != "Implied":
            if kind in ("preference.added", "preference.updated"):
                _keep(found, f"{_FILTER}{name}", event.moment("lastmodifieddate") or happened - _EARLY)
            elif kind == "preference.archived":
                _keep(archived, f"{_FILTER}{name}", happened)
        elif (name := data.get("consenttype")) in consents and kind in ("consent.added", "consent.updated"):
            _keep(found, f"{_CONSENT}{name}", event.moment("consentdate") or datetime.min.replace(tzinfo=UTC))
    return {name: at for name, at in found.items() if name not in archived or archived[name] < at - _EARLY}


def shows(profile: Profile, claims: Claims) -> bool:
    """Whether the profile shows all of it. What carries no date cannot be told, and counts as shown."""
    shown: dict[str, datetime | None] = {}
    for preference in _preferences(profile):
        _show(shown, f"{_FILTER}{preference.filter_id}", preference.modified_at)
    consents = [
        *(profile.consents or ()),
        *(one for email in profile.emails or () for one in email.consents or ()),
    ]
    for consent in consents:
        _show(shown, f"{_CONSENT}{consent.consent_type}", consent.changed_at)
    return all(name in shown and _is_from(shown[name], at) for name, at in claims.items())


def _preferences(profile: Profile) -> Iterator[Preference]:
    yield from profile.profile_preferences or ()
    for email in profile.emails or ():
        yield from email.email_preferences or ()


def _keep(newest: dict[str, datetime], name: str, at: datetime) -> None:
    newest[name] = max(at, newest.get(name, at))


def _show(shown: dict[str, datetime | None], name: str, at: datetime | None) -> None:
    known = shown.get(name, at)
    shown[name] = None if known is None or at is None else max(known, at)


def _is_from(shown: datetime | None, claimed: datetime) -> bool:
    return shown is None or shown >= claimed
