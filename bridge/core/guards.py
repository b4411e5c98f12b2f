"""What stops a raise although its evidence is good."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from bridge.core.brakes import Moment, moment
from bridge.core.clocks import LostPeriod
from bridge.core.decision import Act, Agree, Decision, Held, Nothing, Rule, Wait
from bridge.core.double_opt_in import CONFIRMATION_WAIT
from bridge.core.mapping import Topic
from bridge.core.model import (
    OWN_DATES,
    Block,
    Cell,
    Choice,
    ClockReading,
    HoldState,
    Observation,
    Side,
    TopicId,
)
from bridge.core.writes import Adjustment, Raise, Resubscribe, Withdrawal

FLIPS_MAX = 2  # opt-ins of one topic of a person that undo an opt-out
FLIPS_WITHIN = timedelta(days=30)
_LANDS_WITHIN = timedelta(hours=6)  # so late an opt-in that was sent may be applied


@dataclass(frozen=True, slots=True)
class DecisionContext:
    """What a decision depends on beside the cell.

    `epoch` is when the first run began: an opt-in from before it, about which nothing was agreed, waits for
    an operator's approval. `raises_approved` is that approval for a whole run. `epochs` are the same for
    topics that were mapped later, whatever was agreed; those in `unread` were not read whole since. Of `lost`
    the state DB knows nothing, since an older copy of it was restored.
    """

    clocks: ClockReading
    epoch: datetime | None = None
    first_run: bool = False
    raises_approved: bool = False
    bursts: frozenset[datetime] = frozenset()  # minutes in which a list was cleaned up at Dotdigital
    challenge_wait: timedelta = CONFIRMATION_WAIT  # how long to wait for a confirmation by mail
    opt_in_bursts: frozenset[Moment] = frozenset()  # when many people were opted in at once
    epochs: Mapping[TopicId, datetime] = field(default_factory=dict)
    unread: frozenset[TopicId] = frozenset()
    lost: LostPeriod | None = None

    def is_first_run(self, topic: Topic) -> bool:
        """Whether nothing was agreed about a topic, as not everybody has been read yet."""
        return self.first_run or topic.id in self.unread


_HELD = {
    Block.COMPLAINT: Rule.COMPLAINT,
    Block.CONTROLLER: Rule.CONTROLLER,
    Block.CHANNEL: Rule.CHANNEL_OUT,
    Block.UNKNOWN: Rule.UNKNOWN_STATUS,
}
_IDLE = {Block.UNREACHABLE: Rule.UNREACHABLE, Block.PENDING: Rule.PENDING}


def permanent_block(topic: Topic, cell: Cell, target: Side) -> Nothing | Held | None:
    """What stops any opt-in at `target`, however good its evidence; None where nothing does."""
    seen = cell.seen[target]
    if not seen.present:
        return Nothing(Rule.NOBODY_THERE)
    if not topic.direction.allows(target):
        return Nothing(Rule.ONE_WAY)
    if seen.other_address or cell.other_address:
        stated = cell.seen[target.other].stated
        return Held(Rule.OTHER_ADDRESS) if stated else Nothing(Rule.NOT_A_STATEMENT)
    if seen.block in _IDLE:
        return Nothing(_IDLE[seen.block])
    if seen.block in _HELD:
        return Held(_HELD[seen.block])
    if seen.records > 1:
        return Held(Rule.SEVERAL_RECORDS)
    return None


def raise_block(topic: Topic, cell: Cell, write: Raise | Adjustment, now: DecisionContext) -> Decision | None:
    """The decision in place of a raise that is blocked; None where it may go."""
    if stop := permanent_block(topic, cell, write.side):
        return stop
    if cell.seen[write.side].undated:  # a listing cannot tell silence from a refusal
        return Wait(Rule.NEEDS_DATE, (write.side,))
    if is_from_before(cell, write, now):
        if not is_approved(cell, write.side, now):
            return Held(Rule.FIRST_RUN, (write,))
    elif _in_opt_in_burst(cell, write, now) and not cell.is_released(Rule.BURST):
        return Held(Rule.BURST, (write,))
    if _keeps_flipping(cell, write, now) and not cell.is_released(Rule.FLIPPING):
        return Held(Rule.FLIPPING, (write,))
    moved = cell.agreed if cell.is_carried_over else None
    late = moved is not None and write.evidence.changed_at <= moved.decided_at + now.clocks.skew
    if late and not cell.is_released(Rule.ADDRESS_CHANGED):
        return Held(Rule.ADDRESS_CHANGED, (write,))
    if _needs_operator(topic, write):
        return None if cell.is_released(Rule.RESUBSCRIBE) else Held(Rule.RESUBSCRIBE, (write,))
    unknown = _may_have_been_asked(write, now) or _may_rest_on_ours(cell, write, now)
    if unknown and not cell.is_released(Rule.RESTORED):
        return Held(Rule.RESTORED, (write,))
    return None


def _may_have_been_asked(write: Raise | Adjustment, now: DecisionContext) -> bool:
    """Whether the person may have been sent a confirmation mail about this opt-in, in the time that a
    restored state DB knows nothing about. Nobody is asked twice."""
    if now.lost is None or not isinstance(write, Raise) or write.how is not Resubscribe.CHALLENGE:
        return False
    return write.evidence.changed_at <= now.lost.until


def _may_rest_on_ours(cell: Cell, write: Raise | Adjustment, now: DecisionContext) -> bool:
    """Whether an opt-in against an opt-out may be one that we wrote, in the time that a restored state DB
    knows nothing about, and that its side dated by its own clock: nobody may have said it."""
    said = write.evidence.changed_at
    if now.lost is None or write.evidence.side not in OWN_DATES:
        return False
    in_time = now.lost.since - now.clocks.skew < said <= now.lost.until + _LANDS_WITHIN
    return in_time and (cell.agreed_out or cell.seen[write.side].opted_out)


def may_have_been_settled(cell: Cell, in_side: Side, now: DecisionContext) -> bool:
    """Whether an opt-in is newer than the opt-out at the other side, and from the time that a restored state
    DB knows nothing about: that opt-out may have been carried before the person opted in again."""
    said, out = cell.dated(in_side), cell.dated(in_side.other)
    if now.lost is None or said is None or out is None or not now.lost.holds(said):
        return False
    return cell.seen[in_side].stated and said > out + now.clocks.skew


def is_from_before(cell: Cell, write: Raise | Adjustment, now: DecisionContext) -> bool:
    """Whether an opt-in was said before the bridge and nothing was agreed since, or before its topic was
    mapped as it is."""
    said, mapped = write.evidence.changed_at, now.epochs.get(cell.topic)
    if mapped is not None and said <= mapped:
        return True
    return cell.agreed is None and now.epoch is not None and said <= now.epoch


def _in_opt_in_burst(cell: Cell, write: Raise | Adjustment, now: DecisionContext) -> bool:
    """Whether many people were opted in at that moment: mass is evidence against an opt-in."""
    hold = cell.hold
    if hold is not None and hold.reason == Rule.BURST:
        return True
    return moment(write.evidence.side, write.evidence.changed_at) in now.opt_in_bursts


def _keeps_flipping(cell: Cell, write: Raise | Adjustment, now: DecisionContext) -> bool:
    """Whether the topic keeps being opted in after opt-outs: a program does that, not a person."""
    hold = cell.hold
    if hold is not None and hold.reason == Rule.FLIPPING:
        return True
    undoes = isinstance(write, Raise) and (cell.agreed_out or cell.seen[write.side].opted_out)
    recent = [at for at in cell.raised_at if now.clocks.now - at <= FLIPS_WITHIN]
    return undoes and len(recent) >= FLIPS_MAX


def block_erased(cell: Cell, decision: Decision, now: DecisionContext) -> Decision:
    """The decision in place of one about a person who was erased: no opt-in from before raises them, nor is
    an operator asked about it. Withdrawals still apply."""
    floor = cell.erased_at
    if floor is not None and isinstance(decision, Agree) and decision.agreement.choice is Choice.OPTED_IN:
        return Nothing(Rule.ERASED) if _shows_a_batch_only(cell, floor, now) else decision
    if floor is None or not isinstance(decision, Act | Held):
        return decision
    writes = decision.writes if isinstance(decision, Act) else decision.proposed
    dates = [write.evidence.changed_at for write in writes if not isinstance(write, Withdrawal)]
    late = any(date <= floor + now.clocks.skew for date in dates)
    return Nothing(Rule.ERASED) if late else decision


def may_be_a_batch(cell: Cell, side: Side) -> bool:
    """Whether an opt-in of an erased person may be that of a batch. Where a side dates every row by its own
    clock, only an agreement on a later statement at the other side shows that the person is back."""
    erased, agreed = cell.erased_at, cell.agreed
    if erased is None or side not in OWN_DATES:
        return False
    return agreed is None or agreed.choice is not Choice.OPTED_IN or agreed.at <= erased


def _shows_a_batch_only(cell: Cell, floor: datetime, now: DecisionContext) -> bool:
    """Whether two opt-ins of an erased person may both come from batches. An agreement on them would make the
    next batch evidence."""
    said = cell.dated(Side.MYPREFERENCES)
    late = said is None or said <= floor + now.clocks.skew
    return late and may_be_a_batch(cell, Side.DOTDIGITAL)


def is_outdated(write: Raise | Adjustment, seen: Observation | None) -> bool:
    """Whether a read shows a dated withdrawal that is not older than the evidence of this opt-in."""
    if seen is None or not seen.opted_out or seen.changed_at is None:
        return False
    return seen.changed_at >= write.evidence.changed_at


def is_approved(cell: Cell, target: Side, now: DecisionContext) -> bool:
    """Whether an operator approved an opt-in from before the bridge: this one, or all not dismissed. An
    answer is about the side that was shown with it, where any was."""
    hold = cell.hold
    if hold is None or hold.reason != Rule.FIRST_RUN or hold.state is HoldState.OPEN:
        return now.raises_approved
    if hold.opts_in and target not in hold.opts_in:
        return now.raises_approved
    return hold.state is HoldState.RELEASED


def _needs_operator(topic: Topic, write: Raise | Adjustment) -> bool:
    to_channel = topic.is_channel and write.side is Side.DOTDIGITAL
    return to_channel and topic.resubscribe is Resubscribe.HOLD


def resubscribe_mode(topic: Topic, target: Side) -> Resubscribe | None:
    """How a person unsubscribed at Dotdigital is resubscribed. Releasing a hold asks the subscriber by mail:
    an operator alone makes nobody mailable."""
    if not topic.is_channel or target is not Side.DOTDIGITAL:
        return None
    return Resubscribe.CHALLENGE if topic.resubscribe is Resubscribe.HOLD else topic.resubscribe


def frequency_problem(topic: Topic, seen: Observation) -> Rule | None:
    """Why the chosen frequency cannot be sent."""
    if not topic.has_frequencies:
        return None
    if len(seen.frequencies) > 1:
        return Rule.SEVERAL_FREQUENCIES
    if not seen.frequencies or seen.frequencies[0] not in topic.preferences:
        return Rule.FREQUENCY_UNKNOWN
    return None
