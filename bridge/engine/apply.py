"""Applying decisions: withdrawals first, always; raises after, each guarded by a fresh read."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from bridge.core.brakes import BrakeResult, RunVolume, check_brakes
from bridge.core.decision import (
    RULE_TEXT,
    Act,
    Agree,
    Decision,
    Held,
    Nothing,
    Rule,
    Wait,
    is_raise,
    writes_of,
)
from bridge.core.model import RunId, Side, Who
from bridge.core.ports import batched
from bridge.core.priority import Priority, keep_priority, with_priority
from bridge.core.store_port import LedgerEntry, Settlement
from bridge.engine.attempts import PersonWrites
from bridge.engine.context import RunHealth, Services
from bridge.engine.deciding import CellDecision, Decider
from bridge.engine.double_opt_in import note_decided
from bridge.engine.recheck import PreRaiseCheck, can_write
from bridge.engine.report import WriteCounts
from bridge.engine.send import Sender
from bridge.engine.send_bulk import BulkSender
from bridge.engine.serialize import ground_out, writes_out

_KEEPS_HOLD = frozenset({Rule.DISMISSED})


class Applier:
    """Carries out what was judged, in two passes over everybody who has something to decide."""

    def __init__(
        self,
        services: Services,
        run: RunId,
        health: RunHealth,
        *,
        decider: Decider,
        confirmer: PreRaiseCheck,
        carrier: Sender,
        burst: BulkSender,
        brakes: BrakeResult,
    ) -> None:
        self._services = services
        self._run = run
        self._health = health
        self._decider = decider
        self._confirmer = confirmer
        self._carrier = carrier
        self._burst = burst
        self.brakes = brakes
        self._raised = 0  # people whom this run has opted in, or tried to

    def withdrawals(self) -> WriteCounts:
        """Settle what is agreed, open and close holds, and send every withdrawal."""
        burst = self._burst.carry
        with with_priority(Priority.WITHDRAWALS):
            return self._pass("withdrawals", self._withdrawals_of, self._carrier.carry, burst)

    def raises(self, *, people: int) -> WriteCounts:
        """Send raises and frequency changes, unless a brake or bad weather forbids them. `people` is how many
        are known. What comes to be raised after the run was weighed, since a person released it meanwhile,
        counts too."""

        def brake(page: list[list[CellDecision]]) -> bool:
            self._raised += sum(any(self._confirmer.may_raise(one) for one in person) for person in page)
            found = check_brakes(RunVolume(self._raised, 0, people), self._services.tuning.limits)
            if found.raises:
                reasons = (*self.brakes.reasons, *found.reasons)
                self.brakes = replace(self.brakes, raises=True, reasons=reasons)
            return found.raises

        if self.brakes.raises:
            return WriteCounts()
        with with_priority(Priority.RAISES):
            return self._pass("opt-ins", self._raises_of, self._raise, self._raise_many, brake)

    def _pass(
        self,
        name: str,
        wanted: Callable[[list[CellDecision]], list[CellDecision]],
        one: Callable[[Who, Sequence[CellDecision]], WriteCounts],
        many: Callable[[Side, Sequence[PersonWrites]], WriteCounts],
        brake: Callable[[list[list[CellDecision]]], bool] = lambda _: False,
    ) -> WriteCounts:
        """Gather everybody's writes in waves, and send each wave: together where a side would rather."""
        total, wave, done = WriteCounts(), [], 0
        for page in self._decider.people():
            self._settle([decisions for person in page for decisions in person])
            if brake(page):
                return total
            wave += self._work([found for person in page if (found := wanted(person))])
            done += len(page)
            self._services.progress(f"sending {name}", done)
            if len(wave) >= self._services.tuning.wave:
                total.add(self._send(wave, one, many))
                wave = []
        total.add(self._send(wave, one, many))
        return total

    def _work(self, people: Sequence[list[CellDecision]]) -> list[PersonWrites]:
        whose = {
            who.person: who
            for who in self._services.state.people.get_many([one[0].cell.person for one in people])
        }
        return [PersonWrites.of(whose[decisions[0].cell.person], decisions) for decisions in people]

    def _send(
        self,
        wave: Sequence[PersonWrites],
        one: Callable[[Who, Sequence[CellDecision]], WriteCounts],
        many: Callable[[Side, Sequence[PersonWrites]], WriteCounts],
    ) -> WriteCounts:
        """Whoever is written at one side only goes with the others there, if that side takes many at once."""
        total, singly = WriteCounts(), []
        for side, work in _by_side(wave):
            if side is not None and self._burst.prefers(side, work):
                total.add(many(side, work))
            else:
                singly += work

        def alone(person_writes: PersonWrites) -> WriteCounts:
            return one(person_writes.who, person_writes.decisions)

        for some in batched(singly, self._services.tuning.page):
            with ThreadPoolExecutor(self._services.tuning.workers) as pool:
                for written in pool.map(keep_priority(alone), some):
                    total.add(written)
            self._services.heartbeat()
        return total

    def _withdrawals_of(self, decisions: list[CellDecision]) -> list[CellDecision]:
        if self.brakes.withdrawals:
            return []
        acts = [one for one in decisions if isinstance(one.decision, Act) and not is_raise(one.decision)]
        return [one for one in acts if can_write(self._health, one.decision) and self._free(one, decisions)]

    def _raises_of(self, decisions: list[CellDecision]) -> list[CellDecision]:
        return [one for one in decisions if self._confirmer.may_raise(one) and self._free(one, decisions)]

    def _free(self, one: CellDecision, decisions: Sequence[CellDecision]) -> bool:
        """Whether nothing of this person is still in a bulk job that this write might cross."""
        doubted = {side for other in decisions for side in other.cell.in_doubt_since} & self._health.busy
        return not any(write.side in doubted for write in writes_of(one.decision))

    def _raise(self, who: Who, decisions: Sequence[CellDecision]) -> WriteCounts:
        confirmed = self._confirmer.one(decisions)
        return self._carrier.carry(who, confirmed) if confirmed else WriteCounts()

    def _raise_many(self, side: Side, work: Sequence[PersonWrites]) -> WriteCounts:
        evidence = self._burst.gather(side, work)
        confirmed = self._confirmer.many(side, [one for one in work if one.who.person in evidence])
        return self._burst.carry(side, confirmed, evidence) if confirmed else WriteCounts()

    def _settle(self, decisions: Sequence[CellDecision]) -> None:
        state = self._services.state
        settlements = [_settlement(one) for one in decisions if not isinstance(one.decision, Act | Wait)]
        for one in decisions:
            note_decided(state, self._run, one)
            if isinstance(one.decision, Held):
                self._hold(one, one.decision)
            elif one.cell.hold is not None and _over(one.decision):
                state.holds.close(one.cell.person, one.topic.id)
        if settlements:
            state.cells.settle(self._run, settlements)

    def _hold(self, one: CellDecision, held: Held) -> None:
        why = RULE_TEXT[held.rule]
        body = {"rule": held.rule.value, "why": why, "mapping": self._services.mapping.digest}
        self._services.state.holds.open(
            self._run,
            one.cell.person,
            one.topic.id,
            reason=held.rule.value,
            why=why,
            ground=one.cell.ground,
            proposed=writes_out(held.proposed),
            ledger=LedgerEntry("held", {**body, **ground_out(one.cell)}, one.cell.person, one.topic.id),
        )


