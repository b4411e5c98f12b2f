"""Several profiles with one address, and a profile linked by an alternate id."""

from __future__ import annotations

from datetime import timedelta

from bridge.core.model import Choice
from tests.scenarios.conftest import Make
from tests.scenarios.live import IN, MINE, NEWS, OUT, PROFILING, THEIRS, UNSET, Live


def a_pair(make: Make, pinned_to: str = "") -> tuple[Live, str, int, int]:
    """Ada is two profiles at MyPreferences; the second may be pinned to a contact of Dotdigital."""
    live = make(alternate_ids=True)
    ada = live.add("ada", mine={NEWS: UNSET}, theirs={NEWS: UNSET})
    first = live.mypreferences.find(ada)[0]
    contact = live.dotdigital.find(ada)
    assert contact is not None
    pins = {"CrmId": pinned_to or str(contact.id)}
    second = live.mypreferences.add_profile([ada], alternate_ids=pins, quiet=False)
    live.started()
    return live, ada, first, second


def choice(live: Live, profile: int) -> str:
    (person,) = [one for one in live.mypreferences.people() if one["profile_id"] == profile]
    return person["emails"][0]["preferences"].get("NEWS_EMAIL", {}).get("choice", "unset")


def test_an_opt_in_goes_to_the_profile_that_the_alternate_id_names(make: Make) -> None:
    live, ada, first, second = a_pair(make)
    live.say(THEIRS, ada, NEWS, IN)
    live.until_quiet()
    assert (choice(live, first), choice(live, second)) == ("unset", "opted_in")
    assert live.held() == []


def test_an_opt_out_goes_to_every_profile_whatever_the_alternate_id_names(make: Make) -> None:
    live, ada, first, second = a_pair(make)
    live.say(THEIRS, ada, NEWS, OUT)
    live.until_quiet()
    assert (choice(live, first), choice(live, second)) == ("opted_out", "opted_out")


def test_an_opt_in_waits_where_the_alternate_id_names_another_contact(make: Make) -> None:
    live, ada, first, second = a_pair(make, pinned_to="999999")
    live.say(THEIRS, ada, NEWS, IN)
    live.until_quiet()
    assert (choice(live, first), choice(live, second)) == ("unset", "unset")
    assert live.held() == [(NEWS, "several_records")]


def test_profiles_that_are_merged_no_longer_hold_an_opt_in(make: Make) -> None:
    live, ada, first, second = a_pair(make, pinned_to="999999")
    live.say(THEIRS, ada, NEWS, IN)
    live.until_quiet()
    live.mypreferences.delete(second)
    live.clock.advance(timedelta(minutes=1).total_seconds())
    live.until_quiet()
    assert choice(live, first) == "opted_in"
    assert live.held() == []


def test_an_address_is_the_same_in_any_case_and_keeps_its_tag(make: Make) -> None:
    """Dotdigital shows addresses as they were stored; dots and plus tags tell people apart."""
    live = make()
    at = live.clock.now() - timedelta(days=30)
    live.add_mine("ada+news@example.com", {NEWS: IN}, at)
    live.add_theirs("ADA+NEWS@EXAMPLE.COM", {NEWS: IN}, at)
    other = live.add("ada", both={NEWS: IN})
    live.started()
    live.say(MINE, "ada+news@example.com", NEWS, OUT)
    live.until_quiet()
    assert live.theirs("ada+news@example.com", NEWS) is OUT
    assert live.shows(other) == (IN, IN)


def test_an_opt_out_reaches_a_contact_stored_in_capitals_that_was_suppressed(live: Live) -> None:
    """Dotdigital: writing to a suppressed contact by another case of its address may be refused."""
    at = live.clock.now() - timedelta(days=30)
    live.add_mine("ada@example.com", {NEWS: IN}, at)
    live.add_theirs("ADA@EXAMPLE.COM", {NEWS: IN}, at, "HardBounced")
    live.started()
    live.say(MINE, "ada@example.com", NEWS, OUT)
    live.until_quiet()
    assert live.theirs("ada@example.com", NEWS) is OUT


def a_stranger(make: Make, said: Choice = IN, segment: bool = True) -> tuple[Live, str, str]:
    """Ada's contact has her address at work; the profile that names it has the one at home only."""
    live = make(alternate_ids=True, segment=segment)
    at = live.clock.now() - timedelta(days=30)
    work, home = "ada@work.example", "ada@home.example"
    contact = live.add_theirs(work, {NEWS: UNSET}, at)
    preferences = {"NEWS_EMAIL": (said is IN, at)}
    live.mypreferences.add_profile([home], preferences=preferences, alternate_ids={"CrmId": str(contact)})
    live.started()
    return live, work, home


def test_an_opt_out_reaches_the_profile_that_names_the_contact_under_another_address(make: Make) -> None:
    live, work, home = a_stranger(make)
    live.say(THEIRS, work, NEWS, OUT)
    live.until_quiet()
    assert live.mine(home, NEWS) is OUT
    assert live.held() == []


def test_an_opt_in_waits_where_the_profile_that_names_the_contact_has_another_address(make: Make) -> None:
    live, work, home = a_stranger(make, segment=False)
    live.say(THEIRS, work, NEWS, IN)
    live.until_quiet()
    assert live.held() == [(NEWS, "other_address")]
    assert [one["address"] for person in live.mypreferences.people() for one in person["emails"]] == [home]


def test_an_opt_in_of_another_address_raises_nobody_at_this_one(make: Make) -> None:
    live, work, home = a_stranger(make)
    live.say(MINE, home, NEWS, IN)
    live.until_quiet()
    live.run(full=True)
    assert live.theirs(work, NEWS) is UNSET


def test_an_opt_in_of_another_address_after_the_opt_out_remains(make: Make) -> None:
    live, work, home = a_stranger(make)
    live.say(THEIRS, work, NEWS, OUT)
    live.until_quiet()
    live.say(MINE, home, NEWS, IN)
    live.until_quiet()
    live.say(THEIRS, work, PROFILING, OUT)  # so that she is read again
    live.until_quiet()
    live.run(full=True)
    assert live.mine(home, NEWS) is IN
    assert live.theirs(work, NEWS) is OUT
    live.say(THEIRS, work, NEWS, OUT)
    live.until_quiet()
    assert live.theirs(work, NEWS) is OUT
