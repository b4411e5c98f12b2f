"""The catalogues of both sides are stored, and each change is reported once."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from bridge.core.catalogue import Catalogue, CatalogueKind, CatalogueVersion, ChangeKind, Entry
from bridge.store import Store
from tests.store.helpers import Clock

NEWS = Entry(
    CatalogueKind.FILTER,
    "NEWS_EMAIL",
    "Newsletter",
    ("Rundbrief", "NEWS"),
    "NEWS",
    "Newsletter",
    "Email",
    True,
    ("DAILY",),
)
TALKS = Entry(
    CatalogueKind.CONSENT,
    "Talks",
    editions=(CatalogueVersion("1.0", ("en_US",)), CatalogueVersion("2.0", None, active=False)),
)
LEAF = Entry(CatalogueKind.PREFERENCE, "7", "News")
MINE, THEIRS = (
    frozenset({CatalogueKind.FILTER, CatalogueKind.CONSENT}),
    frozenset({CatalogueKind.PREFERENCE, CatalogueKind.CATEGORY}),
)
FIRST = Catalogue((TALKS, NEWS), MINE)


def test_what_is_kept_comes_back_the_same(store: Store) -> None:
    assert store.catalogue.save(FIRST) == []
    kept = store.catalogue.load()
    assert set(kept.entries) == {NEWS, TALKS}
    assert kept.kinds == MINE
    assert store.catalogue.save(FIRST) == []
    assert store.catalogue.save(Catalogue((LEAF,), THEIRS)) == []
    assert store.catalogue.load().kinds == MINE | THEIRS
    assert store.catalogue.load().find(CatalogueKind.FILTER, "news_email") == NEWS


def test_a_change_is_reported_once_and_stored(store: Store, clock: Clock) -> None:
    store.catalogue.save(FIRST)
    began = clock()
    renamed = Catalogue((replace(NEWS, name="Letters"),), MINE)
    changes = [(one.news, one.id) for one in store.catalogue.save(renamed)]
    assert sorted(changes) == [(ChangeKind.REMOVED, "Talks"), (ChangeKind.RENAMED, "NEWS_EMAIL")]
    assert store.catalogue.save(renamed) == []
    noticed = store.catalogue.changed_since(began)
    assert [(one.change.news, one.change.id) for one in noticed] == changes
    assert store.catalogue.changed_since(clock() + timedelta(days=1)) == []


def test_a_reading_that_is_not_kept_leaves_the_news_to_the_next(store: Store) -> None:
    store.catalogue.save(FIRST)
    gone = Catalogue((NEWS,), MINE)
    assert [one.news for one in store.catalogue.compare(gone)] == [ChangeKind.REMOVED]
    assert [one.news for one in store.catalogue.save(gone)] == [ChangeKind.REMOVED]


def test_a_side_that_was_not_read_loses_nothing(store: Store) -> None:
    store.catalogue.save(FIRST | Catalogue((LEAF,), THEIRS))
    assert store.catalogue.save(Catalogue((NEWS,), frozenset({CatalogueKind.FILTER}))) == []
    assert len(store.catalogue.load().entries) == 3


def test_an_address_in_a_name_is_not_kept_and_is_no_news(store: Store) -> None:
    named = Catalogue((replace(NEWS, name="Ask ann@example.com"),), MINE)
    store.catalogue.save(named)
    assert "ann@" not in store.catalogue.load().entries[0].name
    assert store.catalogue.save(named) == []
