"""Carrying many people's writes to one side together: all attempts noted first, one job, one read back."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from bridge.core.errors import BadAnswer, SideError, Verdict
from bridge.core.lanes import Lane, calls_for
from bridge.core.model import RunId, Side, Who, address_key
from bridge.core.ports import Outcome, Parcel, PersonView
from bridge.engine.attest import Attester, Gathered
from bridge.engine.books import Books, Errand, Result, Sending
from bridge.engine.carry import Weigher, count
from bridge.engine.look import batched
from bridge.engine.parts import Eyes, Hands, Weather
from bridge.engine.report import Tally

Answer = Outcome | SideError


class Burst:
    """Sends decided writes of many people, all withdrawals or none. Killed at any moment, every attempt of
    the job is in doubt, and the next round reads back what came of it."""

    def __init__(self, eyes: Eyes, hands: Hands, run: RunId, weather: Weather) -> None:
        self._eyes = eyes
        self._hands = hands
        self._weather = weather
        self._books = Books(eyes, run)
        self._weigher = Weigher(eyes, weather)
        self._attester = Attester(eyes, hands, weather)

    def prefers(self, side: Side, errands: Sequence[Errand]) -> bool:
        """Whether `side` would rather have these together."""
        return self._hands.replicas[side].prefers_bulk(
            [Parcel(one.who, one.unit) for errand in errands for one in self._sendings(side, errand)]
        )

    def gather(self, side: Side, errands: Sequence[Errand]) -> Gathered:
        """What is to go with these people's opt-ins; whose could not be read is left out. Read before they
        are confirmed, since it may take long."""
        return self._attester.gather(side, errands)

    def carry(self, side: Side, errands: Sequence[Errand], evidence: Gathered | None = None) -> Tally:
        """Send everything these people's decisions have for `side`, with the evidence of their opt-ins."""
        tally = Tally()
        if side in self._weather.down:
            return tally
        planned = [(errand, one) for errand in errands for one in self._sendings(side, errand)]
        sendings = [one for _, one in planned]
        attempts = self._books.begin(side, sendings)
        answers = self._send(side, sendings, evidence or {})
        sent_at = self._eyes.clock()
        with calls_for(Lane.READ_BACKS):
            read = self._read_back(side, sendings, answers)
        rows = list(zip(planned, attempts, answers, strict=True))
        for number, batch in enumerate(batched(rows, self._eyes.tuning.page), 1):
            ended = []
            for (errand, one), attempt, answer in batch:
                result = self._weigher.weigh(one.unit, answer, _reading(read, one.who), sent_at)
                errand.take(one, result)
                ended.append((attempt, one, result))
                count(tally, one, result)
            self._end(side, ended)
            self._eyes.progress("settling a bulk job", number * self._eyes.tuning.page, len(rows))
        for some in batched(errands, self._eyes.tuning.page):
            self._books.agree(some)
            self._eyes.heartbeat()
        return tally

    def _sendings(self, side: Side, errand: Errand) -> list[Sending]:
        return [errand.sending(unit) for unit in self._hands.replicas[side].units(errand.writes(side))]

    def _end(self, side: Side, ended: Sequence[tuple[int, Sending, Result]]) -> None:
        self._books.end(side, ended)
        self._eyes.heartbeat()

    def _send(self, side: Side, sendings: Sequence[Sending], evidence: Gathered) -> Sequence[Answer]:
        parcels = [
            Parcel(one.who, one.unit, self._attester.matching(one.unit, evidence.get(one.who.person, ())))
            for one in sendings
        ]
        try:
            answers = self._hands.replicas[side].write_many(parcels, heartbeat=self._eyes.heartbeat)
        except SideError as error:  # nothing at all was sent
            return [error] * len(parcels)
        if unrecorded := answers.count(Outcome.UNRECORDED):
            self._weather.warn(f"{side}: consent records of {unrecorded} people were not kept")
        return answers

    def _read_back(
        self, side: Side, sendings: Sequence[Sending], answers: Sequence[Answer]
    ) -> dict[str, PersonView | SideError]:
        """What the side shows now of everybody whose write may have gone through."""
        people = {
            address_key(one.who.address): one.who
            for one, answer in zip(sendings, answers, strict=True)
            if not isinstance(answer, SideError) or answer.verdict in (Verdict.DONE, Verdict.IN_DOUBT)
        }
        missed = not_read(side)
        found: dict[str, PersonView | SideError] = {}
        try:
            for page in self._eyes.readers[side].look_many(list(people.values())) if people else ():
                found |= {address_key(view.address): view for view in page.views}
                self._eyes.heartbeat()
        except SideError as error:
            missed = error
        return {key: found.get(key, missed) for key in people}


def not_read(side: Side) -> SideError:
    """The error for somebody whom a read of many people left out."""
    return BadAnswer(
        "Somebody was not among those read back.",
        side=side, operation="read back", hint="They are read again in the next round.",
    )  # fmt: skip


def _reading(read: dict[str, PersonView | SideError], who: Who) -> Callable[[], PersonView]:
    """The read back of one person, as the weigher asks for it."""

    def look() -> PersonView:
        found = read[address_key(who.address)]
        if isinstance(found, SideError):
            raise found
        return found

    return look
