"""What the bridge promises, one test a promise, between both emulated services over real HTTP."""

from __future__ import annotations

from datetime import timedelta

import pytest

from bridge.core.model import Side
from bridge.sandbox.dotdigital import wire
from bridge.sandbox.mypreferences.config import Coupling
from tests.scenarios.conftest import Make
from tests.scenarios.live import EMAIL, IN, MINE, NEWS, OFFERS, OUT, PROFILING, THEIRS, UNSET, Live

TOPICS = (NEWS, PROFILING)


# both ways


@pytest.mark.parametrize("topic", TOPICS)
@pytest.mark.parametrize("side", list(Side))
def test_a_withdrawal_at_either_side_is_followed_at_the_other(live: Live, side: Side, topic: str) -> None:
    ada = live.add("ada", both={topic: IN})
    live.started()
    live.say(side, ada, topic, OUT)
    report = live.run()
    assert live.shows(ada, topic) == (OUT, OUT)
    assert report.written.withdrawals[side.other] == report.written.writes == 1
    assert live.run().written.writes == 0


@pytest.mark.parametrize("topic", TOPICS)
@pytest.mark.parametrize("side", list(Side))
def test_a_newer_dated_opt_in_at_either_side_is_followed_at_the_other(
    live: Live, side: Side, topic: str
) -> None:
    ada = live.add("ada", both={topic: OUT})
    live.started()
    live.say(side, ada, topic, IN)
    report = live.run()
    assert live.shows(ada, topic) == (IN, IN)
    assert report.written.raises[side.other] == report.written.writes == 1
    assert live.run().written.writes == 0


@pytest.mark.parametrize("side", list(Side))
def test_a_frequency_follows_the_newer_choice(live: Live, side: Side) -> None:
    ada = live.add("ada", both={OFFERS: "DAILY"})
    live.started()
    live.say(side, ada, OFFERS, "WEEKLY")
    live.until_quiet()
    assert live.shows(ada, OFFERS) == ("WEEKLY", "WEEKLY")


@pytest.mark.parametrize("conflict", ["withdrawal_wins", "latest", "mypreferences", "dotdigital"])
def test_opposite_changes_at_the_same_moment_end_opted_out_whatever_the_policy(
    make: Make, conflict: str
) -> None:
    live = make(conflict=conflict)
    ada = live.add("ada", both={NEWS: IN})
    live.started()
    now = live.clock.now()
    live.say(THEIRS, ada, NEWS, OUT, now - timedelta(seconds=1))
    live.say(MINE, ada, NEWS, IN, now)
    live.until_quiet()
    assert live.shows(ada) == (OUT, OUT)


def test_with_the_policy_latest_a_later_opt_in_wins_over_an_opt_out(make: Make) -> None:
    live = make(conflict="latest")
    ada = live.add("ada", both={NEWS: IN})
    live.started()
    now = live.clock.now()
    live.say(THEIRS, ada, NEWS, OUT, now - timedelta(minutes=5))
    live.say(MINE, ada, NEWS, IN, now)
    live.until_quiet()
    assert live.shows(ada) == (IN, IN)


def test_with_the_policy_hold_opposite_changes_wait_for_a_person(make: Make) -> None:
    live = make(conflict="hold")
    ada = live.add("ada", both={NEWS: IN})
    live.started()
    live.say(THEIRS, ada, NEWS, OUT)
    live.say(MINE, ada, NEWS, IN)
    live.until_quiet()
    assert live.held() == [(NEWS, "conflict")]
    assert live.shows(ada) == (IN, OUT)
    live.release()
    live.until_quiet()
    assert live.shows(ada) == (OUT, OUT)


def test_an_opt_in_older_than_the_agreed_opt_out_is_taken_back(live: Live) -> None:
    ada = live.add("ada", theirs={NEWS: OUT}, days_ago=5)
    live.started()
    live.say(MINE, ada, NEWS, IN, live.clock.now() - timedelta(days=9))
    live.until_quiet()
    assert live.shows(ada) == (OUT, OUT)


# what raises nobody


def test_absence_at_one_side_raises_nobody_and_withdraws_nobody(live: Live) -> None:
    ada = live.add("ada", mine={NEWS: UNSET}, theirs={NEWS: UNSET})
    live.add_mine("only-mine@example.com", {NEWS: IN}, live.clock.now() - timedelta(days=3))
    live.add_theirs("only-theirs@example.com", {NEWS: IN}, live.clock.now() - timedelta(days=3))
    live.started()
    assert sum(report.written.writes for report in live.until_quiet()) == 0
    assert live.shows(ada) == (UNSET, UNSET)
    assert live.dotdigital.find("only-mine@example.com") is None
    assert live.mypreferences.find("only-theirs@example.com") == []


