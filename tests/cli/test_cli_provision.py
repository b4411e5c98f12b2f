"""`bridge doctor --provision`: the bridge's own user at MyPreferences."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from cli_world import Call, CliWorld

from bridge.sandbox.faults import InjectedFault

NAME = "consent-bridge"
ADMINISTRATOR = "bridge"  # the user that the sandbox begins with
ASKED = ("doctor", "--provision", "--as", ADMINISTRATOR)


@pytest.fixture
def own(settings: dict[str, str]) -> None:
    """A user that is not there yet, in a source group of its own."""
    settings["BRIDGE_MYPREFERENCES__USER_ID"] = NAME
    settings["BRIDGE_MYPREFERENCES__SOURCE_GROUP"] = "BRIDGE"


def created(cli_world: CliWorld) -> int:
    return cli_world.services.mypreferences.calls.count("createUser")


def words(text: str) -> str:
    return " ".join(text.split())


def test_the_user_is_created_once_and_then_found(own: None, cli_world: CliWorld, call: Call) -> None:
    result = call(*ASKED, "--user-group", "API", "--yes", "--json")
    assert result.code == 0, result.err
    made = result.json["provisioned"]
    assert (made["user_name"], made["source_group"], made["created"]) == (NAME, "BRIDGE", True)
    assert made["user_id"]
    assert made["signs_in"] is True
    assert all(word in words(result.err) for word in (NAME, "source group: BRIDGE", "User Groups: API"))
    again = call("doctor", "--provision", "--json").json["provisioned"]
    assert (again["created"], again["signs_in"]) == (False, True)
    assert created(cli_world) == 1
    assert call("doctor").code == 0


def test_nothing_is_created_unasked(own: None, cli_world: CliWorld, call: Call) -> None:
    result = call(*ASKED)
    assert result.code == 2
    assert "--yes" in result.err
    assert "none (see --user-group)" in words(result.err)
    assert created(cli_world) == 0


def test_a_user_that_does_not_sign_in_needs_another_that_may_create_it(
    own: None, cli_world: CliWorld, call: Call
) -> None:
    result = call("doctor", "--provision", "--yes")
    assert result.code == 2
    assert "--as USER_ID" in result.err
    assert created(cli_world) == 0


def test_an_administrator_that_cannot_sign_in_creates_nothing(
    own: None, cli_world: CliWorld, call: Call
) -> None:
    result = call("doctor", "--provision", "--as", "nobody", "--yes")
    assert result.code == 5
    assert "Nothing was created" in words(result.err)
    assert created(cli_world) == 0


def test_a_user_without_the_right_to_read_is_there_all_the_same(cli_world: CliWorld, call: Call) -> None:
    cli_world.services.mypreferences.forbidden.add("retrievePrograms")
    assert call("doctor", "--provision").code == 0
    assert created(cli_world) == 0


def test_a_service_that_is_down_says_nothing_of_the_user(own: None, cli_world: CliWorld, call: Call) -> None:
    result = call(*ASKED, "--yes", MYPREFERENCES__TOKEN_URL="http://127.0.0.1:1/token")
    assert result.code == 5
    assert created(cli_world) == 0


def test_an_unknown_outcome_is_reported_and_never_repeated(
    own: None, cli_world: CliWorld, call: Call
) -> None:
    cli_world.services.mypreferences.faults.add(InjectedFault("createUser", "reset"))
    result = call(*ASKED, "--yes")
    assert result.code == 5
    assert "unknown whether the user was created" in words(result.err)
    assert "Look for the user in MyPreferences" in words(result.err)
    assert created(cli_world) == 1


def test_a_user_that_still_cannot_sign_in_is_no_success(own: None, cli_world: CliWorld, call: Call) -> None:
    cli_world.services.mypreferences.switches.active_user_is_409 = False
    result = call(*ASKED, "--yes", "--json", MYPREFERENCES__USER_ID="BRIDGE")
    assert result.code == 5
    assert result.json["provisioned"]["signs_in"] is False


def test_flags_of_provisioning_alone_are_refused(call: Call) -> None:
    result = call("doctor", "--as", "another-user")
    assert result.code == 2
    assert "--provision" in result.err


def test_the_doctor_shows_whether_the_bridges_own_edits_are_recognised(
    cli_world: CliWorld, call: Call
) -> None:
    """MyPreferences `ProfilePreference`: UserId and SourceId of who recorded it."""
    assert "recorded under its own user" not in call("doctor").out
    cli_world.services.dotdigital.set_preference(cli_world.contacts["anna"], 1002, False, datetime.now(UTC))
    assert call("reconcile").code in (0, 3)
    assert "recorded under its own user" in words(call("doctor").out)
    later = datetime.now(UTC) + timedelta(seconds=5)  # than any date that the bridge may have written
    cli_world.services.mypreferences.set_preference(cli_world.profiles["anna"], "NEWS_EMAIL", True, later)
    result = call("doctor")
    assert result.code == 0
    assert "it was changed since" in words(result.out)


@pytest.mark.parametrize("is_gone", [True, False])
def test_a_person_who_cannot_be_read_does_not_fail_the_doctor(
    cli_world: CliWorld, call: Call, is_gone: bool
) -> None:
    cli_world.services.dotdigital.set_preference(cli_world.contacts["anna"], 1002, False, datetime.now(UTC))
    assert call("reconcile").code in (0, 3)
    if is_gone:
        cli_world.services.mypreferences.delete(cli_world.profiles["anna"])
    else:
        cli_world.services.mypreferences.forbidden.add("retrieveProfileById")
    result = call("doctor")
    assert result.code == 0
    assert "recorded under its own user" not in result.out
    assert ("Cannot read who recorded" in words(result.out)) is not is_gone
