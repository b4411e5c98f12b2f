"""From Dotdigital's records to observations of the mapped topics. Pure.

Of an e-mail status only a person's own acts are choices. Bounces, blocks and the owner's suppressions stop
mail and state no choice; being mailable is a state as well. Sources: contact status and suppression reason of
v2, e-mail channel status of v3. Spelling and case differ between them, so names are compared case folded.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from bridge import bounds
from bridge.core.mapping import Mapping as TopicMapping
from bridge.core.mapping import Topic
from bridge.core.model import CHANNEL, Block, Choice, Observation, TopicId, newest, withdrawn_at
from bridge.core.ports import PersonView
from bridge.dotdigital.client.wire import ContactV3, OptInRow, Suppression

Topics = dict[TopicId, Observation]
_PROFILE_ID = re.compile(r"[-A-Za-z0-9_]{1,64}")
_DATELESS = datetime.min.replace(tzinfo=UTC)
_ENDLESS = datetime.max.replace(tzinfo=UTC)
SUBSCRIBED = "subscribed"


def newest_rows(rows: Iterable[OptInRow]) -> dict[int, OptInRow]:
    """The row that counts per preference: the newest, and of equally new ones the opt-out. The same
    preference may have a row per list; without a date an opt-out is newer than any other row, and an opt-in
    older."""
    counts: dict[int, OptInRow] = {}
    for row in rows:
        known = counts.get(row.marketing_preference_id)
        if known is None or _rank(row) > _rank(known):
            counts[row.marketing_preference_id] = row
    return counts


def _rank(row: OptInRow) -> tuple[datetime, bool]:
    """What says neither counts first: then nothing is known."""
    if row.is_opted_in is None:
        return _ENDLESS, True
    if row.changed_at is None:
        return (_DATELESS, False) if row.is_opted_in else (_ENDLESS, False)
    return row.changed_at, not row.is_opted_in


def is_unclear(rows: Mapping[int, OptInRow], numbers: Iterable[int]) -> bool:
    """Whether the row that counts for one of these preferences says neither in nor out."""
    return any(number in rows and rows[number].is_opted_in is None for number in numbers)


def from_rows(topic: Topic, rows: Mapping[int, OptInRow], read_at: datetime) -> Observation:
    """A topic by one person's dated rows. No row means never asked. An opt-in is as old as the rows that are
    opted in: a frequency given up later makes it no newer."""
    opted_in: dict[str, datetime | None] = {}
    opted_out: dict[str, datetime | None] = {}
    for name, number in topic.preferences.items():
        if (row := rows.get(number)) is not None:
            (opted_in if row.is_opted_in else opted_out)[name] = row.changed_at
    said = opted_in or opted_out
    if not said:
        return Observation(Choice.UNSET, read_at, stated=False)
    return Observation(
        Choice.OPTED_IN if opted_in else Choice.OPTED_OUT,
        read_at,
        changed_at=newest(*opted_in.values()) if opted_in else withdrawn_at(opted_out.values()),
        frequencies=tuple(opted_in) if topic.has_frequencies else (),
    )


def from_states(
    topic: Topic, states: Mapping[int, bool | None], read_at: datetime, *, listed: bool
) -> Observation:
    """A topic by undated states, where an opt-out looks like never having been asked. Where `listed`, a close
    read tells; for a suppressed, hidden contact nothing does, and no opt-in is sent until it shows again."""
    inside = tuple(name for name, number in topic.preferences.items() if states.get(number))
    if not inside and listed:
        return Observation(Choice.UNSET, read_at, stated=False, undated=True)
    if not inside:
        return Observation(Choice.UNSET, read_at, stated=False, block=Block.UNREACHABLE, reason="hidden")
    return Observation(
        Choice.OPTED_IN, read_at, frequencies=inside if topic.has_frequencies else (), undated=listed
    )


def absent(mapping: TopicMapping, read_at: datetime) -> Topics:
    """A person Dotdigital does not know."""
    unknown = Observation(Choice.UNSET, read_at, present=False, stated=False)
    return dict.fromkeys((topic.id for topic in mapping.all), unknown)


def from_suppression(row: Suppression, read_at: datetime) -> PersonView | None:
    """A row of the suppression feed; None where it has no address to bind it to."""
    contact = row.suppressed_contact
    if contact is None or contact.address is None:
        return None
    seen = from_status(row.status, read_at=read_at, changed_at=row.removed_at)
    return PersonView(contact.address, ids_of(contact.contact_id), {CHANNEL: seen})


def from_listing(
    contact: ContactV3, mapping: TopicMapping, read_at: datetime, identifier: str | None = None
) -> PersonView | None:
    """A row of the v3 listing, undated throughout; None where it has no address. `identifier` is the custom
    one that holds a ProfileId, if the account has any."""
    if contact.address is None:
        return None
    ids = ids_of(contact.contact_id)
    if is_deleted(contact):
        return PersonView(contact.address, ids, absent(mapping, read_at))
    states: dict[int, bool | None] = {one.id: one.is_opted_in for one in contact.preferences or ()}
    topics: Topics = {CHANNEL: from_status(email_status(contact), read_at=read_at, undated=True)}
    for topic in mapping.topics:
        topics[topic.id] = from_states(topic, states, read_at, listed=True)
    pins = None if identifier is None else _pins(contact, identifier)
    return PersonView(contact.address, ids, topics, pins=pins)


def _pins(contact: ContactV3, identifier: str) -> tuple[str, ...]:
    """The ProfileId that a contact names. Anything that cannot be one is ignored: it may be an address."""
    named = contact.named(identifier) or ""
    return (named,) if _PROFILE_ID.fullmatch(named) else ()


def is_deleted(contact: ContactV3) -> bool:
    """Whether the contact was deleted, or lies in the recycle bin: a write would restore it."""
    return is_gone(contact.status) or is_gone(contact.email_status)


def email_status(contact: ContactV3) -> str | None:
    """The status that decides about e-mail: the channel's own, unless that is mailable and the contact's is
    not."""
    channel = contact.email_status
    if channel is None or (is_subscribed(channel) and not is_subscribed(contact.status)):
        return contact.status or channel
    return channel


def ids_of(contact_id: int | None) -> tuple[str, ...]:
    """A contact's id as ids of a view; none where the service did not know it (0)."""
    return (str(contact_id),) if contact_id else ()


