"""`bridge mapping scaffold`, and what a draft may do."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from cli_world import Call, CliWorld


@pytest.fixture
def drafted(cli_world: CliWorld, call: Call, tmp_path: Path) -> Path:
    path = tmp_path / "draft.toml"
    assert call("mapping", "scaffold", "--out", path).code == 0
    return path


def test_a_draft_matches_what_both_sides_call_the_same(cli_world: CliWorld, call: Call) -> None:
    result = call("mapping", "scaffold")
    assert result.code == 0
    document = tomllib.loads(result.out)
    assert document["draft"] is True
    assert document["channels"]["email"]["mypreferences"]["consent"] == "EmailMarketing"
    topics = {one["id"]: one["dotdigital"] for one in document["topics"]}
    assert topics == {
        "newsletter": {"preference": 1002},
        "offers": {"frequencies": {"DAILY": 1003, "WEEKLY": 1004}},
    }
    for left in ("EVENTS_EMAIL", "NEWS_PHONE", "Profiling", "1010", "1012"):
        assert left in result.out
    assert "draft" in result.err


def test_a_draft_as_json_has_scores_reasons_and_what_is_left(
    cli_world: CliWorld, call: Call, tmp_path: Path
) -> None:
    out = tmp_path / "draft.toml"
    document = call("mapping", "scaffold", "--json", "--out", out).json
    assert document["file"] == str(out)
    assert out.read_text(encoding="utf-8") == document["draft"]
    first = document["topics"][0]
    assert first.keys() == {"id", "mypreferences", "dotdigital", "score", "reason", "doubts", "commented_out"}
    assert {"id": "1012", "kind": "preference", "name": "Surveys"}.items() <= {
        key: value
        for one in document["unmatched"]["dotdigital"]
        if one["id"] == "1012"
        for key, value in one.items()
    }.items()


def test_a_draft_overwrites_nothing(drafted: Path, call: Call) -> None:
    before = drafted.read_text(encoding="utf-8")
    result = call("mapping", "scaffold", "--out", drafted)
    assert result.code == 2
    assert "already exists" in result.err
    assert drafted.read_text(encoding="utf-8") == before


def test_a_draft_passes_the_check_and_fits_both_sides(drafted: Path, call: Call) -> None:
    result = call("mapping", "check", drafted, "--live", "--json")
    assert (result.code, result.json["ok"], result.json["draft"]) == (0, True, True)


def test_nothing_is_written_by_a_draft_until_a_person_confirms_it(
    cli_world: CliWorld, drafted: Path, call: Call, tmp_path: Path
) -> None:
    plan = tmp_path / "plan.json"
    assert call("plan", "--mapping", drafted, "--out", plan).code in (0, 3)
    for command in (("reconcile",), ("apply", plan)):
        result = call(*command, "--mapping", drafted)
        assert result.code == 2
        assert "draft = true" in result.err
    result = call("run", MAPPING=str(drafted))
    assert result.code == 2
    assert "draft = true" in result.err
    assert cli_world.gets_newsletter("ben")
    confirmed = drafted.read_text(encoding="utf-8").replace("draft = true\n", "", 1)
    drafted.write_text(confirmed.replace("\ndraft = true\n", "\n"), encoding="utf-8")
    assert call("reconcile", "--mapping", drafted).code in (0, 3)
    assert not cli_world.gets_newsletter("ben")


def test_the_doctor_says_that_a_mapping_is_a_draft(drafted: Path, call: Call) -> None:
    checks = call("doctor", "--mapping", drafted, "--json").json["checks"]
    assert any(one["state"] == "warn" and "draft" in one["what"] for one in checks)


def test_a_mapping_that_is_missing_leads_to_a_draft(call: Call, tmp_path: Path) -> None:
    assert "bridge mapping scaffold" in call("reconcile", "--mapping", tmp_path / "none.toml").err


def test_a_side_that_cannot_be_read_drafts_nothing(call: Call, tmp_path: Path) -> None:
    out = tmp_path / "draft.toml"
    assert call("mapping", "scaffold", "--out", out, DOTDIGITAL__PASSWORD="wrong").code == 5
    assert not out.exists()
