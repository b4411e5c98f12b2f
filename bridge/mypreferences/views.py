"""What profiles say of one address, in the bridge's words: the most restrictive of them is heard."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from bridge.core.mapping import ConsentRef, FilterRef, Mapping, Topic
from bridge.core.model import Block, Choice, Observation, TopicId, address_key
from bridge.core.ports import PersonView
from bridge.mypreferences import wire

PENDING = "pending_update"  # the word by which core knows an observation that proves nothing


@dataclass(frozen=True, slots=True)
class Statement:
    """What one record says of one topic."""

    choice: Choice
    changed_at: datetime | None = None
    frequencies: tuple[str, ...] = ()
    block: Block | None = None
    reason: str | None = None


def elements(profile: wire.Profile, address: str | None) -> list[wire.Email]:
    """The active e-mail elements of a profile that hold an address; None: any address."""
    key = None if address is None else address_key(address)
    return [
        email
        for email in profile.emails or ()
        if email.is_active is not False
        and email.email_address.strip()
        and key in (None, address_key(email.email_address))
    ]


def addresses(profile: wire.Profile) -> list[str]:
    """The distinct active addresses of a profile, as they are written there."""
    return distinct(elements(profile, None))


def distinct(emails: Iterable[wire.Email]) -> list[str]:
    """Their addresses, each once, as it is written first."""
    found: dict[str, str] = {}
    for email in emails:
        found.setdefault(address_key(email.email_address), email.email_address)
    return list(found.values())


def view(
    address: str, profiles: Sequence[wire.Profile], mapping: Mapping, read_at: datetime, *, complete: bool
) -> PersonView:
    """One person as the profiles that share the address show them. No profile: nobody is there. What whole
    profiles do not speak of is hidden: a withdrawal goes there, no opt-in does."""
    topics: dict[TopicId, Observation] = {}
    for topic in mapping.all:
        if topic.source is None:
            continue
        if not profiles:
            topics[topic.id] = Observation(Choice.UNSET, read_at, present=False, records=0)
            continue
        said = [item for profile in profiles for item in said_of(profile, address, topic) or ()]
        if said:
            topics[topic.id] = _merged(said, profiles, read_at)
        elif complete:
            topics[topic.id] = _hidden(profiles, read_at)
    return PersonView(address, tuple(profile.id for profile in profiles), topics, complete)


def addressed(view: PersonView) -> PersonView:
    """The same, where one of several profiles is the one that an opt-in goes to: there is no doubt whom it
    would raise."""
    topics = {topic: replace(seen, records=1) for topic, seen in view.topics.items()}
    return replace(view, topics=topics)


def said_of(profile: wire.Profile, address: str | None, topic: Topic) -> list[Statement] | None:
    """What a profile says of a topic, once for each record that may speak of it; None where the answer does
    not speak of such things at all (rows of a segment hold what the segment is set up for)."""
    match topic.source:
        case FilterRef() as ref:
            return _said_by_filter(profile, elements(profile, address), topic, ref)
        case ConsentRef() as ref:
            return _said_by_consent(profile, elements(profile, address), ref)
        case None:
            return None


def of_filter(preferences: Iterable[wire.Preference] | None, ref: FilterRef) -> list[wire.Preference]:
    """The stated preferences for a filter. An implied one is nobody's statement."""
    wanted = ref.filter.casefold()
    return [
        item
        for item in preferences or ()
        if item.filter_id.casefold() == wanted and (item.match_type or "").casefold() != "implied"
    ]


def of_type(emails: Iterable[wire.Email], ref: FilterRef) -> list[wire.Email]:
    """The elements a filter's mapping speaks of."""
    if ref.email_type is None:
        return list(emails)
    wanted = ref.email_type.casefold()
    return [email for email in emails if (email.email_address_type or "").casefold() == wanted]


def of_consent(profile: wire.Profile, emails: Iterable[wire.Email], ref: ConsentRef) -> list[wire.Consent]:
    """Consents of that type in any version and locale, on the profile and on the address."""
    wanted = ref.consent.casefold()
    held = [*(profile.consents or ()), *(item for email in emails for item in email.consents or ())]
    return [item for item in held if item.consent_type.casefold() == wanted]


def is_mapped(item: wire.Consent, ref: ConsentRef) -> bool:
    """Whether a consent is in the version and locale that the mapping names."""
    same_locale = item.locale.replace("-", "_").casefold() == ref.locale.replace("-", "_").casefold()
    return same_locale and item.consent_version.strip().casefold() == ref.version.strip().casefold()


