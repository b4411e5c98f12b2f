"""What the system does by itself at MyPreferences (Status Manager): no human author, but still an opt-out."""

from __future__ import annotations

import pytest

from bridge.sandbox.mypreferences.account import STATUS_MANAGER
from tests.scenarios.conftest import Make
from tests.scenarios.live import EMAIL, IN, NEWS, OUT, THEIRS, UNSET, Live

DAY = 24 * 3600


def opted_out_by_the_system(live: Live, address: str) -> None:
    profile = live.profile(address)
    live.mypreferences.set_preference(profile, "NEWS_EMAIL", False, user=STATUS_MANAGER)
    live.clock.advance(2)


def test_a_system_opt_out_is_transferred_like_a_person_s(make: Make) -> None:
    live = make()
    ada = live.add("ada", both={NEWS: IN})
    live.started()
    opted_out_by_the_system(live, ada)
    live.until_quiet()
    assert live.shows(ada) == (OUT, OUT)


@pytest.mark.parametrize("policy", ["withdrawal_wins", "latest", "mypreferences", "dotdigital"])
def test_no_older_opt_in_writes_over_a_system_opt_out(make: Make, policy: str) -> None:
    live = make(conflict=policy)
    ada = live.add("ada", both={NEWS: OUT})
    live.started()
    before = live.clock.now()
    live.clock.advance(60)
    opted_out_by_the_system(live, ada)
    live.say(THEIRS, ada, NEWS, IN, at=before)
    live.until_quiet()
    assert live.shows(ada) == (OUT, OUT)


def test_a_consent_revoked_by_the_system_unsubscribes(make: Make) -> None:
    live = make()
    ada = live.add("ada", both={NEWS: IN})
    live.started()
    live.mypreferences.set_consent(live.profile(ada), "EmailMarketing", "Revoked", user=STATUS_MANAGER)
    live.clock.advance(2)
    live.until_quiet()
    assert (live.mine(ada, EMAIL), live.theirs(ada, EMAIL)) == (OUT, OUT)


@pytest.mark.parametrize("was", [IN, OUT])
def test_what_the_system_archived_is_not_written_back(make: Make, was: object) -> None:
    """Archived is neither an opt-in nor an opt-out: an opt-out stays agreed, an ended opt-in is held."""
    live = make()
    ada = live.add("ada", both={NEWS: IN if was is IN else OUT})
    live.started()
    live.mypreferences.archive(live.profile(ada), "NEWS_EMAIL", "DNC", user=STATUS_MANAGER)
    live.clock.advance(2)
    live.until_quiet()
    live.clock.advance(DAY)
    live.run(full=True)
    live.until_quiet()
    assert live.mine(ada, NEWS) in (UNSET, OUT)
    assert live.theirs(ada, NEWS) is was
    assert live.held() == ([(NEWS, "cleared")] if was is IN else [])


def test_an_older_opt_in_does_not_undo_an_opt_out_that_the_system_archived(make: Make) -> None:
    live = make()
    ada = live.add("ada", both={NEWS: OUT}, days_ago=30)
    live.started()
    live.mypreferences.archive(live.profile(ada), "NEWS_EMAIL", "DNC", user=STATUS_MANAGER)
    live.clock.advance(2)
    live.until_quiet()
    live.say(THEIRS, ada, NEWS, IN, at=live.clock.now().replace(year=2025))
    live.run(full=True)
    live.until_quiet()
    assert live.theirs(ada, NEWS) is OUT
    assert live.mine(ada, NEWS) is not IN
