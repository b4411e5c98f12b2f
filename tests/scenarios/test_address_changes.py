"""People whose address changes at one side or both: their opt-outs apply to the new address too."""

from __future__ import annotations

from datetime import timedelta

import pytest

from bridge.engine.explain import View, explain
from tests.scenarios.conftest import Make
from tests.scenarios.live import EMAIL, IN, MINE, NEWS, OUT, UNSET, Live

NEW = "ada.new@example.com"


def change_address(
    live: Live, old: str, new: str = NEW, *, reported: bool = True, keeps: bool = True
) -> None:
    """The address changes at MyPreferences. `keeps` is PreservePreferences; events show it if `reported`."""
    profile = live.mypreferences.profiles.get(live.profile(old))
    assert profile is not None
    profile.preserve_preferences = keeps
    live.mypreferences.change_email(profile.profile_id, old, new, quiet=not reported)
    live.clock.advance(2)


@pytest.mark.parametrize("keeps", [True, False])
def test_an_opt_out_applies_to_the_new_address(make: Make, keeps: bool) -> None:
    """MyPreferences `Contacts`: with PreservePreferences off a change of address archives the choice."""
    live = make()
    ada = live.add("ada", both={NEWS: OUT}, days_ago=30)
    live.started()
    change_address(live, ada, keeps=keeps)
    live.add_theirs(NEW, {NEWS: IN}, live.clock.now() - timedelta(days=60))
    live.until_quiet()
    assert live.shows(NEW) == (OUT, OUT)
    assert live.theirs(ada, NEWS) is OUT


def test_an_opt_in_recorded_at_the_new_address_before_the_change_undoes_no_opt_out(make: Make) -> None:
    live = make()
    ada = live.add("ada", both={NEWS: OUT}, days_ago=30)
    live.started()
    change_address(live, ada, keeps=False)
    live.add_theirs(NEW, {NEWS: IN}, live.clock.now() - timedelta(days=3))
    live.until_quiet()
    assert live.mine(NEW, NEWS) is UNSET
    assert (NEWS, "address_changed") in live.held()


def test_a_later_opt_in_at_the_new_address_counts(make: Make) -> None:
    live = make()
    ada = live.add("ada", both={NEWS: OUT}, days_ago=30)
    live.add_theirs(NEW, {NEWS: UNSET}, live.clock.now())
    live.started()
    change_address(live, ada)
    live.say(MINE, NEW, NEWS, IN)
    live.until_quiet()
    assert live.shows(NEW) == (IN, IN)


@pytest.mark.parametrize("segment", [True, False])
def test_a_change_that_no_event_reported_is_found_by_a_sweep(make: Make, segment: bool) -> None:
    live = make(segment=segment)
    ada = live.add("ada", both={NEWS: OUT}, days_ago=30)
    live.started()
    change_address(live, ada, reported=False, keeps=False)
    live.add_theirs(NEW, {NEWS: IN}, live.clock.now() - timedelta(days=60))
    live.run(full=True)
    live.until_quiet()
    assert live.shows(NEW) == (OUT, OUT)


def test_a_later_opt_out_applies_to_the_old_address_too(make: Make) -> None:
    live = make()
    ada = live.add("ada", both={NEWS: IN})
    live.started()
    change_address(live, ada)
    live.until_quiet()
    assert live.theirs(ada, NEWS) is IN
    live.say(MINE, NEW, NEWS, OUT)
    live.until_quiet()
    assert live.theirs(ada, NEWS) is OUT


def test_an_unsubscribe_at_the_old_address_applies_to_the_new_one(make: Make) -> None:
    live = make()
    ada = live.add("ada", both={NEWS: IN})
    live.started()
    change_address(live, ada)
    live.until_quiet()
    live.unsubscribe(ada)
    live.until_quiet()
    assert live.mine(NEW, EMAIL) is OUT


def test_an_old_address_that_another_person_now_has_is_left_alone(make: Make) -> None:
    live = make()
    ada = live.add("ada", both={NEWS: IN})
    live.started()
    change_address(live, ada)
    live.add_mine(ada, {NEWS: IN}, live.clock.now())
    live.run(full=True)
    live.say(MINE, NEW, NEWS, OUT)
    live.until_quiet()
    assert live.shows(ada) == (IN, IN)


