"""The bodies of contact writes in v3. Unlike v2, names are case-sensitive and nothing is coerced."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from datetime import datetime
from ipaddress import ip_address
from typing import Annotated, Any, Literal, TypeVar

import msgspec
from msgspec import UNSET, Meta, UnsetType
from msgspec.inspect import ListType, StructType

from bridge.sandbox.http import BodyError, read_document, type_info

PUBLISHED, CLOSED, LENIENT = "published", "closed", "lenient"
"""Positions of the switch `v3_schema`."""

_Problem = tuple[str, str]  # (item, description)
_WriteStatus = Literal["subscribed", "unsubscribed", "suppressed"]


class _ResubscribeOptions(msgspec.Struct, rename="camel"):
    resubscribe_with_no_challenge: bool | None = None


class _EmailChannel(msgspec.Struct, rename="camel"):
    email_type: Literal["plainText", "html"] | UnsetType = UNSET
    opt_in_type: Literal["unknown", "single", "double", "verifiedDouble"] | UnsetType = UNSET
    status: _WriteStatus | UnsetType = UNSET
    resubscribe_options: _ResubscribeOptions = msgspec.field(default_factory=_ResubscribeOptions)


class _PhoneChannel(msgspec.Struct):
    status: Literal["noSubscription", "subscribed", "unsubscribed", "suppressed"] | UnsetType = UNSET


class _Channels(msgspec.Struct, rename="camel"):
    email: _EmailChannel = msgspec.field(default_factory=_EmailChannel)
    sms: _PhoneChannel = msgspec.field(default_factory=_PhoneChannel)
    whats_app: _PhoneChannel = msgspec.field(default_factory=_PhoneChannel)


class _PreferenceChoice(msgspec.Struct):
    id: int
    is_opted_in: bool = msgspec.field(name="isOptedIn")


class _ConsentRecord(msgspec.Struct, rename="camel"):
    text: Annotated[str, Meta(min_length=1)]
    date_time_consented: str
    url: Annotated[str, Meta(min_length=1)]
    ip_address: str
    user_agent: Annotated[str, Meta(min_length=1)]


class ReplacedContact(msgspec.Struct, rename="camel"):
    """What a PUT of a contact takes. What was not sent is empty or UNSET."""

    identifiers: dict[str, Any] = {}
    data_fields: dict[str, Any] = {}
    channel_properties: _Channels = msgspec.field(default_factory=_Channels)
    lists: Annotated[list[int], Meta(min_length=1, max_length=100)] = []
    preferences: Annotated[list[_PreferenceChoice], Meta(min_length=1)] = []

    @property
    def email(self) -> _EmailChannel:
        """The e-mail channel."""
        return self.channel_properties.email


class ContactWrite(ReplacedContact, rename="camel"):
    """What POST and PATCH of a contact take."""

    consent_records: Annotated[list[dict[str, Any]], Meta(min_length=1, max_length=5)] = []


class ImportedContact(ContactWrite, rename="camel"):
    """One contact of an import."""

    match_identifier: Any = None


_fields = functools.cache(msgspec.structs.fields)
T = TypeVar("T")
WriteT = TypeVar("WriteT", bound=ReplacedContact)


def read_contact(
    document: Mapping[str, Any], kind: type[WriteT], schema: str
) -> tuple[WriteT, list[_Problem]]:
    """A contact write, with what is wrong with it: each part of the contact is checked by itself.

    Properties that no document names are refused everywhere (`closed`), nowhere (`lenient`), or where the
    specification says so (`published`): in channels. Consent records: see `consent_records`.
    """
    problems = [(name, f"'{name}' is not known") for name in _unknown_names(document, kind, schema)]
    parts = {}
    for part in _fields(kind):
        if part.encode_name in document:
            try:
                parts[part.name] = read_document(document[part.encode_name], part.type)
            except BodyError as error:
                item = error.field.rpartition(".")[2] or part.encode_name
                problems.append((item, f"'{item}' is not valid: {error}"))
    return kind(**parts), problems


def sent(value: T | UnsetType) -> T | None:
    """The value, or None where it was not sent. A null that was sent is refused before."""
    return None if isinstance(value, UnsetType) else value


def consent_records(write: ReplacedContact, schema: str) -> tuple[list[dict[str, Any]], bool]:
    """The records that can be applied, and whether others were left out: one with a missing, empty or
    malformed part does not fail the contact."""
    sent = write.consent_records if isinstance(write, ContactWrite) else []
    kept = [record for record in sent if _is_whole(record, schema)]
    names = [part.encode_name for part in _fields(_ConsentRecord)]
    return [{name: record[name] for name in names} for record in kept], len(kept) < len(sent)


def _is_whole(record: dict[str, Any], schema: str) -> bool:
    if schema != LENIENT and any(_extra_names(record, _ConsentRecord)):
        return False
    try:
        read = read_document(record, _ConsentRecord)
        datetime.fromisoformat(read.date_time_consented)
        return not ip_address(read.ip_address).is_loopback  # `::1` was seen to be refused
    except ValueError:
        return False


def _unknown_names(document: Mapping[str, Any], kind: type[ReplacedContact], schema: str) -> Iterator[str]:
    if schema == CLOSED:
        yield from _extra_names(document, kind)
    elif schema == PUBLISHED:
        yield from _extra_names(document.get("channelProperties"), _Channels, "channelProperties.")


def _extra_names(document: Any, kind: type[msgspec.Struct], path: str = "") -> Iterator[str]:
    """Property names that `kind` does not have, at any depth."""
    yield from _extra(document, type_info(kind), path)


def _extra(document: Any, kind: msgspec.inspect.Type, path: str) -> Iterator[str]:
    if isinstance(document, list) and isinstance(kind, ListType):
        for item in document:
            yield from _extra(item, kind.item_type, path)
    if isinstance(document, dict) and isinstance(kind, StructType):
        known = {one.encode_name: one.type for one in kind.fields}
        for name, value in document.items():
            if name in known:
                yield from _extra(value, known[name], f"{path}{name}.")
            else:
                yield f"{path}{name}"
