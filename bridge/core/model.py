"""The words of the bridge as values: sides, choices, observations, agreements, writes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import NewType

PersonId = NewType("PersonId", int)
TopicId = NewType("TopicId", str)
RunId = NewType("RunId", str)


OTHER_ADDRESS = "other_address"  # the reason of an observation that is of another address


class Side(StrEnum):
    """One of the two systems that are kept in agreement."""

    MYPREFERENCES = "mypreferences"
    DOTDIGITAL = "dotdigital"

    @property
    def other(self) -> Side:
        return Side.DOTDIGITAL if self is Side.MYPREFERENCES else Side.MYPREFERENCES


class Choice(StrEnum):
    """What a person wants of one topic. `UNSET` is silence: neither yes nor no."""

    OPTED_IN = "opted_in"
    OPTED_OUT = "opted_out"
    UNSET = "unset"


class Block(StrEnum):
    """Why a side would not mail somebody whatever they chose; never a choice of the person's own."""

    COMPLAINT = "complaint"  # the person complained: nobody but a person at the desk lifts it
    CONTROLLER = "controller"  # the account's owner suppressed the address
    UNREACHABLE = "unreachable"  # bounces, blocked or suppressed domains
    PENDING = "pending"  # a confirmation mail is out: neither in nor out
    CHANNEL = "channel"  # the e-mail channel as a whole is withdrawn
    UNKNOWN = "unknown"  # a status newer than this program


@dataclass(frozen=True, slots=True)
class Observation:
    """What one side showed of one person's topic, and when it was read.

    `changed_at` is the side's own time of the statement (None: it gives none), `read_at` the bridge's time
    at which the read began. `frequencies` holds the frequency ids in force where the topic has any.
    """

    choice: Choice
    read_at: datetime
    changed_at: datetime | None = None
    frequencies: tuple[str, ...] = ()
    present: bool = True  # False: the person is not known at that side
    stated: bool = True  # False: a mere state of the system, nobody's statement
    undated: bool = False  # True: read from a listing without dates that a closer look would give
    consistent: bool = True  # False: several records share the address and do not all say this
    records: int = 1  # how many records share the address
    block: Block | None = None
    reason: str | None = None  # the vendor's own word behind `block` or `choice`

    @property
    def elsewhere(self) -> bool:
        """Whether the side knows the person under other addresses only: no opt-in goes there. An opted-in
        choice there is not this address's; `changed_at` is then the date of the newest such choice."""
        return self.reason == OTHER_ADDRESS

    @property
    def unlisted(self) -> bool:
        """Whether the person is taken for absent by a listing alone, which may lack or hide people."""
        return self.undated and not self.present

    @property
    def version(self) -> str:
        """A token that differs whenever what the side says differs, whatever the time of reading."""
        when = "" if self.changed_at is None else self.changed_at.isoformat(timespec="milliseconds")
        flags = f"{int(self.present)}{int(self.consistent)}{int(self.records > 1)}"
        return "~".join((self.choice, when, ",".join(self.frequencies), self.block or "", flags))


@dataclass(frozen=True, slots=True)
class Agreement:
    """What was last agreed for one person's topic, with the version each side showed then."""

    choice: Choice
    at: datetime  # the newest date among the statements it rests on
    rule: str
    decided_at: datetime
    versions: Mapping[Side, str]
    frequencies: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ConsentRecord:
    """How somebody consented, as the side at which they did holds it, for the other side to keep too. Whole
    or not at all: no part of it is ever made up."""

    topic: TopicId
    at: datetime
    text: str = field(repr=False)
    url: str = field(repr=False)
    ip: str = field(repr=False)
    agent: str = field(repr=False)


class HoldState(StrEnum):
    OPEN = "open"
    RELEASED = "released"
    DISMISSED = "dismissed"


@dataclass(frozen=True, slots=True)
class StandingHold:
    """A hold that exists for a cell: it binds as long as the ground it was made on stands."""

    reason: str
    ground: str
    state: HoldState


