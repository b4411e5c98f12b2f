"""The bridge's own times never go back, and a clock that cannot be right is noticed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.core.clocks import ClockOffset, Sequence, clock_problems, earliest_now
from bridge.core.model import Side

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
SECOND, SKEW = timedelta(seconds=1), timedelta(seconds=2)
MINE, THEIRS = Side.MYPREFERENCES, Side.DOTDIGITAL


def measured(ahead: float, took: float = 0.2) -> ClockOffset:
    """An answer from a service whose clock is so many seconds ahead of ours."""
    there = (NOON + timedelta(seconds=ahead)).replace(microsecond=0)
    return ClockOffset.measured(there, NOON - timedelta(seconds=took), NOON)


@given(st.lists(st.integers(-(10**6), 10**6), min_size=2, max_size=30))
def test_times_follow_one_another_however_the_clock_is_set(steps: list[int]) -> None:
    wall = [NOON]
    sequence = Sequence(lambda: wall[-1])
    given_out: list[datetime] = []
    for step in steps:
        wall.append(wall[-1] + timedelta(seconds=step))
        given_out.append(sequence())
    for before, after, step in zip(given_out[:-1], given_out[1:], steps[1:], strict=True):
        assert after > before or step == 0


def test_a_clock_that_was_set_back_still_gives_later_times() -> None:
    wall = [NOON, NOON - timedelta(hours=2), NOON - timedelta(hours=2)]
    sequence = Sequence(lambda: wall.pop(0))
    first, second, third = sequence(), sequence(), sequence()
    assert first < second < third < NOON + SECOND


def test_times_follow_what_another_process_stored() -> None:
    sequence = Sequence(lambda: NOON)
    sequence.observe(NOON + timedelta(hours=1))
    assert sequence() > NOON + timedelta(hours=1)


@pytest.mark.parametrize("ahead", [-300.0, -20.0, 0.0, 0.4, 20.0, 300.0])
@pytest.mark.parametrize("took", [0.0, 0.3, 5.0])
def test_a_measured_offset_holds_the_true_one(ahead: float, took: float) -> None:
    offset = measured(ahead, took)
    assert offset.least <= timedelta(seconds=ahead) <= offset.most


def problems(
    mine: float, theirs: float, newest: datetime | None = None, took: float = 0.2
) -> tuple[str, ...]:
    offsets = {MINE: measured(mine, took), THEIRS: measured(theirs, took)}
    return clock_problems(offsets, NOON, newest, SKEW)


@pytest.mark.parametrize("apart", [0.0, 0.9, -0.9, 2.0])
def test_clocks_within_the_skew_are_trusted(apart: float) -> None:
    assert problems(0, apart) == ()


@pytest.mark.parametrize(("mine", "theirs"), [(300, 0), (0, 300), (-40, 40), (5, 0)])
def test_services_whose_clocks_are_apart_are_a_problem(mine: float, theirs: float) -> None:
    (found,) = problems(mine, theirs)
    assert "mypreferences and dotdigital" in found
    assert "BRIDGE_SKEW_SECONDS" in found


def test_a_slow_answer_proves_no_difference() -> None:
    assert problems(5, 0, took=10) == ()


@pytest.mark.parametrize(("off", "way"), [(3600, "behind"), (-3600, "ahead of")])
def test_a_machine_whose_clock_is_far_off_is_told_in_which_direction(off: float, way: str) -> None:
    found = problems(off, off)
    assert len(found) == 2
    assert all(f" s {way} the clock of " in one for one in found)


def test_a_clock_before_the_last_run_is_a_problem_until_both_services_confirm_it() -> None:
    newest = NOON + timedelta(hours=2)
    (alone,) = clock_problems({}, NOON, newest, SKEW)
    assert "before that of the last run" in alone
    assert len(clock_problems({MINE: measured(0)}, NOON, newest, SKEW)) == 1
    assert problems(0, 0, newest) == ()


def test_a_new_state_db_has_no_last_run() -> None:
    assert clock_problems({}, NOON, None, SKEW) == ()


def test_the_earliest_moment_is_by_the_service_that_is_furthest_behind_and_not_by_our_clock() -> None:
    offsets = {MINE: measured(-600), THEIRS: measured(60)}
    assert earliest_now(offsets, NOON) == NOON + offsets[MINE].most
    both_ahead = {MINE: measured(600), THEIRS: measured(60)}
    assert earliest_now(both_ahead, NOON) == NOON + both_ahead[THEIRS].most
    assert earliest_now({}, NOON) == NOON
