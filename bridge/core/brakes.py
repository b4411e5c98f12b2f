"""Stop valves before mass change. A brake stops raises; a withdrawal is delivered unless the operator says
otherwise, because a lost opt-out is the worse harm."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class BrakeLimits:
    """How much one run may change: a brake trips when both the count and the share are passed."""

    raises_max: int = 1000
    raises_share: float = 0.05
    withdrawals_max: int = 5000
    withdrawals_share: float = 0.20
    hold_withdrawals: bool = False
    burst_max: int = 1000  # unsubscribes within one minute that look like a list clean-up


@dataclass(frozen=True, slots=True)
class RunVolume:
    """What a run would change, counted in people, beside the number of people known."""

    raises: int
    withdrawals: int
    people: int


@dataclass(frozen=True, slots=True)
class BrakeResult:
    """Which brakes are on, and why, in words for a person."""

    raises: bool = False
    withdrawals: bool = False
    reasons: tuple[str, ...] = ()
    alerts: tuple[str, ...] = ()


def check_brakes(load: RunVolume, limits: BrakeLimits) -> BrakeResult:
    """Decide which brakes a run's load trips."""
    raises = _over(load.raises, load.people, limits.raises_max, limits.raises_share)
    withdrawals = _over(load.withdrawals, load.people, limits.withdrawals_max, limits.withdrawals_share)
    reasons: list[str] = []
    alerts: list[str] = []
    if raises:
        reasons.append(
            f"raises: {load.raises} of {load.people} people would be opted in, more than "
            f"{limits.raises_max} and more than {limits.raises_share:.0%}; no opt-in is sent"
        )
    if withdrawals:
        text = (
            f"withdrawals: {load.withdrawals} of {load.people} people would be opted out, more than "
            f"{limits.withdrawals_max} and more than {limits.withdrawals_share:.0%}"
        )
        if limits.hold_withdrawals:
            reasons.append(f"{text}; held, as BRIDGE_BRAKES__HOLD_WITHDRAWALS says")
        else:
            alerts.append(f"{text}; they are delivered all the same")
    return BrakeResult(
        raises=raises,
        withdrawals=withdrawals and limits.hold_withdrawals,
        reasons=tuple(reasons),
        alerts=tuple(alerts),
    )


def _over(count: int, people: int, most: int, share: float) -> bool:
    return count > most and count > share * max(people, 1)


def burst_minutes(dates: Iterable[datetime], most: int) -> frozenset[datetime]:
    """The minutes in which more than `most` unsubscribes fall: a clean-up of the list, not many wishes.

    Source: Dotdigital global suppression check, which unsubscribes a group at one moment.
    """
    per_minute = Counter(date.replace(second=0, microsecond=0) for date in dates)
    return frozenset(minute for minute, count in per_minute.items() if count > most)
