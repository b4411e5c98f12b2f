"""Who is heard when both sides changed to opposite choices, and what makes an opt-in evidence.

No policy, whichever is chosen, lets a missing, undated or older statement raise anybody.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from bridge.core.mapping import Conflict
from bridge.core.model import Choice, Evidence, Observation, Side


class EvidenceProblem(StrEnum):
    """Why an opt-in is no evidence."""

    NEEDS_DATE = "needs_date"  # it came from a listing: a closer look may find its date
    NOT_STATED = "not_stated"  # a state of the system, nobody's statement
    UNDATED = "undated"
    FUTURE = "future"  # dated later than the clock can explain
    LATE = "late"  # not newer than the withdrawal it would undo


FUTURE_TOLERANCE = timedelta(minutes=15)


@dataclass(frozen=True, slots=True)
class ClockReading:
    """The bridge's time now, and how far apart two changes must be to be told in order."""

    now: datetime
    skew: timedelta


def evidence_of(
    side: Side, seen: Observation, *, newer_than: datetime | None, clocks: ClockReading
) -> Evidence | EvidenceProblem:
    """The evidence in an opt-in seen at `side`, or why it is none."""
    if not seen.stated:
        return EvidenceProblem.NOT_STATED
    if seen.changed_at is None:
        return EvidenceProblem.NEEDS_DATE if seen.undated else EvidenceProblem.UNDATED
    if seen.changed_at > clocks.now + FUTURE_TOLERANCE:
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
    """Who is heard when `opted_in_at` says yes and the other side says no, both anew."""
    match policy:
        case Conflict.WITHDRAWAL_WINS:
            return PolicyResult.WITHDRAW
        case Conflict.HOLD:
            return PolicyResult.HOLD
        case Conflict.LATEST:
            return PolicyResult.RAISE  # evidence decides: it must be newer than the withdrawal
        case Conflict.MYPREFERENCES | Conflict.DOTDIGITAL:
            return PolicyResult.RAISE if policy.value == opted_in_at.value else PolicyResult.WITHDRAW


def newest(*dates: datetime | None) -> datetime | None:
    """The newest of the known dates."""
    return max((date for date in dates if date is not None), default=None)


def is_out(seen: Observation) -> bool:
    return seen.choice is Choice.OPTED_OUT


def is_in(seen: Observation) -> bool:
    return seen.choice is Choice.OPTED_IN
