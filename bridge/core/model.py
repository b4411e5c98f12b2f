"""The values of the bridge: sides, choices, observations, agreements, cells, writes."""

from __future__ import annotations

import unicodedata
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from operator import attrgetter
from typing import NewType

from bridge.core.addresses import with_readable_domain
from bridge.core.own_writes import OwnWrite, is_doubtful, statement_date

PersonId = NewType("PersonId", int)
TopicId = NewType("TopicId", str)
RunId = NewType("RunId", str)


CHANNEL = TopicId("email")  # the e-mail channel as a whole
OTHER_ADDRESS = "other_address"  # the reason of an observation that is of another address
OTHER_VERSION = "other_version"  # the reason of no choice: the consent is granted in a version not mapped
PENDING_UPDATE = "pending_update"  # the reason of an observation that is not final
CARRIED_OVER = "address_changed"  # the rule of an agreement that came along with a change of address
FUTURE_TOLERANCE = timedelta(minutes=15)  # how far ahead of ours another clock may be


class Side(StrEnum):
    """One of the two systems that are kept in agreement."""

    MYPREFERENCES = "mypreferences"
    DOTDIGITAL = "dotdigital"

    @property
    def other(self) -> Side:
        return Side.DOTDIGITAL if self is Side.MYPREFERENCES else Side.MYPREFERENCES


OWN_DATES = frozenset({Side.DOTDIGITAL})
"""Sides that date what is written to them by their own clock. MyPreferences keeps the date it is sent."""


class Choice(StrEnum):
    """What a person wants of one topic. `UNSET`: no choice is recorded, neither in nor out."""

    OPTED_IN = "opted_in"
    OPTED_OUT = "opted_out"
    UNSET = "unset"


class Block(StrEnum):
    """Why a side would not mail a person whatever they chose; never the person's own choice."""

    COMPLAINT = "complaint"  # the person complained: only an operator lifts it
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
    stated: bool = True  # False: a state of the system, not a statement
    undated: bool = False  # True: read from a listing without dates that a read of the person would give
    consistent: bool = True  # False: several records share the address and do not all say this
    records: int = 1  # how many records share the address
    block: Block | None = None
    reason: str | None = None  # the vendor's own word behind `block` or `choice`

    @property
    def opted_in(self) -> bool:
        return self.choice is Choice.OPTED_IN

    @property
    def opted_out(self) -> bool:
        return self.choice is Choice.OPTED_OUT

    @property
    def pending(self) -> bool:
        """Whether the side has not finished processing a write: this proves nothing, and decides nothing."""
        return self.reason == PENDING_UPDATE

    @property
    def other_address(self) -> bool:
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

    @property
    def is_carried_over(self) -> bool:
        """Whether it came along with a change of address and neither side was asked yet: nothing said before
        `decided_at` may raise anybody by itself."""
        return self.rule == CARRIED_OVER and not self.versions


@dataclass(frozen=True, slots=True)
class ConsentRecord:
    """How a person consented, as the side at which they did holds it, for the other side to keep too. Whole
    or not at all: no part of it is ever made up."""

    topic: TopicId
    at: datetime
    text: str = field(repr=False)
    url: str = field(repr=False)
    ip: str = field(repr=False)
    agent: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Latch:
    """An opt-out that `side` showed and that is not agreed yet: it is delivered whatever that side shows
    since. `at` is when it was said (None: no date is known, so that no opt-in is newer), `seen_at` the read
    that showed it."""

    side: Side
    at: datetime | None
    seen_at: datetime


class HoldState(StrEnum):
    OPEN = "open"
    RELEASED = "released"
    DISMISSED = "dismissed"


@dataclass(frozen=True, slots=True)
class StandingHold:
    """A hold that exists for a cell: it applies as long as what it was opened for stands."""

    reason: str
    ground: str
    state: HoldState
    answered_at: datetime | None = field(default=None, compare=False)
    opts_in: frozenset[Side] = frozenset()  # where it proposes an opt-in, or to change a frequency

    def answered_since(self, began: datetime | None) -> bool:
        """Whether an operator answered it since that moment; not where that is unknown."""
        return began is not None and self.answered_at is not None and self.answered_at >= began


class ChallengeState(StrEnum):
    """The state of a confirmation mail."""

    PENDING = "pending"
    CONFIRMED = "confirmed"
    EXPIRED = "expired"  # not confirmed in time; a later confirmation still counts
    ENDED = "ended"  # the opt-in that was asked about no longer stands


@dataclass(frozen=True, slots=True)
class Challenge:
    """The confirmation mail that went, or may have gone, to a person last, and the opt-in it was about."""

    opt_in_at: datetime  # when that opt-in was said at MyPreferences
    sent_at: datetime
    state: ChallengeState = ChallengeState.PENDING


@dataclass(frozen=True, slots=True)
class ClockReading:
    """The time now, and how far apart two changes must be to be put in order. `ahead` is how far `now`, as
    the services date what is said, is ahead of the bridge's own time, by which it dates its reads."""

    now: datetime
    skew: timedelta
    ahead: timedelta = timedelta()

    def is_future(self, at: datetime) -> bool:
        """Whether a date is later than another clock's error can explain."""
        return at > self.now + FUTURE_TOLERANCE