def test_an_opt_in_that_only_a_listing_shows_and_nothing_dates_raises_nobody(make: Make) -> None:
    """Being subscribed at Dotdigital has no date: it is a state, nobody's statement."""
    live = make(resubscribe="silent")
    ada = live.add("ada", consent="")
    live.started()
    live.run(full=True)
    assert live.shows(ada, EMAIL) == (UNSET, IN)
    live.say(MINE, ada, EMAIL, OUT)
    live.run()
    live.dotdigital.subscribe(live.contact(ada))
    live.run(full=True)
    live.until_quiet()
    assert live.shows(ada, EMAIL) == (OUT, OUT)


def test_a_complaint_is_not_lifted_by_an_opt_in(make: Make) -> None:
    live = make(resubscribe="silent")
    ada = live.add("ada", both={NEWS: IN})
    live.started()
    live.unsubscribe(ada, "IspComplained")
    live.until_quiet()
    assert live.mine(ada, EMAIL) is OUT
    live.clock.advance(86_400)
    live.say(MINE, ada, EMAIL, IN)
    live.until_quiet()
    assert live.status(ada) == "IspComplained"
    assert (EMAIL, "complaint") in live.held()


NO_CHOICES = (
    "SoftBounced", "HardBounced", "MailBlocked", "NotAllowed", "DomainSuppression", "NoMxRecord",
    "SharedSuppression", "sharedDomainSuppression", "Suppressed", "purchased", "spamTrap", "knownComplainer",
    "knownLitigator",
)  # fmt: skip


@pytest.mark.parametrize("reason", NO_CHOICES)
def test_a_reason_not_to_mail_that_is_nobodys_choice_withdraws_nothing(live: Live, reason: str) -> None:
    """Dotdigital suppression reasons: reachability and the owner's acts are no word of the person."""
    ada = live.add("ada", both={NEWS: IN})
    live.started()
    live.unsubscribe(ada, reason)
    assert sum(report.written.writes for report in live.until_quiet()) == 0
    live.run(full=True)
    assert (live.mine(ada, EMAIL), live.mine(ada, NEWS)) == (IN, IN)
    assert live.status(ada) == reason


def test_a_confirmation_that_is_awaited_is_no_choice(live: Live) -> None:
    ada = live.add("ada", both={NEWS: IN}, status="PendingOptIn")
    live.started()
    assert live.run(full=True).written.writes == 0
    assert (live.mine(ada, EMAIL), live.status(ada)) == (IN, "PendingOptIn")


def test_a_status_newer_than_this_program_is_no_choice(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "STATUSES", wire.STATUSES | {"QuantumBlocked"})
    ada = live.add("ada", both={NEWS: IN})
    live.started()
    live.unsubscribe(ada, "QuantumBlocked")
    assert sum(report.written.writes for report in live.until_quiet()) == 0
    assert (live.mine(ada, EMAIL), live.mine(ada, NEWS)) == (IN, IN)


# dimensions that must not be mixed


def test_an_unsubscribe_leaves_preferences_and_preferences_leave_the_channel(live: Live) -> None:
    ada = live.add("ada", both={NEWS: IN, OFFERS: "DAILY"})
    bob = live.add("bob", both={NEWS: IN})
    live.started()
    live.unsubscribe(ada)
    live.say(THEIRS, bob, NEWS, OUT)
    live.until_quiet()
    assert live.mine(ada, EMAIL) is OUT
    assert live.shows(ada, NEWS) == (IN, IN)
    assert live.shows(ada, OFFERS) == ("DAILY", "DAILY")
    assert live.shows(bob, EMAIL) == (IN, IN)
    assert live.shows(bob, NEWS) == (OUT, OUT)


@pytest.mark.parametrize("words", [{"on_unsubscribe": "all_topics"}, {"channel": False}])
@pytest.mark.parametrize("reason", ["Unsubscribed", "DirectComplaint"])
def test_where_the_mapping_says_so_an_unsubscribe_withdraws_every_topic(
    make: Make, words: dict[str, object], reason: str
) -> None:
    live = make(**words)
    ada = live.add("ada", both={NEWS: IN, OFFERS: "DAILY", PROFILING: UNSET})
    live.started()
    live.unsubscribe(ada, reason)
    live.until_quiet()
    assert live.mine(ada, NEWS) is OUT
    assert live.mine(ada, OFFERS) is OUT
    assert live.mine(ada, PROFILING) is not IN
    assert live.status(ada) == reason


