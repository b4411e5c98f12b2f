"""Preference definitions and contacts' choices in v2."""

from __future__ import annotations

from typing import Any

from bridge.sandbox.dotdigital import consent, render
from bridge.sandbox.dotdigital.exchange import Answer, Call, answer, text
from bridge.sandbox.dotdigital.feeds import path_date
from bridge.sandbox.dotdigital.records import Contact, Preference
from bridge.sandbox.dotdigital.refusal import (
    contact_not_found,
    contact_suppressed,
    malformed,
    parameter_invalid,
    preference_invalid,
    preference_not_found,
)
from bridge.sandbox.dotdigital.state import State
from bridge.sandbox.dotdigital.v2_contacts import named_contact


def list_preferences(state: State, _: Call) -> Answer:
    """The whole tree, unpaged."""
    return answer(render.tree(state))


def create_preference(state: State, call: Call) -> Answer:
    """`isPreference` is false when absent, which makes a category."""
    body = _definition_body(call)
    is_leaf = _flag(body, "ispreference", False)
    node = state.catalogue.define(
        state.now(),
        _name(body, "publicname"),
        _name(body, "privatename"),
        is_leaf,
        category_id=_category(body) or 0,
        is_public=_flag(body, "ispublic", True),
        order=_order(body),
    )
    return answer(_defined(state, node, short=state.switches.definition_answers == "short"))


def update_preference(state: State, call: Call) -> Answer:
    """Names must be sent again. An absent `isPreference` says "category", which a leaf cannot become."""
    body = _definition_body(call)
    preference_id = call.id("id")
    if body.get("id") != preference_id:
        raise parameter_invalid("The id of the body is not the id of the path.")
    node = state.catalogue.update(
        state.now(),
        preference_id,
        _name(body, "publicname"),
        _name(body, "privatename"),
        _flag(body, "ispreference", False),
        category_id=_category(body),
        is_public=_flag(body, "ispublic", True),
        order=_order(body),
    )
    return answer(_defined(state, node, short=state.switches.definition_answers != "full"))


def delete_preference(state: State, call: Call) -> Answer:
    """Deleting a category deletes its preferences too. The answer is plain text."""
    state.delete_preference(call.id("id"))
    return text("Deleted: the preference, or the category with all its preferences")


def modified_since(state: State, call: Call) -> Answer:
    """Changed definitions as a tree; deletions cannot be seen in it."""
    since = path_date(call)
    changed = {node.id for node in _all_nodes(state) if node.last_modified >= since}
    shown = []
    for node in render.tree(state):
        children = node.get("preferences", [])
        touched = [child for child in children if child["id"] in changed]
        if node["id"] not in changed and not touched:
            continue
        if "preferences" in node and state.switches.modified_children == "changed":
            node["preferences"] = touched
        shown.append(_flagged(node, state.switches.modified_flag))
    return answer(shown)


def contact_preferences(state: State, call: Call) -> Answer:
    """The whole tree with the contact's choices; its times are the definitions', not the opt-ins'."""
    return answer(render.tree(state, named_contact(state, call.path["contactIdentifier"])))


def set_contact_preferences(state: State, call: Call) -> Answer:
    """All entries are checked before any is applied."""
    contact = named_contact(state, call.path["contactIdentifier"])
    if contact.suppressed and state.switches.put_preferences_suppressed == "refused":
        raise contact_suppressed()
    entries = call.document()
    if not isinstance(entries, list):
        raise malformed("The body is a list of preferences and categories.")
    choices = _choices(state, entries)
    if state.switches.put_preferences == "replace":
        _opt_out_of_the_rest(choices, contact)
    for preference_id, opted_in in choices.items():
        consent.write_opt_in(state, contact, preference_id, opted_in)
    return answer({"value": ""})


def subscriptions(state: State, call: Call) -> Answer:
    """One contact's opt-ins with their times; a preference never touched has no row."""
    contact = named_contact(state, call.path["email"])
    if "@" not in call.path["email"]:
        raise contact_not_found(404)
    if contact.suppressed and state.switches.subscriptions_of_suppressed == "not_found":
        raise contact_not_found(404)
    rows = render.opt_in_rows(contact, contact.opt_ins.values(), state.switches.rows_per_address_book)
    return answer({"contact": render.v2_contact(contact), "marketingPreferenceOptIns": rows})


def _choices(state: State, entries: list[Any]) -> dict[int, bool]:
    choices: dict[int, bool] = {}
    for entry in entries:
        node = _entry_node(state, entry)
        if node.is_leaf:
            if node.category_id and state.switches.top_level_leaf == "refused":
                raise preference_invalid("A preference of a category is sent inside its category.")
            choices[node.id] = _opted_in(entry)
            continue
        for child in entry.get("preferences") or []:
            leaf = _entry_node(state, child)
            if not leaf.is_leaf or leaf.category_id != node.id:
                raise preference_invalid("The preference does not belong to the category.")
            choices[leaf.id] = _opted_in(child)
    return choices


def _entry_node(state: State, entry: Any) -> Preference:
    if not isinstance(entry, dict) or type(entry.get("id")) is not int:
        raise malformed("Each entry names an id.")
    node = state.catalogue.get(entry["id"])
    if node is None:
        raise preference_not_found(400)
    if _flag(entry, "ispreference", node.is_leaf) != node.is_leaf:
        raise preference_invalid("isPreference does not fit the id.")
    return node


def _opted_in(entry: dict[str, Any]) -> bool:
    value = entry.get("isoptedin")
    if not isinstance(value, bool):
        raise parameter_invalid("isOptedIn is needed for a preference.")
    return value


def _opt_out_of_the_rest(choices: dict[int, bool], contact: Contact) -> None:
    for row in contact.opt_ins.values():
        if row.opted_in:
            choices.setdefault(row.preference_id, False)


def _all_nodes(state: State) -> list[Preference]:
    nodes = state.catalogue.top()
    return nodes + [
        child for node in nodes if not node.is_leaf for child in state.catalogue.children(node.id)
    ]


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


def _defined(state: State, node: Preference, short: bool) -> dict[str, Any]:
    shown = render.definition(state, node)
    if short:
        del shown["preferenceCount"], shown["created"]
    return shown


def _definition_body(call: Call) -> dict[str, Any]:
    body = call.document()
    if not isinstance(body, dict):
        raise malformed("The body is an object.")
    return body


def _name(body: dict[str, Any], key: str) -> str:
    value = body.get(key)
    if not isinstance(value, str) or not value:
        raise preference_invalid("A public and a private name are needed.")
    return value


def _flag(body: dict[str, Any], key: str, default: bool) -> bool:
    value = body.get(key)
    if value is None:
        return default
    if not isinstance(value, bool):
        raise malformed(f"{key} is true or false.")
    return value


def _category(body: dict[str, Any]) -> int | None:
    value = body.get("categoryid")
    if value is not None and type(value) is not int:
        raise malformed("categoryId is a number.")
    return value


def _order(body: dict[str, Any]) -> str | int | None:
    value = body.get("order")
    if value is not None and type(value) not in (int, str):
        raise malformed("order is a number, top or bottom.")
    return value
