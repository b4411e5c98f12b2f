"""A draft is a valid mapping for any names, as it is and with every suggestion accepted."""

from __future__ import annotations

import re
import tomllib

from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.core.catalogue import Catalogue, CatalogueKind, CatalogueVersion, Entry
from bridge.mapping_file import check_mapping_text, read_mapping
from bridge.mapping_file.draft import draft
from bridge.mapping_file.matching import match_catalogues

NAMES = st.sampled_from(
    ["News", "news email", "Offers", "Offers daily", "weekly offers", 'a "b"', "\x7f\n[[", ""]
)
NAME = NAMES | st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
WORD = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=22)
EDITIONS = st.lists(
    st.builds(CatalogueVersion, WORD, st.none() | st.tuples(WORD), st.booleans()),
    max_size=2,
    unique_by=lambda one: one.version,
).map(tuple)
SOURCES = st.lists(
    st.builds(
        Entry,
        kind=st.sampled_from([CatalogueKind.FILTER, CatalogueKind.CONSENT]),
        id=NAME,
        name=NAME,
        channel=st.sampled_from(["", "Email", "Text"]),
        active=st.booleans(),
        frequencies=st.none() | st.lists(WORD | st.sampled_from(["DAILY", "WEEKLY"]), max_size=3).map(tuple),
        editions=st.none() | EDITIONS,
    ),
    max_size=4,
    unique_by=lambda one: one.key,
)
LEAVES = st.lists(
    st.builds(
        Entry,
        kind=st.just(CatalogueKind.PREFERENCE),
        id=st.integers(1, 99).map(str),
        name=NAME,
        group=st.sampled_from(["", "100"]),
    ),
    max_size=5,
    unique_by=lambda one: one.id,
)
BOX = Entry(CatalogueKind.CATEGORY, "100", "Offers")


def uncommented(text: str) -> str:
    """The draft as a person leaves it who takes every suggestion."""
    return re.sub(r"(?m)^# (?=\[|[a-z_]+ = )", "", text)


@settings(deadline=None)
@given(SOURCES, LEAVES)
def test_a_draft_is_a_mapping_whatever_it_is_made_of(sources: list[Entry], leaves: list[Entry]) -> None:
    made = match_catalogues(Catalogue((*sources, BOX, *leaves), frozenset(CatalogueKind)))
    text = draft(made)
    assert check_mapping_text(text, "draft.toml") == []
    known = read_mapping(text, "draft.toml")
    assert known.draft
    assert len(known.topics) == sum(one.sure for one in made.topics)
    whole = uncommented(text)
    assert check_mapping_text(whole, "draft.toml") == []
    assert len(read_mapping(whole, "draft.toml").topics) == len(made.topics)


def test_a_draft_says_what_it_is_not_sure_of_and_what_is_left_over() -> None:
    news = Entry(CatalogueKind.FILTER, "NEWS_EMAIL", "Newsletter", channel="Email")
    club = Entry(CatalogueKind.FILTER, "CLUB_EMAIL", "Club letter", channel="Email")
    leaves = (
        Entry(CatalogueKind.PREFERENCE, "7", "Newsletter"),
        Entry(CatalogueKind.PREFERENCE, "8", "Letter of the club, in print"),
    )
    text = draft(
        match_catalogues(
            Catalogue(
                (news, club, *leaves, Entry(CatalogueKind.PREFERENCE, "9", "Xyz")), frozenset(CatalogueKind)
            )
        )
    )
    assert tomllib.loads(text)["topics"] == [
        {"id": "newsletter", "mypreferences": {"filter": "NEWS_EMAIL"}, "dotdigital": {"preference": 7}}
    ]
    assert '# id = "club_letter"' in text
    assert "withdraws every topic" in text
    assert "preference 9 (Xyz): no similar name" in text or "preference 9 (Xyz): most similar" in text
