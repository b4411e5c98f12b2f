from __future__ import annotations

import dataclasses

import pytest
from dotdigital_world import CATEGORY, DAILY, OFFERS, PROFILING, PROFILING_ID, START, WEEKLY

from bridge.core.catalogue import CatalogueKind
from bridge.core.mapping import FilterRef, Mapping, Topic
from bridge.core.mapping_check import ProblemKind, find_problems, missing_topics
from bridge.core.model import CHANNEL, Side, TopicId
from bridge.dotdigital.client.v2 import ClientV2
from bridge.dotdigital.preference_tree import catalogue_of
from bridge.dotdigital.replica import DotdigitalReader
from bridge.sandbox.dotdigital import DotdigitalState
from tests.port_calls import feed_named, feed_names


def test_the_tree_is_read_whole_with_its_categories(v2: ClientV2) -> None:
    """Dotdigital `get-preferences`."""
    catalogue = catalogue_of(v2.get_preferences())
    assert catalogue.kinds == {CatalogueKind.PREFERENCE, CatalogueKind.CATEGORY}
    daily, category = (
        catalogue.find(CatalogueKind.PREFERENCE, str(DAILY)),
        catalogue.find(CatalogueKind.CATEGORY, str(CATEGORY)),
    )
    assert daily is not None
    assert category is not None
    assert (daily.group, daily.group_name) == (str(CATEGORY), category.name)
    assert catalogue.find(CatalogueKind.PREFERENCE, str(CATEGORY)) is None


def test_a_sound_mapping_fits(v2: ClientV2, mapping: Mapping) -> None:
    assert find_problems(mapping, catalogue_of(v2.get_preferences())) == []


def test_each_problem_is_named_with_its_topic(state: DotdigitalState, v2: ClientV2, mapping: Mapping) -> None:
    state.delete_preference(PROFILING_ID)
    more = Topic(TopicId("category"), FilterRef("X"), {"": CATEGORY})
    wanted = dataclasses.replace(mapping, topics=(*mapping.topics, more))
    found = find_problems(wanted, catalogue_of(v2.get_preferences()))
    assert [(one.topic, one.kind, one.side) for one in found] == [
        (PROFILING, ProblemKind.MISSING, Side.DOTDIGITAL),
        ("category", ProblemKind.CATEGORY, Side.DOTDIGITAL),
    ]
    assert str(PROFILING_ID) in found[0].what
    assert found[0].key == ("dotdigital", "preference")


def test_topics_whose_preference_is_gone_are_named(
    state: DotdigitalState, reader: DotdigitalReader, mapping: Mapping
) -> None:
    assert missing_topics(mapping, reader.catalogue()) == {}
    state.delete_preference(CATEGORY)
    gone = missing_topics(mapping, reader.catalogue())
    assert set(gone) == {OFFERS}
    assert str(DAILY) in gone[OFFERS]
    assert str(WEEKLY) in gone[OFFERS]


def test_each_feed_covers_its_topics(reader: DotdigitalReader, mapping: Mapping) -> None:
    covered = {feed: feed_named(reader, feed).topics for feed in feed_names(reader)}
    assert covered["dotdigital.suppressed"] == {CHANNEL}
    assert covered[f"dotdigital.opt_ins.{WEEKLY}"] == {OFFERS}
    assert frozenset().union(*covered.values()) == {topic.id for topic in mapping.all}
    with pytest.raises(ValueError, match="not a feed"):
        list(reader.read_feed("mypreferences.events", START))
