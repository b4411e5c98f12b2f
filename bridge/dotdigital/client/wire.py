"""Dotdigital's text forms: answers as typed values, dates as UTC, the headers of its rate limits, and the
addresses, ids and dates of requests, checked before a call is sent.

Unknown fields are ignored, enumerations stay raw strings (the vendor adds values), and everything that no
decision rests on is optional: ids of 0, null addresses and missing keys are normal answers there.
"""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any, TypeVar
from urllib.parse import quote

import msgspec

from bridge.core.errors import InvalidResponse, OutcomeUnknown, Refused, SideError
from bridge.core.model import Side
from bridge.transport import Response

T = TypeVar("T")
Json = dict[str, Any]

SHORTEST, LONGEST = 1.0, 120.0  # seconds; no reset of a one-minute window lies outside
_FIRST_YEAR = 1970  # an older date is a server's "no date at all"


class _Wire(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    pass


class ContactV2(_Wire, frozen=True):
    """A contact as v2 embeds it. `id` is 0 or missing where the service does not know it."""

    id: int | None = None
    email: str | None = msgspec.field(default=None)
    status: str | None = None
    opt_in_type: str | None = None
    email_type: str | None = None

    @property
    def contact_id(self) -> int | None:
        return self.id or None

    @property
    def address(self) -> str | None:
        return (self.email or "").strip() or None


class Suppression(_Wire, frozen=True):
    """One row of suppressed-since and unsubscribed-since, and the answer to an unsubscribe."""

    suppressed_contact: ContactV2 | None = None
    date_removed: datetime | None = None
    reason: str | None = None

    @property
    def removed_at(self) -> datetime | None:
        return utc(self.date_removed)

    @property
    def status(self) -> str | None:
        """The reason, or where the row has none the contact's status."""
        return self.reason or self.contact_status

    @property
    def contact_status(self) -> str | None:
        """The status of the contact itself: that of its e-mail channel."""
        return None if self.suppressed_contact is None else self.suppressed_contact.status


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
    is_opted_in: bool
    address_book_id: int | None = None
    date_modifed: datetime | None = None
    date_modified: datetime | None = None

    @property
    def changed_at(self) -> datetime | None:
        return utc(self.date_modifed if self.date_modifed is not None else self.date_modified)


class ContactSubscriptions(_Wire, frozen=True):
    """A contact with its opt-in rows: one person's `subscriptions`, or a row of opt-ins-since."""

    contact: ContactV2 | None
    marketing_preference_opt_ins: list[OptInRow] | None = None

    @property
    def rows(self) -> list[OptInRow]:
        return self.marketing_preference_opt_ins or []


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


class ContactV3(_Wire, frozen=True):
    """A contact as v3 shows it. Preferences not opted in to are usually left out."""

    contact_id: int
    status: str | None = None
    identifiers: dict[str, Any] | None = None
    channel_properties: ChannelsV3 | None = None
    preferences: list[PreferenceV3] | None = None
    consent_records: list[ConsentRecordV3] | None = None
    created: str | None = None
    updated: str | None = None

    @property
    def created_at(self) -> datetime | None:
        """When the contact was created; None where that cannot be read."""
        return _moment(self.created)

    @property
    def updated_at(self) -> datetime | None:
        """When the contact was last modified, as the service defines that."""
        return _moment(self.updated)

    @property
    def address(self) -> str | None:
        return self.named("email")

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


class ContactsPage(msgspec.Struct, frozen=True, kw_only=True):
    items: list[ContactV3] = msgspec.field(name="_items")
    links: Links | None = msgspec.field(name="_links", default=None)

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
        return msgspec.json.decode(answer.content, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise untrusted(answer, operation, is_write=is_write) from None


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


def utc(moment: datetime | None) -> datetime | None:
    """A wire date as aware UTC (all of Dotdigital's dates are UTC); None for the year-1 filler."""
    if moment is None or moment.year < _FIRST_YEAR:
        return None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def _moment(text: str | None) -> datetime | None:
    try:
        return utc(datetime.fromisoformat(text or ""))
    except ValueError:
        return None


def parse_server_time(text: str) -> datetime:
    """The plain-text server time: T or space, 0 to 7 fraction digits, Z or an offset, maybe quoted.
    Raises ValueError."""
    parsed = utc(datetime.fromisoformat(text.strip().strip("\"'").strip()))
    if parsed is None:
        raise ValueError("a server time before 1970")
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
    try:
        return float(answer.headers.get(name, ""))
    except ValueError:
        return None


LONGEST_VALUE = 256  # characters of an identifier in a path (v3 contacts, parameter `value`)
LARGEST_ID = 2**31 - 1  # v2 ids are 32 bits wide


def render_date(moment: date) -> str:
    """A date for a path: `yyyy-MM-ddTHH:mm:ss.fffZ`, cut (not rounded) to milliseconds, so that a feed read
    from it never starts late; a date alone as `yyyy-MM-dd`. Raises ValueError without a time zone."""
    if not isinstance(moment, datetime):
        return moment.isoformat()
    if moment.tzinfo is None:
        raise ValueError("a date sent to Dotdigital needs a time zone")
    at = moment.astimezone(UTC)
    return f"{at:%Y-%m-%dT%H:%M:%S}.{at.microsecond // 1000:03d}Z"


def path_address(address: str, operation: str) -> str:
    """An e-mail address as one path segment. Raises Refused for what is no address: an all-digit one would
    be taken for a contact id, an empty one for another operation."""
    return quote(checked_address(address, operation), safe="")


def checked_address(address: str, operation: str) -> str:
    """The trimmed address. Raises Refused before any call where Dotdigital cannot hold it."""
    trimmed = address.strip()
    if not trimmed or len(trimmed) > LONGEST_VALUE or "@" not in trimmed or not trimmed.isprintable():
        raise Refused(
            "An address cannot be sent to Dotdigital: it is empty, too long, or has no @.",
            side=Side.DOTDIGITAL, operation=operation,
            hint="Correct the person's address at MyPreferences.",
        )  # fmt: skip
    return trimmed


def path_id(number: int, operation: str) -> str:
    """A v2 id as a path segment. Raises Refused outside 1 to 2^31-1."""
    if not 0 < number <= LARGEST_ID:
        raise Refused(
            "An id lies outside what Dotdigital's v2 API can address.",
            side=Side.DOTDIGITAL, operation=operation, hint="Check the ids in the mapping file.",
        )  # fmt: skip
    return str(number)
