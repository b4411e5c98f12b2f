"""The account's preference tree: definitions only, never anybody's opt-in."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

import msgspec

from bridge.sandbox.dotdigital.records import PreferenceNode
from bridge.sandbox.dotdigital.refusals import preference_invalid, preference_not_found

_FIRST_FREE_ID = 1001


class DefinedPreference(msgspec.Struct, rename="camel", kw_only=True):
    """What creating and updating take. An absent `is_preference` says "category"."""

    id: int | None = None
    public_name: Any = None
    private_name: Any = None
    is_preference: bool | None = None
    is_public: bool | None = None
    category_id: int | None = None
    order: int | str | None = None


class PreferenceTree:
    """Preferences by id. Categories hold only leaves; leaves may also be at the top level. `now` is the
    account's clock."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now = now
        self._by_id: dict[int, PreferenceNode] = {}

    def get(self, preference_id: int) -> PreferenceNode | None:
        """The definition, or None."""
        return self._by_id.get(preference_id)

    def leaf(self, preference_id: int) -> PreferenceNode | None:
        """The definition if it is a leaf, else None."""
        found = self._by_id.get(preference_id)
        return found if found is not None and found.is_leaf else None

    def children(self, category_id: int) -> list[PreferenceNode]:
        """The nodes under a category (0: the top), in their order."""
        nodes = [node for node in self._by_id.values() if node.category_id == category_id]
        return sorted(nodes, key=lambda node: (node.order, node.id))

    def all(self) -> list[PreferenceNode]:
        """Every category and every leaf of the account."""
        return list(self._by_id.values())

    def define(self, wanted: DefinedPreference, preference_id: int | None = None) -> PreferenceNode:
        """Add a node. Raises V2Refusal for a bad name, place or category, ValueError for an id in use."""
        is_leaf, category_id = bool(wanted.is_preference), wanted.category_id or 0
        self._check(wanted, is_leaf, category_id)
        if preference_id is None:
            preference_id = max([_FIRST_FREE_ID - 1, *self._by_id]) + 1
        if preference_id in self._by_id:
            raise ValueError(f"preference {preference_id} is already defined; choose another id")
        now = self._now()
        node = PreferenceNode(preference_id, "", "", is_leaf, 0, True, category_id, now, now)
        self._by_id[preference_id] = node
        self._apply(wanted, node, moved=True)
        return node

    def update(self, wanted: DefinedPreference, preference_id: int) -> PreferenceNode:
        """Redefine a node. Raises V2Refusal, also when a leaf would turn into a category or the reverse."""
        node = self._by_id.get(preference_id)
        if node is None:
            raise preference_not_found(404)
        if bool(wanted.is_preference) != node.is_leaf:
            raise preference_invalid("A preference cannot become a category, nor a category a preference.")
        category_id = node.category_id if wanted.category_id is None else wanted.category_id
        self._check(wanted, node.is_leaf, category_id)
        moved = wanted.order is not None or category_id != node.category_id
        node.category_id = category_id
        node.last_modified = self._now()
        self._apply(wanted, node, moved=moved)
        return node

    def delete(self, preference_id: int) -> list[int]:
        """Remove a leaf, or a category with its leaves. Returns the leaves that went. Raises V2Refusal."""
        node = self._by_id.get(preference_id)
        if node is None:
            raise preference_not_found(404)
        gone = [node.id] if node.is_leaf else [child.id for child in self.children(node.id)]
        for node_id in {node.id, *gone}:
            del self._by_id[node_id]
        return gone

    def _check(self, wanted: DefinedPreference, is_leaf: bool, category_id: int) -> None:
        names = (wanted.public_name, wanted.private_name)
        if not all(isinstance(name, str) and name for name in names):
            raise preference_invalid("A public and a private name are needed.")
        _position(wanted.order, 0)
        if not category_id:
            return
        if not is_leaf:
            raise preference_invalid("A category cannot be put into a category.")
        parent = self._by_id.get(category_id)
        if parent is None:
            raise preference_not_found(400)
        if parent.is_leaf:
            raise preference_invalid("Only a category can hold preferences.")

    def _apply(self, wanted: DefinedPreference, node: PreferenceNode, moved: bool) -> None:
        node.public_name, node.private_name = wanted.public_name, wanted.private_name
        node.is_public = wanted.is_public is not False
        if moved:
            others = [sibling for sibling in self.children(node.category_id) if sibling is not node]
            others.insert(_position(wanted.order, len(others)), node)
            for position, sibling in enumerate(others):
                sibling.order = position


def _position(order: str | int | None, last: int) -> int:
    """The place `order` asks for among `last` siblings, by default the last one. Raises V2Refusal."""
    named = {"top": 0, "bottom": last}
    text = "bottom" if order is None else str(order).lower()
    if text in named:
        return named[text]
    try:
        return min(max(int(text), 0), last)
    except ValueError as error:
        raise preference_invalid("The order is a number, top or bottom.") from error
