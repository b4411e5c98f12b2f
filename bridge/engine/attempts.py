"""The log of writes: begun and why, their outcomes, what is held, what is agreed."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from bridge.core.decision import RULE_TEXT, Act, Rule, is_proven_by, is_raise
from bridge.core.double_opt_in import CHECK_INTERVAL_MIN
from bridge.core.errors import SideError
from bridge.core.latch import hold_ground
from bridge.core.mapping import Mapping as ConsentMapping
from bridge.core.model import (
    CHANNEL,
    Cell,
    ConsentRecord,
    Observation,
    PersonId,
    Side,
    TopicId,
    Who,
    address_key,
)
from bridge.core.ports import PersonView, ReadReplica, left_out
from bridge.core.scope import target_of
from bridge.core.store_values import (
    AttemptFinished,
    AttemptStarted,
    AttemptState,
    LedgerEntry,
    Receipt,
    Settlement,
)
from bridge.core.writes import Raise, Withdrawal, Write
from bridge.engine.context import RunContext
from bridge.engine.deciding import CellDecision
from bridge.engine.serialize import Json, act_out, ground_out, writes_out

_log = logging.getLogger("bridge.writes")
NOT_HONOURED_MAX = 3  # accepted writes without effect in a row before an operator is asked


class WriteOutcome(StrEnum):
    """The outcome of one unit of writes."""

    PROVEN = "proven"
    CHALLENGED = "challenged"
    UNPROVEN = "unproven"
    INEFFECTIVE = "unfollowed"
    UNCONFIRMED = "unconfirmed"
    REFUSED = "refused"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class VerifiedWrite:
    """The outcome of a unit, and what the side shows now if it could be read."""

    outcome: WriteOutcome
    view: PersonView | None = None
    error: SideError | None = None
    sent_at: datetime | None = None  # when the call had ended; None if it changed nothing
    was_so: bool = False  # the side showed it before: the row is the person's own


@dataclass(frozen=True, slots=True)
class WriteUnit:
    """Writes to one person at one side that are noted, sent and proven together."""

    person: PersonWrites
    side: Side
    writes: Sequence[Write]

    @property
    def topics(self) -> list[TopicId]:
        return [write.topic for write in self.writes]


@dataclass(slots=True)
class PersonWrites:
    """Everything that is to be written for one person, by topic, and what is proven so far, with what
    the side shows then. `records` say how the person gave the consents that are raised."""

    who: Who
    acts: Mapping[TopicId, tuple[CellDecision, Act]]
    records: Sequence[ConsentRecord] = ()
    proven: dict[tuple[Side, TopicId], Observation] = field(default_factory=dict)
    too_late: bool = False  # it was not sent, for what it rests on was no longer fresh

    @classmethod
    def of(
        cls, who: Who, decisions: Iterable[CellDecision], records: Sequence[ConsentRecord] = ()
    ) -> PersonWrites:
        acts = {one.topic.id: (one, one.decision) for one in decisions if isinstance(one.decision, Act)}
        return cls(who, acts, records)

    @property
    def sides(self) -> set[Side]:
        return {write.side for write in self.all_writes}

    @property
    def all_writes(self) -> list[Write]:
        return [write for _, act in self.acts.values() for write in act.writes]

    def writes(self, side: Side) -> list[Write]:
        return [write for write in self.all_writes if write.side is side]


def is_reflected(mapping: ConsentMapping, writes: Iterable[Write], view: PersonView) -> bool:
    """Whether a read proves all these writes."""
    for write in writes:
        topic, seen = mapping.topic(write.topic), view.topics.get(write.topic)
        if topic is None or seen is None or not is_proven_by(topic, write, seen):
            return False
    return True


def read_back(
    run: RunContext, reader: ReadReplica, people: Sequence[Who]
) -> dict[str, PersonView | SideError]:
    """What a side shows now of these people, by address key, or why that is not known."""
    found: dict[str, PersonView | SideError] = {}
    stopped: SideError | None = None
    try:
        for page in reader.read_people(people) if people else ():
            for view in page.views:
                found[address_key(view.address)] = view
            for who, error in page.failures:
                found[address_key(who.address)] = error
            run.heartbeat()
    except SideError as error:
        stopped = error
    for who in people:
        if (key := address_key(who.address)) not in found:
            found[key] = stopped or left_out(reader.side)
    return found


# before and after a write


def begin_attempts(run: RunContext, side: Side, units: Sequence[WriteUnit]) -> list[int]:
    """Note writes before they are sent: killed at any moment, the next run knows what may have happened and
    reads it back first. The ledger's entries say why: all that the decisions rested on."""
    started: list[AttemptStarted] = []
    for unit in units:
        common = {"writes": writes_out(unit.writes), "mapping": run.mapping.digest}
        acts: Json = {}
        grounds: Json = {}
        for write in unit.writes:
            one, act = unit.person.acts[write.topic]
            acts[write.topic] = act_out(act)
            policy = one.topic.conflict.value
            grounds[write.topic] = {**ground_out(one.cell), "rule": act.rule.value, "policy": policy}
        person = unit.person.who.person
        entry = LedgerEntry("decided", {"side": side.value, **common, "grounds": grounds}, person)
        targets = {write.topic: target(run.mapping, write) for write in unit.writes}
        started.append(AttemptStarted(person, {**common, "acts": acts, "targets": targets}, entry))
    return run.state.attempts.begin(run.id, side, started)


