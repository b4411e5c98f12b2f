"""The preference tree, and the body that sets one contact's opt-ins. Pure.

Whether setting merges or replaces is not documented, so the body always holds the full known tree with
explicit booleans: then both readings mean the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from bridge.core.errors import MappingStale
from bridge.core.model import Side
from bridge.dotdigital.wire import Json, Preference


def leaves(tree: Iterable[Preference]) -> Iterator[Preference]:
    """Every preference that can be opted in to, in order of the tree."""
    for node in tree:
        if node.is_leaf:
            yield node
        else:
            yield from leaves(node.children)


def opt_ins(tree: Iterable[Preference]) -> dict[int, bool | None]:
    """State by preference id; None where the tree does not say."""
    return {leaf.id: leaf.is_opted_in for leaf in leaves(tree)}


def put_body(tree: Sequence[Preference], overlay: Mapping[int, bool]) -> list[Json]:
    """The whole tree as a body, `overlay` laid over it: leaves inside their category, `isOptedIn` on leaves
    only, an unsaid state as False, all-false as good as any. Raises MappingStale where `overlay` names what
    is no leaf of the tree."""
    if missing := sorted(set(overlay) - set(opt_ins(tree))):
        raise stale(missing)
    return list(_nodes(tree, overlay))


def stale(missing: Iterable[int]) -> MappingStale:
    """The error for mapped preferences that the account does not have."""
    named = ", ".join(str(number) for number in missing)
    return MappingStale(
        f"The mapping names preferences that Dotdigital does not have: {named}.",
        side=Side.DOTDIGITAL, operation="get-preferences-for-contact",
        hint="See `bridge mapping check`, then mend the mapping file or restore the preferences.",
    )  # fmt: skip


def _nodes(tree: Iterable[Preference], overlay: Mapping[int, bool]) -> Iterator[Json]:
    for node in tree:
        if node.is_leaf:
            state = overlay.get(node.id, bool(node.is_opted_in))
            yield {"id": node.id, "isPreference": True, "isOptedIn": state}
        elif nested := list(_nodes(node.children, overlay)):
            yield {"id": node.id, "isPreference": False, "preferences": nested}
