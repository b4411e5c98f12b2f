"""A contact that has yet to confirm its sign-up ignores choices: they wait, and are written once it has."""

from __future__ import annotations

import pytest

from tests.scenarios.conftest import Make
from tests.scenarios.live import IN, MINE, NEWS, OUT, PROFILING, Live

WRITES = ("importContact", "importContacts", "set-preferences-for-contact")
PENDING = "PendingOptIn"
by_each_api = pytest.mark.parametrize("v3", ["auto", "never"])
in_each_position = pytest.mark.parametrize("position", ["ignored", "applied"])


def choices_written(live: Live) -> int:
    return sum(live.dotdigital.calls.count(name) for name in WRITES)


def confirm(live: Live, address: str) -> None:
    assert live.dotdigital.subscribe(live.contact(address))


@by_each_api
@in_each_position
def test_an_opt_out_waits_for_the_confirmation_and_is_written_then(
    make: Make, v3: str, position: str
) -> None:
    live = make(v3=v3)
    live.dotdigital.switches.pending_preferences = position
    ada = live.add("ada", both={NEWS: IN, PROFILING: IN}, status=PENDING)
    live.started()
    live.say(MINE, ada, NEWS, OUT)
    for _ in range(4):
        report = live.run()
    applied = position == "applied"
    assert live.shows(ada) == (OUT, OUT if applied else IN)
    assert live.held() == ([] if applied else [(NEWS, "unconfirmed")])
    assert report.in_sync is applied
    confirm(live, ada)
    live.run(full=True)
    live.run()
    assert live.shows(ada) == (OUT, OUT)
    assert live.shows(ada, PROFILING) == (IN, IN)
    assert live.held() == []
    assert live.run().in_sync


def test_an_opt_out_is_written_after_a_confirmation_that_no_feed_shows(make: Make) -> None:
    live = make()
    ada = live.add("ada", both={NEWS: IN}, status=PENDING)
    live.started()
    live.say(MINE, ada, NEWS, OUT)
    for _ in range(3):
        live.run()
    confirm(live, ada)
    live.clock.advance(86_400)
    live.run()
    live.run()
    assert live.shows(ada) == (OUT, OUT)
    assert live.held() == []


def test_an_opt_out_that_waits_is_sent_ever_less_often_and_never_counts_as_not_honoured(make: Make) -> None:
    live = make()
    ada = live.add("ada", both={NEWS: IN}, status=PENDING)
    live.started()
    live.say(MINE, ada, NEWS, OUT)
    for _ in range(48):
        live.clock.advance(3600)
        live.run()
        assert live.held() == [(NEWS, "unconfirmed")]
    assert 3 <= choices_written(live) <= 8


@by_each_api
def test_opt_outs_of_many_who_have_yet_to_confirm_wait_each(make: Make, v3: str) -> None:
    live = make(v3=v3)
    people = [live.add(f"p{number}", both={NEWS: IN}, status=PENDING) for number in range(6)]
    people.append(live.add("confirmed", both={NEWS: IN}))
    live.started()
    for one in people:
        live.say(MINE, one, NEWS, OUT)
    for _ in range(4):
        live.run()
    assert live.held() == [(NEWS, "unconfirmed")] * 6
    assert live.shows(people[-1]) == (OUT, OUT)
    for one in people[:6]:
        confirm(live, one)
    live.run(full=True)
    live.run()
    assert [live.shows(one) for one in people] == [(OUT, OUT)] * 7


@by_each_api
@in_each_position
def test_an_opt_in_is_not_sent_before_the_confirmation_and_is_then(
    make: Make, v3: str, position: str
) -> None:
    live = make(v3=v3)
    live.dotdigital.switches.pending_preferences = position
    ada = live.add("ada", both={NEWS: OUT}, status=PENDING)
    live.started()
    live.say(MINE, ada, NEWS, IN)
    for _ in range(4):
        live.run()
    assert choices_written(live) == 0
    assert live.shows(ada) == (IN, OUT)
    assert live.held() == []
    confirm(live, ada)
    live.run(full=True)
    live.run()
    assert live.shows(ada) == (IN, IN)


def test_an_opt_in_taken_back_before_the_confirmation_is_never_sent(make: Make) -> None:
    live = make()
    ada = live.add("ada", both={NEWS: OUT}, status=PENDING)
    live.started()
    live.say(MINE, ada, NEWS, IN)
    live.run()
    live.say(MINE, ada, NEWS, OUT)
    live.run()
    confirm(live, ada)
    live.run(full=True)
    live.until_quiet()
    assert live.shows(ada) == (OUT, OUT)
    assert choices_written(live) == 0


def test_an_approved_opt_in_needs_no_second_approval_after_the_confirmation(make: Make) -> None:
    live = make()
    ada = live.add("ada", mine={NEWS: IN}, status=PENDING)
    live.started()
    assert live.held() == [(NEWS, "first_run")]
    live.run(approve_raises=True)
    live.run()
    assert (live.held(), choices_written(live)) == ([], 0)
    confirm(live, ada)
    live.run(full=True)
    live.run()
    assert live.shows(ada) == (IN, IN)


def test_a_write_of_the_whole_tree_without_effect_changes_nothing_else(make: Make) -> None:
    live = make(v3="never")
    ada = live.add("ada", both={NEWS: IN}, status=PENDING)
    live.say(MINE, ada, PROFILING, IN)
    live.dotdigital.set_preference(live.contact(ada), 1010, True, live.clock.now())
    live.started()
    live.say(MINE, ada, NEWS, OUT)
    report = live.run()
    assert live.dotdigital.calls.count("set-preferences-for-contact") == 1
    assert not [line for line in report.warnings if "tree" in line]


@pytest.mark.parametrize("position", ["refused", "ignored"])
def test_whatever_a_subscription_of_a_pending_contact_is_answered_nobody_sends_it(
    make: Make, position: str
) -> None:
    """The bridge subscribes nobody by v3, so that its answer does not matter."""
    live = make(resubscribe="silent")
    live.dotdigital.switches.v3_subscribe_pending = position
    ada = live.add("ada", both={NEWS: OUT}, status=PENDING)
    live.started()
    live.say(MINE, ada, NEWS, IN)
    live.until_quiet()
    assert live.status(ada) == PENDING
    assert live.held() == []
    confirm(live, ada)
    live.run(full=True)
    live.run()
    assert live.shows(ada) == (IN, IN)
