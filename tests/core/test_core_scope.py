"""What a changed mapping means for each of its topics."""

from __future__ import annotations

from dataclasses import replace

import pytest
from core_cells import TOPIC, day

from bridge.core.mapping import Conflict, ConsentRef, Direction, FilterRef, OnUnsubscribe, RecordKeys, Topic
from bridge.core.mapping import Mapping as ConsentMapping
from bridge.core.model import CHANNEL, Choice, Side, TopicId
from bridge.core.scope import Scope, ScopeChange, ScopeNews, scope_changes, scope_in, scope_out, scopes_after

NEWS = replace(TOPIC, id=TopicId("news"), preferences={"": 1002})
MAPPING = ConsentMapping((NEWS,), Topic(CHANNEL, None, {}), OnUnsubscribe.CHANNEL, "d1")
KNOWN = {topic.id: Scope.of(topic, MAPPING) for topic in MAPPING.all}


def changed(**changes: object) -> ConsentMapping:
    return replace(MAPPING, topics=(replace(NEWS, **changes),))  # type: ignore[arg-type]


def only_change(mapping: ConsentMapping, known: dict[TopicId, Scope] = KNOWN) -> ScopeChange:
    (found,) = scope_changes(known, mapping, ())
    return found


def test_the_same_mapping_changes_nothing() -> None:
    assert scope_changes(KNOWN, MAPPING, ()) == []
    assert scope_changes(KNOWN, changed(), ()) == []


@pytest.mark.parametrize(
    ("changes", "sides"),
    [
        ({"preferences": {"": 1011}}, (Side.DOTDIGITAL,)),
        ({"preferences": {"DAILY": 1002}}, (Side.DOTDIGITAL,)),
        ({"source": FilterRef("OTHER")}, (Side.MYPREFERENCES,)),
        ({"source": FilterRef("NEWS_EMAIL", "Work")}, (Side.MYPREFERENCES,)),
        ({"source": ConsentRef("News", "1.0", "en_US"), "preferences": {"": 9}}, tuple(Side)),
    ],
)
def test_a_topic_that_is_mapped_to_something_else_starts_over(changes, sides) -> None:
    change = only_change(changed(**changes))
    assert (change.topic, change.news, change.moved) == (NEWS.id, (ScopeNews.MOVED,), sides)
    assert change.starts_over
    assert "instead of" in change.what


def test_an_agreed_opt_out_outlives_a_change_of_one_side() -> None:
    """It stands for the side that is as it was; where nothing is, it is about something else."""
    one = only_change(changed(preferences={"": 1011}))
    both = only_change(changed(preferences={"": 1011}, source=FilterRef("OTHER")))
    assert Choice.OPTED_OUT not in one.forgotten
    assert Choice.OPTED_IN in one.forgotten
    assert set(both.forgotten) == set(Choice)


def test_a_topic_that_is_new_starts_over_and_one_no_longer_mapped_is_named() -> None:
    other = replace(NEWS, id=TopicId("offers"))
    added, removed = scope_changes(KNOWN, replace(MAPPING, topics=(other,)), ())
    assert (added.topic, added.news, added.starts_over) == (other.id, (ScopeNews.ADDED,), True)
    assert (removed.topic, removed.news, removed.starts_over) == (NEWS.id, (ScopeNews.REMOVED,), False)


def test_a_topic_that_is_mapped_again_starts_over() -> None:
    """What was said while it was not mapped was said to nobody."""
    without = replace(MAPPING, topics=(), digest="d2")
    gone = scopes_after(KNOWN, scope_changes(KNOWN, without, ()), without, day(5)).topics
    assert not gone[NEWS.id].mapped
    back = only_change(MAPPING, dict(gone))
    assert (back.news, back.starts_over, back.forgotten) == ((ScopeNews.ADDED,), True, ())
    assert scopes_after(gone, [back], MAPPING, day(9)).topics[NEWS.id].epoch == day(9)


@pytest.mark.parametrize(
    ("before", "after", "opened"),
    [
        (Direction.BOTH, Direction.TO_DOTDIGITAL, False),
        (Direction.TO_DOTDIGITAL, Direction.BOTH, True),
        (Direction.TO_DOTDIGITAL, Direction.TO_MYPREFERENCES, True),
    ],
)
def test_only_a_direction_that_opens_starts_over(before: Direction, after: Direction, opened: bool) -> None:
    known = {topic.id: Scope.of(topic, changed(direction=before)) for topic in changed(direction=before).all}
    change = only_change(changed(direction=after), known)
    assert (change.news, change.starts_over, change.forgotten) == ((ScopeNews.DIRECTION,), opened, ())


@pytest.mark.parametrize(
    "changes", [{"conflict": Conflict.LATEST}, {"record": RecordKeys("Text", "Url", "Ip", "Agent")}]
)
def test_another_rule_is_a_change_that_starts_nothing_over(changes: dict[str, object]) -> None:
    change = only_change(changed(**changes))
    assert (change.news, change.starts_over, change.forgotten) == ((ScopeNews.POLICY,), False, ())


def test_a_rule_of_the_channel_that_withdraws_topics_changes_each_of_them() -> None:
    spread = replace(MAPPING, channel=replace(MAPPING.channel, source=FilterRef("MAIL")))
    known = {topic.id: Scope.of(topic, spread) for topic in spread.all}
    found = scope_changes(known, replace(spread, on_unsubscribe=OnUnsubscribe.ALL_TOPICS), ())
    assert [change.topic for change in found] == [CHANNEL, NEWS.id]


def test_what_was_gone_and_exists_again_starts_over() -> None:
    (change,) = scope_changes(KNOWN, MAPPING, {NEWS.id})
    assert (change.news, change.starts_over) == ((ScopeNews.RENEWED,), True)
    assert Choice.OPTED_OUT not in change.forgotten


def test_a_change_is_not_approved_before_it_is_weighed_and_others_stay_as_they_are() -> None:
    mapping = replace(changed(preferences={"": 1011}), digest="d2")
    after = scopes_after(KNOWN, scope_changes(KNOWN, mapping, ()), mapping, day(5))
    news = after.topics[NEWS.id]
    assert (news.epoch, news.swept, bool(news.change)) == (day(5), False, True)
    assert after.topics[CHANNEL] == KNOWN[CHANNEL]
    assert after.mapping == "d2"


def test_a_scope_comes_back_from_its_text() -> None:
    scope = replace(KNOWN[NEWS.id], epoch=day(5), swept=False, change="is new", mapped=False)
    assert scope_in(scope_out(scope)) == scope
