"""Contacts in v2: unsubscribe, suppress, resubscribe, read, delete; the account's own two calls; and what all
of v2 reads from a request, each part with its own refusal.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, TypeVar

import msgspec

from bridge.sandbox.dotdigital import consent, render, wire
from bridge.sandbox.dotdigital.account import Account
from bridge.sandbox.dotdigital.records import EMAIL, StoredContact
from bridge.sandbox.dotdigital.refusals import (
    V2Refusal,
    contact_not_found,
    contact_suppressed,
    malformed,
    parameter_invalid,
)
from bridge.sandbox.http import BodyError, HttpReply, HttpRequest, json_reply, read_body, text_reply

_INT32 = 2**31 - 1
BodyT = TypeVar("BodyT")


def typed_body(request: HttpRequest, kind: type[BodyT]) -> BodyT:
    """The body as `kind`; v2 binds property names without regard to case. Raises V2Refusal."""
    try:
        return read_body(request.body, kind, any_case=True)
    except BodyError as error:
        raise malformed(f"{error.field or 'The body'} is not valid.") from error


def query_number(request: HttpRequest, name: str, default: int, least: int, most: int = _INT32) -> int:
    """A whole number of the query. Raises V2Refusal when it is none or out of range."""
    text = request.query_values.get(name)
    return default if text is None else _whole(text, name, least, most)


def path_id(request: HttpRequest, name: str) -> int:
    """A 32-bit id of the path. Raises V2Refusal."""
    return _whole(request.parameters[name], name, 0, _INT32)


def path_date(request: HttpRequest) -> datetime:
    """The date of the path. Raises V2Refusal."""
    try:
        return wire.parse_path_date(request.parameters["date"])
    except ValueError as error:
        raise parameter_invalid("The date is not valid.") from error


def path_contact(account: Account, identifier: str) -> StoredContact:
    """The contact of a URL, by id or e-mail. Raises V2Refusal 404; binned contacts are not found."""
    found = None
    if "@" in identifier:
        found = account.contacts.find(EMAIL, identifier)
    elif identifier.isascii() and identifier.isdigit():
        found = account.contacts.find_id(int(identifier))
    if found is None or found.binned:
        raise contact_not_found(404)
    return found


def _whole(text: str, name: str, least: int, most: int) -> int:
    try:
        number = int(text)
    except ValueError as error:
        raise parameter_invalid(f"{name} is not a whole number.") from error
    if not least <= number <= most:
        raise parameter_invalid(f"{name} is out of range.")
    return number


class _Addressed(msgspec.Struct):
    """A whole contact may be sent; only its e-mail counts."""

    email: str


class _Reference(msgspec.Struct):
    id: int | None = None
    email: str | None = None


class _DataField(msgspec.Struct):
    key: str
    value: Any = None


class _Unsubscribed(msgspec.Struct, rename="camel"):
    email: str
    data_fields: list[_DataField] | None = None


class _Resubscription(msgspec.Struct, rename="camel"):
    unsubscribed_contact: _Unsubscribed


def get_account_information(account: Account, request: HttpRequest) -> HttpReply:
    """Every value is a string, whatever its type says; ApiEndpoint ends in a slash."""
    properties = [
        ("Name", "String", "Sandbox"),
        ("MainEmail", "String", "owner@example.com"),
        ("APILocale", "String", "en-GB"),
        *_usage(account),
        ("ApiEndpoint", "String", account.switches.api_endpoint or request.base_url + "/"),
        ("TimeZoneIana", "String", "Europe/London"),
    ]
    rows = [{"name": name, "type": kind, "value": value} for name, kind, value in properties]
    return json_reply({"id": account.account_id, "properties": rows})


def _usage(account: Account) -> list[tuple[str, str, str]]:
    """Calls of the last hour; not shown where none are counted."""
    if account.switches.rate_limits == "none":
        return []
    used = account.limits.last_hour(account.clock.now())
    left = max(account.switches.limit_flat - used, 0)
    return [("ApiCallsInLastHour", "Int", str(used)), ("ApiCallsRemaining", "Int", str(left))]


def get_server_time(account: Account, _: HttpRequest) -> HttpReply:
    """Plain text: a space between date and time, six fraction digits, `+00:00`."""
    return text_reply(account.clock.now().strftime("%Y-%m-%d %H:%M:%S.%f+00:00"))


def get_contact(account: Account, request: HttpRequest) -> HttpReply:
    """By e-mail with any status; by id, suppressed contacts are not retrieved."""
    identifier = request.parameters["contactIdentifier"]
    contact = path_contact(account, identifier)
    if contact.suppressed and "@" not in identifier:
        raise contact_not_found(404)
    return json_reply(render.v2_contact(account.as_read(contact)))


def delete_contact(account: Account, request: HttpRequest) -> HttpReply:
    """By id only, to the recycle bin. 204, without a body."""
    contact = account.contacts.find_id(path_id(request, "contactIdentifier"))
    if contact is None or contact.binned:
        raise contact_not_found(404)
    if consent.keeps_from_deletion(account, contact):
        raise contact_suppressed()
    account.contacts.bin(contact)
    return HttpReply(204)


def get_campaigns(_account: Account, _: HttpRequest) -> HttpReply:
    """There are none: the sandbox sends no mail."""
    return json_reply([])


def get_address_books(_account: Account, _: HttpRequest) -> HttpReply:
    """The two lists that every account has."""
    names = ("All contacts", "Test")
    return json_reply([{"id": number, "name": name} for number, name in enumerate(names, 1)])


def unsubscribe_contact(account: Account, request: HttpRequest) -> HttpReply:
    """The answer is a row of the suppression feed."""
    email = _checked(typed_body(request, _Addressed).email)
    contact = account.contacts.find(EMAIL, email)
    if contact is None or contact.binned:
        if account.switches.unsubscribe_unknown == "not_found":
            raise contact_not_found(400)
        contact = _created(account, email, contact)
    elif _has_other_reason(contact) and account.switches.unsubscribe_other_reason == "refused":
        raise contact_suppressed()
    consent.suppress(account, contact, wire.UNSUBSCRIBED)
    return json_reply(render.suppression(contact))


def bulk_suppress_contacts(account: Account, request: HttpRequest) -> HttpReply:
    """Each entry echoes the key it was sent with; the other one is filled with 0 or null, or left out."""
    entries = typed_body(request, list[_Reference])
    if not entries:
        raise V2Refusal(400, "ERROR_CONTACTS_ARE_NOT_SPECIFIED", "No contacts were given.")
    if any(entry.id is None and entry.email is None for entry in entries):
        raise malformed("Each contact is named by id or email.")
    outcome: dict[str, list[dict[str, Any]]] = {"suppressed": [], "notFound": []}
    for entry in entries:
        contact = _referenced(account, entry)
        if contact is not None and not _keeps_reason(account, contact):
            consent.suppress(account, contact, wire.SUPPRESSED)
        row: dict[str, Any] = {"id": 0 if entry.email is not None else entry.id, "email": entry.email}
        without_email = account.switches.suppress_echo_of_unknown == "without_email"
        if contact is None and entry.email is None and without_email:
            del row["email"]
        outcome["notFound" if contact is None else "suppressed"].append(row)
    return json_reply(outcome)


def resubscribe_contact(account: Account, request: HttpRequest) -> HttpReply:
    """Asks the person by e-mail where they left of their own will."""
    return _resubscribed(account, request, challenge=True)


def resubscribe_contact_with_no_challenge(account: Account, request: HttpRequest) -> HttpReply:
    """Brings the person back at once, where that is possible at all."""
    return _resubscribed(account, request, challenge=False)


def _resubscribed(account: Account, request: HttpRequest, challenge: bool) -> HttpReply:
    try:
        wanted = read_body(request.body, _Resubscription, any_case=True).unsubscribed_contact
    except BodyError as error:
        code, text = "ERROR_CONTACT_RESUBSCRIPTION_INVALID", "The resubscription is not valid."
        raise (V2Refusal(400, code, text) if error.is_json else malformed("The body is not JSON.")) from error
    email = _checked(wanted.email)
    contact = account.contacts.find(EMAIL, email)
    fresh = contact is None or contact.binned
    if contact is None or contact.binned:
        contact = _created(account, email, contact)
    before = contact.status
    if fresh and before == wire.SUBSCRIBED and account.switches.enforce_double_opt_in:
        consent.await_confirmation(account, contact)
        status = consent.CHALLENGED
    else:
        status = consent.resubscribe(account, contact, challenge)
    contact.data_fields |= {row.key.upper(): row.value for row in wanted.data_fields or ()}
    form = account.switches.resubscribe_answer
    if form == "message_only":
        return json_reply({"message": "The contact was handled."})
    if form == "not_available":
        status = wire.NOT_AVAILABLE
    # The echoed contact shows the status from before the call, even next to ContactAdded.
    return json_reply({"contact": render.v2_contact(contact, before), "status": status})


def _created(account: Account, email: str, binned: StoredContact | None) -> StoredContact:
    if binned is None:
        return account.contacts.create(email)
    account.contacts.revive(binned)
    return binned


def _referenced(account: Account, entry: _Reference) -> StoredContact | None:
    if entry.email is not None:
        found = account.contacts.find(EMAIL, entry.email)
    else:
        found = account.contacts.find_id(entry.id or 0)
    return None if found is None or found.binned else found


def _has_other_reason(contact: StoredContact) -> bool:
    return contact.suppressed and contact.status != wire.UNSUBSCRIBED


def _keeps_reason(account: Account, contact: StoredContact) -> bool:
    return contact.suppressed and account.switches.suppress_unsubscribed == "kept"


def _checked(email: str) -> str:
    if not wire.is_email(email):
        raise parameter_invalid("Email is not a valid email address.")
    return email
