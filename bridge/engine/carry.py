"""Carrying one person's writes: note the attempt, call, read back, settle."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from bridge.core.decision import WORDS, Act, Rule
from bridge.core.errors import SideError, Verdict
from bridge.core.lanes import Lane, calls_for
from bridge.core.mapping import Mapping
from bridge.core.model import Agreement, Cell, PersonId, RunId, Side, TopicId, Who, Write
from bridge.core.ports import Outcome, PersonView
from bridge.core.proof import proves
from bridge.core.state import AttemptState, LedgerEntry, Settlement
from bridge.engine.judge import Judged
from bridge.engine.parts import Eyes, Hands, Weather
from bridge.engine.records import act_out, ground_out, writes_out
from bridge.engine.report import Tally

NOT_HONOURED_MAX = 3  # accepted but unfollowed writes in a row before a person is asked


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


class Carrier:
    """Sends decided writes. The attempt is stored before the call: killed at any moment, the next round knows
    what may have happened and reads it back first."""

    def __init__(self, eyes: Eyes, hands: Hands, run: RunId, weather: Weather) -> None:
        self._eyes = eyes
        self._hands = hands
        self._run = run
        self._weather = weather

    def carry(self, who: Who, judged: Sequence[Judged]) -> Tally:
        """Send all writes of these decisions, all of one person."""
        tally = Tally()
        acts = [(one, one.decision) for one in judged if isinstance(one.decision, Act)]
        shown: dict[Side, PersonView] = {}
        failed: set[TopicId] = set()
        for side in Side:
            writes = [write for _, act in acts for write in act.writes if write.side is side]
            for unit in self._hands.replicas[side].units(writes) if writes else ():
                result = self._unit(who, unit, [pair for pair in acts if _concerns(pair[1], unit)], tally)
                if result.view is not None:
                    shown[side] = result.view
                if result.fate is not Fate.PROVEN:
                    failed |= {write.topic for write in unit}
        self._agree([(one, act) for one, act in acts if one.topic.id not in failed], shown)
        return tally

    def _unit(
        self, who: Who, unit: Sequence[Write], acts: Sequence[tuple[Judged, Act]], tally: Tally
    ) -> Result:
        side = unit[0].side
        if side in self._weather.down:
            return Result(Fate.FAILED)
        body = {
            "writes": writes_out(unit),
            "acts": {one.topic.id: act_out(act) for one, act in acts},
            "mapping": self._eyes.mapping.digest,
        }
        attempt = self._eyes.state.begin_attempt(
            self._run, who.person, side, body, self._decided(who.person, unit, acts)
        )
        result = self._send(who, unit)
        if result.fate not in (Fate.FAILED, Fate.REFUSED):
            for write in unit:
                tally.count(write)
        if result.fate is Fate.CHALLENGED:
            # Before the attempt ends: killed in between, nobody is asked twice.
            self._open_holds(who, acts, Rule.CHALLENGE_PENDING, WORDS[Rule.CHALLENGE_PENDING])
        self._end(who, attempt, unit, acts, result)
        tally.failed += result.fate in (Fate.FAILED, Fate.UNFOLLOWED)
        return result

    def _decided(
        self, person: PersonId, unit: Sequence[Write], acts: Sequence[tuple[Judged, Act]]
    ) -> LedgerEntry:
        """The ledger's line of why: all that the decision rested on."""
        body = {
            "side": unit[0].side.value,
            "writes": writes_out(unit),
            "mapping": self._eyes.mapping.digest,
            "grounds": {
                one.topic.id: {
                    **ground_out(one.cell),
                    "rule": act.rule.value,
                    "policy": one.topic.conflict.value,
                }
                for one, act in acts
            },
        }
        return LedgerEntry("decided", body, person)

    def _send(self, who: Who, unit: Sequence[Write]) -> Result:
        side = unit[0].side
        try:
            outcome = self._hands.replicas[side].write(who, unit)
        except SideError as error:
            return self._refusal(who, unit, error)
        self._weather.reached(side)
        return self._read_back(who, unit, outcome, self._eyes.clock())

    def _refusal(self, who: Who, unit: Sequence[Write], error: SideError) -> Result:
        match error.verdict:
            case Verdict.DONE:
                return self._read_back(who, unit, Outcome.ALREADY_SO, self._eyes.clock())
            case Verdict.IN_DOUBT:
                found = self._read_back(who, unit, Outcome.ACCEPTED, self._eyes.clock())
                fate = found.fate if found.fate is Fate.PROVEN else Fate.UNPROVEN
                if found.view is None:  # a side in trouble must not get one write after the other in doubt
                    self._weather.missed(unit[0].side, error)
                return replace(found, fate=fate, error=error)
            case Verdict.HOLD:
                return Result(Fate.REFUSED, error=error)
            case Verdict.MEND:
                self._weather.warn(f"{unit[0].side}: {error}")
                return Result(Fate.FAILED, error=error)
            case Verdict.RETRY | Verdict.STOP:
                self._weather.missed(unit[0].side, error)
                return Result(Fate.FAILED, error=error)

    def _read_back(self, who: Who, unit: Sequence[Write], outcome: Outcome, sent_at: datetime) -> Result:
        """Look at the person again: an answer alone proves nothing."""
        side = unit[0].side
        try:
            with calls_for(Lane.READ_BACKS):
                view = self._eyes.readers[side].look(who)
        except SideError as error:
            return Result(Fate.UNPROVEN, error=error, sent_at=sent_at)
        return Result(self._fate(unit, outcome, view), view, sent_at=sent_at)

    def _fate(self, unit: Sequence[Write], outcome: Outcome, view: PersonView) -> Fate:
        if outcome is Outcome.CHALLENGED:
            return Fate.CHALLENGED
        if all(shows(self._eyes.mapping, write, view) for write in unit):
            return Fate.PROVEN
        pending = any(seen.reason == "pending_update" for seen in view.topics.values())
        return Fate.UNPROVEN if pending else Fate.UNFOLLOWED

    def _end(
        self,
        who: Who,
        attempt: int,
        unit: Sequence[Write],
        acts: Sequence[tuple[Judged, Act]],
        result: Result,
    ) -> None:
        state = _STATES[result.fate]
        body: dict[str, object] = {
            "attempt": attempt,
            "side": unit[0].side.value,
            "topics": [write.topic for write in unit],
            "fate": result.fate.value,
        }
        if result.error is not None:
            body |= {"error": str(result.error), "code": result.error.code}
        self._eyes.state.end_attempt(
            self._run,
            attempt,
            state,
            ledger=LedgerEntry("outcome", body, who.person),
            error=None if result.error is None else str(result.error),
            error_code=None if result.error is None else result.error.code,
            written_at=result.sent_at,
            topics=[write.topic for write in unit],
            views=() if result.view is None else (result.view,),
            spreads=self._eyes.mapping.spreads,
        )
        self._hold_where_needed(who, acts, result)

    def _hold_where_needed(self, who: Who, acts: Sequence[tuple[Judged, Act]], result: Result) -> None:
        """A person at the desk is needed where no repetition helps."""
        match result.fate:
            case Fate.REFUSED:
                rule, why = Rule.REFUSED, str(result.error)
            case Fate.CHALLENGED:
                rule, why = Rule.CHALLENGE_PENDING, WORDS[Rule.CHALLENGE_PENDING]
            case Fate.UNFOLLOWED:
                rule, why = Rule.NOT_HONOURED, WORDS[Rule.NOT_HONOURED]
            case _:
                return
        self._open_holds(who, acts, rule, why)
        state = self._eyes.state
        cells = state.cells(who.person)
        held = {cell.topic: cell for cell in cells if cell.hold is not None and cell.hold.reason == rule}
        settled = [held[one.topic.id] for one, _ in acts if one.topic.id in held]
        state.settle(self._run, [Settlement(who.person, cell.topic, cell.ground) for cell in settled])

    def _open_holds(self, who: Who, acts: Sequence[tuple[Judged, Act]], rule: Rule, why: str) -> None:
        state = self._eyes.state
        now = {cell.topic: cell for cell in state.cells(who.person)}
        for one, act in acts:
            cell = now[one.topic.id]
            if rule is Rule.NOT_HONOURED and state.unfollowed(who.person, one.topic.id) < NOT_HONOURED_MAX:
                continue
            state.open_hold(
                self._run,
                who.person,
                one.topic.id,
                reason=rule,
                why=why,
                ground=cell.ground,
                proposed=writes_out(act.writes),
                ledger=LedgerEntry("held", {"rule": rule.value, "why": why}, who.person, one.topic.id),
                afresh=True,
            )

    def _agree(self, proven: Sequence[tuple[Judged, Act]], shown: dict[Side, PersonView]) -> None:
        """What is proven is agreed: with what the written sides show now, and what the others showed when it
        was decided, so that any change of theirs since is a change."""
        if not proven:
            return
        state = self._eyes.state
        now = {cell.topic: cell for cell in state.cells(proven[0][0].cell.person)}
        for one, _ in proven:  # before it is settled: a settled cell is not looked at again
            if one.cell.hold is not None:
                state.close_hold(one.cell.person, one.topic.id)
        state.settle(self._run, [self._settlement(one, act, now[one.topic.id], shown) for one, act in proven])

    def _settlement(self, one: Judged, act: Act, now: Cell, shown: dict[Side, PersonView]) -> Settlement:
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


_STATES = {
    Fate.PROVEN: AttemptState.DONE,
    Fate.CHALLENGED: AttemptState.DONE,
    Fate.UNPROVEN: AttemptState.IN_DOUBT,
    Fate.UNFOLLOWED: AttemptState.FAILED,
    Fate.REFUSED: AttemptState.DEAD,
    Fate.FAILED: AttemptState.FAILED,
}


def shows(mapping: Mapping, write: Write, view: PersonView) -> bool:
    """Whether a read proves a write."""
    topic, seen = mapping.topic(write.topic), view.topics.get(write.topic)
    return topic is not None and seen is not None and proves(topic, write, seen)


def _concerns(act: Act, unit: Sequence[Write]) -> bool:
    return any(write in unit for write in act.writes)