def newest(*dates: datetime | None) -> datetime | None:
    """The newest of the known dates."""
    return max(filter(None, dates), default=None)


def withdrawn_at(dates: Iterable[datetime | None]) -> datetime | None:
    """The date of several opt-outs of one person: the newest, or None where any has none, as that one may be
    the newest."""
    known = list(dates)
    return None if None in known else newest(*known)


@dataclass(frozen=True, slots=True)
class Cell:
    """One person's choice about one topic: what each side shows, what was agreed, what is under way. The
    facts that follow from these are its methods."""

    person: PersonId
    topic: TopicId
    seen: Mapping[Side, Observation] = field(default_factory=dict)
    agreed: Agreement | None = None
    agreed_stored_at: datetime | None = None  # the bridge's own time, to order it by
    written_at: Mapping[Side, datetime] = field(default_factory=dict)  # bridge's time of our last write
    in_doubt_since: Mapping[Side, datetime] = field(default_factory=dict)  # a write with unknown outcome
    hold: StandingHold | None = None
    latch: Latch | None = None
    tries: int = 0  # opt-outs sent without effect since the last agreement, each of them held
    retry_at: datetime | None = None  # when the next one is sent; None: at once, where there are tries
    erased_at: datetime | None = None  # the person was erased then: nothing said before raises them
    challenge: Challenge | None = None  # only for the e-mail channel
    other_address: bool = False  # the contact names a profile that has other addresses only
    raised_at: tuple[datetime, ...] = ()  # when the bridge opted the person in, the oldest first
    own_writes: Mapping[Side, Sequence[OwnWrite]] = field(default_factory=dict)  # what we wrote there

    @property
    def versions(self) -> Mapping[Side, str]:
        """What each side shows, as tokens."""
        return {side: seen.version for side, seen in self.seen.items()}

    @property
    def ground(self) -> str:
        """A token of everything that a decision about this cell rests on."""
        versions = self.versions
        agreed = "-" if self.agreed is None else f"{self.agreed.choice}@{self.agreed.at.isoformat()}"
        latched = () if self.latch is None else (f"{self.latch.side}@{self.latch.at}",)
        return "|".join((*map(versions.get, Side, ("?", "?")), agreed, *latched))

    @property
    def agreed_out(self) -> bool:
        """Whether the last agreement was an opt-out."""
        return self.agreed is not None and self.agreed.choice is Choice.OPTED_OUT

    @property
    def is_carried_over(self) -> bool:
        """Whether the last agreement came along with a change of address: see `Agreement`."""
        return self.agreed is not None and self.agreed.is_carried_over

    def has_changed(self, side: Side) -> bool:
        """Whether a side shows anything but what it showed when the agreement was made.

        The same choice, dated no later than the agreement, is no change: a closer read has found a date. Nor
        is it dated no later than our last write there, if that was of this choice: it is that write's own
        trace, and nobody's newer statement.
        """
        agreed, seen = self.agreed, self.seen[side]
        if agreed is None:
            return True
        if agreed.versions.get(side) == seen.version:
            return False
        same = (seen.choice, seen.frequencies) == (agreed.choice, agreed.frequencies)
        known = newest(agreed.at, self.written_at.get(side) if self._last_write_was(seen, side) else None)
        return not (same and seen.changed_at is not None and known is not None and seen.changed_at <= known)

    def _last_write_was(self, seen: Observation, side: Side) -> bool:
        """Whether our last write there was of this choice. Where no write is known, no opt-out is ours."""
        last = max(self.own_writes.get(side, ()), key=attrgetter("begun_at"), default=None)
        return not seen.opted_out if last is None else last.withdraws is seen.opted_out

    def dated(self, side: Side) -> datetime | None:
        """The date of the statement that a side shows: of a row that we wrote, that of what was written."""
        at = self.seen[side].changed_at
        return None if at is None else statement_date(at, self._own(side))

    def is_ours(self, side: Side) -> bool:
        """Whether the row that a side shows was left by a write of ours: nobody said it there."""
        seen = self.seen[side]
        at, own = seen.changed_at, self.own_writes.get(side, ())
        same = [one for one in own if one.withdraws is seen.opted_out]
        if at is None:  # what has not changed since it was agreed is as we wrote it
            return bool(same) and self.agreed is not None and not self.has_changed(side)
        return any(one.shown_at == at or one.left(at) for one in same)

    def is_doubtful(self, side: Side) -> bool:
        """Whether an opt-out there may be the person's own, or a write of ours whose outcome is unknown."""
        at = self.seen[side].changed_at if self.seen[side].opted_out else None
        return at is not None and is_doubtful(at, self._own(side))

    def _own(self, side: Side) -> list[OwnWrite]:
        """Our writes there of the choice that the side shows, where it dates them itself."""
        own = self.own_writes.get(side, ()) if side in OWN_DATES else ()
        return [one for one in own if one.withdraws is self.seen[side].opted_out]

    def said_at(self, side: Side) -> datetime | None:
        """When the side's present statement was made: an unchanged one is at least as new as the agreement.

        It may be newer: what proved a write of ours may have been the person's own, later statement. A date
        that was in the future when it was agreed on does not count.
        """
        agreed, said = self.agreed, self.dated(side)
        if agreed is None or self.has_changed(side):
            return said
        known = said is not None and said <= agreed.decided_at + FUTURE_TOLERANCE
        return newest(agreed.at, said) if known else agreed.at

    def raise_floor(self, target: Side, clocks: ClockReading) -> datetime | None:
        """The newest withdrawal that an opt-in at `target` would have to be newer than; None where there is
        none. An undated one is as new as it can be: no opt-in is newer."""
        floor = self.agreed.at if self.agreed is not None and self.agreed_out else None
        if self.seen[target].opted_out:
            floor = newest(floor, self.said_at(target) or clocks.now + FUTURE_TOLERANCE)
        return floor

    def latest_statement(self, clocks: ClockReading) -> datetime:
        """The newest date among what both sides say: nothing at or before it may undo what is agreed now.

        An opt-in dated in the future does not count, and a withdrawal counts as said now, or no opt-in could
        ever undo it. A new withdrawal without a date may have been said at any time until it was read.
        """
        latest = None if self.agreed is None else self.agreed.at
        for side, seen in self.seen.items():
            if seen.choice is Choice.UNSET:
                continue
            date = self.dated(side)
            if seen.opted_out and self.said_at(side) is None:
                date = min(seen.read_at + clocks.ahead, clocks.now)
            if date is not None and clocks.is_future(date):
                date = clocks.now if seen.opted_out and self.has_changed(side) else None
            latest = newest(latest, date)
        return latest or clocks.now

    def withdrawn_at(self) -> datetime | None:
        """When the person said the withdrawal that stands: the newest date of the sides that are out, else
        that of an agreed opt-out; None where no date is known."""
        said = None
        for side, seen in self.seen.items():
            if seen.opted_out:
                said = newest(said, self.said_at(side))
        return self.agreed.at if said is None and self.agreed is not None and self.agreed_out else said

    def lacks_withdrawal(self, side: Side) -> bool:
        """Whether a side that is not opted in has yet to receive a withdrawal.

        One that is opted out is done once all its records are. A silent one receives it, unless its silence
        is an opt-out already (Dotdigital: a preference never asked for is not opted in), or it received it
        before and a block hides it.
        """
        seen = self.seen[side]
        if not seen.present or seen.opted_in:
            return False
        if seen.opted_out:
            return not seen.consistent
        if side is Side.MYPREFERENCES:
            return not (seen.other_address and self._is_superseded(side))
        told_before = self.agreed_out and not self.has_changed(side)
        return self.topic == CHANNEL and not (told_before and seen.block is not None)

    def _is_superseded(self, side: Side) -> bool:
        """Whether another address of the person was opted in there since this one was opted out: that is
        their newer statement about that address, and nothing is to be withdrawn."""
        agreed, opt_in = self.agreed, self.seen[side].changed_at
        out = self.seen[side.other].opted_out
        said = self.said_at(side.other) if out else None
        if opt_in is None or (out and said is None):
            return False
        if agreed is not None and self.agreed_out:
            said = newest(said, agreed.at)
        return said is not None and opt_in > said

    def ground_since(self, decided: Cell, written: Container[Side]) -> str:
        """The ground on which an agreement stands that was decided on an earlier state of this cell: as it is
        now, unless a side that was not written to shows something else since."""
        now, before = self.versions, decided.versions
        for side in Side:
            if side not in written and now.get(side) != before.get(side):
                return decided.ground
        return self.ground

    def is_settled(self, ground: str, began: datetime | None) -> bool:
        """Whether what was decided on `ground`, in a run that began then, settles this cell: its ground still
        stands, and nobody answered its hold meanwhile."""
        answered = self.hold is not None and self.hold.answered_since(began)
        return self.ground == ground and not answered

    def is_released(self, rule: str) -> bool:
        """Whether an operator released the hold that `rule` put on this cell."""
        hold = self.hold
        return hold is not None and hold.state is HoldState.RELEASED and hold.reason == rule


@dataclass(frozen=True, slots=True)
class Who:
    """Enough to address one person at either side. Never logged."""

    person: PersonId
    address: str = field(repr=False)
    ids: Mapping[Side, tuple[str, ...]] = field(default_factory=dict)


def address_key(address: str) -> str:
    """The form in which two addresses are compared: trimmed, lower case, composed (NFC), the domain as it is
    read. It is never coarser than what the sides compare: `ß` is not `ss`, and dots and plus tags stay."""
    return with_readable_domain(unicodedata.normalize("NFC", address.strip().lower()))


def mask(address: str) -> str:
    """An address as it may be shown: `a…@example.com`."""
    local, at, domain = address.strip().partition("@")
    return f"{local[:1]}…{at}{domain}"


def ids_out(who: Who) -> dict[str, list[str]]:
    """The record ids of a person by side, as JSON: a ProfileId, a contactId."""
    return {side.value: list(who.ids.get(side, ())) for side in Side}
