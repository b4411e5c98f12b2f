"""Evidence beside an opt-in: how the person consented is kept at the target before they are opted in there.

The record goes first: killed in between, the opt-in is sent again, and the record is found to be there.
"""

from __future__ import annotations

from bridge.core.errors import SideError, Verdict
from bridge.core.mapping import Mapping
from bridge.core.model import ConsentRecord, Raise, Side, TopicId, Write
from bridge.engine.books import Errand, Sending
from bridge.engine.parts import Eyes, Hands, Weather


class Attester:
    """Hands consent records on for the topics whose mapping asks for it."""

    def __init__(self, eyes: Eyes, hands: Hands, weather: Weather) -> None:
        self._eyes = eyes
        self._hands = hands
        self._weather = weather

    def concerns(self, errand: Errand) -> bool:
        """Whether somebody's writes have a record to go with them: they go by themselves then."""
        mapping = self._eyes.mapping
        return any(wants_record(mapping, write) for side in errand.sides for write in errand.writes(side))

    def attest(self, sending: Sending) -> SideError | None:
        """Keep the records of this opt-in at its target. A record that is not taken keeps nobody from being
        opted in, and is told; None where the opt-in may go."""
        dates = {
            one.topic: one.evidence.changed_at
            for one in sending.unit
            if isinstance(one, Raise) and wants_record(self._eyes.mapping, one)
        }
        if not dates:
            return None
        try:
            records = self._held(sending, list(dates))
            matching = [record for record in records if record.at == dates[record.topic]]
            if matching:
                self._hands.replicas[sending.side].attest(sending.who, matching)
        except SideError as error:
            if error.verdict is not Verdict.HOLD:
                return error
            self._weather.warn(f"{error.side}: a consent record was not kept ({error})")
        return None

    def _held(self, sending: Sending, topics: list[TopicId]) -> list[ConsentRecord]:
        return list(self._eyes.readers[sending.side.other].evidence(sending.who, topics))


def wants_record(mapping: Mapping, write: Write) -> bool:
    """Whether a record of the consent is to go with this write."""
    if not isinstance(write, Raise) or write.side is not Side.DOTDIGITAL:
        return False
    topic = mapping.topic(write.topic)
    return topic is not None and topic.record is not None