def end_attempts(run: RunContext, side: Side, ended: Sequence[tuple[int, WriteUnit, VerifiedWrite]]) -> None:
    """Note the outcomes of writes to one side and what is agreed by them, in one transaction; then hold what
    needs an operator."""
    finished: list[AttemptFinished] = []
    views: list[PersonView] = []
    for attempt, unit, result in ended:
        if result.outcome is WriteOutcome.CHALLENGED:
            # Before the attempt ends: killed in between, nobody is asked twice.
            note_challenge(run, unit.person.who.person, unit.writes, result.sent_at or run.now())
        finished.append(_finished(run, attempt, unit, result))
        if result.view is not None:
            views.append(result.view)
    run.state.attempts.end(
        run.id,
        side,
        finished,
        views=views,
        unsubscribe_withdraws_topics=run.mapping.unsubscribe_withdraws_topics,
    )
    for attempt, unit, result in ended:
        _log_write(run, attempt, unit, result)
        if result.outcome is WriteOutcome.CHALLENGED:
            _wait_for_confirmation(run, unit)
        elif result.outcome is WriteOutcome.REFUSED:
            _hold(run, unit, Rule.REFUSED, str(result.error))
        elif result.outcome is WriteOutcome.INEFFECTIVE:
            _hold(run, unit, Rule.NOT_HONOURED, RULE_TEXT[Rule.NOT_HONOURED])
        elif result.outcome is WriteOutcome.UNCONFIRMED:
            _hold(run, unit, Rule.UNCONFIRMED, RULE_TEXT[Rule.UNCONFIRMED])


def target(mapping: ConsentMapping, write: Write) -> str | None:
    topic = mapping.topic(write.topic)
    return None if topic is None else target_of(topic, write.side)


def _log_write(run: RunContext, attempt: int, unit: WriteUnit, result: VerifiedWrite) -> None:
    """A line for each write, without the address."""
    _log.debug(
        "write",
        extra={
            "run": run.id,
            "side": unit.side.value,
            "attempt": attempt,
            "person": unit.person.who.person,
            "records": list(unit.person.who.ids.get(unit.side, ())),
            "topics": list(unit.topics),
            "kinds": [type(write).__name__.lower() for write in unit.writes],
            "outcome": result.outcome.value,
        },
    )


_STATES = {
    WriteOutcome.PROVEN: AttemptState.DONE,
    WriteOutcome.CHALLENGED: AttemptState.DONE,
    WriteOutcome.UNPROVEN: AttemptState.IN_DOUBT,
    WriteOutcome.INEFFECTIVE: AttemptState.FAILED,
    WriteOutcome.UNCONFIRMED: AttemptState.FAILED,
    WriteOutcome.REFUSED: AttemptState.DEAD,
    WriteOutcome.FAILED: AttemptState.FAILED,
}


def _finished(run: RunContext, attempt: int, unit: WriteUnit, result: VerifiedWrite) -> AttemptFinished:
    person, topics, error = unit.person.who.person, unit.topics, result.error
    proving = result.view if result.outcome is WriteOutcome.PROVEN else None
    sent = result.outcome is WriteOutcome.UNPROVEN or result.sent_at is not None
    body: dict[str, object] = {
        "attempt": attempt,
        "side": unit.side.value,
        "topics": topics,
        "fate": result.outcome.value,
    }
    if error is not None:
        body |= {"error": str(error), "code": error.code}
    return AttemptFinished(
        attempt,
        person,
        _STATES[result.outcome],
        LedgerEntry("outcome", body, person),
        topics,
        error_code=None if error is None else error.code,
        error=None if error is None else str(error),
        written_at=result.sent_at,
        shown={} if proving is None else shown_dates(run, _left(unit.writes, result), proving),
        may_apply=sent and result.outcome not in (WriteOutcome.PROVEN, WriteOutcome.CHALLENGED),
        receipts=() if proving is None else _receipts(run, unit, proving),
    )


