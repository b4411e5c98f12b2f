"""What a change of address carries over, for everything that two addresses may have said."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

from core_cells import ABSENT, DD, MP, NOW, ORDINARY, TOPIC, agreed, cell, day, no, silent, yes
from hypothesis import assume, given
from hypothesis import strategies as st

from bridge.core.address_change import (
    FormerAndHolder,
    Succession,
    merge_agreements,
    newest_withdrawal,
    propagate_withdrawal,
    successions,
)
from bridge.core.decide import decide
from bridge.core.decision import is_raise, writes_of
from bridge.core.model import Agreement, Cell, Choice, Observation, PersonId
from bridge.core.writes import Withdrawal

DAYS = st.integers(1, 35)
MOVED = day(20)


@st.composite
def shown(draw: st.DrawFn) -> Observation:
    at = draw(st.none() | DAYS)
    return draw(st.sampled_from([yes(at), no(at), silent(), ABSENT]))


@st.composite
def cells(draw: st.DrawFn) -> Cell:
    mine, theirs = draw(shown()), draw(shown())
    words = st.tuples(st.sampled_from([Choice.OPTED_IN, Choice.OPTED_OUT]), DAYS)
    word = draw(st.none() | words)
    known: Agreement | None = None if word is None else agreed(word[0], word[1], mine, theirs)
    return cell(mine, theirs, known)


@given(cells(), cells())
def test_a_withdrawal_at_either_address_applies_at_the_new_one(old: Cell, new: Cell) -> None:
    merged = merge_agreements(old, new, MOVED)
    dates = [at for at in map(newest_withdrawal, (old, new)) if at is not None]
    if not dates:
        assert merged is None
    else:
        assert merged is not None
        assert (merged.choice, merged.at) == (Choice.OPTED_OUT, max(dates))
        assert merged.decided_at >= MOVED


@given(cells(), cells())
def test_merging_twice_is_merging_once(old: Cell, new: Cell) -> None:
    assume(all(seen.changed_at is not None for seen in new.seen.values() if seen.opted_out))
    merged = merge_agreements(old, new, MOVED)
    if merged is not None:
        assert merge_agreements(old, replace(new, agreed=merged), MOVED) is None
        assert propagate_withdrawal(old, replace(new, agreed=merged)) is None


@given(cells(), cells())
def test_nothing_said_before_the_change_raises_anybody_after_it(old: Cell, new: Cell) -> None:
    merged = merge_agreements(old, new, MOVED)
    if merged is None:
        return
    decision = decide(TOPIC, replace(new, agreed=merged), None, False, ORDINARY)
    if is_raise(decision):
        dates = [seen.changed_at for seen in new.seen.values() if seen.choice is Choice.OPTED_IN]
        assert max(date for date in dates if date is not None) > merged.decided_at


@given(cells(), cells())
def test_an_opted_in_side_beside_a_carried_opt_out_is_written_or_held(old: Cell, new: Cell) -> None:
    """Unless the opt-in is newer than the change: then it is the person's own choice since."""
    merged = merge_agreements(old, new, MOVED)
    if merged is None:
        return
    both = [new.seen[side] for side in (MP, DD)]
    fresh = any(
        seen.choice is Choice.OPTED_IN and seen.changed_at is not None and seen.changed_at > merged.decided_at
        for seen in both
    )
    outs = any(seen.choice is Choice.OPTED_OUT for seen in both)
    for side in (MP, DD):
        if new.seen[side].choice is Choice.OPTED_IN and outs and not fresh:
            decision = decide(TOPIC, replace(new, agreed=merged), None, False, ORDINARY)
            withdrawn = {write.side for write in writes_of(decision) if isinstance(write, Withdrawal)}
            assert side in withdrawn


def test_a_later_withdrawal_follows_and_a_later_opt_in_does_not_fall_to_an_older_one() -> None:
    left = cell(ABSENT, no(10), agreed(Choice.OPTED_OUT, 10))
    for mine, theirs in product((yes(15), silent()), repeat=2):
        known = agreed(Choice.OPTED_IN, 15, mine, theirs)
        assert propagate_withdrawal(left, cell(mine, theirs, known)) is None
    older = agreed(Choice.OPTED_IN, 5, yes(5), yes(5))
    carried = propagate_withdrawal(left, cell(yes(5), yes(5), older))
    assert carried is not None
    assert (carried.at, carried.decided_at) == (day(10), day(10))


def test_a_withdrawal_without_a_date_is_as_new_as_its_reading() -> None:
    undated = newest_withdrawal(cell(silent(), no()))
    assert undated is not None
    assert day(35) < undated < NOW


ADA, BEN = PersonId(1), PersonId(2)


def test_a_person_succeeds_another_whose_record_they_got_after_it_was_last_seen_there() -> None:
    pairs = [
        FormerAndHolder(ADA, BEN, until=day(10), left_at=day(14), bound_at=day(12)),
        FormerAndHolder(ADA, BEN, until=day(10), left_at=day(13), bound_at=day(15)),  # by another record
    ]
    assert successions(MP, pairs) == [Succession(MP, ADA, BEN, day(13))]


def test_an_address_that_the_record_had_all_the_while_inherits_nothing() -> None:
    shared = FormerAndHolder(ADA, BEN, until=day(10), left_at=day(14), bound_at=day(10))
    regained = FormerAndHolder(ADA, ADA, until=day(10), left_at=day(14), bound_at=day(15))
    assert successions(MP, [shared, regained]) == []
