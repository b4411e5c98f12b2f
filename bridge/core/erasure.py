"""Erasing a person: the marker that is left, what of a later read is news, and what a side does. Pure.

Nothing is kept of an erased person but a keyed hash of the address, and the opt-outs that each side still
showed then. An old opt-in that comes back, from whatever source, is ignored. An opt-out is news and is
processed; so is an opt-in at MyPreferences dated after the erasure, with which the person is known again. An
opt-in at Dotdigital brings nobody back: the service dates every row itself, also those of a batch. While the
key is missing nobody can tell a new person from an erased one: new people count as erased at that moment.
"""

from __future__ import annotations

import hashlib
import hmac
import unicodedata
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Protocol

from bridge.core.addresses import with_ascii_domain
from bridge.core.conflict import evidence_of
from bridge.core.errors import ConfigError
from bridge.core.model import (
    OWN_DATES,
    Cell,
    ClockReading,
    Observation,
    Side,
    TopicId,
    Who,
    address_key,
    newest,
)
from bridge.core.ports import PersonView
from bridge.core.writes import Evidence

KnownWithdrawals = Mapping[Side, Mapping[TopicId, datetime | None]]

_ADDRESS = b"address, lower case:"
_WHICH = b"consent bridge: which key is this"


class ErasureKey:
    """The secret without which nobody can tell whose address a marker stands for. It is kept outside of the
    state DB: a stolen DB alone does not allow to test addresses."""

    def __init__(self, secret: str) -> None:
        self._secret = secret.encode()
        self.id = self._digest(_WHICH)[:16]

    def token(self, address: str) -> str:
        """The hash of an address, the same for every way to write it, and of no other address."""
        return self._digest(_ADDRESS + address_key(address).encode())

    def tokens(self, address: str) -> list[str]:
        """All hashes by which a marker may know an address, today's first."""
        return [self.token(address), *self.earlier_tokens(address)]

    def earlier_tokens(self, address: str) -> list[str]:
        """Those of earlier versions. They are of the address with its domain in ASCII, or case folded,
        composed or not, and may mean one that only looks alike: it then counts as erased too."""
        key = address_key(address)
        keys = [one for one in (key, with_ascii_domain(key)) if one is not None]
        folded = (form.casefold() for one in keys for form in (one, unicodedata.normalize("NFD", one)))
        forms = dict.fromkeys((*keys, *folded))
        return [
            *(self._digest(_ADDRESS + one.encode()) for one in keys[1:]),
            *(self._digest(b"address:" + form.encode()) for form in forms),
        ]

    def derived(self, label: bytes) -> bytes:
        """A key for another purpose, by its label: none of them tells anything about another."""
        return hmac.digest(self._secret, b"derived key:" + label, "sha256")

    def _digest(self, text: bytes) -> str:
        return hmac.new(self._secret, text, hashlib.sha256).hexdigest()


@dataclass(frozen=True, slots=True)
class ErasureSettings:
    """How erased people are recognised. `key` None: they cannot be. `ahead` says how far the services' clocks
    are ahead of ours: they date what people say, and so an erasure is dated by the one furthest ahead."""

    key: ErasureKey | None = field(default=None, repr=False)
    skew: timedelta = timedelta(seconds=2)
    ahead: Callable[[], timedelta] = field(default=timedelta, repr=False)

    def latest(self, now: datetime) -> datetime:
        """The present moment: whatever was said before it is dated no later."""
        return now + self.ahead()

    def required(self) -> ErasureKey:
        """The key. Raises ConfigError without one."""
        if self.key is None:
            raise ConfigError(
                "Nobody can be erased without BRIDGE_ERASURE_KEY: it is needed to recognise erased people "
                "later.",
                hint="Make a long random key, e.g. with `openssl rand -hex 32`, set it as a secret, and keep "
                "it: no other key can read the markers.",
            )
        return self.key


@dataclass(frozen=True, slots=True)
class ErasureMarker:
    """What is left of an erased person: when they were erased, and the opt-outs that each side still showed
    then, with their dates: these are not news."""

    at: datetime
    known: KnownWithdrawals = field(default_factory=dict)
    finished: bool = True  # False: they are still being erased


class ErasedSignal(StrEnum):
    """What a side says about an erased person that is news."""

    NOTHING = "nothing"
    WITHDRAWAL = "withdrawal"
    OPT_IN = "opt_in"