def test_a_revoked_consent_to_email_unsubscribes(live: Live) -> None:
    ada = live.add("ada", both={NEWS: IN})
    live.started()
    live.say(MINE, ada, EMAIL, OUT)
    live.until_quiet()
    assert live.status(ada) == "Unsubscribed"
    assert live.shows(ada, NEWS) == (IN, IN)


def test_an_archived_preference_is_not_opted_out(live: Live) -> None:
    ada = live.add("ada", both={NEWS: IN})
    live.started()
    live.mypreferences.archive(live.profile(ada), "NEWS_EMAIL", "campaign over")
    assert sum(report.written.writes for report in live.until_quiet()) == 0
    assert live.theirs(ada, NEWS) is IN
    assert live.held() == [(NEWS, "cleared")]


def test_a_revoked_consent_that_takes_preferences_with_it_ends_in_agreement(make: Make) -> None:
    """MyPreferences `Preference Propagation`: revoking a consent archives its preferences, and opting out
    revokes the linked consent."""
    live = make(couplings=(Coupling("EmailMarketing", "NEWS_EMAIL"),))
    ada = live.add("ada", both={NEWS: IN})
    bob = live.add("bob", both={NEWS: IN})
    live.started()
    live.say(MINE, ada, EMAIL, OUT)
    live.say(MINE, bob, NEWS, OUT)
    live.until_quiet()
    assert live.status(ada) == "Unsubscribed"
    assert live.theirs(bob, NEWS) is OUT
    assert live.mine(bob, EMAIL) is OUT
    assert live.status(bob) == "Unsubscribed"


# who is who


def test_a_withdrawal_reaches_every_profile_with_the_address(live: Live) -> None:
    ada = live.add("ada", both={NEWS: IN})
    live.add_mine(ada, {NEWS: IN}, live.clock.now() - timedelta(days=20))
    live.started()
    live.say(THEIRS, ada, NEWS, OUT)
    live.until_quiet()
    assert live.shows(ada) == (OUT, OUT)


def test_a_withdrawal_at_one_of_two_profiles_reaches_dotdigital_and_the_other(live: Live) -> None:
    ada = live.add("ada", both={NEWS: IN})
    second = live.add_mine(ada, {NEWS: IN}, live.clock.now() - timedelta(days=20))
    live.started()
    live.mypreferences.set_preference(second, "NEWS_EMAIL", False, live.clock.now())
    live.until_quiet()
    assert live.shows(ada) == (OUT, OUT)


def test_a_raise_to_an_address_of_two_profiles_is_held(live: Live) -> None:
    ada = live.add("ada", mine={NEWS: UNSET}, theirs={NEWS: UNSET})
    live.add_mine(ada, {}, live.clock.now() - timedelta(days=20))
    live.started()
    live.say(THEIRS, ada, NEWS, IN)
    live.until_quiet()
    assert live.mine(ada, NEWS) is UNSET
    assert live.held() == [(NEWS, "several_records")]


def test_an_address_changed_at_mypreferences_never_makes_an_opted_out_address_mailable(live: Live) -> None:
    old = live.add("old", both={NEWS: OUT})
    new = live.add("new", both={NEWS: IN})
    free = "free@example.com"
    live.add_theirs(free, {NEWS: OUT}, live.clock.now() - timedelta(days=3), "Unsubscribed")
    live.started()
    live.mypreferences.change_email(live.profile(new), new, free)
    live.clock.advance(2)
    live.until_quiet()
    live.run(full=True)
    assert live.theirs(free, NEWS) is OUT
    assert live.status(free) == "Unsubscribed"
    assert live.theirs(old, NEWS) is OUT


def test_a_contact_without_an_address_is_left_out_and_counted(live: Live) -> None:
    live.dotdigital.add_contact(None, mobile="+447700900001", opt_ins={1002: (True, live.clock.now())})
    ada = live.add("ada", both={NEWS: IN})
    report = live.run()
    assert any("without an address" in warning for warning in report.warnings)
    assert live.shows(ada) == (IN, IN)


