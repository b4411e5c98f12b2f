"""People who were erased: how they are known again, and what of them is still heard. Pure.

Nothing is kept of them but a keyed hash of their address, and what each side still said when they were gone.
An old opt-in that comes back, in whatever batch, is passed over. A withdrawal is news and goes on its way; so
is an opt-in dated later than the erasure, with which the person is there again.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from bridge.core.conflict import ClockReading, evidence_of, is_in, is_out, newest
from bridge.core.errors import ConfigError
from bridge.core.model import Evidence, Observation, Side, TopicId, address_key

KnownWithdrawals = Mapping[Side, Mapping[TopicId, datetime | None]]

_WHICH = b"consent bridge: which key is this"


class ErasureKey:
    """The secret without which nobody can tell whose address a mark stands for. It is kept outside of the
    state DB: a stolen DB alone does not even serve to try addresses out."""

    def __init__(self, secret: str) -> None:
        self._secret = secret.encode()
        self.id = self._digest(_WHICH)[:16]

    def token(self, address: str) -> str:
        """The mark of an address, however it is written."""
        return self._digest(b"address:" + address_key(address).encode())

    def _digest(self, text: bytes) -> str:
        return hmac.new(self._secret, text, hashlib.sha256).hexdigest()


@dataclass(frozen=True, slots=True)
class ErasureSettings:
    """How erased people are known again. `key` None: they cannot be."""

    key: ErasureKey | None = field(default=None, repr=False)
    skew: timedelta = timedelta(seconds=2)

    def required(self) -> ErasureKey:
        """The key. Raises ConfigError without one."""
        if self.key is None:
            raise ConfigError(
                "Nobody can be erased without BRIDGE_ERASURE_KEY: it makes the mark that keeps people from "
                "being made anew.",
                hint="Make a long random word, e.g. by `openssl rand -hex 32`, set it as a secret, and keep "
                "it: no other one can read the marks.",
            )
        return self.key


@dataclass(frozen=True, slots=True)
class ErasureMarker:
    """What is left of somebody: when they were erased, and the withdrawals that each side still showed then,
    with their dates: these are no news."""

    at: datetime
    known: KnownWithdrawals = field(default_factory=dict)
    finished: bool = True  # False: they are still being erased


class ErasedSignal(StrEnum):
    """What a side says of somebody erased that is news."""

    NOTHING = "nothing"
    WITHDRAWAL = "withdrawal"
    OPT_IN = "opt_in"


def erased_signal(
    topics: Mapping[TopicId, Observation], side: Side, mark: ErasureMarker, clocks: ClockReading
) -> ErasedSignal:
    """What of these words is news after the erasure."""
    if any(_opts_in(seen, side, mark, clocks) for seen in topics.values()):
        return ErasedSignal.OPT_IN
    if any(_withdraws(topic, seen, side, mark) for topic, seen in topics.items()):
        return ErasedSignal.WITHDRAWAL
    return ErasedSignal.NOTHING


def _opts_in(seen: Observation, side: Side, mark: ErasureMarker, clocks: ClockReading) -> bool:
    if not is_in(seen) or seen.elsewhere:
        return False
    return isinstance(evidence_of(side, seen, newer_than=mark.at, clocks=clocks), Evidence)


def _withdraws(topic: TopicId, seen: Observation, side: Side, mark: ErasureMarker) -> bool:
    """Under doubt it is one: without a date, and not known from before."""
    if not is_out(seen):
        return False
    known = mark.known.get(side, {})
    if seen.changed_at is None:
        return topic not in known
    before = newest(mark.at, known.get(topic))
    return before is None or seen.changed_at > before
