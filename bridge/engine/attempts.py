"""What is noted of writes: that they were begun and why, what became of them, what waits, what is agreed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from bridge.core.conflict import is_in
from bridge.core.decision import RULE_TEXT, Act, Rule
from bridge.core.errors import SideError
from bridge.core.model import Agreement, Cell, PersonId, RunId, Side, TopicId, Who, Write
from bridge.core.ports import PersonView
from bridge.core.store_port import AttemptFinished, AttemptStarted, AttemptState, LedgerEntry, Settlement
from bridge.engine.context import Services
from bridge.engine.deciding import CellDecision
from bridge.engine.double_opt_in import note_asked
from bridge.engine.serialize import act_out, ground_out, writes_out

NOT_HONOURED_MAX = 3  # accepted but unfollowed writes in a row before a person is asked

Acts = Sequence[tuple[CellDecision, Act]]


class WriteOutcome(StrEnum):
    """What became of one unit of writes."""

    PROVEN = "proven"
    CHALLENGED = "challenged"
    UNPROVEN = "unproven"
    INEFFECTIVE = "unfollowed"
    REFUSED = "refused"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class VerifiedWrite:
    """What became of a unit, and what the side shows now if it could be read."""

    fate: WriteOutcome
    view: PersonView | None = None
    error: SideError | None = None
    sent_at: datetime | None = None  # when the call had ended; None if it changed nothing


@dataclass(frozen=True, slots=True)
class WriteBatch:
    """One unit of writes, and the decisions that it carries."""

    who: Who
    unit: Sequence[Write]
    acts: Acts

    @property
    def side(self) -> Side:
        return self.unit[0].side


@dataclass(slots=True)
class PersonWrites:
    """Everything that is to be written for one person, and what came of it so far."""

    who: Who
    acts: Acts
    shown: dict[Side, PersonView] = field(default_factory=dict)
    failed: set[TopicId] = field(default_factory=set)

    @classmethod
    def of(cls, who: Who, decisions: Sequence[CellDecision]) -> PersonWrites:
        return cls(who, [(one, one.decision) for one in decisions if isinstance(one.decision, Act)])

    @property
    def decisions(self) -> list[CellDecision]:
        return [one for one, _ in self.acts]

    @property
    def sides(self) -> set[Side]:
        return {write.side for _, act in self.acts for write in act.writes}

    def writes(self, side: Side) -> list[Write]:
        return [write for _, act in self.acts for write in act.writes if write.side is side]

    def batch(self, unit: Sequence[Write]) -> WriteBatch:
        """One of the units that the writes were split into."""
        return WriteBatch(self.who, unit, [pair for pair in self.acts if _concerns(pair[1], unit)])

    def take(self, batch: WriteBatch, result: VerifiedWrite) -> None:
        """Note what came of a unit."""
        if result.view is not None:
            self.shown[batch.side] = result.view
        if result.fate is not WriteOutcome.PROVEN:
            self.failed |= {write.topic for write in batch.unit}


class AttemptLog:
    """Keeps the state DB's books on writes."""

    def __init__(self, services: Services, run: RunId) -> None:
        self._services = services
        self._run = run

    def begin(self, side: Side, batches: Sequence[WriteBatch]) -> list[int]:
        """Note writes before they are sent: killed at any moment, the next round knows what may have
        happened and reads it back first."""
        return self._services.state.attempts.begin(self._run, side, [self._begun(one) for one in batches])

    def _begun(self, batch: WriteBatch) -> AttemptStarted:
        body = {
            "writes": writes_out(batch.unit),
            "acts": {one.topic.id: act_out(act) for one, act in batch.acts},
            "mapping": self._services.mapping.digest,
        }
        return AttemptStarted(batch.who.person, body, self._decided(batch))

    def _decided(self, batch: WriteBatch) -> LedgerEntry:
        """The ledger's line of why: all that the decision rested on."""
        body = {
            "side": batch.side.value,
            "writes": writes_out(batch.unit),
            "mapping": self._services.mapping.digest,
            "grounds": {
                one.topic.id: {
                    **ground_out(one.cell),
                    "rule": act.rule.value,
                    "policy": one.topic.conflict.value,
                }
                for one, act in batch.acts
            },
        }
        return LedgerEntry("decided", body, batch.who.person)

    def end(self, side: Side, ended: Sequence[tuple[int, WriteBatch, VerifiedWrite]]) -> None:
        """Note what became of writes to one side, in one transaction; then hold what needs a person."""
        for _, batch, result in ended:
            if result.fate is WriteOutcome.CHALLENGED:
                # Before the attempt ends: killed in between, nobody is asked twice.
                sent_at = result.sent_at or self._services.clock()
                note_asked(self._services.state, self._run, batch.who.person, batch.unit, sent_at)
        self._services.state.attempts.end(
            self._run,
            side,
            [_ended(attempt, batch, result) for attempt, batch, result in ended],
            views=[result.view for _, _, result in ended if result.view is not None],
            unsubscribe_withdraws_topics=self._services.mapping.unsubscribe_withdraws_topics,
        )
        for _, batch, result in ended:
            if result.fate is WriteOutcome.CHALLENGED:
                self._wait_for_confirmation(batch)
            self._hold_where_needed(batch, result)

    def agree(self, work: Sequence[PersonWrites]) -> None:
        """What is proven is agreed: with what the written sides show now, and what the others showed when it
        was decided, so that any change of theirs since is a change."""
        proven = [
            (one, act, person_writes)
            for person_writes in work
            for one, act in person_writes.acts
            if one.topic.id not in person_writes.failed
        ]
        if not proven:
            return
        state = self._services.state
        cells = state.cells.of_many(
            list(dict.fromkeys(person_writes.who.person for _, _, person_writes in proven))
        )
        now = {(cell.person, cell.topic): cell for mine in cells.values() for cell in mine}
        for one, _, _ in proven:  # before it is settled: a settled cell is not looked at again
            if one.cell.hold is not None:
                state.holds.close(one.cell.person, one.topic.id)
        settlements = [
            self._settlement(one, act, now[person_writes.who.person, one.topic.id], person_writes.shown)
            for one, act, person_writes in proven
        ]
        state.cells.settle(self._run, settlements)

    def _settlement(
        self, one: CellDecision, act: Act, now: Cell, shown: Mapping[Side, PersonView]
    ) -> Settlement:
        versions = dict(act.versions)
        for write in act.writes:
            view = shown[write.side]
            versions[write.side] = view.topics[write.topic].version
        agreement = Agreement(
            act.choice, act.at, act.rule.value, self._services.clock(), versions, act.frequencies
        )
        moved = any(
            now.versions.get(side) != one.cell.versions.get(side)
            for side in Side
            if side not in {write.side for write in act.writes}
        )
        ground = one.cell.ground if moved else now.ground
        body = {"choice": act.choice.value, "rule": act.rule.value, "at": act.at.isoformat()}
        entry = LedgerEntry("agreed", body, one.cell.person, one.topic.id)
        return Settlement(one.cell.person, one.topic.id, ground, agreement, entry)

    def _wait_for_confirmation(self, batch: WriteBatch) -> None:
        """Nothing is left to decide before the person confirms, unless they have already."""
        state, person = self._services.state, batch.who.person
        now = {cell.topic: cell for cell in state.cells.of(person)}
        asked = [now[one.topic.id] for one, _ in batch.acts]
        for cell in asked:
            if cell.hold is not None:
                state.holds.close(person, cell.topic)
        waiting = [cell for cell in asked if batch.side in cell.seen and not is_in(cell.seen[batch.side])]
        state.cells.settle(self._run, [Settlement(person, cell.topic, cell.ground) for cell in waiting])

    def _hold_where_needed(self, batch: WriteBatch, result: VerifiedWrite) -> None:
        """A person at the desk is needed where no repetition helps."""
        match result.fate:
            case WriteOutcome.REFUSED:
                rule, why = Rule.REFUSED, str(result.error)
            case WriteOutcome.INEFFECTIVE:
                rule, why = Rule.NOT_HONOURED, RULE_TEXT[Rule.NOT_HONOURED]
            case _:
                return
        self._open_holds(batch, rule, why)
        state, person = self._services.state, batch.who.person
        cells = state.cells.of(person)
        held = {cell.topic: cell for cell in cells if cell.hold is not None and cell.hold.reason == rule}
        settled = [held[one.topic.id] for one, _ in batch.acts if one.topic.id in held]
        state.cells.settle(self._run, [Settlement(person, cell.topic, cell.ground) for cell in settled])

    def _open_holds(self, batch: WriteBatch, rule: Rule, why: str) -> None:
        state, person = self._services.state, batch.who.person
        now = {cell.topic: cell for cell in state.cells.of(person)}
        for one, act in batch.acts:
            if rule is Rule.NOT_HONOURED and not self._often_unfollowed(person, one.topic.id):
                continue
            state.holds.open(
                self._run,
                person,
                one.topic.id,
                reason=rule,
                why=why,
                ground=now[one.topic.id].ground,
                proposed=writes_out(act.writes),
                ledger=LedgerEntry("held", {"rule": rule.value, "why": why}, person, one.topic.id),
                ask_again=True,
            )

    def _often_unfollowed(self, person: PersonId, topic: TopicId) -> bool:
        return self._services.state.attempts.ineffective(person, topic) >= NOT_HONOURED_MAX


_STATES = {
    WriteOutcome.PROVEN: AttemptState.DONE,
    WriteOutcome.CHALLENGED: AttemptState.DONE,
    WriteOutcome.UNPROVEN: AttemptState.IN_DOUBT,
    WriteOutcome.INEFFECTIVE: AttemptState.FAILED,
    WriteOutcome.REFUSED: AttemptState.DEAD,
    WriteOutcome.FAILED: AttemptState.FAILED,
}


def _ended(attempt: int, batch: WriteBatch, result: VerifiedWrite) -> AttemptFinished:
    topics = [write.topic for write in batch.unit]
    body: dict[str, object] = {
        "attempt": attempt,
        "side": batch.side.value,
        "topics": topics,
        "fate": result.fate.value,
    }
    error = result.error
    if error is not None:
        body |= {"error": str(error), "code": error.code}
    return AttemptFinished(
        attempt,
        batch.who.person,
        _STATES[result.fate],
        LedgerEntry("outcome", body, batch.who.person),
        topics,
        error_code=None if error is None else error.code,
        error=None if error is None else str(error),
        written_at=result.sent_at,
    )


def _concerns(act: Act, unit: Sequence[Write]) -> bool:
    return any(write in unit for write in act.writes)
