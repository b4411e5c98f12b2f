"""What the simulation finds: rules that are planted wrong, no breach without them, and the same again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from bridge.core import conflict, decide
from bridge.core.conflict import EvidenceProblem
from bridge.core.model import ClockReading, Observation, Side
from bridge.core.writes import Evidence
from bridge.engine import poll, weigh
from bridge.simulation.campaign import run_campaign
from tests.simulation.worlds import MAPPING
from tests.sizes import size

MOST = 400  # seeds
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


def brake_window_ignored(patch: pytest.MonkeyPatch) -> None:
    """The brake counts one run only."""
    rule = weigh.window_use

    def wrong(state: Any, limits: Any, people: int) -> Any:
        return rule(state, replace(limits, window=timedelta(0)), people)

    patch.setattr(weigh, "window_use", wrong)


def watermark_past_a_failed_page(patch: pytest.MonkeyPatch) -> None:
    """A feed that failed counts as read up to now."""
    rule = poll.FeedPoller._distrust

    def wrong(poller: Any, side: Side, feed: str) -> None:
        run = poller._run
        run.state.observations.record((), side, run=run.id, feed=feed, watermark=run.clock())
        rule(poller, side, feed)

    patch.setattr(poll.FeedPoller, "_distrust", wrong)


CANARIES: tuple[Plant, ...] = (  # the last one takes a minute of CPU
    undated_opt_in_counts,
    watermark_past_a_failed_page,
    brake_window_ignored,
)


@pytest.mark.slow
@pytest.mark.parametrize("plant", CANARIES[: size(2, len(CANARIES))], ids=lambda plant: plant.__name__)
def test_a_wrong_rule_is_found(plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    plant(monkeypatch)
    found = run_campaign(MAPPING, seeds=MOST)
    assert found.story is not None
    assert len(found.story.steps) <= 10, found.story.steps


@pytest.mark.slow
def test_no_promise_is_broken_in_any_schedule() -> None:
    found = run_campaign(MAPPING, seeds=size(20, 10_000))
    assert found.story is None, found.story
    assert found.schedules == size(20, 10_000)


def test_the_same_seed_makes_the_same_schedule_and_the_same_trace() -> None:
    first, again = (run_campaign(MAPPING, seeds=2, first_seed=7) for _ in range(2))
    assert first.traces == again.traces
    assert len(set(first.traces)) == 2
