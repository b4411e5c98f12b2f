"""What happens in a schedule, step by step: acts of people and operators, faults, runs. Each is a value that
can be left out of a schedule, and says in words what it does."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar

from bridge.core.model import Choice, Side, TopicId

K = TypeVar("K", bound=StrEnum)


class Dating(StrEnum):
    """Which date a choice carries."""

    NOW = "now"
    BEFORE_BRIDGE = "a month before"
    EARLIER = "backdated by an hour"
    SLIGHTLY_EARLIER = "backdated by a second"
    FUTURE = "a day in the future"
    EQUAL = "at the time of the other side's"
    UNDATED = "undated"


class ContactChange(StrEnum):
    """What happens to a record as a whole, or to the e-mail channel at Dotdigital other than by a choice."""

    COMPLAINS = "complains"
    BOUNCES = "bounces"
    SUPPRESSED = "is suppressed by the owner"
    RESUBSCRIBES = "resubscribes"
    DELETED = "is deleted"
    RESTORED = "is restored"


@dataclass(frozen=True, slots=True)
class Says:
    """A person makes a choice at one side; UNSET: the record of it is archived."""

    person: int
    side: Side
    topic: TopicId
    choice: Choice
    dating: Dating = Dating.NOW
    frequency: str = ""

    def __str__(self) -> str:
        words = {Choice.OPTED_IN: "opts in to", Choice.OPTED_OUT: "opts out of", Choice.UNSET: "archives"}
        often = f" {self.frequency}" if self.frequency else ""
        return f"person {self.person} {words[self.choice]} {self.topic}{often} at {self.side}, {self.dating}"


@dataclass(frozen=True, slots=True)
class Changes:
    """Something else happens to a person's record."""

    person: int
    side: Side
    what: ContactChange

    def __str__(self) -> str:
        return f"person {self.person} {self.what} at {self.side}"


@dataclass(frozen=True, slots=True)
class Passes:
    """Time passes."""

    seconds: int

    def __str__(self) -> str:
        return f"{self.seconds} s pass"


class Switch(StrEnum):
    """How a service behaves; the value of each is a number, 0 for as promised."""

    READ_LAG = "reads lag by seconds"
    FEED_LAG = "its feed lags by seconds"
    REPEATS = "its feed repeats rows"
    DISORDER = "its feed is in disorder"
    DROPS = "its feed drops new rows"
    HONOURS_OLDER = "it takes older dates"
    UNDATED_READS = "it reads many without dates"
    RESTAMPS = "it dates again what does not change"
    CLOCK = "its clock is ahead by seconds"


@dataclass(frozen=True, slots=True)
class Sets:
    """A service, or with `side` None the bridge's host, behaves in another way from now on."""

    side: Side | None
    switch: Switch
    value: int

    def __str__(self) -> str:
        return f"{self.side or 'the bridge'}: {self.switch}: {self.value}"


class Order(StrEnum):
    """What an operator does."""

    RELEASE = "releases all holds"
    DISMISS = "dismisses all holds"
    CHANGE_POLICY = "changes the conflict policy"
    APPLY_PLAN = "plans and applies the plan"


@dataclass(frozen=True, slots=True)
class Operates:
    """An operator acts."""

    order: Order
    number: int = 0  # which policy

    def __str__(self) -> str:
        return f"the operator {self.order}"


class FaultKind(StrEnum):
    """What happens at one boundary of a run."""

    DIES = "the process is killed"
    DIES_AFTER_WRITE = "the process is killed after a write was applied"
    UNREACHABLE = "no connection"
    THROTTLED = "throttled"
    SERVER_ERROR = "server error"
    INVALID = "an invalid answer"
    FORBIDDEN = "forbidden"
    REFUSED = "refused"
    LOST_BEFORE = "a write is lost before it is applied"
    LOST_AFTER = "the answer to a write is lost"
    LATE = "a write is applied later, and its answer is lost"
    CUT = "a feed ends half way"
    SLOW = "a call takes long"
    RIVAL = "another process tries to run"
    TAKEOVER = "the process stops for so long that another takes over"
    ACT = "a person acts"


WRITE_FAULTS = frozenset(
    {FaultKind.DIES_AFTER_WRITE, FaultKind.LOST_BEFORE, FaultKind.LOST_AFTER, FaultKind.LATE}
)
READ_FAULTS = frozenset({FaultKind.CUT})
STORE_FAULTS = frozenset({FaultKind.DIES, FaultKind.ACT})


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that happens at boundary `at` of a run, or at the first later one at which it can."""

    at: int
    kind: FaultKind
    act: Says | Changes | None = None

    def __str__(self) -> str:
        return f"at {self.at}: {self.act or self.kind}"


@dataclass(frozen=True, slots=True)
class Runs:
    """A run of the bridge, with what goes wrong in it."""

    polling: bool = True
    full: bool = False
    approve: bool = False
    faults: tuple[Fault, ...] = ()

    def __str__(self) -> str:
        kind = "a full run" if self.full else "a run"
        approving = " that approves opt-ins" if self.approve else ""
        return "; ".join((f"{kind}{approving}", *map(str, self.faults)))


Step = Says | Changes | Passes | Sets | Operates | Runs
