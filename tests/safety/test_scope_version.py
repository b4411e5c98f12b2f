"""An agreement belongs to what a topic is mapped to. What is new starts like a first run."""

from __future__ import annotations

from datetime import timedelta

import pytest

from bridge.core.model import Side
from bridge.engine.report import Report
from tests.safety.safety_world import SafetyLive, is_open
from tests.scenarios.live import IN, MINE, NEWS, OUT, PROFILING, THEIRS, UNSET

PROFILING_MAPPED = """
[[topics]]
id = "profiling"
mypreferences = { consent = "Profiling", version = "1.0", locale = "en_US" }
dotdigital = { preference = 1010 }
"""


def _choices_there(live: SafetyLive, people: list[str], preference: int) -> list[bool]:
    """Whom Dotdigital has opted in to a preference."""
    rows = [live.truth(address)["preferences"].get(str(preference)) for address in people]
    return [bool(row and row["opted_in"]) for row in rows]


def _edit(live: SafetyLive, *edits: tuple[str, str]) -> None:
    """The operator edits the mapping in several places at once."""
    file = live.folder / "mapping.toml"
    text = file.read_text()
    for old, new in edits:
        assert old in text
        text = text.replace(old, new)
    file.write_text(text)
    live.restart()


def _runs_after(live: SafetyLive) -> list[Report]:
    return [live.run(), live.run(full=True), live.run()]


def test_opt_ins_from_before_a_topic_was_mapped_wait_for_approval(live: SafetyLive) -> None:
    """A topic is mapped a month after the first run; eight people had said yes to it in between."""
    people = [live.add(f"p{number}", both={NEWS: IN}) for number in range(8)]
    _edit(live, (PROFILING_MAPPED, ""))
    live.started()
    for address in people:
        live.say(MINE, address, PROFILING, IN)
        live.clock.advance(600)
    live.run()
    live.clock.advance(30 * 86_400)
    _edit(live, ('[[topics]]\nid = "offers"', PROFILING_MAPPED + '\n[[topics]]\nid = "offers"'))
    reports = _runs_after(live)
    assert {live.theirs(address, PROFILING) for address in people} <= {UNSET, OUT}
    assert is_open(reports[-1])


def test_opt_outs_from_before_a_topic_was_mapped_are_delivered(live: SafetyLive) -> None:
    """First-run semantics hold in both directions: withdrawals flow."""
    ada = live.add("ada", mine={NEWS: IN, PROFILING: OUT}, theirs={NEWS: IN, PROFILING: IN})
    bob = live.add("bob", both={NEWS: IN, PROFILING: IN})
    _edit(live, (PROFILING_MAPPED, ""))
    live.started()
    _edit(live, ('[[topics]]\nid = "offers"', PROFILING_MAPPED + '\n[[topics]]\nid = "offers"'))
    _runs_after(live)
    live.run(approve_raises=True)
    live.run()
    assert live.theirs(ada, PROFILING) is OUT
    assert live.theirs(bob, PROFILING) is IN


@pytest.mark.parametrize("said_while_mapped", [False, True])
def test_a_topic_that_is_re_pointed_opts_nobody_in_without_approval(
    live: SafetyLive, said_while_mapped: bool
) -> None:
    """A topic is mapped to another preference; its opt-ins were said about the former one."""
    people = [live.add(f"p{number}", both={NEWS: OUT if said_while_mapped else IN}) for number in range(8)]
    live.started()
    if said_while_mapped:
        for address in people:
            live.say(MINE, address, NEWS, IN)
            live.clock.advance(600)
        live.runs(2)
    live.clock.advance(7 * 86_400)
    _edit(live, ("preference = 1002", "preference = 1011"))
    reports = _runs_after(live)
    assert not any(_choices_there(live, people, 1011))
    assert all(_choices_there(live, people, 1002))
    assert is_open(reports[-1])


def test_a_topic_that_is_re_pointed_at_mypreferences_opts_nobody_in_without_approval(
    live: SafetyLive,
) -> None:
    """The filter of a topic is replaced by a consent to which people had said yes for another purpose."""
    people = [
        live.add(f"p{number}", mine={NEWS: OUT, PROFILING: IN}, theirs={NEWS: OUT}) for number in range(8)
    ]
    live.started()
    for address in people:
        live.say(MINE, address, PROFILING, OUT)
        live.say(MINE, address, PROFILING, IN)
        live.clock.advance(600)
    live.run()
    news, consent = (
        '{ filter = "NEWS_EMAIL" }',
        '{ consent = "Profiling", version = "1.0", locale = "en_US" }',
    )
    _edit(live, (PROFILING_MAPPED, ""), (news, consent))
    reports = _runs_after(live)
    assert not any(_choices_there(live, people, 1002))
    assert is_open(reports[-1])


