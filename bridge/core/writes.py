"""Writes: a withdrawal, an opt-in on evidence, a change of frequency. No opt-in can be made without a dated
statement."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from bridge.core.model import Side, TopicId


@dataclass(frozen=True, slots=True)
class Evidence:
    """A dated statement by which consent may be raised. There is none without a date."""

    side: Side
    changed_at: datetime
    read_at: datetime
    version: str

    def __post_init__(self) -> None:
        if not isinstance(self.changed_at, datetime) or self.changed_at.tzinfo is None:
            raise TypeError("evidence needs a date with a time zone")


class Resubscribe(StrEnum):
    """What an opt-in may do for a person unsubscribed at Dotdigital."""

    HOLD = "hold"
    CHALLENGE = "challenge"
    SILENT = "silent"


@dataclass(frozen=True, slots=True)
class Withdrawal:
    """Withdraw consent at `side`. `said_at` is the person's own time where known; `effective_at` the date to
    record there: late enough that what the side holds now does not outlive it."""

    side: Side
    topic: TopicId
    said_at: datetime | None
    effective_at: datetime


@dataclass(frozen=True, slots=True)
class Raise:
    """Give consent at `side`, on evidence."""

    side: Side
    topic: TopicId
    evidence: Evidence
    frequency: str | None = None
    how: Resubscribe | None = None  # only for the e-mail channel at Dotdigital

    def __post_init__(self) -> None:
        _demand_evidence(self.evidence, self.side)


@dataclass(frozen=True, slots=True)
class Adjustment:
    """Change the frequency of a consent that both sides hold, on evidence."""

    side: Side
    topic: TopicId
    evidence: Evidence
    frequency: str

    def __post_init__(self) -> None:
        _demand_evidence(self.evidence, self.side)


Write = Withdrawal | Raise | Adjustment


def _demand_evidence(evidence: Evidence, side: Side) -> None:
    if not isinstance(evidence, Evidence):
        raise TypeError("a raise cannot be made without evidence")
    if evidence.side is side:
        raise ValueError("a side's own statement is no evidence against itself")
