"""Answers in the shapes of v2 and v3."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Any

from bridge.sandbox.dotdigital import wire
from bridge.sandbox.dotdigital.account import Account
from bridge.sandbox.dotdigital.records import PreferenceNode, StoredContact, StoredOptIn
from bridge.sandbox.dotdigital.switches import DotdigitalSwitches

SETS = ("channelProperties", "lists", "preferences", "consentRecords")
_ADDRESS_BOOK_APART = 100


def v2_contact(contact: StoredContact, status: str | None = None) -> dict[str, Any]:
    """The contact object of v2 answers; it carries no data fields there."""
    return {
        "id": contact.id,
        "email": contact.email,
        "optInType": contact.opt_in_type,
        "emailType": contact.email_type,
        "dataFields": None,
        "status": wire.status_in_v2(status or contact.status),
    }


def suppression(contact: StoredContact, by_sms: str | None = None) -> dict[str, Any]:
    """A row of the suppression feeds, and the answer to an unsubscribe. `by_sms` is the reason shown where
    only SMS is suppressed."""
    only_sms = by_sms is not None and contact.sms_removed is not None and contact.status == wire.SUBSCRIBED
    removed = (contact.sms_removed if only_sms else contact.date_removed) or contact.created
    return {
        "suppressedContact": v2_contact(contact),
        "dateRemoved": wire.render(removed),
        "reason": by_sms if only_sms else wire.status_in_v2(contact.status),
    }


def opt_in_rows(
    contact: StoredContact, rows: Collection[StoredOptIn], per_address_book: bool
) -> list[dict[str, Any]]:
    """Rows with the time of each opt-in. The missing letter in `dateModifed` is the wire's own."""
    shown: list[dict[str, Any]] = []
    for row in rows:
        newest = _opt_in(row, row.address_book_id, row.opted_in, wire.render(row.modified))
        if not per_address_book:
            shown.append(newest)
            continue
        before = wire.render(row.modified.replace(year=row.modified.year - 1, day=1))
        older = _opt_in(row, row.address_book_id + _ADDRESS_BOOK_APART, not row.opted_in, before)
        shown += [newest, older] if contact.id % 2 else [older, newest]
    return shown


def _opt_in(row: StoredOptIn, book: int, opted_in: bool, modified: str) -> dict[str, Any]:
    return {
        "marketingPreferenceId": row.preference_id,
        "addressBookId": book,
        "isOptedIn": opted_in,
        "dateModifed": modified,
    }


def definition(account: Account, node: PreferenceNode) -> dict[str, Any]:
    """A preference or category without its children. `order` is a string on the wire."""
    return {
        "id": node.id,
        "publicName": node.public_name,
        "privateName": node.private_name,
        "isPreference": node.is_leaf,
        "order": str(node.order),
        "isPublic": node.is_public,
        "categoryId": node.category_id,
        "preferenceCount": 0 if node.is_leaf else len(account.preferences.children(node.id)),
        "created": wire.render(node.created),
        "lastModified": wire.render(node.last_modified),
    }


def tree(account: Account, contact: StoredContact | None = None) -> list[dict[str, Any]]:
    """The whole tree; with `contact`, each leaf says whether that contact is opted in."""
    nodes: list[dict[str, Any]] = []
    for node in account.preferences.children(0):
        shown = definition(account, node)
        if node.is_leaf:
            _mark(shown, contact, account.switches)
        else:
            children = [definition(account, child) for child in account.preferences.children(node.id)]
            for child in children:
                _mark(child, contact, account.switches)
            shown["preferences"] = children
        nodes.append(shown)
    return nodes


def _mark(leaf: dict[str, Any], contact: StoredContact | None, switches: DotdigitalSwitches) -> None:
    if contact is None:
        return
    row = contact.opt_ins.get(leaf["id"])
    if row is not None:
        leaf["isOptedIn"] = row.opted_in
    elif switches.never_asked_leaf == "false":
        leaf["isOptedIn"] = False


def v3_contact(
    account: Account,
    contact: StoredContact,
    include: Collection[str] = SETS,
    data_fields: Collection[str] | None = None,
) -> dict[str, Any]:
    """A contact as v3 reads it. `data_fields` None shows all of them; keys without content are left out."""
    shown: dict[str, Any] = {
        "contactId": contact.id,
        "status": wire.contact_status_in_v3(contact.status, contact.binned),
        "created": wire.render(contact.created),
        "updated": wire.render(updated(account.switches, contact)),
        "identifiers": contact.identifiers,
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
        _show_preferences(account, contact, shown)
    if "consentRecords" in include:
        shown["consentRecords"] = contact.consent_records
    return _cased(shown, account.switches.v3_casing)


def _cased(shown: dict[str, Any], casing: str) -> dict[str, Any]:
    """Reads and writes differ in the case of some values, and no two documents agree how."""
    if casing == "published":
        return shown
    change = str.upper if casing == "capital" else str.lower

    def cased(part: dict[str, Any]) -> dict[str, Any]:
        names = ("status", "emailType", "optInType")
        return {key: change(one[:1]) + one[1:] if key in names else one for key, one in part.items()}

    shown = cased(shown)
    if "channelProperties" in shown:
        channels = shown["channelProperties"]
        shown["channelProperties"] = {name: cased(channel) for name, channel in channels.items()}
    return shown


def updated(switches: DotdigitalSwitches, contact: StoredContact) -> datetime:
    """v3's `updated`, by what the switches let it follow."""
    latest = contact.data_changed
    if switches.modified_moves_on_preferences:
        latest = max(latest, contact.preferences_changed)
    if switches.modified_moves_on_suppression:
        latest = max(latest, contact.suppression_changed)
    return latest


def _channels(contact: StoredContact) -> dict[str, Any]:
    channels: dict[str, Any] = {}
    if contact.email is not None:
        status = "binned" if contact.binned else wire.status_in_v3(contact.status)
        channels["email"] = {
            "emailType": contact.email_type,
            "optInType": contact.opt_in_type,
            "status": status,
        }
    if contact.mobile is not None:
        status = "subscribed" if contact.sms_removed is None else "suppressed"
        channels["sms"] = {"countryCode": "GB", "status": "binned" if contact.binned else status}
    return channels


def _show_preferences(account: Account, contact: StoredContact, shown: dict[str, Any]) -> None:
    rows = []
    for row in contact.opt_ins.values():
        node = account.preferences.get(row.preference_id)
        if row.opted_in and node is not None:
            names = {"publicName": node.public_name, "privateName": node.private_name}
            rows.append({"id": row.preference_id, "isOptedIn": True, **names})
    if rows:
        shown["preferences"] = rows
