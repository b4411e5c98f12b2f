"""Weighing a run before it writes: how much it would change, with what was written within the window."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from bridge.core.brakes import (
    BrakeLimits,
    BrakeResult,
    Burst,
    Tally,
    WindowUse,
    check_brakes,
    kept_bursts,
)
from bridge.core.model import Side
from bridge.core.store_port import StorePort
from bridge.engine.context import RunContext
from bridge.engine.deciding import Decider
from bridge.engine.scopes import TopicScopes


@dataclass(frozen=True, slots=True)
class Weighed:
    """What a run would change: the brakes that this trips, the use of the window before it, and how many
    people are known."""

    brakes: BrakeResult
    use: WindowUse
    people: int


def weigh(run: RunContext, decider: Decider, topics: TopicScopes, *, approve_mapping: bool) -> Weighed:
    """Read whom a decision waits for, and weigh what the run would write. Opt-ins of one moment that are too
    many are held from here on, and so are all writes of a changed mapping that an operator has to approve."""
    limits = run.tuning.limits
    tally = decider.resolve_and_count()
    people = run.state.people.count()
    use = window_use(run.state, limits, people)
    held = _hold_bursts(run, decider, tally, use, limits.opt_in_burst(people))
    waits = topics.weigh(tally, people, approve=approve_mapping)
    if held or waits:
        tally = decider.count()
    brakes = check_brakes(tally.volume(use, people), limits)
    if waits:
        brakes = replace(brakes, reasons=(waits, *brakes.reasons))
    return Weighed(brakes, use, people)


def window_use(state: StorePort, limits: BrakeLimits, people: int) -> WindowUse:
    """What was written within the window that ends now."""
    return state.attempts.window(state.now() - limits.window, limits.withdrawals_expected(people) + 1)


def remember_bursts(run: RunContext, unsubscribes: Collection[datetime]) -> Sequence[Burst]:
    """All minutes known in which many were opted in or unsubscribed at once, with those found now."""
    found = [Burst(Side.DOTDIGITAL, minute, opts_in=False, found_at=run.now()) for minute in unsubscribes]
    return _remember(run, found)


def _remember(run: RunContext, found: Sequence[Burst]) -> Sequence[Burst]:
    """Later runs and other processes hold what was said in these minutes too."""
    before = run.state.facts.bursts or ()
    after = kept_bursts((*before, *found), run.now())
    if after != tuple(before):
        run.state.facts.bursts = after
    return after


def _hold_bursts(run: RunContext, decider: Decider, tally: Tally, use: WindowUse, most: int) -> bool:
    """Whether there are moments at which too many people were opted in. Their opt-ins are held."""
    moments = tally.opt_in_bursts(use, most)
    for side, minute in sorted(moments):
        run.health.warn(
            f"{side}: more than {most} people were opted in within one minute ({minute:%Y-%m-%d %H:%MZ}); "
            f"their opt-ins are held. Review them: `bridge holds list --reason burst`"
        )
    _remember(
        run, [Burst(side, minute, opts_in=True, found_at=run.now()) for side, minute in sorted(moments)]
    )
    decider.hold_opt_ins(moments)
    return bool(moments)
