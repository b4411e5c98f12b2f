"""Mass and repetition, and topics that were mapped later: what is held although its evidence is good."""

from __future__ import annotations

from dataclasses import replace

from core_cells import ORDINARY, TOPIC, cell, day, no, silent, with_hold, yes
from golden_cases import BURST, CLEANED, WERE_IN, WERE_OUT, GoldenCase

from bridge.core.decision import Rule
from bridge.core.model import HoldState, Side

IMPORTED = replace(ORDINARY, opt_in_bursts=frozenset({(Side.MYPREFERENCES, day(20))}))
REMAPPED = replace(ORDINARY, epochs={TOPIC.id: day(25)})
BACK_IN = cell(yes(20), no(6), WERE_OUT)
FLIPPED = replace(BACK_IN, raised_at=(day(12), day(18)))


MASS: dict[str, GoldenCase] = {
    # bursts
    "A clean-up of a list is held, not delivered": (
        "hold burst (withdraw mypreferences)",
        TOPIC,
        CLEANED,
        BURST,
    ),
    "Released, it is delivered": (
        "withdraw mypreferences: withdrawal_follows",
        TOPIC,
        with_hold(CLEANED, Rule.BURST, HoldState.RELEASED),
        BURST,
    ),
    "It stays held when the burst is forgotten": (
        "hold burst (withdraw mypreferences)",
        TOPIC,
        with_hold(CLEANED, Rule.BURST, HoldState.OPEN),
    ),
    "Dismissed, it stays silent": (
        "nothing: dismissed",
        TOPIC,
        with_hold(CLEANED, Rule.BURST, HoldState.DISMISSED),
    ),
    "A burst never holds what Dotdigital is to be told": (
        "withdraw dotdigital: withdrawal_follows",
        TOPIC,
        cell(no(20), yes(6), WERE_IN),
        BURST,
    ),
    "An opt-in of a moment at which many were opted in is held": (
        "hold burst (raise dotdigital)",
        TOPIC,
        BACK_IN,
        IMPORTED,
    ),
    "Released, that opt-in is sent": (
        "raise dotdigital: newer_opt_in",
        TOPIC,
        with_hold(BACK_IN, Rule.BURST, HoldState.RELEASED),
        IMPORTED,
    ),
    "It is held too when the moment is forgotten": (
        "hold burst (raise dotdigital)",
        TOPIC,
        with_hold(BACK_IN, Rule.BURST, HoldState.OPEN),
    ),
    "Dismissed, that opt-in is not sent": (
        "nothing: dismissed",
        TOPIC,
        with_hold(BACK_IN, Rule.BURST, HoldState.DISMISSED),
        IMPORTED,
    ),
    "An opt-in of that moment at the other side is a choice like any": (
        "raise mypreferences: newer_opt_in",
        TOPIC,
        cell(no(5), yes(20), WERE_OUT),
        IMPORTED,
    ),
    "An approved opt-in from before the bridge is in no burst": (
        "raise dotdigital: newer_opt_in",
        TOPIC,
        cell(yes(20), silent()),
        replace(IMPORTED, epoch=day(35), raises_approved=True),
    ),
    # flips
    "A topic that was opted in twice and opted out again waits for an operator": (
        "hold flipping (raise dotdigital)",
        TOPIC,
        FLIPPED,
    ),
    "Released, it is opted in": (
        "raise dotdigital: newer_opt_in",
        TOPIC,
        with_hold(FLIPPED, Rule.FLIPPING, HoldState.RELEASED),
    ),
    "An opt-out of a flipping topic is delivered": (
        "withdraw dotdigital: withdrawal_follows",
        TOPIC,
        replace(cell(no(20), yes(6), WERE_IN), raised_at=(day(12), day(18))),
    ),
    "What was opted in long ago does not count as flipping": (
        "raise dotdigital: newer_opt_in",
        TOPIC,
        replace(BACK_IN, raised_at=(day(1), day(18))),
    ),
    # what a topic is mapped to
    "An opt-in from before its topic was mapped waits, whatever was agreed": (
        "hold first_run (raise dotdigital)",
        TOPIC,
        BACK_IN,
        REMAPPED,
    ),
    "One from after it is sent": (
        "raise dotdigital: newer_opt_in",
        TOPIC,
        cell(yes(26), no(6), WERE_OUT),
        REMAPPED,
    ),
    "Approved, the opt-in from before it is sent": (
        "raise dotdigital: newer_opt_in",
        TOPIC,
        BACK_IN,
        replace(REMAPPED, raises_approved=True),
    ),
    "An opt-out from before its topic was mapped is delivered": (
        "withdraw dotdigital: withdrawal_follows",
        TOPIC,
        cell(no(20), yes(6), WERE_IN),
        REMAPPED,
    ),
}
