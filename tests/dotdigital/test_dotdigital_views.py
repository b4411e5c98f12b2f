"""What opt-in rows say of a topic, and since when."""

from __future__ import annotations

from datetime import UTC, datetime

from bridge.core.mapping import FilterRef, Topic
from bridge.core.model import Choice, TopicId
from bridge.dotdigital import views
from bridge.dotdigital.client.wire import OptInRow

JANUARY, JUNE, NOW = (datetime(2026, month, 1, tzinfo=UTC) for month in (1, 6, 7))
OFFERS = Topic(TopicId("offers"), FilterRef("OFFERS_EMAIL"), {"DAILY": 1003, "WEEKLY": 1004})


def row(preference: int, inside: bool, at: datetime | None) -> OptInRow:
    return OptInRow(marketing_preference_id=preference, is_opted_in=inside, date_modifed=at)


def test_an_opt_in_is_no_newer_for_a_frequency_that_was_given_up_later() -> None:
    """Dotdigital `get-subscriptions-for-contact` dates each preference by itself."""
    rows = {1003: row(1003, True, JANUARY), 1004: row(1004, False, JUNE)}
    seen = views.from_rows(OFFERS, rows, NOW)
    assert (seen.choice, seen.frequencies, seen.changed_at) == (Choice.OPTED_IN, ("DAILY",), JANUARY)


def test_a_withdrawal_is_as_new_as_the_last_frequency_given_up() -> None:
    rows = {1003: row(1003, False, JANUARY), 1004: row(1004, False, JUNE)}
    seen = views.from_rows(OFFERS, rows, NOW)
    assert (seen.choice, seen.changed_at) == (Choice.OPTED_OUT, JUNE)


def test_a_withdrawal_is_undated_where_one_frequency_was_given_up_nobody_knows_when() -> None:
    rows = {1003: row(1003, False, JANUARY), 1004: row(1004, False, None)}
    seen = views.from_rows(OFFERS, rows, NOW)
    assert (seen.choice, seen.changed_at) == (Choice.OPTED_OUT, None)


def test_of_two_rows_of_one_preference_an_undated_opt_out_counts_and_an_undated_opt_in_does_not() -> None:
    """The same preference may have a row for each list of the contact."""
    for rows in (
        [row(1003, False, None), row(1003, True, JUNE)],
        [row(1003, True, None), row(1003, False, JUNE)],
    ):
        for some in (rows, rows[::-1]):
            assert not views.newest_rows(some)[1003].is_opted_in
