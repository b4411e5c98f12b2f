"""A mapping checked against the account's filters, consents and e-mail types."""

from __future__ import annotations

from datetime import timedelta

import pytest

from bridge.core.catalogue import CatalogueKind
from bridge.core.mapping import ConsentRef, FilterRef, Mapping, Topic
from bridge.core.mapping_check import MappingProblem, find_problems, missing_topics
from bridge.core.mapping_check import ProblemKind as Unfit
from bridge.core.model import TopicId
from bridge.mypreferences.catalogue import read_catalogue
from bridge.sandbox.faults import InjectedFault
from bridge.similarity import did_you_mean
from tests.mypreferences.mp_world import CHANNEL, NEWS, World, a_mapping


def unfit(world: World, mapping: Mapping) -> list[MappingProblem]:
    return find_problems(mapping, read_catalogue(world.client, frozenset(CatalogueKind)), did_you_mean)


def test_a_mapping_that_fits_has_no_problems(world: World) -> None:
    assert unfit(world, a_mapping()) == []


@pytest.mark.parametrize(
    ("topic", "problem"),
    [
        (
            Topic(TopicId("x"), FilterRef("NEWS_EMIAL"), {"": 1}),
            "no filter 'NEWS_EMIAL'. Did you mean 'NEWS_EMAIL'",
        ),
        (Topic(TopicId("x"), FilterRef("DEALS_APP"), {"": 1}), "the channel Solicit"),
        (Topic(TopicId("x"), FilterRef("OFFERS_EMAIL"), {"HOURLY": 1}), "no frequency 'HOURLY'"),
        (Topic(TopicId("x"), ConsentRef("Profilin", "1.0", "en_US"), {"": 1}), "Did you mean 'Profiling'"),
        (Topic(TopicId("x"), ConsentRef("Profiling", "9", "en_US"), {"": 1}), "no version '9'"),
        (Topic(TopicId("x"), ConsentRef("Profiling", "1.0", "de_DE"), {"": 1}), "no locale 'de_DE'"),
    ],
)
def test_what_the_mapping_names_wrongly_is_found(world: World, topic: Topic, problem: str) -> None:
    (found,) = unfit(world, a_mapping(NEWS, topic))
    assert problem in f"{found.what}. {found.hint}"
    assert found.topic == "x"


@pytest.mark.parametrize(
    ("source", "gone"),
    [
        (FilterRef("GONE_EMAIL"), True),
        (ConsentRef("Gone", "1.0", "en_US"), True),
        (ConsentRef("Profiling", "9", "en_US"), True),
        (ConsentRef("Profiling", "1.0", "de_DE"), False),
        (FilterRef("DEALS_APP"), False),
    ],
)
def test_a_topic_is_missing_only_where_its_counterpart_is_gone(
    world: World, source: FilterRef | ConsentRef, gone: bool
) -> None:
    mapping = a_mapping(NEWS, Topic(TopicId("x"), source, {"": 1}))
    assert set(missing_topics(mapping, world.replica(mapping).catalogue())) == ({"x"} if gone else set())
    assert world.calls("retrievePrograms") == 1


def test_the_feed_covers_every_topic_with_a_place_here(world: World) -> None:
    mapping = a_mapping(NEWS, channel=Topic(TopicId("email"), None, {}))
    (feed,) = world.replica(mapping).feeds(timedelta(minutes=1))
    assert (feed.name, feed.topics, feed.period) == ("mypreferences.events", {NEWS.id}, timedelta(minutes=1))


def test_inactive_things_are_found(world: World) -> None:
    programs = '{"Programs":[{"ProgramId":"N","IsActive":false,"Filters":[{"FilterId":"NEWS_EMAIL"}]}]}'
    consents = '{"ConsentTypes":[{"TypeName":"EmailMarketing","IsActive":false}]}'
    world.state.faults.add(InjectedFault("retrievePrograms", "status", status=200, body=programs))
    world.state.faults.add(InjectedFault("retrieveConsentTypes", "status", status=200, body=consents))
    problems = unfit(world, a_mapping(NEWS, channel=CHANNEL))
    assert [problem.kind for problem in problems] == [Unfit.INACTIVE, Unfit.INACTIVE]
