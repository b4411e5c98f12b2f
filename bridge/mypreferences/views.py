"""What profiles say about one address, as observations: the most restrictive statement counts.

A profile that is linked to the person but holds other addresses only (see profile_lookup) adds to the view:
its opt-in is about another address and opts nobody in; its opt-out counts where no opt-in stands beside it,
since the person wants none of it, at whatever address.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from bridge.core.mapping import ConsentRef, FilterRef, Mapping, RecordKeys, Topic
from bridge.core.model import (
    OTHER_ADDRESS,
    PENDING_UPDATE,
    Block,
    Choice,
    ConsentRecord,
    Observation,
    TopicId,
    address_key,
)
from bridge.core.ports import PersonView
from bridge.mypreferences.wire.profiles import (
    CONSENT_CODES,
    DENIED,
    GRANTED,
    OPT_IN,
    OPT_OUT,
    REVOKED,
    Consent,
    Email,
    Preference,
    Profile,
)


@dataclass(frozen=True, slots=True)
class Statement:
    """What one record says about one topic."""

    choice: Choice
    changed_at: datetime | None = None
    frequencies: tuple[str, ...] = ()
    block: Block | None = None
    reason: str | None = None


def elements(profile: Profile, address: str | None) -> list[Email]:
    """The active e-mail elements of a profile that hold an address; None: any address."""
    key = None if address is None else address_key(address)
    return [
        email
        for email in profile.emails or ()
        if email.is_active is not False
        and email.email_address.strip()
        and key in (None, address_key(email.email_address))
    ]


def addresses(profile: Profile) -> list[str]:
    """The distinct active addresses of a profile, as spelled there."""
    return distinct(elements(profile, None))


def distinct(emails: Iterable[Email]) -> list[str]:
    """Their addresses, each once, in its first spelling."""
    found: dict[str, str] = {}
    for email in emails:
        found.setdefault(address_key(email.email_address), email.email_address)
    return list(found.values())


def view(
    address: str, profiles: Sequence[Profile], mapping: Mapping, read_at: datetime, *, complete: bool
) -> PersonView:
    """One person, by the profiles that share the address; no profile: not present. A topic that complete
    profiles do not mention is hidden: a withdrawal is sent there, no opt-in is."""
    topics: dict[TopicId, Observation] = {}
    for topic in mapping.all:
        if topic.source is None:
            continue
        if not profiles:
            topics[topic.id] = Observation(Choice.UNSET, read_at, present=False, records=0)
            continue
        found = [item for profile in profiles for item in statements(profile, address, topic) or ()]
        if found:
            topics[topic.id] = _merged(found, profiles, read_at)
        elif complete:
            topics[topic.id] = _hidden(profiles, read_at)
    return PersonView(address, tuple(profile.id for profile in profiles), topics, complete)


def with_one_target(view: PersonView) -> PersonView:
    """The same, where one of several profiles is known to be the one that an opt-in is written to."""
    topics = {topic: replace(seen, records=1) for topic, seen in view.topics.items()}
    return replace(view, topics=topics)


def statements(profile: Profile, address: str | None, topic: Topic) -> list[Statement] | None:
    """What a profile says about a topic, one statement for each record that may hold it; None where the
    answer leaves such records out (rows of a segment hold what the segment is set up for)."""
    match topic.source:
        case FilterRef() as ref:
            return _by_filter(profile, elements(profile, address), topic, ref)
        case ConsentRef() as ref:
            return _by_consent(profile, elements(profile, address), ref)
        case None:
            return None


def of_filter(preferences: Iterable[Preference] | None, ref: FilterRef) -> list[Preference]:
    """The stated preferences for a filter. An implied one is no statement of the person."""
    wanted = ref.filter.casefold()
    return [
        item
        for item in preferences or ()
        if item.filter_id.casefold() == wanted and (item.match_type or "").casefold() != "implied"
    ]


def of_type(emails: Iterable[Email], ref: FilterRef) -> list[Email]:
    """The elements of the e-mail type that a filter's mapping names."""
    if ref.email_type is None:
        return list(emails)
    wanted = ref.email_type.casefold()
    return [email for email in emails if (email.email_address_type or "").casefold() == wanted]


