"""Sending decided writes: note the attempts, send, read back, note the outcomes and what is agreed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime

from bridge.core.errors import Refused, SideError, TooLate, Verdict
from bridge.core.mapping import Mapping
from bridge.core.model import CHANNEL, Block, ConsentRecord, PersonId, Side, TopicId, Who, address_key
from bridge.core.ports import (
    PersonView,
    Repaired,
    Unrecorded,
    WriteRequest,
    WriteResponse,
    WriteResult,
    batched,
)
from bridge.core.priority import Priority, keep_priority, with_priority
from bridge.core.writes import Raise, Resubscribe, Write
from bridge.engine.attempts import (
    PersonWrites,
    VerifiedWrite,
    WriteOutcome,
    WriteUnit,
    begin_attempts,
    end_attempts,
    is_reflected,
    read_back,
)
from bridge.engine.context import RunContext, WriteContext
from bridge.engine.feed_watch import note_own_writes
from bridge.engine.report import WriteCounts

_AT_A_TIME = 100  # people whose consent records are read


class Sender:
    """Sends the writes of one person or of many. Killed at any moment, every attempt that was begun is in
    doubt, and the next run reads back its outcome."""

    def __init__(self, run: WriteContext) -> None:
        self._run = run

    def send(self, work: Sequence[PersonWrites]) -> WriteCounts:
        """Send everything that these people's decisions have for both sides: all withdrawals, or none."""
        counts = WriteCounts()
        for side in Side:
            self._send_to(side, work, counts)
        return counts

    def _send_to(self, side: Side, work: Sequence[PersonWrites], counts: WriteCounts) -> None:
        run = self._run
        units: list[WriteUnit] = []
        for person in work:
            if writes := person.writes(side):
                for together in run.replicas[side].split(writes):
                    units.append(WriteUnit(person, side, together))
        if not units or side in run.health.down:
            return
        attempts = begin_attempts(run, side, units)
        requests = [_request(run.mapping, unit) for unit in units]
        many = len(work) > 1
        if many:  # a job may take minutes, in which nothing is counted
            run.progress(f"sending many writes to {side}", 0)
        results = run.replicas[side].send(requests, run.heartbeat)
        sent_at = run.now()
        self._report(side, results, counts)
        if many:
            run.progress(f"reading back what was written to {side}", 0)
        shown = self._read_back(side, units, results)
        rows = list(zip(units, attempts, results, strict=True))
        for number, some in enumerate(batched(rows, run.tuning.page), 1):
            ended = []
            for unit, attempt, result in some:
                verified = self._verify(
                    unit, result, shown.get(address_key(unit.person.who.address)), sent_at
                )
                unit.person.too_late |= isinstance(result, TooLate)
                ended.append((attempt, unit, verified))
                _count(counts, unit, verified)
            end_attempts(run, side, ended)
            self._note_echoes(side, some, ended, sent_at)
            run.heartbeat()
            if many:
                run.progress("settling a bulk job", min(number * run.tuning.page, len(rows)), len(rows))

    def _note_echoes(
        self,
        side: Side,
        rows: Sequence[tuple[WriteUnit, int, WriteResult]],
        ended: Sequence[tuple[int, WriteUnit, VerifiedWrite]],
        sent_at: datetime,
    ) -> None:
        """What was changed must come back by the side's feed."""
        changed = [
            result.view.ids
            for (_, _, answer), (_, _, result) in zip(rows, ended, strict=True)
            if answer is WriteResponse.ACCEPTED
            and result.outcome is WriteOutcome.PROVEN
            and result.view is not None
        ]
        note_own_writes(self._run, side, changed, sent_at)

    def _report(self, side: Side, results: Sequence[WriteResult], counts: WriteCounts) -> None:
        """What the answers tell beside the writes themselves."""
        for kind, what in (
            (Unrecorded, "people whose consent records were not kept"),
            (Repaired, "people with other choices changed during a write"),
        ):
            told = Counter(result.reason for result in results if isinstance(result, kind))
            for reason, number in told.items():
                self._run.health.warn(f"{side}: {what}: {number} ({reason})")
        counts.failed += sum(isinstance(result, Repaired) and result.failed for result in results)

    def _read_back(
        self, side: Side, units: Sequence[WriteUnit], results: Sequence[WriteResult]
    ) -> dict[str, PersonView | SideError]:
        """What the side shows now of everybody whose write may have been applied."""
        people: dict[PersonId, Who] = {}
        for unit, result in zip(units, results, strict=True):
            if not isinstance(result, SideError) or result.verdict in (Verdict.DONE, Verdict.IN_DOUBT):
                people[unit.person.who.person] = unit.person.who
        with with_priority(Priority.READ_BACKS):
            return read_back(self._run, self._run.readers[side], list(people.values()))

    def _verify(
        self, unit: WriteUnit, result: WriteResult, shown: PersonView | SideError | None, sent_at: datetime
    ) -> VerifiedWrite:
        """What the answer to a write comes to, with what the side shows after it: an answer alone proves
        nothing."""
        health = self._run.health
        if not isinstance(result, SideError):
            health.reached(unit.side)
            return self._prove(unit, result, shown, sent_at)
        match result.verdict:
            case Verdict.DONE:
                return self._prove(unit, WriteResponse.ALREADY_SO, shown, sent_at)
            case Verdict.IN_DOUBT:
                found = self._prove(unit, WriteResponse.ACCEPTED, shown, sent_at)
                if found.view is None:  # a side that fails must not get one write after the other in doubt
                    health.missed(unit.side, result)
                # Whatever shows: it may be the person's own, and the write still come.
                return replace(found, outcome=WriteOutcome.UNPROVEN, error=result)
            case Verdict.HOLD:
                return VerifiedWrite(WriteOutcome.REFUSED, error=result)
            case Verdict.FIX_CONFIG:
                health.warn(f"{unit.side}: {result}")
                return VerifiedWrite(WriteOutcome.FAILED, error=result)
            case Verdict.RETRY | Verdict.STOP:
                if not isinstance(result, TooLate):
                    health.missed(unit.side, result)
                return VerifiedWrite(WriteOutcome.FAILED, error=result)

    def _prove(
        self,
        unit: WriteUnit,
        response: WriteResponse | Unrecorded | Repaired,
        shown: PersonView | SideError | None,
        sent_at: datetime,
    ) -> VerifiedWrite:
        if not isinstance(shown, PersonView):
            return VerifiedWrite(WriteOutcome.UNPROVEN, error=shown, sent_at=sent_at)
        if response is WriteResponse.CHALLENGED:
            return VerifiedWrite(WriteOutcome.CHALLENGED, shown, sent_at=sent_at)
        if is_reflected(self._run.mapping, unit.writes, shown):
            was_so = response is WriteResponse.ALREADY_SO
            return VerifiedWrite(WriteOutcome.PROVEN, shown, sent_at=sent_at, was_so=was_so)
        if response is WriteResponse.UNCLEAR:
            if any(isinstance(one, Raise) and one.how is Resubscribe.CHALLENGE for one in unit.writes):
                # It may have sent a confirmation mail: where it cannot be known, it counts as sent.
                return VerifiedWrite(WriteOutcome.CHALLENGED, shown, sent_at=sent_at)
            return VerifiedWrite(WriteOutcome.REFUSED, shown, _no_effect(unit.side), sent_at)
        return VerifiedWrite(_without_effect(shown), shown, sent_at=sent_at)


