"""What `reconcile`, `plan` and `apply` promise: text, JSON and exit codes."""

from __future__ import annotations

import json
import os
import re
import stat
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cli_world import Call, CliWorld

from bridge.sandbox.faults import InjectedFault

REPORT = {
    "run", "kind", "started_at", "seconds", "observed", "writes", "held", "unproven", "failed", "in_sync",
    "calls", "brakes", "warnings",
}  # fmt: skip


def test_a_first_run_delivers_withdrawals_and_ends_with_0(cli_world: CliWorld, call: Call) -> None:
    result = call("reconcile")
    assert result.code == 0, result.err
    assert "First run" in result.out
    assert "In sync: nothing is waiting." in result.out
    assert result.err == ""
    assert not cli_world.gets_newsletter("ben")
    assert cli_world.gets_newsletter("anna")


def test_the_report_is_exactly_one_json_document(cli_world: CliWorld, call: Call) -> None:
    result = call("reconcile", "--json")
    assert result.json.keys() >= REPORT
    assert result.json["kind"] == "first"
    assert result.json["writes"]["dotdigital"] == {"raises": 0, "withdrawals": 1, "other": 0}
    assert result.json["in_sync"] is True
    again = call("reconcile", "--json").json
    assert again["kind"] == "incremental"
    assert not any(sum(kinds.values()) for kinds in again["writes"].values())
    assert call("reconcile", "--full", "--json").json["kind"] == "full"


def test_held_opt_ins_end_with_3_until_a_person_approves_them(cli_world: CliWorld, call: Call) -> None:
    cli_world.add_held_opt_in()
    first = call("reconcile")
    assert first.code == 3
    assert "1 held for review" in first.out
    assert "bridge reconcile --approve-raises" in first.out
    assert not cli_world.gets_newsletter("cora")
    approved = call("reconcile", "--approve-raises", "--json")
    assert approved.code == 0
    assert approved.json["writes"]["dotdigital"]["raises"] == 1
    assert cli_world.gets_newsletter("cora")


def test_a_tripped_brake_ends_with_4_and_sends_no_opt_in(cli_world: CliWorld, call: Call) -> None:
    cli_world.add_held_opt_in()
    tight = {"BRAKES__RAISES_MAX": "0", "BRAKES__RAISES_SHARE": "0"}
    result = call("reconcile", "--approve-raises", **tight)
    assert result.code == 4
    assert "brake" in result.out
    assert not cli_world.gets_newsletter("cora")
    assert not cli_world.gets_newsletter("ben")  # a withdrawal passes every brake


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"DOTDIGITAL__PASSWORD": "wrong"}, "BRIDGE_DOTDIGITAL__PASSWORD"),
        ({"MYPREFERENCES__CLIENT_SECRET": "wrong"}, "BRIDGE_MYPREFERENCES__CLIENT_SECRET"),
        ({"DOTDIGITAL__BASE_URL": "http://127.0.0.1:1"}, "could not be reached"),
    ],
)
def test_a_side_that_cannot_be_used_ends_with_5_and_says_how_to_fix_it(
    cli_world: CliWorld, call: Call, monkeypatch: pytest.MonkeyPatch, changed: dict[str, str], words: str
) -> None:
    monkeypatch.setattr("bridge.transport.FIRST_PAUSE", 0.001)
    result = call("reconcile", "--json", **changed)
    assert result.code == 5
    assert words in result.err
    assert result.json["in_sync"] is False


def test_a_wrong_region_is_named(cli_world: CliWorld, call: Call) -> None:
    """Dotdigital answers 403 to calls that reach another region's host."""
    cli_world.services.dotdigital.switches.region = "wrong"
    result = call("reconcile")
    assert result.code == 5
    assert "BRIDGE_DOTDIGITAL__BASE_URL" in result.err


def test_html_instead_of_json_is_never_taken_for_an_answer(cli_world: CliWorld, call: Call) -> None:
    cli_world.services.dotdigital.faults.add(InjectedFault("*", "html", times=10_000))
    result = call("reconcile", "--json")
    assert result.code != 0
    assert result.json["in_sync"] is False
    assert result.json["writes"]["mypreferences"] == {"raises": 0, "withdrawals": 0, "other": 0}


