"""The words of the bridge as values: what cannot be built cannot be sent."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, fields, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import get_type_hints

import pytest
from core_cells import ABSENT, DD, MP, READ, agreed, cell, day, no, silent, yes
from hypothesis import given
from hypothesis import strategies as st
from mypy import api as mypy

from bridge.core.decision import HoldChange, hold_change
from bridge.core.model import (
    Block,
    Choice,
    HoldState,
    Observation,
    PersonId,
    Side,
    StandingHold,
    TopicId,
    Who,
    address_key,
    mask,
)
from bridge.core.writes import Adjustment, Evidence, Raise, Withdrawal

NEWS = TopicId("newsletter")
EVIDENCE = Evidence(MP, day(20), READ, yes(20).version)

RAISING = """
from bridge.core.model import Side, TopicId
from bridge.core.writes import Adjustment, Raise, Withdrawal
def wrong(withdrawal: Withdrawal) -> None:
    Raise(Side.DOTDIGITAL, TopicId("newsletter"), None)
    Adjustment(Side.DOTDIGITAL, TopicId("newsletter"), withdrawal, "DAILY")
    Raise(Side.DOTDIGITAL, TopicId("newsletter"))
    raising: Raise = withdrawal
"""


@pytest.mark.parametrize("not_evidence", [None, day(20), "2025-01-21", yes(20), True])
def test_nothing_raises_without_evidence(not_evidence: object) -> None:
    with pytest.raises(TypeError, match="without evidence"):
        Raise(DD, NEWS, not_evidence)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="without evidence"):
        Adjustment(DD, NEWS, not_evidence, "DAILY")  # type: ignore[arg-type]


@pytest.mark.parametrize("no_date", [None, "2025-01-21T00:00:00Z", 1737417600, day(20).replace(tzinfo=None)])
def test_there_is_no_evidence_without_a_date_and_its_time_zone(no_date: object) -> None:
    with pytest.raises(TypeError, match="time zone"):
        Evidence(MP, no_date, READ, "")  # type: ignore[arg-type]


def test_a_side_s_own_word_is_no_evidence_against_itself() -> None:
    with pytest.raises(ValueError, match="no evidence against itself"):
        Raise(MP, NEWS, EVIDENCE)
    with pytest.raises(ValueError, match="no evidence against itself"):
        Adjustment(MP, NEWS, EVIDENCE, "DAILY")


def test_the_types_say_so_as_well() -> None:
    assert get_type_hints(Raise)["evidence"] is Evidence
    assert get_type_hints(Adjustment)["evidence"] is Evidence
    assert get_type_hints(Evidence)["changed_at"] is datetime
    assert "evidence" not in {one.name for one in fields(Withdrawal)}
    assert not issubclass(Withdrawal, Raise | Adjustment)


def test_the_type_checker_refuses_a_raise_without_evidence(tmp_path: Path) -> None:
    path = tmp_path / "raising.py"
    path.write_text(RAISING)
    found, _, code = mypy.run(
        ["--strict", "--no-error-summary", "--cache-dir", str(tmp_path / "cache"), str(path)]
    )
    assert code == 1
    assert {line.split(":")[1] for line in found.splitlines()} >= {"5", "6", "7", "8"}, found


def test_values_do_not_change_once_made() -> None:
    with pytest.raises(FrozenInstanceError):
        EVIDENCE.changed_at = day(30)  # type: ignore[misc]
    with pytest.raises(FrozenInstanceError):
        yes(5).choice = Choice.OPTED_OUT  # type: ignore[misc]


DIFFERENT = [
    yes(20),
    no(20),
    silent(),
    yes(21),
    yes(),
    yes(day(20) + timedelta(milliseconds=1)),
    yes(20, frequencies=("DAILY",)),
    yes(20, frequencies=("DAILY", "WEEKLY")),
    no(20, block=Block.COMPLAINT),
    no(20, consistent=False),
    ABSENT,
]


def test_whatever_a_side_says_differently_is_another_version() -> None:
    versions = [seen.version for seen in DIFFERENT]
    assert len(set(versions)) == len(DIFFERENT)


def test_reading_the_same_again_is_the_same_version() -> None:
    later = replace(yes(20), read_at=READ + timedelta(hours=1), reason="Subscribed", undated=True)
    assert later.version == yes(20).version


def test_an_opt_out_after_an_opt_in_after_an_opt_out_is_a_new_version() -> None:
    """A-B-A: the choice alone would hide it."""
    assert no(5).version != no(7).version


@given(st.sampled_from(DIFFERENT), st.sampled_from(DIFFERENT), st.sampled_from([None, Choice.OPTED_OUT]))
def test_the_ground_tells_apart_whatever_a_decision_rests_on(mine, theirs, choice) -> None:
    agreement = None if choice is None else agreed(choice, 5)
    ground = cell(mine, theirs, agreement).ground
    assert (ground == cell(yes(20), yes(20), agreement).ground) == (mine == theirs == yes(20))
    assert ground != cell(mine, None, agreement).ground
    assert ground != cell(mine, theirs, agreed(Choice.OPTED_IN, 5)).ground
    assert ground.startswith(f"{mine.version}|")  # a pending challenge is bound to this part


def test_each_side_has_another() -> None:
    assert [side.other for side in Side] == [DD, MP]


def test_nobody_s_address_shows_in_a_representation() -> None:
    who = Who(PersonId(7), "subscriber@example.com", {MP: ("P-1",)})
    assert "subscriber" not in repr(who)
    assert "example.com" not in repr(who)


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("subscriber@example.com", "s…@example.com"),
        (" Subscriber@example.com ", "S…@example.com"),
        ("@example.com", "…@example.com"),
        ("subscriber", "s…"),
        ("", "…"),
    ],
)
def test_an_address_is_shown_by_its_first_letter(address: str, shown: str) -> None:
    assert mask(address) == shown


def test_addresses_are_compared_without_case_and_edges_but_with_dots_and_tags() -> None:
    assert address_key(" Sub.Scriber+News@Example.COM ") == "sub.scriber+news@example.com"
    assert address_key("ZOE\u0308@example.com") == address_key("zo\u00eb@example.com")


def test_addresses_that_only_look_alike_are_two() -> None:
    assert address_key("STRASSE@example.com") != address_key("straße@example.com")
    assert address_key("sub.scriber@example.com") != address_key("subscriber@example.com")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("ann@weiß.example", "ann@weiss.example"),
        ("stra\u1e9ee@example.com", "strasse@example.com"),
        ("\ufb01n@example.com", "fin@example.com"),
        ("\u017fam@example.com", "sam@example.com"),
        ("\u0131an@example.com", "ian@example.com"),
        ("\u0130an@example.com", "ian@example.com"),
        ("\u03c2@example.com", "\u03c3@example.com"),
        ("ann\uff10@example.com", "ann0@example.com"),
        ("ann+news@example.com", "ann@example.com"),
        ("\u0430nn@example.com", "ann@example.com"),
    ],
)
def test_no_two_addresses_that_a_side_tells_apart_have_one_key(one: str, other: str) -> None:
    """The sides compare in lower case: a letter that only case folding or compatibility makes equal to others
    is another letter to them."""
    assert address_key(one) != address_key(other)


def test_an_observation_is_silent_about_what_it_was_not_told() -> None:
    seen = Observation(Choice.UNSET, datetime(2025, 1, 1, tzinfo=UTC))
    assert (seen.changed_at, seen.block, seen.frequencies) == (None, None, ())
    assert (seen.present, seen.stated, seen.consistent) == (True, True, True)
    assert (seen.undated, seen.records) == (False, 1)


@pytest.mark.parametrize(
    ("standing", "expected"),
    [
        (None, HoldChange.REPLACE),
        (StandingHold("other", "now", HoldState.OPEN), HoldChange.REPLACE),
        (StandingHold("undated", "now", HoldState.OPEN), HoldChange.KEEP),
        (StandingHold("undated", "before", HoldState.OPEN), HoldChange.RENEW),
        (StandingHold("undated", "now", HoldState.DISMISSED, day(38)), HoldChange.KEEP),
        (StandingHold("undated", "now", HoldState.RELEASED, day(38)), HoldChange.REPLACE),
        (StandingHold("undated", "now", HoldState.RELEASED, day(40)), HoldChange.KEEP),
        (StandingHold("undated", "before", HoldState.RELEASED, day(40)), HoldChange.REPLACE),
        (StandingHold("undated", "before", HoldState.DISMISSED, day(38)), HoldChange.REPLACE),
    ],
)
def test_a_hold_is_replaced_when_its_reason_or_ground_is_another_or_its_release_had_no_effect(
    standing: StandingHold | None, expected: HoldChange
) -> None:
    assert hold_change(standing, "undated", "now", day(39)) is expected


def test_a_cell_is_settled_on_its_present_ground_unless_its_hold_was_answered_meanwhile() -> None:
    one = cell(yes(20), no(10))
    assert one.is_settled(one.ground, day(39))
    assert not one.is_settled("another ground", day(39))
    held = replace(one, hold=StandingHold("undated", one.ground, HoldState.RELEASED, day(38)))
    assert held.is_settled(held.ground, day(39))
    assert held.is_settled(held.ground, None)
    assert not held.is_settled(held.ground, day(37))


def test_a_write_is_agreed_on_the_old_ground_where_an_unwritten_side_changed_meanwhile() -> None:
    decided = cell(yes(20), no(30))
    proven = cell(no(30), no(30))
    assert proven.ground_since(decided, {MP}) == proven.ground
    moved = cell(no(30), yes(31))
    assert moved.ground_since(decided, {MP}) == decided.ground
    assert moved.ground_since(decided, {MP, DD}) == moved.ground