def _without_effect(shown: PersonView) -> WriteOutcome:
    """What it means that a write was accepted and does not show: the side may not have finished it, or take
    no choices before the person has confirmed a sign-up (Dotdigital 12, N1)."""
    if any(seen.pending for seen in shown.topics.values()):
        return WriteOutcome.UNPROVEN
    channel = shown.topics.get(CHANNEL)
    unconfirmed = channel is not None and channel.block is Block.PENDING
    return WriteOutcome.UNCONFIRMED if unconfirmed else WriteOutcome.INEFFECTIVE


def _count(counts: WriteCounts, unit: WriteUnit, result: VerifiedWrite) -> None:
    """Count what was sent, and what did not succeed. What was too late to be sent is tried again."""
    if result.outcome is WriteOutcome.CHALLENGED:
        counts.mails[unit.side] += 1
    elif result.outcome not in (WriteOutcome.FAILED, WriteOutcome.REFUSED):
        for write in unit.writes:
            counts.count(write)
    without_effect = (WriteOutcome.INEFFECTIVE, WriteOutcome.UNCONFIRMED)
    failed = result.outcome in (WriteOutcome.FAILED, *without_effect)
    counts.failed += failed and not isinstance(result.error, TooLate)


def _no_effect(side: Side) -> SideError:
    return Refused(
        "The write was accepted but had no effect, and no reason was given.",
        side=side, operation="read back",
        hint="Look at this person there; `bridge holds release` tries once more.",
    )  # fmt: skip


