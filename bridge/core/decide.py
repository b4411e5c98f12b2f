"""The decision: from what each side shows and what was agreed, to what is to be done. Pure.

A cell is decided in four steps:
1. May it be decided now? Not while a write is in doubt, a side unread, or a read stale.
2. What does each side say? A latched opt-out stands. Under a withdrawn channel a topic is withdrawn too.
3. What should hold, and which writes lead there? The goal is in, out, or nothing; a raise needs evidence.
4. What forbids that? Erasure, a confirmation by mail that is awaited, a standing hold, an unread channel.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from bridge.core.conflict import (
    EvidenceProblem,
    PolicyResult,
    evidence_of,
    resolve_conflict,
    withdrawal_decision,
)
from bridge.core.decision import Act, Agree, Decision, Held, Nothing, Rule, Wait, is_raise, writes_of
from bridge.core.double_opt_in import apply_double_opt_in
from bridge.core.guards import (
    DecisionContext,
    block_erased,
    frequency_problem,
    is_approved,
    may_be_a_batch,
    may_have_been_settled,
    permanent_block,
    raise_block,
    resubscribe_mode,
)
from bridge.core.latch import hold_ground, under_latch
from bridge.core.mapping import OnDeletion, Topic
from bridge.core.model import (
    Agreement,
    Block,
    Cell,
    Choice,
    HoldState,
    Observation,
    Side,
    StandingHold,
    newest,
)
from bridge.core.writes import Adjustment, Evidence, Raise


def decide(
    topic: Topic, cell: Cell, channel: Cell | None, unsubscribe_withdraws_topics: bool, now: DecisionContext
) -> Decision:
    """Decide one cell.

    `channel` is the same person's e-mail channel; where `unsubscribe_withdraws_topics`, being unsubscribed
    there counts as a withdrawal of this topic at Dotdigital."""
    if waiting := _must_wait(topic, cell):  # 1
        return waiting
    cell = under_latch(_without_lapsed_hold(cell), now.clocks, now.epochs.get(cell.topic))
    under_channel = unsubscribe_withdraws_topics and not topic.is_channel
    shown = _under_channel(cell, channel) if under_channel else cell  # 2
    decision = _goal(topic, shown, now)  # 3
    decision = block_erased(shown, decision, now)  # 4
    decision = apply_double_opt_in(cell, decision, now.clocks, now.challenge_wait)
    decision = _apply_standing_hold(cell, decision)
    decision = _await_channel(channel, decision) if under_channel else decision
    return decision if topic.is_channel else _await_confirmation(channel, decision)


def _must_wait(topic: Topic, cell: Cell) -> Wait | None:
    """The first of the reasons of `_unsure` that applies to a side which the topic needs."""
    unsure: dict[Rule, list[Side]] = {}
    for side in Side:
        needed = side is Side.DOTDIGITAL or topic.source is not None
        if needed and (rule := _unsure(cell, side)):
            unsure.setdefault(rule, []).append(side)
    for rule in (Rule.IN_DOUBT, Rule.UNSEEN, Rule.STALE, Rule.UNPROVEN) if unsure else ():
        if rule in unsure:
            return Wait(rule, tuple(unsure[rule]))
    return None


def _unsure(cell: Cell, side: Side) -> Rule | None:
    """Why what is known of a side does not count yet; None where it does."""
    seen, doubt = cell.seen.get(side), cell.in_doubt_since.get(side)
    if doubt is not None and (seen is None or seen.read_at <= doubt):
        return Rule.IN_DOUBT
    if seen is None:
        return Rule.UNSEEN
    if side in cell.written_at and seen.read_at < cell.written_at[side]:
        return Rule.STALE
    return Rule.UNPROVEN if seen.pending else None


def _without_lapsed_hold(cell: Cell) -> Cell:
    """A hold applies while what it was opened for stands. The approval of an opt-in from before the bridge
    also outlasts the read that finds its date."""
    hold = cell.hold
    if hold is None or hold.reason == Rule.FIRST_RUN or hold.ground == hold_ground(cell):
        return cell
    return replace(cell, hold=None)


def _await_channel(channel: Cell | None, decision: Decision) -> Decision:
    """A raise waits until it is known whether the person is unsubscribed from the channel."""
    if not is_raise(decision):
        return decision
    unsure = Rule.UNSEEN if channel is None else _unsure(channel, Side.DOTDIGITAL)
    return Wait(unsure, (Side.DOTDIGITAL,)) if unsure else decision


def _await_confirmation(channel: Cell | None, decision: Decision) -> Decision:
    """No opt-in to a topic goes to a contact that has yet to confirm its sign-up: it would have no effect.
    It is decided again once the contact's status has changed."""
    seen = None if channel is None else channel.seen.get(Side.DOTDIGITAL)
    if seen is None or seen.block is not Block.PENDING or not is_raise(decision):
        return decision
    goes_there = any(write.side is Side.DOTDIGITAL for write in writes_of(decision))
    return Nothing(Rule.PENDING) if goes_there else decision


