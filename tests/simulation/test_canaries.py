"""Wrong rules, planted one at a time: the simulation finds each of them within a few schedules."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from bridge.core import conflict, decide, merge_observation
from bridge.core.conflict import EvidenceProblem
from bridge.core.model import Cell, ClockReading, Observation, Side
from bridge.core.writes import Evidence
from bridge.engine import poll, weigh
from bridge.simulation.campaign import run_campaign
from tests.simulation.worlds import MAPPING

MOST = 400  # seeds; each canary is found by far fewer
Plant = Callable[[pytest.MonkeyPatch], None]


def undated_opt_in_counts(patch: pytest.MonkeyPatch) -> None:
    """An opt-in without a date passes for one that was made just now."""
    rule = conflict.evidence_of

    def wrong(side: Side, seen: Observation, **how: Any) -> Evidence | EvidenceProblem:
        clocks: ClockReading = how["clocks"]
        if seen.changed_at is None and not seen.undated and seen.stated:
            seen = replace(seen, changed_at=clocks.now)
        return rule(side, seen, **how)

    patch.setattr(decide, "evidence_of", wrong)


def latch_dropped(patch: pytest.MonkeyPatch) -> None:
    """An opt-out that was seen is not kept once its side shows something else."""
    patch.setattr(merge_observation, "latch_after", lambda latch, *_: latch)
    patch.setattr(decide, "under_latch", lambda cell, *_: cell)


def brake_window_ignored(patch: pytest.MonkeyPatch) -> None:
    """The brake counts one run only."""
    rule = weigh.window_use

    def wrong(state: Any, limits: Any, people: int) -> Any:
        return rule(state, replace(limits, window=timedelta(0)), people)

    patch.setattr(weigh, "window_use", wrong)


def own_write_taken_for_news(patch: pytest.MonkeyPatch) -> None:
    """A row that the bridge wrote counts by the date of the row."""

    def wrong(cell: Cell, side: Side) -> Any:
        return cell.seen[side].changed_at

    patch.setattr(Cell, "dated", wrong)


def watermark_past_a_failed_page(patch: pytest.MonkeyPatch) -> None:
    """A feed that failed counts as read up to now."""
    rule = poll.FeedPoller._distrust

    def wrong(poller: Any, side: Side, feed: str) -> None:
        run = poller._run
        run.state.observations.record((), side, run=run.id, feed=feed, watermark=run.clock())
        rule(poller, side, feed)

    patch.setattr(poll.FeedPoller, "_distrust", wrong)


CANARIES: tuple[Plant, ...] = (
    undated_opt_in_counts,
    latch_dropped,
    brake_window_ignored,
    own_write_taken_for_news,
    watermark_past_a_failed_page,
)


@pytest.mark.slow
@pytest.mark.parametrize("plant", CANARIES, ids=lambda plant: plant.__name__)
def test_a_wrong_rule_is_found(plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    plant(monkeypatch)
    found = run_campaign(MAPPING, seeds=MOST)
    assert found.story is not None
    assert len(found.story.steps) <= 10, found.story.steps