@dataclass(frozen=True, slots=True)
class ContactStatus:
    """What a status means for consent."""

    choice: Choice
    stated: bool = False
    block: Block | None = None
    present: bool = True


_OUT = ContactStatus(Choice.OPTED_OUT, stated=True)
_COMPLAINED = ContactStatus(Choice.OPTED_OUT, stated=True, block=Block.COMPLAINT)
_UNREACHABLE = ContactStatus(Choice.UNSET, block=Block.UNREACHABLE)
# The owner suppressed the address, or ran the check that found it among purchased, trapped or litigious ones.
_CONTROLLER = ContactStatus(Choice.UNSET, block=Block.CONTROLLER)
_GONE = ContactStatus(Choice.UNSET, present=False)
_UNKNOWN = ContactStatus(Choice.UNSET, block=Block.UNKNOWN)

STATUSES: Mapping[str, ContactStatus] = {
    SUBSCRIBED: ContactStatus(Choice.OPTED_IN),
    "unsubscribed": _OUT,
    "ispcomplained": _COMPLAINED,
    "directcomplaint": _COMPLAINED,
    "suppressed": _CONTROLLER,
    "purchased": _CONTROLLER,
    "spamtrap": _CONTROLLER,
    "knowncomplainer": _CONTROLLER,
    "knownlitigator": _CONTROLLER,
    "softbounced": _UNREACHABLE,
    "hardbounced": _UNREACHABLE,
    "mailblocked": _UNREACHABLE,
    "notallowed": _UNREACHABLE,
    "blockedlocalpart": _UNREACHABLE,
    "domainsuppression": _UNREACHABLE,
    "domainsuppressed": _UNREACHABLE,
    "shareddomainsuppression": _UNREACHABLE,
    "sharedsuppression": _UNREACHABLE,
    "nomxrecord": _UNREACHABLE,
    "pendingoptin": ContactStatus(Choice.UNSET, block=Block.PENDING),
    "nosubscription": ContactStatus(Choice.UNSET),  # v3: has an address, was never subscribed by e-mail
    "deleted": _GONE,
    "binned": _GONE,
}


def contact_status(status: str | None) -> ContactStatus:
    """What a status means. One that this program does not know is neither mailable nor a statement."""
    return STATUSES.get((status or "").strip().casefold(), _UNKNOWN)


def is_subscribed(status: str | None) -> bool:
    return (status or "").strip().casefold() == SUBSCRIBED


def is_gone(status: str | None) -> bool:
    """Whether the contact was deleted, or lies in the recycle bin."""
    return not contact_status(status).present


def from_status(
    status: str | None, *, read_at: datetime, changed_at: datetime | None = None, undated: bool = False
) -> Observation:
    """The e-mail channel as a status shows it."""
    found = contact_status(status)
    return Observation(
        choice=found.choice,
        read_at=read_at,
        changed_at=changed_at,
        present=found.present,
        stated=found.stated,
        undated=undated,
        block=found.block,
        reason=bounds.word(status),
    )
