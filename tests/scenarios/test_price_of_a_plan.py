"""The call estimate of a plan is what the plan costs, however many people are sent in one call."""

from __future__ import annotations

import pytest

from bridge.core.model import Choice, Side
from bridge.engine.plan import make_plan
from tests.scenarios.conftest import Make
from tests.scenarios.live import IN, MINE, NEWS, OUT, THEIRS, Live

A_FEW = 3  # calls by which one run's reading differs from the next one's, or a job's waiting from another's


def idle(live: Live) -> dict[Side, int]:
    """The calls of a run in which nobody did anything, a minute after another."""
    live.run()
    return dict(live.run().calls)


@pytest.mark.slow
@pytest.mark.parametrize("many", [3, 110])
@pytest.mark.parametrize("v3", ["always", "never"])
@pytest.mark.parametrize("said", [IN, OUT])
@pytest.mark.parametrize("acting", [MINE, THEIRS])
def test_carrying_out_a_plan_takes_the_calls_that_it_named(
    make: Make, acting: Side, said: Choice, v3: str, many: int
) -> None:
    live = make(rate=1000.0, v3=v3, opt_ins_max=1000)
    people = [live.add(f"p{number}", both={NEWS: OUT if said is IN else IN}) for number in range(many)]
    live.started()
    reading = idle(live)
    for address in people:
        live.say(acting, address, NEWS, said)
    live.clock.advance(3600)
    plan = make_plan(live.app.services())
    assert len(plan.writes) == many
    report = live.run()
    assert report.written.writes == many
    paid = report.calls[acting.other] - reading[acting.other]
    named = plan.calls[acting.other] - plan.reading[acting.other]  # the plan has read already
    assert abs(paid - named) <= A_FEW + named / 20
