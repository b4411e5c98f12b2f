"""Contact writes of v3, for one contact and for imports alike.

Unlike v2, names are case-sensitive and nothing is coerced.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from ipaddress import ip_address
from typing import Annotated, Any, Literal, TypeVar

import msgspec
from msgspec import UNSET, Meta, UnsetType
from msgspec.inspect import ListType, StructType

from bridge.sandbox.dotdigital import consent, wire
from bridge.sandbox.dotdigital.account import Account
from bridge.sandbox.dotdigital.records import CONTACT_ID, EMAIL, MOBILE, StoredContact
from bridge.sandbox.dotdigital.refusals import V3Refusal
from bridge.sandbox.http import BodyError, HttpRequest, parse_json, read_document, type_info

PUBLISHED, CLOSED, LENIENT = "published", "closed", "lenient"
"""Positions of the switch `v3_schema`."""

_Problem = tuple[str, str]  # (item, description)
_WriteStatus = Literal["subscribed", "unsubscribed", "suppressed"]
_fields = functools.cache(msgspec.structs.fields)
T = TypeVar("T")
_IDENTIFIER = re.compile(r"[-A-Za-z0-9_]{1,50}", re.ASCII)
_STATUS = {"unsubscribed": wire.UNSUBSCRIBED, "suppressed": wire.SUPPRESSED}


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


def path_identifier(request: HttpRequest) -> tuple[str, str]:
    """The identifier and the value of a URL. Raises V3Refusal for what can be neither."""
    identifier, value = request.parameters["identifier"], request.parameters["value"]
    if not _IDENTIFIER.fullmatch(identifier) or not 1 <= len(value) <= 256:
        raise invalid_id(identifier, value)
    return identifier, value


def find(account: Account, identifier: str, value: str) -> StoredContact | None:
    """The contact an identifier points at, binned ones included. Raises V3Refusal for an impossible value."""
    if identifier == CONTACT_ID:
        if not (value.isascii() and value.isdigit()):
            raise invalid_id(identifier, value)
        return account.contacts.find_id(int(value))
    known = identifier in (EMAIL, MOBILE) or identifier in account.custom_identifiers
    if not known or (identifier == EMAIL and not wire.is_email(value)):
        raise invalid_id(identifier, value)
    return account.contacts.find(identifier, value)


def invalid_id(identifier: str, value: str) -> V3Refusal:
    """The value cannot be one of that identifier's."""
    return V3Refusal(
        400, "contacts:invalidId", f"The value '{value}' is invalid for the identifier '{identifier}'"
    )


def not_found(identifier: str, value: str) -> V3Refusal:
    """Nobody has that identifier."""
    details = [(value, f"Not found using the identifier '{identifier}'")]
    return V3Refusal(404, "contacts:contactNotFound", "The following contacts could not be found", details)


def bad_json() -> V3Refusal:
    """The body is not JSON, or not of the kind that the operation takes."""
    return V3Refusal(400, "contacts:badJson", "The request JSON is badly formed")


def bad_request(*problems: tuple[str, str]) -> V3Refusal:
    """Parts of the request are not valid: (item, description) of each."""
    return V3Refusal(400, "contacts:badRequest", "The request is invalid", problems)


def json_body(request: HttpRequest) -> Any:
    """The body as JSON values. Raises V3Refusal."""
    try:
        return parse_json(request.body)
    except BodyError as error:
        raise bad_json() from error


def single_write(account: Account, request: HttpRequest, kind: type[WriteT]) -> WriteT:
    """The write of a single contact that a body asks for. Raises V3Refusal 400 for what is wrong with it."""
    body = json_body(request)
    if not isinstance(body, dict):
        raise bad_json()
    schema = account.switches.v3_schema
    write, problems = read_contact(body, kind, schema)
    problems += [] if problems else check(account, write)
    if consent_records(write, schema)[1]:
        problems.append(("consentRecords", "A part of a record is missing"))
    if problems:
        raise bad_request(*problems)
    return write


def check(account: Account, write: ReplacedContact) -> list[tuple[str, str]]:
    """What the account's own data finds wrong with a write, as (item, description)."""
    problems = []
    for choice in write.preferences:
        if account.preferences.leaf(choice.id) is None:
            problems.append((str(choice.id), "is not a preference of this account"))
    for name, value in write.identifiers.items():
        if name == CONTACT_ID:
            continue
        if name not in (EMAIL, MOBILE) and name not in account.custom_identifiers:
            problems.append((name, "is not an identifier of this account"))
        elif not isinstance(value, str) or (name == EMAIL and not wire.is_email(value)):
            problems.append((name, f"Invalid value for '{name}'"))
    return problems


def refuse_conflict(account: Account, contact: StoredContact | None, identifiers: dict[str, Any]) -> None:
    """Raises V3Refusal 409 where a write cannot be applied to `contact` (None: a new one)."""
    if conflicts(account, contact, identifiers):
        text = "An id value already exists. All identifiers must be unique"
        raise V3Refusal(409, "contacts:idAlreadyExists", text)


