"""The account's preference tree: definitions only, never anybody's opt-in."""

from __future__ import annotations

from datetime import datetime

from bridge.sandbox.dotdigital.records import Preference
from bridge.sandbox.dotdigital.refusal import preference_invalid, preference_not_found

_FIRST_FREE_ID = 1001


class Catalogue:
    """Preferences by id. Categories hold leaves and nothing else; leaves may also stand at the top."""

    def __init__(self) -> None:
        self._by_id: dict[int, Preference] = {}

    def get(self, preference_id: int) -> Preference | None:
        """The definition, or None."""
        return self._by_id.get(preference_id)

    def leaf(self, preference_id: int) -> Preference | None:
        """The definition if it is a leaf, else None."""
        found = self._by_id.get(preference_id)
        return found if found is not None and found.is_leaf else None

    def top(self) -> list[Preference]:
        """Categories and top-level leaves, in their order."""
        return self.children(0)

    def children(self, category_id: int) -> list[Preference]:
        """The nodes under a category (0: the top), in their order."""
        nodes = [node for node in self._by_id.values() if node.category_id == category_id]
        return sorted(nodes, key=lambda node: (node.order, node.id))

    def leaves(self) -> list[Preference]:
        """Every leaf of the account."""
        return [node for node in self._by_id.values() if node.is_leaf]

    def define(
        self,
        now: datetime,
        public_name: str,
        private_name: str,
        is_leaf: bool,
        *,
        preference_id: int | None = None,
        category_id: int = 0,
        is_public: bool = True,
        order: str | int | None = None,
    ) -> Preference:
        """Add a node. Raises V2Refusal for a bad name or category, ValueError for an id in use."""
        self._check(private_name, is_leaf, category_id)
        wanted = "bottom" if order is None else order
        _position(wanted, 0)
        if preference_id is None:
            preference_id = max([_FIRST_FREE_ID - 1, *self._by_id]) + 1
        if preference_id in self._by_id:
            raise ValueError(f"preference {preference_id} is already defined; choose another id")
        node = Preference(
            preference_id, public_name, private_name, is_leaf, 0, is_public, category_id, now, now
        )
        self._by_id[preference_id] = node
        self._place(node, wanted)
        return node

    def update(
        self,
        now: datetime,
        preference_id: int,
        public_name: str,
        private_name: str,
        is_leaf: bool,
        *,
        category_id: int | None,
        is_public: bool,
        order: str | int | None,
    ) -> Preference:
        """Redefine a node. Raises V2Refusal, also when a leaf would turn into a category or the reverse."""
        node = self._by_id.get(preference_id)
        if node is None:
            raise preference_not_found(404)
        if is_leaf != node.is_leaf:
            raise preference_invalid("A preference cannot become a category, nor a category a preference.")
        target = node.category_id if category_id is None else category_id
        self._check(private_name, is_leaf, target)
        wanted = "bottom" if order is None else order
        _position(wanted, 0)
        node.public_name, node.private_name, node.is_public = public_name, private_name, is_public
        node.last_modified = now
        moved = target != node.category_id
        node.category_id = target
        if order is not None or moved:
            self._place(node, wanted)
        return node

    def delete(self, preference_id: int) -> list[int]:
        """Remove a leaf, or a category with its leaves. Returns the leaves that went. Raises V2Refusal."""
        node = self._by_id.get(preference_id)
        if node is None:
            raise preference_not_found(404)
        gone = [node.id] if node.is_leaf else [child.id for child in self.children(node.id)]
        for leaf_id in gone:
            del self._by_id[leaf_id]
        if not node.is_leaf:
            del self._by_id[node.id]
        return gone

    def _check(self, private_name: str, is_leaf: bool, category_id: int) -> None:
        if not private_name:
            raise preference_invalid("A private name is needed.")
        if not category_id:
            return
        if not is_leaf:
            raise preference_invalid("A category cannot be put into a category.")
        parent = self._by_id.get(category_id)
        if parent is None:
            raise preference_not_found(400)
        if parent.is_leaf:
            raise preference_invalid("Only a category can hold preferences.")

    def _place(self, node: Preference, order: str | int) -> None:
        others = [sibling for sibling in self.children(node.category_id) if sibling is not node]
        others.insert(_position(order, len(others)), node)
        for position, sibling in enumerate(others):
            sibling.order = position


def _position(order: str | int, last: int) -> int:
    """The place `order` asks for among `last` siblings. Raises V2Refusal."""
    if isinstance(order, str) and order.lower() in ("top", "bottom"):
        return 0 if order.lower() == "top" else last
    try:
        return min(max(int(order), 0), last)
    except ValueError as error:
        raise preference_invalid("The order is a number, top or bottom.") from error
