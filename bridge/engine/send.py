"""Carrying one person's writes: note the attempt, call, read back, settle."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime

from bridge.core.errors import Refused, SideError, Verdict
from bridge.core.mapping import Mapping
from bridge.core.model import Raise, Resubscribe, RunId, Side, Who, Write
from bridge.core.ports import PersonView, WriteRequest, WriteResponse, read_person
from bridge.core.priority import Priority, with_priority
from bridge.core.verify import is_proven_by
from bridge.engine.attempts import AttemptLog, PersonWrites, VerifiedWrite, WriteBatch, WriteOutcome
from bridge.engine.consent_evidence import ConsentRecordCopier
from bridge.engine.context import RunHealth, Services, Writers
from bridge.engine.deciding import CellDecision
from bridge.engine.report import WriteCounts


class OutcomeVerifier:
    """What an answer to a write comes to, once the person was read again: an answer alone proves nothing."""

    def __init__(self, services: Services, health: RunHealth) -> None:
        self._services = services
        self._health = health

    def weigh(
        self,
        unit: Sequence[Write],
        answer: WriteResponse | SideError,
        read: Callable[[], PersonView],
        sent_at: datetime,
    ) -> VerifiedWrite:
        """`read` reads the person back, or raises SideError; `sent_at` is when the call had ended."""
        if isinstance(answer, SideError):
            return self._refusal(unit, answer, read, sent_at)
        self._health.reached(unit[0].side)
        return self._read_back(unit, answer, read, sent_at)

    def _refusal(
        self,
        unit: Sequence[Write],
        error: SideError,
        read: Callable[[], PersonView],
        sent_at: datetime,
    ) -> VerifiedWrite:
        match error.verdict:
            case Verdict.DONE:
                return self._read_back(unit, WriteResponse.ALREADY_SO, read, sent_at)
            case Verdict.IN_DOUBT:
                found = self._read_back(unit, WriteResponse.ACCEPTED, read, sent_at)
                fate = found.fate if found.fate is WriteOutcome.PROVEN else WriteOutcome.UNPROVEN
                if found.view is None:  # a side in trouble must not get one write after the other in doubt
                    self._health.missed(unit[0].side, error)
                return replace(found, fate=fate, error=error)
            case Verdict.HOLD:
                return VerifiedWrite(WriteOutcome.REFUSED, error=error)
            case Verdict.FIX_CONFIG:
                self._health.warn(f"{unit[0].side}: {error}")
                return VerifiedWrite(WriteOutcome.FAILED, error=error)
            case Verdict.RETRY | Verdict.STOP:
                self._health.missed(Side(error.side), error)  # reading evidence calls the other side
                return VerifiedWrite(WriteOutcome.FAILED, error=error)

    def _read_back(
        self,
        unit: Sequence[Write],
        outcome: WriteResponse,
        read: Callable[[], PersonView],
        sent_at: datetime,
    ) -> VerifiedWrite:
        try:
            with with_priority(Priority.READ_BACKS):
                view = read()
        except SideError as error:
            return VerifiedWrite(WriteOutcome.UNPROVEN, error=error, sent_at=sent_at)
        fate = self._fate(unit, outcome, view)
        why = _unclear(unit[0].side) if fate is WriteOutcome.REFUSED else None
        return VerifiedWrite(fate, view, why, sent_at)

    def _fate(self, unit: Sequence[Write], outcome: WriteResponse, view: PersonView) -> WriteOutcome:
        if outcome is WriteResponse.CHALLENGED:
            return WriteOutcome.CHALLENGED
        if all(is_reflected(self._services.mapping, write, view) for write in unit):
            return WriteOutcome.PROVEN
        if outcome is WriteResponse.UNCLEAR:
            return WriteOutcome.CHALLENGED if _asks(unit) else WriteOutcome.REFUSED
        pending = any(seen.reason == "pending_update" for seen in view.topics.values())
        return WriteOutcome.UNPROVEN if pending else WriteOutcome.INEFFECTIVE


class Sender:
    """Sends decided writes, one person's at a time."""

    def __init__(self, services: Services, writers: Writers, run: RunId, health: RunHealth) -> None:
        self._services = services
        self._writers = writers
        self._health = health
        self._books = AttemptLog(services, run)
        self._weigher = OutcomeVerifier(services, health)
        self._attester = ConsentRecordCopier(services, writers, health)

    def carry(self, who: Who, decisions: Sequence[CellDecision]) -> WriteCounts:
        """Send all writes of these decisions, all of one person."""
        written = WriteCounts()
        person_writes = PersonWrites.of(who, decisions)
        for side in Side:
            writes = person_writes.writes(side)
            for unit in self._writers.replicas[side].split(writes) if writes else ():
                batch = person_writes.batch(unit)
                person_writes.take(batch, self._unit(batch, written))
        self._books.agree([person_writes])
        return written

    def _unit(self, batch: WriteBatch, written: WriteCounts) -> VerifiedWrite:
        side = batch.side
        if side in self._health.down:
            return VerifiedWrite(WriteOutcome.FAILED)
        [attempt] = self._books.begin(side, [batch])
        answer = self._send(batch)
        result = self._weigher.weigh(
            batch.unit,
            answer,
            lambda: read_person(self._services.readers[side], batch.who),
            self._services.clock(),
        )
        self._books.end(side, [(attempt, batch, result)])
        count(written, batch, result)
        return result

    def _send(self, batch: WriteBatch) -> WriteResponse | SideError:
        """What the side answered, or what kept the write from being sent."""
        records = self._attester.records_for(batch)
        if isinstance(records, SideError):
            return records
        request = WriteRequest(batch.who, batch.unit, records)
        [answer] = self._writers.replicas[batch.side].send([request], self._services.heartbeat)
        if answer is WriteResponse.UNRECORDED:
            self._health.warn(f"{batch.side}: a consent record was not kept")
        return answer


def count(written: WriteCounts, batch: WriteBatch, result: VerifiedWrite) -> None:
    """Count what was sent, and what did not go well."""
    if result.fate not in (WriteOutcome.FAILED, WriteOutcome.REFUSED):
        for write in batch.unit:
            written.count(write)
    written.failed += result.fate in (WriteOutcome.FAILED, WriteOutcome.INEFFECTIVE)


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


def is_reflected(mapping: Mapping, write: Write, view: PersonView) -> bool:
    """Whether a read proves a write."""
    topic, seen = mapping.topic(write.topic), view.topics.get(write.topic)
    return topic is not None and seen is not None and is_proven_by(topic, write, seen)
