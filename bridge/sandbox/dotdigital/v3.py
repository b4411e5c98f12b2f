"""The Contacts service of v3: list, read, upsert, import."""

from __future__ import annotations

import base64
import bisect
import json
from collections.abc import Iterator
from datetime import datetime
from typing import Any
from urllib.parse import quote

from bridge.sandbox.dotdigital import dates, exchange, imports, render, v3_schema, v3_write
from bridge.sandbox.dotdigital.exchange import Answer, Call, answer
from bridge.sandbox.dotdigital.multitude import Multitude
from bridge.sandbox.dotdigital.records import Contact
from bridge.sandbox.dotdigital.refusal import V3Refusal
from bridge.sandbox.dotdigital.state import State

_LIMIT = 5000
_PATCH_MERGES = {
    "overwrite": "overwrite",
    "overwrite-if-not-empty": "overwriteIfNotEmpty",
    "overwrite-if-empty": "overwriteIfEmpty",
}
_START = (-1, -1)


def list_contacts(state: State, call: Call) -> Answer:
    """One page, and the marker of the next while there is more."""
    limit = _limit(call)
    include = _include(call)
    fields = _fields(call)
    after = _position(call.query.get("marker"))
    if state.multitude is not None:
        return _of_multitude(state.multitude, call, after[1], limit)
    page: list[Contact] = []
    more = False
    for contact in _matching(state, call, after):
        if len(page) == limit:
            more = True
            break
        page.append(contact)
    links = {"self": _link(call, after), "first": _link(call, _START)}
    if more:
        links["next"] = _link(call, _key(state, page[-1]))
    items = [render.v3_contact(state, contact, include, fields) for contact in page]
    return answer({"_items": items, "_links": links})


def _of_multitude(multitude: Multitude, call: Call, after: int, limit: int) -> Answer:
    rows, last = multitude.page(max(after, 0), limit)
    links = {"self": _link(call, (0, after)), "first": _link(call, _START)}
    if last is not None:
        links["next"] = _link(call, (0, last))
    return Answer(f'{{"_items":{rows},"_links":{json.dumps(links)}}}'.encode())


def get_contact(state: State, call: Call) -> Answer:
    """Everything about one contact, binned ones included."""
    identifier, value = v3_write.named(call)
    contact = v3_write.find(state, identifier, value)
    if contact is None:
        raise v3_write.not_found(identifier, value)
    return answer(render.v3_contact(state, contact))


def patch_contact(state: State, call: Call) -> Answer:
    """Update, or create (201). Returns the whole contact."""
    identifier, value = v3_write.named(call)
    merge = _PATCH_MERGES.get(call.query.get("merge-option", "overwrite"))
    if merge is None:
        raise v3_write.bad_request("merge-option", "is not one of the allowed values")
    draft = v3_write.drafted(state, call)
    contact = v3_write.find(state, identifier, value)
    _refuse_defects(state, contact, identifier, value)
    wanted = dict(draft.identifiers)
    if contact is None:
        wanted.setdefault(identifier, value)
    if v3_write.taken(state, contact, wanted) or v3_write.stays_binned(state, contact):
        raise v3_write.id_in_use()
    written, created = v3_write.upsert(state, contact, wanted, draft, merge)
    told = {"always_200": False, "always_201": True}.get(state.switches.v3_patch_status, created)
    return answer(render.v3_contact(state, written), 201 if told else 200)


def start_import(state: State, call: Call) -> Answer:
    """202: accepted, not done. Only the shape of the envelope is judged here, unless by switch."""
    if len(call.body) > state.switches.import_bytes:
        return exchange.text("Request Entity Too Large", 413)
    try:
        body = json.loads(call.body)
    except ValueError as error:
        raise v3_write.bad_json() from error
    contacts = body.get("contacts") if isinstance(body, dict) else None
    if not isinstance(contacts, list) or not contacts:
        raise v3_write.bad_json()
    merge = body.get("mergeOption", "overwrite")
    if merge not in _PATCH_MERGES.values():
        raise v3_write.bad_json()
    if state.switches.import_type_errors == "at_once":
        _refuse_types(state, contacts)
    return answer({"importId": imports.submit(state, contacts, merge).id}, 202)


def import_status(state: State, call: Call) -> Answer:
    """The state of a job, and once it is finished what became of each contact."""
    job = state.imports.get(call.path["importId"])
    if job is None:
        raise V3Refusal(404, "contacts:importNotFound", "The import request could not be found")
    return answer(imports.poll(state, job))


