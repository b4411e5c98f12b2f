"""A person who was erased: which of their later statements still count."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from bridge.core.decide import decide
from bridge.core.decision import Act, Held, Nothing, Rule
from bridge.core.erasure import ErasedSignal, ErasureKey, ErasureMarker, ErasureSettings, erased_signal
from bridge.core.errors import ConfigError
from bridge.core.guards import DecisionContext
from bridge.core.mapping import FilterRef, Topic
from bridge.core.model import (
    OTHER_ADDRESS,
    Agreement,
    Cell,
    Choice,
    ClockReading,
    Observation,
    PersonId,
    Side,
    TopicId,
)

GONE = datetime(2026, 3, 1, 12, tzinfo=UTC)
NOW = GONE + timedelta(days=1)
SKEW = timedelta(seconds=2)
NEWS = TopicId("newsletter")
IN, OUT, UNSET = Choice.OPTED_IN, Choice.OPTED_OUT, Choice.UNSET
MINE, THEIRS = Side.MYPREFERENCES, Side.DOTDIGITAL


def said(choice: Choice, after: float | None = None, **more: object) -> Observation:
    """What was read a day after the erasure, dated so many seconds after it."""
    at = None if after is None else GONE + timedelta(seconds=after)
    return Observation(choice, NOW, changed_at=at, **more)  # type: ignore[arg-type]


def news(seen: Observation, mark: ErasureMarker | None = None, side: Side = MINE) -> ErasedSignal:
    return erased_signal({NEWS: seen}, side, mark or ErasureMarker(GONE), ClockReading(NOW, SKEW))


@pytest.mark.parametrize("after", [-86400, 0, 2])
def test_an_opt_in_not_newer_than_the_erasure_does_not_count(after: float) -> None:
    assert news(said(IN, after)) is ErasedSignal.NOTHING


def test_an_opt_in_newer_by_more_than_the_skew_counts() -> None:
    assert news(said(IN, 3)) is ErasedSignal.OPT_IN


@pytest.mark.parametrize(
    "seen",
    [
        said(IN),
        said(IN, undated=True),
        said(IN, 60, stated=False),
        said(IN, 60, reason=OTHER_ADDRESS),
        said(IN, 3 * 86400),
        said(UNSET),
    ],
    ids=["undated", "listed", "a mere state", "of another address", "dated in the future", "silent"],
)
def test_what_is_no_dated_opt_in_of_theirs_brings_nobody_back(seen: Observation) -> None:
    assert news(seen) is ErasedSignal.NOTHING


def test_an_opt_in_that_a_batch_may_have_brought_does_not_count() -> None:
    """Dotdigital dates every row by its own clock, also those of a batch."""
    assert news(said(IN, 60), side=THEIRS) is ErasedSignal.NOTHING


@pytest.mark.parametrize("after", [None, 0.001, 60])
def test_a_withdrawal_counts_under_doubt(after: float | None) -> None:
    assert news(said(OUT, after)) is ErasedSignal.WITHDRAWAL


def test_a_withdrawal_from_before_is_no_news() -> None:
    assert news(said(OUT, -60)) is ErasedSignal.NOTHING


def test_a_withdrawal_that_was_known_stays_known_where_a_listing_gives_no_date() -> None:
    mark = ErasureMarker(GONE, {THEIRS: {NEWS: GONE + timedelta(seconds=5)}})
    assert news(said(OUT), mark, THEIRS) is ErasedSignal.NOTHING
    assert news(said(OUT, 5), mark, THEIRS) is ErasedSignal.NOTHING
    assert news(said(OUT, 6), mark, THEIRS) is ErasedSignal.WITHDRAWAL
    assert news(said(OUT), mark, MINE) is ErasedSignal.WITHDRAWAL


def test_one_address_has_one_mark_however_it_is_written_and_none_without_the_key() -> None:
    key = ErasureKey("a long random word")
    assert key.token(" Ann@Example.com") == key.token("ann@example.com")
    assert len({key.token("ann@example.com"), key.token("bob@example.com"), key.id}) == 3
    other = ErasureKey("another random word")
    assert (other.id, other.token("ann@example.com")) != (key.id, key.token("ann@example.com"))


def test_a_mark_of_an_earlier_version_is_recognised() -> None:
    """It was of the case folded address, in whatever way that was composed."""
    key = ErasureKey("a long random word")
    for address in ("Straße@example.com", "zoe\u0308@example.com", "zo\u00eb@example.com", "ann@example.com"):
        before = key._digest(b"address:" + address.strip().casefold().encode())
        assert before in key.tokens(address)
    assert key.tokens("ann@example.com")[0] == key.token("ann@example.com")
    assert len(key.tokens("ann@example.com")) == 2
    assert key.token("straße@example.com") != key.token("strasse@example.com")


def test_a_mark_is_of_one_address_and_of_none_that_only_looks_alike() -> None:
    key = ErasureKey("a long random word")
    for one, other in (("strasse@example.com", "straße@example.com"), ("a@weiss.example", "a@weiß.example")):
        assert key.token(one) not in key.tokens(other)
        assert key.token(other) not in key.tokens(one)


def test_the_key_is_not_shown() -> None:
    assert "random" not in repr(ErasureSettings(ErasureKey("a long random word")))


def test_nobody_is_erased_without_a_key() -> None:
    with pytest.raises(ConfigError, match="BRIDGE_ERASURE_KEY"):
        ErasureSettings().required()


# decisions about an erased person who is known again

TOPIC = Topic(NEWS, FilterRef("NEWS_EMAIL"), {"": 1002})


def cell(mine: Observation, theirs: Observation) -> Cell:
    return Cell(PersonId(1), NEWS, {MINE: mine, THEIRS: theirs}, erased_at=GONE)


def decided(mine: Observation, theirs: Observation, **more: object) -> object:
    now = DecisionContext(ClockReading(NOW, SKEW), **more)  # type: ignore[arg-type]
    return decide(TOPIC, cell(mine, theirs), None, False, now)


def test_an_older_opt_in_raises_nobody_who_was_erased() -> None:
    assert decided(said(IN, -60), said(UNSET)) == Nothing(Rule.ERASED)


def test_nobody_is_asked_about_an_older_opt_in() -> None:
    found = decided(said(IN, -60), said(UNSET), epoch=GONE + timedelta(hours=1))
    assert found == Nothing(Rule.ERASED)


def test_a_later_opt_in_raises_them() -> None:
    assert isinstance(decided(said(IN, 60), said(UNSET)), Act)


def test_an_opt_in_that_a_batch_may_have_brought_raises_nobody() -> None:
    assert decided(said(UNSET), said(IN, 60)) == Nothing(Rule.ERASED)


def test_an_opt_in_that_a_batch_may_have_brought_undoes_no_opt_out() -> None:
    found = decided(said(OUT, 30), said(IN, 60))
    assert isinstance(found, Act)
    assert [(write.side, write.topic) for write in found.writes] == [(THEIRS, NEWS)]
    assert found.choice is OUT


def test_who_came_back_by_a_statement_of_their_own_is_followed_at_both_sides() -> None:
    """What was agreed since rests on an opt-in at MyPreferences."""
    back = Agreement(IN, GONE + timedelta(seconds=30), "newer_opt_in", NOW, {})
    one = replace(cell(said(UNSET), said(IN, 60)), agreed=back)
    found = decide(TOPIC, one, None, False, DecisionContext(ClockReading(NOW, SKEW)))
    assert isinstance(found, Act)
    assert found.choice is IN


def test_a_withdrawal_of_an_erased_person_is_carried() -> None:
    found = decided(said(IN, -60), said(OUT, 60))
    assert isinstance(found, Act)
    assert found.choice is OUT


def test_a_hold_that_proposes_a_withdrawal_stays() -> None:
    found = decided(
        said(IN, -60), said(OUT, 60), bursts=frozenset({GONE.replace(second=0) + timedelta(minutes=1)})
    )
    assert isinstance(found, Held)
