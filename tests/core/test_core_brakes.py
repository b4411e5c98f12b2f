"""Stop valves before mass change, and how far a feed was read."""

from __future__ import annotations

from datetime import timedelta

import pytest
from core_cells import day
from hypothesis import given
from hypothesis import strategies as st

from bridge.core.brakes import (
    BrakeLimits,
    BrakeResult,
    Burst,
    RunVolume,
    Tally,
    WindowUse,
    burst_minutes,
    check_brakes,
    kept_bursts,
)
from bridge.core.model import PersonId, Side, TopicId
from bridge.core.watermark import advance, read_window
from bridge.core.writes import Evidence, Raise

LIMITS = BrakeLimits(raises_max=1000)
HOLDING = BrakeLimits(raises_max=1000, hold_withdrawals=True)
HOUR = timedelta(hours=1)


@pytest.mark.parametrize(
    ("raises", "people", "stopped"),
    [
        (1000, 1000, False),  # not more than the count
        (1001, 20_020, False),  # not more than the share
        (1001, 20_019, True),
        (1001, 0, True),
        (1, 1, False),
        (0, 0, False),
    ],
)
def test_opt_ins_stop_when_both_count_and_share_are_passed(raises: int, people: int, stopped: bool) -> None:
    brakes = check_brakes(RunVolume(raises=raises, withdrawals=0, people=people), LIMITS)
    assert brakes.raises is stopped
    assert bool(brakes.reasons) is stopped
    assert not brakes.withdrawals


@pytest.mark.parametrize(
    ("people", "allowed"),
    [(0, 10), (49, 10), (60, 12), (400, 80), (5000, 1000), (20_000, 1000), (40_000, 2000)],
)
def test_an_account_of_any_size_has_a_limit_of_opt_ins_by_default(people: int, allowed: int) -> None:
    assert BrakeLimits().raises_allowed(people) == allowed
    assert not check_brakes(RunVolume(allowed, 0, people), BrakeLimits()).raises
    assert check_brakes(RunVolume(allowed + 1, 0, people), BrakeLimits()).raises


def test_no_share_of_the_people_lifts_the_ceiling_of_opt_ins() -> None:
    limits = BrakeLimits(raises_max=5000, raises_share=1.0, raises_ceiling=300)
    assert limits.raises_allowed(10**6) == 300
    assert BrakeLimits().raises_allowed(10**9) == 100_000


def test_what_was_written_within_the_window_counts_each_person_once() -> None:
    tally = Tally(raised={PersonId(1), PersonId(2)})
    use = WindowUse(raised=frozenset({PersonId(2), PersonId(3)}), withdrawn=7)
    assert tally.volume(use, 50) == RunVolume(raises=3, withdrawals=0, people=50)
    assert Tally(withdrawn={PersonId(1)}).volume(use, 50) == RunVolume(raises=0, withdrawals=8, people=50)


def test_opt_ins_of_one_minute_are_counted_with_those_that_left_before() -> None:
    tally = Tally()
    for person in (1, 2, 3):
        write = Raise(Side.MYPREFERENCES, TopicId("news"), Evidence(Side.DOTDIGITAL, day(5), day(6), "v"))
        tally.add(PersonId(person), write, single=True, remapped=False)
    at = (Side.DOTDIGITAL, day(5))
    before = WindowUse(said={at: frozenset({PersonId(3), PersonId(4)})})
    assert tally.opt_in_bursts(WindowUse(), most=2) == {at}
    assert tally.opt_in_bursts(WindowUse(), most=3) == frozenset()
    assert tally.opt_in_bursts(before, most=3) == {at}
    assert tally.opt_in_bursts(before, most=4) == frozenset()


def test_a_burst_is_remembered_for_a_while_from_when_it_was_found() -> None:
    old = Burst(Side.DOTDIGITAL, day(1), opts_in=True, found_at=day(10))
    again = Burst(Side.DOTDIGITAL, day(1), opts_in=True, found_at=day(90))
    other = Burst(Side.DOTDIGITAL, day(1), opts_in=False, found_at=day(90))
    assert kept_bursts((old, again, other), day(100)) == (old, other)
    assert kept_bursts((old, other), day(101)) == (other,)


