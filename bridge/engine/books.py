"""What is noted of writes: that they were begun and why, what became of them, what waits, what is agreed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from bridge.core.decision import WORDS, Act, Rule
from bridge.core.errors import SideError
from bridge.core.model import Agreement, Cell, PersonId, RunId, Side, TopicId, Who, Write
from bridge.core.policy import is_in
from bridge.core.ports import PersonView
from bridge.core.state import AttemptState, Begun, Ended, LedgerEntry, Settlement
from bridge.engine.asking import note_asked
from bridge.engine.judge import Judged
from bridge.engine.parts import Eyes
from bridge.engine.records import act_out, ground_out, writes_out

NOT_HONOURED_MAX = 3  # accepted but unfollowed writes in a row before a person is asked

Acts = Sequence[tuple[Judged, Act]]


class Fate(StrEnum):
    """What became of one unit of writes."""

    PROVEN = "proven"
    CHALLENGED = "challenged"
    UNPROVEN = "unproven"
    UNFOLLOWED = "unfollowed"
    REFUSED = "refused"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Result:
    """What became of a unit, and what the side shows now if it could be read."""

    fate: Fate
    view: PersonView | None = None
    error: SideError | None = None
    sent_at: datetime | None = None  # when the call had ended; None if it changed nothing


@dataclass(frozen=True, slots=True)
class Sending:
    """One unit of writes, and the decisions that it carries."""

    who: Who
    unit: Sequence[Write]
    acts: Acts

    @property
    def side(self) -> Side:
        return self.unit[0].side


@dataclass(slots=True)
class Errand:
    """Everything that is to be written for one person, and what came of it so far."""

    who: Who
    acts: Acts
    shown: dict[Side, PersonView] = field(default_factory=dict)
    failed: set[TopicId] = field(default_factory=set)

    @classmethod
    def of(cls, who: Who, judged: Sequence[Judged]) -> Errand:
        return cls(who, [(one, one.decision) for one in judged if isinstance(one.decision, Act)])

    @property
    def judged(self) -> list[Judged]:
        return [one for one, _ in self.acts]

    @property
    def sides(self) -> set[Side]:
        return {write.side for _, act in self.acts for write in act.writes}

    def writes(self, side: Side) -> list[Write]:
        return [write for _, act in self.acts for write in act.writes if write.side is side]

    def sending(self, unit: Sequence[Write]) -> Sending:
        """One of the units that the writes were split into."""
        return Sending(self.who, unit, [pair for pair in self.acts if _concerns(pair[1], unit)])

    def take(self, sending: Sending, result: Result) -> None:
        """Note what came of a unit."""
        if result.view is not None:
            self.shown[sending.side] = result.view
        if result.fate is not Fate.PROVEN:
            self.failed |= {write.topic for write in sending.unit}


class Books:
    """Keeps the state DB's books on writes."""

    def __init__(self, eyes: Eyes, run: RunId) -> None:
        self._eyes = eyes
        self._run = run

    def begin(self, side: Side, sendings: Sequence[Sending]) -> list[int]:
        """Note writes before they are sent: killed at any moment, the next round knows what may have
        happened and reads it back first."""
        return self._eyes.state.begin_attempts(self._run, side, [self._begun(one) for one in sendings])

    def _begun(self, sending: Sending) -> Begun:
        body = {
            "writes": writes_out(sending.unit),
            "acts": {one.topic.id: act_out(act) for one, act in sending.acts},
            "mapping": self._eyes.mapping.digest,
        }
        return Begun(sending.who.person, body, self._decided(sending))

    def _decided(self, sending: Sending) -> LedgerEntry:
        """The ledger's line of why: all that the decision rested on."""
        body = {
            "side": sending.side.value,
            "writes": writes_out(sending.unit),
            "mapping": self._eyes.mapping.digest,
            "grounds": {
                one.topic.id: {
                    **ground_out(one.cell),
                    "rule": act.rule.value,
                    "policy": one.topic.conflict.value,
                }
                for one, act in sending.acts
            },
        }
        return LedgerEntry("decided", body, sending.who.person)

    def end(self, side: Side, ended: Sequence[tuple[int, Sending, Result]]) -> None:
        """Note what became of writes to one side, in one transaction; then hold what needs a person."""
        for _, sending, result in ended:
            if result.fate is Fate.CHALLENGED:
                # Before the attempt ends: killed in between, nobody is asked twice.
                sent_at = result.sent_at or self._eyes.clock()
                note_asked(self._eyes.state, self._run, sending.who.person, sending.unit, sent_at)
        self._eyes.state.end_attempts(
            self._run,
            side,
            [_ended(attempt, sending, result) for attempt, sending, result in ended],
            views=[result.view for _, _, result in ended if result.view is not None],
            spreads=self._eyes.mapping.spreads,
        )
        for _, sending, result in ended:
            if result.fate is Fate.CHALLENGED:
                self._wait_for_confirmation(sending)
            self._hold_where_needed(sending, result)

    def agree(self, errands: Sequence[Errand]) -> None:
        """What is proven is agreed: with what the written sides show now, and what the others showed when it
        was decided, so that any change of theirs since is a change."""
        proven = [
            (one, act, errand)
            for errand in errands
            for one, act in errand.acts
            if one.topic.id not in errand.failed
        ]
        if not proven:
            return
        state = self._eyes.state
        cells = state.cells_of(list(dict.fromkeys(errand.who.person for _, _, errand in proven)))
        now = {(cell.person, cell.topic): cell for mine in cells.values() for cell in mine}
        for one, _, _ in proven:  # before it is settled: a settled cell is not looked at again
            if one.cell.hold is not None:
                state.close_hold(one.cell.person, one.topic.id)
        settlements = [
            self._settlement(one, act, now[errand.who.person, one.topic.id], errand.shown)
            for one, act, errand in proven
        ]
        state.settle(self._run, settlements)

    def _settlement(self, one: Judged, act: Act, now: Cell, shown: Mapping[Side, PersonView]) -> Settlement:
        versions = dict(act.versions)
        for write in act.writes:
            view = shown[write.side]
            versions[write.side] = view.topics[write.topic].version
        agreement = Agreement(
            act.choice, act.at, act.rule.value, self._eyes.clock(), versions, act.frequencies
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

    def _wait_for_confirmation(self, sending: Sending) -> None:
        """Nothing is left to decide before the person confirms, unless they have already."""
        state, person = self._eyes.state, sending.who.person
        now = {cell.topic: cell for cell in state.cells(person)}
        asked = [now[one.topic.id] for one, _ in sending.acts]
        for cell in asked:
            if cell.hold is not None:
                state.close_hold(person, cell.topic)
        waiting = [cell for cell in asked if sending.side in cell.seen and not is_in(cell.seen[sending.side])]
        state.settle(self._run, [Settlement(person, cell.topic, cell.ground) for cell in waiting])

    def _hold_where_needed(self, sending: Sending, result: Result) -> None:
        """A person at the desk is needed where no repetition helps."""
        match result.fate:
            case Fate.REFUSED:
                rule, why = Rule.REFUSED, str(result.error)
            case Fate.UNFOLLOWED:
                rule, why = Rule.NOT_HONOURED, WORDS[Rule.NOT_HONOURED]
            case _:
                return
        self._open_holds(sending, rule, why)
        state, person = self._eyes.state, sending.who.person
        cells = state.cells(person)
        held = {cell.topic: cell for cell in cells if cell.hold is not None and cell.hold.reason == rule}
        settled = [held[one.topic.id] for one, _ in sending.acts if one.topic.id in held]
        state.settle(self._run, [Settlement(person, cell.topic, cell.ground) for cell in settled])

    def _open_holds(self, sending: Sending, rule: Rule, why: str) -> None:
        state, person = self._eyes.state, sending.who.person
        now = {cell.topic: cell for cell in state.cells(person)}
        for one, act in sending.acts:
            if rule is Rule.NOT_HONOURED and not self._often_unfollowed(person, one.topic.id):
                continue
            state.open_hold(
                self._run,
                person,
                one.topic.id,
                reason=rule,
                why=why,
                ground=now[one.topic.id].ground,
                proposed=writes_out(act.writes),
                ledger=LedgerEntry("held", {"rule": rule.value, "why": why}, person, one.topic.id),
                afresh=True,
            )

    def _often_unfollowed(self, person: PersonId, topic: TopicId) -> bool:
        return self._eyes.state.unfollowed(person, topic) >= NOT_HONOURED_MAX


_STATES = {
    Fate.PROVEN: AttemptState.DONE,
    Fate.CHALLENGED: AttemptState.DONE,
    Fate.UNPROVEN: AttemptState.IN_DOUBT,
    Fate.UNFOLLOWED: AttemptState.FAILED,
    Fate.REFUSED: AttemptState.DEAD,
    Fate.FAILED: AttemptState.FAILED,
}


def _ended(attempt: int, sending: Sending, result: Result) -> Ended:
    topics = [write.topic for write in sending.unit]
    body: dict[str, object] = {
        "attempt": attempt,
        "side": sending.side.value,
        "topics": topics,
        "fate": result.fate.value,
    }
    error = result.error
    if error is not None:
        body |= {"error": str(error), "code": error.code}
    return Ended(
        attempt,
        sending.who.person,
        _STATES[result.fate],
        LedgerEntry("outcome", body, sending.who.person),
        topics,
        error_code=None if error is None else error.code,
        error=None if error is None else str(error),
        written_at=result.sent_at,
    )


def _concerns(act: Act, unit: Sequence[Write]) -> bool:
    return any(write in unit for write in act.writes)
