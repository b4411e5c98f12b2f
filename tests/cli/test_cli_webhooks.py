"""`bridge hooks`, and what the doctor says of webhook subscriptions."""

from __future__ import annotations

import signal

import httpx
import pytest
from cli_world import Call, CliWorld, environment

from bridge.cli import main
from bridge.sandbox.faults import InjectedFault
from tests.forked import ForkedProcess
from tests.waiting import PATIENCE, wait_until

SECRET = "a-long-random-word"
URL = "https://bridge.example.com"
MINE = "MyPreferences"


@pytest.fixture
def secret(settings: dict[str, str]) -> str:
    settings["BRIDGE_WEB__HOOK_SECRET"] = SECRET
    return SECRET


def warned(call: Call) -> str:
    checks = call("doctor", "--json").json["checks"]
    return " ".join(f"{one['what']} {one['mend']}" for one in checks if one["state"] != "good")


def test_a_subscription_lives_from_create_to_delete(secret: str, cli_world: CliWorld, call: Call) -> None:
    made = call("hooks", "create", "--url", URL, "--json").json["created"]
    assert (made["state"], made["url"]) == ("paused", f"{URL}/hooks/mypreferences/••••")
    assert (made["minimised"], made["catches_up"], made["alternate_id_type"]) == (True, True, None)
    number = str(made["id"])
    assert call("hooks", "resume", number, "--json").json == {
        "id": made["id"],
        "state": "active",
        "done": True,
    }
    assert call("hooks", "pause", number, "--json").json["state"] == "paused"
    join_words = call("hooks", "list", "--json").json
    mine = next(one for one in join_words["subscriptions"] if one["id"] == made["id"])
    assert (mine["lacks"], mine["events"]) == ([], join_words["needed"])
    assert call("hooks", "delete", number, "--yes", "--json").json == {"deleted": made["id"]}
    assert [one["id"] for one in call("hooks", "list", "--json").json["subscriptions"]] == [1]
    assert cli_world.services.mypreferences.subscriptions.get(1).document["State"] == "Active"


def test_what_was_created_says_how_it_goes_on_and_never_the_secret(secret: str, call: Call) -> None:
    result = [
        call("hooks", "create", "--url", URL),
        call("hooks", "list"),
        call("hooks", "resume", "2"),
        call("hooks", "create", "--url", URL),
        call("hooks", "settings"),
        call("doctor"),
    ]
    assert "bridge hooks resume 2" in result[0].out
    assert "validation request" in result[2].out
    assert result[3].code == 5
    assert "bridge hooks list" in result[3].err
    assert [one.code for one in (*result[:3], *result[4:])] == [0] * 5
    assert not any(secret in one.out + one.err for one in result)


def test_without_the_secret_the_receiver_has_no_url(call: Call) -> None:
    result = call("hooks", "create", "--url", URL)
    assert result.code == 2
    assert "BRIDGE_WEB__HOOK_SECRET" in result.err


@pytest.mark.parametrize(
    "url", ["http://bridge.example.com", "bridge.example.com", "https://u:p@x.example.com"]
)
def test_a_url_nobody_could_deliver_to_is_refused(secret: str, call: Call, url: str) -> None:
    result = call("hooks", "create", "--url", url)
    assert result.code == 2
    assert "https://bridge.example.com" in " ".join(result.err.split())


def test_a_whole_url_is_taken_as_it_is(secret: str, cli_world: CliWorld, call: Call) -> None:
    call("hooks", "create", "--url", f"{URL}/hooks/mypreferences/{secret}/")
    assert cli_world.services.mypreferences.subscriptions.get(2).url == f"{URL}/hooks/mypreferences/{secret}"


def test_nothing_is_deleted_or_set_unasked(cli_world: CliWorld, call: Call) -> None:
    for args in (["delete", "1"], ["settings", "--rest", "9"]):
        result = call("hooks", *args)
        assert result.code == 2
        assert "--yes" in result.err
    assert "keeps no events" in call("hooks", "delete", "1").err
    assert len(call("hooks", "list", "--json").json["subscriptions"]) == 1
    assert call("hooks", "settings", "--json").json == {"max_concurrent_requests": 500, "duration_seconds": 1}