def of_consent(profile: Profile, emails: Iterable[Email], ref: ConsentRef) -> list[Consent]:
    """Consents of this type in any version and locale, on the profile and on its e-mail elements."""
    wanted = ref.consent.casefold()
    held = [*(profile.consents or ()), *(item for email in emails for item in email.consents or ())]
    return [item for item in held if item.consent_type.casefold() == wanted]


def is_mapped(item: Consent, ref: ConsentRef) -> bool:
    """Whether a consent is in the version and locale that the mapping names."""
    same_locale = item.locale.replace("-", "_").casefold() == ref.locale.replace("-", "_").casefold()
    return same_locale and item.consent_version.strip().casefold() == ref.version.strip().casefold()


def _by_filter(profile: Profile, emails: list[Email], topic: Topic, ref: FilterRef) -> list[Statement] | None:
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


def _preference(item: Preference, topic: Topic) -> Statement:
    status = (item.preference_status or "").strip().casefold()
    if status in ("expired", "archived"):
        return Statement(Choice.UNSET, reason=status)
    if item.kind == OPT_OUT:
        return Statement(Choice.OPTED_OUT, item.changed_at)
    if item.kind != OPT_IN:
        return Statement(Choice.UNSET, block=Block.UNKNOWN, reason="unknown preference type")
    if status not in ("", "active"):
        return Statement(Choice.UNSET, block=Block.UNKNOWN, reason="unknown preference status")
    return Statement(Choice.OPTED_IN, item.changed_at, _frequencies(item, topic))


def _frequencies(item: Preference, topic: Topic) -> tuple[str, ...]:
    if not topic.has_frequencies or not item.frequency_id:
        return ()
    spelled = {name.casefold(): name for name in topic.preferences}
    return (spelled.get(item.frequency_id.casefold(), item.frequency_id),)


def _by_consent(profile: Profile, emails: list[Email], ref: ConsentRef) -> list[Statement] | None:
    if profile.consents is None and all(email.consents is None for email in emails):
        return None
    found = of_consent(profile, emails, ref)
    withdrawn = [item for item in found if item.kind in (DENIED, REVOKED)]
    granted = [item for item in found if item.kind == GRANTED and is_mapped(item, ref)]
    live = [item for item in granted if not item.expired]
    if withdrawn and not _outlived(withdrawn, live):
        return [Statement(Choice.OPTED_OUT, _newest(withdrawn))]
    if any(item.kind not in CONSENT_CODES for item in found):
        return [Statement(Choice.UNSET, block=Block.UNKNOWN, reason="unknown consent status")]
    if live:
        return [Statement(Choice.OPTED_IN, _newest(live))]
    return [Statement(Choice.UNSET, reason="expired" if granted else None)]


def _outlived(withdrawn: list[Consent], granted: list[Consent]) -> bool:
    """Whether the mapped consent was granted after every withdrawal. Withdrawals count in any version and
    locale, and an undated one is never outlived."""
    given = _newest(granted)
    dates = [item.changed_at for item in withdrawn]
    return given is not None and all(date is not None and date < given for date in dates)


def _newest(items: Iterable[Consent | Statement]) -> datetime | None:
    return max((item.changed_at for item in items if item.changed_at is not None), default=None)


def _hidden(profiles: Sequence[Profile], read_at: datetime) -> Observation:
    return Observation(
        Choice.UNSET,
        read_at,
        stated=False,
        records=len(profiles),
        block=Block.UNREACHABLE,
        reason=PENDING_UPDATE if any(profile.pending for profile in profiles) else "hidden",
    )


def _merged(found: Sequence[Statement], profiles: Sequence[Profile], read_at: datetime) -> Observation:
    """Any opt-out outweighs every opt-in, any opt-in outweighs no statement."""
    choice = min((item.choice for item in found), key=_WEIGHT.__getitem__)
    counting = [item for item in found if item.choice is choice]
    doubt = None if choice is Choice.OPTED_OUT else next((item for item in found if item.block), None)
    reason = doubt.reason if doubt else next((item.reason for item in counting if item.reason), None)
    return Observation(
        choice,
        read_at,
        _newest(counting) if choice is not Choice.UNSET else None,
        tuple(dict.fromkeys(name for item in counting for name in item.frequencies)),
        consistent=len({(item.choice, item.frequencies) for item in found}) == 1,
        records=len(profiles),
        block=doubt.block if doubt else None,
        reason=PENDING_UPDATE if any(profile.pending for profile in profiles) else reason,
    )