def _refuse_types(state: State, contacts: list[Any]) -> None:
    problems: list[tuple[str, str]] = []
    for entry in contacts:
        if isinstance(entry, dict):
            v3_schema.parse(entry, problems, state.switches.v3_schema, imports.PARTS)
        else:
            problems.append(("contacts", "The contact is not an object"))
    if problems:
        raise V3Refusal(400, "contacts:badRequest", "The request is invalid", problems[:10])


def _matching(state: State, call: Call, after: tuple[int, int]) -> Iterator[Contact]:
    modified, created = _filter(call, "~modified"), _filter(call, "~created")
    if modified is not None and created is not None:
        raise V3Refusal(400, "contacts:invalidFilter", "~modified and ~created cannot be combined")
    if "~listid" in call.query and "~segmentid" in call.query:
        raise V3Refusal(400, "contacts:invalidFilter", "~listId and ~segmentId cannot be combined")
    list_id = _list_id(call)
    for contact in _ordered(state, after):
        if contact.suppressed and not state.switches.lists_suppressed:
            continue
        if modified is not None and render.updated(state.switches, contact) < modified:
            continue
        if created is not None and contact.created < created:
            continue
        if list_id is None or list_id in contact.lists:
            yield contact


def _ordered(state: State, after: tuple[int, int]) -> list[Contact]:
    """Everybody behind the marker's position."""

    def key(contact: Contact) -> tuple[int, int]:
        return _key(state, contact)

    everybody = state.cached(
        ("list", state.switches.list_order), lambda: sorted(state.contacts.living(), key=key)
    )
    return everybody[bisect.bisect_right(everybody, after, key=key) :]


def _key(state: State, contact: Contact) -> tuple[int, int]:
    return (contact.shuffle if state.switches.list_order == "shuffled" else 0, contact.id)


def _link(call: Call, after: tuple[int, int]) -> dict[str, str]:
    marker = base64.urlsafe_b64encode(json.dumps(after).encode()).decode()
    kept = {**call.query, "marker": marker}
    query = "&".join(f"{name}={quote(value, safe=':~')}" for name, value in kept.items())
    return {"marker": marker, "link": f"{call.base_url}/contacts/v3?{query}"}


def _position(marker: str | None) -> tuple[int, int]:
    if marker is None:
        return _START
    try:
        first, second = json.loads(base64.urlsafe_b64decode(marker.encode()))
        return int(first), int(second)
    except (ValueError, TypeError) as error:
        raise v3_write.bad_request("marker", "is not a marker of this list") from error


def _limit(call: Call) -> int:
    text = call.query.get("limit", str(_LIMIT))
    if not (text.isascii() and text.isdigit()) or not 1 <= int(text) <= _LIMIT:
        raise v3_write.bad_request("limit", f"must be 1 to {_LIMIT}")
    return int(text)


def _include(call: Call) -> tuple[str, ...]:
    text = call.query.get("include", "")
    sets = tuple(text.split("|")) if text else ()
    for one in sets:
        if one not in render.SETS:
            raise v3_write.bad_request("include", f"does not know '{one}'")
    return sets


def _fields(call: Call) -> set[str] | None:
    text = call.query.get("data-fields", "")
    return None if text == "[[ALL]]" else {name.upper() for name in text.split("|") if name}


def _filter(call: Call, name: str) -> datetime | None:
    text = call.query.get(name)
    if text is None:
        return None
    try:
        return dates.parse_filter(text)
    except ValueError as error:
        raise V3Refusal(400, "contacts:invalidFilter", f"The filter value '{text}' is invalid") from error


def _list_id(call: Call) -> int | None:
    text = call.query.get("~listid")
    if text is None:
        return None
    if not (text.isascii() and text.isdigit()):
        raise V3Refusal(400, "contacts:invalidFilter", f"The filter value '{text}' is invalid")
    return int(text)


def _refuse_defects(state: State, contact: Contact | None, identifier: str, value: str) -> None:
    if contact is None:
        if identifier == v3_write.CONTACT_ID:
            raise v3_write.invalid_id(identifier, value)
        return
    stored = contact.email or ""
    shouting = stored == stored.upper() and stored != value
    if contact.suppressed and shouting and identifier == v3_write.EMAIL:
        if state.switches.caps_suppressed_patch == "accepted":
            return
        raise v3_write.bad_request(identifier, "is invalid")
