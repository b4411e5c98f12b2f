"""Whether what a side shows now proves a write."""

from __future__ import annotations

from bridge.core.mapping import Topic
from bridge.core.model import Adjustment, Choice, Observation, Raise, Side, Withdrawal, Write


def is_proven_by(topic: Topic, write: Write, seen: Observation) -> bool:
    """Whether `seen`, read after the write, shows that it is in force."""
    if seen.pending:
        return False
    match write:
        case Withdrawal():
            return _withdrawn(topic, write.side, seen)
        case Raise(frequency=None):
            return seen.choice is Choice.OPTED_IN
        case Raise(frequency=frequency) | Adjustment(frequency=frequency):
            return seen.choice is Choice.OPTED_IN and seen.frequencies == (frequency,)


def _withdrawn(topic: Topic, side: Side, seen: Observation) -> bool:
    if not seen.present:
        return True
    if seen.choice is Choice.OPTED_OUT:
        return seen.consistent
    if side is Side.MYPREFERENCES or seen.choice is Choice.OPTED_IN:
        return False
    return not topic.is_channel or seen.block is not None