def test_an_address_too_long_for_dotdigital_stops_nobody_else(live: Live) -> None:
    long = f"{'x' * 288}@example.com"
    assert len(long) == 300
    live.add_mine(long, {NEWS: OUT}, live.clock.now() - timedelta(days=3))
    ada = live.add("ada", both={NEWS: IN})
    live.started()
    live.say(MINE, ada, NEWS, OUT)
    live.say(MINE, long, NEWS, IN)
    live.until_quiet()
    assert live.shows(ada) == (OUT, OUT)


# resubscribing


def test_resubscribing_is_left_to_a_person_where_the_mapping_says_hold(live: Live) -> None:
    ada = live.add("ada", consent="Revoked", status="Unsubscribed")
    live.started()
    live.say(MINE, ada, EMAIL, IN)
    live.until_quiet()
    assert live.status(ada) == "Unsubscribed"
    assert live.held() == [(EMAIL, "resubscribe")]


def test_a_challenge_is_sent_once_and_a_later_click_ends_in_agreement(make: Make) -> None:
    live = make(resubscribe="challenge")
    ada = live.add("ada", consent="Revoked", status="Unsubscribed")
    live.started()
    live.say(MINE, ada, EMAIL, IN)
    for _ in range(4):
        live.run()
    live.run(full=True)
    assert live.dotdigital.challenges == {live.contact(ada): 1}
    assert live.status(ada) == "Unsubscribed"
    assert live.mine(ada, EMAIL) is IN
    assert live.dotdigital.click_challenge(ada)
    live.run(full=True)
    live.until_quiet()
    assert live.shows(ada, EMAIL) == (IN, IN)
    assert live.held() == []


def test_silent_resubscribing_needs_an_opt_in_newer_than_the_unsubscribe(make: Make) -> None:
    live = make(resubscribe="silent")
    ada = live.add("ada", consent="Revoked", status="Unsubscribed")
    bob = live.add("bob", consent="", status="Unsubscribed", days_ago=2)
    live.started()
    live.say(MINE, ada, EMAIL, IN)
    live.say(MINE, bob, EMAIL, IN, live.clock.now() - timedelta(days=9))
    live.until_quiet()
    assert live.shows(ada, EMAIL) == (IN, IN)
    assert live.shows(bob, EMAIL) == (OUT, OUT)


# the first run


@pytest.mark.parametrize("words", [{}, {"segment": False}, {"v3": "never"}])
def test_the_first_run_delivers_withdrawals_and_holds_opt_ins(make: Make, words: dict[str, object]) -> None:
    live = make(**words)
    ada = live.add("ada", mine={NEWS: OUT}, theirs={NEWS: IN})
    bob = live.add("bob", mine={NEWS: IN}, theirs={NEWS: OUT})
    cyd = live.add("cyd", mine={NEWS: IN}, theirs={NEWS: UNSET})
    dan = live.add("dan", status="Unsubscribed")
    live.until_quiet()
    assert live.shows(ada) == (OUT, OUT)
    assert live.shows(bob) == (OUT, OUT)
    assert live.shows(cyd) == (IN, UNSET)
    assert live.shows(dan, EMAIL) == (OUT, OUT)
    assert live.held() == [(NEWS, "first_run")]
    live.run(approve_raises=True)
    live.until_quiet()
    assert live.shows(cyd) == (IN, IN)
    assert live.held() == []


# what vanishes


def test_a_preference_deleted_at_dotdigital_opts_nobody_out_and_is_reported(live: Live) -> None:
    ada = live.add("ada", both={NEWS: IN, OFFERS: "DAILY"})
    live.started()
    live.dotdigital.delete_preference(1002)
    live.say(MINE, ada, OFFERS, OUT)
    report = live.run(full=True)
    live.until_quiet()
    assert live.mine(ada, NEWS) is IN
    assert live.shows(ada, OFFERS) == (OUT, OUT)
    assert (report.exit_code, report.gone) == (3, True)
    assert any("1002" in warning for warning in report.warnings)


def test_a_filter_deleted_at_mypreferences_opts_nobody_out_and_is_reported(live: Live) -> None:
    ada = live.add("ada", both={NEWS: IN, OFFERS: "DAILY"})
    live.started()
    live.remap("NEWS_EMAIL", "GONE_EMAIL")
    live.say(MINE, ada, OFFERS, OUT)
    report = live.run()
    live.until_quiet()
    assert live.theirs(ada, NEWS) is IN
    assert live.shows(ada, OFFERS) == (OUT, OUT)
    assert report.exit_code == 3
    assert any("GONE_EMAIL" in warning for warning in report.warnings)
