"""What profiles say about one address, as observations: the most restrictive statement counts.

A profile that is linked to the person but holds other addresses only (see profile_lookup) adds to the view:
its opt-in is about another address and opts nobody in; its opt-out counts where no opt-in stands beside it,
since the person wants none of it, at whatever address.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from bridge import bounds
from bridge.core.mapping import ConsentRef, FilterRef, Mapping, RecordKeys, Topic
from bridge.core.model import (
    OTHER_ADDRESS,
    OTHER_VERSION,
    PENDING_UPDATE,
    Block,
    Choice,
    ConsentRecord,
    Observation,
    TopicId,
    address_key,
    newest,
    withdrawn_at,
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
        and (held := bounds.address(email.email_address)) is not None
        and key in (None, address_key(held))
    ]


def addresses(profile: Profile, address: str | None = None) -> list[str]:
    """The distinct active addresses of a profile, or spellings of one, each in its first spelling."""
    found: dict[str, str] = {}
    for email in elements(profile, address):
        held = bounds.address(email.email_address) or ""
        found.setdefault(address_key(held), held)
    return list(found.values())


def view(
    address: str,
    profiles: Sequence[Profile],
    mapping: Mapping,
    read_at: datetime,
    *,
    complete: bool,
    exported: bool = False,
) -> PersonView:
    """One person, by the profiles that share the address; no profile: not present. A topic that complete
    profiles do not mention is hidden: a withdrawal is sent there, no opt-in is. Rows of a segment may lack
    the dates that a read of a profile gives: where `exported`, a choice without one is `undated`."""
    topics: dict[TopicId, Observation] = {}
    for topic in mapping.all:
        if topic.source is None:
            continue
        if not profiles:
            topics[topic.id] = Observation(Choice.UNSET, read_at, present=False, records=0)
            continue
        found: list[Statement] = []
        for profile in profiles:
            found += statements(profile, address, topic) or ()
        if found:
            seen = _merged(found, profiles, read_at)
            lacks_date = exported and seen.changed_at is None and seen.choice is not Choice.UNSET
            topics[topic.id] = replace(seen, undated=lacks_date)
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
            return _by_filter(profile, address, topic, ref)
        case ConsentRef() as ref:
            return _by_consent(profile, address, ref)
        case None:
            return None


# preferences, where a topic is mapped to a filter

Place = tuple[Email | None, list[Preference]]
"""An e-mail element, or None for the profile itself, and the preferences that it holds for a filter."""


def places(profile: Profile, address: str | None, ref: FilterRef) -> list[Place]:
    """Where a filter's preferences belong: on the elements of the mapped e-mail type, or on the profile
    itself where only that holds any. Empty where there is neither."""
    on_elements: list[Place] = []
    stated = False
    for email in elements(profile, address):
        if _has_type(email, ref):
            held = of_filter(email.email_preferences, ref)
            on_elements.append((email, held))
            stated = stated or bool(held)
    on_profile = [] if stated else of_filter(profile.profile_preferences, ref)
    return [(None, on_profile)] if on_profile else on_elements


def _has_type(email: Email, ref: FilterRef) -> bool:
    """Whether an element has the e-mail type that a filter's mapping names, if it names one."""
    if ref.email_type is None:
        return True
    return (email.email_address_type or "").casefold() == ref.email_type.casefold()


def of_filter(preferences: Iterable[Preference] | None, ref: FilterRef) -> list[Preference]:
    """The stated preferences for a filter. An implied one is no statement of the person."""
    wanted = ref.filter.casefold()
    return [
        item
        for item in preferences or ()
        if item.filter_id.casefold() == wanted and (item.match_type or "").casefold() != "implied"
    ]


def _by_filter(profile: Profile, address: str | None, topic: Topic, ref: FilterRef) -> list[Statement] | None:
    found: list[Statement] = []
    left_out = profile.profile_preferences is None
    for place, held in places(profile, address, ref):
        found += [_preference(item, topic) for item in held] or [Statement(Choice.UNSET)]
        left_out = left_out and place is not None and place.email_preferences is None
    if found and left_out:
        return None
    return found or [Statement(Choice.UNSET)]


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


# consents


def of_consent(holders: Iterable[Profile | Email], ref: ConsentRef) -> Iterator[Consent]:
    """Consents of this type in any version and locale, on profiles and e-mail elements."""
    wanted = ref.consent.casefold()
    for holder in holders:
        for item in holder.consents or ():
            if item.consent_type.casefold() == wanted:
                yield item


def is_mapped(item: Consent, ref: ConsentRef) -> bool:
    """Whether a consent is in the version and locale that the mapping names."""
    locale, version = item.locale or "", item.consent_version or ""
    same_locale = locale.replace("-", "_").casefold() == ref.locale.replace("-", "_").casefold()
    return same_locale and version.strip().casefold() == ref.version.strip().casefold()