_WEIGHT = {Choice.OPTED_OUT: 0, Choice.OPTED_IN: 1, Choice.UNSET: 2}


# profiles that are linked to the person and hold other addresses only


def with_linked(
    view: PersonView, linked: Sequence[Profile], mapping: Mapping, read_at: datetime
) -> PersonView:
    """The view of an address, with what linked profiles add. They count among its records only where it has
    records of its own: then an opt-in may mean several profiles."""
    topics: dict[TopicId, Observation] = {}
    for topic in mapping.all:
        if (own := view.topics.get(topic.id)) is not None:
            other = _linked(linked, topic, read_at)
            topics[topic.id] = _beside(own, other) if view.ids else other
    return replace(view, topics=topics)


def _linked(profiles: Sequence[Profile], topic: Topic, read_at: datetime) -> Observation:
    found = [item for profile in profiles for item in statements(profile, None, topic) or ()]
    ins = [item.changed_at for item in found if item.choice is Choice.OPTED_IN]
    outs = [item.changed_at for item in found if item.choice is Choice.OPTED_OUT]
    is_out = bool(outs) and not ins
    # An undated opt-in is not known to be newer than any withdrawal.
    dates = [at for at in (outs if is_out else ins) if at is not None]
    return Observation(
        Choice.OPTED_OUT if is_out else Choice.UNSET,
        read_at,
        max(dates, default=None),
        stated=is_out,
        consistent=len({item.choice for item in found}) <= 1,
        records=len(profiles),
        block=Block.UNREACHABLE,
        reason=PENDING_UPDATE if any(profile.pending for profile in profiles) else OTHER_ADDRESS,
    )


def _beside(own: Observation, other: Observation) -> Observation:
    """What the address's own records say, with a linked profile beside them."""
    records = own.records + other.records
    if own.choice is Choice.OPTED_OUT:
        agrees = other.consistent and other.choice is Choice.OPTED_OUT
        consistent = own.consistent and (agrees or _is_newer_opt_in(other, own))
        reason = PENDING_UPDATE if own.pending or other.pending else own.reason
        return replace(own, consistent=consistent, records=records, reason=reason)
    if other.choice is Choice.OPTED_OUT:
        return replace(other, consistent=False, records=records)
    return replace(own, records=records)


def _is_newer_opt_in(other: Observation, own: Observation) -> bool:
    """Whether the opt-in of the other address is newer than the opt-out of this one: then both stand."""
    opted_in, opted_out = other.changed_at, own.changed_at
    if other.choice is not Choice.UNSET or opted_in is None or opted_out is None:
        return False
    return opted_in > opted_out


# consent records: how a person consented, where preferences hold it as attributes


def consent_records(profile: Profile, address: str, topics: Iterable[Topic]) -> list[ConsentRecord]:
    """A record for each of these topics that is opted in with text, URL, IP address and user agent as
    attributes; the newest, where several preferences hold the topic."""
    found = []
    for topic in topics:
        if isinstance(topic.source, FilterRef) and topic.record is not None:
            records = list(_records(profile, address, topic, topic.source, topic.record))
            if records:
                found.append(max(records, key=lambda record: record.at))
    return found


def _records(
    profile: Profile, address: str, topic: Topic, ref: FilterRef, keys: RecordKeys
) -> Iterator[ConsentRecord]:
    held: Iterable[Preference] = [
        *(profile.profile_preferences or ()),
        *(
            item
            for email in of_type(elements(profile, address), ref)
            for item in email.email_preferences or ()
        ),
    ]
    for preference in of_filter(held, ref):
        at = preference.changed_at
        values = {
            one.key.casefold(): (one.value or "").strip() for one in preference.preference_attributes or ()
        }
        parts = [values.get(key.casefold(), "") for key in (keys.text, keys.url, keys.ip, keys.agent)]
        if preference.kind == OPT_IN and at is not None and all(parts):
            text, url, ip, agent = parts
            yield ConsentRecord(topic.id, at, text=text, url=url, ip=ip, agent=agent)
