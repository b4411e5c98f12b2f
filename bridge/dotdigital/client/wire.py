"""Dotdigital's text forms: answers as typed values, dates as UTC, and the headers of its rate limits.

Unknown fields are ignored, enumerations stay raw strings (the vendor adds values), and everything that no
decision rests on is optional: ids of 0, null addresses and missing keys are normal answers there.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, TypeVar

import msgspec

from bridge import bounds
from bridge.core.errors import InvalidResponse, OutcomeUnknown, SideError
from bridge.core.model import Side
from bridge.transport import Response

T = TypeVar("T")
Json = dict[str, Any]

SHORTEST, LONGEST = 1.0, 120.0  # seconds; no reset of a one-minute window lies outside


class _Wire(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    pass


class _Row(_Wire, frozen=True):
    """A row of a list. `unreadable`: only whom it is about could be read of it, if that. No answer has a
    member of that name."""

    unreadable: bool = msgspec.field(default=False, name="#unreadable")


class ContactV2(_Row, frozen=True):
    """A contact as v2 embeds it. `id` is 0 or missing where the service does not know it."""

    id: int | None = None
    email: str | None = None
    status: str | None = None

    @property
    def contact_id(self) -> int | None:
        return bounds.number(self.id)

    @property
    def address(self) -> str | None:
        return bounds.address(self.email)

    @property
    def is_unusable(self) -> bool:
        """Whether it has an address that nothing can be done with."""
        return bool(self.email) and self.address is None

    @classmethod
    def of_malformed(cls, value: Any) -> ContactV2:
        """What of a malformed row names the contact."""
        given = value if isinstance(value, dict) else {}
        number, address = bounds.number(given.get("id")), bounds.address(given.get("email"))
        return cls(id=number, email=address, unreadable=True)


class Suppression(_Row, frozen=True):
    """One row of suppressed-since and unsubscribed-since, and the answer to an unsubscribe."""

    suppressed_contact: ContactV2 | None = None
    date_removed: Any = None
    reason: str | None = None

    @property
    def removed_at(self) -> datetime | None:
        return bounds.moment(self.date_removed)

    @property
    def status(self) -> str | None:
        """The reason, or where the row has none the contact's status."""
        return bounds.word(self.reason or self.contact_status)

    @property
    def contact_status(self) -> str | None:
        """The status of the contact itself: that of its e-mail channel."""
        return None if self.suppressed_contact is None else self.suppressed_contact.status

    @classmethod
    def of_malformed(cls, value: Any) -> Suppression:
        """What of a malformed row names the contact."""
        given = value if isinstance(value, dict) else {}
        return cls(suppressed_contact=ContactV2.of_malformed(given.get("suppressedContact")), unreadable=True)


class Addressee(_Wire, frozen=True):
    """An entry of a bulk suppression's answer: it echoes only the key that was sent."""

    id: int | None = None
    email: str | None = None


class BulkSuppressed(_Wire, frozen=True):
    suppressed: list[Addressee] | None = None
    not_found: list[Addressee] | None = None


class Resubscription(_Wire, frozen=True):
    """The answer to a resubscribe. The nested contact may still say Unsubscribed next to ContactAdded."""

    contact: ContactV2 | None = None
    status: str | None = None
    message: str | None = None


class OptInRow(_Wire, frozen=True):
    """One contact's state for one preference. The date's wire name lacks an i: `dateModifed`."""

    marketing_preference_id: int
    is_opted_in: bool | None  # None: it says neither, and what counts is not known
    date_modifed: Any = None
    date_modified: Any = None

    @property
    def changed_at(self) -> datetime | None:
        return bounds.moment(self.date_modifed if self.date_modifed is not None else self.date_modified)


class ContactSubscriptions(_Row, frozen=True, kw_only=True):
    """A contact with its opt-in rows: one person's `subscriptions`, or a row of opt-ins-since."""

    contact: ContactV2 | None
    marketing_preference_opt_ins: list[OptInRow] | None = None

    @property
    def rows(self) -> list[OptInRow]:
        return self.marketing_preference_opt_ins or []

    @classmethod
    def of_malformed(cls, value: Any) -> ContactSubscriptions:
        """What of a malformed row names the contact."""
        given = value if isinstance(value, dict) else {}
        return cls(contact=ContactV2.of_malformed(given.get("contact")), unreadable=True)