@pytest.mark.parametrize("follows", ["contact", "address"])
@pytest.mark.parametrize("v3", ["auto", "never"])
def test_an_unsubscribe_follows_the_contact_to_its_new_address(make: Make, follows: str, v3: str) -> None:
    """Dotdigital: whether a suppression follows the contact or stays with its address is not documented."""
    live = make(v3=v3)
    ada = live.add("ada", both={NEWS: OUT}, status="Unsubscribed", consent="Revoked")
    live.started()
    live.dotdigital.switches.suppression_follows = follows
    live.dotdigital.change_email(live.contact(ada), NEW)
    live.run(full=True)
    live.until_quiet()
    assert (live.theirs(NEW, EMAIL), live.theirs(NEW, NEWS)) == (OUT, OUT)


def test_a_change_at_both_sides_at_once_loses_no_opt_out(make: Make) -> None:
    live = make()
    ada = live.add("ada", both={NEWS: OUT}, status="Unsubscribed", consent="Revoked")
    live.started()
    live.dotdigital.switches.suppression_follows = "address"
    live.dotdigital.change_email(live.contact(ada), NEW)
    change_address(live, ada, keeps=False)
    live.until_quiet()
    assert (live.theirs(NEW, EMAIL), live.shows(NEW)) == (OUT, (OUT, OUT))


def test_after_two_people_swap_addresses_nobody_who_opted_out_is_mailed(make: Make) -> None:
    live = make()
    ada = live.add("ada", both={NEWS: OUT}, days_ago=30)
    bob = live.add("bob", both={NEWS: IN}, days_ago=20)
    live.started()
    first, second = live.profile(ada), live.profile(bob)
    for profile, old, new in ((first, ada, NEW), (second, bob, ada), (first, NEW, bob)):
        live.mypreferences.change_email(profile, old, new)
    live.clock.advance(2)
    live.until_quiet()
    assert live.theirs(ada, NEWS) is OUT
    assert live.theirs(bob, NEWS) is OUT
    assert live.mine(bob, NEWS) is OUT


def test_a_person_who_takes_another_person_s_address_keeps_the_opt_out(make: Make) -> None:
    live = make()
    ada = live.add("ada", both={NEWS: OUT}, days_ago=30)
    bob = live.add("bob", both={NEWS: IN}, days_ago=40)
    live.started()
    change_address(live, ada, bob, keeps=False)
    live.until_quiet()
    assert live.shows(bob) == (OUT, OUT)


def test_a_second_address_of_the_same_profile_inherits_nothing(make: Make) -> None:
    live = make()
    ada = live.add("ada", both={NEWS: OUT}, days_ago=30)
    work = "ada.work@example.com"
    profile = live.profile(ada)
    live.mypreferences.add_email(profile, work)
    live.mypreferences.set_preference(
        profile, "NEWS_EMAIL", True, live.clock.now() - timedelta(days=40), email=work
    )
    live.add_theirs(work, {NEWS: IN}, live.clock.now() - timedelta(days=40))
    live.started()
    live.mypreferences.remove_email(profile, ada)
    live.clock.advance(2)
    live.until_quiet()
    assert live.shows(work) == (IN, IN)


def test_an_address_had_for_a_moment_between_two_reads_still_counts(make: Make) -> None:
    """Only Dotdigital knows the address, and only PreviousData reports it."""
    live = make()
    ada = "ada@example.com"
    live.add_theirs(ada, {NEWS: OUT}, live.clock.now() - timedelta(days=30))
    live.add_theirs(NEW, {NEWS: IN}, live.clock.now() - timedelta(days=60))
    live.started()
    profile = live.mypreferences.add_profile([("Primary", ada)], quiet=False)
    live.mypreferences.change_email(profile, ada, NEW)
    live.clock.advance(2)
    live.until_quiet()
    assert live.shows(NEW) == (OUT, OUT)


def test_a_transferred_opt_out_is_explained_and_holds_no_address(make: Make) -> None:
    live = make()
    ada = live.add("ada", both={NEWS: OUT}, days_ago=30)
    live.started()
    change_address(live, ada)
    live.until_quiet()
    who = live.app.store.people.find(NEW)
    assert who is not None
    history = live.app.store.ledger.history(who.person)
    shown = explain(
        live.app.mapping, who, live.app.store.cells.of(who.person), history, View(live.clock.now())
    )
    lines = [line for topic in shown["topics"] for line in topic["history"] if topic["topic"] == NEWS]
    assert "an opt-out made under the person's other address" in {line.get("why") for line in lines}
    assert "address_changed" in {entry["kind"] for entry in history}
    assert "@" not in str(history)
