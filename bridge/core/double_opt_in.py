"""Asking a person by mail to confirm an opt-in: once for each opt-in, and not for ever.

Dotdigital sends the mail (`Resubscribe contact`), silently drops repeated ones, and shows a click only
by the contact being mailable again, without a date.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from bridge.core.decision import Act, Agree, Decision, Held, Nothing, Rule, is_raise
from bridge.core.model import Cell, Challenge, ChallengeState, Choice, ClockReading, Side
from bridge.core.writes import Raise

CONFIRMATION_WAIT = timedelta(days=14)  # for a confirmation, unless the operator says otherwise
CHECK_INTERVAL_MIN, CHECK_INTERVAL_MAX = timedelta(minutes=15), timedelta(hours=12)


def was_asked(cell: Cell, clocks: ClockReading) -> bool:
    """Whether the person was asked about the opt-in that MyPreferences shows, or a later one. Nobody is asked
    twice about the same opt-in, whatever else changes meanwhile."""
    challenge, mine = cell.challenge, cell.seen.get(Side.MYPREFERENCES)
    if challenge is None or mine is None or not mine.opted_in or mine.changed_at is None:
        return False
    return mine.changed_at <= challenge.opt_in_at + clocks.skew


def apply_double_opt_in(cell: Cell, decision: Decision, clocks: ClockReading, wait: timedelta) -> Decision:
    """The decision in place of one that would resubscribe a person who was asked already: it waits for their
    confirmation or, after `wait`, for an operator. Every other decision stands."""
    challenge = cell.challenge
    if challenge is None or not (_brings_back(decision) and was_asked(cell, clocks)):
        return decision
    if clocks.now < challenge.sent_at + wait:
        return Nothing(Rule.CHALLENGE_PENDING)
    return Held(Rule.CHALLENGE_EXPIRED)


def _brings_back(decision: Decision) -> bool:
    """Whether it would opt the person in, or would after an approval or a pending confirmation."""
    if isinstance(decision, Held):
        return any(isinstance(write, Raise) for write in decision.proposed)
    return is_raise(decision) or decision == Nothing(Rule.PENDING)


def challenge_state_after(cell: Cell, challenge: Challenge, decision: Decision) -> ChallengeState:
    """The state of a confirmation mail once its cell was decided."""
    match decision:
        case Nothing(rule=Rule.CHALLENGE_PENDING):
            return ChallengeState.PENDING
        case Held(rule=Rule.CHALLENGE_EXPIRED):
            return ChallengeState.EXPIRED
        case Agree(agreement=agreement) if agreement.choice is Choice.OPTED_IN:
            return ChallengeState.CONFIRMED
        case _ if challenge.state is not ChallengeState.CONFIRMED and _is_over(cell, decision):
            return ChallengeState.ENDED
        case _:
            return challenge.state


def _is_over(cell: Cell, decision: Decision) -> bool:
    """Whether the opt-in that was asked about no longer stands."""
    mine = cell.seen.get(Side.MYPREFERENCES)
    withdraws = isinstance(decision, Act) and not is_raise(decision)
    return withdraws or (mine is not None and not mine.opted_in)


def next_check(sent_at: datetime, now: datetime, wait: timedelta) -> datetime | None:
    """When to check whether they have confirmed: often at first, then twice a day, the last time as the wait
    ends. None after that: the sweep finds a later confirmation."""
    end = sent_at + wait
    if now >= end:
        return None
    return min(end, now + min(CHECK_INTERVAL_MAX, max(CHECK_INTERVAL_MIN, (now - sent_at) / 2)))