def _left(writes: Iterable[Write], result: VerifiedWrite) -> list[Write]:
    """Those of proven writes whose rows are theirs. An opt-in counts as ours under doubt."""
    return [one for one in writes if not (result.was_so and isinstance(one, Withdrawal))]


def shown_dates(run: RunContext, writes: Iterable[Write], view: PersonView) -> dict[TopicId, datetime]:
    """Up to which date the rows that prove these writes are theirs. A row without a date will be dated before
    it was read, by the side's clock."""
    dates: dict[TopicId, datetime] = {}
    for write in writes:
        seen = view.topics[write.topic]
        slack = timedelta(0) if isinstance(write, Withdrawal) else run.tuning.skew
        dates[write.topic] = seen.changed_at or seen.read_at + slack
    return dates


def note_challenge(run: RunContext, person: PersonId, writes: Iterable[Write], sent_at: datetime) -> None:
    """The person was asked by mail to confirm by what was sent, or may have been."""
    for write in writes:
        if isinstance(write, Raise) and write.topic == CHANNEL and write.side is Side.DOTDIGITAL:
            opt_in_at = write.evidence.changed_at
            check_at = sent_at + CHECK_INTERVAL_MIN
            run.state.confirmations.record(run.id, person, opt_in_at, sent_at=sent_at, look_at=check_at)


def _wait_for_confirmation(run: RunContext, unit: WriteUnit) -> None:
    """Nothing is left to decide before the person confirms, unless they have already."""
    person = unit.person.who.person
    asked = _cells(run, unit)
    for cell in asked:
        if cell.hold is not None:
            run.state.holds.close(person, cell.topic)
    waiting = [cell for cell in asked if unit.side in cell.seen and not cell.seen[unit.side].opted_in]
    run.state.cells.settle(run.id, [Settlement(person, cell.topic, cell.ground) for cell in waiting])


def _hold(run: RunContext, unit: WriteUnit, rule: Rule, why: str) -> None:
    """Ask an operator. An opt-out is sent again meanwhile, ever less often."""
    person = unit.person.who.person
    grounds = {cell.topic: hold_ground(cell) for cell in _cells(run, unit)}
    for topic in unit.topics:
        _, act = unit.person.acts[topic]
        if rule is Rule.UNCONFIRMED and is_raise(act):
            continue  # it is not sent again before the contact confirms: no operator is asked
        if rule is Rule.NOT_HONOURED and run.state.attempts.ineffective(person, topic) < NOT_HONOURED_MAX:
            continue
        run.state.holds.open(
            run.id,
            person,
            topic,
            reason=rule,
            why=why,
            ground=grounds[topic],
            proposed=writes_out(act.writes),
            ledger=LedgerEntry("held", {"rule": rule.value, "why": why}, person, topic),
            retry=not is_raise(act),
        )
    held = [cell for cell in _cells(run, unit) if cell.hold is not None and cell.hold.reason == rule]
    run.state.cells.settle(run.id, [Settlement(person, cell.topic, cell.ground) for cell in held])


def _cells(run: RunContext, unit: WriteUnit) -> list[Cell]:
    """The cells of a unit as they are now."""
    return [cell for cell in run.state.cells.of(unit.person.who.person) if cell.topic in unit.topics]


# agreements


def _receipts(run: RunContext, unit: WriteUnit, view: PersonView) -> list[Receipt]:
    """What is agreed now that these writes are proven: every act whose writes all are. It rests on what the
    written sides show now, and on what the others showed when it was decided: any change of theirs since is a
    change."""
    person, found = unit.person, list[Receipt]()
    for topic in unit.topics:
        person.proven[unit.side, topic] = view.topics[topic]
        one, act = person.acts[topic]
        if all((write.side, topic) in person.proven for write in act.writes):
            shown = {write.side: person.proven[write.side, topic] for write in act.writes}
            found.append(receipt_of(run, person.who.person, act, shown, one.cell))
    return found


def receipt_of(
    run: RunContext,
    person: PersonId,
    act: Act,
    shown: Mapping[Side, Observation],
    decided: Cell | None = None,
) -> Receipt:
    """The agreement that an act leads to, now that the sides it wrote to show this."""
    topic, agreed = act.writes[0].topic, act.agreement(shown, run.clock_reading().now)
    body = {"choice": agreed.choice.value, "rule": agreed.rule, "at": agreed.at.isoformat()}
    return Receipt(person, topic, agreed, LedgerEntry("agreed", body, person, topic), shown.keys(), decided)
