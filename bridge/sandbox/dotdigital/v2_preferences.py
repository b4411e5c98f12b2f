"""Preference definitions and contacts' choices in v2."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from bridge.sandbox.dotdigital import consent, render
from bridge.sandbox.dotdigital.account import Account
from bridge.sandbox.dotdigital.preference_tree import DefinedPreference
from bridge.sandbox.dotdigital.records import PreferenceNode, StoredContact
from bridge.sandbox.dotdigital.refusals import (
    contact_not_found,
    contact_suppressed,
    parameter_invalid,
    preference_invalid,
    preference_not_found,
)
from bridge.sandbox.dotdigital.v2_contacts import path_contact, path_date, path_id, typed_body
from bridge.sandbox.http import HttpReply, HttpRequest, json_reply, text_reply


class _Choice(msgspec.Struct, rename="camel"):
    id: int
    is_preference: bool | None = None
    is_opted_in: Any = None


class _TreeChoice(_Choice):
    """A preference, or a category with its preferences."""

    preferences: list[_Choice] | None = None


def get_preferences(account: Account, _: HttpRequest) -> HttpReply:
    """The whole tree, unpaged."""
    return json_reply(render.tree(account))


def create_preference(account: Account, request: HttpRequest) -> HttpReply:
    """Defines a preference or a category."""
    node = account.preferences.define(typed_body(request, DefinedPreference))
    return json_reply(_defined(account, node, short=account.switches.definition_answers == "short"))


def update_preference(account: Account, request: HttpRequest) -> HttpReply:
    """Names must be sent again. A leaf cannot become a category, which an absent `isPreference` says."""
    body = typed_body(request, DefinedPreference)
    preference_id = path_id(request, "id")
    if body.id != preference_id:
        raise parameter_invalid("The id of the body is not the id of the path.")
    node = account.preferences.update(body, preference_id)
    return json_reply(_defined(account, node, short=account.switches.definition_answers != "full"))


def delete_preference(account: Account, request: HttpRequest) -> HttpReply:
    """Deleting a category deletes its preferences too. The answer is plain text."""
    account.delete_preference(path_id(request, "id"))
    return text_reply("Deleted: the preference, or the category with all its preferences")


def get_modified_preferences_since_date(account: Account, request: HttpRequest) -> HttpReply:
    """Changed definitions as a tree; deletions cannot be seen in it."""
    since = path_date(request)
    changed = {node.id for node in account.preferences.all() if node.last_modified >= since}
    shown = []
    for node in render.tree(account):
        children = node.get("preferences", [])
        touched = [child for child in children if child["id"] in changed]
        if node["id"] not in changed and not touched:
            continue
        if "preferences" in node and account.switches.modified_children == "changed":
            node["preferences"] = touched
        shown.append(_flagged(node, account.switches.modified_flag))
    return json_reply(shown)


def get_preferences_for_contact(account: Account, request: HttpRequest) -> HttpReply:
    """The whole tree with the contact's choices; its times are the definitions', not the opt-ins'."""
    contact = path_contact(account, request.parameters["contactIdentifier"])
    return json_reply(render.tree(account, account.as_read(contact)))


def set_preferences_for_contact(account: Account, request: HttpRequest) -> HttpReply:
    """All entries are checked before any is applied."""
    contact = path_contact(account, request.parameters["contactIdentifier"])
    if contact.suppressed and account.switches.put_preferences_suppressed == "refused":
        raise contact_suppressed()
    choices = _choices(account, typed_body(request, list[_TreeChoice]))
    if account.switches.put_preferences == "replace":
        _opt_out_of_the_rest(choices, contact)
    if consent.ignores_preferences(account, contact):
        choices.clear()
    for preference_id, opted_in in choices.items():
        consent.write_opt_in(account, contact, preference_id, opted_in)
    return json_reply({"value": ""})


def get_subscriptions_for_contact(account: Account, request: HttpRequest) -> HttpReply:
    """One contact's opt-ins with their times; a preference never touched has no row."""
    email = request.parameters["email"]
    contact = account.as_read(path_contact(account, email))
    hidden = contact.suppressed and account.switches.subscriptions_of_suppressed == "not_found"
    if hidden or "@" not in email:
        raise contact_not_found(404)
    rows = render.opt_in_rows(contact, contact.opt_ins.values(), account.switches.rows_per_address_book)
    return json_reply({"contact": render.v2_contact(contact), "marketingPreferenceOptIns": rows})


def _choices(account: Account, entries: Sequence[_TreeChoice]) -> dict[int, bool]:
    choices: dict[int, bool] = {}
    for entry in entries:
        node = _entry_node(account, entry)
        if node.is_leaf:
            if node.category_id and account.switches.top_level_leaf == "refused":
                raise preference_invalid("A preference of a category is sent inside its category.")
            choices[node.id] = _opted_in(entry)
            continue
        for child in entry.preferences or []:
            leaf = _entry_node(account, child)
            if not leaf.is_leaf or leaf.category_id != node.id:
                raise preference_invalid("The preference does not belong to the category.")
            choices[leaf.id] = _opted_in(child)
    return choices


def _entry_node(account: Account, entry: _Choice) -> PreferenceNode:
    node = account.preferences.get(entry.id)
    if node is None:
        raise preference_not_found(400)
    if entry.is_preference not in (None, node.is_leaf):
        raise preference_invalid("isPreference does not fit the id.")
    return node


def _opted_in(entry: _Choice) -> bool:
    if not isinstance(entry.is_opted_in, bool):
        raise parameter_invalid("isOptedIn is needed for a preference.")
    return entry.is_opted_in


def _opt_out_of_the_rest(choices: dict[int, bool], contact: StoredContact) -> None:
    for row in contact.opt_ins.values():
        if row.opted_in:
            choices.setdefault(row.preference_id, False)


def _flagged(node: dict[str, Any], spelling: str) -> dict[str, Any]:
    """The published page spells the flag of top-level nodes `isPreference2` here, and only here."""
    if spelling == "isPreference":
        return node
    shown: dict[str, Any] = {}
    for key, value in node.items():
        if key == "isPreference":
            shown["isPreference2"] = value
            if spelling == "isPreference2":
                continue
        shown[key] = value
    return shown


def _defined(account: Account, node: PreferenceNode, short: bool) -> dict[str, Any]:
    shown = render.definition(account, node)
    if short:
        del shown["preferenceCount"], shown["created"]
    return shown
