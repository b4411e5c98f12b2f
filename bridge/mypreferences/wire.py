"""What MyPreferences sends and is sent, as far as the bridge speaks of it. Unknown fields are ignored.

Names and shapes: MyPreferences `Profile`, `EmailPreference`, `ProfilePreference`, `CustomerConsent`,
`Retrieve events`, `Segment: Retrieve data`, `Retrieve programs`, `Retrieve consents`.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, TypeVar

import msgspec

from bridge.core.errors import BadAnswer, OutcomeUnknown, SideError
from bridge.core.model import Side
from bridge.mypreferences.moments import parse_moment

T = TypeVar("T")
Number = int | str  # enums and ids come as integers, in XML-born answers as names

OPT_IN, OPT_OUT = "opt_in", "opt_out"
GRANTED, DENIED, REVOKED, NOT_SET = "granted", "denied", "revoked", "not_set"
PREFERENCE_CODES = {OPT_IN: 1, OPT_OUT: 2}
CONSENT_CODES = {GRANTED: 1, DENIED: 2, REVOKED: 3, NOT_SET: 4}


class Preference(msgspec.Struct, rename="pascal", omit_defaults=True, frozen=True, kw_only=True):
    """A choice about one filter. `kind` is OPT_IN, OPT_OUT or the raw word of a newer service."""

    filter_id: str
    preference_type: Number
    frequency_id: str | None = None
    customer_date: str | None = None
    match_type: str | None = None
    preference_status: str | None = None

    @property
    def kind(self) -> str:
        return _named(self.preference_type, PREFERENCE_CODES)

    @property
    def changed_at(self) -> datetime | None:
        return parse_moment(self.customer_date, latest=self.kind != OPT_IN)


class Consent(msgspec.Struct, rename="pascal", omit_defaults=True, frozen=True, kw_only=True):
    """A consent. `kind` is one of the four statuses or the raw word of a newer service."""

    consent_type: str
    consent_version: str = ""
    locale: str = ""
    consent_status: Number
    consent_date: str | None = None
    expiration_date: str | None = None
    expired: bool | None = None

    @property
    def kind(self) -> str:
        return _named(self.consent_status, CONSENT_CODES)

    @property
    def changed_at(self) -> datetime | None:
        return parse_moment(self.consent_date, latest=self.kind != GRANTED)


class Email(msgspec.Struct, rename="pascal", omit_defaults=True, frozen=True, kw_only=True):
    """An address on a profile. Collections are None where the answer does not speak of them."""

    email_address: str
    email_address_type: str | None = None
    is_active: bool | None = None
    email_preferences: list[Preference] | None = None
    consents: list[Consent] | None = None


class AlternateId(msgspec.Struct, rename="pascal", omit_defaults=True, frozen=True, kw_only=True):
    """An external key. The documents do not show its field names: both likely pairs are read."""

    alternate_id_type: str | None = None
    type_name: str | None = None
    alternate_id: Number | None = None
    value: Number | None = None

    @property
    def pair(self) -> tuple[str, str]:
        """Type and value, folded: MyPreferences matches both in any case."""
        kind = self.alternate_id_type or self.type_name or ""
        value = self.alternate_id if self.alternate_id is not None else self.value
        return kind.casefold(), "" if value is None else str(value).strip().casefold()


class Profile(msgspec.Struct, rename="pascal", omit_defaults=True, frozen=True, kw_only=True):
    """A profile, or in a write the part of one that is to change."""

    profile_id: Number | None = None
    is_active: bool | None = None
    status: str | None = None
    alternate_ids: list[AlternateId] | None = None
    emails: list[Email] | None = None
    profile_preferences: list[Preference] | None = None
    consents: list[Consent] | None = None

    @property
    def id(self) -> str:
        return "" if self.profile_id is None else str(self.profile_id)

    @property
    def active(self) -> bool:
        return self.is_active is not False

    @property
    def pending(self) -> bool:
        """An accepted write is still being worked in: the rest shows what was before it."""
        return (self.status or "").replace("_", " ").strip().casefold().startswith("pending")


class Event(msgspec.Struct, rename="pascal", frozen=True, kw_only=True):
    """Something happened to a profile. `Data` is not read: the profile itself is."""

    event_id: Number | None = None
    event_type: str = ""
    profile_id: Number | None = None
    original_event_time: str | None = None
    recorded_time: str | None = None

    @property
    def earliest(self) -> datetime | None:
        """The earlier of its times: which of them a query filters by is not documented."""
        times = (parse_moment(self.original_event_time), parse_moment(self.recorded_time))
        return min((item for item in times if item is not None), default=None)


class Frequency(msgspec.Struct, rename="pascal", frozen=True, kw_only=True):
    frequency_id: str = ""


class Filter(msgspec.Struct, rename="pascal", frozen=True, kw_only=True):
    """One program on one channel."""

    filter_id: str
    channel_id: str | None = None
    is_active: bool | None = None
    frequencies: list[Frequency] | None = None
    default_frequency_id: str | None = None


class TextTag(msgspec.Struct, rename="pascal", frozen=True, kw_only=True):
    locale: str | None = None
    name: str | None = None


class Program(msgspec.Struct, rename="pascal", frozen=True, kw_only=True):
    """One offering and its filters."""

    program_id: Number
    program_type: str | None = None
    is_active: bool | None = None
    text_tags: list[TextTag] | None = None
    filters: list[Filter] | None = None


class LocalizedField(msgspec.Struct, rename="pascal", frozen=True, kw_only=True):
    locale: str | None = None
    name: str | None = None


class ConsentVersion(msgspec.Struct, rename="pascal", frozen=True, kw_only=True):
    consent_version: str
    is_active: bool | None = None
    localized_fields: list[LocalizedField] | None = None


class ConsentType(msgspec.Struct, rename="pascal", frozen=True, kw_only=True):
    """A consent people may give, with its versions."""

    type_name: str
    is_active: bool | None = None
    versions: list[ConsentVersion] | None = None


class EventInterest(msgspec.Struct, rename="pascal", omit_defaults=True, frozen=True, kw_only=True):
    """One event type of a webhook subscription."""

    entity: str
    event_type: str
    filters: list[str] | None = None
    consent_types: list[str] | None = None
    contact_types: list[str] | None = None


class Subscription(msgspec.Struct, rename="pascal", omit_defaults=True, frozen=True, kw_only=True):
    """A webhook subscription; events are kept only where at least one names them."""

    id: Number | None = None
    name: str
    url: str
    description: str | None = None
    locale_id: str | None = None
    state: str | None = None
    is_minimized: bool | str | None = None
    catch_up_on_resume: bool | str | None = None
    alternate_id_type: str | None = None
    subscriptions: list[EventInterest] | None = None


class ExportToken(msgspec.Struct, rename="pascal", frozen=True, kw_only=True):
    access_token: Number


class ExportStatus(msgspec.Struct, rename="pascal", frozen=True, kw_only=True):
    """Where an export stands; `row_count` is None until it is complete."""

    status: str
    row_count: int | None = None


class ExportPage(msgspec.Struct, rename="pascal", frozen=True, kw_only=True):
    """One block of an export. A row of a deleted profile holds nothing but its id."""

    user_profile_preferences: list[Profile]
    count: int | None = None
    has_more: bool | None = None
    total_results: int | None = None


def decode(kind: Any, content: bytes, *, operation: str, is_write: bool = False) -> Any:
    """Read an answer as `kind`. Raises BadAnswer, to a write OutcomeUnknown; neither quotes the answer."""
    try:
        return msgspec.json.decode(content, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise bad_answer(operation, is_write=is_write) from None


def bad_answer(operation: str, *, is_write: bool = False) -> SideError:
    """The error for an answer that is not what the documents promise."""
    kind = OutcomeUnknown if is_write else BadAnswer
    return kind(
        f"MyPreferences answered {operation} with something that is not what its documents promise.",
        side=Side.MYPREFERENCES,
        operation=operation,
        hint="Check the base URL and whatever proxies it with `bridge doctor`; it is tried again.",
    )


def encode(value: msgspec.Struct) -> Any:
    """A struct as plain JSON values, what is unset left out."""
    return msgspec.to_builtins(value)


def _named(code: Number, codes: dict[str, int]) -> str:
    """The word for an enum given as number, number in text, or name in any spelling."""
    folded = "".join(letter for letter in str(code).casefold() if letter.isalnum())
    for word, number in codes.items():
        if folded in (str(number), word.replace("_", "")):
            return word
    return str(code)
