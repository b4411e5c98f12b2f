"""What a new read makes of the stored observation: every rule, by its row."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.core.merge_observation import MergeResult, combine, merge
from bridge.core.model import Block, Choice, Observation, Side
from tests.store.helpers import IN, OUT, UNSET, at, seen

DATED = at(-100)
NEWER = at(-50)


def later(choice: Choice, **more: object) -> Observation:
    return seen(choice, 10, **more)


REPLACED = {
    "nothing was known": (None, later(IN)),
    "the choice changed": (seen(IN, changed_at=DATED), later(OUT)),
    "a dated look repeats it with a newer date": (seen(IN, changed_at=DATED), later(IN, changed_at=NEWER)),
    "a dated look corrects the date": (seen(IN, changed_at=NEWER), later(IN, changed_at=DATED)),
    "a listing shows an opt-in after a no": (seen(OUT, changed_at=DATED), later(IN, undated=True)),
    "a listing shows silence after an opt-in": (seen(IN, changed_at=DATED), later(UNSET, undated=True)),
    "a close look shows silence after a no": (seen(OUT, changed_at=DATED), later(UNSET)),
    "a listing shows another frequency": (
        seen(IN, changed_at=DATED, frequencies=("DAILY",)),
        later(IN, frequencies=("WEEKLY",), undated=True),
    ),
    "the person is gone": (seen(OUT, changed_at=DATED), later(UNSET, present=False, undated=True)),
    "the person is back": (seen(UNSET, present=False), later(UNSET, undated=True)),
    "an undated status with another block": (
        seen(OUT, changed_at=DATED),
        later(OUT, block=Block.COMPLAINT),
    ),
    "a block that is over": (seen(IN, changed_at=DATED, block=Block.UNREACHABLE), later(IN)),
    "a listing with a block that is over": (
        seen(IN, changed_at=DATED, block=Block.UNREACHABLE),
        later(IN, undated=True),
    ),
    "a listing with a new block": (
        seen(OUT, changed_at=DATED),
        later(OUT, block=Block.COMPLAINT, undated=True),
    ),
}


@pytest.mark.parametrize("case", REPLACED)
def test_a_later_read_that_knows_more_replaces_the_stored_one(case: str) -> None:
    old, new = REPLACED[case]
    assert merge(old, new, Side.DOTDIGITAL) == new


KEPT = {
    "a listing's silence leaves a dated no": (
        seen(OUT, changed_at=DATED, reason="Unsubscribed"),
        later(UNSET, undated=True, stated=False),
        seen(OUT, 10, changed_at=DATED, reason="Unsubscribed"),
    ),
    "a listing's silence leaves an undated no": (seen(OUT), later(UNSET, undated=True), seen(OUT, 10)),
    "a listing's silence leaves looked-at silence": (
        seen(UNSET, stated=False),
        later(UNSET, undated=True),
        seen(UNSET, 10, stated=False),
    ),
    "a bounce is added to a no": (
        seen(OUT, changed_at=DATED),
        later(UNSET, undated=True, block=Block.UNREACHABLE, reason="HardBounced"),
        seen(OUT, 10, changed_at=DATED, block=Block.UNREACHABLE, reason="HardBounced"),
    ),
    "a bounce does not wash a complaint off": (
        seen(OUT, changed_at=DATED, block=Block.COMPLAINT, reason="IspComplained"),
        later(UNSET, undated=True, block=Block.UNREACHABLE, reason="HardBounced"),
        seen(OUT, 10, changed_at=DATED, block=Block.COMPLAINT, reason="IspComplained"),
    ),
    "a listing repeats a dated opt-in": (
        seen(IN, changed_at=DATED),
        later(IN, undated=True, stated=False),
        seen(IN, 10, changed_at=DATED),
    ),
    "a listing repeats an opt-in that a look found undated": (
        seen(IN),
        later(IN, undated=True),
        seen(IN, 10),
    ),
    "an undated status repeats a dated no": (
        seen(OUT, changed_at=DATED, reason="Unsubscribed"),
        later(OUT, reason="Unsubscribed"),
        seen(OUT, 10, changed_at=DATED, reason="Unsubscribed"),
    ),
    "a complaint stays one while the person is out": (
        seen(OUT, changed_at=DATED, block=Block.COMPLAINT, reason="DirectComplaint"),
        later(OUT, reason="Unsubscribed"),
        seen(OUT, 10, changed_at=DATED, block=Block.COMPLAINT, reason="DirectComplaint"),
    ),
}


@pytest.mark.parametrize("case", KEPT)
def test_a_later_read_that_knows_less_keeps_what_is_known(case: str) -> None:
    old, new, expected = KEPT[case]
    assert merge(old, new, Side.DOTDIGITAL) == expected


@pytest.mark.parametrize("choice", [IN, OUT])
def test_a_choice_that_lost_its_date_at_mypreferences_was_made_again(choice: Choice) -> None:
    """A profile shows the dates of its choices: without one it is another choice, made at any time since."""
    old, new = seen(choice, changed_at=DATED), later(choice)
    assert merge(old, new, Side.MYPREFERENCES) == new
    assert merge(old, replace(new, undated=True), Side.MYPREFERENCES).changed_at == DATED  # an export


# guards


def test_a_read_older_than_the_stored_one_is_dropped() -> None:
    old = seen(IN, 5)
    assert combine(old, seen(OUT, 4), Side.DOTDIGITAL) == MergeResult(old)


def test_a_read_begun_before_our_last_write_is_dropped() -> None:
    old = seen(OUT, 0)
    assert combine(old, seen(IN, 4), Side.DOTDIGITAL, written_at=at(5)) == MergeResult(old)
    assert combine(None, seen(IN, 4), Side.DOTDIGITAL, written_at=at(5)) == MergeResult(None)


def test_a_read_begun_when_our_write_had_ended_counts() -> None:
    new = seen(IN, 5)
    assert combine(seen(OUT, 0), new, Side.DOTDIGITAL, written_at=at(5)) == MergeResult(new)


# one record of several


@pytest.mark.parametrize("choice", [IN, UNSET])
@pytest.mark.parametrize("old", [None, seen(OUT), seen(UNSET), seen(OUT, changed_at=DATED, consistent=False)])
def test_a_partial_view_raises_nobody_and_unsets_nothing(old: Observation | None, choice: Choice) -> None:
    found = combine(old, later(choice, changed_at=NEWER), Side.DOTDIGITAL, part=True)
    if old is not None and old.choice is choice:
        assert found == MergeResult(later(choice, changed_at=NEWER))
    else:
        assert found == MergeResult(old, read_again=True)


@pytest.mark.parametrize("old", [None, seen(IN, records=3), seen(UNSET)])
def test_a_partial_view_that_withdraws_counts_and_the_rest_is_read(old: Observation | None) -> None:
    found = combine(old, later(OUT, changed_at=NEWER), Side.DOTDIGITAL, part=True)
    records = 3 if old is not None and old.records == 3 else 2
    expected = later(OUT, changed_at=NEWER, consistent=False, records=records)
    assert found == MergeResult(expected, read_again=True)


def test_a_partial_view_that_repeats_what_is_known_says_nothing_about_others() -> None:
    old = seen(OUT, changed_at=DATED, consistent=False, records=2)
    found = combine(old, later(OUT, changed_at=NEWER), Side.DOTDIGITAL, part=True)
    assert found == MergeResult(later(OUT, changed_at=NEWER, consistent=False, records=2))


def test_a_partial_view_with_another_frequency_is_read_in_full() -> None:
    old = seen(IN, changed_at=DATED, frequencies=("DAILY",), records=2)
    found = combine(old, later(IN, changed_at=NEWER, frequencies=("WEEKLY",)), Side.DOTDIGITAL, part=True)
    assert found == MergeResult(old, read_again=True)


# in general

OBSERVATIONS = st.builds(
    Observation,
    choice=st.sampled_from(Choice),
    read_at=st.integers(0, 20).map(at),
    changed_at=st.none() | st.integers(-20, 0).map(at),
    present=st.booleans(),
    stated=st.booleans(),
    undated=st.booleans(),
    consistent=st.booleans(),
    records=st.integers(0, 3),
    block=st.none() | st.sampled_from(Block),
)
SIDES = st.sampled_from(Side)


@given(st.none() | OBSERVATIONS, OBSERVATIONS, SIDES, st.none() | st.integers(0, 20).map(at), st.booleans())
def test_merging_the_same_observation_twice_changes_nothing(
    old: Observation | None, new: Observation, side: Side, written: object, part: bool
) -> None:
    once = combine(old, new, side, written_at=written, part=part)  # type: ignore[arg-type]
    again = combine(once.observation, new, side, written_at=written, part=part)  # type: ignore[arg-type]
    assert again.observation == once.observation


@given(OBSERVATIONS, OBSERVATIONS, SIDES, st.booleans())
def test_the_time_of_reading_never_goes_back(
    old: Observation, new: Observation, side: Side, part: bool
) -> None:
    found = combine(old, new, side, part=part).observation
    assert found is not None
    assert found.read_at >= old.read_at


@given(OBSERVATIONS, OBSERVATIONS, SIDES, st.booleans())
def test_only_a_read_that_shows_an_opt_in_makes_one(
    old: Observation, new: Observation, side: Side, part: bool
) -> None:
    found = combine(replace(old, choice=OUT), new, side, part=part).observation
    assert found is not None
    assert found.choice is not IN or (new.choice is IN and not part)


@given(OBSERVATIONS, OBSERVATIONS, SIDES, st.booleans())
def test_a_withdrawal_that_is_read_in_time_is_always_kept(
    old: Observation, new: Observation, side: Side, part: bool
) -> None:
    new = replace(new, choice=OUT, read_at=old.read_at)
    found = combine(old, new, side, part=part).observation
    assert found is not None
    assert found.choice is OUT
