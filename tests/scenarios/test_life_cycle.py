"""Profiles and contacts that are deleted and created again."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.scenarios.conftest import Make
from tests.scenarios.live import EMAIL, IN, MINE, NEWS, OUT, THEIRS, Live


def gone(live: Live, address: str, how: str) -> int:
    """The profile is deactivated or deleted. Returns its id."""
    profile = live.profile(address)
    getattr(live.mypreferences, how)(profile)
    live.clock.advance(2)
    return profile


@pytest.mark.parametrize("how", ["deactivate", "delete"])
def test_a_deletion_at_mypreferences_unlinks_and_changes_nothing(make: Make, how: str) -> None:
    live = make()
    ada = live.add("ada", both={NEWS: IN})
    live.started()
    gone(live, ada, how)
    reports = live.until_quiet()
    assert sum(report.written.writes for report in reports) == 0
    assert (live.theirs(ada, NEWS), live.status(ada), live.held()) == (IN, "Subscribed", [])


@pytest.mark.parametrize("how", ["deactivate", "delete"])
def test_a_deletion_withdraws_where_the_mapping_says_so(make: Make, how: str) -> None:
    live = make(on_deletion="withdraw")
    ada = live.add("ada", both={NEWS: IN})
    live.started()
    gone(live, ada, how)
    live.until_quiet()
    assert (live.theirs(ada, NEWS), live.theirs(ada, EMAIL)) == (OUT, OUT)


@pytest.mark.parametrize("rule", ["unlink", "withdraw"])
def test_the_opt_ins_of_a_profile_that_came_back_are_no_newer_than_they_were(make: Make, rule: str) -> None:
    """MyPreferences `Activate`: with PreservePreferences the choices are restored as they stood."""
    live = make(on_deletion=rule)
    ada = live.add("ada", both={NEWS: IN}, days_ago=30)
    live.started()
    profile = gone(live, ada, "deactivate")
    live.until_quiet()
    if rule == "unlink":
        live.say(THEIRS, ada, NEWS, OUT)
        live.until_quiet()
    live.mypreferences.activate(profile)
    live.clock.advance(2)
    live.until_quiet()
    assert live.shows(ada) == (OUT, OUT)


def test_an_opt_in_of_a_reactivated_profile_counts(make: Make) -> None:
    live = make(on_deletion="withdraw")
    ada = live.add("ada", both={NEWS: IN}, days_ago=30)
    live.started()
    profile = gone(live, ada, "deactivate")
    live.until_quiet()
    live.mypreferences.activate(profile)
    live.clock.advance(2)
    live.say(MINE, ada, NEWS, IN)
    live.until_quiet()
    assert live.shows(ada) == (IN, IN)


def test_a_contact_in_the_recycle_bin_is_never_brought_back(make: Make) -> None:
    """Dotdigital: a write to a binned contact revives it, subscribed."""
    live = make()
    ada = live.add("ada", both={NEWS: OUT})
    bob = live.add("bob", both={NEWS: IN})
    live.started()
    contacts = [live.contact(one) for one in (ada, bob)]
    for contact in contacts:
        live.dotdigital.delete_contact(contact)
    live.say(MINE, ada, NEWS, IN)
    live.say(MINE, bob, NEWS, OUT)
    live.run(full=True)
    live.until_quiet()
    assert all(live.dotdigital.contact(contact).binned for contact in contacts)


def test_a_contact_deleted_at_dotdigital_withdraws_where_the_mapping_says_so(make: Make) -> None:
    live = make(on_deletion="withdraw")
    ada = live.add("ada", both={NEWS: IN})
    live.started()
    live.dotdigital.delete_contact(live.contact(ada))
    live.run(full=True)
    live.until_quiet()
    assert (live.mine(ada, NEWS), live.mine(ada, EMAIL)) == (OUT, OUT)


def test_a_re_created_contact_is_bound_again_and_its_old_opt_in_raises_nobody(make: Make) -> None:
    live = make()
    ada = live.add("ada", both={NEWS: OUT}, days_ago=30)
    live.started()
    live.dotdigital.delete_contact(live.contact(ada))
    live.run(full=True)
    live.clock.advance(timedelta(days=31).total_seconds())
    live.add_theirs(ada, {NEWS: IN}, live.clock.now() - timedelta(days=90))
    live.run(full=True)
    live.until_quiet()
    assert live.shows(ada) == (OUT, OUT)
