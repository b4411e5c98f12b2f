"""A contact linked to a profile of another address: withdrawals apply both ways, opt-ins do not."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.scenarios.conftest import Make
from tests.scenarios.live import EMAIL, IN, MINE, NEWS, OUT, THEIRS, UNSET, Live

Pinned = Callable[..., tuple[Live, str, str]]


@pytest.fixture
def pinned(make: Make) -> Pinned:
    """Ada changed her address at MyPreferences before the bridge came; Dotdigital has the old one, and her
    ProfileId."""

    def build(**words: object) -> tuple[Live, str, str]:
        live = make(profile_identifier="mypreferences-id", **words)
        old, new = "ada.old@example.com", "ada.new@example.com"
        said = live.clock.now().replace(year=2025)
        profile = live.add_mine(new, {NEWS: IN}, said)
        live.add_theirs(old, {NEWS: IN}, said)
        live.pin(old, profile)
        live.started()
        return live, old, new

    return build


@pytest.mark.parametrize("segment", [True, False])
def test_a_withdrawal_at_dotdigital_reaches_the_profile_that_its_contact_names(
    pinned: Pinned, segment: bool
) -> None:
    live, old, new = pinned(segment=segment)
    live.say(THEIRS, old, NEWS, OUT)
    live.until_quiet()
    assert live.mine(new, NEWS) is OUT
    assert live.theirs(old, NEWS) is OUT


def test_an_unsubscribe_does_too(pinned: Pinned) -> None:
    live, old, new = pinned()
    live.unsubscribe(old)
    live.until_quiet()
    assert live.mine(new, EMAIL) is OUT


def test_a_withdrawal_at_mypreferences_reaches_the_contact_that_names_the_profile(pinned: Pinned) -> None:
    live, old, new = pinned()
    live.say(MINE, new, NEWS, OUT)
    live.until_quiet()
    assert live.theirs(old, NEWS) is OUT


def test_a_withdrawal_from_before_the_bridge_is_transferred_on_the_first_run(make: Make) -> None:
    live = make(profile_identifier="mypreferences-id")
    said = live.clock.now().replace(year=2025)
    profile = live.add_mine("ada.new@example.com", {NEWS: IN}, said)
    live.add_theirs("ada.old@example.com", {NEWS: OUT}, said.replace(month=9))
    live.pin("ada.old@example.com", profile)
    live.started()
    live.until_quiet()
    assert live.mine("ada.new@example.com", NEWS) is OUT


def test_what_is_still_wanted_under_another_address_of_the_profile_takes_nothing_back(make: Make) -> None:
    live = make(profile_identifier="mypreferences-id")
    said = live.clock.now().replace(year=2025)
    addresses = ["ada.new@example.com", "ada.work@example.com"]
    profile = live.mypreferences.add_profile(
        [("Primary", addresses[0]), ("Work", addresses[1])],
        preferences={"NEWS_EMAIL": (True, said)},
    )
    live.add_theirs("ada.old@example.com", {NEWS: IN}, said)
    live.pin("ada.old@example.com", profile)
    live.started()
    assert live.theirs("ada.old@example.com", NEWS) is IN


def test_no_opt_in_is_transferred(pinned: Pinned) -> None:
    live, old, new = pinned()
    live.say(THEIRS, old, NEWS, OUT)
    live.until_quiet()
    live.say(MINE, new, NEWS, IN)
    live.until_quiet()
    live.run(full=True)
    assert live.theirs(old, NEWS) is OUT
    assert live.mine(new, NEWS) is IN  # her newer choice for that address remains


@pytest.mark.parametrize("side", [MINE, THEIRS])
def test_an_opt_in_waits_while_the_contact_names_a_profile_of_another_address(
    pinned: Pinned, side: object
) -> None:
    """Another profile has the contact's address: whose opt-in it would be is not certain."""
    live, old, _ = pinned()
    live.say(THEIRS, old, NEWS, OUT) if side is MINE else live.say(THEIRS, old, NEWS, IN)
    live.until_quiet()
    live.add_mine(old, {NEWS: UNSET}, live.clock.now())
    live.run(full=True)
    live.say(MINE if side is MINE else THEIRS, old, NEWS, IN)
    live.until_quiet()
    assert (NEWS, "other_address") in live.held()
    assert live.shows(old)[0 if side is THEIRS else 1] is not IN


def test_once_the_profile_has_the_address_again_all_is_as_usual(pinned: Pinned) -> None:
    live, old, new = pinned()
    live.dotdigital.change_email(live.contact(old), new)
    live.run(full=True)
    live.say(MINE, new, NEWS, OUT)
    live.until_quiet()
    live.say(MINE, new, NEWS, IN)
    live.until_quiet()
    assert live.shows(new) == (IN, IN)
    assert live.held() == []


@pytest.mark.parametrize("value", ["4711000", "ada@example.com", "no such person!"])
def test_an_identifier_that_names_nobody_changes_nothing(make: Make, value: str) -> None:
    live = make(profile_identifier="mypreferences-id")
    ada = live.add("ada", both={NEWS: IN})
    live.pin(ada, value)
    live.started()
    live.say(MINE, ada, NEWS, OUT)
    live.until_quiet()
    live.say(MINE, ada, NEWS, IN)
    live.until_quiet()
    assert live.shows(ada) == (IN, IN)


def test_without_the_setting_nothing_is_read_from_it(make: Make) -> None:
    live = make()
    said = live.clock.now().replace(year=2025)
    profile = live.add_mine("ada.new@example.com", {NEWS: IN}, said)
    live.add_theirs("ada.old@example.com", {NEWS: OUT}, said.replace(month=9))
    contact = live.dotdigital.contacts.by_id[live.contact("ada.old@example.com")]
    live.dotdigital.contacts.set_identifier(contact, "mypreferences-id", str(profile))
    live.started()
    assert live.mine("ada.new@example.com", NEWS) is IN
