"""What an account is configured with (MyPreferences `Retrieve programs`, `Retrieve consents`)."""

from __future__ import annotations

import msgspec

from bridge.mypreferences.wire.codec import Number


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
