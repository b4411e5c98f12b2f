"""Single contacts of v3: list, read, create, update, replace, delete; and what identifies them.

A consent bridge has no use for creating and replacing: the one subscribes, the other loses what it does not
name.
"""

from __future__ import annotations

import base64
import bisect
import json
from collections.abc import Iterator
from datetime import datetime
from itertools import islice
from urllib.parse import quote

from bridge.sandbox.dotdigital import consent, render, v3_write, wire
from bridge.sandbox.dotdigital.account import Account
from bridge.sandbox.dotdigital.records import CONTACT_ID, EMAIL, GeneratedContacts, StoredContact
from bridge.sandbox.dotdigital.refusals import V3Refusal
from bridge.sandbox.dotdigital.v3_write import (
    ContactWrite,
    ReplacedContact,
    bad_request,
    invalid_id,
    path_identifier,
)
from bridge.sandbox.http import HttpReply, HttpRequest, json_reply

_LIMIT = 5000
_MERGE_OPTIONS = {
    "overwrite": "overwrite",
    "overwrite-if-not-empty": "overwriteIfNotEmpty",
    "overwrite-if-empty": "overwriteIfEmpty",
}
_START = (-1, -1)


def get_custom_identifiers(account: Account, _: HttpRequest) -> HttpReply:
    """All of the account, unpaged."""
    made = wire.render(account.now())
    names = sorted(account.custom_identifiers)
    return json_reply([{"name": name, "created": made, "updated": made} for name in names])


def get_contacts(account: Account, request: HttpRequest) -> HttpReply:
    """One page, and the marker of the next while there is more."""
    limit = _limit(request)
    include = _include(request)
    fields = _fields(request)
    after = _position(request.query_values.get("marker"))
    if account.generated is not None:
        return _generated(account.generated, request, after[1], limit)
    found = list(islice(_matching(account, request, after), limit + 1))
    page = found[:limit]
    links = {"self": _link(request, after), "first": _link(request, _START)}
    if len(found) > limit:
        links["next"] = _link(request, _key(account, page[-1]))
    items = [render.v3_contact(account, account.as_read(one), include, fields) for one in page]
    return json_reply({"_items": items, "_links": links})


def get_contact(account: Account, request: HttpRequest) -> HttpReply:
    """Everything about one contact, binned ones included."""
    return json_reply(render.v3_contact(account, account.as_read(_named(account, request))))


def import_contact(account: Account, request: HttpRequest) -> HttpReply:
    """Update, or create (201). Returns the whole contact."""
    identifier, value = path_identifier(request)
    merge = _MERGE_OPTIONS.get(request.query_values.get("merge-option", "overwrite"))
    if merge is None:
        raise bad_request(("merge-option", "is not one of the allowed values"))
    write = v3_write.single_write(account, request, ContactWrite)
    contact = v3_write.find(account, identifier, value)
    _refuse_defects(account, contact, identifier, value)
    identifiers = dict(write.identifiers)
    if contact is None:
        identifiers.setdefault(identifier, value)
    v3_write.refuse_conflict(account, contact, identifiers)
    v3_write.refuse_subscribing(account, contact, write)
    written, created = v3_write.upsert(account, contact, write, merge, identifiers)
    as_created = {"always_200": False, "always_201": True}.get(account.switches.v3_patch_status, created)
    return json_reply(render.v3_contact(account, written), 201 if as_created else 200)


def create_contact(account: Account, request: HttpRequest) -> HttpReply:
    """201; 409 where an identifier is in use. The contact is subscribed unless the body says otherwise."""
    write = v3_write.single_write(account, request, ContactWrite)
    _refuse_given_ids(write)
    holders = (v3_write.find(account, name, str(value)) for name, value in write.identifiers.items())
    holder = next((one for one in holders if one is not None), None)
    v3_write.refuse_conflict(
        account, holder if holder is not None and holder.binned else None, write.identifiers
    )
    written, _ = v3_write.upsert(account, holder, write)
    return json_reply(render.v3_contact(account, written), 201)


def replace_contact(account: Account, request: HttpRequest) -> HttpReply:
    """200; 404 where nobody is there. What the body does not name is lost; consent records are not taken."""
    path_identifier(request)
    write = v3_write.single_write(account, request, ReplacedContact)
    _refuse_given_ids(write)
    contact = _named(account, request)
    v3_write.refuse_conflict(account, contact, write.identifiers)
    v3_write.refuse_subscribing(account, contact, write)
    contact.data_fields.clear()
    contact.lists.clear()
    lost = contact.opt_ins.keys() - {choice.id for choice in write.preferences}
    account.contacts.drop_opt_ins(contact, lost)
    account.contacts.keep_identifiers(contact, write.identifiers.keys())
    written, _ = v3_write.upsert(account, contact, write)
    return json_reply(render.v3_contact(account, written))


def delete_contact(account: Account, request: HttpRequest) -> HttpReply:
    """By any identifier, to the recycle bin; answers the contact's id."""
    identifier, value = path_identifier(request)
    contact = _named(account, request)
    if contact.binned:
        raise v3_write.not_found(identifier, value)
    if consent.keeps_from_deletion(account, contact):
        raise bad_request((value, "is suppressed and cannot be deleted"))
    account.contacts.bin(contact)
    return json_reply({"contactId": contact.id})


