"""What `doctor` and `mapping` find, and how wrong settings are reported."""

from __future__ import annotations

from pathlib import Path

import pytest
from cli_world import EXAMPLE, Call, CliWorld

from bridge.sandbox.faults import InjectedFault


def test_the_doctor_finds_a_good_setup_ready(cli_world: CliWorld, call: Call) -> None:
    result = call("doctor")
    assert result.code == 0, result.out
    assert "Ready" in result.out
    assert "✗" not in result.out
    document = call("doctor", "--json").json
    assert document["ok"] is True
    assert {check["section"] for check in document["checks"]} >= {
        "settings", "state DB", "mapping", "MyPreferences", "Dotdigital", "mapping at Dotdigital",
    }  # fmt: skip
    secrets = [one["value"] for one in document["settings"] if one["name"].endswith(("SECRET", "PASSWORD"))]
    assert set(secrets) <= {"••••", "unset"}


def test_the_doctor_makes_no_state_db(call: Call, tmp_path: Path) -> None:
    call("doctor")
    assert not (tmp_path / "bridge.db").exists()


def test_the_doctor_goes_on_after_a_failure(cli_world: CliWorld, call: Call) -> None:
    result = call("doctor", "--json", DOTDIGITAL__PASSWORD="wrong")
    assert result.code == 5
    bad = [check for check in result.json["checks"] if check["state"] == "bad"]
    assert {check["section"] for check in bad} == {"Dotdigital"}
    assert all(check["mend"] for check in bad)
    good = {check["section"] for check in result.json["checks"] if check["state"] == "good"}
    assert "mapping at MyPreferences" in good


def test_the_doctor_names_a_wrong_region(cli_world: CliWorld, call: Call) -> None:
    cli_world.services.dotdigital.switches.api_endpoint = "https://r2-api.dotdigital.com/"
    result = call("doctor")
    assert result.code == 2
    assert "r2-api.dotdigital.com" in result.out


def test_the_doctor_names_an_alternate_id_type_that_is_not_there(call: Call) -> None:
    """MyPreferences matches the names of alternate-id types in any case."""
    assert "linked by the alternate id CRMID" in call("doctor", MYPREFERENCES__ALTERNATE_ID_TYPE="CRMID").out
    result = call("doctor", MYPREFERENCES__ALTERNATE_ID_TYPE="CrnId")
    assert result.code == 2
    assert "Did you mean 'CrmId'?" in " ".join(result.out.split())


def test_alternate_id_types_that_may_not_be_read_fail_no_doctor(cli_world: CliWorld, call: Call) -> None:
    cli_world.services.mypreferences.faults.add(
        InjectedFault("retrieveAlternateIdTypes", "status", status=403, body="{}")
    )
    result = call("doctor", MYPREFERENCES__ALTERNATE_ID_TYPE="CrmId")
    assert result.code == 0
    assert "Cannot read the alternate-id types" in result.out


def test_the_doctor_names_a_custom_identifier_that_is_not_there(cli_world: CliWorld, call: Call) -> None:
    cli_world.services.dotdigital.define_identifier("mypreferences-id")
    named = call("doctor", DOTDIGITAL__PROFILE_IDENTIFIER="mypreferences-id")
    assert "by the custom identifier mypreferences-id" in " ".join(named.out.split())
    result = call("doctor", DOTDIGITAL__PROFILE_IDENTIFIER="mypreference-id")
    assert result.code == 2
    assert "Did you mean 'mypreferences-id'" in " ".join(result.out.split())


@pytest.mark.parametrize("position", ["forbidden", "absent"])
def test_custom_identifiers_that_may_not_be_read_fail_no_doctor(
    cli_world: CliWorld, call: Call, position: str
) -> None:
    cli_world.services.dotdigital.switches.configuration = position
    result = call("doctor", DOTDIGITAL__PROFILE_IDENTIFIER="mypreferences-id")
    assert result.code == 0
    assert "Cannot read the custom identifier" in " ".join(result.out.split())


def test_the_doctor_warns_where_the_account_has_no_v3(cli_world: CliWorld, call: Call) -> None:
    cli_world.services.dotdigital.switches.v3 = "forbidden"
    done = call("doctor", "--json")
    assert "BRIDGE_DOTDIGITAL__V3" in done.out
    assert done.code == 0


def test_the_doctor_names_a_missing_permission(cli_world: CliWorld, call: Call) -> None:
    cli_world.services.mypreferences.faults.add(
        InjectedFault("retrieveEvents", "status", status=403, body="{}", times=9)
    )
    result = call("doctor", "--json")
    assert result.code == 5
    [bad] = [check for check in result.json["checks"] if check["state"] == "bad"]
    assert "retrieveEvents" in bad["what"]
    assert "User Group" in bad["mend"]


def test_the_doctor_reports_a_wrong_clock(cli_world: CliWorld, call: Call) -> None:
    cli_world.services.clock.advance(90)
    result = call("doctor")
    assert result.code == 0
    assert "s behind the clock of Dotdigital" in " ".join(result.out.split())


def test_the_doctor_compares_the_mapping_with_both_catalogues(
    cli_world: CliWorld, call: Call, tmp_path: Path
) -> None:
    other = tmp_path / "other.toml"
    text = (
        EXAMPLE.read_text()
        .replace("preference = 1002", "preference = 4711")
        .replace("NEWS_EMAIL", "NEWZ_EMAIL")
    )
    other.write_text(text)
    result = call("doctor", "--mapping", other, "--json")
    assert result.code == 2
    words = " ".join(
        check["what"] + check["mend"] for check in result.json["checks"] if check["state"] == "bad"
    )
    assert "4711" in words
    assert "NEWS_EMAIL" in words  # what was probably meant