# Consent records: how a person consented is kept at Dotdigital before they are opted in there, or in the same
# call. It never goes later: killed in between, the opt-in is sent again, and the record is found to be there.


def wants_record(mapping: Mapping, write: Write) -> bool:
    """Whether a record of the consent is kept with this write."""
    if not isinstance(write, Raise) or write.side is not Side.DOTDIGITAL:
        return False
    topic = mapping.topic(write.topic)
    return topic is not None and topic.record is not None


def collect_records(run: RunContext, work: Sequence[PersonWrites]) -> list[PersonWrites]:
    """Add to these people's opt-ins the consent records that MyPreferences holds of them. That may take long:
    the opt-ins are checked again after it. A person whose records could not be read is left out; a refusal
    keeps nobody from being opted in, and is reported."""
    source = Side.MYPREFERENCES
    wanted = [(person, topics) for person in work if (topics := _recorded_topics(run.mapping, person))]
    unread: set[int] = set()
    for some in batched(wanted, _AT_A_TIME):
        if source in run.health.down:
            unread |= {person.who.person for person, _ in some}
            continue
        with ThreadPoolExecutor(run.tuning.workers) as pool:
            read = list(pool.map(keep_priority(lambda one: _read_records(run, *one)), some))
        for (person, _), found in zip(some, read, strict=True):
            if not isinstance(found, SideError):
                person.records = found
            elif found.verdict is Verdict.HOLD:
                run.health.warn(f"{source}: a consent record was not kept ({found})")
            else:
                run.health.warn(f"{source}: an opt-in is deferred: no consent record could be read ({found})")
                run.health.missed(source, found)
                unread.add(person.who.person)
        run.heartbeat()
    return [person for person in work if person.who.person not in unread]


def _recorded_topics(mapping: Mapping, person: PersonWrites) -> list[TopicId]:
    writes = person.writes(Side.DOTDIGITAL)
    return [write.topic for write in writes if wants_record(mapping, write)]


def _read_records(
    run: RunContext, person: PersonWrites, topics: Sequence[TopicId]
) -> Sequence[ConsentRecord] | SideError:
    try:
        return run.readers[Side.MYPREFERENCES].consent_records(person.who, topics)
    except SideError as error:
        return error


def _request(mapping: Mapping, unit: WriteUnit) -> WriteRequest:
    """With those records that are about these very opt-ins."""
    if not unit.person.records:
        return WriteRequest(unit.person.who, unit.writes)
    dates = {
        write.topic: write.evidence.changed_at
        for write in unit.writes
        if isinstance(write, Raise) and wants_record(mapping, write)
    }
    records = [record for record in unit.person.records if record.at == dates.get(record.topic)]
    return WriteRequest(unit.person.who, unit.writes, records)
