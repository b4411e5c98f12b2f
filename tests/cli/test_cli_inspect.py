"""What `status`, `explain`, `holds` and `ledger` print."""

from __future__ import annotations

import contextlib
import json
import re
import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cli_world import IN, Call, CliWorld

from bridge.dotdigital.polling.stored import ROTATION_KEY as TURN
from bridge.dotdigital.polling.stored import Capabilities, Capability, CapabilityState, TrustLevel
from bridge.store import Store

LONG_AGO = datetime(2026, 3, 1, 12, tzinfo=UTC)


def test_status_before_any_run_says_what_to_do(call: Call) -> None:
    call("db", "upgrade")
    result = call("status")
    assert result.code == 3
    assert "No run yet" in result.out
    assert "bridge reconcile" in result.out
    document = call("status", "--json").json
    assert document["watermarks"] == {}
    assert document["last_runs"] == []


@pytest.mark.parametrize(
    "command",
    [
        ("status",), ("explain", "ada@example.com"), ("holds", "list"), ("holds", "release", "1", "--yes"),
        ("ledger", "verify"), ("ledger", "export"), ("db", "check"), ("db", "adopt"),
    ],
)  # fmt: skip
def test_without_a_state_db_a_reading_command_says_so_and_makes_none(
    call: Call, tmp_path: Path, command: tuple[str, ...]
) -> None:
    result = call(*command)
    assert result.code == 2
    assert f"no state DB at {tmp_path}/bridge.db" in " ".join((result.out + result.err).split())
    assert not list(tmp_path.glob("bridge.db*"))


def test_status_shows_lag_watermarks_runs_and_holds(cli_world: CliWorld, call: Call) -> None:
    cli_world.add_held_opt_in()
    call("reconcile")
    result = call("status", "--json")
    assert result.code == 3  # manual review needed
    document = result.json
    assert document.keys() == {
        "watermarks", "lag_seconds", "waiting", "unproven", "held", "dead", "challenges", "brakes",
        "last_runs", "budget", "polling", "unfinished_erasures", "window", "deaf_feeds", "ledger_head",
        "ledger_signature", "overdue_seconds", "in_sync", "ready", "exit_code", "conditions",
    }  # fmt: skip
    assert document["held"] == 1
    assert document["window"] == {"hours": 24, "raises": 0, "allowed": 10}
    assert document["lag_seconds"].keys() == document["watermarks"].keys() != set()
    assert all(0 <= lag < 600 for lag in document["lag_seconds"].values())
    assert document["last_runs"][0]["kind"] == "first"
    shown = call("status")
    assert "MyPreferences events" in shown.out
    assert "1 choice is held for review" in shown.out
    assert "Opted in within the last 24 hours: 0 people of 10 allowed." in shown.out


def test_status_shows_the_remaining_dotdigital_quota(cli_world: CliWorld, call: Call) -> None:
    cli_world.services.dotdigital.switches.rate_limits = "tiered"
    call("reconcile")
    shown = call("status").out
    assert "Dotdigital calls" in shown
    assert re.search(r"^low +35 +\d+ +7 +0\.0 s$", shown, re.MULTILINE)


def test_status_shows_the_feed_schedule_and_the_v3_capabilities(
    cli_world: CliWorld, call: Call, tmp_path: Path
) -> None:
    call("reconcile")
    polling = call("status", "--json").json["polling"]
    assert polling["turn"] is None
    assert {one["verdict"] for one in polling["v3"].values()} == {"unknown"}
    assert "v3 listing" not in call("status").out
    with Store.open(f"sqlite:///{tmp_path / 'bridge.db'}", lambda: datetime.now(UTC)) as store:
        found = Capabilities(
            {Capability.MOVES_ON_PREFERENCES: CapabilityState(TrustLevel.SHOWN, LONG_AGO, 4)}, {}, LONG_AGO
        )
        found.save(store.key_values)
        store.key_values.set(TURN, json.dumps({"feeds": 200, "seconds": 780}))
    polling = call("status", "--json").json["polling"]
    assert polling["turn"] == {"feeds": 200, "seconds": 780}
    assert polling["v3"]["moves_on_preferences"] == {
        "verdict": "shown", "since": "2026-03-01T12:00:00Z", "by": 4,
    }  # fmt: skip
    for command in ("status", "doctor"):
        words = " ".join(call(command).out.split())
        assert "200 preferences' feeds at Dotdigital: each is read every 13 min" in words
        assert "shows changes of preferences: shown since 2026-03-01 12:00:00 by 4 people" in words
        assert "used to choose which feed to read" in words
    assert "Every preference's feed was read within the last" in " ".join(call("doctor").out.split())


def test_what_v3_was_not_seen_to_show_is_said_as_well(
    cli_world: CliWorld, call: Call, tmp_path: Path
) -> None:
    call("reconcile")
    with Store.open(f"sqlite:///{tmp_path / 'bridge.db'}", lambda: datetime.now(UTC)) as store:
        Capabilities(
            {Capability.MOVES_ON_PREFERENCES: CapabilityState(TrustLevel.NOT_SHOWN, LONG_AGO)}, {}, LONG_AGO
        ).save(store.key_values)
    words = " ".join(call("status").out.split())
    assert "not shown since 2026-03-01 12:00:00; the v2 feeds decide" in words
    assert "not known yet, 0 people so far" in words


