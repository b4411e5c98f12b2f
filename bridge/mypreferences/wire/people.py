"""Profiles with their addresses, preferences and consents.

Names and shapes: MyPreferences `Profile`, `EmailPreference`, `ProfilePreference`, `CustomerConsent`.
"""

from __future__ import annotations

from datetime import datetime

import msgspec

from bridge.mypreferences.timestamps import parse_moment
from bridge.mypreferences.wire.codec import Number, named

OPT_IN, OPT_OUT = "opt_in", "opt_out"
GRANTED, DENIED, REVOKED, NOT_SET = "granted", "denied", "revoked", "not_set"
PREFERENCE_CODES = {OPT_IN: 1, OPT_OUT: 2}
CONSENT_CODES = {GRANTED: 1, DENIED: 2, REVOKED: 3, NOT_SET: 4}


class PreferenceAttribute(msgspec.Struct, rename="pascal", frozen=True, kw_only=True):
    """A free pair kept with one preference. Keys that begin with $ are the service's own."""

    key: str
    value: str | None = None


class Preference(msgspec.Struct, rename="pascal", omit_defaults=True, frozen=True, kw_only=True):
    """A choice about one filter. `kind` is OPT_IN, OPT_OUT or the raw word of a newer service."""

    filter_id: str
    preference_type: Number
    frequency_id: str | None = None
    customer_date: str | None = None
    match_type: str | None = None
    preference_status: str | None = None
    preference_attributes: list[PreferenceAttribute] | None = None

    @property
    def kind(self) -> str:
        return named(self.preference_type, PREFERENCE_CODES)

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
        return named(self.consent_status, CONSENT_CODES)

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