def erased_signal(
    topics: Mapping[TopicId, Observation], side: Side, marker: ErasureMarker, clocks: ClockReading
) -> ErasedSignal:
    """What of these observations is news after the erasure."""
    if any(_opts_in(seen, side, marker, clocks) for seen in topics.values()):
        return ErasedSignal.OPT_IN
    if any(_withdraws(topic, seen, side, marker) for topic, seen in topics.items()):
        return ErasedSignal.WITHDRAWAL
    return ErasedSignal.NOTHING


def _opts_in(seen: Observation, side: Side, marker: ErasureMarker, clocks: ClockReading) -> bool:
    if side in OWN_DATES or not seen.opted_in or seen.other_address:
        return False
    return isinstance(evidence_of(side, seen, newer_than=marker.at, clocks=clocks), Evidence)


def _withdraws(topic: TopicId, seen: Observation, side: Side, marker: ErasureMarker) -> bool:
    """Under doubt it is one: without a date, and not known from before."""
    if not seen.opted_out:
        return False
    known = marker.known.get(side, {})
    if seen.changed_at is None:
        return topic not in known
    before = newest(marker.at, known.get(topic))
    return before is None or seen.changed_at > before


@dataclass(slots=True)
class ErasureFilter:
    """A page of views without the erased people about whom it tells nothing new. All else by address key."""

    views: Sequence[PersonView] = ()
    floors: dict[str, datetime] = field(default_factory=dict)  # erased then, and in the page all the same
    signals: dict[str, ErasedSignal] = field(default_factory=dict)  # known again, or free of their marker
    unvetted: Collection[str] = frozenset()  # new, and nobody can tell whether they were erased

    def add(
        self, views: Iterable[PersonView], side: Side, erased: KnownErasures, clocks: ClockReading
    ) -> None:
        """Take what a page may bring."""
        self.views = [*self.views, *(view for view in views if self._stays(view, side, erased, clocks))]

    def _stays(self, view: PersonView, side: Side, erased: KnownErasures, clocks: ClockReading) -> bool:
        key = address_key(view.address)
        marker = erased.markers.get(key)
        if marker is None:
            return True
        signal, known = erased_signal(view.topics, side, marker, clocks), key in erased.known
        if signal is ErasedSignal.OPT_IN and marker.finished:
            self.signals[key] = signal
        elif signal is not ErasedSignal.NOTHING and not known:
            self.signals.setdefault(key, signal)
        if not known and key not in self.signals:
            return False
        self.floors[key] = marker.at
        return True


@dataclass(frozen=True, slots=True)
class KnownErasures:
    """What the state DB holds of the people of a page, by address key: their markers, and which of them it
    knows as people."""

    markers: Mapping[str, ErasureMarker]
    known: Collection[str]


def is_silent(cells: Sequence[Cell], marker: ErasureMarker, clocks: ClockReading) -> bool:
    """Whether neither side says anything new about an erased person."""
    signals = (
        erased_signal(
            {cell.topic: cell.seen[side] for cell in cells if side in cell.seen}, side, marker, clocks
        )
        for side in Side
    )
    return all(one is ErasedSignal.NOTHING for one in signals)


# what a side does


@dataclass(frozen=True, slots=True)
class RecordFound:
    """A record that a side holds of a person: which, how it stands there, and what erasing does about it."""

    record: str
    state: str
    plan: str


@dataclass(frozen=True, slots=True)
class SideErasure:
    """What was done at a side, proven by reading back, and what an operator has to do there by hand. Text for
    people, without an address."""

    done: Sequence[str] = ()
    left: Sequence[str] = ()


class Eraser(Protocol):
    """One side, as far as erasing goes. It can be repeated after any failure: each step begins with a
    read."""

    def traces(self, who: Who) -> Sequence[RecordFound]:
        """The records of this person. Raises SideError."""
        ...

    def block(self, people: Sequence[Who]) -> None:
        """Keep these people from being mailed, in few calls, before each is erased. `erase` blocks those whom
        this misses. Raises SideError."""
        ...

    def erase(self, who: Who) -> SideErasure:
        """Keep the person from being mailed, then delete their records. Raises SideError where the outcome is
        unknown or a later attempt may succeed."""
        ...
