"""What `doctor` and `mapping` find, and how wrong settings are told."""

from __future__ import annotations

from pathlib import Path

import pytest
from cli_town import EXAMPLE, Call, Town

from bridge.sandbox.faults import Fault


def test_the_doctor_finds_a_good_setup_ready(town: Town, call: Call) -> None:
    said = call("doctor")
    assert said.code == 0, said.out
    assert "Ready" in said.out
    assert "✗" not in said.out
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


def test_the_doctor_goes_on_after_a_failure(town: Town, call: Call) -> None:
    said = call("doctor", "--json", DOTDIGITAL__PASSWORD="wrong")
    assert said.code == 5
    bad = [check for check in said.json["checks"] if check["state"] == "bad"]
    assert {check["section"] for check in bad} == {"Dotdigital"}
    assert all(check["mend"] for check in bad)
    good = {check["section"] for check in said.json["checks"] if check["state"] == "good"}
    assert "mapping at MyPreferences" in good


def test_the_doctor_names_a_wrong_region(town: Town, call: Call) -> None:
    town.world.dotdigital.switches.api_endpoint = "https://r2-api.dotdigital.com/"
    said = call("doctor")
    assert said.code == 2
    assert "r2-api.dotdigital.com" in said.out


def test_the_doctor_names_an_alternate_id_type_that_is_not_there(call: Call) -> None:
    """MyPreferences matches the names of alternate-id types in any case."""
    assert "linked by the alternate id CRMID" in call("doctor", MYPREFERENCES__ALTERNATE_ID_TYPE="CRMID").out
    said = call("doctor", MYPREFERENCES__ALTERNATE_ID_TYPE="CrnId")
    assert said.code == 2
    assert "Did you mean 'CrmId'?" in " ".join(said.out.split())


def test_alternate_id_types_that_may_not_be_read_fail_no_doctor(town: Town, call: Call) -> None:
    town.world.mypreferences.faults.add(Fault("retrieveAlternateIdTypes", "status", status=403, body="{}"))
    said = call("doctor", MYPREFERENCES__ALTERNATE_ID_TYPE="CrmId")
    assert said.code == 0
    assert "Cannot read the alternate-id types" in said.out


def test_the_doctor_names_a_custom_identifier_that_is_not_there(town: Town, call: Call) -> None:
    town.world.dotdigital.define_identifier("mypreferences-id")
    named = call("doctor", DOTDIGITAL__PROFILE_IDENTIFIER="mypreferences-id")
    assert "by the custom identifier mypreferences-id" in " ".join(named.out.split())
    said = call("doctor", DOTDIGITAL__PROFILE_IDENTIFIER="mypreference-id")
    assert said.code == 2
    assert "Did you mean 'mypreferences-id'" in " ".join(said.out.split())


@pytest.mark.parametrize("position", ["forbidden", "absent"])
def test_custom_identifiers_that_may_not_be_read_fail_no_doctor(
    town: Town, call: Call, position: str
) -> None:
    town.world.dotdigital.switches.configuration = position
    said = call("doctor", DOTDIGITAL__PROFILE_IDENTIFIER="mypreferences-id")
    assert said.code == 0
    assert "Cannot read the custom identifier" in " ".join(said.out.split())


def test_the_doctor_warns_where_the_account_has_no_v3(town: Town, call: Call) -> None:
    town.world.dotdigital.switches.v3 = "forbidden"
    done = call("doctor", "--json")
    assert "BRIDGE_DOTDIGITAL__V3" in done.out
    assert done.code == 0


def test_the_doctor_names_a_missing_permission(town: Town, call: Call) -> None:
    town.world.mypreferences.faults.add(Fault("retrieveEvents", "status", status=403, body="{}", times=9))
    said = call("doctor", "--json")
    assert said.code == 5
    [bad] = [check for check in said.json["checks"] if check["state"] == "bad"]
    assert "retrieveEvents" in bad["what"]
    assert "User Group" in bad["mend"]


