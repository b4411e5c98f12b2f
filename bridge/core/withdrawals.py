"""Withdrawals: at which sides, and with which date."""

from __future__ import annotations

from datetime import datetime, timedelta

from bridge.core.decision import Act, Held, Rule
from bridge.core.guards import DecisionContext
from bridge.core.mapping import Topic
from bridge.core.model import Cell, Choice, ClockReading, Observation, Side, Withdrawal, newest


def withdrawal_decision(
    topic: Topic, cell: Cell, targets: list[Side], rule: Rule, now: DecisionContext
) -> Act | Held:
    """Withdraw at `targets`, and at every other side that has yet to receive it.

    What the mapping's direction allows is sent; where it forbids all of it, it is held, so that it is seen.
    """
    lacking = [side for side in Side if side in targets or cell.lacks_withdrawal(side)]
    allowed = [side for side in lacking if topic.direction.allows(side)]
    if not allowed:
        return Held(Rule.DIRECTION)
    writes = _withdrawals(topic, cell, allowed, now)
    if _in_burst(cell, allowed, now) and not cell.is_released(Rule.BURST):
        return Held(Rule.BURST, writes)
    return Act(rule, writes, Choice.OPTED_OUT, cell.latest_statement(now.clocks), cell.versions)


def _in_burst(cell: Cell, targets: list[Side], now: DecisionContext) -> bool:
    """Whether this withdrawal comes from a minute in which a whole list was unsubscribed at Dotdigital."""
    hold = cell.hold
    if hold is not None and hold.reason == Rule.BURST:
        return True
    seen = cell.seen[Side.DOTDIGITAL]
    if Side.MYPREFERENCES not in targets or not seen.opted_out or seen.changed_at is None:
        return False
    return seen.changed_at.replace(second=0, microsecond=0) in now.bursts


def _withdrawals(
    topic: Topic, cell: Cell, targets: list[Side], now: DecisionContext
) -> tuple[Withdrawal, ...]:
    """The withdrawals for `targets`, dated."""
    said = newest(*(cell.said_at(side) for side in Side if cell.seen[side].opted_out))
    if said is None and cell.agreed is not None and cell.agreed.opted_out:
        said = cell.agreed.at
    return tuple(
        Withdrawal(side, topic.id, said, _effective(said, cell.seen[side], now.clocks)) for side in targets
    )


def _effective(said: datetime | None, target: Observation, clocks: ClockReading) -> datetime:
    """The date to record with a withdrawal: the person's own where that is newer than what the side holds,
    since a side may ignore an older one (MyPreferences "not honored"); else just past what it holds."""
    held = target.changed_at
    if said is None:
        return clocks.now if held is None else max(clocks.now, held + timedelta(seconds=1))
    if held is None or said > held:
        return said
    return held + timedelta(seconds=1)
