"""No change during the read of a feed loses a person, and no watermark passes what was not stored."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any

import pytest

from bridge.dotdigital.polling import drains
from bridge.sandbox.dotdigital import app, feeds
from bridge.sandbox.dotdigital.state import DotdigitalState
from bridge.sandbox.faults import KINDS, InjectedFault
from bridge.sandbox.http import RouteTable
from tests.scenarios.conftest import Make
from tests.scenarios.live import EMAIL, IN, MINE, NEWS, OFFERS, OUT, THEIRS, Live
from tests.sizes import size

PAGE = size(drains.PAGE // 5, drains.PAGE)  # rows
PEOPLE = 3 * PAGE
SUPPRESSED = "get-suppressed-contacts-since-date"
OPT_INS = "get-contacts-with-modified-preference-opt-in-since-date"


# paging


@pytest.mark.slow
def test_of_three_pages_of_suppressed_rows_that_shift_while_paged_none_is_missed(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Dotdigital suppressed-since: skip paging over rows in no promised order."""
    pages = partial(drains.drain_skip, page=PAGE, overlap=PAGE // 10)
    monkeypatch.setattr(drains, "drain_skip", pages)
    live = make(channel=False)
    for number in range(PEOPLE):
        live.dotdigital.add_contact(f"p{number}@example.com")
    live.started()
    at = live.clock.now()
    for number in range(PEOPLE):
        live.dotdigital.unsubscribe(number + 1, at - timedelta(seconds=number / 10))
    _shift_between_pages(monkeypatch, people=PAGE * 6 // 100)
    before = live.dotdigital.calls.count(SUPPRESSED)
    live.run()
    assert live.dotdigital.calls.count(SUPPRESSED) - before > 3
    live.run()
    out = {one["email"] for one in live.dotdigital.people() if one["status"] == "Unsubscribed"}
    assert len(out) > PEOPLE / 2
    assert out - _seen_out(live) == set()


def _shift_between_pages(monkeypatch: pytest.MonkeyPatch, people: int) -> None:
    """After each page some people leave the feed from its front (they signed up again)."""
    real = feeds.get_suppressed_contacts_since_date
    gone = iter(range(1, PEOPLE + 1, 7))

    def moving(state: DotdigitalState, call: Any) -> Any:
        answer = real(state, call)
        for _ in range(people):
            number = next(gone, None)
            if number is not None:
                state.subscribe(number)
        return answer

    table = RouteTable(
        replace(one, handler=moving) if one.operation_id == SUPPRESSED else one for one in app.ROUTES.routes
    )
    monkeypatch.setattr(app, "ROUTES", table)


def _seen_out(live: Live) -> set[str]:
    """The addresses whose channel the bridge knows to be withdrawn at Dotdigital."""
    store = live.app.store
    return {
        who.address
        for page in store.people.known()
        for who in page
        for cell in store.cells.of(who.person)
        if cell.topic == EMAIL and THEIRS in cell.seen and cell.seen[THEIRS].choice is OUT
    }


# failed pages

READS = ((MINE, "retrieveEvents"), (THEIRS, SUPPRESSED), (THEIRS, OPT_INS))
WORST = sorted(set(KINDS) - {"slow"})


@pytest.mark.parametrize("kind", WORST)
@pytest.mark.parametrize(("side", "operation"), READS)
def test_a_failed_page_moves_no_watermark_and_loses_nobody(
    live: Live, side: Any, operation: str, kind: str
) -> None:
    ada = live.add("ada", both={NEWS: IN})
    bob = live.add("bob")
    live.started()
    live.run()
    live.say(MINE, ada, NEWS, OUT) if side is MINE else live.say(THEIRS, ada, NEWS, OUT)
    live.unsubscribe(bob)
    service = live.mypreferences if side is MINE else live.dotdigital
    assert operation in service.calls.counts(), service.calls.counts()
    before = live.app.store.feeds.watermarks()
    service.faults.add(InjectedFault(operation, kind, times=40))
    failed = live.run()
    after = live.app.store.feeds.watermarks()
    service.faults.clear()
    moved = [feed for feed in before if after[feed] != before[feed] and _fed_by(feed, operation)]
    if moved:
        assert kind == "half_page", "only half a list that looks whole passes for an answer"
    else:
        assert failed.warnings
    live.until_quiet()
    live.run(full=True)
    assert live.shows(ada) == (OUT, OUT)
    assert live.mine(bob, EMAIL) is OUT


def _fed_by(feed: str, operation: str) -> bool:
    words = {SUPPRESSED: "dotdigital.suppressed", OPT_INS: "dotdigital.opt_ins"}
    return feed.startswith(words.get(operation, "mypreferences"))


def test_while_a_feed_fails_nobody_it_could_name_is_raised(live: Live) -> None:
    ada = live.add("ada", both={NEWS: OUT})
    bob = live.add("bob", both={NEWS: IN})
    live.started()
    live.say(MINE, ada, NEWS, IN)
    live.say(MINE, bob, NEWS, OUT)
    live.dotdigital.faults.add(InjectedFault(OPT_INS, "status", times=40))
    live.run()
    live.dotdigital.faults.clear()
    assert live.shows(ada) == (IN, OUT)
    live.until_quiet()
    assert live.shows(ada) == (IN, IN)
    assert live.shows(bob) == (OUT, OUT)


# what feeds cannot report


def test_an_outage_of_twenty_days_is_made_up_for_without_an_operator(live: Live) -> None:
    """MyPreferences `Retrieve events`: the history reaches back 15 days."""
    ada = live.add("ada", both={NEWS: IN})
    bob = live.add("bob", both={NEWS: IN})
    live.started()
    live.say(MINE, ada, NEWS, OUT)
    live.say(THEIRS, bob, NEWS, OUT)
    live.clock.advance(20 * 86_400)
    report = live.run()
    assert any("does not reach back" in warning for warning in report.warnings)
    live.until_quiet()
    assert live.shows(ada) == (OUT, OUT)
    assert live.shows(bob) == (OUT, OUT)


@pytest.mark.parametrize("words", [{}, {"segment": False, "v3": "never"}])
def test_a_subscription_by_form_that_no_feed_reports_does_not_undo_a_withdrawal(
    make: Make, words: dict[str, object]
) -> None:
    live = make(**words)
    ada = live.add("ada", both={NEWS: IN})
    live.started()
    live.say(MINE, ada, EMAIL, OUT)
    live.until_quiet()
    assert live.dotdigital.subscribe(live.contact(ada))
    live.run(full=True)
    live.until_quiet()
    assert live.shows(ada, EMAIL) == (OUT, OUT)


def test_a_deletion_at_either_side_is_no_choice_and_brings_nobody_back(live: Live) -> None:
    ada = live.add("ada", both={NEWS: IN})
    bob = live.add("bob", both={NEWS: IN})
    live.started()
    live.dotdigital.delete_contact(live.contact(ada))
    live.mypreferences.delete(live.profile(bob), "asked for it")
    live.clock.advance(2)
    assert sum(live.run(full=True).written.writes for _ in range(3)) == 0
    assert live.dotdigital.find(ada) is None or live.dotdigital.find(ada).binned  # type: ignore[union-attr]
    assert live.mypreferences.find(bob) == []
    assert live.mine(ada, NEWS) is IN
    assert live.theirs(bob, NEWS) is IN


# what comes late


@pytest.mark.parametrize("lag", [60, 600])
def test_rows_and_events_that_show_up_late_are_caught_by_the_overlap(live: Live, lag: int) -> None:
    people = {name: live.add(name, both={NEWS: IN, OFFERS: "DAILY"}) for name in ("ada", "bob", "cyd")}
    live.started()
    live.mypreferences.switches.event_lag_seconds = lag
    live.dotdigital.switches.feed_lag_seconds = lag
    live.say(MINE, people["ada"], NEWS, OUT)
    live.say(THEIRS, people["bob"], NEWS, OUT)
    live.unsubscribe(people["cyd"])
    for _ in range(lag // 60 + 3):
        live.run()
    assert live.shows(people["ada"]) == (OUT, OUT)
    assert live.shows(people["bob"]) == (OUT, OUT)
    assert live.mine(people["cyd"], EMAIL) is OUT


def test_a_write_that_shows_only_later_is_proven_in_the_end(live: Live) -> None:
    """MyPreferences profile status `Pending Update`."""
    ada = live.add("ada", both={NEWS: IN})
    bob = live.add("bob", both={NEWS: OUT})
    live.started()
    live.mypreferences.switches.write_lag_seconds = 150
    live.say(THEIRS, ada, NEWS, OUT)
    live.say(THEIRS, bob, NEWS, IN)
    first = live.run()
    assert first.counts.unproven > 0
    assert not first.in_sync
    for _ in range(5):
        last = live.run()
    assert live.shows(ada) == (OUT, OUT)
    assert live.shows(bob) == (IN, IN)
    assert (last.written.writes, last.counts.unproven, last.in_sync) == (0, 0, True)


@pytest.mark.parametrize("late", [timedelta(days=3), timedelta(hours=1)])
def test_a_withdrawal_older_than_what_mypreferences_holds_still_wins(live: Live, late: timedelta) -> None:
    """MyPreferences `CustomerDate`: one older than the stored one is accepted and not honoured."""
    ada = live.add("ada", both={NEWS: IN}, days_ago=30)
    live.started()
    now = live.clock.now()
    live.say(MINE, ada, NEWS, IN, now)
    live.say(THEIRS, ada, NEWS, OUT, now - late)
    live.run(full=True)  # a change dated before the overlap is in no feed
    live.until_quiet()
    assert live.shows(ada) == (OUT, OUT)


@pytest.mark.parametrize("kind", ["reset_after", "reset", "status_after", "truncate", "html", "empty"])
@pytest.mark.parametrize("choice", [IN, OUT])
def test_a_write_whose_answer_is_lost_is_resolved_by_reading_back(live: Live, choice: Any, kind: str) -> None:
    other = OUT if choice is IN else IN
    ada = live.add("ada", both={NEWS: other})
    bob = live.add("bob", both={NEWS: other})
    live.started()
    live.say(MINE, ada, NEWS, choice)
    live.say(THEIRS, bob, NEWS, choice)
    live.mypreferences.faults.add(InjectedFault("updateProfilePost", kind))
    live.dotdigital.faults.add(InjectedFault("importContact", kind))
    live.run()
    live.until_quiet()
    assert live.shows(ada) == (choice, choice)
    assert live.shows(bob) == (choice, choice)
    assert live.held() == []