def test_the_delivery_settings_are_set_and_what_is_not_named_stays(call: Call) -> None:
    wanted = {"max_concurrent_requests": 500, "duration_seconds": 9}
    assert call("hooks", "settings", "--rest", "9", "--yes", "--json").json == wanted
    assert call("hooks", "settings", "--json").json == wanted
    assert call("hooks", "settings", "--most", "49", "--yes").code == 2


def test_an_unknown_subscription_is_named(call: Call) -> None:
    assert "bridge hooks list" in call("hooks", "delete", "47", "--yes").err
    assert "47" in call("hooks", "pause", "47").err


@pytest.mark.parametrize("act", [["pause", "1"], ["delete", "1", "--yes"]])
def test_an_act_that_did_not_happen_is_no_success(cli_world: CliWorld, call: Call, act: list[str]) -> None:
    for operation in ("updateSubscription", "deleteSubscription"):
        cli_world.services.mypreferences.faults.add(InjectedFault(operation, "reset"))
    result = call("hooks", *act)
    assert result.code == 5
    assert "still" in result.out


def test_the_list_and_the_doctor_warn_where_there_is_none(cli_world: CliWorld, call: Call) -> None:
    cli_world.services.mypreferences.subscriptions.delete(1)
    assert "bridge hooks create" in call("hooks", "list").out
    assert "No webhook subscription exists" in warned(call)
    assert call("doctor").code == 0


def test_the_list_and_the_doctor_name_what_is_lacking(cli_world: CliWorld, call: Call) -> None:
    state = cli_world.services.mypreferences.subscriptions
    whole = state.get(1).document
    kept = [one for one in whole["Subscriptions"] if one["EventType"] != "preference.archived"]
    state.replace(1, whole | {"Subscriptions": kept, "AlternateIdType": "CrmId"})
    join_words = call("hooks", "list", "--json").json
    assert join_words["lacking"] == join_words["subscriptions"][0]["lacks"] == ["preference.archived"]
    assert "preference.archived" in call("hooks", "list").out
    found = warned(call)
    assert "preference.archived" in found
    assert "alternate id" in found


def test_the_doctor_misses_a_subscription_that_the_settings_name(call: Call) -> None:
    result = call("doctor", "--json", MYPREFERENCES__SUBSCRIPTION="47")
    assert result.code == 2
    assert "47" in next(one["what"] for one in result.json["checks"] if one["state"] == "bad")


def test_the_doctor_checks_deliveries_to_an_open_receiver(secret: str, call: Call) -> None:
    assert "no active subscription delivers to it" in warned(call)
    call("hooks", "create", "--url", URL)
    assert "bridge hooks resume 2" in warned(call)
    call("hooks", "resume", "2")
    assert "delivers to it" not in warned(call)
    assert "shorter than 16" not in warned(call)
    assert "shorter than 16" in " ".join(call("doctor", WEB__HOOK_SECRET="short").out.split())


def test_the_doctor_goes_on_where_subscriptions_may_not_be_read(cli_world: CliWorld, call: Call) -> None:
    cli_world.services.mypreferences.forbidden.add("retrieveSubscriptions")
    assert "Cannot read the webhook subscriptions" in warned(call)
    assert call("doctor").code == 0


def runs_done(url: str) -> int:
    return int(httpx.get(f"{url}/healthz", trust_env=False, timeout=PATIENCE).json()["rounds"]["done"])


def test_a_withdrawal_reaches_dotdigital_by_its_webhook(
    secret: str, cli_world: CliWorld, call: Call, settings: dict[str, str]
) -> None:
    """The daemon polls once an hour here: what is carried over at once came by the webhook."""
    hourly = {"BRIDGE_POLL_SECONDS": "3600", "BRIDGE_WEB__PORT": "0", "BRIDGE_WEB__HOOK_PAUSE": "0.2"}
    assert call("reconcile").code == 0
    running = ForkedProcess(main, ["run"], environ=environment(settings, **hourly))
    try:
        url = running.first_line().split()[3].rstrip("/")
        assert call("hooks", "create", "--url", url, "--active").code == 0
        wait_until(lambda: runs_done(url) > 0, "the first run has ended")
        cli_world.opt_out("anna")
        deliveries = cli_world.services.mypreferences.deliveries

        def arrived() -> bool:
            deliveries.cycle()
            return not cli_world.gets_newsletter("anna")

        wait_until(arrived, "the withdrawal is at Dotdigital")
        running.signal(signal.SIGTERM)
        assert running.ended() == 0
    finally:
        running.close()
