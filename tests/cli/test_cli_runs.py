"""What `reconcile`, `plan` and `apply` promise: their words, their JSON, their exit codes."""

from __future__ import annotations

import json
import os
import stat
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cli_town import Call, Town

from bridge.sandbox.faults import Fault

REPORT = {
    "run", "kind", "started_at", "seconds", "observed", "writes", "held", "unproven", "failed", "in_sync",
    "calls", "brakes", "warnings",
}  # fmt: skip


def test_a_first_run_delivers_withdrawals_and_ends_with_0(town: Town, call: Call) -> None:
    said = call("reconcile")
    assert said.code == 0, said.err
    assert "First run" in said.out
    assert "In sync: nothing is waiting." in said.out
    assert said.err == ""
    assert not town.gets_newsletter("ben")
    assert town.gets_newsletter("anna")


def test_the_report_is_exactly_one_json_document(town: Town, call: Call) -> None:
    said = call("reconcile", "--json")
    assert said.json.keys() >= REPORT
    assert said.json["kind"] == "first"
    assert said.json["writes"]["dotdigital"] == {"raises": 0, "withdrawals": 1, "other": 0}
    assert said.json["in_sync"] is True
    again = call("reconcile", "--json").json
    assert again["kind"] == "incremental"
    assert not any(sum(kinds.values()) for kinds in again["writes"].values())
    assert call("reconcile", "--full", "--json").json["kind"] == "full"


def test_held_opt_ins_end_with_3_until_a_person_approves_them(town: Town, call: Call) -> None:
    town.cora_waits()
    first = call("reconcile")
    assert first.code == 3
    assert "1 held for review" in first.out
    assert "bridge reconcile --approve-raises" in first.out
    assert not town.gets_newsletter("cora")
    approved = call("reconcile", "--approve-raises", "--json")
    assert approved.code == 0
    assert approved.json["writes"]["dotdigital"]["raises"] == 1
    assert town.gets_newsletter("cora")


def test_a_tripped_brake_ends_with_4_and_sends_no_opt_in(town: Town, call: Call) -> None:
    town.cora_waits()
    tight = {"BRAKES__RAISES_MAX": "0", "BRAKES__RAISES_SHARE": "0"}
    said = call("reconcile", "--approve-raises", **tight)
    assert said.code == 4
    assert "brake" in said.out
    assert not town.gets_newsletter("cora")
    assert not town.gets_newsletter("ben")  # a withdrawal passes every brake


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"DOTDIGITAL__PASSWORD": "wrong"}, "BRIDGE_DOTDIGITAL__PASSWORD"),
        ({"MYPREFERENCES__CLIENT_SECRET": "wrong"}, "BRIDGE_MYPREFERENCES__CLIENT_SECRET"),
        ({"DOTDIGITAL__BASE_URL": "http://127.0.0.1:1"}, "could not be reached"),
    ],
)
def test_a_side_that_cannot_be_used_ends_with_5_and_says_what_mends_it(
    town: Town, call: Call, monkeypatch: pytest.MonkeyPatch, changed: dict[str, str], words: str
) -> None:
    monkeypatch.setattr("bridge.transport.FIRST_PAUSE", 0.001)
    said = call("reconcile", "--json", **changed)
    assert said.code == 5
    assert words in said.err
    assert said.json["in_sync"] is False


def test_a_wrong_region_is_named(town: Town, call: Call) -> None:
    """Dotdigital answers 403 to calls that reach another region's host."""
    town.world.dotdigital.switches.region = "wrong"
    said = call("reconcile")
    assert said.code == 5
    assert "BRIDGE_DOTDIGITAL__BASE_URL" in said.err


def test_html_instead_of_json_is_never_taken_for_an_answer(town: Town, call: Call) -> None:
    town.world.dotdigital.faults.add(Fault("*", "html", times=10_000))
    said = call("reconcile", "--json")
    assert said.code != 0
    assert said.json["in_sync"] is False
    assert said.json["writes"]["mypreferences"] == {"raises": 0, "withdrawals": 0, "other": 0}


