"""A mapping held against what exists, and what is told of it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bridge.core.catalogue import Catalogue, Edition, Entry, Kind, News, changes
from bridge.core.fit import Fault, kinds_at, misfits, missing
from bridge.core.mapping import CHANNEL, ConsentRef, FilterRef, Mapping, OnUnsubscribe, Topic
from bridge.core.model import Side, TopicId

NEWS = Entry(Kind.FILTER, "NEWS_EMAIL", "Newsletter", channel="Email", frequencies=("DAILY", "WEEKLY"))
TALKS = Entry(Kind.CONSENT, "Talks", "Talks", editions=(Edition("1.0", ("en_US", "de_DE")), Edition("2.0")))
LEAVES = (Entry(Kind.PREFERENCE, "7", "News"), Entry(Kind.PREFERENCE, "8", "News, weekly"))
BOX = Entry(Kind.CATEGORY, "9", "All news")
TYPE = Entry(Kind.EMAIL_TYPE, "Primary", "Primary")
KINDS = frozenset(Kind)
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
    assert misfits(mapping(A_FILTER, A_CONSENT), ALL) == []


@pytest.mark.parametrize(
    ("topic", "catalogue", "fault", "key", "side"),
    [
        (A_FILTER, without(NEWS), Fault.MISSING, "filter", Side.MYPREFERENCES),
        (A_FILTER, having(replace(NEWS, active=False)), Fault.INACTIVE, "filter", Side.MYPREFERENCES),
        (A_FILTER, having(replace(NEWS, channel="Text")), Fault.CHANNEL, "filter", Side.MYPREFERENCES),
        (
            A_FILTER,
            having(replace(NEWS, frequencies=("DAILY",))),
            Fault.FREQUENCY, "WEEKLY", Side.MYPREFERENCES,
        ),
        (A_FILTER, without(TYPE), Fault.EMAIL_TYPE, "email_type", Side.MYPREFERENCES),
        (A_FILTER, without(LEAVES[1]), Fault.MISSING, "WEEKLY", Side.DOTDIGITAL),
        (A_CONSENT, without(TALKS), Fault.MISSING, "consent", Side.MYPREFERENCES),
        (A_CONSENT, having(replace(TALKS, active=False)), Fault.INACTIVE, "consent", Side.MYPREFERENCES),
        (A_CONSENT, having(replace(TALKS, editions=())), Fault.VERSION, "version", Side.MYPREFERENCES),
        (
            A_CONSENT,
            having(replace(TALKS, editions=(Edition("1.0", ("de_DE",), active=False),))),
            Fault.INACTIVE, "version", Side.MYPREFERENCES,
        ),
        (
            A_CONSENT,
            having(replace(TALKS, editions=(Edition("1.0", ("en_US",)),))),
            Fault.LOCALE, "locale", Side.MYPREFERENCES,
        ),
        (replace(A_CONSENT, preferences={"": 9}), ALL, Fault.CATEGORY, "preference", Side.DOTDIGITAL),
    ],
)  # fmt: skip
def test_each_thing_that_does_not_fit_is_told_with_its_key_and_its_side(
    topic: Topic, catalogue: Catalogue, fault: Fault, key: str, side: Side
) -> None:
    (found,) = misfits(mapping(topic), catalogue)
    assert (found.topic, found.fault, found.key[-1], found.side) == (topic.id, fault, key, side)
    assert found.what
    assert found.mend
    assert set(missing(mapping(topic), catalogue)) == ({topic.id} if fault.gone else set())


def test_what_a_side_does_not_say_is_no_fault() -> None:
    silent = Catalogue((Entry(Kind.FILTER, "NEWS_EMAIL"), Entry(Kind.CONSENT, "Talks"), *LEAVES, TYPE), KINDS)
    assert misfits(mapping(A_FILTER, A_CONSENT), silent) == []


def test_kinds_that_were_not_read_are_not_missed() -> None:
    assert misfits(mapping(A_FILTER, A_CONSENT), Catalogue()) == []
    assert kinds_at(Side.MYPREFERENCES, mapping(A_FILTER)) == {Kind.FILTER}


@pytest.mark.parametrize(
    ("before", "after", "news"),
    [
        (NEWS, replace(NEWS, name="Letters"), News.RENAMED),
        (NEWS, replace(NEWS, active=False), News.DEACTIVATED),
        (replace(NEWS, active=False), NEWS, News.REACTIVATED),
        (NEWS, replace(NEWS, channel="Fax"), News.CHANNEL_CHANGED),
        (NEWS, replace(NEWS, frequencies=("daily",)), News.FREQUENCY_GONE),
        (replace(NEWS, frequencies=()), replace(NEWS, frequencies=("DAILY",)), News.FREQUENCY_ADDED),
        (TALKS, replace(TALKS, editions=TALKS.editions and TALKS.editions[:1]), News.VERSION_GONE),
        (replace(TALKS, editions=()), replace(TALKS, editions=(Edition("3"),)), News.VERSION_ADDED),
        (
            TALKS,
            replace(TALKS, editions=(Edition("1.0", ("EN_us",)), Edition("2.0"))),
            News.LOCALE_GONE,
        ),
    ],
)
def test_each_change_of_an_entry_is_noticed_once(before: Entry, after: Entry, news: News) -> None:
    (found,) = changes(having(before), having(after))
    assert (found.news, found.id) == (news, after.id)


def test_what_comes_and_goes_is_noticed() -> None:
    assert [(one.news, one.id) for one in changes(ALL, without(BOX))] == [(News.REMOVED, "9")]
    assert [(one.news, one.id) for one in changes(without(BOX), ALL)] == [(News.ADDED, "9")]
    assert changes(ALL, ALL) == []


def test_a_kind_that_was_not_read_before_is_no_news() -> None:
    assert changes(Catalogue(), ALL) == []
    assert changes(ALL, Catalogue(LEAVES, frozenset({Kind.PREFERENCE}))) == []