def test_status_shows_the_remaining_flat_quota(cli_world: CliWorld, call: Call) -> None:
    cli_world.services.dotdigital.switches.rate_limits = "flat"
    call("reconcile")
    assert re.search(r"^all, per hour +2000 +19\d\d +400 +0\.0 s$", call("status").out, re.MULTILINE)


def test_explain_shows_choices_agreement_and_writes(cli_world: CliWorld, call: Call) -> None:
    call("reconcile")
    result = call("explain", "Ben.Baker@example.com")
    assert result.code == 0
    assert "opted out" in result.out
    assert "one side opted out" in result.out or "an opt-out wins" in result.out
    document = call("explain", "ben.baker@example.com", "--json").json
    assert document["person"] == "b…@example.com"
    [topic] = [one for one in document["topics"] if one["topic"] == "newsletter"]
    assert topic["mypreferences"].keys() >= {"choice", "changed_at", "seen_at"}
    assert topic["dotdigital"]["choice"] == topic["agreed"]["choice"] == "opted_out"
    assert [line["kind"] for line in topic["history"]] == ["decided", "outcome", "agreed"]


def test_nobody_is_explained_without_guessing(call: Call) -> None:
    result = call("explain", "nobody@example.com", "--json")
    assert result.code == 2
    assert result.json["error"]["exit_code"] == 2
    assert "nobody@" not in result.err


def test_a_hold_is_listed_with_what_to_do_and_released(cli_world: CliWorld, call: Call) -> None:
    cli_world.add_held_opt_in()
    call("reconcile")
    join_words = call("holds", "list")
    assert "first_run" in join_words.out
    assert "bridge holds release" in join_words.out
    [hold] = call("holds", "list", "--json").json["holds"]
    assert hold.keys() >= {"id", "person", "topic", "reason", "why", "state", "opened_at"}
    released = call("holds", "release", str(hold["id"]))
    assert released.code == 0
    assert "bridge reconcile" in released.out
    assert call("holds", "list", "--json").json["holds"] == []
    assert len(call("holds", "list", "--state", "released", "--json").json["holds"]) == 1
    assert call("reconcile").code == 0
    assert cli_world.gets_newsletter("cora")


def test_a_dismissed_hold_stays_as_it_is(cli_world: CliWorld, call: Call) -> None:
    cli_world.add_held_opt_in()
    call("reconcile")
    result = call("holds", "dismiss", "--reason", "first_run", "--yes", "--json")
    assert result.json == {"dismissed": 1}
    assert call("reconcile").code == 0
    assert not cli_world.gets_newsletter("cora")


def test_holds_are_filtered_and_paged(cli_world: CliWorld, call: Call) -> None:
    cli_world.add_held_opt_in()
    cli_world.add_person("dora.dyer@example.com", mine=IN, theirs=None)
    call("reconcile")
    first = call("holds", "list", "--limit", "1", "--json").json
    assert len(first["holds"]) == 1
    rest = call("holds", "list", "--after", str(first["next_after"]), "--json").json
    assert len(rest["holds"]) == 1
    assert rest["next_after"] is None
    [hers] = call("holds", "list", "--person", "dora.dyer@example.com", "--json").json["holds"]
    assert hers["person"] == "d…@example.com"
    assert call("holds", "list", "--reason", "burst", "--json").json["holds"] == []
    assert call("holds", "list", "--person", "nobody@example.com").code == 2


def test_many_holds_are_not_answered_unasked(cli_world: CliWorld, call: Call) -> None:
    cli_world.add_held_opt_in()
    call("reconcile")
    result = call("holds", "release", "--all")
    assert result.code == 2
    assert "--yes" in result.err
    assert call("holds", "release").code == 2
    unknown = call("holds", "release", "4711")
    assert unknown.code == 2
    assert "4711" in unknown.err
    assert call("status", "--json").json["held"] == 1


def test_the_ledger_is_exported_and_verified(cli_world: CliWorld, call: Call) -> None:
    call("reconcile")
    verified = call("ledger", "verify", "--json").json
    assert verified["ok"] is True
    lines = [json.loads(line) for line in call("ledger", "export").out.splitlines()]
    assert len(lines) == verified["entries"] > 0
    assert lines[-1]["hash"] == verified["head"]
    assert call("ledger", "export", "--json").json == lines
    assert "intact" in call("ledger", "verify").out


def test_the_ledger_is_verified_against_a_head_kept_elsewhere(cli_world: CliWorld, call: Call) -> None:
    call("reconcile")
    head = call("status", "--json").json["ledger_head"]
    assert head in call("status").out
    assert call("ledger", "verify", "--json").json["ledger_head"] == head
    assert call("ledger", "verify", "--head", head).code == 0
    number, _, digest = head.partition(":")
    assert call("ledger", "verify", "--head", f"{number}:{digest[::-1]}").code == 1
    assert call("ledger", "verify", "--head", f"{int(number) + 1}:{digest}").code == 1
    assert call("ledger", "verify", "--head", digest).code == 2


