"""What people approve from the command line: single-use plans, kept approvals, answers to holds."""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cli_world import Call, CliWorld

from bridge.store import Store


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("edit", ["acts added", "acts removed", "a date moved", "who made it"])
def test_an_edited_plan_is_refused_and_writes_nothing(
    cli_world: CliWorld, call: Call, tmp_path: Path, edit: str
) -> None:
    cli_world.add_held_opt_in()
    full, plan = tmp_path / "full.json", tmp_path / "plan.json"
    assert call("plan", "--out", full, "--approve-raises").code == 0
    assert call("plan", "--out", plan).code == 3
    document = json.loads(plan.read_text())
    match edit:
        case "acts added":
            document["acts"] = json.loads(full.read_text())["acts"]
        case "acts removed":
            document["acts"] = []
        case "a date moved":
            document["made_at"] = "2020-01-01T00:00:00Z"
        case _:
            document["writes"] = []
    plan.write_text(json.dumps(document))
    refused = call("apply", plan)
    assert refused.code == 2
    assert "the file was edited" in refused.err
    assert not cli_world.gets_newsletter("cora")
    assert cli_world.gets_newsletter("ben")


def test_a_plan_laid_out_in_another_way_is_the_same_plan(call: Call, tmp_path: Path) -> None:
    plan = tmp_path / "plan.json"
    call("plan", "--out", plan)
    plan.write_text(json.dumps(dict(reversed(json.loads(plan.read_text()).items()))))
    assert "applied and verified" in call("apply", plan).out


def test_a_plan_is_applied_once(call: Call, tmp_path: Path) -> None:
    plan = tmp_path / "plan.json"
    call("plan", "--out", plan)
    assert "applied and verified" in call("apply", plan, "--note", "checked with legal").out
    again = call("apply", plan)
    assert again.code == 2
    assert "applied already" in again.err
    entries = call("ledger", "export", "--json").json
    [used] = [entry for entry in entries if entry["kind"] == "approval_used"]
    assert used["body"]["note"] == "checked with legal"
    assert used["body"]["by"]


def test_approvals_are_kept_for_the_process_that_holds_the_state_db(
    cli_world: CliWorld, call: Call, settings: dict[str, str]
) -> None:
    """As beside `bridge run`: its next run uses them."""
    cli_world.add_held_opt_in()
    call("reconcile")
    with (
        Store.open(settings["BRIDGE_DATABASE_URL"], lambda: datetime.now(UTC)) as store,
        store.lease(owner="the daemon", ttl=timedelta(minutes=5)),
    ):
        beside = call("reconcile", "--approve-raises", "--note", "list reviewed")
    assert "Your approval is stored" in beside.err
    assert not cli_world.gets_newsletter("cora")
    assert call("reconcile").code == 0
    assert cli_world.gets_newsletter("cora")


def test_a_release_that_can_do_nothing_is_refused_with_the_reason(cli_world: CliWorld, call: Call) -> None:
    cli_world.services.dotdigital.complain(cli_world.contacts["anna"], datetime.now(UTC) - timedelta(hours=1))
    call("reconcile")
    cli_world.services.mypreferences.set_consent(cli_world.profiles["anna"], "EmailMarketing", "Granted")
    call("reconcile")
    holds = [row for row in call("holds", "list", "--json").json["holds"] if not row["proposed"]]
    assert holds
    for row in holds:
        refused = call("holds", "release", str(row["id"]))
        assert refused.code == 2
        assert row["reason"] in refused.err
    [*still] = [row["id"] for row in call("holds", "list", "--json").json["holds"] if not row["proposed"]]
    assert still == [row["id"] for row in holds]


def test_the_answer_to_a_hold_is_listed_and_explained_with_author_and_note(
    cli_world: CliWorld, call: Call
) -> None:
    cli_world.add_held_opt_in()
    call("reconcile")
    [hold] = call("holds", "list", "--json").json["holds"]
    assert (hold["by"], hold["note"]) == (None, None)
    call("holds", "release", str(hold["id"]), "--note", "she asked by phone")
    [answered] = call("holds", "list", "--state", "released", "--json").json["holds"]
    assert answered["note"] == "she asked by phone"
    assert answered["by"]
    topics = call("explain", "cora.carter@example.com", "--json").json["topics"]
    notes = [line.get("note") for topic in topics for line in topic["history"]]
    assert "she asked by phone" in notes


@pytest.mark.parametrize(("typed", "sent"), [("y\n", True), ("n\n", False)])
def test_a_first_run_on_a_terminal_says_what_it_would_send_and_asks(
    cli_world: CliWorld, call: Call, monkeypatch: pytest.MonkeyPatch, typed: str, sent: bool
) -> None:
    monkeypatch.setattr("sys.stdin", Terminal(typed))
    asked = call("reconcile")
    assert "1 opt-out to Dotdigital" in asked.err
    assert cli_world.gets_newsletter("ben") is not sent
    if sent:
        assert "Send these writes" not in call("reconcile").err


def test_the_flag_answers_the_question_of_the_first_run(
    cli_world: CliWorld, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", Terminal(""))
    assert call("reconcile", "--yes").code == 0
    assert not cli_world.gets_newsletter("ben")