def _by_side(wave: Sequence[PersonWrites]) -> Iterator[tuple[Side | None, list[PersonWrites]]]:
    """Those who are written at one side only, by that side; under None those who are written at both."""
    found: dict[Side | None, list[PersonWrites]] = {side: [] for side in (*Side, None)}
    for person_writes in wave:
        found[next(iter(person_writes.sides)) if len(person_writes.sides) == 1 else None].append(
            person_writes
        )
    yield from ((side, mine) for side, mine in found.items() if mine)


def _over(decision: Decision) -> bool:
    """Whether a decision ends the hold that stood before it. An act keeps it until it is carried out."""
    if isinstance(decision, Wait | Act):
        return False
    return not (isinstance(decision, Nothing) and decision.rule in _KEEPS_HOLD)


def _settlement(one: CellDecision) -> Settlement:
    agreement = one.decision.agreement if isinstance(one.decision, Agree) else None
    before = one.cell.agreed
    entry = None
    if agreement is not None and before is not None and before.choice is not agreement.choice:
        body = {"choice": agreement.choice.value, "rule": agreement.rule, **ground_out(one.cell)}
        entry = LedgerEntry("agreed", body, one.cell.person, one.topic.id)
    return Settlement(one.cell.person, one.topic.id, one.cell.ground, agreement, entry)