def _under_channel(cell: Cell, channel: Cell | None) -> Cell:
    """The cell as it stands under a withdrawn channel: at Dotdigital the topic is withdrawn too."""
    mailed = None if channel is None else channel.seen.get(Side.DOTDIGITAL)
    if channel is None or mailed is None or not mailed.opted_out:
        return cell
    seen = cell.seen[Side.DOTDIGITAL]
    dates = [one.dated(Side.DOTDIGITAL) for one in (channel, cell) if one.seen[Side.DOTDIGITAL].opted_out]
    out = replace(
        seen,
        choice=Choice.OPTED_OUT,
        read_at=max(mailed.read_at, seen.read_at),
        changed_at=None if None in dates else newest(*dates),
        frequencies=(),
        stated=True,
        undated=False,
        block=mailed.block or Block.CHANNEL,
        reason=mailed.reason,
    )
    return replace(cell, seen={**cell.seen, Side.DOTDIGITAL: out}, own_writes={})


def _goal(topic: Topic, cell: Cell, now: DecisionContext) -> Decision:
    if (
        topic.source is None
    ):  # a channel that MyPreferences does not hold: its withdrawals apply to the topics
        return Nothing(Rule.UNCHANGED)
    mine, theirs = cell.seen[Side.MYPREFERENCES], cell.seen[Side.DOTDIGITAL]
    if not (mine.present or theirs.present):
        return Nothing(Rule.NOBODY_THERE)
    match mine.choice, theirs.choice:
        case Choice.OPTED_IN, Choice.OPTED_IN:
            return _both_in(topic, cell, now)
        case Choice.OPTED_IN, Choice.OPTED_OUT:
            return _opposed(topic, cell, in_side=Side.MYPREFERENCES, now=now)
        case Choice.OPTED_OUT, Choice.OPTED_IN:
            return _opposed(topic, cell, in_side=Side.DOTDIGITAL, now=now)
        case Choice.OPTED_IN, Choice.UNSET:
            return _one_in(topic, cell, Side.MYPREFERENCES, now)
        case Choice.UNSET, Choice.OPTED_IN:
            return _one_in(topic, cell, Side.DOTDIGITAL, now)
        case Choice.UNSET, Choice.UNSET:
            return _both_silent(topic, cell, now)
        case _:
            return _out(topic, cell, now)


def _both_silent(topic: Topic, cell: Cell, now: DecisionContext) -> Decision:
    agreed = cell.agreed
    if cell.other_address and cell.seen[Side.DOTDIGITAL].undated:
        return Wait(
            Rule.NEEDS_DATE, (Side.DOTDIGITAL,)
        )  # an opt-out that a listing hides is the profile's too
    if agreed is None or agreed.choice is Choice.UNSET:
        return Nothing(Rule.SILENCE)
    if cell.is_carried_over and (targets := [side for side in Side if cell.lacks_withdrawal(side)]):
        return withdrawal_decision(topic, cell, targets, Rule.CARRIED, now)
    if cell.agreed_out:
        return Nothing(Rule.UNCHANGED)  # nobody is mailed, and the withdrawal stays agreed
    return _cleared(*Side, cell=cell)


