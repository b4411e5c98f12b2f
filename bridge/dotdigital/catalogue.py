"""The mapping against the account's preference tree."""

from __future__ import annotations

from collections.abc import Iterable

from bridge.core.mapping import Mapping
from bridge.core.model import TopicId
from bridge.dotdigital.client_v2 import ClientV2
from bridge.dotdigital.tree import opt_ins
from bridge.dotdigital.wire import Preference


def check_mapping(v2: ClientV2, mapping: Mapping) -> list[str]:
    """What of the mapping Dotdigital cannot carry, each in a sentence; empty when all is well."""
    tree = v2.get_preferences()
    leaves, categories = set(opt_ins(tree)), _categories(tree)
    problems: list[str] = []
    users: dict[int, str] = {}
    for topic in mapping.topics:
        for number in topic.preferences.values():
            if number in categories:
                problems.append(
                    f"topic {topic.id}: {number} is a category at Dotdigital, not a preference;"
                    " name one of the preferences in it"
                )
            elif number not in leaves:
                problems.append(
                    f"topic {topic.id}: Dotdigital has no preference {number};"
                    " correct the mapping file or restore the preference"
                )
            if (other := users.setdefault(number, topic.id)) != topic.id:
                problems.append(f"topics {other} and {topic.id} both write preference {number}; keep one")
    return problems


def vanished(tree: Iterable[Preference], mapping: Mapping) -> set[int]:
    """Mapped preferences that the tree does not hold as leaves. Their absence is nobody's opt-out."""
    return set(mapping.preference_ids) - set(opt_ins(tree))


def missing_topics(v2: ClientV2, mapping: Mapping) -> dict[TopicId, str]:
    """Topics with a preference that is gone, and which, in words."""
    gone = vanished(v2.get_preferences(), mapping)
    found: dict[TopicId, str] = {}
    for topic in mapping.topics:
        if mine := [str(number) for number in topic.preferences.values() if number in gone]:
            found[topic.id] = f"Dotdigital has no preference {' or '.join(mine)}"
    return found


def _categories(tree: Iterable[Preference]) -> set[int]:
    found: set[int] = set()
    for node in tree:
        if not node.is_leaf:
            found |= {node.id} | _categories(node.children)
    return found
