"""Evidence beside an opt-in: how the person consented is kept at the target before they are opted in there,
or in the same call.

The record never goes later: killed in between, the opt-in is sent again, and the record is found to be there.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

from bridge.core.errors import SideError, Verdict
from bridge.core.lanes import same_lane
from bridge.core.mapping import Mapping
from bridge.core.model import ConsentRecord, PersonId, Raise, Side, TopicId, Who, Write
from bridge.engine.books import Errand, Sending
from bridge.engine.look import batched
from bridge.engine.parts import Eyes, Hands, Weather

_AT_A_TIME = 100  # people

Gathered = dict[PersonId, Sequence[ConsentRecord]]
"""What is held of people's opt-ins; whose could not be read is left out."""


class Attester:
    """Hands consent records on for the topics whose mapping asks for it."""

    def __init__(self, eyes: Eyes, hands: Hands, weather: Weather) -> None:
        self._eyes = eyes
        self._hands = hands
        self._weather = weather

    def gather(self, side: Side, errands: Sequence[Errand]) -> Gathered:
        """What the other side holds of these people's opt-ins at `side`. It takes its time: whom they are
        about is to be confirmed after it. Whoever's could not be read is left out."""
        wanted = {
            errand.who.person: (errand.who, topics)
            for errand in errands
            if (topics := list(self._dates(errand.writes(side))))
        }
        found: Gathered = {errand.who.person: () for errand in errands if errand.who.person not in wanted}
        for some in batched(wanted.items(), _AT_A_TIME):
            if side.other in self._weather.down:
                break
            with ThreadPoolExecutor(self._eyes.tuning.workers) as pool:
                read = list(pool.map(same_lane(lambda one: self._read(side, *one)), [one for _, one in some]))
            for (person, _), held in zip(some, read, strict=True):
                if not isinstance(held, SideError):
                    found[person] = held
                elif held.verdict is Verdict.HOLD:
                    found[person] = ()
                    self._not_kept(held)
                else:
                    self._weather.missed(Side(held.side), held)
            self._eyes.heartbeat()
        return found

    def matching(self, unit: Sequence[Write], held: Sequence[ConsentRecord]) -> list[ConsentRecord]:
        """Those of the records that are about these very opt-ins."""
        dates = self._dates(unit)
        return [record for record in held if record.at == dates.get(record.topic)]

    def attest(self, sending: Sending) -> SideError | None:
        """Keep the records of this opt-in at its target. A record that is not taken keeps nobody from being
        opted in, and is told; None where the opt-in may go."""
        dates = self._dates(sending.unit)
        if not dates:
            return None
        try:
            held = self._eyes.readers[sending.side.other].evidence(sending.who, list(dates))
            if records := self.matching(sending.unit, held):
                self._hands.replicas[sending.side].attest(sending.who, records)
        except SideError as error:
            if error.verdict is not Verdict.HOLD:
                return error
            self._not_kept(error)
        return None

    def _read(self, side: Side, who: Who, topics: Sequence[TopicId]) -> Sequence[ConsentRecord] | SideError:
        try:
            return self._eyes.readers[side.other].evidence(who, topics)
        except SideError as error:
            return error

    def _not_kept(self, error: SideError) -> None:
        self._weather.warn(f"{error.side}: a consent record was not kept ({error})")

    def _dates(self, writes: Sequence[Write]) -> dict[TopicId, datetime]:
        """When the opt-ins were said that a record is to go with."""
        return {
            one.topic: one.evidence.changed_at
            for one in writes
            if isinstance(one, Raise) and wants_record(self._eyes.mapping, one)
        }


def wants_record(mapping: Mapping, write: Write) -> bool:
    """Whether a record of the consent is to go with this write."""
    if not isinstance(write, Raise) or write.side is not Side.DOTDIGITAL:
        return False
    topic = mapping.topic(write.topic)
    return topic is not None and topic.record is not None
