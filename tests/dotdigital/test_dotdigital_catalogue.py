from __future__ import annotations

import dataclasses

import pytest
from dotdigital_world import CATEGORY, DAILY, LONELY, NEWS, OFFERS, PROFILING, WEEKLY

from bridge.core.mapping import CHANNEL, FilterRef, Mapping, Topic
from bridge.core.model import TopicId
from bridge.dotdigital.catalogue import check_mapping, vanished
from bridge.dotdigital.client_v2 import ClientV2
from bridge.dotdigital.replica import DotdigitalReader
from bridge.sandbox.dotdigital import State


def test_a_sound_mapping_has_no_problems(v2: ClientV2, mapping: Mapping) -> None:
    assert check_mapping(v2, mapping) == []
    assert vanished(v2.get_preferences(), mapping) == set()


def test_each_problem_is_named_with_its_topic(state: State, v2: ClientV2, mapping: Mapping) -> None:
    state.delete_preference(LONELY)
    more = (
        Topic(TopicId("category"), FilterRef("X"), {"": CATEGORY}),
        Topic(TopicId("twice"), FilterRef("Y"), {"": NEWS}),
    )
    problems = check_mapping(v2, dataclasses.replace(mapping, topics=(*mapping.topics, *more)))
    assert len(problems) == 3
    missing, category, twice = problems
    assert PROFILING in missing
    assert str(LONELY) in missing
    assert "category" in category
    assert "newsletter and twice" in twice
    assert vanished(v2.get_preferences(), mapping) == {LONELY}


def test_topics_whose_preference_is_gone_are_named(
    state: State, reader: DotdigitalReader, mapping: Mapping
) -> None:
    assert reader.missing() == {}
    state.delete_preference(CATEGORY)
    assert set(reader.missing()) == {OFFERS}
    assert f"{DAILY} or {WEEKLY}" in reader.missing()[OFFERS]


def test_each_feed_covers_the_topics_it_speaks_of(reader: DotdigitalReader, mapping: Mapping) -> None:
    covered = {feed: reader.covers(feed) for feed in reader.feeds}
    assert covered["dotdigital.suppressed"] == {CHANNEL}
    assert covered[f"dotdigital.opt_ins.{WEEKLY}"] == {OFFERS}
    assert frozenset().union(*covered.values()) == {topic.id for topic in mapping.all}
    with pytest.raises(ValueError, match="not a feed"):
        reader.covers("mypreferences.events")
