"""Facts of a state DB: what is set comes back, and stands under the keys and texts that state DBs have."""

from __future__ import annotations

from datetime import UTC, datetime

from bridge.core.brakes import Burst
from bridge.core.facts import CatalogueCheck, ErasedWrites, Facts
from bridge.core.mapping import Direction
from bridge.core.model import Side, TopicId
from bridge.core.ports import ListingCursor
from bridge.core.scope import Scope, Scopes

AT = datetime(2026, 3, 1, 12, 30, tzinfo=UTC)
NEWS = TopicId("newsletter")
ERASED = (ErasedWrites(AT, None, ((Side.MYPREFERENCES, AT),)),)
NAMES = {Side.MYPREFERENCES: "filter NEWS", Side.DOTDIGITAL: "preference 2"}
SCOPE = Scope(NAMES, Direction.TO_DOTDIGITAL, "p1", AT, swept=False, change="is new", mapped=False)


class Texts(dict[str, str]):
    """Keeps texts in memory."""

    def set(self, key: str, value: str) -> None:
        self[key] = value


def test_facts_stand_under_their_keys_as_text() -> None:
    texts = Texts()
    facts = Facts(texts)
    facts.epoch = facts.first_run_completed = facts.swept_at = AT
    facts.sweep_due = "dotdigital.feed"
    facts.mapping_digest = "d1"
    facts.mapped_topics = (NEWS, TopicId("angebote-für-alle"))
    facts.catalogue_check = CatalogueCheck(AT, {NEWS: "filter NEWS is gone"})
    facts.instance = "0123"
    facts.bursts = (Burst(Side.DOTDIGITAL, AT, opts_in=True, found_at=AT),)
    facts.read_names = {NEWS: NAMES}
    facts.erased_writes = ERASED
    facts.scopes = Scopes("d1", {NEWS: SCOPE})
    facts.set_account(Side.DOTDIGITAL, "7")
    facts.set_listing(Side.DOTDIGITAL, ListingCursor("page 3", AT), "d1")
    assert texts == {
        "epoch": "2026-03-01T12:30:00Z",
        "first_run_completed": "2026-03-01T12:30:00Z",
        "swept_at": "2026-03-01T12:30:00Z",
        "sweep_owed": "dotdigital.feed",
        "mapping": "d1",
        "mapped_topics": '["newsletter","angebote-für-alle"]',
        "catalogues": '{"at": "2026-03-01T12:30:00Z", "gone": {"newsletter": "filter NEWS is gone"}}',
        "instance": "0123",
        "bursts": '[["dotdigital","2026-03-01T12:30:00Z",true,"2026-03-01T12:30:00Z"]]',
        "erased_writes": '[["2026-03-01T12:30:00Z",null,[["mypreferences","2026-03-01T12:30:00Z"]]]]',
        "read_names": '{"newsletter": {"mypreferences": "filter NEWS", "dotdigital": "preference 2"}}',
        "scopes": texts["scopes"],
        "account.dotdigital": "7",
        "listing:dotdigital": '{"place": "page 3", "began": "2026-03-01T12:30:00Z", "mapping": "d1"}',
    }
    again = Facts(texts)
    assert again.epoch == again.first_run_completed == again.swept_at == AT
    assert (again.sweep_due, again.mapping_digest, again.instance) == ("dotdigital.feed", "d1", "0123")
    assert again.bursts == (Burst(Side.DOTDIGITAL, AT, opts_in=True, found_at=AT),)
    assert again.read_names == {NEWS: NAMES}
    assert again.erased_writes == ERASED
    assert again.scopes == Scopes("d1", {NEWS: SCOPE})
    assert again.mapped_topics == (NEWS, "angebote-für-alle")
    assert again.catalogue_check == CatalogueCheck(AT, {NEWS: "filter NEWS is gone"})
    assert again.account(Side.DOTDIGITAL) == "7"
    assert again.listing(Side.DOTDIGITAL, "d1") == ListingCursor("page 3", AT)


def test_a_fact_that_was_never_set_or_was_taken_back_is_none() -> None:
    facts = Facts(Texts())
    for _ in range(2):
        assert facts.epoch is facts.sweep_due is facts.catalogue_check is facts.mapped_topics is None
        assert facts.account(Side.MYPREFERENCES) is None
        assert facts.listing(Side.MYPREFERENCES, "d1") is None
        facts.epoch = facts.sweep_due = facts.catalogue_check = facts.mapped_topics = None
        facts.set_account(Side.MYPREFERENCES, None)
        facts.set_listing(Side.MYPREFERENCES, None, "d1")


def test_no_mapped_topic_is_something_else_than_an_unknown_mapping() -> None:
    facts = Facts(Texts())
    facts.mapped_topics = ()
    assert facts.mapped_topics == ()


def test_a_listing_read_with_another_mapping_is_not_continued() -> None:
    facts = Facts(Texts())
    facts.set_listing(Side.DOTDIGITAL, ListingCursor("page 3", AT), "d1")
    assert facts.listing(Side.DOTDIGITAL, "d2") is None


def test_times_written_by_earlier_versions_are_read() -> None:
    assert Facts(Texts(swept_at="2026-03-01T12:30:00+00:00")).swept_at == AT
