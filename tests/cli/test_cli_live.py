"""`bridge mapping check --live`: the mapping file compared with both services."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from cli_world import EXAMPLE, Call, CliWorld

from bridge.sandbox.mypreferences import ConsentVersionConfig, MyPreferencesState

MAPPING = EXAMPLE.read_text(encoding="utf-8")
LINES = MAPPING.splitlines()


def line_of(start: str, within: str) -> int:
    """The line that begins so, after the one that holds `within`."""
    first = next(at for at, line in enumerate(LINES) if within in line)
    return next(at for at in range(first, len(LINES)) if LINES[at].startswith(start)) + 1


def test_a_mapping_that_fits_both_services_is_reported_valid(cli_world: CliWorld, call: Call) -> None:
    result = call("mapping", "check", "--live")
    assert (result.code, result.err) == (0, "")
    assert "MyPreferences" in result.out
    assert "Dotdigital" in result.out
    live = call("mapping", "check", "--live", "--json").json["live"]
    assert live["compared"] == ["mypreferences", "dotdigital"]


def test_nothing_is_asked_of_the_services_without_the_flag(cli_world: CliWorld, call: Call) -> None:
    assert call("mapping", "check").code == 0
    assert cli_world.services.mypreferences.calls.total() == 0


Act = Callable[[MyPreferencesState], object]
WRONGS: dict[str, tuple[Act, str, str]] = {
    "missing": (lambda mine: mine.admin.remove("NEWS_EMAIL"), "mypreferences", "newsletter"),
    "inactive": (lambda mine: mine.admin.activate("NEWS", active=False), "mypreferences", "newsletter"),
    "channel": (lambda mine: mine.admin.set_channel("NEWS_EMAIL", "Text"), "mypreferences", "newsletter"),
    "frequency": (lambda mine: mine.admin.set_frequencies("OFFERS_EMAIL", "DAILY"), "dotdigital", "offers"),
    "version": (
        lambda mine: mine.admin.set_versions("Profiling", ConsentVersionConfig("2.0")),
        "mypreferences",
        "profiling",
    ),
    "locale": (
        lambda mine: mine.admin.set_versions("Profiling", ConsentVersionConfig("1.0", ("de_DE",))),
        "mypreferences",
        "profiling",
    ),
    "email_type": (lambda mine: mine.config.change(email_types=("Home",)), "mypreferences", "newsletter"),
}


@pytest.mark.parametrize("fault", WRONGS)
def test_each_mapping_problem_is_reported_with_its_line_and_fix(
    cli_world: CliWorld, call: Call, fault: str
) -> None:
    act, key, topic = WRONGS[fault]
    act(cli_world.services.mypreferences)
    result = call("mapping", "check", "--live", "--json")
    assert result.code == 2
    (found,) = result.json["problems"]
    assert (found["fault"], found["topic"]) == (fault, topic)
    assert f"line {line_of(key, topic)}," in found["place"]
    assert f'topic "{topic}"' in found["place"]
    assert found["hint"]
    result = call("doctor", "--json")
    assert result.code == 2
    assert [one["mend"] for one in result.json["checks"] if one["state"] == "bad"] == [found["hint"]]


def test_what_dotdigital_lacks_is_reported_too(cli_world: CliWorld, call: Call) -> None:
    cli_world.services.dotdigital.delete_preference(1003)
    result = call("mapping", "check", "--live")
    assert result.code == 2
    assert "dotdigital.frequencies.DAILY" in result.out.replace("\n", "")
    assert "1003" in result.out


def test_a_side_that_cannot_be_read_leaves_the_other_compared(cli_world: CliWorld, call: Call) -> None:
    result = call("mapping", "check", "--live", "--json", DOTDIGITAL__PASSWORD="wrong")
    assert result.code == 5
    assert result.json["live"]["compared"] == ["mypreferences"]
    assert [one["side"] for one in result.json["live"]["unread"]] == ["dotdigital"]
    assert result.json["ok"] is False


def test_an_account_that_does_not_serve_its_types_is_checked_for_the_rest(
    cli_world: CliWorld, call: Call
) -> None:
    cli_world.services.mypreferences.forbidden.add("retrieveEmailTypes")
    result = call("mapping", "check", "--live", "--json")
    assert result.code == 0
    assert "email_type" in result.json["live"]["notes"][0]
    assert call("doctor").code == 0


def test_a_broken_file_is_not_held_against_anything(cli_world: CliWorld, call: Call, tmp_path: Path) -> None:
    broken = tmp_path / "broken.toml"
    broken.write_text("version = 2\n")
    result = call("mapping", "check", broken, "--live", "--json")
    assert result.code == 2
    assert "live" not in result.json
    assert cli_world.services.mypreferences.calls.total() == 0


def test_what_was_renamed_since_the_last_run_is_reported(cli_world: CliWorld, call: Call) -> None:
    assert call("mapping", "check", "--live", "--json").json["live"]["changed"] == []
    call("reconcile")
    cli_world.services.mypreferences.admin.rename("NEWS", "Letters from us")
    cli_world.services.mypreferences.admin.rename("CLUB", "Nothing that is mapped")
    result = call("mapping", "check", "--live", "--json")
    assert result.code == 0
    (changed,) = result.json["live"]["changed"]
    assert "Letters from us" in changed
    assert "its old name is Newsletter" in changed
    warned = [one["what"] for one in call("doctor", "--json").json["checks"] if one["section"] == "changes"]
    assert warned == [changed]
    warnings = call("reconcile", "--full", "--json").json["warnings"]
    assert len([one for one in warnings if "was renamed" in one]) == 3  # two filters and one
    assert call("mapping", "check", "--live", "--json").json["live"]["changed"] == [changed]


def test_a_plan_by_a_mapping_that_names_something_gone_waits_for_a_person(
    cli_world: CliWorld, call: Call
) -> None:
    call("reconcile")
    cli_world.services.dotdigital.delete_preference(1010)
    result = call("plan", "--full")
    assert result.code == 3
    assert "bridge mapping check --live" in result.out
    assert call("reconcile", "--full").code == 3
