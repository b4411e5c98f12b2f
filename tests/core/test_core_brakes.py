"""Stop valves before mass change, and how far a feed was read."""

from __future__ import annotations

from datetime import timedelta

import pytest
from core_cells import day
from hypothesis import given
from hypothesis import strategies as st

from bridge.core.brakes import BrakeLimits, BrakeResult, RunVolume, burst_minutes, check_brakes
from bridge.core.watermark import advance, read_window

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
