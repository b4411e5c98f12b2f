"""Carrying one person's writes: note the attempt, call, read back, settle."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime

from bridge.core.errors import Refused, SideError, Verdict
from bridge.core.lanes import Lane, calls_for
from bridge.core.mapping import Mapping
from bridge.core.model import Raise, Resubscribe, RunId, Side, Who, Write
from bridge.core.ports import Outcome, PersonView
from bridge.core.proof import proves
from bridge.engine.attest import Attester
from bridge.engine.books import Books, Errand, Fate, Result, Sending
from bridge.engine.judge import Judged
from bridge.engine.parts import Eyes, Hands, Weather
from bridge.engine.report import Tally


class Weigher:
    """What an answer to a write comes to, once the person was read again: an answer alone proves nothing."""

    def __init__(self, eyes: Eyes, weather: Weather) -> None:
        self._eyes = eyes
        self._weather = weather

    def weigh(
        self,
        unit: Sequence[Write],
        answer: Outcome | SideError,
        read: Callable[[], PersonView],
        sent_at: datetime,
    ) -> Result:
        """`read` reads the person back, or raises SideError; `sent_at` is when the call had ended."""
        if isinstance(answer, SideError):
            return self._refusal(unit, answer, read, sent_at)
        self._weather.reached(unit[0].side)
        return self._read_back(unit, answer, read, sent_at)

    def _refusal(
        self,
        unit: Sequence[Write],
        error: SideError,
        read: Callable[[], PersonView],
        sent_at: datetime,
    ) -> Result:
        match error.verdict:
            case Verdict.DONE:
                return self._read_back(unit, Outcome.ALREADY_SO, read, sent_at)
            case Verdict.IN_DOUBT:
                found = self._read_back(unit, Outcome.ACCEPTED, read, sent_at)
                fate = found.fate if found.fate is Fate.PROVEN else Fate.UNPROVEN
                if found.view is None:  # a side in trouble must not get one write after the other in doubt
                    self._weather.missed(unit[0].side, error)
                return replace(found, fate=fate, error=error)
            case Verdict.HOLD:
                return Result(Fate.REFUSED, error=error)
            case Verdict.MEND:
                self._weather.warn(f"{unit[0].side}: {error}")
                return Result(Fate.FAILED, error=error)
            case Verdict.RETRY | Verdict.STOP:
                self._weather.missed(Side(error.side), error)  # reading evidence calls the other side
                return Result(Fate.FAILED, error=error)

    def _read_back(
        self,
        unit: Sequence[Write],
        outcome: Outcome,
        read: Callable[[], PersonView],
        sent_at: datetime,
    ) -> Result:
        try:
            with calls_for(Lane.READ_BACKS):
                view = read()
        except SideError as error:
            return Result(Fate.UNPROVEN, error=error, sent_at=sent_at)
        fate = self._fate(unit, outcome, view)
        why = _unclear(unit[0].side) if fate is Fate.REFUSED else None
        return Result(fate, view, why, sent_at)

    def _fate(self, unit: Sequence[Write], outcome: Outcome, view: PersonView) -> Fate:
        if outcome is Outcome.CHALLENGED:
            return Fate.CHALLENGED
        if all(shows(self._eyes.mapping, write, view) for write in unit):
            return Fate.PROVEN
        if outcome is Outcome.UNCLEAR:
            return Fate.CHALLENGED if _asks(unit) else Fate.REFUSED
        pending = any(seen.reason == "pending_update" for seen in view.topics.values())
        return Fate.UNPROVEN if pending else Fate.UNFOLLOWED


class Carrier:
    """Sends decided writes, one person's at a time."""

    def __init__(self, eyes: Eyes, hands: Hands, run: RunId, weather: Weather) -> None:
        self._eyes = eyes
        self._hands = hands
        self._weather = weather
        self._books = Books(eyes, run)
        self._weigher = Weigher(eyes, weather)
        self._attester = Attester(eyes, hands, weather)

    def carry(self, who: Who, judged: Sequence[Judged]) -> Tally:
        """Send all writes of these decisions, all of one person."""
        tally = Tally()
        errand = Errand.of(who, judged)
        for side in Side:
            writes = errand.writes(side)
            for unit in self._hands.replicas[side].units(writes) if writes else ():
                sending = errand.sending(unit)
                errand.take(sending, self._unit(sending, tally))
        self._books.agree([errand])
        return tally

    def _unit(self, sending: Sending, tally: Tally) -> Result:
        side = sending.side
        if side in self._weather.down:
            return Result(Fate.FAILED)
        [attempt] = self._books.begin(side, [sending])
        answer = self._send(sending)
        result = self._weigher.weigh(
            sending.unit,
            answer,
            lambda: self._eyes.readers[side].look(sending.who),
            self._eyes.clock(),
        )
        self._books.end(side, [(attempt, sending, result)])
        count(tally, sending, result)
        return result

    def _send(self, sending: Sending) -> Outcome | SideError:
        """What the side answered, or what kept the write from being sent."""
        if (stopped := self._attester.attest(sending)) is not None:
            return stopped
        try:
            return self._hands.replicas[sending.side].write(sending.who, sending.unit)
        except SideError as error:
            return error


def count(tally: Tally, sending: Sending, result: Result) -> None:
    """Count what was sent, and what did not go well."""
    if result.fate not in (Fate.FAILED, Fate.REFUSED):
        for write in sending.unit:
            tally.count(write)
    tally.failed += result.fate in (Fate.FAILED, Fate.UNFOLLOWED)


def _unclear(side: Side) -> SideError:
    """The error for a write whose answer said nothing, and which the side does not show."""
    return Refused(
        "The side neither followed the write nor said why.",
        side=side, operation="read back",
        hint="Look at this person there; `bridge holds release` tries once more.",
    )  # fmt: skip


def _asks(unit: Sequence[Write]) -> bool:
    """Whether this may have sent a confirmation mail: where nobody can know, it counts as sent."""
    return any(isinstance(write, Raise) and write.how is Resubscribe.CHALLENGE for write in unit)


def shows(mapping: Mapping, write: Write, view: PersonView) -> bool:
    """Whether a read proves a write."""
    topic, seen = mapping.topic(write.topic), view.topics.get(write.topic)
    return topic is not None and seen is not None and proves(topic, write, seen)
