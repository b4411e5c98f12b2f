"""The sweep without v3 (Dotdigital v2, `with-preference`), and the check of the suppression feed."""

from __future__ import annotations

import json
from collections.abc import Iterable

import pytest
from dotdigital_world import (
    BEFORE,
    DAILY,
    NEWS,
    NEWSLETTER,
    OFFERS,
    PROFILING,
    PROFILING_ID,
    UNMAPPED,
    WEEKLY,
    who,
)

from bridge.core.errors import DrainIncomplete
from bridge.core.model import CHANNEL, Choice, Side, Who
from bridge.core.ports import Page, PersonView
from bridge.dotdigital.polling.drains import drain_upwards
from bridge.dotdigital.replica import DotdigitalReplica
from bridge.sandbox.dotdigital import DotdigitalState
from bridge.sandbox.faults import InjectedFault

WITH = "get-contacts-opted-into-a-preference"
SUPPRESSED_SINCE = "get-suppressed-contacts-since-date"


def swept(replica: DotdigitalReplica, known: Iterable[Who] = ()) -> tuple[dict[str, PersonView], list[Page]]:
    """What a sweep shows last of each person's topics, all its views together."""
    pages = list(replica.list_people(known))
    shown: dict[str, PersonView] = {}
    for view in (view for page in pages for view in page.views):
        old = shown.get(view.address)
        topics = {**(old.topics if old else {}), **view.topics}
        shown[view.address] = PersonView(view.address, view.ids, topics)
    return shown, pages


def test_without_v3_everybody_is_found_by_their_opt_ins(
    state: DotdigitalState, without_v3: DotdigitalReplica
) -> None:
    people = [f"p{number}@example.com" for number in range(5)]
    for address in people:
        state.add_contact(address, opt_ins={NEWS: (True, BEFORE), UNMAPPED: (True, BEFORE)})
    shown, _ = swept(without_v3, [who(address) for address in people])
    assert set(shown) == set(people)
    seen = shown[people[0]].topics
    assert seen[NEWSLETTER].choice is Choice.OPTED_IN
    assert seen[NEWSLETTER].undated
    assert seen[CHANNEL].choice is Choice.OPTED_IN
    assert not seen[CHANNEL].stated
    assert state.calls.count("get-subscriptions-for-contact") == 0
    assert state.calls.count(WITH) == 4 + 1  # one a mapped preference, and one more that brings nothing new


def test_opted_out_and_unset_are_indistinguishable_and_neither_is_assumed(
    state: DotdigitalState, without_v3: DotdigitalReplica
) -> None:
    state.add_contact("one@example.com", opt_ins={NEWS: (True, BEFORE), PROFILING_ID: (False, BEFORE)})
    shown, _ = swept(without_v3)
    seen = shown["one@example.com"].topics[PROFILING]
    assert (seen.choice, seen.stated, seen.undated) == (Choice.UNSET, False, True)


def test_a_topic_s_frequencies_are_put_together(
    state: DotdigitalState, without_v3: DotdigitalReplica
) -> None:
    state.add_contact("one@example.com", opt_ins={DAILY: (True, BEFORE), WEEKLY: (True, BEFORE)})
    shown, _ = swept(without_v3)
    assert set(shown["one@example.com"].topics[OFFERS].frequencies) == {"DAILY", "WEEKLY"}


@pytest.mark.parametrize("listed", [True, False])
def test_a_contact_that_cannot_be_mailed_is_not_taken_for_mailable(
    state: DotdigitalState, without_v3: DotdigitalReplica, listed: bool
) -> None:
    state.switches.preference_feeds_list_suppressed = listed
    contact = state.add_contact("one@example.com", opt_ins={NEWS: (True, BEFORE)})
    state.unsubscribe(contact, BEFORE)
    _, pages = swept(without_v3)
    channels = [view.topics[CHANNEL] for page in pages for view in page.views if CHANNEL in view.topics]
    assert [seen.choice for seen in channels] == [Choice.OPTED_OUT]
    assert channels[0].changed_at == BEFORE


@pytest.mark.parametrize("min_contact_id", ["inclusive", "exclusive"])
def test_large_preferences_are_read_to_their_end(
    state: DotdigitalState, without_v3: DotdigitalReplica, min_contact_id: str
) -> None:
    """Nobody says whether `minContactID` counts that contact in."""
    state.switches.min_contact_id = min_contact_id
    for number in range(2101):
        state.add_contact(f"p{number}@example.com", opt_ins={NEWS: (True, BEFORE)})
    shown, _ = swept(without_v3)
    assert len(shown) == 2101


def test_the_topics_of_a_preference_that_is_gone_are_left_out(
    state: DotdigitalState, without_v3: DotdigitalReplica
) -> None:
    """Its silence is nobody's choice."""
    state.add_contact("one@example.com", opt_ins={NEWS: (True, BEFORE), DAILY: (True, BEFORE)})
    state.delete_preference(DAILY)
    shown, _ = swept(without_v3)
    assert OFFERS not in shown["one@example.com"].topics
    assert shown["one@example.com"].topics[NEWSLETTER].choice is Choice.OPTED_IN


def test_full_pages_out_of_order_prove_nothing() -> None:
    with pytest.raises(DrainIncomplete):
        list(drain_upwards(lambda _: [3, 1, 2], lambda row: row, page=3))
    assert list(drain_upwards(lambda last: [3, 1, 2] if not last else [3], lambda row: row)) == [[1, 2, 3]]


@pytest.mark.parametrize("fixture", ["replica", "without_v3"])
def test_a_withdrawal_that_only_the_other_feed_shows_counts_and_is_reported(
    state: DotdigitalState, fixture: str, request: pytest.FixtureRequest
) -> None:
    replica: DotdigitalReplica = request.getfixturevalue(fixture)
    contact = state.add_contact("one@example.com", opt_ins={NEWS: (True, BEFORE)})
    state.unsubscribe(contact, BEFORE)
    state.faults.add(InjectedFault(SUPPRESSED_SINCE, "status", status=200, body=json.dumps([]), times=9))
    shown, pages = swept(replica)
    assert shown["one@example.com"].topics[CHANNEL].choice is Choice.OPTED_OUT
    [warning] = [warning for page in pages for warning in page.warnings]
    assert "unsubscribed-since shows 1 people" in warning
    assert "@" not in warning


def test_feeds_that_agree_are_no_news(state: DotdigitalState, replica: DotdigitalReplica) -> None:
    for number in range(3):
        state.unsubscribe(state.add_contact(f"p{number}@example.com"), BEFORE)
    shown, pages = swept(replica)
    assert len(shown) == 3
    assert not [warning for page in pages for warning in page.warnings]
    assert replica.side is Side.DOTDIGITAL
