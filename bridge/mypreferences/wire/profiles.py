"""Profiles with their addresses, preferences and consents.

`Profile` holds what the sync reads and writes, `FullProfile` every field: the less an answer must hold, the
less an unexpected value in it can stop. Names and shapes: MyPreferences `Profile`, `UserProfile`,
`EmailPreference`, `ProfilePreference`, `CustomerConsent`, `CreatePhoneNumberPreference`,
`ArchiveAddressPreference`.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

from bridge import bounds
from bridge.mypreferences.wire.codec import Number, named, parse_moment

UNREADABLE = "\x00unreadable"  # no answer has such a status: it holds a character that none may
OPT_IN, OPT_OUT = "opt_in", "opt_out"
GRANTED, DENIED, REVOKED, NOT_SET = "granted", "denied", "revoked", "not_set"
PREFERENCE_CODES = {OPT_IN: 1, OPT_OUT: 2}
CONSENT_CODES = {GRANTED: 1, DENIED: 2, REVOKED: 3, NOT_SET: 4}


class PreferenceAttribute(msgspec.Struct, rename="pascal", frozen=True, kw_only=True):
    """A free key and value kept with one preference. Keys that begin with $ are the service's own."""

    key: Any
    value: Any = None


class Preference(msgspec.Struct, rename="pascal", omit_defaults=True, frozen=True, kw_only=True):
    """A choice about one filter. `kind` is OPT_IN, OPT_OUT or the raw word of a newer service."""

    filter_id: str
    preference_type: Number
    frequency_id: str | None = None
    customer_date: str | None = None
    match_type: str | None = None
    preference_status: str | None = None
    preference_attributes: list[PreferenceAttribute] | None = None
    last_modified_date: str | None = None  # read-only

    @property
    def modified_at(self) -> datetime | None:
        """The service's own time of the last change (MyPreferences 3.4, `LastModifiedDate`)."""
        return parse_moment(self.last_modified_date)

    @property
    def kind(self) -> str:
        return named(self.preference_type, PREFERENCE_CODES)

    @property
    def changed_at(self) -> datetime | None:
        return parse_moment(self.customer_date, latest=self.kind != OPT_IN)


class Consent(msgspec.Struct, rename="pascal", omit_defaults=True, frozen=True, kw_only=True):
    """A consent. `kind` is one of the four statuses or the raw word of a newer service."""

    consent_type: str
    consent_version: str | None = ""
    locale: str | None = ""
    consent_status: Number
    consent_date: str | None = None
    expiration_date: str | None = None
    expired: bool | None = None

    @property
    def kind(self) -> str:
        return named(self.consent_status, CONSENT_CODES)

    @property
    def changed_at(self) -> datetime | None:
        return parse_moment(self.consent_date, latest=self.kind != GRANTED)


class Email(msgspec.Struct, rename="pascal", omit_defaults=True, frozen=True, kw_only=True):
    """An address on a profile. Collections are None where the answer leaves them out."""

    email_address: str | None
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
        """Type and value, case-folded: MyPreferences matches both in any case."""
        kind = self.alternate_id_type or self.type_name or ""
        value = self.alternate_id if self.alternate_id is not None else self.value
        return kind.casefold(), "" if value is None else str(value).strip().casefold()


class Profile(msgspec.Struct, rename="pascal", omit_defaults=True, frozen=True, kw_only=True):
    """A profile, or in a write the part of one that changes."""

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
    def is_unreadable(self) -> bool:
        """Whether only its id could be read, if that (see `of_malformed`)."""
        return self.status == UNREADABLE

    @classmethod
    def of_malformed(cls, value: Any) -> Profile:
        """What of a malformed row of a list names the profile."""
        given = value if isinstance(value, dict) else {}
        number = given.get("ProfileId")
        known = isinstance(number, int | str) and not isinstance(number, bool) and bounds.is_id(str(number))
        return cls(profile_id=number if known else None, status=UNREADABLE)

    @property
    def pending(self) -> bool:
        """An accepted write is still being applied: the profile shows the values before it."""
        return (self.status or "").replace("_", " ").strip().casefold().startswith("pending")


class CustomerName(msgspec.Struct, rename="pascal", omit_defaults=True, frozen=True, kw_only=True):
    """The parts of a name."""

    prefix: str | None = None
    first_name: str | None = None
    middle_name: str | None = None
    last_name: str | None = None
    suffix: str | None = None


class Phone(msgspec.Struct, rename="pascal", omit_defaults=True, frozen=True, kw_only=True):
    """A phone on a profile. IsMobile from true to false archives its text preferences."""

    phone_number: str
    phone_type: str | None = None
    is_mobile: bool | None = None
    is_default: bool | None = None
    is_active: bool | None = None
    phone_preferences: list[Preference] | None = None
    phone_number_preferences: list[Preference] | None = None
    consents: list[Consent] | None = None

    @property
    def preferences(self) -> list[Preference]:
        """Under either of the two names that the documents suggest."""
        return [*(self.phone_preferences or ()), *(self.phone_number_preferences or ())]


