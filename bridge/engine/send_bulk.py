"""Carrying many people's writes to one side together: all attempts noted first, one job, one read back."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from bridge.core.errors import SideError, Verdict
from bridge.core.model import RunId, Side, Who, address_key
from bridge.core.ports import PersonView, WriteRequest, WriteResponse, batched, left_out
from bridge.core.priority import Priority, with_priority
from bridge.engine.attempts import AttemptLog, PersonWrites, VerifiedWrite, WriteBatch
from bridge.engine.consent_evidence import CollectedRecords, ConsentRecordCopier
from bridge.engine.context import RunHealth, Services, Writers
from bridge.engine.report import WriteCounts
from bridge.engine.send import OutcomeVerifier, count

Answer = WriteResponse | SideError


class BulkSender:
    """Sends decided writes of many people, all withdrawals or none. Killed at any moment, every attempt of
    the job is in doubt, and the next round reads back what came of it."""

    def __init__(self, services: Services, writers: Writers, run: RunId, health: RunHealth) -> None:
        self._services = services
        self._writers = writers
        self._health = health
        self._books = AttemptLog(services, run)
        self._weigher = OutcomeVerifier(services, health)
        self._attester = ConsentRecordCopier(services, writers, health)

    def prefers(self, side: Side, work: Sequence[PersonWrites]) -> bool:
        """Whether `side` takes these in fewer calls together than each alone."""
        reader = self._services.readers[side]
        people = [person_writes.writes(side) for person_writes in work]
        return reader.estimate_calls(people) < sum(reader.estimate_calls([one]) for one in people)

    def gather(self, side: Side, work: Sequence[PersonWrites]) -> CollectedRecords:
        """What is to go with these people's opt-ins; whose could not be read is left out. Read before they
        are confirmed, since it may take long."""
        return self._attester.gather(side, work)

    def carry(
        self, side: Side, work: Sequence[PersonWrites], evidence: CollectedRecords | None = None
    ) -> WriteCounts:
        """Send everything these people's decisions have for `side`, with the evidence of their opt-ins."""
        written = WriteCounts()
        if side in self._health.down:
            return written
        planned = [
            (person_writes, one) for person_writes in work for one in self._batches(side, person_writes)
        ]
        batches = [one for _, one in planned]
        attempts = self._books.begin(side, batches)
        answers = self._send(side, batches, evidence or {})
        sent_at = self._services.clock()
        with with_priority(Priority.READ_BACKS):
            read = self._read_back(side, batches, answers)
        rows = list(zip(planned, attempts, answers, strict=True))
        for number, batch in enumerate(batched(rows, self._services.tuning.page), 1):
            ended = []
            for (person_writes, one), attempt, answer in batch:
                result = self._weigher.weigh(one.unit, answer, _reading(read, one.who), sent_at)
                person_writes.take(one, result)
                ended.append((attempt, one, result))
                count(written, one, result)
            self._end(side, ended)
            self._services.progress("settling a bulk job", number * self._services.tuning.page, len(rows))
        for some in batched(work, self._services.tuning.page):
            self._books.agree(some)
            self._services.heartbeat()
        return written

    def _batches(self, side: Side, person_writes: PersonWrites) -> list[WriteBatch]:
        return [
            person_writes.batch(unit)
            for unit in self._writers.replicas[side].split(person_writes.writes(side))
        ]

    def _end(self, side: Side, ended: Sequence[tuple[int, WriteBatch, VerifiedWrite]]) -> None:
        self._books.end(side, ended)
        self._services.heartbeat()

    def _send(
        self, side: Side, batches: Sequence[WriteBatch], evidence: CollectedRecords
    ) -> Sequence[Answer]:
        requests = [
            WriteRequest(
                one.who, one.unit, self._attester.matching(one.unit, evidence.get(one.who.person, ()))
            )
            for one in batches
        ]
        answers = self._writers.replicas[side].send(requests, self._services.heartbeat)
        if unrecorded := answers.count(WriteResponse.UNRECORDED):
            self._health.warn(f"{side}: consent records of {unrecorded} people were not kept")
        return answers

    def _read_back(
        self, side: Side, batches: Sequence[WriteBatch], answers: Sequence[Answer]
    ) -> dict[str, PersonView | SideError]:
        """What the side shows now of everybody whose write may have gone through."""
        people = {
            address_key(one.who.address): one.who
            for one, answer in zip(batches, answers, strict=True)
            if not isinstance(answer, SideError) or answer.verdict in (Verdict.DONE, Verdict.IN_DOUBT)
        }
        missed = left_out(side)
        found: dict[str, PersonView | SideError] = {}
        try:
            for page in self._services.readers[side].read_people(list(people.values())) if people else ():
                found |= {address_key(view.address): view for view in page.views}
                found |= {address_key(who.address): error for who, error in page.failures}
                self._services.heartbeat()
        except SideError as error:
            missed = error
        return {key: found.get(key, missed) for key in people}


def _reading(read: dict[str, PersonView | SideError], who: Who) -> Callable[[], PersonView]:
    """The read back of one person, as the weigher asks for it."""

    def look() -> PersonView:
        found = read[address_key(who.address)]
        if isinstance(found, SideError):
            raise found
        return found

    return look
