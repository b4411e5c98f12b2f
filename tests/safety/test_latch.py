"""A withdrawal that was seen is delivered, whatever happens to the side that showed it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest

from bridge.sandbox.dotdigital import consent
from bridge.sandbox.faults import InjectedFault
from tests.safety.conftest import Make
from tests.safety.safety_world import DAY, SafetyLive, is_open
from tests.scenarios.live import EMAIL, IN, MINE, NEWS, OUT, THEIRS

Change = Callable[[SafetyLive, str], None]


def _made_mailable(live: SafetyLive, address: str) -> None:
    """The owner lifts the block; the person says nothing."""
    with live.dotdigital.lock:
        there = live.dotdigital.contacts.by_id[live.contact(address)]
        consent.restore(live.dotdigital, there)


AT_DOTDIGITAL: dict[str, Change] = {
    "hard_bounced": lambda live, address: live.unsubscribe(address, "HardBounced"),
    "blocked": lambda live, address: live.unsubscribe(address, "MailBlocked"),
    "suppressed_by_the_owner": lambda live, address: live.unsubscribe(address, "Suppressed"),
    "deleted": lambda live, address: live.dotdigital.delete_contact(live.contact(address)),
    "made_mailable": _made_mailable,
}
AT_MYPREFERENCES: dict[str, Change] = {
    "archived": lambda live, address: live.mypreferences.archive(live.profile(address), "NEWS_EMAIL", "over"),
    "deactivated": lambda live, address: live.mypreferences.deactivate(live.profile(address), "old"),
    "deleted": lambda live, address: live.mypreferences.delete(live.profile(address), "old"),
}


@pytest.mark.parametrize("status", [503, 400])
@pytest.mark.parametrize("change", AT_DOTDIGITAL)
def test_an_unsubscribe_that_was_seen_is_delivered_whatever_happens_to_the_contact(
    live: SafetyLive, change: str, status: int
) -> None:
    """MyPreferences takes no writes while the unsubscribed contact bounces, is deleted or made mailable."""
    ada = live.add("ada", both={NEWS: IN})
    live.started()
    live.refuse_writes(MINE, status)
    live.unsubscribe(ada)
    assert is_open(live.runs(2)[-1])
    AT_DOTDIGITAL[change](live, ada)
    live.clock.advance(2)
    reports = [*live.runs(3), live.run(full=True)]
    assert all(is_open(report) for report in reports), "it is owed, and the report says so"
    live.accept_writes(MINE)
    live.runs(3, seconds=DAY)
    assert live.mine(ada, EMAIL) is OUT


@pytest.mark.parametrize("status", [503, 400])
@pytest.mark.parametrize("change", AT_MYPREFERENCES)
def test_an_opt_out_that_was_seen_is_delivered_whatever_happens_to_the_profile(
    live: SafetyLive, change: str, status: int
) -> None:
    """Dotdigital takes no writes while the opted-out profile is archived, deactivated or deleted."""
    ada = live.add("ada", both={NEWS: IN})
    live.started()
    live.refuse_writes(THEIRS, status)
    live.say(MINE, ada, NEWS, OUT)
    assert is_open(live.runs(2)[-1])
    AT_MYPREFERENCES[change](live, ada)
    live.clock.advance(2)
    reports = [*live.runs(3), live.run(full=True)]
    assert all(is_open(report) for report in reports), "it is owed, and the report says so"
    live.accept_writes(THEIRS)
    live.runs(3, seconds=DAY)
    assert live.theirs(ada, NEWS) is OUT


def test_a_topic_opt_out_at_dotdigital_outlives_its_contact(live: SafetyLive) -> None:
    """MyPreferences takes no writes; the contact that opted out of a topic is deleted meanwhile."""
    ada = live.add("ada", both={NEWS: IN})
    live.started()
    live.refuse_writes(MINE, 503)
    live.say(THEIRS, ada, NEWS, OUT)
    live.runs(2)
    live.dotdigital.delete_contact(live.contact(ada))
    live.clock.advance(2)
    assert is_open([*live.runs(2), live.run(full=True)][-1])
    live.accept_writes(MINE)
    live.runs(3, seconds=DAY)
    assert live.mine(ada, NEWS) is OUT


def test_an_older_opt_in_does_not_end_an_opt_out_that_is_still_owed(live: SafetyLive) -> None:
    """While Dotdigital takes no writes, an import at MyPreferences restores an opt-in from days before."""
    live.mypreferences.switches.honour_older_dates = True
    ada = live.add("ada", both={NEWS: IN})
    live.started()
    live.refuse_writes(THEIRS, 503)
    live.say(MINE, ada, NEWS, OUT)
    live.runs(2)
    live.say(MINE, ada, NEWS, IN, live.clock.now() - timedelta(days=9))
    assert live.mine(ada, NEWS) is IN
    assert is_open(live.run())
    live.accept_writes(THEIRS)
    live.runs(3, seconds=DAY)
    assert live.theirs(ada, NEWS) is OUT


# holds


def test_a_held_burst_of_unsubscribes_stays_held_when_the_contacts_bounce(live: SafetyLive) -> None:
    """Five unsubscribes in one minute are held as a clean-up; then all five addresses bounce."""
    people = [live.add(f"p{number}", both={NEWS: IN}) for number in range(5)]
    live.started().with_settings(BRAKES__BURST_MAX=2)
    for address in people:
        live.dotdigital.unsubscribe(live.contact(address), live.clock.now())
    live.clock.advance(2)
    live.run()
    assert [live.holds_of(address, EMAIL) for address in people] == [["burst"]] * 5
    for address in people:
        live.unsubscribe(address, "HardBounced")
    reports = [*live.runs(3), live.run(full=True)]
    assert is_open(reports[-1])
    live.release()
    live.runs(3)
    assert {live.mine(address, EMAIL) for address in people} == {OUT}


@pytest.mark.parametrize("change", AT_MYPREFERENCES)
def test_an_opt_out_that_the_direction_forbids_stays_held_when_the_profile_changes(
    live: SafetyLive, change: str
) -> None:
    """The mapping allows no writes to Dotdigital, so an opt-out is held; then the profile is cleaned up."""
    ada = live.add("ada", both={NEWS: IN})
    live.started().remap('id = "newsletter"', 'id = "newsletter"\ndirection = "to_mypreferences"')
    live.run()
    live.say(MINE, ada, NEWS, OUT)
    live.run()
    assert live.holds_of(ada) == ["direction"]
    AT_MYPREFERENCES[change](live, ada)
    live.clock.advance(2)
    reports = [*live.runs(3), live.run(full=True)]
    assert is_open(reports[-1])
    assert live.holds_of(ada)


def test_withdrawals_that_a_brake_holds_are_still_owed_when_the_contacts_bounce(live: SafetyLive) -> None:
    """A brake that the operator set holds a mass opt-out; then the contacts bounce."""
    people = [live.add(f"p{number}", both={NEWS: IN}) for number in range(4)]
    live.started()
    limits = {"HOLD_WITHDRAWALS": True, "WITHDRAWALS_MAX": 1, "WITHDRAWALS_SHARE": 0.0}
    live.with_settings(**{f"BRAKES__{name}": value for name, value in limits.items()})
    for address in people:
        live.unsubscribe(address)
    assert is_open(live.run())
    for address in people:
        live.unsubscribe(address, "HardBounced")
    assert is_open([*live.runs(2), live.run(full=True)][-1])
    live.with_settings(BRAKES__HOLD_WITHDRAWALS=False)
    live.runs(3)
    assert {live.mine(address, EMAIL) for address in people} == {OUT}


# tried again without an operator


def test_a_withdrawal_that_was_refused_once_is_tried_again_until_it_is_proven(live: SafetyLive) -> None:
    """One 400 answers an opt-out; the next attempt would be accepted."""
    ada = live.add("ada", both={NEWS: IN})
    live.started()
    live.refuse_writes(MINE, 400)
    live.say(THEIRS, ada, NEWS, OUT)
    assert is_open(live.run())
    live.accept_writes(MINE)
    live.runs(3, seconds=DAY)
    assert live.shows(ada) == (OUT, OUT)
    assert live.held() == [], "its hold closes when it is proven"


def test_a_withdrawal_without_effect_is_tried_again_until_it_is_proven(live: SafetyLive) -> None:
    """MyPreferences accepts an opt-out several times without recording it, and then records it."""
    ada = live.add("ada", both={NEWS: IN})
    live.started()
    accepted = '{"ProfileId": 1}'
    for operation in ("updateProfilePost", "upsertPreferences"):
        live.faults(MINE).add(_answered(operation, accepted))
    live.say(THEIRS, ada, NEWS, OUT)
    assert is_open(live.runs(6)[-1])
    live.accept_writes(MINE)
    live.runs(3, seconds=DAY)
    assert live.shows(ada) == (OUT, OUT)


def test_an_opt_out_that_a_block_refuses_is_sent_once_the_block_is_over(make: Make) -> None:
    """An account without v3 refuses to change the preferences of a bounced contact; the bounce is cleared."""
    live = make(v3="never")
    live.dotdigital.switches.v3 = "absent"
    ada = live.add("ada", both={NEWS: IN})
    live.started()
    live.unsubscribe(ada, "HardBounced")
    live.run()
    live.say(MINE, ada, NEWS, OUT)
    assert is_open(live.runs(3)[-1])
    _made_mailable(live, ada)
    live.clock.advance(2)
    live.runs(3, seconds=DAY)
    assert live.theirs(ada, NEWS) is OUT


def test_releasing_a_hold_never_ends_in_sync_while_the_sides_differ(make: Make) -> None:
    """An opt-in cannot lift a complaint; the operator releases the hold all the same."""
    live = make(resubscribe="silent")
    ada = live.add("ada", both={NEWS: IN})
    live.started()
    live.unsubscribe(ada, "IspComplained")
    live.until_quiet()
    live.clock.advance(DAY)
    live.say(MINE, ada, EMAIL, IN)
    live.runs(2)
    assert live.holds_of(ada, EMAIL) == ["complaint"]
    live.release()
    reports = [*live.runs(2), live.run(full=True)]
    assert live.shows(ada, EMAIL) == (IN, OUT)
    assert all(is_open(report) for report in reports)
    assert live.holds_of(ada, EMAIL)


def _answered(operation: str, body: str) -> InjectedFault:
    return InjectedFault(operation, "status", status=200, body=body, times=10_000)
