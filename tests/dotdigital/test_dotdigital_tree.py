from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.core.errors import MappingStale
from bridge.dotdigital.client.wire import PreferenceTreeNode
from bridge.dotdigital.preference_tree import opt_ins, put_body

STATES = st.none() | st.booleans()


@st.composite
def trees(draw: st.DrawFn) -> list[PreferenceTreeNode]:
    numbers = iter(range(1, 100))

    def leaf() -> PreferenceTreeNode:
        return PreferenceTreeNode(id=next(numbers), is_preference=True, is_opted_in=draw(STATES))

    def category() -> PreferenceTreeNode:
        number = next(numbers)
        return PreferenceTreeNode(
            id=number, is_preference=False, preferences=[leaf() for _ in range(draw(st.integers(0, 3)))]
        )

    return [draw(st.sampled_from([leaf, category]))() for _ in range(draw(st.integers(0, 5)))]


@given(trees(), st.data())
def test_the_body_names_what_is_opted_in_and_what_is_written_and_nothing_else(
    tree: list[PreferenceTreeNode], data: st.DataObject
) -> None:
    """Dotdigital set-preferences: merge and replace must mean the same, and nobody who was never asked must
    come to have refused."""
    known = opt_ins(tree)
    picked = data.draw(st.lists(st.sampled_from(sorted(known)), unique=True)) if known else []
    overlay = {number: data.draw(st.booleans()) for number in picked}
    sent: dict[int, bool] = {}
    for node in put_body(tree, overlay):
        assert node["isPreference"] is ("preferences" not in node)
        assert ("isOptedIn" in node) is node["isPreference"]
        for leaf in node.get("preferences", [node]):
            assert leaf["isPreference"] is True
            assert leaf["id"] not in sent
            sent[leaf["id"]] = leaf["isOptedIn"]
    assert sent == {number: True for number, state in known.items() if state} | overlay


@given(trees())
def test_leaves_stay_in_their_category(tree: list[PreferenceTreeNode]) -> None:
    homes = {leaf.id: node.id for node in tree if not node.is_leaf for leaf in node.children}
    for node in put_body(tree, {}):
        for leaf in node.get("preferences", ()):
            assert homes[leaf["id"]] == node["id"]


def test_all_false_is_a_body_too() -> None:
    tree = [PreferenceTreeNode(id=1, is_preference=True, is_opted_in=True)]
    assert put_body(tree, {1: False}) == [{"id": 1, "isPreference": True, "isOptedIn": False}]


@pytest.mark.parametrize("number", [5, 9])
def test_a_preference_that_is_gone_or_a_category_stops_the_write(number: int) -> None:
    tree = [
        PreferenceTreeNode(
            id=5, is_preference=False, preferences=[PreferenceTreeNode(id=6, is_preference=True)]
        )
    ]
    with pytest.raises(MappingStale) as stale:
        put_body(tree, {number: False, 6: True})
    assert str(number) in str(stale.value)
    assert "bridge mapping check" in str(stale.value)
