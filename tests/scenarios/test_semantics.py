"""What the bridge does when MyPreferences behaves as its documents say: no opt-in results from it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta

import pytest

from bridge.engine.report import Report
from bridge.mypreferences.client.patches import Replace, Test
from bridge.mypreferences.wire.profiles import ConsentFilter, ConsentLink, Email, FullProfile
from bridge.sandbox.faults import InjectedFault
from bridge.sandbox.mypreferences.config import Coupling, FilterConfig, ProgramConfig
from bridge.sandbox.mypreferences.edits import SYSTEM
from tests.scenarios.conftest import Make
from tests.scenarios.live import EMAIL, IN, MINE, NEWS, OFFERS, OUT, THEIRS, UNSET, Live

POSITIONS = [True, False]


def raised(reports: Iterable[Report]) -> int:
    return sum(sum(report.written.raises.values()) for report in reports)


def wrote(reports: Iterable[Report]) -> int:
    return sum(report.written.writes for report in reports)


def settle(live: Live) -> list[Report]:
    """Runs until nothing is left to write, with one full sweep."""
    return [*live.until_quiet(), live.run(full=True), *live.until_quiet()]


# 6.1 propagation


@pytest.mark.parametrize("raises_events", POSITIONS)
@pytest.mark.parametrize("choice", [True, False])
def test_an_inherited_choice_is_nobodys_statement(live: Live, raises_events: bool, choice: bool) -> None:
    """MyPreferences `Preference Propagation`: MatchType Implied, with or without events of the system."""
    config = live.mypreferences.config
    live.mypreferences.switches.propagation_raises_events = raises_events
    everything = ProgramConfig("ALL", "Everything", (FilterConfig("ALL_EMAIL"),))
    news = replace(config.programs[0], filters=(FilterConfig("NEWS_EMAIL", parent="ALL_EMAIL"),))
    config.change(programs=(everything, news, *config.programs[1:]))
    ada = live.add("ada", theirs={NEWS: UNSET})
    bob = live.add("bob", theirs={NEWS: IN})
    live.started()
    for address in (ada, bob):
        live.mypreferences.set_preference(live.profile(address), "ALL_EMAIL", choice)
    assert wrote(settle(live)) == 0
    assert live.shows(ada) == (UNSET, UNSET)
    assert live.shows(bob) == (UNSET, IN)


# 6.2 consent and preference


def test_a_consent_given_again_brings_no_archived_preference_back(make: Make) -> None:
    """MyPreferences `preference.archived` after a revocation; granting does not restore it."""
    live = make(couplings=(Coupling("EmailMarketing", "NEWS_EMAIL"),), resubscribe="hold")
    ada = live.add("ada", both={NEWS: IN})
    live.started()
    live.say(MINE, ada, EMAIL, OUT)
    reports = settle(live)
    assert (live.status(ada), live.mine(ada, NEWS)) == ("Unsubscribed", UNSET)
    live.say(MINE, ada, EMAIL, IN)
    reports += settle(live)
    assert raised(reports) == 0
    assert (live.status(ada), live.mine(ada, NEWS)) == ("Unsubscribed", UNSET)
    assert (EMAIL, "resubscribe") in live.held()


def test_our_own_opt_out_that_revokes_a_consent_there_is_followed_to_its_end(make: Make) -> None:
    """MyPreferences `consent.updated`: an opt-out flips an associated Granted consent."""
    live = make(couplings=(Coupling("EmailMarketing", "NEWS_EMAIL"),))
    ada = live.add("ada", both={NEWS: IN})
    live.started()
    live.say(THEIRS, ada, NEWS, OUT)
    assert raised(settle(live)) == 0
    assert live.shows(ada, NEWS) == (OUT, OUT)
    assert live.shows(ada, EMAIL) == (OUT, OUT)


def test_a_tie_that_only_the_profile_has_works_like_one_of_the_configuration(live: Live) -> None:
    """MyPreferences `Filter associations`, added by another system."""
    ada = live.add("ada", both={NEWS: IN})
    live.started()
    tie = ConsentFilter(
        filter_id="NEWS_EMAIL",
        type_name="Primary",
        consents=[ConsentLink(consent_type="EmailMarketing")],
    )
    live.app.mypreferences.client.add_consent_filters(str(live.profile(ada)), [tie])
    live.say(MINE, ada, EMAIL, OUT)
    assert raised(settle(live)) == 0
    assert (live.status(ada), live.mine(ada, NEWS), live.theirs(ada, NEWS)) == ("Unsubscribed", UNSET, IN)


# 6.3 which one counts


@pytest.mark.parametrize("honoured", POSITIONS)
def test_a_withdrawal_older_than_the_opt_in_there_is_still_transferred(live: Live, honoured: bool) -> None:
    """Whether an older CustomerDate is honoured is not documented: 200 either way."""
    live.mypreferences.switches.honour_older_dates = honoured
    ada = live.add("ada", both={NEWS: IN})
    live.started()
    now = live.clock.now()
    live.say(THEIRS, ada, NEWS, OUT, now - timedelta(minutes=5))
    live.say(MINE, ada, NEWS, IN, now)
    settle(live)
    assert live.shows(ada) == (OUT, OUT)


# 6.4 what is preserved


@pytest.mark.parametrize("keeps", POSITIONS)
@pytest.mark.parametrize("preserved", POSITIONS)
def test_an_address_that_left_and_came_back_lifts_no_opt_out(
    live: Live, preserved: bool, keeps: bool
) -> None:
    """MyPreferences `PreservePreferences`: an old opt-in may come back with its element."""
    live.mypreferences.switches.readded_element_keeps_choices = keeps
    ada = live.add("ada", both={NEWS: IN})
    live.app.mypreferences.client.update_profile_post(
        str(live.profile(ada)),
        FullProfile(preserve_preferences=preserved, preserve_consents=preserved),
    )
    live.started()
    profile = live.profile(ada)
    live.mypreferences.remove_email(profile, ada)
    reports = settle(live)
    live.say(THEIRS, ada, NEWS, OUT)
    reports += settle(live)
    live.mypreferences.add_email(profile, ada)
    live.clock.advance(2)
    reports += settle(live)
    assert raised(reports) == 0
    assert live.theirs(ada, NEWS) is OUT
    (email,) = live.mypreferences.profile(profile)["Emails"]
    assert 1 not in [item["PreferenceType"] for item in email["EmailPreferences"]]


@pytest.mark.parametrize("shows", POSITIONS)
@pytest.mark.parametrize("preserved", POSITIONS)
def test_a_profile_that_was_inactive_lifts_no_opt_out_when_it_comes_back(
    live: Live, preserved: bool, shows: bool
) -> None:
    """MyPreferences `Activate`: what was preserved is restored, with its old dates."""
    live.mypreferences.switches.inactive_shows_preferences = shows
    ada = live.add("ada", both={NEWS: IN})
    profile = live.profile(ada)
    client = live.app.mypreferences.client
    client.update_profile_post(str(profile), FullProfile(preserve_preferences=preserved))
    live.started()
    client.deactivate_profile(str(profile), "left")
    reports = settle(live)
    assert wrote(reports) == 0
    live.say(THEIRS, ada, NEWS, OUT)
    reports += settle(live)
    client.activate_profile(str(profile))
    live.clock.advance(2)
    reports += settle(live)
    assert raised(reports) == 0
    assert live.theirs(ada, NEWS) is OUT
    assert live.mine(ada, NEWS) is not IN


# 6.5 the Status Manager


def test_an_opt_out_by_the_system_is_a_withdrawal_and_no_older_opt_in_lifts_it(live: Live) -> None:
    """MyPreferences Status Manager: revocations and opt-outs without a human author."""
    ada = live.add("ada", both={NEWS: IN, OFFERS: "DAILY"})
    live.started()
    before = live.clock.now() - timedelta(hours=2)
    live.mypreferences.set_preference(live.profile(ada), "NEWS_EMAIL", False, user=SYSTEM)
    live.say(THEIRS, ada, NEWS, IN, before)
    assert raised(settle(live)) == 0
    assert live.shows(ada) == (OUT, OUT)
    assert live.shows(ada, OFFERS) == ("DAILY", "DAILY")


def test_an_opt_out_archived_by_the_system_opts_nobody_in(live: Live) -> None:
    """MyPreferences Status Manager: leaving a list archives the opt-out, which is silence, not consent."""
    ada = live.add("ada", both={NEWS: OUT})
    live.started()
    live.mypreferences.archive(live.profile(ada), "NEWS_EMAIL", "delisted")
    reports = settle(live)
    assert raised(reports) == 0
    assert live.theirs(ada, NEWS) is OUT


# 6.6 the life of a profile


def test_a_profile_deleted_and_created_again_brings_no_old_opt_in_back(live: Live) -> None:
    """MyPreferences `Delete`: permanent; the same address later is a new profile."""
    ada = live.add("ada", both={NEWS: IN})
    live.started()
    live.mypreferences.delete(live.profile(ada), "asked")
    reports = settle(live)
    assert wrote(reports) == 0
    live.say(THEIRS, ada, NEWS, OUT)
    reports += settle(live)
    live.add_mine(ada, {NEWS: IN}, live.clock.now() - timedelta(days=9))
    reports += settle(live)
    assert raised(reports) == 0
    assert live.shows(ada) == (OUT, OUT)


def test_a_profile_replaced_by_another_system_withdraws_and_raises_nobody(live: Live) -> None:
    """MyPreferences `Update profile (PUT)`: what is left out is blank, which is no choice."""
    ada = live.add("ada", both={NEWS: IN})
    bob = live.add("bob", both={NEWS: OUT})
    live.started()
    for address in (ada, bob):
        email = Email(email_address=address, email_address_type="Primary")
        change = FullProfile(emails=[email])
        live.app.mypreferences.client.update_profile_put(str(live.profile(address)), change)
    live.clock.advance(2)
    assert raised(settle(live)) == 0
    assert (live.theirs(ada, NEWS), live.theirs(bob, NEWS)) == (IN, OUT)


# 6.7 shared and changing addresses


def test_an_address_of_more_than_fifty_profiles_raises_nobody_and_stops_nobody_else(live: Live) -> None:
    """MyPreferences answers such a search with 403."""
    ada = live.add("ada", both={NEWS: OUT})
    bob = live.add("bob", both={NEWS: IN})
    live.started()
    for _ in range(50):
        live.add_mine(ada, {NEWS: IN}, live.clock.now())
    live.say(THEIRS, ada, NEWS, IN)
    live.say(THEIRS, bob, NEWS, OUT)
    reports = [live.run() for _ in range(3)]
    assert raised(reports) == 0
    assert live.shows(bob) == (OUT, OUT)


def test_an_address_renamed_by_a_patch_takes_no_opt_in_with_it(live: Live) -> None:
    """MyPreferences `Update profile (PATCH)` on an address, and `contacts.email.updated`."""
    ada = live.add("ada", both={NEWS: IN})
    new = "new@example.com"
    live.add_theirs(new, {NEWS: OUT}, live.clock.now() - timedelta(days=3))
    live.started()
    place = "/Emails/0/EmailAddress"
    live.app.mypreferences.client.update_profile_patch(
        str(live.profile(ada)), [Test(place, ada), Replace(place, new)]
    )
    live.clock.advance(2)
    reports = settle(live)
    assert raised(reports) == 0
    # Whose the old address is nobody can tell now: the withdrawal goes there too, the opt-in nowhere.
    assert (live.theirs(new, NEWS), live.theirs(ada, NEWS)) == (OUT, OUT)


# 6.8 our own echoes


@pytest.mark.parametrize("repeats", POSITIONS)
def test_our_own_writes_come_back_as_nothing_new(live: Live, repeats: bool) -> None:
    """MyPreferences events and reads name the user who wrote: the value tells, not the name."""
    live.mypreferences.switches.repeat_raises_event = repeats
    ada = live.add("ada", both={NEWS: IN, OFFERS: "DAILY"})
    live.started()
    live.say(THEIRS, ada, NEWS, OUT)
    live.say(THEIRS, ada, OFFERS, "WEEKLY")
    assert wrote(live.until_quiet()) == 2
    assert wrote([live.run(), live.run(full=True), live.run()]) == 0
    assert live.shows(ada, OFFERS) == ("WEEKLY", "WEEKLY")


# 6.9 once and again


@pytest.mark.parametrize("kind", ["reset_after", "timeout_after", "status_after", "reset"])
def test_a_write_with_a_lost_answer_is_settled_by_reading(live: Live, kind: str) -> None:
    """There is no idempotency key and no version: only the state tells."""
    ada = live.add("ada", both={NEWS: IN})
    live.started()
    live.mypreferences.calls.reset()
    live.mypreferences.faults.add(InjectedFault("updateProfilePost", kind))
    live.say(THEIRS, ada, NEWS, OUT)
    reports = [live.run() for _ in range(4)]
    assert raised(reports) == 0
    assert live.shows(ada) == (OUT, OUT)
    assert live.mypreferences.calls.count("updateProfilePost") == (2 if kind == "reset" else 1)


# permissions


def test_what_the_user_may_no_longer_see_is_neither_opted_out_nor_unset(live: Live) -> None:
    """MyPreferences leaves out of its answers what the user may not see."""
    ada = live.add("ada", both={NEWS: IN, OFFERS: "DAILY"})
    bob = live.add("bob", both={NEWS: OUT})
    live.started()
    live.mypreferences.config.change(hidden=frozenset({"NEWS_EMAIL"}))
    live.say(THEIRS, bob, NEWS, IN, live.clock.now() - timedelta(days=60))
    live.say(MINE, ada, OFFERS, OUT)
    reports = [live.run(), live.run(full=True), live.run()]
    assert raised(reports) == 0
    assert live.theirs(ada, NEWS) is IN
    assert live.shows(ada, OFFERS) == (OUT, OUT)
    live.mypreferences.config.change(hidden=frozenset())
    settle(live)
    assert (live.shows(ada), live.shows(bob)) == ((IN, IN), (OUT, OUT))