def test_the_doctor_lists_every_missing_setting(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    result = call("doctor", DOTDIGITAL__USERNAME="", MYPREFERENCES__TOKEN_URL="")
    assert result.code == 2
    words = " ".join(result.out.split())
    assert "BRIDGE_DOTDIGITAL__USERNAME" in words
    assert "BRIDGE_MYPREFERENCES__TOKEN_URL" in words


def test_an_unknown_setting_names_the_nearest(call: Call) -> None:
    result = call("reconcile", POLL_SECOND="5")
    assert result.code == 2
    assert "BRIDGE_POLL_SECONDS" in result.err
    doctor = call("doctor", "--json")
    assert doctor.code == 2
    assert "BRIDGE_POLL_SECONDS" in doctor.out


def test_settings_come_from_a_config_file_and_flags_go_before(call: Call, tmp_path: Path) -> None:
    config = tmp_path / "bridge.toml"
    config.write_text("skew_seconds = 7\n")
    result = call(
        "doctor", "--config", config, "--database-url", f"sqlite:///{tmp_path / 'other.db'}", "--json"
    )
    shown = {one["name"]: (one["value"], one["source"]) for one in result.json["settings"]}
    assert shown["BRIDGE_SKEW_SECONDS"] == ("7.0", "config file")
    assert shown["BRIDGE_DATABASE_URL"][1] == "flag"


def test_a_missing_config_file_is_reported(call: Call, tmp_path: Path) -> None:
    result = call("status", "--config", tmp_path / "none.toml")
    assert result.code == 2
    assert "--config" in result.err


def test_the_example_mapping_passes(call: Call) -> None:
    result = call("mapping", "check", EXAMPLE)
    assert result.code == 0
    assert "newsletter" in result.out
    assert call("mapping", "check", "--json").json["ok"] is True


def test_every_problem_of_a_mapping_is_reported_with_its_line(call: Call, tmp_path: Path) -> None:
    broken = tmp_path / "broken.toml"
    broken.write_text(
        EXAMPLE.read_text().replace("conflict =", "conflikt =").replace("preference = 1002", "preference = 0")
    )
    result = call("mapping", "check", broken, "--json")
    assert result.code == 2
    problems = result.json["problems"]
    assert len(problems) >= 2
    assert all("line" in one["place"] and one["what"] and one["hint"] for one in problems)
    run = call("reconcile", "--mapping", broken)
    assert run.code == 2
    assert "conflict" in run.err


def test_a_missing_mapping_is_reported(call: Call, tmp_path: Path) -> None:
    assert call("mapping", "check", tmp_path / "none.toml").code == 2
    assert call("reconcile", "--mapping", tmp_path / "none.toml").code == 2


def test_the_schema_of_the_mapping_is_one_json_document(call: Call) -> None:
    document = call("mapping", "schema").json
    assert document["$schema"].startswith("https://json-schema.org/")
    assert call("mapping", "schema", "--json").json == document


@pytest.mark.parametrize("position", [False, True])
def test_the_doctor_names_a_missing_right_to_view_profiles(
    cli_world: CliWorld, call: Call, position: bool
) -> None:
    cli_world.services.mypreferences.switches.no_match_is_404 = position
    assert "Profiles can be read" in call("doctor").out
    cli_world.services.mypreferences.forbidden.add("retrieveProfilesByEmail")
    result = call("doctor", "--json")
    assert result.code == 5
    bad = [check for check in result.json["checks"] if check["state"] == "bad"]
    assert any("retrieveProfilesByEmail" in check["what"] for check in bad)
    assert not any("nobody@" in check["what"] for check in bad)


def test_the_doctor_is_quiet_where_the_users_have_the_least_rights(cli_world: CliWorld, call: Call) -> None:
    result = call("doctor", "--json")
    assert result.code == 0
    states = {check["state"] for check in result.json["checks"] if "beyond need" in check["what"]}
    assert states == {"good"}
    assert not [check for check in result.json["checks"] if "never needs" in check["what"]]


def test_the_doctor_warns_of_rights_that_the_bridge_never_needs(cli_world: CliWorld, call: Call) -> None:
    cli_world.services.mypreferences.switches.surplus_rights = True
    result = call("doctor", "--json")
    assert result.code == 0
    [found] = [check for check in result.json["checks"] if "never needs" in check["what"]]
    assert (found["section"], found["state"]) == ("MyPreferences", "warn")
    assert "types of groups" in found["what"]
    assert "User Groups" in found["mend"]


def test_rights_that_nobody_can_take_away_are_a_note(cli_world: CliWorld, call: Call) -> None:
    cli_world.services.dotdigital.switches.surplus_rights = True
    result = call("doctor", "--json")
    assert result.code == 0
    [found] = [check for check in result.json["checks"] if "may also read" in check["what"]]
    assert (found["section"], found["state"]) == ("Dotdigital", "good")
    assert "campaigns" in found["what"]


@pytest.mark.parametrize("kind", ["reset", "html", "status"])
def test_a_read_beyond_need_that_fails_is_no_problem_of_the_setup(
    cli_world: CliWorld, call: Call, kind: str
) -> None:
    for operation, service in (
        ("retrieveGroupTypes", cli_world.services.mypreferences),
        ("get-campaigns", cli_world.services.dotdigital),
    ):
        service.faults.add(InjectedFault(operation, kind, status=500, times=9))
    assert call("doctor").code == 0


def test_nothing_beyond_need_is_tried_where_the_sign_in_fails(cli_world: CliWorld, call: Call) -> None:
    calls = cli_world.services.dotdigital.calls
    call("doctor", DOTDIGITAL__PASSWORD="wrong")
    assert calls.count("get-campaigns") == 0