def _named(account: Account, request: HttpRequest) -> StoredContact:
    """The contact of a URL, binned or not. Raises V3Refusal."""
    identifier, value = path_identifier(request)
    contact = v3_write.find(account, identifier, value)
    if contact is None:
        raise v3_write.not_found(identifier, value)
    return contact


def _refuse_given_ids(write: ReplacedContact) -> None:
    """The service gives out contact ids by itself, so that another identifier is needed."""
    if not write.identifiers or CONTACT_ID in write.identifiers:
        raise bad_request(("identifiers", "are missing, or name a contactId"))


def _refuse_defects(account: Account, contact: StoredContact | None, identifier: str, value: str) -> None:
    """Raises V3Refusal for a contact id that nobody has, and where a defect seen at the service is on."""
    if contact is None and identifier == CONTACT_ID:
        raise invalid_id(identifier, value)
    if contact is None or account.switches.caps_suppressed_patch == "accepted":
        return
    stored = contact.email or ""
    in_capitals = stored == stored.upper() and stored != value
    if contact.suppressed and in_capitals and identifier == EMAIL:
        raise bad_request((identifier, "is invalid"))


def _generated(contacts: GeneratedContacts, request: HttpRequest, after: int, limit: int) -> HttpReply:
    rows, last = contacts.page(max(after, 0), limit)
    links = {"self": _link(request, (0, after)), "first": _link(request, _START)}
    if last is not None:
        links["next"] = _link(request, (0, last))
    body = f'{{"_items":{rows},"_links":{json.dumps(links)}}}'.encode()
    return HttpReply(200, body, "application/json; charset=utf-8")


def _matching(account: Account, request: HttpRequest, after: tuple[int, int]) -> Iterator[StoredContact]:
    modified, created = _since(request, "~modified"), _since(request, "~created")
    if modified is not None and created is not None:
        raise _bad_filter("~modified and ~created cannot be combined")
    if "~listid" in request.query_values and "~segmentid" in request.query_values:
        raise _bad_filter("~listId and ~segmentId cannot be combined")
    list_id = _list_id(request)
    for contact in _ordered(account, after):
        if contact.suppressed and not account.switches.lists_suppressed:
            continue
        if modified is not None and render.updated(account.switches, contact) < modified:
            continue
        if created is not None and contact.created < created:
            continue
        if list_id is None or list_id in contact.lists:
            yield contact


def _ordered(account: Account, after: tuple[int, int]) -> list[StoredContact]:
    """Everybody behind the marker's position."""

    def key(contact: StoredContact) -> tuple[int, int]:
        return _key(account, contact)

    everybody = account.cached(
        ("list", account.switches.list_order), lambda: sorted(account.contacts.living(), key=key)
    )
    return everybody[bisect.bisect_right(everybody, after, key=key) :]


def _key(account: Account, contact: StoredContact) -> tuple[int, int]:
    return (contact.shuffle if account.switches.list_order == "shuffled" else 0, contact.id)


def _link(request: HttpRequest, after: tuple[int, int]) -> dict[str, str]:
    marker = base64.urlsafe_b64encode(json.dumps(after).encode()).decode()
    kept = {**request.query_values, "marker": marker}
    query = "&".join(f"{name}={quote(value, safe=':~')}" for name, value in kept.items())
    return {"marker": marker, "link": f"{request.base_url}/contacts/v3?{query}"}


def _position(marker: str | None) -> tuple[int, int]:
    if marker is None:
        return _START
    try:
        first, second = json.loads(base64.urlsafe_b64decode(marker.encode()))
        return int(first), int(second)
    except (ValueError, TypeError) as error:
        raise bad_request(("marker", "is not a marker of this list")) from error


def _limit(request: HttpRequest) -> int:
    text = request.query_values.get("limit", str(_LIMIT))
    if not (text.isascii() and text.isdigit()) or not 1 <= int(text) <= _LIMIT:
        raise bad_request(("limit", f"must be 1 to {_LIMIT}"))
    return int(text)


def _include(request: HttpRequest) -> tuple[str, ...]:
    text = request.query_values.get("include", "")
    sets = tuple(text.split("|")) if text else ()
    for one in sets:
        if one not in render.SETS:
            raise bad_request(("include", f"does not know '{one}'"))
    return sets


def _fields(request: HttpRequest) -> set[str] | None:
    text = request.query_values.get("data-fields", "")
    return None if text == "[[ALL]]" else {name.upper() for name in text.split("|") if name}


def _since(request: HttpRequest, name: str) -> datetime | None:
    text = request.query_values.get(name)
    if text is None:
        return None
    try:
        return wire.parse_filter(text)
    except ValueError as error:
        raise _bad_filter(f"The filter value '{text}' is invalid") from error


def _list_id(request: HttpRequest) -> int | None:
    text = request.query_values.get("~listid")
    if text is not None and not (text.isascii() and text.isdigit()):
        raise _bad_filter(f"The filter value '{text}' is invalid")
    return None if text is None else int(text)


def _bad_filter(description: str) -> V3Refusal:
    return V3Refusal(400, "contacts:invalidFilter", description)
