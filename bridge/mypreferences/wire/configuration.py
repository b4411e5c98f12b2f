"""What an account is configured with (MyPreferences `Retrieve programs`, `Retrieve program groups`, `Retrieve
consents`, `Contact Types`, `Create user`). The pages do not show the members: only ids are relied on."""

from __future__ import annotations

import msgspec

from bridge.mypreferences.wire.codec import Number


class Frequency(msgspec.Struct, rename="pascal", frozen=True, kw_only=True):
    frequency_id: str = ""


class LocalizedText(msgspec.Struct, rename="pascal", frozen=True, kw_only=True):
    """A custom property of a group, program or filter, or the name of a preference attribute."""

    key: str | None = None
    value: str | None = None


class TextTag(msgspec.Struct, rename="pascal", frozen=True, kw_only=True):
    locale: str | None = None
    name: str | None = None


class Filter(msgspec.Struct, rename="pascal", frozen=True, kw_only=True):
    """One program on one channel."""

    filter_id: str
    channel_id: str | None = None
    is_active: bool | None = None
    frequencies: list[Frequency] | None = None
    default_frequency_id: str | None = None
    parent_filter_id: str | None = None
    preference_attributes: list[LocalizedText] | None = None
    custom_properties: list[LocalizedText] | None = None


class Program(msgspec.Struct, rename="pascal", frozen=True, kw_only=True):
    """One offering and its filters."""

    program_id: Number
    program_type: str | None = None
    is_active: bool | None = None
    text_tags: list[TextTag] | None = None
    filters: list[Filter] | None = None
    custom_properties: list[LocalizedText] | None = None


class ProgramGroup(msgspec.Struct, rename="pascal", frozen=True, kw_only=True):
    """A category of programs, which may hold further categories."""

    program_group_id: Number | None = None
    text_tags: list[TextTag] | None = None
    program_groups: list[ProgramGroup] | None = None
    programs: list[Program] | None = None
    custom_properties: list[LocalizedText] | None = None


class LocalizedField(msgspec.Struct, rename="pascal", omit_defaults=True, frozen=True, kw_only=True):
    locale: str | None = None
    name: str | None = None
    consent_language: str | None = None
    description: str | None = None


class ConsentVersion(msgspec.Struct, rename="pascal", omit_defaults=True, frozen=True, kw_only=True):
    consent_version: str
    localized_fields: list[LocalizedField] | None = None
    expiration_in_days: int | None = None
    is_active: bool | None = None
    is_associated_with_profiles: bool | None = None


class ConsentType(msgspec.Struct, rename="pascal", omit_defaults=True, frozen=True, kw_only=True):
    """A consent people may give, with its versions."""

    type_name: str
    is_active: bool | None = None
    versions: list[ConsentVersion] | None = None


class ConsentStatus(msgspec.Struct, rename="pascal", frozen=True, kw_only=True):
    """A status that a consent may have, with its number."""

    id: Number | None = None
    name: str | None = None


class ContactType(msgspec.Struct, rename="pascal", frozen=True, kw_only=True):
    """A type of e-mail address, phone number, address, alternate id, customer or group, by the name that the
    data API uses, with the consents linked to it."""

    type_name: str
    is_active: bool | None = None
    consents: list[ConsentType] | None = None


class PatchStep(msgspec.Struct, frozen=True, kw_only=True):
    """One operation of a JSON patch."""

    op: str
    path: str
    value: bool | ConsentVersion


class User(msgspec.Struct, rename="pascal", omit_defaults=True, frozen=True, kw_only=True):
    """A user to be created. Its source group is recorded with each choice it records. Which fields beside the
    name are required, the page does not say."""

    user_name: str
    first_name: str | None = None
    last_name: str | None = None
    email: str | None = None
    description: str | None = None
    user_groups: list[str] | None = None
    source_group_id: str | None = msgspec.field(default=None, name="SourceGroupID")


class UserCreated(msgspec.Struct, rename="pascal", frozen=True, kw_only=True):
    """Its number, and when it was created."""

    user_id: Number
    submitted_time: str | None = None
