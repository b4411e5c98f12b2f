"""The preference tree: as a catalogue, and as the body that sets one contact's opt-ins. Pure.

Whether setting merges or replaces is not documented, so the body holds everything that is opted in, and what
is being written: then it means the same either way. The rest stays out of it. The contact's tree looks the
same for "never asked" and for "refused"; an explicit False would turn the former into a dated refusal, which
would come back as a withdrawal that nobody made.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from bridge.core.catalogue import Catalogue, CatalogueKind, Entry
from bridge.core.errors import MappingStale
from bridge.core.model import Side
from bridge.dotdigital.client.wire import Json, PreferenceTreeNode


def catalogue_of(tree: Iterable[PreferenceTreeNode]) -> Catalogue:
    """The whole tree, as far as a mapping can name it. Take it from `Get preferences`: what changed since
    some date would not show what was deleted."""
    return Catalogue(
        tuple(_entries(tree, None)), frozenset({CatalogueKind.PREFERENCE, CatalogueKind.CATEGORY})
    )


def leaves(tree: Iterable[PreferenceTreeNode]) -> Iterator[PreferenceTreeNode]:
    """Every preference that can be opted in to, in order of the tree."""
    for node in tree:
        if node.is_leaf:
            yield node
        else:
            yield from leaves(node.children)


def opt_ins(tree: Iterable[PreferenceTreeNode]) -> dict[int, bool | None]:
    """State by preference id; None where the tree does not say."""
    return {leaf.id: leaf.is_opted_in for leaf in leaves(tree)}


def put_body(tree: Sequence[PreferenceTreeNode], overlay: Mapping[int, bool]) -> list[Json]:
    """What is opted in, changed by `overlay`, as a body: leaves inside their category, `isOptedIn` on leaves
    only; all may be False. Raises MappingStale where `overlay` names what is no leaf."""
    if missing := sorted(set(overlay) - set(opt_ins(tree))):
        raise stale(missing)
    return list(_nodes(tree, overlay))


def stale(missing: Iterable[int]) -> MappingStale:
    """The error for mapped preferences that the account does not have."""
    named = ", ".join(str(number) for number in missing)
    return MappingStale(
        f"The mapping names preferences that Dotdigital does not have: {named}.",
        side=Side.DOTDIGITAL, operation="get-preferences-for-contact",
        hint="See `bridge mapping check`, then fix the mapping file or restore the preferences.",
    )  # fmt: skip


def _entries(tree: Iterable[PreferenceTreeNode], category: PreferenceTreeNode | None) -> Iterator[Entry]:
    for node in tree:
        names = [name for name in (node.public_name, node.private_name) if name]
        yield Entry(
            kind=CatalogueKind.PREFERENCE if node.is_leaf else CatalogueKind.CATEGORY,
            id=str(node.id),
            name=names[0] if names else "",
            also=tuple(names[1:]),
            group=str(category.id) if category is not None else "",
            group_name=(category.public_name or category.private_name or "") if category is not None else "",
        )
        yield from _entries(node.children, node)


def _nodes(tree: Iterable[PreferenceTreeNode], overlay: Mapping[int, bool]) -> Iterator[Json]:
    for node in tree:
        if node.is_leaf:
            state = overlay.get(node.id, node.is_opted_in or None)
            if state is not None:
                yield {"id": node.id, "isPreference": True, "isOptedIn": state}
        elif nested := list(_nodes(node.children, overlay)):
            yield {"id": node.id, "isPreference": False, "preferences": nested}