class Address(msgspec.Struct, rename="pascal", omit_defaults=True, frozen=True, kw_only=True):
    """A postal address on a profile."""

    address1: str | None = None
    address2: str | None = None
    city: str | None = None
    state_province: str | None = None
    postal_code: str | None = None
    address_type: str | None = None
    is_default: bool | None = None
    is_active: bool | None = None
    address_preferences: list[Preference] | None = None
    consents: list[Consent] | None = None


class CustomField(msgspec.Struct, rename="pascal", omit_defaults=True, frozen=True, kw_only=True):
    """One value of a field that the account has defined."""

    name: str
    value: Any = None


class ProfileGroup(msgspec.Struct, rename="pascal", omit_defaults=True, frozen=True, kw_only=True):
    """A profile's place in a group."""

    group_type: str
    group_name: str | None = None
    is_primary: bool | None = None
    is_active: bool | None = None


class FullProfile(Profile, rename="pascal", omit_defaults=True, frozen=True, kw_only=True):
    """A profile with every field, or in a write its new content."""

    registration_confirmed: bool | None = None
    customer_type: str | None = None
    customer_name: CustomerName | None = None
    default_locale: str | None = None
    preserve_preferences: bool | None = None
    preserve_consents: bool | None = None
    reason_code: str | None = None
    phone_numbers: list[Phone] | None = None
    addresses: list[Address] | None = None
    custom_fields: list[CustomField] | None = None
    groups: list[ProfileGroup] | None = None


class Submission(msgspec.Struct, rename="pascal", omit_defaults=True, frozen=True, kw_only=True):
    """Preferences to add or update, by element (MyPreferences `Add or update preferences`)."""

    emails: list[Email] | None = None
    phone_numbers: list[Phone] | None = None
    addresses: list[Address] | None = None
    profile_preferences: list[Preference] | None = None


class ArchivedPreference(msgspec.Struct, rename="pascal", omit_defaults=True, frozen=True, kw_only=True):
    """A filter, and a reason that replaces the request's."""

    filter_id: str | None = None
    reason: str | None = msgspec.field(default=None, name="Reason_Code")


class ArchivedEmail(ArchivedPreference, rename="pascal", omit_defaults=True, frozen=True, kw_only=True):
    """An address, a type of addresses, or both (MyPreferences `ArchiveEmailPreference`)."""

    email_address_type: str | None = None
    email_address: str | None = None


class ArchivedPhone(ArchivedPreference, rename="pascal", omit_defaults=True, frozen=True, kw_only=True):
    """A phone, a type of phones, or both (MyPreferences `ArchivePhoneNumberPreference`)."""

    phone_type: str | None = None
    phone_number: str | None = None


class ArchivedAddress(ArchivedPreference, rename="pascal", omit_defaults=True, frozen=True, kw_only=True):
    """A postal address, a type of them, or both (MyPreferences `ArchiveAddressPreference`)."""

    address_type: str | None = None
    address1: str | None = None
    address2: str | None = None
    city: str | None = None
    state_province: str | None = None
    postal_code: str | None = None


class Archiving(msgspec.Struct, rename="pascal", omit_defaults=True, frozen=True, kw_only=True):
    """Which preferences to archive. Of type, value and filter, what is left out does not restrict."""

    emails: list[ArchivedEmail] | None = None
    phone_numbers: list[ArchivedPhone] | None = None
    addresses: list[ArchivedAddress] | None = None
    profile_preferences: list[ArchivedPreference] | None = None
    global_deactivate: bool | None = None
    reason: str | None = msgspec.field(default=None, name="Reason_Code")


class ConsentLink(msgspec.Struct, rename="pascal", omit_defaults=True, frozen=True, kw_only=True):
    """A consent that a filter is linked to."""

    consent_type: str
    consent_version: str | None = None
    consent_status: Number | None = None


class ConsentFilter(msgspec.Struct, rename="pascal", omit_defaults=True, frozen=True, kw_only=True):
    """Links consents to the preferences of a filter, on elements of one type (MyPreferences
    `ConsentFilter`): it cannot tell apart two addresses of the same type."""

    filter_id: str
    type_name: str
    consents: list[ConsentLink]
    implied: bool | None = None


class ConsentList(msgspec.Struct, rename="pascal", frozen=True, kw_only=True):
    """Consents by themselves."""

    consents: list[Consent]


class Author(msgspec.Struct, rename="pascal", frozen=True, kw_only=True):
    """Who recorded a preference (MyPreferences `ProfilePreference`): a user or the system, and that user's
    source group. Both are read-only, so no write holds them."""

    user_id: str | None = None
    source_id: str | None = None

    def is_of(self, user: str, source_group: str | None) -> bool:
        """Whether it names this user or this source group."""
        source = None if source_group is None else source_group.casefold()
        named = (self.user_id or "").casefold() == user.casefold()
        return named or (source is not None and (self.source_id or "").casefold() == source)


class AuthoredEmail(msgspec.Struct, rename="pascal", frozen=True, kw_only=True):
    email_preferences: list[Author] | None = None


class Authored(msgspec.Struct, rename="pascal", frozen=True, kw_only=True):
    """A profile, reduced to who recorded its preferences."""

    emails: list[AuthoredEmail] | None = None
    profile_preferences: list[Author] | None = None

    @property
    def authors(self) -> list[Author]:
        on_emails = [one for email in self.emails or () for one in email.email_preferences or ()]
        return [*(self.profile_preferences or ()), *on_emails]