def test_swapping_two_preferences_in_the_mapping_opts_nobody_out_unasked(live: SafetyLive) -> None:
    """By mistake the preferences of two topics are swapped; thirty people agree to one and not the other."""
    people = [live.add(f"p{number}", both={NEWS: IN, PROFILING: OUT}) for number in range(30)]
    live.started()
    _edit(
        live, ("preference = 1002", "preference = 9"), ("preference = 1010", "preference = 1002"),
        ("preference = 9", "preference = 1010"),
    )  # fmt: skip
    report = live.run()
    assert sum(_choices_there(live, people, 1002)) == 30
    assert {live.mine(address, NEWS) for address in people} == {IN}
    assert is_open(report)
    assert report.exit_code != 0
    assert report.warnings or report.brakes, "it says what the change means"


def test_putting_a_swapped_mapping_right_leaves_everybody_as_before(live: SafetyLive) -> None:
    """The mistake is found after two runs, and the mapping is as it was."""
    people = [live.add(f"p{number}", both={NEWS: IN, PROFILING: OUT}) for number in range(12)]
    live.started()
    before = (live.folder / "mapping.toml").read_text()
    _edit(
        live, ("preference = 1002", "preference = 9"), ("preference = 1010", "preference = 1002"),
        ("preference = 9", "preference = 1010"),
    )  # fmt: skip
    live.runs(2)
    (live.folder / "mapping.toml").write_text(before)
    live.restart()
    live.runs(3)
    assert {live.shows(address, NEWS) for address in people} == {(IN, IN)}
    assert {live.shows(address, PROFILING) for address in people} == {(OUT, OUT)}


def test_a_small_change_of_the_mapping_needs_no_approval(live: SafetyLive) -> None:
    """A policy is changed; nothing would be written by that."""
    ada = live.add("ada", both={NEWS: IN})
    live.started()
    _edit(live, ('conflict = "withdrawal_wins"', 'conflict = "latest"'))
    assert live.run().exit_code == 0
    live.say(THEIRS, ada, NEWS, OUT)
    live.run()
    assert live.shows(ada) == (OUT, OUT)


@pytest.mark.parametrize("same_number", [True, False])
def test_a_re_created_preference_starts_like_a_first_run(live: SafetyLive, same_number: bool) -> None:
    """The preference is deleted and made again at Dotdigital; rows that an import made are an hour old."""
    people = [live.add(f"p{number}", both={NEWS: OUT}) for number in range(10)]
    live.started()
    live.dotdigital.delete_preference(1002)
    live.runs(2)
    number = live.dotdigital.define_preference(1002 if same_number else None, "Newsletter")
    hour_ago = live.clock.now() - timedelta(hours=1)
    for address in people:
        live.dotdigital.set_preference(live.contact(address), number, True, hour_ago)
    live.clock.advance(1200)
    if not same_number:
        _edit(live, ("preference = 1002", f"preference = {number}"))
    reports = [*live.runs(3), live.run(full=True), live.run()]
    assert {live.mine(address, NEWS) for address in people} == {OUT}
    assert is_open(reports[-1]) or not any(_choices_there(live, people, number))


def test_a_topic_that_is_no_longer_mapped_is_left_alone(live: SafetyLive) -> None:
    """A topic is taken out of the mapping: neither side is written for it any more."""
    ada = live.add("ada", both={NEWS: IN, PROFILING: IN})
    live.started()
    _edit(live, (PROFILING_MAPPED, ""))
    live.mypreferences.set_consent(live.profile(ada), "Profiling", "Revoked", live.clock.now())
    live.runs(3)
    assert live.theirs(ada, PROFILING) is IN


@pytest.mark.parametrize("side", list(Side))
def test_a_direction_that_is_opened_sends_no_opt_in_from_before_unapproved(
    live: SafetyLive, side: Side
) -> None:
    """Writing to a side was forbidden for weeks; opening it must not carry what was said meanwhile."""
    people = [live.add(f"p{number}", both={NEWS: OUT}) for number in range(8)]
    closed = 'id = "newsletter"\ndirection = "to_dotdigital"'
    if side is THEIRS:
        closed = 'id = "newsletter"\ndirection = "to_mypreferences"'
    _edit(live, ('id = "newsletter"', closed))
    live.started()
    for address in people:
        live.say(side.other, address, NEWS, IN)
        live.clock.advance(600)
    live.run()
    live.clock.advance(7 * 86_400)
    _edit(live, (closed, 'id = "newsletter"'))
    reports = _runs_after(live)
    shown = {live.mine(one, NEWS) if side is MINE else live.theirs(one, NEWS) for one in people}
    assert shown == {OUT}
    assert is_open(reports[-1])
