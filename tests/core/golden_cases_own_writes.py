"""What our own writes left at Dotdigital, which dates it by its own clock, beside what the person said."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from core_cells import DD, TOPIC, agreed, cell, day, no, yes
from golden_cases import IN, OUT, GoldenCase

from bridge.core.model import Side
from bridge.core.own_writes import OwnWrite

LANDED = day(15) + timedelta(hours=1)  # when what was begun on day 15 showed at Dotdigital
AT_ONCE = day(15) + timedelta(seconds=2)


def written(
    choice: object, said: float, shown: datetime | None, *, may_apply: bool
) -> Mapping[Side, tuple[OwnWrite, ...]]:
    """A write that was begun on day 15."""
    return {DD: (OwnWrite(choice is OUT, day(said), day(15), shown, may_apply),)}


YES_UNKNOWN = written(IN, 10, None, may_apply=True)
YES_PROVEN = written(IN, 10, LANDED, may_apply=False)
NO_PROVEN = written(OUT, 10, AT_ONCE, may_apply=False)
NO_PROVEN_LATE = written(OUT, 10, LANDED, may_apply=False)
NO_UNKNOWN = written(OUT, 10, None, may_apply=True)
SINCE = yes(12)  # said after what was written, and before that showed
AGREED_OUT = agreed(OUT, 5)

OWN_WRITES: dict[str, GoldenCase] = {
    "Our late opt-in is no newer than the opt-out that was said meanwhile": (
        "withdraw dotdigital: late_opt_in",
        TOPIC,
        cell(no(12), yes(LANDED), AGREED_OUT, own_writes=YES_UNKNOWN),
    ),
    "A proven opt-in of ours is no newer than the opt-out that was said meanwhile": (
        "withdraw dotdigital: late_opt_in",
        TOPIC,
        cell(no(12), yes(LANDED), AGREED_OUT, own_writes=YES_PROVEN),
    ),
    "An opt-in after our proven one is the person's own": (
        "raise mypreferences: newer_opt_in",
        TOPIC,
        cell(no(18), yes(20), agreed(OUT, 18), own_writes=YES_PROVEN),
    ),
    "An opt-in after one of ours that nobody saw arrive may be ours": (
        "withdraw dotdigital: late_opt_in",
        TOPIC,
        cell(no(18), yes(20), agreed(OUT, 18), own_writes=YES_UNKNOWN),
    ),
    "An opt-in said before our proven opt-out arrived is followed": (
        "raise dotdigital: newer_opt_in",
        TOPIC,
        cell(SINCE, no(AT_ONCE), agreed(OUT, 10, None, no(AT_ONCE)), own_writes=NO_PROVEN),
    ),
    "An opt-out that showed long after ours was begun may be the person's": (
        "hold own_write (raise dotdigital)",
        TOPIC,
        cell(SINCE, no(LANDED), agreed(OUT, 10, None, no(LANDED)), own_writes=NO_PROVEN_LATE),
    ),
    "An opt-out after our proven one is the person's own": (
        "withdraw mypreferences: late_opt_in",
        TOPIC,
        cell(SINCE, no(20), agreed(OUT, 10), own_writes=NO_PROVEN),
    ),
    "An opt-out that may be ours or the person's is left to an operator": (
        "hold own_write (raise dotdigital)",
        TOPIC,
        cell(SINCE, no(20), agreed(OUT, 10), own_writes=NO_UNKNOWN),
    ),
    "An opt-in older than what we wrote is late in any case": (
        "withdraw mypreferences: late_opt_in",
        TOPIC,
        cell(yes(9), no(20), agreed(OUT, 10), own_writes=NO_UNKNOWN),
    ),
}
