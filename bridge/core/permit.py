"""What keeps a raise from being sent although its evidence is good."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from bridge.core.decision import Decision, Held, Nothing, Rule, Wait
from bridge.core.mapping import Topic
from bridge.core.model import Adjustment, Block, Cell, HoldState, Observation, Raise, Resubscribe, Side
from bridge.core.policy import Clocks


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What a decision depends on beside the cell.

    `epoch` is when the first run began: an opt-in from before it, about which nothing was agreed, waits for a
    person's approval. `raises_approved` is that approval for a whole run.
    """

    clocks: Clocks
    epoch: datetime | None = None
    first_run: bool = False
    raises_approved: bool = False
    bursts: frozenset[datetime] = frozenset()  # minutes in which a list was cleaned up at Dotdigital


_HELD = {
    Block.COMPLAINT: Rule.COMPLAINT,
    Block.CONTROLLER: Rule.CONTROLLER,
    Block.CHANNEL: Rule.CHANNEL_OUT,
    Block.UNKNOWN: Rule.UNKNOWN_STATUS,
}
_IDLE = {Block.UNREACHABLE: Rule.UNREACHABLE, Block.PENDING: Rule.PENDING}


def forbidden(topic: Topic, cell: Cell, write: Raise | Adjustment, now: Circumstances) -> Decision | None:
    """What becomes of a raise that must not go; None where it may."""
    seen = cell.seen[write.side]
    if not seen.present:
        return Nothing(Rule.NOBODY_THERE)
    if not topic.direction.allows(write.side):
        return Nothing(Rule.ONE_WAY)
    if seen.block in _IDLE:
        return Nothing(_IDLE[seen.block])
    if seen.block in _HELD:
        return Held(_HELD[seen.block])
    if seen.records > 1:
        return Held(Rule.SEVERAL_RECORDS)
    if _needs_approval(cell, write, now):
        return Held(Rule.FIRST_RUN, (write,))
    if _needs_desk(topic, write) and not released(cell, Rule.RESUBSCRIBE):
        return Held(Rule.RESUBSCRIBE, (write,))
    return None


def _needs_approval(cell: Cell, write: Raise | Adjustment, now: Circumstances) -> bool:
    if cell.agreed is not None or now.raises_approved or released(cell, Rule.FIRST_RUN):
        return False
    return now.epoch is not None and write.evidence.changed_at <= now.epoch


def _needs_desk(topic: Topic, write: Raise | Adjustment) -> bool:
    to_channel = topic.is_channel and write.side is Side.DOTDIGITAL
    return to_channel and topic.resubscribe is Resubscribe.HOLD


def released(cell: Cell, rule: Rule) -> bool:
    """Whether a person at the desk released the hold that `rule` put on this cell."""
    hold = cell.hold
    return hold is not None and hold.state is HoldState.RELEASED and hold.reason == rule


def how(topic: Topic, target: Side) -> Resubscribe | None:
    """How somebody unsubscribed at Dotdigital is brought back. A hold that a person releases asks the
    subscriber by mail: the desk's word alone makes nobody mailable."""
    if not topic.is_channel or target is not Side.DOTDIGITAL:
        return None
    return Resubscribe.CHALLENGE if topic.resubscribe is Resubscribe.HOLD else topic.resubscribe


def frequency_trouble(topic: Topic, seen: Observation) -> Rule | None:
    """Why the frequency chosen cannot be carried."""
    if not topic.has_frequencies:
        return None
    if len(seen.frequencies) > 1:
        return Rule.SEVERAL_FREQUENCIES
    if not seen.frequencies or seen.frequencies[0] not in topic.preferences:
        return Rule.FREQUENCY_UNKNOWN
    return None