def test_addresses_are_masked_wherever_they_are_shown(town: Town, call: Call, tmp_path: Path) -> None:
    town.cora_waits()
    plan = tmp_path / "plan.json"
    said = [call("plan", "--out", plan), call("plan", "--json"), call("reconcile"), call("holds", "list")]
    said += [
        call("holds", "list", "--json"),
        call("ledger", "export"),
        call("status", "--json"),
        call("doctor"),
    ]
    everything = "".join(one.out + one.err for one in said) + plan.read_text()
    assert "c…@example.com" in everything
    for name in ("anna.archer", "ben.baker", "cora.carter"):
        assert name not in everything


def test_a_plan_shows_each_write_and_why_and_sends_nothing(town: Town, call: Call) -> None:
    said = call("plan")
    assert said.code == 0
    assert "in → out" in said.out
    assert "nothing was sent" in said.out
    document = call("plan", "--json").json
    [row] = document["writes"]
    assert row | {"why": ""} == {
        "side": "dotdigital", "person": "b…@example.com", "topic": "newsletter", "from": "opted_in",
        "to": "opted_out", "why": "",
    }  # fmt: skip
    assert row["why"]
    assert document["writes_sent"] == 0
    assert document["calls"].keys() == {"mypreferences", "dotdigital"}
    assert call("reconcile", "--dry-run", "--json").json["writes"] == document["writes"]
    assert town.gets_newsletter("ben")


def test_a_saved_plan_is_private_and_is_carried_out_exactly(town: Town, call: Call, tmp_path: Path) -> None:
    plan = tmp_path / "plan.json"
    assert call("plan", "--out", plan).code == 0
    assert stat.S_IMODE(os.stat(plan).st_mode) == 0o600
    refused = call("plan", "--out", plan)
    assert refused.code == 2
    assert "--force" in refused.err
    assert call("plan", "--out", plan, "--force").code == 0
    said = call("apply", plan, "--json")
    assert said.code == 0, said.err
    assert said.json["writes"]["dotdigital"]["withdrawals"] == 1
    assert not town.gets_newsletter("ben")


def test_a_plan_whose_ground_has_moved_is_refused(town: Town, call: Call, tmp_path: Path) -> None:
    plan = tmp_path / "plan.json"
    call("plan", "--out", plan)
    town.world.mypreferences.set_preference(town.profiles["ben"], "NEWS_EMAIL", True, datetime.now(UTC))
    said = call("apply", plan)
    assert said.code == 2
    assert "nothing was written" in said.err
    assert "bridge plan --out" in said.err
    assert town.gets_newsletter("ben")
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
    town: Town, call: Call, tmp_path: Path, change: dict[str, object]
) -> None:
    plan = tmp_path / "plan.json"
    call("plan", "--out", plan)
    plan.write_text(json.dumps(json.loads(plan.read_text()) | change))
    said = call("apply", plan)
    assert said.code == 2, said.err
    assert "bridge plan --out" in said.err
    assert town.gets_newsletter("ben")


def test_a_saved_plan_does_not_get_past_a_brake(town: Town, call: Call, tmp_path: Path) -> None:
    plan = tmp_path / "plan.json"
    call("plan", "--out", plan)
    held = {
        "BRAKES__WITHDRAWALS_MAX": "0",
        "BRAKES__WITHDRAWALS_SHARE": "0",
        "BRAKES__HOLD_WITHDRAWALS": "true",
    }
    said = call("apply", plan, "--json", **held)
    assert said.code == 4
    assert said.json["writes_sent"] == 0
    assert town.gets_newsletter("ben")


def test_who_holds_the_lease_is_told(town: Town, call: Call, settings: dict[str, str]) -> None:
    from datetime import timedelta

    from bridge.store import Store

    with (
        Store.open(settings["BRIDGE_DATABASE_URL"], lambda: datetime.now(UTC)) as store,
        store.lease(owner="another machine", ttl=timedelta(minutes=5)),
    ):
        said = call("reconcile")
        assert said.code == 1
        assert "another machine" in said.err
        looked = call("doctor")
        assert "another machine" in looked.out
    assert call("reconcile").code == 0