class PreferenceTreeNode(_Wire, frozen=True):
    """A node of the preference tree: a leaf that can be opted in to, or a category of leaves.

    `created` and `lastModified` belong to the definition, never to an opt-in, and are not read.
    """

    id: int
    public_name: str | None = None
    private_name: str | None = None
    is_preference: bool | None = None
    is_preference2: bool | None = None  # modified-since spells it so on top-level nodes
    order: str | int | None = None
    is_public: bool | None = None
    category_id: int | None = None
    preference_count: int | None = None
    is_opted_in: bool | None = None
    preferences: list[PreferenceTreeNode] | None = None

    @property
    def is_leaf(self) -> bool:
        for said in (self.is_preference, self.is_preference2):
            if said is not None:
                return said
        return self.preferences is None

    @property
    def children(self) -> list[PreferenceTreeNode]:
        return self.preferences or []


class AccountProperty(_Wire, frozen=True):
    name: str | None = None
    value: str | None = None


class AccountInfo(_Wire, frozen=True):
    id: int
    properties: list[AccountProperty] | None = None

    def value(self, name: str) -> str | None:
        """A property by name (their order means nothing), trimmed; None where absent or empty."""
        for item in self.properties or []:
            if (item.name or "").casefold() == name.casefold():
                return (item.value or "").strip() or None
        return None


class EmailChannelV3(_Wire, frozen=True):
    status: str | None = None


class ChannelsV3(_Wire, frozen=True):
    email: EmailChannelV3 | None = None


class PreferenceV3(_Wire, frozen=True):
    id: int
    is_opted_in: bool


class ConsentRecordV3(_Wire, frozen=True):
    """A consent record, as v3 writes it and shows it."""

    text: str | None = None
    date_time_consented: str | None = None
    url: str | None = None
    ip_address: str | None = None
    user_agent: str | None = None


class ContactV3(_Row, frozen=True, kw_only=True):
    """A contact as v3 shows it. Preferences not opted in to are usually left out."""

    contact_id: int
    status: str | None = None
    identifiers: dict[str, Any] | None = None
    channel_properties: ChannelsV3 | None = None
    preferences: list[PreferenceV3] | None = None
    consent_records: list[ConsentRecordV3] | None = None
    created: Any = None
    updated: Any = None

    @property
    def created_at(self) -> datetime | None:
        """When the contact was created; None where that cannot be read."""
        return bounds.moment(self.created)

    @property
    def updated_at(self) -> datetime | None:
        """When the contact was last modified, as the service defines that."""
        return bounds.moment(self.updated)

    @property
    def address(self) -> str | None:
        return bounds.address((self.identifiers or {}).get("email"))

    @property
    def is_unusable(self) -> bool:
        """Whether it has an address that nothing can be done with."""
        return bool((self.identifiers or {}).get("email")) and self.address is None

    @classmethod
    def of_malformed(cls, value: Any) -> ContactV3:
        """What of a malformed row names the contact."""
        given = value if isinstance(value, dict) else {}
        named = given.get("identifiers")
        identifiers = {"email": named.get("email")} if isinstance(named, dict) else None
        return cls(
            contact_id=bounds.number(given.get("contactId")) or 0, identifiers=identifiers, unreadable=True
        )

    def named(self, identifier: str) -> str | None:
        """The value of one of the account's identifiers, trimmed; None where it is empty."""
        value = (self.identifiers or {}).get(identifier)
        return (value.strip() or None) if isinstance(value, str) else None

    @property
    def email_status(self) -> str | None:
        channels = self.channel_properties
        return channels.email.status if channels and channels.email else None


class Link(_Wire, frozen=True):
    marker: str | None = None


class Links(_Wire, frozen=True):
    next: Link | None = None


class _Page(msgspec.Struct, frozen=True, kw_only=True):
    items: msgspec.Raw = msgspec.field(name="_items")
    links: Links | None = msgspec.field(name="_links", default=None)


class ContactsPage(msgspec.Struct, frozen=True, kw_only=True):
    """A page of contacts, each read by itself (see `decode_page`)."""

    items: list[ContactV3]
    links: Links | None = None

    @property
    def next_marker(self) -> str | None:
        return self.links.next.marker if self.links and self.links.next else None


class ImportAccepted(_Wire, frozen=True):
    """The answer to an import: it was accepted, and nothing was done yet."""

    import_id: str


class ImportFailed(_Wire, frozen=True):
    failure_code: str | None = None


class ImportRow(_Wire, frozen=True):
    """A contact in an import's report; a failure may leave the id out where no contact was found."""

    contact_id: int | None = None
    failures: list[ImportFailed] | None = None


class ImportReport(_Wire, frozen=True):
    """The state of an import. While it runs its parts are null, empty or missing; a contact may be among the
    updated and among the failures."""

    status: str
    created: list[ImportRow] | None = None
    updated: list[ImportRow] | None = None
    failures: list[ImportRow] | None = None


