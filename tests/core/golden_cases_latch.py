"""Golden cases of opt-outs that were seen and not agreed yet, and of what their sides show since."""

from __future__ import annotations

from dataclasses import replace

from core_cells import (
    ABSENT,
    DD,
    EMAIL,
    MAILABLE,
    MP,
    READ,
    TOPIC,
    blocked,
    cell,
    day,
    no,
    silent,
    with_hold,
    yes,
)
from golden_cases import ASKS, BY_MAIL, LATEST, TO_MP, WERE_IN, GoldenCase

from bridge.core.decision import Rule
from bridge.core.latch import hold_ground
from bridge.core.model import Block, Cell, Challenge, HoldState, Latch, Observation, Side


def latched(
    mine: Observation, theirs: Observation, side: Side, at: float | None = 20, **more: object
) -> Cell:
    """A cell that was agreed on as opted in, until `side` opted out."""
    latch = Latch(side, None if at is None else day(at), READ)
    return cell(mine, theirs, WERE_IN, latch=latch, **more)


def refused(one: Cell, **retry: object) -> Cell:
    return replace(with_hold(one, Rule.REFUSED, HoldState.OPEN, hold_ground(one)), **retry)  # type: ignore[arg-type]


def held(one: Cell, rule: Rule, state: HoldState = HoldState.OPEN) -> Cell:
    return with_hold(one, rule, state, hold_ground(one))


BOUNCED = latched(yes(5), blocked(Block.UNREACHABLE), DD)
REFUSED_BOUNCE = refused(BOUNCED)

LATCHED: dict[str, GoldenCase] = {
    "An unsubscribe is delivered although the address bounces since": (
        "withdraw mypreferences: withdrawal_follows",
        EMAIL,
        BOUNCED,
    ),
    "An opt-out of a topic is delivered although the contact was deleted since": (
        "withdraw mypreferences: withdrawal_follows",
        TOPIC,
        latched(yes(5), ABSENT, DD),
    ),
    "An opt-out is delivered although the profile shows nothing any more": (
        "withdraw dotdigital: withdrawal_follows",
        TOPIC,
        latched(silent(), yes(6), MP),
    ),
    "Being made mailable ends no unsubscribe that was seen": (
        "withdraw mypreferences: withdrawal_follows",
        EMAIL,
        latched(yes(5), MAILABLE, DD),
    ),
    "An opt-in without a date ends no opt-out that was seen": (
        "withdraw dotdigital: withdrawal_follows",
        TOPIC,
        latched(yes(), yes(6), MP),
    ),
    "An opt-in that a listing shows ends no opt-out that was seen": (
        "withdraw dotdigital: withdrawal_follows",
        TOPIC,
        latched(yes(undated=True), yes(6), MP),
    ),
    "An older opt-in ends no opt-out that was seen": (
        "withdraw dotdigital: withdrawal_follows",
        TOPIC,
        latched(yes(10), yes(6), MP),
    ),
    "A newer opt-in at the side of an opt-out ends it": (
        "agree opted_in: agreement",
        TOPIC,
        latched(yes(30), yes(6), MP),
    ),
    "A newer opt-in at the other side ends it once both sides are opted in": (
        "agree opted_in: agreement",
        EMAIL,
        latched(yes(30), MAILABLE, DD),
    ),
    "Nothing is newer than an opt-out without a date": (
        "withdraw dotdigital: withdrawal_follows",
        TOPIC,
        latched(yes(30), yes(6), MP, at=None),
    ),
    "A newer opt-in at the other side waits for the bounce to end, as before": (
        "nothing: unreachable",
        LATEST,
        latched(yes(30), blocked(Block.UNREACHABLE), DD),
    ),
    "Two new opposite choices are decided by the policy although the contact bounces": (
        "withdraw mypreferences: withdrawal_wins",
        TOPIC,
        latched(yes(30), blocked(Block.UNREACHABLE), DD),
    ),
    "Who confirms by mail is opted in although an unsubscribe was latched": (
        "agree opted_in: agreement",
        BY_MAIL,
        latched(yes(30), MAILABLE, DD, challenge=Challenge(day(30), day(31))),
    ),
    "An opt-out that reached the other side is agreed, whatever its own side shows": (
        "agree opted_out: agreement",
        EMAIL,
        latched(no(20), blocked(Block.UNREACHABLE), DD),
    ),
    "An opt-out that the direction forbids stays held when its profile is deleted": (
        "hold direction",
        TO_MP,
        latched(ABSENT, yes(6), MP),
    ),
    "An opt-out that was left to the operator stays so when the contact bounces": (
        "hold conflict (withdraw mypreferences)",
        ASKS,
        latched(yes(30), blocked(Block.UNREACHABLE), DD),
    ),
    "A held burst stays held when its contacts bounce": (
        "hold burst (withdraw mypreferences)",
        EMAIL,
        held(BOUNCED, Rule.BURST),
    ),
    "A dismissed opt-out stays dismissed when the contact bounces": (
        "nothing: dismissed",
        EMAIL,
        held(BOUNCED, Rule.BURST, HoldState.DISMISSED),
    ),
    "A refused opt-out waits for its next try": (
        "hold refused (withdraw mypreferences)",
        EMAIL,
        refused(BOUNCED, tries=2, retry_at=day(41)),
    ),
    "A refused opt-out is sent again when its time has come": (
        "withdraw mypreferences: withdrawal_follows",
        EMAIL,
        refused(BOUNCED, tries=2),
    ),
    "A refused opt-in is never sent again without an operator": (
        "hold refused (raise dotdigital)",
        LATEST,
        refused(cell(yes(30), silent()), tries=2),
    ),
}