def conflicts(account: Account, contact: StoredContact | None, identifiers: dict[str, Any]) -> bool:
    """Whether an identifier belongs to another contact, or the contact stays in the recycle bin."""
    for name, value in identifiers.items():
        owner = None if name == CONTACT_ID else find(account, name, str(value))
        if owner is not None and owner is not contact:
            return True
    return contact is not None and contact.binned and account.switches.binned_write == "refused"


NO_RESUBSCRIBE = "Channel status does not allow resubscribing"


def forbids_subscribing(account: Account, contact: StoredContact | None, write: ReplacedContact) -> bool:
    """Whether a write is refused since it subscribes a contact that has yet to confirm."""
    pending = contact is not None and contact.status == wire.PENDING and not contact.binned
    refused = account.switches.v3_subscribe_pending == "refused"
    return pending and refused and sent(write.email.status) == "subscribed"


def refuse_subscribing(account: Account, contact: StoredContact | None, write: ReplacedContact) -> None:
    """Raises V3Refusal 400 where a write may not subscribe its contact."""
    if forbids_subscribing(account, contact, write):
        raise V3Refusal(400, "contacts:badRequest", NO_RESUBSCRIBE)


def upsert(
    account: Account,
    contact: StoredContact | None,
    write: ReplacedContact,
    merge: str = "overwrite",
    identifiers: dict[str, Any] | None = None,
) -> tuple[StoredContact, bool]:
    """Apply a checked write; returns the contact and whether it was created.

    A created contact is subscribed unless the write says otherwise. A binned one comes back to life.
    `identifiers` are those to give it, by default those of the write. The caller has seen that nothing
    `conflicts`.
    """
    identifiers = write.identifiers if identifiers is None else identifiers
    now = account.now()
    created = contact is None
    if contact is None:
        contact = account.contacts.create(identifiers.get(EMAIL), identifiers.get(MOBILE))
    elif contact.binned:
        account.contacts.revive(contact)
    _identify(account, contact, identifiers)
    _merge_fields(contact, write.data_fields, merge)
    email_type, opt_in_type = sent(write.email.email_type), sent(write.email.opt_in_type)
    contact.email_type = _capital(email_type) or contact.email_type
    contact.opt_in_type = _capital(opt_in_type) or contact.opt_in_type
    contact.lists.update(write.lists)
    records, _ = consent_records(write, account.switches.v3_schema)
    contact.consent_records += [{**record, "dateTimeCreated": wire.render(now)} for record in records]
    for choice in () if consent.ignores_preferences(account, contact) else write.preferences:
        consent.write_opt_in(account, contact, choice.id, choice.is_opted_in)
    _set_status(account, contact, write, created)
    if write.data_fields or email_type or opt_in_type or write.lists or records:
        contact.data_changed = now
    return contact, created


def _identify(account: Account, contact: StoredContact, identifiers: dict[str, Any]) -> None:
    stays = account.switches.suppression_follows == "address"
    for name, value in identifiers.items():
        if name != CONTACT_ID and contact.identifiers.get(name) != value:
            account.contacts.set_identifier(contact, name, value, block_stays=stays)


def _set_status(account: Account, contact: StoredContact, write: ReplacedContact, created: bool) -> None:
    status = sent(write.email.status)
    if status in _STATUS:
        _opt_out(account, contact, _STATUS[status])
    elif created and not contact.suppressed:
        confirm = write.email.opt_in_type == "verifiedDouble" or account.switches.enforce_double_opt_in
        if contact.status == wire.SUBSCRIBED and contact.email is not None and confirm:
            consent.await_confirmation(account, contact)
    elif status == "subscribed" and contact.status != wire.PENDING:
        silent = write.email.resubscribe_options.resubscribe_with_no_challenge
        if silent is None:
            silent = account.switches.v3_resubscribe_default == "silent"
        consent.resubscribe(account, contact, challenge=not silent)


def _opt_out(account: Account, contact: StoredContact, status: str) -> None:
    """v3 never refuses; a contact suppressed for another reason keeps it, as the v2 switches say."""
    if contact.suppressed and contact.status != status:
        if status == wire.UNSUBSCRIBED and account.switches.unsubscribe_other_reason == "refused":
            return
        if status == wire.SUPPRESSED and account.switches.suppress_unsubscribed == "kept":
            return
    consent.suppress(account, contact, status)


def _merge_fields(contact: StoredContact, fields: dict[str, Any], merge: str) -> None:
    for name, value in fields.items():
        key = name.upper()
        if merge == "overwriteIfNotEmpty" and value in (None, ""):
            continue
        if merge == "overwriteIfEmpty" and contact.data_fields.get(key) not in (None, ""):
            continue
        if value is None:
            contact.data_fields.pop(key, None)
        else:
            contact.data_fields[key] = value


def _capital(name: str | None) -> str | None:
    """Writes take `html` and `verifiedDouble`, reads give `Html` and `VerifiedDouble`."""
    return None if name is None else name[0].upper() + name[1:]
