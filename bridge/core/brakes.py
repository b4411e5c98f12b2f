"""Stop valves before mass change. A brake stops raises; a withdrawal is delivered unless the operator says
otherwise, because a lost opt-out is the worse harm.

Brakes count over a sliding window, from the writes that the state DB holds: one run, many, saved plans and
restarts share it. Mass at one moment is evidence against an opt-in, as it is against an unsubscribe.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from bridge.core.model import PersonId, Side, TopicId
from bridge.core.writes import Withdrawal, Write

Moment = tuple[Side, datetime]
"""The side at which something was said, and the minute."""

USUAL_MAX = 1000  # people: the most that a limit allows which the operator did not set
SMALLEST_MAX = 10
VANISHED_MAX = 100
BURSTS_KEPT = timedelta(days=90)
CHANGE_MAX, CHANGE_SHARE = 10, 0.05  # people whom a changed mapping may write without approval: see `is_mass`


@dataclass(frozen=True, slots=True)
class BrakeLimits:
    """How much may change within the window: a brake trips when both the count and the share are passed, and
    when the ceiling is. A limit of None follows from the number of people: see `usual_max`."""

    raises_max: int | None = None
    raises_share: float = 0.05
    raises_ceiling: int = 100_000
    withdrawals_max: int = 5000
    withdrawals_share: float = 0.20
    hold_withdrawals: bool = False
    burst_max: int | None = None
    """Statements within one minute that are a mass change and no single choices. None: 1000 unsubscribes;
    opt-ins as many as `usual_max` says."""
    window: timedelta = timedelta(hours=24)
    vanished_max: int | None = None
    """None: 100 people or definitions, fewer where few are known."""
    vanished_share: float = 0.05

    def raises_allowed(self, people: int) -> int:
        """How many people may be opted in within the window."""
        most = usual_max(people) if self.raises_max is None else self.raises_max
        return min(self.raises_ceiling, max(most, int(self.raises_share * people)))

    def withdrawals_expected(self, people: int) -> int:
        """How many people may be opted out within the window without an alert."""
        return max(self.withdrawals_max, int(self.withdrawals_share * people))

    def opt_in_burst(self, people: int) -> int:
        """How many opt-ins within one minute are still taken for single choices."""
        return usual_max(people) if self.burst_max is None else self.burst_max

    def vanished_expected(self, known: int) -> int:
        """How many of the people or definitions known at a side may be gone from it at once."""
        most = min(VANISHED_MAX, usual_max(known)) if self.vanished_max is None else self.vanished_max
        return max(most, int(self.vanished_share * known))

    @property
    def unsubscribe_burst(self) -> int:
        """How many unsubscribes within one minute are still taken for single choices."""
        return USUAL_MAX if self.burst_max is None else self.burst_max


def usual_max(people: int) -> int:
    """A fifth of the people known, but at least 10 and at most 1000: so a small account has limits too."""
    return min(USUAL_MAX, max(SMALLEST_MAX, people // 5))


def is_mass(people: int, known: int) -> bool:
    """Whether a change of the mapping would write so many people that an operator has to approve it."""
    return people > CHANGE_MAX and people > CHANGE_SHARE * known


def vanished_reason(side: Side, what: str, gone: int, known: int, limits: BrakeLimits) -> str | None:
    """Why nothing is concluded from so many being gone from a side at once; None where something is. It may
    be a wrong account, a permission that was lost, or a list that was cut."""
    allowed = limits.vanished_expected(known)
    if gone <= allowed:
        return None
    return (
        f"vanished: {gone} of {known} {what} are gone from {side}, more than the {allowed} allowed at once. "
        "Nothing is concluded from it. Check account and permissions with `bridge doctor`; if they are gone "
        "for good, say so: `bridge reconcile --full --approve-vanished`"
    )


@dataclass(frozen=True, slots=True)
class RunVolume:
    """What was changed within the window and what a run would add, in people, beside the number known."""

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


NO_BRAKE = BrakeResult()


def check_brakes(load: RunVolume, limits: BrakeLimits) -> BrakeResult:
    """Decide which brakes a volume trips."""
    allowed, expected = limits.raises_allowed(load.people), limits.withdrawals_expected(load.people)
    raises, withdrawals = load.raises > allowed, load.withdrawals > expected
    within = f"within {limits.window // timedelta(hours=1)} hours"
    reasons: list[str] = []
    alerts: list[str] = []
    if raises:
        reasons.append(
            f"raises: {load.raises} of {load.people} people would be opted in {within}, more than the "
            f"{allowed} allowed; no opt-in is sent"
        )
    if withdrawals:
        text = (
            f"withdrawals: {load.withdrawals} of {load.people} people would be opted out {within}, more than "
            f"the {expected} expected"
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


# counting


@dataclass(frozen=True, slots=True)
class WindowUse:
    """The writes that were begun within the window, proven or not: any of them may have been applied.

    `raised` are the people opted in, `said` those of them by the moment of the opt-in they were raised on,
    `withdrawn` how many people were opted out."""

    raised: frozenset[PersonId] = frozenset()
    said: Mapping[Moment, frozenset[PersonId]] = field(default_factory=dict)
    withdrawn: int = 0


@dataclass(slots=True)
class Tally:
    """Whom a run would write, counted as it decides."""

    raised: set[PersonId] = field(default_factory=set)
    withdrawn: set[PersonId] = field(default_factory=set)
    said: dict[Moment, set[PersonId]] = field(default_factory=dict)  # as in `WindowUse`
    remapped: set[PersonId] = field(default_factory=set)  # whom a changed mapping writes
    changes: Counter[tuple[TopicId, Side, bool]] = field(default_factory=Counter)
    """How many people it opts out (True) or in, by topic and side."""

    def add(self, person: PersonId, write: Write, *, single: bool, remapped: bool) -> None:
        """Count a write. `single`: its opt-in says when a person chose, so that many of them at one moment
        mean something. `remapped`: what its topic is mapped to has changed."""
        out = isinstance(write, Withdrawal)
        (self.withdrawn if out else self.raised).add(person)
        if not isinstance(write, Withdrawal) and single:
            self.said.setdefault(moment(write.evidence.side, write.evidence.changed_at), set()).add(person)
        if remapped:
            self.remapped.add(person)
            self.changes[write.topic, write.side, out] += 1

    def volume(self, use: WindowUse, people: int) -> RunVolume:
        """With what was written within the window. A run that adds nothing trips no brake. A person whom an
        earlier run could not opt out counts twice."""
        raises = len(use.raised | self.raised) if self.raised else 0
        withdrawals = use.withdrawn + len(self.withdrawn) if self.withdrawn else 0
        return RunVolume(raises, withdrawals, people)

    def opt_in_bursts(self, use: WindowUse, most: int) -> frozenset[Moment]:
        """The moments of which more than `most` people's opt-ins would be raised, with those raised within
        the window."""
        return frozenset(
            at for at, people in self.said.items() if len(people | use.said.get(at, frozenset())) > most
        )


def minute_of(at: datetime) -> datetime:
    """The minute in which a date falls."""
    return at.replace(second=0, microsecond=0)


def moment(side: Side, at: datetime) -> Moment:
    """Side and minute of a statement."""
    return side, minute_of(at)


def burst_minutes(dates: Iterable[datetime], most: int) -> frozenset[datetime]:
    """The minutes in which more than `most` unsubscribes fall: a clean-up of the list, not many wishes.

    Source: Dotdigital global suppression check, which unsubscribes a group at one moment.
    """
    per_minute = Counter(map(minute_of, dates))
    return frozenset(minute for minute, count in per_minute.items() if count > most)


@dataclass(frozen=True, slots=True)
class Burst:
    """A minute in which many people were opted in, or else unsubscribed, at one side."""

    side: Side
    minute: datetime
    opts_in: bool
    found_at: datetime = field(compare=False)


def kept_bursts(bursts: Iterable[Burst], now: datetime) -> tuple[Burst, ...]:
    """Those that still hold what was said in them; each once, as it was found first."""
    return tuple(dict.fromkeys(one for one in bursts if now - one.found_at <= BURSTS_KEPT))