def _cleared(*sides: Side, cell: Cell) -> Decision:
    """A choice that was there is recorded no longer: neither in nor out, so an operator decides. Where only a
    listing is silent the person is read first."""
    shallow = tuple(side for side in sides if cell.seen[side].undated)
    return Wait(Rule.NEEDS_DATE, shallow) if shallow else Held(Rule.CLEARED)


def _out(topic: Topic, cell: Cell, now: DecisionContext) -> Decision:
    """Every side that records a choice is opted out. A person whom only a listing left out is read first."""
    if left_out := tuple(side for side in Side if cell.seen[side].unlisted):
        return Wait(Rule.UNSEEN, left_out)
    targets = [side for side in Side if cell.lacks_withdrawal(side)]
    if not targets:
        rule = Rule.AGREEMENT if all(cell.seen[side].present for side in Side) else Rule.NOBODY_THERE
        return _agree(cell, Choice.OPTED_OUT, rule, now)
    one_sided = not all(cell.seen[side].opted_out for side in targets)
    return withdrawal_decision(
        topic, cell, targets, Rule.WITHDRAWAL_FOLLOWS if one_sided else Rule.SAME_ADDRESS, now
    )


def _both_in(topic: Topic, cell: Cell, now: DecisionContext) -> Decision:
    if undone := _both_resurrected(topic, cell, now):
        return undone
    mine, theirs = cell.seen[Side.MYPREFERENCES], cell.seen[Side.DOTDIGITAL]
    if not topic.has_frequencies or mine.frequencies == theirs.frequencies:
        return _agree(cell, Choice.OPTED_IN, Rule.AGREEMENT, now)
    return _frequency(topic, cell, now)


def _both_resurrected(topic: Topic, cell: Cell, now: DecisionContext) -> Decision | None:
    """Both sides are opted in after an agreed opt-out: one of them at least must carry newer evidence. What
    came along with a change of address is superseded only by what was said since."""
    agreed = cell.agreed
    if agreed is None or agreed.choice is not Choice.OPTED_OUT:
        return None
    floor = agreed.decided_at if agreed.is_carried_over else agreed.at
    found = {side: _evidence(cell, side, floor, now) for side in Side}
    if any(isinstance(one, Evidence) for one in found.values()):
        return None
    if undated := tuple(side for side, one in found.items() if one is EvidenceProblem.NEEDS_DATE):
        return Wait(Rule.NEEDS_DATE, undated)
    return withdrawal_decision(topic, cell, list(Side), Rule.LATE_OPT_IN, now)


def _frequency(topic: Topic, cell: Cell, now: DecisionContext) -> Decision:
    """Both sides are opted in at different frequencies: the newer dated one counts, else it is held."""
    if shallow := tuple(side for side in Side if cell.seen[side].undated):
        return Wait(Rule.NEEDS_DATE, shallow)
    source = _newer_side(cell)
    if source is None:
        return Held(Rule.FREQUENCY_UNDATED)
    floor = cell.said_at(source.other)
    found = _evidence(cell, source, floor, now)
    if not isinstance(found, Evidence):
        return Held(Rule.FREQUENCY_UNDATED)
    return _raise_on(topic, cell, found, now, Rule.NEWER_FREQUENCY)


def _newer_side(cell: Cell) -> Side | None:
    """The one side that changed since the agreement; where both or none did, the one dated later."""
    changed = [side for side in Side if cell.has_changed(side)]
    if cell.agreed is not None and len(changed) == 1:
        return changed[0]
    dated = [(at, side) for side in Side if (at := cell.dated(side)) is not None]
    return max(dated, default=(None, None), key=lambda pair: (pair[0], pair[1]))[1]