def test_a_changed_ledger_is_found_with_its_entry(cli_world: CliWorld, call: Call, tmp_path: Path) -> None:
    call("reconcile")
    with contextlib.closing(sqlite3.connect(tmp_path / "bridge.db")) as connection, connection:
        guards = "SELECT name FROM sqlite_master WHERE type = 'trigger' AND tbl_name = 'ledger'"
        for (name,) in connection.execute(guards).fetchall():
            connection.execute(f"DROP TRIGGER {name}")
        connection.execute("UPDATE ledger SET kind = 'agreed' WHERE seq = 2")
    result = call("ledger", "verify")
    assert result.code == 1
    assert "entry 2" in result.err
    document = call("ledger", "verify", "--json")
    assert document.code == 1
    assert document.json["broken_at"] == 2


def test_the_schema_is_checked_and_upgraded(call: Call, tmp_path: Path) -> None:
    before = call("db", "check", "--json")
    assert before.code == 2
    assert before.json["current"] is None
    assert "bridge db upgrade" in call("db", "check").out
    assert call("db", "upgrade").code == 0
    assert call("db", "check", "--json").json["up_to_date"] is True
    assert call("db", "upgrade", "--json").code == 0


def test_a_schema_that_is_not_what_it_calls_itself_is_named(call: Call, tmp_path: Path) -> None:
    assert call("db", "upgrade").code == 0
    connection = sqlite3.connect(tmp_path / "bridge.db")
    connection.execute("DROP TABLE followed")
    connection.close()
    for command in ("check", "upgrade"):
        result = call("db", command)
        assert result.code == 2
        assert "table followed is missing" in result.out + result.err
        assert call("db", command, "--json").json["differences"] == ["table followed is missing"]


def test_a_hold_is_answered_beside_a_process_that_never_rests(
    cli_world: CliWorld, call: Call, settings: dict[str, str]
) -> None:
    cli_world.add_held_opt_in()
    call("reconcile")
    (hold,) = call("holds", "list", "--json").json["holds"]
    with (
        Store.open(settings["BRIDGE_DATABASE_URL"], lambda: datetime.now(UTC)) as store,
        store.lease(owner="a daemon", ttl=timedelta(minutes=5)),
    ):
        assert call("holds", "release", str(hold["id"])).code == 0
    again = call("holds", "release", str(hold["id"]))
    assert "nothing was released" in again.out
    assert call("reconcile").code == 0
    assert cli_world.gets_newsletter("cora")


def test_the_number_of_a_hold_explains_the_person_without_the_address(
    cli_world: CliWorld, call: Call
) -> None:
    cli_world.add_held_opt_in()
    call("reconcile")
    (hold,) = call("holds", "list", "--json").json["holds"]
    result = call("explain", str(hold["id"]))
    assert result.code == 0
    assert hold["person"] in result.out
    assert "cora" not in result.out
    assert "in at Dotdigital" in call("holds", "list").out
    assert call("explain", "4711").code == 2


def test_who_was_asked_by_mail_is_counted_and_explained(
    cli_world: CliWorld, call: Call, settings: dict[str, str]
) -> None:
    call("reconcile")
    asked = datetime(2026, 3, 2, 12, tzinfo=UTC)
    with Store.open(settings["BRIDGE_DATABASE_URL"], lambda: datetime.now(UTC)) as store:
        anna = store.people.find("anna.archer@example.com")
        assert anna is not None
        run = store.runs.last(1)[0].id
        store.confirmations.record(run, anna.person, asked, sent_at=asked, look_at=asked)
    assert call("status", "--json").json["challenges"] == {
        "pending": 1, "oldest": "2026-03-02T12:00:00Z", "expired": 0,
    }  # fmt: skip
    shown = call("status")
    assert shown.code == 0  # no operator needs to act
    assert "1 person was asked by email to confirm" in shown.out
    result = call("explain", "anna.archer@example.com", DOTDIGITAL__CHALLENGE_DAYS="3")
    words = " ".join(result.out.split())
    assert "Asked by mail 2026-03-02 12:00:00, not confirmed yet; expires 2026-03-05 12:00:00" in words
    topics = call("explain", "anna.archer@example.com", "--json").json["topics"]
    [channel] = [one for one in topics if "challenge" in one]
    assert channel["topic"] == "email"
    assert channel["challenge"] == {
        "state": "pending", "asked_at": "2026-03-02T12:00:00Z", "expires_at": "2026-03-05T12:00:00Z",
    }  # fmt: skip


def test_a_failed_run_is_not_reported_as_in_sync(cli_world: CliWorld, call: Call) -> None:
    call("reconcile")
    call("reconcile", DOTDIGITAL__PASSWORD="wrong")
    result = call("status")
    assert "Nothing is waiting" not in result.out
    assert "failed" in result.out
    planned = call("plan")
    assert planned.code == 5
    assert "the plan is incomplete" in " ".join(planned.out.split())
