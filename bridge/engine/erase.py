"""Erasing a person: marked first, so that nothing raises them meanwhile, then at both sides, then here.

No step is noted: each side is read before anything is done there, so that the same command continues where
it stopped, for whatever reason.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime

from bridge.core.approval import NOBODY, Operator
from bridge.core.erasure import Eraser, RecordFound, SideErasure
from bridge.core.errors import SideError, Throttled
from bridge.core.model import Observation, PersonId, Side, TopicId, Who
from bridge.core.ports import read_person
from bridge.core.priority import Priority, with_priority
from bridge.core.store_port import StorePort
from bridge.core.store_values import Json
from bridge.engine.context import RunHealth, Services, require_same_account

ORDER = (Side.DOTDIGITAL, Side.MYPREFERENCES)  # the side that sends mail comes first
_UNKNOWN = PersonId(0)  # a person whom the state DB does not know


@dataclass(frozen=True, slots=True)
class ErasurePreview:
    """What is stored about a person, before anything is done. `others` are addresses that share or
    shared a record with this one. A side that could not be read is in `errors`."""

    here: bool
    others: Sequence[str] = ()
    traces: Mapping[Side, Sequence[RecordFound]] = field(default_factory=dict)
    errors: Mapping[Side, SideError] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ErasureResult:
    """What was done. `finished` False: repeating the command continues it."""

    finished: bool
    was_here: bool
    sides: Mapping[Side, SideErasure] = field(default_factory=dict)
    errors: Mapping[Side, SideError] = field(default_factory=dict)


def preview_local(state: StorePort, address: str) -> ErasurePreview:
    """What the state DB holds about a person."""
    who = state.people.find(address)
    others = () if who is None else tuple(one.address for one in state.people.related(who.person))
    return ErasurePreview(who is not None, others)


def erase_local(state: StorePort, address: str, author: Operator = NOBODY) -> ErasureResult:
    """Erase a person from the state DB alone. What both sides showed last is not news after that."""
    state.erasures.begin(address)
    who = state.people.find(address)
    cells = [] if who is None else state.cells.of(who.person)
    known = {
        side: _outs({cell.topic: cell.seen[side] for cell in cells if side in cell.seen}) for side in Side
    }
    report = {side.value: "left alone" for side in Side}
    was_here = state.erasures.finish(address, known, _signed(report, author))
    return ErasureResult(True, was_here)


class PersonEraser:
    """Erases people at both sides and in the state DB."""

    def __init__(
        self,
        services: Services,
        state: StorePort,
        erasers: Mapping[Side, Eraser],
        author: Operator = NOBODY,
    ) -> None:
        self._services, self._state, self._erasers, self._author = services, state, erasers, author

    def survey(self, address: str) -> ErasurePreview:
        """What is stored about a person. Changes nothing. Raises ConfigError where the state DB belongs to
        other accounts."""
        errors = self._down()
        traces: dict[Side, Sequence[RecordFound]] = {}
        who = self._who(address)
        for side in ORDER:
            if side not in errors:
                try:
                    traces[side] = self._erasers[side].traces(who)
                except SideError as error:
                    errors[side] = error
        here = preview_local(self._state, address)
        return ErasurePreview(here.here, here.others, traces, errors)

    def block(self, addresses: Sequence[str]) -> None:
        """Mark several people and block mail to them, before the first of them is erased. A side that fails
        is reported when they are erased."""
        down = self._down()
        for address in addresses:
            self._state.erasures.begin(address)
        with with_priority(Priority.WITHDRAWALS):
            for side in ORDER:
                if side not in down:
                    with suppress(SideError):  # each is then blocked alone, and the error is reported
                        self._erasers[side].block([self._who(address) for address in addresses])

    def forget(self, address: str) -> ErasureResult:
        """Erase a person. While one side fails the state DB's part waits, the other side's does not. Raises
        ConfigError as `survey` does, and without the key."""
        errors = self._down()
        self._state.erasures.begin(address)
        who = self._who(address)
        sides: dict[Side, SideErasure] = {}
        known: dict[Side, Mapping[TopicId, datetime | None]] = {}
        with with_priority(Priority.WITHDRAWALS):
            for side in ORDER:
                if side in errors:
                    continue
                try:
                    self._require_no_jobs(side)
                    sides[side] = self._erasers[side].erase(who)
                    known[side] = _outs(read_person(self._services.readers[side], who).topics)
                except SideError as error:
                    errors[side] = error
                self._services.heartbeat()
        was_here = who.person != _UNKNOWN
        if not errors:
            report = {side.value: _describe(sides[side]) for side in ORDER}
            self._state.erasures.finish(address, known, _signed(report, self._author))
        return ErasureResult(not errors, was_here, sides, errors)

    def _who(self, address: str) -> Who:
        return self._state.people.find(address) or Who(_UNKNOWN, address)

    def _down(self) -> dict[Side, SideError]:
        health = RunHealth()
        require_same_account(self._services.state, self._services.readers, health)
        return dict(health.down)

    def _require_no_jobs(self, side: Side) -> None:
        """An import that is still running could bring a deleted record back."""
        if self._services.readers[side].has_running_jobs():
            raise Throttled(
                "A bulk job of the bridge may still be running there: it could bring a deleted record back.",
                side=side, operation="forget", hint="Repeat `bridge forget` when it has ended.",
            )  # fmt: skip


def _signed(report: Json, author: Operator) -> Json:
    return {**report, "by": author.by, "note": author.note}


def _outs(topics: Mapping[TopicId, Observation]) -> dict[TopicId, datetime | None]:
    return {topic: seen.changed_at for topic, seen in topics.items() if seen.opted_out}


def _describe(erasure: SideErasure) -> str:
    if erasure.left:
        return "in part"
    return "erased" if erasure.done else "not there"
