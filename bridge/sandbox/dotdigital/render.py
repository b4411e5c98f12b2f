"""Answers in the shapes of v2 and v3."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import TYPE_CHECKING, Any

from bridge.sandbox.dotdigital import dates, vocabulary
from bridge.sandbox.dotdigital.records import Contact, OptIn, Preference
from bridge.sandbox.dotdigital.switches import Switches

if TYPE_CHECKING:
    from bridge.sandbox.dotdigital.state import State

SETS = ("channelProperties", "lists", "preferences", "consentRecords")
_ADDRESS_BOOK_APART = 100


def v2_contact(contact: Contact, status: str | None = None) -> dict[str, Any]:
    """The contact object of v2 answers; it carries no data fields there."""
    return {
        "id": contact.id,
        "email": contact.email,
        "optInType": contact.opt_in_type,
        "emailType": contact.email_type,
        "dataFields": None,
        "status": vocabulary.status_in_v2(status or contact.status),
    }


def suppression(contact: Contact) -> dict[str, Any]:
    """A row of the suppression feeds, and the answer to an unsubscribe."""
    removed = contact.date_removed or contact.created
    return {
        "suppressedContact": v2_contact(contact),
        "dateRemoved": dates.render(removed),
        "reason": vocabulary.status_in_v2(contact.status),
    }


def opt_in_rows(contact: Contact, rows: Collection[OptIn], per_address_book: bool) -> list[dict[str, Any]]:
    """Rows with the time of each opt-in. The missing letter in `dateModifed` is the wire's own."""
    shown: list[dict[str, Any]] = []
    for row in rows:
        newest = _opt_in(row, row.address_book_id, row.opted_in, dates.render(row.modified))
        if not per_address_book:
            shown.append(newest)
            continue
        before = dates.render(row.modified.replace(year=row.modified.year - 1, day=1))
        older = _opt_in(row, row.address_book_id + _ADDRESS_BOOK_APART, not row.opted_in, before)
        shown += [newest, older] if contact.id % 2 else [older, newest]
    return shown


def _opt_in(row: OptIn, book: int, opted_in: bool, modified: str) -> dict[str, Any]:
    return {
        "marketingPreferenceId": row.preference_id,
        "addressBookId": book,
        "isOptedIn": opted_in,
        "dateModifed": modified,
    }


def definition(state: State, node: Preference) -> dict[str, Any]:
    """A preference or category without its children. `order` is a string on the wire."""
    return {
        "id": node.id,
        "publicName": node.public_name,
        "privateName": node.private_name,
        "isPreference": node.is_leaf,
        "order": str(node.order),
        "isPublic": node.is_public,
        "categoryId": node.category_id,
        "preferenceCount": 0 if node.is_leaf else len(state.catalogue.children(node.id)),
        "created": dates.render(node.created),
        "lastModified": dates.render(node.last_modified),
    }


def tree(state: State, contact: Contact | None = None) -> list[dict[str, Any]]:
    """The whole tree; with `contact`, each leaf says whether that contact is opted in."""
    nodes: list[dict[str, Any]] = []
    for node in state.catalogue.top():
        shown = definition(state, node)
        if node.is_leaf:
            _mark(shown, contact, state.switches)
        else:
            children = [definition(state, child) for child in state.catalogue.children(node.id)]
            for child in children:
                _mark(child, contact, state.switches)
            shown["preferences"] = children
        nodes.append(shown)
    return nodes


def _mark(leaf: dict[str, Any], contact: Contact | None, switches: Switches) -> None:
    if contact is None:
        return
    row = contact.opt_ins.get(leaf["id"])
    if row is not None:
        leaf["isOptedIn"] = row.opted_in
    elif switches.never_asked_leaf == "false":
        leaf["isOptedIn"] = False


def v3_contact(
    state: State,
    contact: Contact,
    include: Collection[str] = SETS,
    data_fields: Collection[str] | None = None,
) -> dict[str, Any]:
    """A contact as v3 reads it. `data_fields` None shows all of them; keys without content are left out."""
    shown: dict[str, Any] = {
        "contactId": contact.id,
        "status": vocabulary.contact_status_in_v3(contact.status, contact.binned),
        "created": dates.render(contact.created),
        "updated": dates.render(updated(state.switches, contact)),
        "identifiers": identifiers(contact),
    }
    fields = contact.data_fields
    if data_fields is None:
        shown["dataFields"] = fields
    elif data_fields:
        shown["dataFields"] = {key: value for key, value in fields.items() if key.upper() in data_fields}
    if "channelProperties" in include:
        shown["channelProperties"] = _channels(contact)
    if "lists" in include:
        shown["lists"] = [
            {"id": one, "name": f"List {one}", "status": "subscribed"} for one in sorted(contact.lists)
        ]
    if "preferences" in include:
        _show_preferences(state, contact, shown)
    if "consentRecords" in include:
        shown["consentRecords"] = contact.consent_records
    return _cased(shown, state.switches.v3_casing)


def _cased(shown: dict[str, Any], casing: str) -> dict[str, Any]:
    """Reads and writes spell words differently, and no two documents agree how."""
    if casing == "published":
        return shown
    change = str.upper if casing == "capital" else str.lower

    def spelled(part: dict[str, Any]) -> dict[str, Any]:
        words = ("status", "emailType", "optInType")
        return {key: change(one[:1]) + one[1:] if key in words else one for key, one in part.items()}

    shown = spelled(shown)
    if "channelProperties" in shown:
        channels = shown["channelProperties"]
        shown["channelProperties"] = {name: spelled(channel) for name, channel in channels.items()}
    return shown


def updated(switches: Switches, contact: Contact) -> datetime:
    """v3's `updated`, by what the switches let it follow."""
    latest = contact.data_changed
    if switches.modified_moves_on_preferences:
        latest = max(latest, contact.preferences_changed)
    if switches.modified_moves_on_suppression:
        latest = max(latest, contact.suppression_changed)
    return latest


def identifiers(contact: Contact) -> dict[str, str]:
    """The identifiers a contact has; a mobile-only contact has no `email`."""
    named = {"email": contact.email, "mobileNumber": contact.mobile, **contact.identifiers}
    return {key: value for key, value in named.items() if value is not None}


def _channels(contact: Contact) -> dict[str, Any]:
    channels: dict[str, Any] = {}
    if contact.email is not None:
        status = "binned" if contact.binned else vocabulary.status_in_v3(contact.status)
        channels["email"] = {
            "emailType": contact.email_type,
            "optInType": contact.opt_in_type,
            "status": status,
        }
    if contact.mobile is not None:
        channels["sms"] = {"countryCode": "GB", "status": "binned" if contact.binned else "subscribed"}
    return channels


def _show_preferences(state: State, contact: Contact, shown: dict[str, Any]) -> None:
    rows = []
    for row in contact.opt_ins.values():
        node = state.catalogue.get(row.preference_id)
        if row.opted_in and node is not None:
            names = {"publicName": node.public_name, "privateName": node.private_name}
            rows.append({"id": row.preference_id, "isOptedIn": True, **names})
    if rows:
        shown["preferences"] = rows
