"""A run ends with 0 only where everything was seen in sync and nothing waits."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from bridge.core.errors import DrainIncomplete, FeedDeaf, Refused, ServerError
from bridge.core.model import OTHER_VERSION, Observation, TopicId
from bridge.core.ports import PersonView
from bridge.core.store_values import RunKind
from bridge.core.sync_state import Condition
from bridge.engine.context import RunContext
from bridge.engine.report import Report, WriteCounts, make_report
from tests.engine.world import ADA, BOB, IN, MINE, NEWS, OUT, THEIRS, UNSET, World, trouble


def conditions(report: Report) -> set[Condition]:
    assert report.in_sync is (report.exit_code == 0)
    return {problem.condition for problem in report.problems}


def test_a_sweep_that_was_not_read_to_its_end_is_no_success(world: World) -> None:
    world.both(ADA, NEWS, IN)
    world.started()
    world.sides[THEIRS].fail["list_people"] = [DrainIncomplete("a page is missing")]
    report = world.run(full=True)
    assert conditions(report) == {Condition.INCOMPLETE}
    assert report.exit_code == 5
    assert world.run(full=True).exit_code == 0


@pytest.mark.parametrize("refusal", [Refused, ServerError])
def test_a_feed_that_is_refused_is_no_success(world: World, refusal: type[Refused]) -> None:
    world.both(ADA, NEWS, IN)
    world.started()
    world.sides[THEIRS].fail["read_feed"] = [trouble(refusal)]
    assert world.run().exit_code == 5


def test_a_deaf_feed_is_no_success(world: World) -> None:
    world.both(ADA, NEWS, IN)
    world.started()
    world.sides[MINE].fail["read_feed"] = [FeedDeaf("no subscription is active")]
    report = world.run()
    assert conditions(report) == {Condition.DEAF_FEED}
    assert report.exit_code == 3


def test_a_plan_beside_a_side_that_is_down_says_that_it_is_incomplete(world: World) -> None:
    world.both(ADA, NEWS, IN)
    world.started()
    assert world.plan().shown()["complete"] is True
    world.sides[THEIRS].fail["read_feed"] = [trouble(ServerError)]
    assert world.plan().shown()["complete"] is False


def test_a_dry_run_moves_no_watermark(world: World) -> None:
    """It may follow a mapping that is never used, and leaves no feed behind."""
    world.both(ADA, NEWS, IN)
    world.started()
    before = world.store.feeds.watermarks()
    world.plan()
    assert world.store.feeds.watermarks() == before


def acting(world: World, act: Callable[[], None]) -> None:
    """Someone acts while the run sends its first write to Dotdigital."""
    side = world.sides[THEIRS]
    send = side._send_one

    def send_one(*args: object, **more: object) -> object:
        side._send_one = send  # type: ignore[method-assign]
        act()
        return send(*args, **more)  # type: ignore[arg-type]

    side._send_one = send_one  # type: ignore[assignment,method-assign]


def test_what_people_do_during_a_run_is_decided_in_the_same_run(world: World) -> None:
    """The read-back of Ada's opt-out shows that she opted out of the offers as well."""
    world.both(ADA, NEWS, IN)
    world.both(ADA, "offers", IN, "DAILY")
    world.started()
    world.say(MINE, ADA, NEWS, OUT)
    acting(world, lambda: world.say(THEIRS, ADA, "offers", OUT))
    report = world.run()
    assert world.shows(ADA) == (OUT, OUT)
    assert world.shows(ADA, "offers") == (OUT, OUT)
    assert conditions(report) == set()
    assert report.exit_code == 0


def test_a_consent_in_a_version_that_is_not_mapped_is_counted_and_said(world: World) -> None:
    run = RunContext(world.services(), RunKind.INCREMENTAL)
    seen = Observation(UNSET, world.now, reason=OTHER_VERSION)
    for address in (ADA, BOB, ADA):
        run.note_other_versions([PersonView(address, ("1",), {TopicId(NEWS): seen})])
    (warning,) = make_report(run, WriteCounts()).warnings
    assert "2 of the people read" in warning
    assert "another version" in warning
