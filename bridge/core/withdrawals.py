"""Withdrawals: to whom, dated how, and what an opt-in would have to be newer than."""

from __future__ import annotations

from datetime import datetime, timedelta

from bridge.core.conflict import FUTURE_TOLERANCE, ClockReading, is_in, is_out, newest
from bridge.core.decision import Act, Held, Rule
from bridge.core.guards import DecisionContext, is_released
from bridge.core.mapping import Topic
from bridge.core.model import Cell, Choice, Observation, Side, Withdrawal


def withdrawal_decision(
    topic: Topic, cell: Cell, targets: list[Side], rule: Rule, now: DecisionContext
) -> Act | Held:
    """Withdraw at `targets`, and wherever else nobody was told.

    What the mapping's direction lets through goes; where it bars all of it, it is held, so that it is seen.
    """
    told = [side for side in Side if side in targets or lacks_withdrawal(topic, cell, side)]
    allowed = [side for side in told if topic.direction.allows(side)]
    if not allowed:
        return Held(Rule.DIRECTION)
    writes = _withdrawals(topic, cell, allowed, now)
    if _in_burst(cell, allowed, now) and not is_released(cell, Rule.BURST):
        return Held(Rule.BURST, writes)
    return Act(rule, writes, Choice.OPTED_OUT, latest_statement(cell, now.clocks), cell.versions)


def lacks_withdrawal(topic: Topic, cell: Cell, side: Side) -> bool:
    """Whether a side that does not say yes has yet to be told of a withdrawal.

    One that says no is done once all its records say so. A silent one is told, unless its silence is a no
    already (Dotdigital: a preference never asked for is not opted in), or it was told before and a block
    hides it.
    """
    seen, agreed = cell.seen[side], cell.agreed
    if not seen.present or is_in(seen):
        return False
    if is_out(seen):
        return not seen.consistent
    if side is Side.MYPREFERENCES:
        return not (seen.elsewhere and _outlived(cell, side))
    before = agreed is not None and agreed.choice is Choice.OPTED_OUT and not has_changed(cell, side)
    return topic.is_channel and not (before and seen.block is not None)


def _outlived(cell: Cell, side: Side) -> bool:
    """Whether another address of the person was opted in there since this one was opted out: that is their
    newer word about that address, and nothing is to be taken back."""
    agreed, yes = cell.agreed, cell.seen[side].changed_at
    out = is_out(cell.seen[side.other])
    said = said_at(cell, side.other) if out else None
    if yes is None or (out and said is None):
        return False
    if agreed is not None and agreed.choice is Choice.OPTED_OUT:
        said = newest(said, agreed.at)
    return said is not None and yes > said


def _in_burst(cell: Cell, targets: list[Side], now: DecisionContext) -> bool:
    """Whether this withdrawal comes from a minute in which a whole list was unsubscribed at Dotdigital."""
    hold = cell.hold
    if hold is not None and hold.reason == Rule.BURST:
        return True
    seen = cell.seen[Side.DOTDIGITAL]
    if Side.MYPREFERENCES not in targets or not is_out(seen) or seen.changed_at is None:
        return False
    return seen.changed_at.replace(second=0, microsecond=0) in now.bursts


def _withdrawals(
    topic: Topic, cell: Cell, targets: list[Side], now: DecisionContext
) -> tuple[Withdrawal, ...]:
    """The withdrawals for `targets`, dated."""
    said = newest(*(said_at(cell, side) for side in Side if is_out(cell.seen[side])))
    if said is None and cell.agreed is not None and cell.agreed.choice is Choice.OPTED_OUT:
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


def has_changed(cell: Cell, side: Side) -> bool:
    """Whether a side shows anything but what it showed when the agreement was made.

    The same choice, dated no later than the agreement, is no news: a closer look has found a date. Nor is it
    dated no later than our last write there: it is that write's own trace, and nobody's newer word.
    """
    agreed, seen = cell.agreed, cell.seen[side]
    if agreed is None:
        return True
    if agreed.versions.get(side) == seen.version:
        return False
    same = (seen.choice, seen.frequencies) == (agreed.choice, agreed.frequencies)
    known = newest(agreed.at, cell.written_at.get(side))
    return not (same and seen.changed_at is not None and known is not None and seen.changed_at <= known)


def said_at(cell: Cell, side: Side) -> datetime | None:
    """When the side's present word was said: an unchanged one is at least as new as the agreement.

    It may be newer: what proved a write of ours may have been the person's own, later word. A date that was
    in the future when it was agreed on is no word at all.
    """
    agreed, said = cell.agreed, cell.seen[side].changed_at
    if agreed is None or has_changed(cell, side):
        return said
    known = said is not None and said <= agreed.decided_at + FUTURE_TOLERANCE
    return newest(agreed.at, said) if known else agreed.at


def raise_floor(cell: Cell, target: Side, clocks: ClockReading) -> datetime | None:
    """The newest withdrawal that an opt-in would have to be newer than; None where there is none.

    Under doubt an undated one is as new as it can be: no opt-in is newer.
    """
    agreed = cell.agreed
    floor = agreed.at if agreed is not None and agreed.choice is Choice.OPTED_OUT else None
    if is_out(cell.seen[target]):
        floor = newest(floor, said_at(cell, target) or clocks.now + FUTURE_TOLERANCE)
    return floor


def latest_statement(cell: Cell, clocks: ClockReading) -> datetime:
    """The newest date among what both sides say: nothing at or before it may undo what is agreed now.

    A date in the future is no word at all, or no opt-in could ever undo it. A new withdrawal without a date
    may have been said at any time until it was read.
    """
    dates = (
        seen.read_at if is_out(seen) and said_at(cell, side) is None else seen.changed_at
        for side, seen in cell.seen.items()
        if seen.choice is not Choice.UNSET
    )
    sane = (date for date in dates if date is not None and date <= clocks.now + FUTURE_TOLERANCE)
    agreed = None if cell.agreed is None else cell.agreed.at
    return newest(agreed, *sane) or clocks.now
