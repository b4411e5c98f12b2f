"""What Dotdigital's account is configured with, as far as a mapping can name it: its preference tree."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from bridge.core.catalogue import Catalogue, CatalogueKind, Entry
from bridge.dotdigital.client.v2 import ClientV2
from bridge.dotdigital.client.wire import PreferenceNode


def read_catalogue(v2: ClientV2) -> Catalogue:
    """The whole tree, by one call: what changed since some date would not tell what was deleted. Raises
    SideError."""
    entries = tuple(_entries(v2.get_preferences(), None))
    return Catalogue(entries, frozenset({CatalogueKind.PREFERENCE, CatalogueKind.CATEGORY}))


def _entries(tree: Iterable[PreferenceNode], above: PreferenceNode | None) -> Iterator[Entry]:
    for node in tree:
        names = [name for name in (node.public_name, node.private_name) if name]
        yield Entry(
            kind=CatalogueKind.PREFERENCE if node.is_leaf else CatalogueKind.CATEGORY,
            id=str(node.id),
            name=names[0] if names else "",
            also=tuple(names[1:]),
            group=str(above.id) if above is not None else "",
            group_name=(above.public_name or above.private_name or "") if above is not None else "",
        )
        yield from _entries(node.children, node)