class DeleteAccepted(_Wire, frozen=True):
    delete_id: str


class DeleteReport(_Wire, frozen=True):
    """The state of a deletion, and which contacts it left out."""

    status: str
    failures: list[object] | None = None


class EventSubscription(_Wire, frozen=True):
    """A durable export of events, as far as it is used here."""

    id: int
    name: str | None = None


class CustomIdentifier(_Wire, frozen=True):
    """A custom identifier of the account: further unique names that contacts may have."""

    name: str


class EventSubscriptions(_Wire, frozen=True):
    items: list[EventSubscription] = msgspec.field(name="_items")


class ExportedEvent(_Wire, frozen=True):
    """An event. `data` differs for each type, and is mostly undocumented."""

    data: Any = None


class ExportedEvents(_Wire, frozen=True):
    """A page of events, and what acknowledges it."""

    check_point: str
    events: list[ExportedEvent]


def decode(answer: Response, kind: type[T], operation: str, *, is_write: bool = False) -> T:
    """The body of a good answer. Raises InvalidResponse (reads) or OutcomeUnknown (writes) where it is HTML,
    cut off, null, or of other types than documented; never quotes the body."""
    try:
        found: T = bounds.decode(answer.content, kind)
    except bounds.Malformed:
        raise untrusted(answer, operation, is_write=is_write) from None
    return found


R = TypeVar("R", ContactV2, ContactV3, ContactSubscriptions, Suppression)


def decode_rows(answer: Response, kind: type[R], operation: str) -> list[R]:
    """The rows of an answer, one by one where one of them cannot be read (see `_Row`). Raises
    InvalidResponse."""
    try:
        return bounds.rows(answer.content, kind, kind.of_malformed)
    except bounds.Malformed:
        raise untrusted(answer, operation, is_write=False) from None


def decode_page(answer: Response, operation: str) -> ContactsPage:
    """A page of contacts, in the same way."""
    page = decode(answer, _Page, operation)
    try:
        items = bounds.rows(bytes(page.items), ContactV3, ContactV3.of_malformed)
    except bounds.Malformed:
        raise untrusted(answer, operation, is_write=False) from None
    return ContactsPage(items=items, links=page.links)


def untrusted(answer: Response, operation: str, *, is_write: bool) -> SideError:
    """The error for an answer that cannot be trusted."""
    if is_write:
        return OutcomeUnknown(
            f"Dotdigital's answer to {operation} cannot be read: it may or may not have been applied.",
            side=Side.DOTDIGITAL, operation=operation, status=answer.status,
            hint="The next read back settles it.",
        )  # fmt: skip
    return InvalidResponse(
        f"Dotdigital's answer to {operation} is not what its documents describe.",
        side=Side.DOTDIGITAL, operation=operation, status=answer.status,
        hint="A proxy or a maintenance page may be in between; check with `bridge doctor`.",
    )  # fmt: skip


def parse_server_time(text: str) -> datetime:
    """The plain-text server time: T or space, 0 to 7 fraction digits, Z or an offset, maybe quoted.
    Raises ValueError."""
    parsed = bounds.moment(text.strip().strip("\"'").strip())
    if parsed is None:
        raise ValueError("no date, or no server's")
    return parsed


def has_rate_headers(answer: Response) -> bool:
    """Whether an answer has any header of the tiered scheme."""
    return any(name.lower().startswith("x-ratelimit-") for name in answer.headers)


def reset_in(answer: Response, server_now: datetime | None) -> float | None:
    """Seconds until the window resets, by X-RateLimit-Reset. The documents call it an epoch, the vendor's own
    client seconds from now. Its size decides: above 1e12 milliseconds, above 1e9 seconds, else a span. It is
    kept between 1 and 120. A span comes in whole seconds, rounded down: one is added, or the window would
    open too early. None where it is absent, or an epoch without a time to measure it from."""
    raw = header_number(answer, "X-RateLimit-Reset")
    if raw is None:
        return None
    if raw <= 1e9:
        return clamped(raw + 1)
    if server_now is None:
        return None
    epoch = raw / 1000 if raw > 1e12 else raw
    return clamped(epoch - server_now.timestamp())


def clamped(seconds: float) -> float:
    """A wait for the end of a one-minute window, within its possible length."""
    return min(max(seconds, SHORTEST), LONGEST)


def header_number(answer: Response, name: str) -> float | None:
    """A number of a header; None where it is absent or cannot be meant."""
    return bounds.header_number(answer.headers.get(name))
