"""What makes an opt-in evidence, which choice holds when both sides changed to opposite ones, and where an
opt-out goes, with which date.

No policy lets a missing, undated or older statement raise anybody.
"""

from __future__ import annotations

from collections.abc import Container
from datetime import datetime, timedelta
from enum import StrEnum

from bridge.core.decision import Act, Held, Rule
from bridge.core.guards import DecisionContext
from bridge.core.mapping import Conflict, Topic
from bridge.core.model import Cell, Choice, ClockReading, Observation, Side
from bridge.core.writes import Evidence, Withdrawal


class EvidenceProblem(StrEnum):
    """Why an opt-in is no evidence."""

    NEEDS_DATE = "needs_date"  # it came from a listing: reading the person alone may find its date
    NOT_STATED = "not_stated"  # a state of the system, nobody's statement
    UNDATED = "undated"
    FUTURE = "future"  # dated later than the clock can explain
    ERASED = "erased"  # of an erased person, and it may come from a batch
    LATE = "late"  # not newer than the withdrawal it would undo


def evidence_of(
    side: Side,
    seen: Observation,
    *,
    newer_than: datetime | None,
    clocks: ClockReading,
    dated: datetime | None = None,
) -> Evidence | EvidenceProblem:
    """The evidence in an opt-in seen at `side`, or why it is none. `dated` is the date of its statement where
    that is not the one that the side shows: see `Cell.dated`."""
    if not seen.stated:
        return EvidenceProblem.NOT_STATED
    if seen.changed_at is None:
        return EvidenceProblem.NEEDS_DATE if seen.undated else EvidenceProblem.UNDATED
    said = dated or seen.changed_at
    if clocks.is_future(said):
        return EvidenceProblem.FUTURE
    if newer_than is not None and said <= newer_than + clocks.skew:
        return EvidenceProblem.LATE
    return Evidence(side=side, changed_at=said, read_at=seen.read_at, version=seen.version)


class PolicyResult(StrEnum):
    """What a policy says of opposite changes. `RAISE` still needs evidence."""

    WITHDRAW = "withdraw"
    RAISE = "raise"
    HOLD = "hold"


def resolve_conflict(policy: Conflict, *, opted_in_at: Side) -> PolicyResult:
    """Which choice holds when `opted_in_at` changed to an opt-in and the other side to an opt-out."""
    match policy:
        case Conflict.WITHDRAWAL_WINS:
            return PolicyResult.WITHDRAW
        case Conflict.HOLD:
            return PolicyResult.HOLD
        case Conflict.LATEST:
            return PolicyResult.RAISE  # evidence decides: it must be newer than the withdrawal
        case Conflict.MYPREFERENCES | Conflict.DOTDIGITAL:
            return PolicyResult.RAISE if policy.value == opted_in_at.value else PolicyResult.WITHDRAW


# withdrawals


def withdrawal_decision(
    topic: Topic, cell: Cell, targets: list[Side], rule: Rule, now: DecisionContext
) -> Act | Held:
    """Withdraw at `targets`, and at every other side that has yet to receive it.

    What the mapping's direction allows is sent; where it forbids all of it, it is held, so that it is seen.
    """
    said = cell.withdrawn_at()
    writes: dict[Side, Withdrawal] = {}
    for side in Side:
        if (side in targets or cell.lacks_withdrawal(side)) and topic.direction.allows(side):
            effective = _effective(said, cell.seen[side], now.clocks)
            writes[side] = Withdrawal(side, topic.id, said, effective)
    if not writes:
        return Held(Rule.DIRECTION)
    withdrawals = tuple(writes.values())
    if _in_burst(cell, writes, now) and not cell.is_released(Rule.BURST):
        return Held(Rule.BURST, withdrawals)
    return Act(rule, withdrawals, Choice.OPTED_OUT, cell.latest_statement(now.clocks), cell.versions)


def _in_burst(cell: Cell, targets: Container[Side], now: DecisionContext) -> bool:
    """Whether this withdrawal comes from a minute in which a whole list was unsubscribed at Dotdigital."""
    hold = cell.hold
    if hold is not None and hold.reason == Rule.BURST:
        return True
    seen = cell.seen[Side.DOTDIGITAL]
    if Side.MYPREFERENCES not in targets or not seen.opted_out or seen.changed_at is None:
        return False
    return seen.changed_at.replace(second=0, microsecond=0) in now.bursts


def _effective(said: datetime | None, target: Observation, clocks: ClockReading) -> datetime:
    """The date to record with a withdrawal: the person's own where that is newer than what the side holds,
    since a side may ignore an older one (MyPreferences "not honored"); else just past what it holds. Never a
    date in the future: no choice that the person makes from now on would be newer."""
    held, date = target.changed_at, said
    if date is None or clocks.is_future(date):
        date = clocks.now
    if held is None or date > held or clocks.is_future(held):
        return date
    return held + timedelta(seconds=1)