def test_many_withdrawals_alert_and_are_delivered_all_the_same() -> None:
    brakes = check_brakes(RunVolume(raises=0, withdrawals=5001, people=25_000), LIMITS)
    assert not brakes.withdrawals
    assert not brakes.raises
    assert len(brakes.alerts) == 1
    assert "delivered all the same" in brakes.alerts[0]


def test_many_withdrawals_are_held_where_the_operator_says_so() -> None:
    brakes = check_brakes(RunVolume(raises=0, withdrawals=5001, people=25_000), HOLDING)
    assert brakes.withdrawals
    assert not brakes.alerts
    assert "BRIDGE_BRAKES__HOLD_WITHDRAWALS" in brakes.reasons[0]


@pytest.mark.parametrize("limits", [LIMITS, HOLDING])
def test_few_withdrawals_neither_alert_nor_wait(limits: BrakeLimits) -> None:
    assert check_brakes(RunVolume(raises=0, withdrawals=5000, people=5000), limits) == BrakeResult()
    assert check_brakes(RunVolume(raises=0, withdrawals=5001, people=25_005), limits) == BrakeResult()


@given(*(st.integers(0, 10**7) for _ in range(3)))
def test_no_number_of_withdrawals_stops_an_opt_out_by_default(raises, withdrawals, people) -> None:
    brakes = check_brakes(RunVolume(raises, withdrawals, people), LIMITS)
    assert not brakes.withdrawals
    assert brakes.raises == bool(brakes.reasons)
    if not brakes.raises:
        assert raises <= max(LIMITS.raises_max, LIMITS.raises_share * max(people, 1))  # I12


def test_many_unsubscribes_in_one_minute_are_a_clean_up() -> None:
    burst = [day(5) + timedelta(milliseconds=number) for number in range(11)]
    few = [day(6) + timedelta(minutes=number) for number in range(50)]
    assert burst_minutes([*burst, *few], most=10) == {day(5)}
    assert burst_minutes([*burst, *few], most=11) == frozenset()
    assert burst_minutes([], most=0) == frozenset()


# --- watermarks ---


def test_a_feed_without_a_watermark_begins_where_it_is_told() -> None:
    found = read_window(None, overlap=HOUR, oldest=None, start=day(0))
    assert (found.since, found.gap) == (day(0), False)


def test_a_feed_is_read_again_behind_its_watermark() -> None:
    found = read_window(day(5), overlap=HOUR, oldest=None, start=day(0))
    assert (found.since, found.gap) == (day(5) - HOUR, False)


def test_a_feed_that_reaches_back_to_the_watermark_has_no_gap() -> None:
    """Only the overlap is cut short: nothing between the watermark and now is missed."""
    found = read_window(day(5), overlap=HOUR, oldest=day(5), start=day(0))
    assert (found.since, found.gap) == (day(5), False)


def test_an_outage_longer_than_the_feed_reaches_back_is_told() -> None:
    """MyPreferences keeps events for a limited time; what lies before is found by a full sweep only."""
    found = read_window(day(5), overlap=HOUR, oldest=day(5) + timedelta(seconds=1), start=day(0))
    assert (found.since, found.gap) == (day(5) + timedelta(seconds=1), True)


def test_a_first_read_beyond_what_the_side_allows_begins_at_the_oldest() -> None:
    found = read_window(None, overlap=HOUR, oldest=day(3), start=day(0))
    assert (found.since, found.gap) == (day(3), False)


@given(*(st.integers(0, 10_000) for _ in range(3)), st.booleans())
def test_a_read_never_begins_after_the_watermark_unless_the_gap_is_told(mark, back, oldest, limited) -> None:
    limit = day(oldest) if limited else None
    found = read_window(day(mark), overlap=timedelta(hours=back), oldest=limit, start=day(0))
    assert found.gap == (found.since > day(mark))
    assert limit is None or found.since >= limit


def test_a_watermark_never_goes_back() -> None:
    assert advance(None, day(5)) == day(5)
    assert advance(day(5), day(6)) == day(6)
    assert advance(day(6), day(5)) == day(6)