def test_the_doctor_tells_a_wrong_clock(town: Town, call: Call) -> None:
    town.world.clock.advance(90)
    said = call("doctor")
    assert said.code == 0
    assert "s behind the clock of Dotdigital" in " ".join(said.out.split())


def test_the_doctor_compares_the_mapping_with_both_catalogues(town: Town, call: Call, tmp_path: Path) -> None:
    other = tmp_path / "other.toml"
    text = (
        EXAMPLE.read_text()
        .replace("preference = 1002", "preference = 4711")
        .replace("NEWS_EMAIL", "NEWZ_EMAIL")
    )
    other.write_text(text)
    said = call("doctor", "--mapping", other, "--json")
    assert said.code == 2
    words = " ".join(
        check["what"] + check["mend"] for check in said.json["checks"] if check["state"] == "bad"
    )
    assert "4711" in words
    assert "NEWS_EMAIL" in words  # what was probably meant


def test_the_doctor_lists_every_missing_setting(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    said = call("doctor", DOTDIGITAL__USERNAME="", MYPREFERENCES__TOKEN_URL="")
    assert said.code == 2
    words = " ".join(said.out.split())
    assert "BRIDGE_DOTDIGITAL__USERNAME" in words
    assert "BRIDGE_MYPREFERENCES__TOKEN_URL" in words


def test_an_unknown_setting_names_the_nearest(call: Call) -> None:
    said = call("reconcile", POLL_SECOND="5")
    assert said.code == 2
    assert "BRIDGE_POLL_SECONDS" in said.err
    doctor = call("doctor", "--json")
    assert doctor.code == 2
    assert "BRIDGE_POLL_SECONDS" in doctor.out


def test_settings_come_from_a_config_file_and_flags_go_before(call: Call, tmp_path: Path) -> None:
    config = tmp_path / "bridge.toml"
    config.write_text("skew_seconds = 7\n")
    said = call(
        "doctor", "--config", config, "--database-url", f"sqlite:///{tmp_path / 'other.db'}", "--json"
    )
    shown = {one["name"]: (one["value"], one["source"]) for one in said.json["settings"]}
    assert shown["BRIDGE_SKEW_SECONDS"] == ("7.0", "config file")
    assert shown["BRIDGE_DATABASE_URL"][1] == "flag"


def test_a_missing_config_file_is_told(call: Call, tmp_path: Path) -> None:
    said = call("status", "--config", tmp_path / "none.toml")
    assert said.code == 2
    assert "--config" in said.err


def test_the_example_mapping_passes(call: Call) -> None:
    said = call("mapping", "check", EXAMPLE)
    assert said.code == 0
    assert "newsletter" in said.out
    assert call("mapping", "check", "--json").json["ok"] is True


def test_every_problem_of_a_mapping_is_told_with_its_place(call: Call, tmp_path: Path) -> None:
    broken = tmp_path / "broken.toml"
    broken.write_text(
        EXAMPLE.read_text().replace("conflict =", "conflikt =").replace("preference = 1002", "preference = 0")
    )
    said = call("mapping", "check", broken, "--json")
    assert said.code == 2
    problems = said.json["problems"]
    assert len(problems) >= 2
    assert all("line" in one["place"] and one["what"] and one["hint"] for one in problems)
    run = call("reconcile", "--mapping", broken)
    assert run.code == 2
    assert "conflict" in run.err


def test_a_mapping_that_is_not_there_is_told(call: Call, tmp_path: Path) -> None:
    assert call("mapping", "check", tmp_path / "none.toml").code == 2
    assert call("reconcile", "--mapping", tmp_path / "none.toml").code == 2


def test_the_schema_of_the_mapping_is_one_json_document(call: Call) -> None:
    document = call("mapping", "schema").json
    assert document["$schema"].startswith("https://json-schema.org/")
    assert call("mapping", "schema", "--json").json == document
