"""Evidence beside an opt-in: how the person consented is kept at the target before they are opted in there,
or in the same call.

The record never goes later: killed in between, the opt-in is sent again, and the record is found to be there.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

from bridge.core.errors import SideError, Verdict
from bridge.core.mapping import Mapping
from bridge.core.model import ConsentRecord, PersonId, Raise, Side, TopicId, Who, Write
from bridge.core.ports import batched
from bridge.core.priority import keep_priority
from bridge.engine.attempts import PersonWrites, WriteBatch
from bridge.engine.context import RunHealth, Services, Writers

_AT_A_TIME = 100  # people

CollectedRecords = dict[PersonId, Sequence[ConsentRecord]]
"""What is held of people's opt-ins; whose could not be read is left out."""


class ConsentRecordCopier:
    """Hands consent records on for the topics whose mapping asks for it."""

    def __init__(self, services: Services, writers: Writers, health: RunHealth) -> None:
        self._services = services
        self._writers = writers
        self._health = health

    def gather(self, side: Side, work: Sequence[PersonWrites]) -> CollectedRecords:
        """What the other side holds of these people's opt-ins at `side`. It takes its time: whom they are
        about is to be confirmed after it. Whoever's could not be read is left out."""
        wanted = {
            person_writes.who.person: (person_writes.who, topics)
            for person_writes in work
            if (topics := list(self._dates(person_writes.writes(side))))
        }
        found: CollectedRecords = {
            person_writes.who.person: () for person_writes in work if person_writes.who.person not in wanted
        }
        for some in batched(wanted.items(), _AT_A_TIME):
            if side.other in self._health.down:
                break
            with ThreadPoolExecutor(self._services.tuning.workers) as pool:
                read = list(
                    pool.map(keep_priority(lambda one: self._read(side, *one)), [one for _, one in some])
                )
            for (person, _), held in zip(some, read, strict=True):
                if not isinstance(held, SideError):
                    found[person] = held
                elif held.verdict is Verdict.HOLD:
                    found[person] = ()
                    self._not_kept(held)
                else:
                    self._health.missed(Side(held.side), held)
            self._services.heartbeat()
        return found

    def matching(self, unit: Sequence[Write], held: Sequence[ConsentRecord]) -> list[ConsentRecord]:
        """Those of the records that are about these very opt-ins."""
        dates = self._dates(unit)
        return [record for record in held if record.at == dates.get(record.topic)]

    def records_for(self, batch: WriteBatch) -> Sequence[ConsentRecord] | SideError:
        """The records of this opt-in, or why it must not go yet. Records that cannot be had keep nobody from
        being opted in, and that is reported."""
        dates = self._dates(batch.unit)
        if not dates:
            return ()
        try:
            held = self._services.readers[batch.side.other].consent_records(batch.who, list(dates))
        except SideError as error:
            if error.verdict is not Verdict.HOLD:
                return error
            self._not_kept(error)
            return ()
        return self.matching(batch.unit, held)

    def _read(self, side: Side, who: Who, topics: Sequence[TopicId]) -> Sequence[ConsentRecord] | SideError:
        try:
            return self._services.readers[side.other].consent_records(who, topics)
        except SideError as error:
            return error

    def _not_kept(self, error: SideError) -> None:
        self._health.warn(f"{error.side}: a consent record was not kept ({error})")

    def _dates(self, writes: Sequence[Write]) -> dict[TopicId, datetime]:
        """When the opt-ins were said that a record is to go with."""
        return {
            one.topic: one.evidence.changed_at
            for one in writes
            if isinstance(one, Raise) and wants_record(self._services.mapping, one)
        }


def wants_record(mapping: Mapping, write: Write) -> bool:
    """Whether a record of the consent is to go with this write."""
    if not isinstance(write, Raise) or write.side is not Side.DOTDIGITAL:
        return False
    topic = mapping.topic(write.topic)
    return topic is not None and topic.record is not None