def test_addresses_are_masked_wherever_they_are_shown(
    cli_world: CliWorld, call: Call, tmp_path: Path
) -> None:
    cli_world.add_held_opt_in()
    plan = tmp_path / "plan.json"
    result = [call("plan", "--out", plan), call("plan", "--json"), call("reconcile"), call("holds", "list")]
    result += [
        call("holds", "list", "--json"),
        call("ledger", "export"),
        call("status", "--json"),
        call("doctor"),
    ]
    everything = "".join(one.out + one.err for one in result) + plan.read_text()
    assert "c…@example.com" in everything
    for name in ("anna.archer", "ben.baker", "cora.carter"):
        assert name not in everything


def test_a_plan_shows_each_write_and_why_and_sends_nothing(cli_world: CliWorld, call: Call) -> None:
    result = call("plan")
    assert result.code == 0
    assert "in → out" in result.out
    assert "nothing was sent" in result.out
    document = call("plan", "--json").json
    [row] = document["writes"]
    assert row | {"why": ""} == {
        "side": "dotdigital", "person": "b…@example.com", "topic": "newsletter", "from": "opted_in",
        "to": "opted_out", "why": "", "ids": {"mypreferences": ["1002"], "dotdigital": ["2"]},
    }  # fmt: skip
    assert row["why"]
    assert document["writes_sent"] == 0
    assert document["calls"].keys() == {"mypreferences", "dotdigital"}
    assert call("reconcile", "--dry-run", "--json").json["writes"] == document["writes"]
    assert cli_world.gets_newsletter("ben")


def test_a_saved_plan_is_private_and_is_applied_exactly(
    cli_world: CliWorld, call: Call, tmp_path: Path
) -> None:
    plan = tmp_path / "plan.json"
    assert call("plan", "--out", plan).code == 0
    assert stat.S_IMODE(os.stat(plan).st_mode) == 0o600
    refused = call("plan", "--out", plan)
    assert refused.code == 2
    assert "--force" in refused.err
    assert call("plan", "--out", plan, "--force").code == 0
    result = call("apply", plan, "--json")
    assert result.code == 3, result.err  # what is not in the plan waits for a run
    assert {one["condition"] for one in result.json["conditions"]} == {"first_run", "waiting"}
    assert result.json["writes"]["dotdigital"]["withdrawals"] == 1
    assert not cli_world.gets_newsletter("ben")


def test_a_plan_whose_data_have_changed_is_refused(cli_world: CliWorld, call: Call, tmp_path: Path) -> None:
    plan = tmp_path / "plan.json"
    call("plan", "--out", plan)
    cli_world.services.mypreferences.set_preference(
        cli_world.profiles["ben"], "NEWS_EMAIL", True, datetime.now(UTC)
    )
    result = call("apply", plan)
    assert result.code == 2
    assert "nothing was written" in result.err
    assert "bridge plan --out" in result.err
    assert cli_world.gets_newsletter("ben")
    assert "refused" in call("status").out


@pytest.mark.parametrize(
    "change",
    [
        {"format": 9},
        {"instance": "another"},
        {"mapping": "0" * 12},
        {"acts": [{"person": "x"}]},
        {"acts": None},
    ],
)
def test_a_plan_of_something_else_is_refused(
    cli_world: CliWorld, call: Call, tmp_path: Path, change: dict[str, object]
) -> None:
    plan = tmp_path / "plan.json"
    call("plan", "--out", plan)
    plan.write_text(json.dumps(json.loads(plan.read_text()) | change))
    result = call("apply", plan)
    assert result.code == 2, result.err
    assert "bridge plan --out" in result.err
    assert cli_world.gets_newsletter("ben")


def test_a_saved_plan_does_not_get_past_a_brake(cli_world: CliWorld, call: Call, tmp_path: Path) -> None:
    plan = tmp_path / "plan.json"
    call("plan", "--out", plan)
    held = {
        "BRAKES__WITHDRAWALS_MAX": "0",
        "BRAKES__WITHDRAWALS_SHARE": "0",
        "BRAKES__HOLD_WITHDRAWALS": "true",
    }
    result = call("apply", plan, "--json", **held)
    assert result.code == 4
    assert result.json["writes_sent"] == 0
    assert cli_world.gets_newsletter("ben")


def test_the_lease_holder_is_named(cli_world: CliWorld, call: Call, settings: dict[str, str]) -> None:
    from datetime import timedelta

    from bridge.store import Store

    with (
        Store.open(settings["BRIDGE_DATABASE_URL"], lambda: datetime.now(UTC)) as store,
        store.lease(owner="another machine", ttl=timedelta(minutes=5)),
    ):
        result = call("reconcile")
        assert result.code == 6
        assert re.search(r"another machine.* since 2.*Z, until 2.*Z", result.err)
        looked = call("doctor")
        assert "another machine" in looked.out
    assert call("reconcile").code == 0
