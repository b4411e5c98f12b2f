"""The preference tree, and the body that sets one contact's opt-ins. Pure.

Whether setting merges or replaces is not documented, so the body holds everything that is opted in, and what
is being written: then both readings mean the same. What is neither stays out of it. The contact's tree shows
somebody who was never asked and somebody who refused alike; an explicit False would make a dated refusal of
the former, which would come back as a withdrawal that nobody made.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from bridge.core.errors import MappingStale
from bridge.core.model import Side
from bridge.dotdigital.client.wire import Json, PreferenceNode


def leaves(tree: Iterable[PreferenceNode]) -> Iterator[PreferenceNode]:
    """Every preference that can be opted in to, in order of the tree."""
    for node in tree:
        if node.is_leaf:
            yield node
        else:
            yield from leaves(node.children)


def opt_ins(tree: Iterable[PreferenceNode]) -> dict[int, bool | None]:
    """State by preference id; None where the tree does not say."""
    return {leaf.id: leaf.is_opted_in for leaf in leaves(tree)}


def put_body(tree: Sequence[PreferenceNode], overlay: Mapping[int, bool]) -> list[Json]:
    """What is opted in, with `overlay` laid over it, as a body: leaves inside their category, `isOptedIn` on
    leaves only, all-false as good as any. Raises MappingStale where `overlay` names what is no leaf."""
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


def _nodes(tree: Iterable[PreferenceNode], overlay: Mapping[int, bool]) -> Iterator[Json]:
    for node in tree:
        if node.is_leaf:
            state = overlay.get(node.id, node.is_opted_in or None)
            if state is not None:
                yield {"id": node.id, "isPreference": True, "isOptedIn": state}
        elif nested := list(_nodes(node.children, overlay)):
            yield {"id": node.id, "isPreference": False, "preferences": nested}