def _said_by_filter(
    profile: wire.Profile, emails: list[wire.Email], topic: Topic, ref: FilterRef
) -> list[Statement] | None:
    fitting = of_type(emails, ref)
    by_element = [of_filter(email.email_preferences, ref) for email in fitting]
    if not any(by_element):
        on_profile = of_filter(profile.profile_preferences, ref)
        if on_profile:
            return [_preference(item, topic) for item in on_profile]
        silent = all(email.email_preferences is None for email in fitting) and fitting
        return None if silent and profile.profile_preferences is None else [Statement(Choice.UNSET)]
    return [
        said
        for found in by_element
        for said in ([_preference(item, topic) for item in found] or [Statement(Choice.UNSET)])
    ]


def _preference(item: wire.Preference, topic: Topic) -> Statement:
    status = (item.preference_status or "").strip().casefold()
    if status in ("expired", "archived"):
        return Statement(Choice.UNSET, reason=status)
    if item.kind == wire.OPT_OUT:
        return Statement(Choice.OPTED_OUT, item.changed_at)
    if item.kind != wire.OPT_IN:
        return Statement(Choice.UNSET, block=Block.UNKNOWN, reason="unknown preference type")
    if status not in ("", "active"):
        return Statement(Choice.UNSET, block=Block.UNKNOWN, reason="unknown preference status")
    return Statement(Choice.OPTED_IN, item.changed_at, _frequencies(item, topic))


def _frequencies(item: wire.Preference, topic: Topic) -> tuple[str, ...]:
    if not topic.has_frequencies or not item.frequency_id:
        return ()
    spelled = {name.casefold(): name for name in topic.preferences}
    return (spelled.get(item.frequency_id.casefold(), item.frequency_id),)


def _said_by_consent(
    profile: wire.Profile, emails: list[wire.Email], ref: ConsentRef
) -> list[Statement] | None:
    if profile.consents is None and all(email.consents is None for email in emails):
        return None
    found = of_consent(profile, emails, ref)
    withdrawn = [item for item in found if item.kind in (wire.DENIED, wire.REVOKED)]
    granted = [item for item in found if item.kind == wire.GRANTED and is_mapped(item, ref)]
    live = [item for item in granted if not item.expired]
    if withdrawn and not _outlived(withdrawn, live):
        return [Statement(Choice.OPTED_OUT, _newest(withdrawn))]
    if any(item.kind not in wire.CONSENT_CODES for item in found):
        return [Statement(Choice.UNSET, block=Block.UNKNOWN, reason="unknown consent status")]
    if live:
        return [Statement(Choice.OPTED_IN, _newest(live))]
    return [Statement(Choice.UNSET, reason="expired" if granted else None)]


def _outlived(withdrawn: list[wire.Consent], granted: list[wire.Consent]) -> bool:
    """Whether the mapped consent was granted after every withdrawal. A withdrawal counts in any version and
    locale, and undated ones are never outlived."""
    given = _newest(granted)
    dates = [item.changed_at for item in withdrawn]
    return given is not None and all(date is not None and date < given for date in dates)


def _newest(items: Iterable[wire.Consent | Statement]) -> datetime | None:
    return max((item.changed_at for item in items if item.changed_at is not None), default=None)


def _hidden(profiles: Sequence[wire.Profile], read_at: datetime) -> Observation:
    return Observation(
        Choice.UNSET,
        read_at,
        stated=False,
        records=len(profiles),
        block=Block.UNREACHABLE,
        reason=PENDING if any(profile.pending for profile in profiles) else "hidden",
    )


def _merged(said: Sequence[Statement], profiles: Sequence[wire.Profile], read_at: datetime) -> Observation:
    """Any opt-out outweighs every opt-in, any opt-in outweighs silence."""
    choice = min((item.choice for item in said), key=_WEIGHT.__getitem__)
    heard = [item for item in said if item.choice is choice]
    doubt = None if choice is Choice.OPTED_OUT else next((item for item in said if item.block), None)
    reason = doubt.reason if doubt else next((item.reason for item in heard if item.reason), None)
    return Observation(
        choice,
        read_at,
        _newest(heard) if choice is not Choice.UNSET else None,
        tuple(dict.fromkeys(name for item in heard for name in item.frequencies)),
        consistent=len({(item.choice, item.frequencies) for item in said}) == 1,
        records=len(profiles),
        block=doubt.block if doubt else None,
        reason=PENDING if any(profile.pending for profile in profiles) else reason,
    )


_WEIGHT = {Choice.OPTED_OUT: 0, Choice.OPTED_IN: 1, Choice.UNSET: 2}
