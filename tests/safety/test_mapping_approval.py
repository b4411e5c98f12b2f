"""A changed mapping that would write many people waits for an operator, and for nothing else."""

from __future__ import annotations

import pytest

from bridge.core.errors import BrakeTripped
from bridge.core.model import Side
from bridge.engine.plan import apply_plan, make_plan
from tests.approvals import saved
from tests.safety.safety_world import SafetyLive
from tests.scenarios.live import IN, MINE, NEWS, OFFERS, OUT, PROFILING

SWAP = (
    ("preference = 1002", "preference = 9"),
    ("preference = 1010", "preference = 1002"),
    ("preference = 9", "preference = 1010"),
)


def _edit(live: SafetyLive, *edits: tuple[str, str]) -> None:
    for old, new in edits:
        live.remap(old, new)


@pytest.fixture
def swapped(live: SafetyLive) -> SafetyLive:
    """The preferences of two topics are swapped; twelve people agree to one and not the other."""
    for number in range(12):
        live.add(f"p{number}", both={NEWS: IN, PROFILING: OUT})
    live.add("ada", both={OFFERS: "DAILY"})
    live.started()
    _edit(live, *SWAP)
    return live


def _agreements(live: SafetyLive) -> list[object]:
    cells = [
        live.cell(f"p{number}@example.com", topic) for number in range(12) for topic in (NEWS, PROFILING)
    ]
    return [cell.agreed and cell.agreed.choice for cell in cells]


def test_unchanged_topics_go_on_while_a_changed_mapping_waits(swapped: SafetyLive) -> None:
    swapped.say(MINE, "ada@example.com", OFFERS, OUT)
    report = swapped.run()
    assert swapped.shows("ada@example.com", OFFERS) == (OUT, OUT)
    assert (report.exit_code, report.unapproved) == (4, [NEWS, PROFILING])
    (reason,) = report.brakes
    for words in (
        "12 of 13 people",
        "opts out 12 people at mypreferences",
        "preference 1010",
        "--approve-mapping",
    ):
        assert words in reason


def test_a_changed_mapping_waits_in_every_run_and_after_a_restart(swapped: SafetyLive) -> None:
    for _ in range(2):
        assert swapped.run().exit_code == 4
        swapped.restart()
    assert {swapped.mine(f"p{number}@example.com", NEWS) for number in range(12)} == {IN}


def test_a_changed_mapping_is_carried_out_once_approved_and_asked_about_no_more(swapped: SafetyLive) -> None:
    swapped.run()
    approved = swapped.run(approve_mapping=True)
    assert not approved.brakes
    assert {swapped.mine(f"p{number}@example.com", NEWS) for number in range(12)} == {OUT}
    again = swapped.run()
    assert (again.brakes, again.unapproved, again.written.writes) == ([], [], 0)


def test_a_plan_shows_what_a_changed_mapping_writes_and_forgets_nothing(swapped: SafetyLive) -> None:
    before = _agreements(swapped)
    plan = make_plan(swapped.app.services())
    assert any("opts out 12 people" in reason for reason in plan.brakes)
    assert len([row for row in plan.writes if row["to"] == "opted_out"]) == 24
    assert _agreements(swapped) == before
    _edit(swapped, *((new, old) for old, new in reversed(SWAP)))
    report = swapped.run()
    assert (report.written.writes, report.in_sync, _agreements(swapped)) == (0, True, before)


def test_a_saved_plan_of_a_changed_mapping_is_refused_before_a_run_let_it_through(
    swapped: SafetyLive,
) -> None:
    plan = make_plan(swapped.app.services())
    for _ in range(2):
        with pytest.raises(BrakeTripped) as refused:
            apply_plan(
                swapped.app.services(),
                swapped.app.writers(),
                plan.acts,
                mapping=plan.mapping,
                plan=saved(swapped.app.store),
            )
        assert any("mapping" in reason for reason in refused.value.reasons)
        swapped.run()
    assert {swapped.mine(f"p{number}@example.com", NEWS) for number in range(12)} == {IN}


@pytest.mark.parametrize("side", list(Side))
def test_a_withdrawal_of_a_waiting_topic_is_delivered_once_the_mapping_is_right(
    swapped: SafetyLive, side: Side
) -> None:
    """It was said while the mapping was wrong, about what the topic was mapped to before and is again."""
    swapped.run()
    if side is MINE:
        swapped.say(side, "p0@example.com", NEWS, OUT)
    else:
        swapped.dotdigital.set_preference(swapped.contact("p0@example.com"), 1002, False, swapped.clock.now())
    assert not swapped.run().in_sync
    _edit(swapped, *((new, old) for old, new in reversed(SWAP)))
    swapped.run()
    assert swapped.shows("p0@example.com", NEWS) == (OUT, OUT)
    assert {swapped.mine(f"p{number}@example.com", NEWS) for number in range(1, 12)} == {IN}