class ChallengeState(StrEnum):
    """How the question stands whether somebody wants e-mail again."""

    PENDING = "pending"
    CONFIRMED = "confirmed"
    EXPIRED = "expired"  # nobody confirmed in time; a later confirmation still counts
    ENDED = "ended"  # the opt-in that was asked about stands no longer


@dataclass(frozen=True, slots=True)
class Challenge:
    """The confirmation mail that went, or may have gone, to a person last, and the opt-in it was about."""

    opt_in_at: datetime  # when that opt-in was said at MyPreferences
    sent_at: datetime
    state: ChallengeState = ChallengeState.PENDING


@dataclass(frozen=True, slots=True)
class Cell:
    """One person's topic: what each side shows, what was agreed, what is under way."""

    person: PersonId
    topic: TopicId
    seen: Mapping[Side, Observation] = field(default_factory=dict)
    agreed: Agreement | None = None
    written_at: Mapping[Side, datetime] = field(default_factory=dict)  # bridge's time of our last write
    in_doubt_since: Mapping[Side, datetime] = field(default_factory=dict)  # a write with unknown outcome
    hold: StandingHold | None = None
    erased_at: datetime | None = None  # the person was erased then: nothing said before raises them
    challenge: Challenge | None = None  # only for the e-mail channel
    elsewhere: bool = False  # the contact names a profile that has other addresses only

    @property
    def versions(self) -> Mapping[Side, str]:
        """What each side shows, as tokens."""
        return {side: seen.version for side, seen in self.seen.items()}

    @property
    def ground(self) -> str:
        """A token of all a decision about this cell rests on."""
        sides = (self.seen[side].version if side in self.seen else "?" for side in Side)
        agreed = "-" if self.agreed is None else f"{self.agreed.choice}@{self.agreed.at.isoformat()}"
        return "|".join((*sides, agreed))


@dataclass(frozen=True, slots=True)
class Who:
    """Enough to address one person at either side. Never logged."""

    person: PersonId
    address: str = field(repr=False)
    ids: Mapping[Side, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Evidence:
    """A dated statement by which consent may be raised. There is none without a date."""

    side: Side
    changed_at: datetime
    read_at: datetime
    version: str

    def __post_init__(self) -> None:
        if not isinstance(self.changed_at, datetime) or self.changed_at.tzinfo is None:
            raise TypeError("evidence needs a date with a time zone")


class Resubscribe(StrEnum):
    """What an opt-in may do for somebody unsubscribed at Dotdigital."""

    HOLD = "hold"
    CHALLENGE = "challenge"
    SILENT = "silent"


@dataclass(frozen=True, slots=True)
class Withdrawal:
    """Take consent back at `side`. `said_at` is the person's own time where known; `effective_at` the date to
    record there: late enough that what the side holds now does not outlive it."""

    side: Side
    topic: TopicId
    said_at: datetime | None
    effective_at: datetime


@dataclass(frozen=True, slots=True)
class Raise:
    """Give consent at `side`, on evidence."""

    side: Side
    topic: TopicId
    evidence: Evidence
    frequency: str | None = None
    how: Resubscribe | None = None  # only for the e-mail channel at Dotdigital

    def __post_init__(self) -> None:
        _demand_evidence(self.evidence, self.side)


@dataclass(frozen=True, slots=True)
class Adjustment:
    """Change the frequency of a consent that stands at both sides, on evidence."""

    side: Side
    topic: TopicId
    evidence: Evidence
    frequency: str

    def __post_init__(self) -> None:
        _demand_evidence(self.evidence, self.side)


Write = Withdrawal | Raise | Adjustment


def _demand_evidence(evidence: Evidence, side: Side) -> None:
    if not isinstance(evidence, Evidence):
        raise TypeError("a raise cannot be made without evidence")
    if evidence.side is side:
        raise ValueError("a side's own statement is no evidence against itself")


def address_key(address: str) -> str:
    """The form in which two addresses are compared: trimmed, case folded; dots and plus tags stay."""
    return address.strip().casefold()


def mask(address: str) -> str:
    """An address as it may be shown: `a…@example.com`."""
    local, at, domain = address.strip().partition("@")
    return f"{local[:1]}…{at}{domain}"