def _opposed(topic: Topic, cell: Cell, *, in_side: Side, now: DecisionContext) -> Decision:
    """One side is in, the other out. After an agreed opt-out the opt-in is the change; evidence decides."""
    in_new, out_new = cell.has_changed(in_side), cell.has_changed(in_side.other)
    withdrawn = cell.agreed_out
    if not cell.seen[in_side].stated or (cell.agreed is not None and out_new and not in_new):
        rule = Rule.UNDATED_OPT_IN if withdrawn else Rule.WITHDRAWAL_FOLLOWS
        return withdrawal_decision(topic, cell, [in_side], rule, now)
    both_new = not withdrawn and in_new == out_new
    if both_new or _before_the_change(cell, in_side, now):
        match resolve_conflict(topic.conflict, opted_in_at=in_side):
            case PolicyResult.HOLD:
                proposed = withdrawal_decision(topic, cell, [in_side], Rule.CONFLICT, now)
                if isinstance(proposed, Held) or cell.is_released(Rule.CONFLICT):
                    return proposed
                return Held(Rule.CONFLICT, writes_of(proposed))
            case PolicyResult.WITHDRAW:
                taken = withdrawal_decision(topic, cell, [in_side], Rule.WITHDRAWAL_WINS, now)
                if may_have_been_settled(cell, in_side, now) and not cell.is_released(Rule.RESTORED):
                    return Held(Rule.RESTORED, writes_of(taken))
                return taken
            case PolicyResult.RAISE:
                pass  # as far as the evidence goes
    return _raise(topic, cell, in_side, now)


def _before_the_change(cell: Cell, in_side: Side, now: DecisionContext) -> bool:
    """Whether an opt-in is from before the person came to this address: then both choices are new to it."""
    agreed, said = cell.agreed, cell.dated(in_side)
    if agreed is None or not agreed.is_carried_over:
        return False
    return said is None or said <= agreed.decided_at + now.clocks.skew


def _one_in(topic: Topic, cell: Cell, in_side: Side, now: DecisionContext) -> Decision:
    """One side is opted in, the other records nothing."""
    agreed, silent = cell.agreed, cell.seen[in_side.other]
    was_in = agreed is not None and agreed.choice is Choice.OPTED_IN
    if was_in and not silent.present and topic.on_deletion is OnDeletion.WITHDRAW:
        return _deleted(topic, cell, in_side, now)
    if was_in and silent.present and silent.block is None and not cell.has_changed(in_side):
        return _cleared(in_side.other, cell=cell)
    return _raise(topic, cell, in_side, now)


def _deleted(topic: Topic, cell: Cell, in_side: Side, now: DecisionContext) -> Decision:
    """The other side no longer knows the person: no opt-in from before that brings them back."""
    gone = cell.seen[in_side.other]
    if gone.unlisted:
        return Wait(Rule.UNSEEN, (in_side.other,))
    taken = withdrawal_decision(topic, cell, [in_side], Rule.DELETED, now)
    if isinstance(taken, Act):
        return replace(taken, at=max(taken.at, min(gone.read_at + now.clocks.ahead, now.clocks.now)))
    return taken


def _raise(topic: Topic, cell: Cell, source: Side, now: DecisionContext) -> Decision:
    """Send an opt-in to the other side, if it is evidence; where it is not, a withdrawal stands."""
    floor = cell.raise_floor(source.other, now.clocks)
    if floor is None and (stop := permanent_block(topic, cell, source.other)):
        return stop  # no call is spent on the date of an opt-in that has nowhere to go
    found = _evidence(cell, source, floor, now)
    match found:
        case Evidence():
            return _raise_on(topic, cell, found, now, Rule.NEWER_OPT_IN)
        case EvidenceProblem.NEEDS_DATE if (
            now.is_first_run(topic) and floor is None and not is_approved(cell, source.other, now)
        ):
            return Held(Rule.FIRST_RUN)  # it would be held whatever its date: no call is spent on finding it
        case EvidenceProblem.NEEDS_DATE:
            return Wait(Rule.NEEDS_DATE, (source,))
        case EvidenceProblem.LATE if cell.is_doubtful(source.other):
            return _under_doubt(topic, cell, source, now)
        case EvidenceProblem.ERASED if floor is None:
            return Nothing(Rule.ERASED)
        case EvidenceProblem.LATE | EvidenceProblem.ERASED:
            return withdrawal_decision(topic, cell, [source], Rule.LATE_OPT_IN, now)
        case _ if floor is not None:
            return withdrawal_decision(topic, cell, [source], Rule.UNDATED_OPT_IN, now)
        case EvidenceProblem.NOT_STATED:
            return Nothing(Rule.NOT_A_STATEMENT)
        case EvidenceProblem.FUTURE:
            return Held(Rule.FUTURE)
        case _:
            return Held(Rule.UNDATED)


