"""Short names that the golden cases use for topics, contexts, cells and decisions."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from core_cells import (
    EMAIL,
    NOW,
    ORDINARY,
    TOPIC,
    agreed,
    cell,
    day,
    no,
    silent,
    yes,
)

from bridge.core.decide import decide
from bridge.core.decision import Act, Agree, Decision, Held, Nothing, Wait
from bridge.core.guards import DecisionContext
from bridge.core.mapping import Conflict, Direction, Topic
from bridge.core.model import Block, Cell, Challenge, Choice
from bridge.core.writes import Adjustment, Raise, Resubscribe, Withdrawal, Write

Under = tuple[Cell, bool]  # the person's e-mail channel, and whether an unsubscribe there spreads
# What is decided, and about what.
GoldenCase = tuple[str, Topic, Cell] | tuple[str, Topic, Cell, DecisionContext | Under]

IN, OUT = Choice.OPTED_IN, Choice.OPTED_OUT
LATEST = replace(TOPIC, conflict=Conflict.LATEST)
MINE_WINS = replace(TOPIC, conflict=Conflict.MYPREFERENCES)
THEIRS_WINS = replace(TOPIC, conflict=Conflict.DOTDIGITAL)
ASKS = replace(TOPIC, conflict=Conflict.HOLD)
TO_DD = replace(TOPIC, direction=Direction.TO_DOTDIGITAL)
TO_MP = replace(TOPIC, direction=Direction.TO_MYPREFERENCES)
SILENTLY = replace(EMAIL, resubscribe=Resubscribe.SILENT)
BY_MAIL = replace(EMAIL, resubscribe=Resubscribe.CHALLENGE)
FIRST = replace(ORDINARY, epoch=day(35), first_run=True)
LATER_RUN = replace(ORDINARY, epoch=day(35))
APPROVED = replace(FIRST, raises_approved=True)
BURST = replace(ORDINARY, bursts=frozenset({day(20)}))
AHEAD = NOW + timedelta(days=2)


def told(write: Write) -> str:
    match write:
        case Withdrawal():
            return f"withdraw {write.side}"
        case Raise(how=None):
            return f"raise {write.side}" + (f" {write.frequency}" if write.frequency else "")
        case Raise():
            return f"raise {write.side} by {write.how}"
        case Adjustment():
            return f"adjust {write.side} {write.frequency}"


def said(decision: Decision) -> str:
    """A decision in few words: what it does, and by which rule."""
    match decision:
        case Act():
            return f"{' + '.join(map(told, decision.writes))}: {decision.rule}"
        case Agree():
            return f"agree {decision.agreement.choice}: {decision.rule}"
        case Held():
            proposed = " + ".join(map(told, decision.proposed))
            return f"hold {decision.rule}" + (f" ({proposed})" if proposed else "")
        case Nothing():
            return f"nothing: {decision.rule}"
        case Wait():
            return f"wait {decision.rule}: {' + '.join(decision.sides)}"


DAILY, WEEKLY = {"frequencies": ("DAILY",)}, {"frequencies": ("WEEKLY",)}
QUIET, BOTH_OUT = (yes(5), yes(6)), (no(5), no(6))
WERE_IN, WERE_OUT = agreed(IN, 6, *QUIET), agreed(OUT, 6, *BOTH_OUT)
OPPOSED = cell(yes(20), no(10))
OLD_YES, FRESH_YES = cell(yes(20), silent()), cell(yes(36), silent())
LISTED_YES = cell(silent(), yes(undated=True))
BACK = cell(yes(20), no(6), WERE_OUT, EMAIL)
ASKED = replace(BACK, challenge=Challenge(day(20), day(30)))
UNANSWERED = replace(BACK, challenge=Challenge(day(20), day(26)))
GONE, UNDATED_GONE = cell(silent(), no(20), topic=EMAIL), cell(silent(), no(), topic=EMAIL)
COMPLAINED = cell(silent(), no(20, block=Block.COMPLAINT), topic=EMAIL)
CLEANED = cell(yes(5), no(20), WERE_IN)


def under(channel: Cell) -> Under:
    return channel, True


def beside(channel: Cell) -> Under:
    return channel, False


def decided(case: GoldenCase) -> Decision:
    _, topic, one, *more = case
    now = next((item for item in more if isinstance(item, DecisionContext)), ORDINARY)
    channel, unsubscribe_withdraws_topics = next(
        (item for item in more if isinstance(item, tuple)), (None, False)
    )
    return decide(topic, replace(one, topic=topic.id), channel, unsubscribe_withdraws_topics, now)
