"""`bridge mapping pin`: contacts are given their ProfileId, by import, and nothing else of them changes."""

from __future__ import annotations

import pytest
from cli_town import Call, Town

NAME = "mypreferences-id"
PIN = ("mapping", "pin")


@pytest.fixture
def named(town: Town, call: Call) -> Call:
    """The account has the identifier, and the bridge knows everybody."""
    town.world.dotdigital.define_identifier(NAME)
    assert call("reconcile", DOTDIGITAL__PROFILE_IDENTIFIER=NAME).code in (0, 3)
    return call


def says(town: Town, name: str) -> str | None:
    return town.world.dotdigital.contact(town.contacts[name]).identifiers.get(NAME)


def imports(town: Town) -> int:
    return town.world.dotdigital.calls.count("importContacts")


def test_contacts_get_their_profile_and_keep_all_else(town: Town, named: Call) -> None:
    state = town.world.dotdigital
    before = state.people()
    said = named(*PIN, "--yes", "--json")
    assert said.code == 0, said.err
    assert said.json["set"] == said.json["wanted"] > 1
    assert says(town, "anna") == str(town.profiles["anna"])
    assert state.people() == before
    again = named(*PIN, "--yes", "--json")
    assert again.json["wanted"] == 0
    assert imports(town) == 1


def test_nothing_is_sent_before_somebody_says_so(town: Town, named: Call) -> None:
    assert named(*PIN).code == 2
    assert named(*PIN, "--dry-run").code == 0
    assert imports(town) == 0


def test_an_identifier_that_another_contact_has_is_taken_from_nobody(town: Town, named: Call) -> None:
    state = town.world.dotdigital
    stranger = state.contacts.by_id[state.add_contact("stranger@example.com")]
    ben = state.contacts.by_id[town.contacts["ben"]]
    state.contacts.set_custom(stranger, NAME, str(town.profiles["anna"]), state.now())
    state.contacts.set_custom(ben, NAME, "another", state.now())
    said = named(*PIN, "--yes", "--json")
    assert said.code == 3
    assert (said.json["taken"], said.json["names_another"]) == (1, 1)
    assert says(town, "anna") is None
    assert says(town, "ben") == "another"


def test_contacts_in_the_recycle_bin_are_not_brought_back(town: Town, named: Call) -> None:
    town.world.dotdigital.delete_contact(town.contacts["anna"])
    assert named(*PIN, "--yes").code == 0
    assert town.world.dotdigital.contact(town.contacts["anna"]).binned


def test_an_import_that_is_refused_is_told(town: Town, named: Call) -> None:
    town.world.dotdigital.switches.import_outcome = "RejectedByWatchdog"
    said = named(*PIN, "--yes", "--json")
    assert said.code == 3
    assert said.json["set"] == 0
    assert said.json["refused"] == {"RejectedByWatchdog": said.json["wanted"]}


def test_without_the_setting_or_the_identifier_it_says_what_to_do(call: Call) -> None:
    assert "is not set" in call(*PIN).err
    said = call(*PIN, DOTDIGITAL__PROFILE_IDENTIFIER=NAME)
    assert said.code == 2
    assert "no custom identifier" in said.err