def _by_consent(profile: Profile, address: str | None, ref: ConsentRef) -> list[Statement] | None:
    """A consent that is granted after every withdrawal counts, else the withdrawals do, in any version and
    locale. An undated withdrawal is never outlived."""
    holders: list[Profile | Email] = [profile, *elements(profile, address)]
    if all(holder.consents is None for holder in holders):
        return None
    withdrawn: list[datetime | None] = []
    granted: list[datetime | None] = []
    is_expired = is_unknown = is_other = False
    for item in of_consent(holders, ref):
        if item.kind in (DENIED, REVOKED):
            withdrawn.append(item.changed_at)
        elif item.kind not in CONSENT_CODES:
            is_unknown = True
        elif item.kind == GRANTED and not is_mapped(item, ref):
            is_other = is_other or not item.expired
        elif item.kind == GRANTED:
            if item.expired:
                is_expired = True
            else:
                granted.append(item.changed_at)
    given, refused = newest(*granted), withdrawn_at(withdrawn)
    outlived = given is not None and refused is not None and refused < given
    if withdrawn and not outlived:
        return [Statement(Choice.OPTED_OUT, refused)]
    if is_unknown:
        return [Statement(Choice.UNSET, block=Block.UNKNOWN, reason="unknown consent status")]
    if granted:
        return [Statement(Choice.OPTED_IN, given)]
    return [Statement(Choice.UNSET, reason="expired" if is_expired else OTHER_VERSION if is_other else None)]


# from statements to observations


def _merged(found: Sequence[Statement], profiles: Sequence[Profile], read_at: datetime) -> Observation:
    """Any opt-out outweighs every opt-in, any opt-in outweighs no statement. A doubt about any record blocks
    what is not an opt-out."""
    choices = {item.choice for item in found}
    choice = next(one for one in (Choice.OPTED_OUT, Choice.OPTED_IN, Choice.UNSET) if one in choices)
    dates: list[datetime | None] = []
    frequencies: dict[str, None] = {}
    reason: str | None = None
    doubt: Statement | None = None
    consistent = True
    for item in found:
        consistent = consistent and (item.choice, item.frequencies) == (found[0].choice, found[0].frequencies)
        if item.block is not None and choice is not Choice.OPTED_OUT:
            doubt = doubt or item
        if item.choice is choice:
            dates.append(item.changed_at)
            frequencies |= dict.fromkeys(item.frequencies)
            reason = reason or item.reason
    return Observation(
        choice,
        read_at,
        withdrawn_at(dates) if choice is Choice.OPTED_OUT else newest(*dates),
        tuple(frequencies),
        consistent=consistent,
        records=len(profiles),
        block=doubt.block if doubt else None,
        reason=_pending(profiles) or (doubt.reason if doubt else reason),
    )


def _hidden(profiles: Sequence[Profile], read_at: datetime) -> Observation:
    return Observation(
        Choice.UNSET,
        read_at,
        stated=False,
        records=len(profiles),
        block=Block.UNREACHABLE,
        reason=_pending(profiles) or "hidden",
    )


def _pending(profiles: Sequence[Profile]) -> str | None:
    return PENDING_UPDATE if any(profile.pending for profile in profiles) else None


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
    return Observation(
        Choice.OPTED_OUT if is_out else Choice.UNSET,
        read_at,
        withdrawn_at(outs)
        if is_out
        else newest(*ins),  # an undated opt-in is not known to be newer than any withdrawal
        stated=is_out,
        consistent=len({item.choice for item in found}) <= 1,
        records=len(profiles),
        block=Block.UNREACHABLE,
        reason=_pending(profiles) or OTHER_ADDRESS,
    )


def _beside(own: Observation, other: Observation) -> Observation:
    """What the address's own records say, with a linked profile beside them."""
    records = own.records + other.records
    if own.choice is Choice.OPTED_OUT:
        is_out = other.choice is Choice.OPTED_OUT
        agrees = other.consistent and is_out
        consistent = own.consistent and (agrees or _is_newer_opt_in(other, own))
        reason = PENDING_UPDATE if own.pending or other.pending else own.reason
        at = withdrawn_at((own.changed_at, other.changed_at)) if is_out else own.changed_at
        return replace(own, changed_at=at, consistent=consistent, records=records, reason=reason)
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
    held = list(profile.profile_preferences or ())
    for email in elements(profile, address):
        if _has_type(email, ref):
            held += email.email_preferences or ()
    for preference in of_filter(held, ref):
        at = preference.changed_at
        values = {
            one.key.casefold(): one.value.strip()
            for one in preference.preference_attributes or ()
            if isinstance(one.key, str) and isinstance(one.value, str)
        }
        parts = [values.get(key.casefold(), "") for key in (keys.text, keys.url, keys.ip, keys.agent)]
        if preference.kind == OPT_IN and at is not None and all(parts):
            text, url, ip, agent = parts
            yield ConsentRecord(topic.id, at, text=text, url=url, ip=ip, agent=agent)
