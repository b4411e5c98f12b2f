"""What makes an opt-in evidence, and which choice holds when both sides changed to opposite ones.

No policy lets a missing, undated or older statement raise anybody.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from bridge.core.mapping import Conflict
from bridge.core.model import ClockReading, Evidence, Observation, Side


class EvidenceProblem(StrEnum):
    """Why an opt-in is no evidence."""

    NEEDS_DATE = "needs_date"  # it came from a listing: reading the person alone may find its date
    NOT_STATED = "not_stated"  # a state of the system, nobody's statement
    UNDATED = "undated"
    FUTURE = "future"  # dated later than the clock can explain
    LATE = "late"  # not newer than the withdrawal it would undo


def evidence_of(
    side: Side, seen: Observation, *, newer_than: datetime | None, clocks: ClockReading
) -> Evidence | EvidenceProblem:
    """The evidence in an opt-in seen at `side`, or why it is none."""
    if not seen.stated:
        return EvidenceProblem.NOT_STATED
    if seen.changed_at is None:
        return EvidenceProblem.NEEDS_DATE if seen.undated else EvidenceProblem.UNDATED
    if clocks.is_future(seen.changed_at):
        return EvidenceProblem.FUTURE
    if newer_than is not None and seen.changed_at <= newer_than + clocks.skew:
        return EvidenceProblem.LATE
    return Evidence(side=side, changed_at=seen.changed_at, read_at=seen.read_at, version=seen.version)


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
