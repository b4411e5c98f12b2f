"""`bridge mapping preferences`: definitions change only when confirmed, and the result is read back."""

from __future__ import annotations

from datetime import timedelta

import pytest
from cli_world import Call, CliWorld

from bridge.sandbox.faults import InjectedFault

LIST, CREATE = ("mapping", "preferences", "list"), ("mapping", "preferences", "create")
UPDATE, DELETE = ("mapping", "preferences", "update"), ("mapping", "preferences", "delete")
CHANGES = ("create-preference", "update-preference", "delete-preference")


def sent(cli_world: CliWorld) -> int:
    return sum(cli_world.services.dotdigital.calls.count(name) for name in CHANGES)


def tree(call: Call) -> dict[int, dict[str, object]]:
    return {one["id"]: one for one in call(*LIST, "--json").json["preferences"]}


def test_all_that_is_defined_is_listed_with_its_category(cli_world: CliWorld, call: Call) -> None:
    shown = tree(call)
    assert shown[1002]["kind"] == "preference"
    categories = [one["id"] for one in shown.values() if one["kind"] == "category"]
    assert shown[1003]["category"] in categories
    assert "1002" in call(*LIST).out


@pytest.mark.parametrize("flag", ["isPreference2", "isPreference", "both"])
def test_what_was_redefined_since_a_day_is_listed_alone(cli_world: CliWorld, call: Call, flag: str) -> None:
    """Dotdigital `Get modified preferences since date`: the flag is spelt in three ways."""
    state = cli_world.services.dotdigital
    state.switches.modified_flag = flag
    made = state.define_preference(name="Brand new")
    day = state.now() + timedelta(days=1)
    shown = call(*LIST, "--json", "--changed-since", (day - timedelta(days=2)).strftime("%Y-%m-%d")).json
    assert made in [one["id"] for one in shown["preferences"]]
    assert call(*LIST, "--changed-since", day.strftime("%Y-%m-%dT%H:%M:%S")).out.startswith("✓ Nothing")
    assert state.calls.count("get-modified-preferences-since-date") == 2


def test_nothing_is_sent_without_confirmation(cli_world: CliWorld, call: Call) -> None:
    result = call(*CREATE, "--name", "Events")
    assert result.code == 2
    assert "Not a terminal" in result.err
    assert "preference 'Events'" in result.err  # what would be sent was shown first
    for command in ((*CREATE, "--name", "Events"), (*UPDATE, "1012", "--name", "Polls"), (*DELETE, "1012")):
        assert call(*command, "--dry-run").code == 0
    assert sent(cli_world) == 0


@pytest.mark.parametrize("form", ["seed", "full", "short"])
def test_a_preference_is_defined_and_read_again(cli_world: CliWorld, call: Call, form: str) -> None:
    cli_world.services.dotdigital.switches.definition_answers = form
    category = tree(call)[1003]["category"]
    result = call(*CREATE, "--name", "Events", "--category", str(category), "--private", "--yes", "--json")
    assert result.code == 0, result.err
    [made] = result.json["created"]
    now = tree(call)[made["id"]]
    assert (now["name"], now["kind"], now["public"], now["category"]) == (
        "Events", "preference", False, category,
    )  # fmt: skip


def test_a_second_preference_of_one_name_in_one_place_is_refused(cli_world: CliWorld, call: Call) -> None:
    assert call(*CREATE, "--name", "Events", "--yes").code == 0
    again = call(*CREATE, "--name", "events", "--yes")
    assert again.code == 2
    assert "already" in again.err
    assert sent(cli_world) == 1


def test_what_the_scaffold_leaves_over_can_be_drafted(cli_world: CliWorld, call: Call) -> None:
    result = call(*CREATE, "--for", "EVENTS_EMAIL", "--yes", "--json")
    assert result.code == 0, result.err
    made = result.json["created"]
    assert made[0]["private_name"] == "EVENTS_EMAIL"
    draft_topics = call("mapping", "scaffold", "--json").json
    matched = [one["mypreferences"].get("filter") for one in draft_topics["topics"]]
    assert "EVENTS_EMAIL" in matched
    for mapped in ("NEWS_EMAIL", "NEWS_PHONE", "nothing"):  # mapped, of another channel, unknown
        assert call(*CREATE, "--for", mapped, "--yes").code == 2


def test_a_filter_with_frequencies_is_drafted_as_a_category_of_them() -> None:
    from bridge.core.catalogue import CatalogueKind, Entry
    from bridge.mapping_file.draft import missing_preferences
    from bridge.mapping_file.matching import MatchResult, Unmatched

    entry = Entry(
        CatalogueKind.FILTER, "TIPS_EMAIL", "Tips", channel="Email", frequencies=("DAILY", "WEEKLY")
    )
    whole, *parts = missing_preferences(MatchResult(left=[Unmatched(entry, "no similar name")]), (), ())
    assert not whole.is_leaf
    assert [(one.public_name, one.within) for one in parts] == [
        ("Tips: daily", whole), ("Tips: weekly", whole),
    ]  # fmt: skip
    assert missing_preferences(MatchResult(left=[Unmatched(entry, "")]), ("tips_email",), ()) == []


def test_an_update_leaves_what_is_not_named_as_it_is(cli_world: CliWorld, call: Call) -> None:
    """Dotdigital `Update preference`: an absent `isPreference` would make a leaf a category."""
    before = tree(call)[1003]
    assert call(*UPDATE, "1003", "--name", "Each day", "--yes").code == 0
    assert tree(call)[1003] == before | {"name": "Each day"}
    category = str(before["category"])
    assert call(*UPDATE, category, "--private", "--yes").code == 0
    assert tree(call)[int(category)]["public"] is False
    assert call(*UPDATE, "4711", "--name", "x", "--yes").code == 2


def test_a_mapped_preference_is_never_deleted(cli_world: CliWorld, call: Call) -> None:
    for number in ("1002", str(tree(call)[1003]["category"])):  # itself, or with its category
        result = call(*DELETE, number, "--yes")
        assert result.code == 2
        assert "The mapping uses" in result.err
    assert sent(cli_world) == 0


def test_a_deletion_says_what_is_lost_and_is_read_again(cli_world: CliWorld, call: Call) -> None:
    result = call(*DELETE, "1012", "--yes")
    assert result.code == 0, result.err
    assert "with every opt-in to it" in result.err
    assert 1012 not in tree(call)


@pytest.mark.parametrize(("kind", "done"), [("reset_after", True), ("reset", False), ("html", False)])
def test_a_call_without_an_answer_is_settled_by_reading_and_never_repeated(
    cli_world: CliWorld, call: Call, kind: str, done: bool
) -> None:
    cli_world.services.dotdigital.faults.add(InjectedFault("create-preference", kind))
    result = call(*CREATE, "--name", "Events", "--yes")
    assert result.code == (0 if done else 5)
    names = [one["name"] for one in tree(call).values()]
    assert names.count("Events") == int(done)
