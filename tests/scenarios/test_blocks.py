"""Blocks at Dotdigital that say nothing about a person's wish for e-mail: of SMS only, or the owner's own."""

from __future__ import annotations

import pytest

from tests.scenarios.conftest import Make
from tests.scenarios.live import EMAIL, IN, MINE, NEWS, OUT, Live

in_each_position = pytest.mark.parametrize("position", ["not_listed", "as_suppressed", "as_unsubscribed"])
by_form = pytest.mark.parametrize("returns", [False, True])
by_each_api = pytest.mark.parametrize("v3", ["auto", "never"])


def days(live: Live, count: int, *, full: bool) -> None:
    for _ in range(count):
        live.clock.advance(86_400)
        live.run(full=full)
        live.run()


@by_each_api
@in_each_position
@pytest.mark.parametrize("on_unsubscribe", ["channel", "all_topics"])
def test_a_block_of_sms_only_withdraws_no_email(
    make: Make, position: str, on_unsubscribe: str, v3: str
) -> None:
    live = make(on_unsubscribe=on_unsubscribe, v3=v3)
    live.dotdigital.switches.sms_suppressions = position
    ada, bob = live.add("ada", both={NEWS: IN}), live.add("bob", both={NEWS: IN})
    live.started()
    live.dotdigital.suppress_sms(live.contact(ada))
    live.unsubscribe(bob)
    live.run()
    live.run()
    days(live, 2, full=True)
    assert (live.shows(ada, EMAIL), live.shows(ada)) == ((IN, IN), (IN, IN))
    assert live.mine(bob, EMAIL) is OUT
    assert live.held() == []


@in_each_position
def test_an_unsubscribe_from_email_counts_beside_a_block_of_sms(make: Make, position: str) -> None:
    live = make()
    live.dotdigital.switches.sms_suppressions = position
    ada = live.add("ada", both={NEWS: IN})
    live.started()
    live.dotdigital.suppress_sms(live.contact(ada))
    live.run()
    live.unsubscribe(ada)
    live.until_quiet()
    assert live.shows(ada, EMAIL) == (OUT, OUT)


@in_each_position
def test_a_block_of_sms_is_not_looked_at_again_and_again(make: Make, position: str) -> None:
    live = make()
    live.dotdigital.switches.sms_suppressions = position
    ada = live.add("ada", both={NEWS: IN})
    live.started()
    live.dotdigital.suppress_sms(live.contact(ada))
    for _ in range(5):
        live.run()
    looked = live.dotdigital.calls.count("get-subscriptions-for-contact")
    for _ in range(10):
        live.run()
    assert live.dotdigital.calls.count("get-subscriptions-for-contact") == looked <= 3


@by_form
@by_each_api
def test_a_block_of_the_owner_that_is_gone_is_nobodys_opt_in(make: Make, returns: bool, v3: str) -> None:
    """The person opted out at MyPreferences; the owner's block hides that, and vanishes."""
    live = make(v3=v3, resubscribe="silent")
    live.dotdigital.switches.suppressed_returns_by_form = returns
    ada = live.add("ada", mine={EMAIL: OUT, NEWS: OUT}, theirs={NEWS: OUT}, consent="Revoked")
    live.started()
    live.unsubscribe(ada, "Suppressed")
    live.run()
    assert live.dotdigital.subscribe(live.contact(ada)) is returns
    days(live, 2, full=True)
    assert live.mine(ada, EMAIL) is OUT
    assert live.theirs(ada, EMAIL) is not IN
    assert live.shows(ada) == (OUT, OUT)


@by_form
def test_while_the_owner_blocks_nobody_is_opted_in_and_afterwards_nothing_is_made_up(
    make: Make, returns: bool
) -> None:
    live = make(resubscribe="silent")
    live.dotdigital.switches.suppressed_returns_by_form = returns
    ada = live.add("ada", both={NEWS: IN})
    live.started()
    live.unsubscribe(ada, "Suppressed")
    live.run()
    assert live.mine(ada, EMAIL) is IN  # the owner's block is no wish of the person
    live.dotdigital.subscribe(live.contact(ada))
    days(live, 2, full=True)
    assert live.status(ada) == ("Subscribed" if returns else "Suppressed")
    assert live.mine(ada, EMAIL) is IN
    assert live.dotdigital.calls.count("resubscribe-contact-with-no-challenge") == 0


@by_form
def test_a_topic_that_was_refused_stays_refused_when_the_owners_block_goes(make: Make, returns: bool) -> None:
    live = make()
    live.dotdigital.switches.suppressed_returns_by_form = returns
    ada = live.add("ada", both={NEWS: IN})
    live.started()
    live.unsubscribe(ada, "Suppressed")
    live.say(MINE, ada, NEWS, OUT)
    live.run()
    live.run()
    live.dotdigital.subscribe(live.contact(ada))
    days(live, 2, full=True)
    assert live.shows(ada) == (OUT, OUT)


@pytest.mark.parametrize("reason", ["HardBounced", "SoftBounced", "MailBlocked", "Suppressed"])
@pytest.mark.parametrize("feeds_tell", [False, True])
def test_a_topic_opt_out_that_a_block_had_refused_is_delivered_once_the_block_is_gone(
    make: Make, reason: str, feeds_tell: bool
) -> None:
    """An account without v3 takes no preferences of contacts that cannot be mailed."""
    live = make(v3="never")
    ada = live.add("ada", both={NEWS: IN})
    live.started()
    live.unsubscribe(ada, reason)
    live.run()
    live.say(MINE, ada, NEWS, OUT)
    report = live.run()
    assert live.shows(ada) == (OUT, IN)
    blocked = [(EMAIL, "controller")] if reason == "Suppressed" else []
    assert live.held() == [*blocked, (NEWS, "refused")]
    assert not report.in_sync
    with live.dotdigital.lock:
        contact = live.dotdigital.contacts.by_id[live.contact(ada)]
        live.dotdigital.contacts.set_status(contact, "Subscribed", None)
    if feeds_tell:  # a person is read again for another reason
        live.run(full=True)
    else:
        live.clock.advance(86_400)
    live.run()
    live.run()
    assert live.shows(ada) == (OUT, OUT)
    assert live.held() == []
