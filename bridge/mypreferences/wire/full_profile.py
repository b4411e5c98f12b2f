"""Profiles with everything on them. What the bridge lives on reads `Profile` instead: the less an answer must
hold, the less a surprise in it can stop.

Names and shapes: MyPreferences `UserProfile`, `CreatePhoneNumberPreference`, `ArchiveAddressPreference`.
"""

from __future__ import annotations

from typing import Any

import msgspec

from bridge.mypreferences.wire.codec import Number
from bridge.mypreferences.wire.people import Consent, Email, Preference, Profile


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


class WholeProfile(Profile, rename="pascal", omit_defaults=True, frozen=True, kw_only=True):
    """A profile with everything on it, or in a write what is to be there."""

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
    """Preferences to add or update, by what they hang on (MyPreferences `Add or update preferences`)."""

    emails: list[Email] | None = None
    phone_numbers: list[Phone] | None = None
    addresses: list[Address] | None = None
    profile_preferences: list[Preference] | None = None


class ArchivedPreference(msgspec.Struct, rename="pascal", omit_defaults=True, frozen=True, kw_only=True):
    """A filter, and a reason that goes before the whole request's."""

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


class Tie(msgspec.Struct, rename="pascal", omit_defaults=True, frozen=True, kw_only=True):
    """A consent as a filter's association names it."""

    consent_type: str
    consent_version: str | None = None
    consent_status: Number | None = None


class ConsentFilter(msgspec.Struct, rename="pascal", omit_defaults=True, frozen=True, kw_only=True):
    """What ties consents to the preferences of a filter, on elements of one type (MyPreferences
    `ConsentFilter`): two addresses of the same type cannot be told apart by it."""

    filter_id: str
    type_name: str
    consents: list[Tie]
    implied: bool | None = None


class ConsentList(msgspec.Struct, rename="pascal", frozen=True, kw_only=True):
    """Consents by themselves."""

    consents: list[Consent]
