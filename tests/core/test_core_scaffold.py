"""Names of both sides matched: what is sure, what a person has to say, and what is left over."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.core.catalogue import Catalogue, CatalogueKind, CatalogueVersion, Entry
from bridge.mapping_file.matching import MatchResult, match_catalogues
from bridge.similarity import frequency_of, similarity, without_frequency, words

NEWS = Entry(CatalogueKind.FILTER, "NEWS_EMAIL", "Newsletter", channel="Email", group="NEWS")
OFFERS = Entry(
    CatalogueKind.FILTER, "OFFERS_EMAIL", "Offers", channel="Email", frequencies=("DAILY", "WEEKLY")
)
TALKS = Entry(CatalogueKind.CONSENT, "Talks", "Talks", editions=(CatalogueVersion("1.0", ("en_US",)),))
MAIL = Entry(
    CatalogueKind.CONSENT, "EmailMarketing", "EmailMarketing", editions=(CatalogueVersion("1.0", ("en_US",)),)
)
BOX = Entry(CatalogueKind.CATEGORY, "9", "Offers")
DAILY = Entry(CatalogueKind.PREFERENCE, "3", "Offers every day", group="9", group_name="Offers")
WEEKLY = Entry(CatalogueKind.PREFERENCE, "4", "Offers once a week", group="9", group_name="Offers")


def leaf(number: int, name: str) -> Entry:
    return Entry(CatalogueKind.PREFERENCE, str(number), name)


def of(*entries: Entry) -> MatchResult:
    return match_catalogues(Catalogue(entries, frozenset(CatalogueKind)))


def left(made: MatchResult) -> dict[str, str]:
    return {one.entry.id: one.why for one in made.left}


@pytest.mark.parametrize(
    ("one", "other", "least", "most"),
    [
        ("NEWS_EMAIL", "news", 100, 100),
        ("Weekly Offers", "weekly offer", 100, 100),
        ("Événements", "evenements", 100, 100),
        ("ProductUpdates", "product updates", 100, 100),
        ("Product updates", "Updates: products", 95, 95),
        ("News", "News and events", 60, 89),
        ("Newsletter", "Newsletters weekly", 60, 89),
        ("Recipes", "Receipts", 0, 89),
        ("Surveys", "Newsletter", 0, 54),
        ("", "Newsletter", 0, 0),
    ],
)
def test_names_are_as_alike_as_people_would_say(one: str, other: str, least: int, most: int) -> None:
    found = similarity(one, other)
    assert least <= found.score <= most, found
    assert found.score == 0 or (one in found.reason and other in found.reason)


@given(st.text(max_size=30), st.text(max_size=30))
def test_similarity_is_the_same_both_ways_and_within_its_bounds(one: str, other: str) -> None:
    found = similarity(one, other).score
    assert 0 <= found <= 100
    assert (found == 100) == (words(one) == words(other) != ())
    assert abs(found - similarity(other, one).score) <= 20


@pytest.mark.parametrize(
    ("name", "often"),
    [
        ("DAILY", "daily"), ("Offers every day", "daily"), ("once a week", "weekly"), ("Weekly", "weekly"),
        ("every two weeks", "fortnightly"), ("bi-weekly", "fortnightly"), ("each month", "monthly"),
        ("annually", "yearly"), ("immediately", "at once"), ("twice a week", ""), ("Offers", ""),
    ],
)  # fmt: skip
def test_how_often_is_told_by_the_name(name: str, often: str) -> None:
    assert frequency_of(name) == often


def test_a_name_without_its_pace_is_what_it_is_about() -> None:
    assert without_frequency("Offers, once a week") == "offers"


def test_the_same_words_are_a_sure_match() -> None:
    made = of(NEWS, leaf(7, "Newsletters"), leaf(8, "Surveys"))
    (found,) = made.topics
    assert (found.source, found.preferences, found.score, found.sure) == (NEWS, {"": 7}, 100, True)
    assert "Newsletter" in found.reason
    assert left(made)["8"].startswith(("no similar name", "most similar"))


def test_an_unsure_match_is_left_to_a_person() -> None:
    (found,) = of(NEWS, leaf(7, "Newsletter for members")).topics
    assert not found.sure
    assert found.score < 90


def test_two_as_like_make_neither_sure() -> None:
    (found,) = of(NEWS, leaf(7, "Newsletter"), leaf(8, "The newsletter")).topics
    assert found.score == 100
    assert not found.sure
    assert "8" in found.doubts[0] or "7" in found.doubts[0]
    other = replace(NEWS, id="NEWS2_EMAIL")
    assert not any(one.sure for one in of(NEWS, other, leaf(7, "Newsletter")).topics)


def test_nothing_is_matched_twice() -> None:
    twin = replace(NEWS, id="LETTER_EMAIL")
    made = of(NEWS, twin, leaf(7, "Newsletter"))
    assert len(made.topics) == 1
    assert len(left(made)) == 1


def test_frequencies_spread_over_the_preferences_of_one_category() -> None:
    made = of(OFFERS, BOX, DAILY, WEEKLY)
    (found,) = made.topics
    assert found.preferences == {"DAILY": 3, "WEEKLY": 4}
    assert found.sure
    assert "DAILY is Offers every day" in found.reason
    assert made.left == []


@pytest.mark.parametrize(
    "leaves",
    [
        (DAILY,),
        (DAILY, replace(WEEKLY, name="Offers each month")),
        (DAILY, replace(DAILY, id="5"), WEEKLY),
        (DAILY, replace(WEEKLY, group="10")),
    ],
)
def test_a_frequency_without_one_clear_preference_is_a_persons_to_say(leaves: tuple[Entry, ...]) -> None:
    (found,) = of(OFFERS, BOX, *leaves).topics
    assert not found.sure
    assert "people with this frequency would be held" in found.doubts[0]


def test_a_filter_with_frequencies_on_one_preference_is_a_persons_to_say() -> None:
    (found,) = of(OFFERS, leaf(7, "Offers")).topics
    assert (found.score, found.sure) == (100, False)


@pytest.mark.parametrize(
    ("source", "doubt"),
    [
        (replace(NEWS, name="Talks", active=False), "inactive"),
        (
            replace(
                TALKS, editions=(CatalogueVersion("1.0", ("en_US",)), CatalogueVersion("2.0", ("en_US",)))
            ),
            "versions",
        ),
        (replace(TALKS, editions=(CatalogueVersion("1.0", ("en_US", "de_DE")),)), "locales"),
    ],
)
def test_what_leaves_something_open_is_a_persons_to_say(source: Entry, doubt: str) -> None:
    (found,) = of(source, leaf(7, "Talks")).topics
    assert not found.sure
    assert doubt in found.doubts[0]


def test_the_newest_active_version_is_the_one_to_map() -> None:
    editions = (
        CatalogueVersion("1.0", ("en_US",)),
        CatalogueVersion("2.0", ("en_US",)),
        CatalogueVersion("3.0", ("en_US",), active=False),
    )
    (found,) = of(replace(TALKS, editions=editions), leaf(7, "Talks")).topics
    assert found.edition is not None
    assert found.edition.version == "2.0"


def test_only_email_is_carried() -> None:
    made = of(replace(NEWS, channel="Text"), leaf(7, "Newsletter"))
    assert made.topics == []
    assert "channel is Text" in left(made)["NEWS_EMAIL"]


def test_the_consent_for_all_email_is_the_channels() -> None:
    made = of(MAIL, TALKS, leaf(7, "Marketing"))
    assert made.channel is not None
    assert (made.channel.source, made.channel.sure) == (MAIL, True)
    assert made.topics == []
    assert of(TALKS).channel is None


def test_two_consents_called_so_make_the_channel_a_persons_to_say() -> None:
    made = of(MAIL, replace(MAIL, id="Marketing", name="Marketing"))
    assert made.channel is not None
    assert not made.channel.sure