def _under_doubt(topic: Topic, cell: Cell, source: Side, now: DecisionContext) -> Decision:
    """An opt-in older than the other side's opt-out, which may be our own, late write of an older one: it is
    neither sent nor taken back, unless it is too old in any case."""
    target, at = source.other, cell.seen[source.other].changed_at
    own = [one if at is None else one.taken_for(at) for one in cell.own_writes[target]]
    proposed = _raise(topic, replace(cell, own_writes={target: own}), source, now)
    withdraws = isinstance(proposed, Act) and not is_raise(proposed)
    if withdraws or cell.is_released(Rule.OWN_WRITE):
        return proposed
    return Held(Rule.OWN_WRITE, writes_of(proposed))


def _evidence(
    cell: Cell, side: Side, newer_than: datetime | None, now: DecisionContext
) -> Evidence | EvidenceProblem:
    if may_be_a_batch(cell, side):
        return EvidenceProblem.ERASED
    return evidence_of(
        side, cell.seen[side], newer_than=newer_than, clocks=now.clocks, dated=cell.dated(side)
    )


def _raise_on(topic: Topic, cell: Cell, evidence: Evidence, now: DecisionContext, rule: Rule) -> Decision:
    """Send an opt-in, or its frequency, on good evidence."""
    source, target = evidence.side, evidence.side.other
    seen = cell.seen[source]
    if trouble := frequency_problem(topic, seen):
        return Held(trouble)
    frequency = seen.frequencies[0] if topic.has_frequencies else None
    write: Raise | Adjustment
    if rule is Rule.NEWER_FREQUENCY and frequency is not None:
        write = Adjustment(target, topic.id, evidence, frequency)
    else:
        write = Raise(target, topic.id, evidence, frequency, resubscribe_mode(topic, target))
    if stop := raise_block(topic, cell, write, now):
        return stop
    return Act(rule, (write,), Choice.OPTED_IN, evidence.changed_at, cell.versions, _frequencies(topic, seen))


def _frequencies(topic: Topic, seen: Observation) -> tuple[str, ...]:
    return seen.frequencies if topic.has_frequencies else ()


def _agree(cell: Cell, choice: Choice, rule: Rule, now: DecisionContext) -> Decision:
    if choice is Choice.OPTED_IN and cell.in_doubt_since:  # an opt-out of ours may still be applied
        return Wait(Rule.IN_DOUBT, tuple(cell.in_doubt_since))
    frequencies = cell.seen[Side.MYPREFERENCES].frequencies if choice is Choice.OPTED_IN else ()
    agreed = cell.agreed
    if agreed is not None and agreed.choice is choice and agreed.versions == cell.versions and not cell.latch:
        return Nothing(Rule.UNCHANGED)
    at = cell.latest_statement(now.clocks)
    return Agree(rule, Agreement(choice, at, rule, now.clocks.now, cell.versions, frequencies))


def _apply_standing_hold(cell: Cell, decision: Decision) -> Decision:
    """What a standing hold makes of a decision: once dismissed it stays closed."""
    hold = cell.hold
    if hold is None:
        return decision
    if isinstance(decision, Held) and hold.reason == decision.rule and hold.state is HoldState.DISMISSED:
        return Nothing(Rule.DISMISSED)
    if hold.reason in (Rule.REFUSED, Rule.NOT_HONOURED, Rule.UNCONFIRMED) and isinstance(decision, Act):
        return _tried_before(hold, cell, decision)
    return decision


def _tried_before(hold: StandingHold, cell: Cell, act: Act) -> Decision:
    """The same write was tried in the same situation and did not help: an opt-out is sent again when its time
    has come, anything else by an operator only. That an opt-in did not help says nothing of an opt-out."""
    withdraws = not is_raise(act)
    if withdraws and hold.opts_in:
        return act
    match hold.state:
        case HoldState.OPEN if cell.tries and cell.retry_at is None and withdraws:
            return act
        case HoldState.OPEN:
            return Held(Rule(hold.reason), act.writes)
        case HoldState.DISMISSED:
            return Nothing(Rule.DISMISSED)
        case HoldState.RELEASED:
            return act
