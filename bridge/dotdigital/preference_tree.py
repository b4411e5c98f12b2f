"""The account's preference tree: as a catalogue, as definitions that an operator reads and changes, and as
the body that sets one contact's opt-ins.

Whether setting merges or replaces is not documented, so the body holds everything that is opted in, and what
is being written: then it means the same either way. The rest stays out of it. The contact's tree looks the
same for "never asked" and for "refused"; an explicit False would turn the former into a dated refusal, which
would come back as a withdrawal that nobody made.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from bridge.core.catalogue import Catalogue, CatalogueKind, Entry, NewPreference
from bridge.core.errors import MappingStale, OutcomeUnknown
from bridge.core.model import Side
from bridge.dotdigital.client.v2 import ClientV2
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


@dataclass(frozen=True, slots=True)
class PreferenceDefinition:
    """A preference or a category as it is defined now. `category` 0: at the top."""

    id: int
    public_name: str
    private_name: str
    is_leaf: bool
    is_public: bool
    order: str | None
    category: int


class PreferenceAdmin:
    """Reads and changes the account's preference tree. Every method raises SideError; a change whose outcome
    stays unknown, or that the tree does not show, raises OutcomeUnknown and is not repeated."""

    def __init__(self, v2: ClientV2) -> None:
        self._v2 = v2

    def tree(self) -> list[PreferenceDefinition]:
        """Every node, each category before its preferences (`Get preferences`)."""
        return list(_definitions(self._v2.get_preferences(), 0))

    def changed_since(self, since: datetime) -> list[PreferenceDefinition]:
        """What was defined or redefined since, with its categories (`Get modified preferences since date`):
        fewer bytes than the tree. Deletions do not show."""
        return list(_definitions(self._v2.get_modified_preferences_since_date(since=since), 0))

    def create(self, wish: NewPreference) -> PreferenceDefinition:
        """Define it (`Create preference`). The answer need not name the new id: it is the one with that name
        which was not there before."""
        before = {node.id for node in self.tree()}

        def send() -> None:
            self._v2.create_preference(
                public_name=wish.public_name,
                private_name=wish.private_name,
                is_preference=wish.is_leaf,
                is_public=wish.is_public,
                order=wish.order,
                category_id=wish.category,
            )

        def made(node: PreferenceDefinition) -> bool:
            return node.id not in before and _is(node, wish)

        return self._proven("create-preference", send, made)

    def update(self, node: PreferenceDefinition, wish: NewPreference) -> PreferenceDefinition:
        """Redefine it (`Update preference`); its kind and its category are always sent as well."""
        wanted = replace(wish, is_leaf=node.is_leaf)

        def send() -> None:
            self._v2.update_preference(
                preference_id=node.id,
                public_name=wanted.public_name,
                private_name=wanted.private_name,
                is_preference=wanted.is_leaf,
                is_public=wanted.is_public,
                order=wanted.order,
                category_id=wanted.category,
            )

        return self._proven(
            "update-preference", send, lambda found: found.id == node.id and _is(found, wanted)
        )

    def delete(self, node: PreferenceDefinition) -> None:
        """Delete it, a category with all its preferences (`Delete preference`). Their opt-ins are lost."""
        operation = "delete-preference"
        unknown = _sent(lambda: self._v2.delete_preference(preference_id=node.id))
        if any(found.id == node.id for found in self.tree()):
            raise unknown or _not_shown(operation)

    def _proven(
        self, operation: str, send: Callable[[], None], shows: Callable[[PreferenceDefinition], bool]
    ) -> PreferenceDefinition:
        unknown = _sent(send)
        found = next((node for node in self.tree() if shows(node)), None)
        if found is None:
            raise unknown or _not_shown(operation)
        return found


def _sent(send: Callable[[], None]) -> OutcomeUnknown | None:
    """Send a change once. Returns the error of an unknown outcome, which the tree settles."""
    try:
        send()
    except OutcomeUnknown as error:
        return error
    return None


def _is(node: PreferenceDefinition, wish: NewPreference) -> bool:
    same = (node.public_name, node.private_name, node.is_leaf, node.is_public)
    return same == (wish.public_name, wish.private_name, wish.is_leaf, wish.is_public) and (
        not node.is_leaf or node.category == (wish.category or 0)
    )


def _definitions(tree: Iterable[PreferenceTreeNode], category: int) -> Iterator[PreferenceDefinition]:
    for one in tree:
        order = None if one.order is None else str(one.order)
        names = one.public_name or "", one.private_name or ""
        yield PreferenceDefinition(one.id, *names, one.is_leaf, one.is_public is not False, order, category)
        yield from _definitions(one.children, one.id)


def _not_shown(operation: str) -> OutcomeUnknown:
    return OutcomeUnknown(
        "Dotdigital accepted the change, and its preferences do not show it.",
        side=Side.DOTDIGITAL, operation=operation,
        hint="Check with `bridge mapping preferences list` before you repeat it.",
    )  # fmt: skip
