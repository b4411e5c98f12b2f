"""A mapping compared with what exists, and what is reported."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bridge.core.catalogue import (
    Catalogue,
    CatalogueKind,
    CatalogueVersion,
    ChangeKind,
    Entry,
    catalogue_changes,
)
from bridge.core.mapping import ConsentRef, FilterRef, Mapping, OnUnsubscribe, Topic
from bridge.core.mapping_check import ProblemKind, find_problems, kinds_used, missing_topics
from bridge.core.model import CHANNEL, Side, TopicId

NEWS = Entry(
    CatalogueKind.FILTER, "NEWS_EMAIL", "Newsletter", channel="Email", frequencies=("DAILY", "WEEKLY")
)
TALKS = Entry(
    CatalogueKind.CONSENT,
    "Talks",
    "Talks",
    editions=(CatalogueVersion("1.0", ("en_US", "de_DE")), CatalogueVersion("2.0")),
)
LEAVES = (Entry(CatalogueKind.PREFERENCE, "7", "News"), Entry(CatalogueKind.PREFERENCE, "8", "News, weekly"))
BOX = Entry(CatalogueKind.CATEGORY, "9", "All news")
TYPE = Entry(CatalogueKind.EMAIL_TYPE, "Primary", "Primary")
KINDS = frozenset(CatalogueKind)
ALL = Catalogue((NEWS, TALKS, *LEAVES, BOX, TYPE), KINDS)
NOWHERE = Topic(CHANNEL, None, {})
A_FILTER = Topic(TopicId("news"), FilterRef("news_email", "primary"), {"daily": 7, "WEEKLY": 8})
A_CONSENT = Topic(TopicId("talks"), ConsentRef("TALKS", "1.0", "de_de"), {"": 7})


def mapping(*topics: Topic) -> Mapping:
    return Mapping(topics, NOWHERE, OnUnsubscribe.CHANNEL, "digest")


def having(entry: Entry) -> Catalogue:
    return Catalogue(tuple(entry if one.key == entry.key else one for one in ALL.entries), KINDS)


def without(entry: Entry) -> Catalogue:
    return Catalogue(tuple(one for one in ALL.entries if one != entry), KINDS)


def test_what_exists_fits_in_any_case_of_its_ids() -> None:
    assert find_problems(mapping(A_FILTER, A_CONSENT), ALL) == []


@pytest.mark.parametrize(
    ("topic", "catalogue", "kind", "key", "side"),
    [
        (A_FILTER, without(NEWS), ProblemKind.MISSING, "filter", Side.MYPREFERENCES),
        (A_FILTER, having(replace(NEWS, active=False)), ProblemKind.INACTIVE, "filter", Side.MYPREFERENCES),
        (A_FILTER, having(replace(NEWS, channel="Text")), ProblemKind.CHANNEL, "filter", Side.MYPREFERENCES),
        (
            A_FILTER,
            having(replace(NEWS, frequencies=("DAILY",))),
            ProblemKind.FREQUENCY, "WEEKLY", Side.MYPREFERENCES,
        ),
        (A_FILTER, without(TYPE), ProblemKind.EMAIL_TYPE, "email_type", Side.MYPREFERENCES),
        (A_FILTER, without(LEAVES[1]), ProblemKind.MISSING, "WEEKLY", Side.DOTDIGITAL),
        (A_CONSENT, without(TALKS), ProblemKind.MISSING, "consent", Side.MYPREFERENCES),
        (
            A_CONSENT,
            having(replace(TALKS, active=False)),
            ProblemKind.INACTIVE,
            "consent",
            Side.MYPREFERENCES,
        ),
        (A_CONSENT, having(replace(TALKS, editions=())), ProblemKind.VERSION, "version", Side.MYPREFERENCES),
        (
            A_CONSENT,
            having(replace(TALKS, editions=(CatalogueVersion("1.0", ("de_DE",), active=False),))),
            ProblemKind.INACTIVE, "version", Side.MYPREFERENCES,
        ),
        (
            A_CONSENT,
            having(replace(TALKS, editions=(CatalogueVersion("1.0", ("en_US",)),))),
            ProblemKind.LOCALE, "locale", Side.MYPREFERENCES,
        ),
        (replace(A_CONSENT, preferences={"": 9}), ALL, ProblemKind.CATEGORY, "preference", Side.DOTDIGITAL),
    ],
)  # fmt: skip
def test_each_thing_that_does_not_fit_is_told_with_its_key_and_its_side(
    topic: Topic, catalogue: Catalogue, kind: ProblemKind, key: str, side: Side
) -> None:
    (found,) = find_problems(mapping(topic), catalogue)
    assert (found.topic, found.kind, found.key[-1], found.side) == (topic.id, kind, key, side)
    assert found.what
    assert found.hint
    assert set(missing_topics(mapping(topic), catalogue)) == ({topic.id} if kind.gone else set())


def test_what_a_side_does_not_say_is_no_fault() -> None:
    silent = Catalogue(
        (Entry(CatalogueKind.FILTER, "NEWS_EMAIL"), Entry(CatalogueKind.CONSENT, "Talks"), *LEAVES, TYPE),
        KINDS,
    )
    assert find_problems(mapping(A_FILTER, A_CONSENT), silent) == []


def test_kinds_that_were_not_read_are_not_missed() -> None:
    assert find_problems(mapping(A_FILTER, A_CONSENT), Catalogue()) == []
    assert kinds_used(Side.MYPREFERENCES, mapping(A_FILTER)) == {CatalogueKind.FILTER}


@pytest.mark.parametrize(
    ("before", "after", "news"),
    [
        (NEWS, replace(NEWS, name="Letters"), ChangeKind.RENAMED),
        (NEWS, replace(NEWS, active=False), ChangeKind.DEACTIVATED),
        (replace(NEWS, active=False), NEWS, ChangeKind.REACTIVATED),
        (NEWS, replace(NEWS, channel="Fax"), ChangeKind.CHANNEL_CHANGED),
        (NEWS, replace(NEWS, frequencies=("daily",)), ChangeKind.FREQUENCY_GONE),
        (replace(NEWS, frequencies=()), replace(NEWS, frequencies=("DAILY",)), ChangeKind.FREQUENCY_ADDED),
        (TALKS, replace(TALKS, editions=TALKS.editions and TALKS.editions[:1]), ChangeKind.VERSION_GONE),
        (
            replace(TALKS, editions=()),
            replace(TALKS, editions=(CatalogueVersion("3"),)),
            ChangeKind.VERSION_ADDED,
        ),
        (
            TALKS,
            replace(TALKS, editions=(CatalogueVersion("1.0", ("EN_us",)), CatalogueVersion("2.0"))),
            ChangeKind.LOCALE_GONE,
        ),
    ],
)
def test_each_change_of_an_entry_is_noticed_once(before: Entry, after: Entry, news: ChangeKind) -> None:
    (found,) = catalogue_changes(having(before), having(after))
    assert (found.news, found.id) == (news, after.id)


def test_what_comes_and_goes_is_noticed() -> None:
    assert [(one.news, one.id) for one in catalogue_changes(ALL, without(BOX))] == [(ChangeKind.REMOVED, "9")]
    assert [(one.news, one.id) for one in catalogue_changes(without(BOX), ALL)] == [(ChangeKind.ADDED, "9")]
    assert catalogue_changes(ALL, ALL) == []


def test_a_kind_that_was_not_read_before_is_no_news() -> None:
    assert catalogue_changes(Catalogue(), ALL) == []
    assert catalogue_changes(ALL, Catalogue(LEAVES, frozenset({CatalogueKind.PREFERENCE}))) == []
