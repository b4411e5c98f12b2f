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
"""By filter or consent: the profile shows it as changed at this time, or later. `GONE`: it need not."""

GONE = datetime.max.replace(microsecond=0, tzinfo=UTC)  # the claim about what a profile may show no more
_FILTER, _CONSENT = "filter:", "consent:"
_EARLY = timedelta(minutes=2)  # how much later than the change itself an event may be dated


def claims_of(events: Sequence[Event], mapping: TopicMapping) -> dict[str, datetime]:
    """What these events of one profile say about mapped filters and consents. What was archived or
    deactivated later shows no more, and so may what was said before an address was removed. The names inside
    `Data` are those of the profile (MyPreferences 4.4, where they are inferred): an event without them claims
    nothing."""
    sources = [topic.source for topic in mapping.all]
    filters = {one.filter for one in sources if isinstance(one, FilterRef)}
    consents = {one.consent for one in sources if isinstance(one, ConsentRef)}
    found: dict[str, datetime] = {}
    said: dict[str, datetime] = {}  # when the newest event of each claim happened
    ended: dict[str, datetime] = {}
    removed = datetime.min.replace(tzinfo=UTC)  # when the last address was
    for event in events:
        data, happened, kind = event.members, event.earliest, normalised(event.event_type)
        if happened is None:
            continue
        if kind == "contact.email.deleted":
            removed = max(removed, happened)
        elif (name := data.get("filterid")) in filters and data.get("matchtype") != "Implied":
            key = f"{_FILTER}{name}"
            if kind in ("preference.added", "preference.updated"):
                _keep(said, key, happened)
                _keep(found, key, event.moment("lastmodifieddate") or happened - _EARLY)
            elif kind == "preference.archived":
                _keep(ended, key, happened + _EARLY)
        elif (name := data.get("consenttype")) in consents:
            key = f"{_CONSENT}{name}"
            if kind in ("consent.added", "consent.updated"):
                _keep(said, key, happened)
                _keep(found, key, event.moment("consentdate") or datetime.min.replace(tzinfo=UTC))
            elif kind == "consent.deactivated":
                _keep(ended, key, happened)
    standing = {
        key: at for key, at in found.items() if removed < said[key] and ended.get(key, said[key]) <= said[key]
    }
    return dict.fromkeys((*found, *ended), GONE) | standing


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
    return all(at >= GONE or (name in shown and _is_from(shown[name], at)) for name, at in claims.items())


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
