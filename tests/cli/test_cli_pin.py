"""`bridge mapping pin`: an import sets the ProfileId of contacts and changes nothing else."""

from __future__ import annotations

import pytest
from cli_world import Call, CliWorld

NAME = "mypreferences-id"
PIN = ("mapping", "pin")


@pytest.fixture
def named(cli_world: CliWorld, call: Call) -> Call:
    """The account has the identifier, and the bridge knows everybody."""
    cli_world.services.dotdigital.define_identifier(NAME)
    assert call("reconcile", DOTDIGITAL__PROFILE_IDENTIFIER=NAME).code in (0, 3)
    return call


def says(cli_world: CliWorld, name: str) -> str | None:
    return cli_world.services.dotdigital.contact(cli_world.contacts[name]).identifiers.get(NAME)


def imports(cli_world: CliWorld) -> int:
    return cli_world.services.dotdigital.calls.count("importContacts")


def test_contacts_get_their_profile_and_keep_all_else(cli_world: CliWorld, named: Call) -> None:
    state = cli_world.services.dotdigital
    before = state.people()
    result = named(*PIN, "--yes", "--json")
    assert result.code == 0, result.err
    assert result.json["set"] == result.json["wanted"] > 1
    assert says(cli_world, "anna") == str(cli_world.profiles["anna"])
    assert state.people() == before
    again = named(*PIN, "--yes", "--json")
    assert again.json["wanted"] == 0
    assert imports(cli_world) == 1


def test_nothing_is_sent_without_confirmation(cli_world: CliWorld, named: Call) -> None:
    assert named(*PIN).code == 2
    assert named(*PIN, "--dry-run").code == 0
    assert imports(cli_world) == 0


def test_an_identifier_that_another_contact_has_is_taken_from_nobody(
    cli_world: CliWorld, named: Call
) -> None:
    state = cli_world.services.dotdigital
    stranger = state.contacts.by_id[state.add_contact("stranger@example.com")]
    ben = state.contacts.by_id[cli_world.contacts["ben"]]
    state.contacts.set_identifier(stranger, NAME, str(cli_world.profiles["anna"]))
    state.contacts.set_identifier(ben, NAME, "another")
    result = named(*PIN, "--yes", "--json")
    assert result.code == 3
    assert (result.json["taken"], result.json["names_another"]) == (1, 1)
    assert says(cli_world, "anna") is None
    assert says(cli_world, "ben") == "another"


def test_contacts_in_the_recycle_bin_are_not_brought_back(cli_world: CliWorld, named: Call) -> None:
    cli_world.services.dotdigital.delete_contact(cli_world.contacts["anna"])
    assert named(*PIN, "--yes").code == 0
    assert cli_world.services.dotdigital.contact(cli_world.contacts["anna"]).binned


def test_a_refused_import_is_reported(cli_world: CliWorld, named: Call) -> None:
    cli_world.services.dotdigital.switches.import_outcome = "RejectedByWatchdog"
    result = named(*PIN, "--yes", "--json")
    assert result.code == 3
    assert result.json["set"] == 0
    assert result.json["refused"] == {"RejectedByWatchdog": result.json["wanted"]}


def test_without_the_setting_or_the_identifier_it_says_what_to_do(call: Call) -> None:
    assert "is not set" in call(*PIN).err
    result = call(*PIN, DOTDIGITAL__PROFILE_IDENTIFIER=NAME)
    assert result.code == 2
    assert "no custom identifier" in result.err
