"""Applying decisions: withdrawals first, always; raises after, each guarded by a fresh read."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from bridge.core.brakes import Brakes, Load, check
from bridge.core.decision import WORDS, Act, Agree, Decision, Held, Nothing, Rule, Wait, raises, writes_of
from bridge.core.lanes import Lane, calls_for, same_lane
from bridge.core.model import RunId, Side, Who
from bridge.core.state import LedgerEntry, Settlement
from bridge.engine.asking import note_decided
from bridge.engine.books import Errand
from bridge.engine.burst import Burst
from bridge.engine.carry import Carrier
from bridge.engine.confirm import Confirmer, can_write
from bridge.engine.judge import Judge, Judged
from bridge.engine.look import batched
from bridge.engine.parts import Eyes, Weather
from bridge.engine.records import ground_out, writes_out
from bridge.engine.report import Tally

_KEEPS_HOLD = frozenset({Rule.DISMISSED})


class Applier:
    """Carries out what was judged, in two passes over everybody who has something to decide."""

    def __init__(
        self,
        eyes: Eyes,
        run: RunId,
        weather: Weather,
        *,
        judge: Judge,
        confirmer: Confirmer,
        carrier: Carrier,
        burst: Burst,
        brakes: Brakes,
    ) -> None:
        self._eyes = eyes
        self._run = run
        self._weather = weather
        self._judge = judge
        self._confirmer = confirmer
        self._carrier = carrier
        self._burst = burst
        self.brakes = brakes
        self._raised = 0  # people whom this run has opted in, or tried to

    def withdrawals(self) -> Tally:
        """Settle what is agreed, open and close holds, and send every withdrawal."""
        burst = self._burst.carry
        with calls_for(Lane.WITHDRAWALS):
            return self._pass("withdrawals", self._withdrawals_of, self._carrier.carry, burst)

    def raises(self, *, people: int) -> Tally:
        """Send raises and frequency changes, unless a brake or bad weather forbids them. `people` is how many
        are known. What comes to be raised after the run was weighed, since a person released it meanwhile,
        counts too."""

        def brake(page: list[list[Judged]]) -> bool:
            self._raised += sum(any(self._confirmer.may_raise(one) for one in person) for person in page)
            found = check(Load(self._raised, 0, people), self._eyes.tuning.limits)
            if found.raises:
                reasons = (*self.brakes.reasons, *found.reasons)
                self.brakes = replace(self.brakes, raises=True, reasons=reasons)
            return found.raises

        if self.brakes.raises:
            return Tally()
        with calls_for(Lane.RAISES):
            return self._pass("opt-ins", self._raises_of, self._raise, self._raise_many, brake)

    def _pass(
        self,
        name: str,
        wanted: Callable[[list[Judged]], list[Judged]],
        one: Callable[[Who, Sequence[Judged]], Tally],
        many: Callable[[Side, Sequence[Errand]], Tally],
        brake: Callable[[list[list[Judged]]], bool] = lambda _: False,
    ) -> Tally:
        """Gather everybody's writes in waves, and send each wave: together where a side would rather."""
        total, wave, done = Tally(), [], 0
        for page in self._judge.people():
            self._settle([judged for person in page for judged in person])
            if brake(page):
                return total
            wave += self._errands([found for person in page if (found := wanted(person))])
            done += len(page)
            self._eyes.progress(f"sending {name}", done)
            if len(wave) >= self._eyes.tuning.wave:
                total.add(self._send(wave, one, many))
                wave = []
        total.add(self._send(wave, one, many))
        return total

    def _errands(self, people: Sequence[list[Judged]]) -> list[Errand]:
        whose = {who.person: who for who in self._eyes.state.who_many([one[0].cell.person for one in people])}
        return [Errand.of(whose[judged[0].cell.person], judged) for judged in people]

    def _send(
        self,
        wave: Sequence[Errand],
        one: Callable[[Who, Sequence[Judged]], Tally],
        many: Callable[[Side, Sequence[Errand]], Tally],
    ) -> Tally:
        """Whoever is written at one side only goes with the others there, if that side takes many at once."""
        total, singly = Tally(), []
        for side, errands in _by_side(wave):
            if side is not None and self._burst.prefers(side, errands):
                total.add(many(side, errands))
            else:
                singly += errands

        def alone(errand: Errand) -> Tally:
            return one(errand.who, errand.judged)

        for some in batched(singly, self._eyes.tuning.page):
            with ThreadPoolExecutor(self._eyes.tuning.workers) as pool:
                for tally in pool.map(same_lane(alone), some):
                    total.add(tally)
            self._eyes.heartbeat()
        return total

    def _withdrawals_of(self, judged: list[Judged]) -> list[Judged]:
        if self.brakes.withdrawals:
            return []
        acts = [one for one in judged if isinstance(one.decision, Act) and not raises(one.decision)]
        return [one for one in acts if can_write(self._weather, one.decision) and self._free(one, judged)]

    def _raises_of(self, judged: list[Judged]) -> list[Judged]:
        return [one for one in judged if self._confirmer.may_raise(one) and self._free(one, judged)]

    def _free(self, one: Judged, judged: Sequence[Judged]) -> bool:
        """Whether nothing of this person is still in a bulk job that this write might cross."""
        doubted = {side for other in judged for side in other.cell.in_doubt_since} & self._weather.busy
        return not any(write.side in doubted for write in writes_of(one.decision))

    def _raise(self, who: Who, judged: Sequence[Judged]) -> Tally:
        confirmed = self._confirmer.one(judged)
        return self._carrier.carry(who, confirmed) if confirmed else Tally()

    def _raise_many(self, side: Side, errands: Sequence[Errand]) -> Tally:
        evidence = self._burst.gather(side, errands)
        confirmed = self._confirmer.many(side, [one for one in errands if one.who.person in evidence])
        return self._burst.carry(side, confirmed, evidence) if confirmed else Tally()

    def _settle(self, judged: Sequence[Judged]) -> None:
        state = self._eyes.state
        settlements = [_settlement(one) for one in judged if not isinstance(one.decision, Act | Wait)]
        for one in judged:
            note_decided(state, self._run, one)
            if isinstance(one.decision, Held):
                self._hold(one, one.decision)
            elif one.cell.hold is not None and _over(one.decision):
                state.close_hold(one.cell.person, one.topic.id)
        if settlements:
            state.settle(self._run, settlements)

    def _hold(self, one: Judged, held: Held) -> None:
        why = WORDS[held.rule]
        body = {"rule": held.rule.value, "why": why, "mapping": self._eyes.mapping.digest}
        self._eyes.state.open_hold(
            self._run,
            one.cell.person,
            one.topic.id,
            reason=held.rule.value,
            why=why,
            ground=one.cell.ground,
            proposed=writes_out(held.proposed),
            ledger=LedgerEntry("held", {**body, **ground_out(one.cell)}, one.cell.person, one.topic.id),
        )


def _by_side(wave: Sequence[Errand]) -> Iterator[tuple[Side | None, list[Errand]]]:
    """Those who are written at one side only, by that side; under None those who are written at both."""
    found: dict[Side | None, list[Errand]] = {side: [] for side in (*Side, None)}
    for errand in wave:
        found[next(iter(errand.sides)) if len(errand.sides) == 1 else None].append(errand)
    yield from ((side, mine) for side, mine in found.items() if mine)


def _over(decision: Decision) -> bool:
    """Whether a decision ends the hold that stood before it. An act keeps it until it is carried out."""
    if isinstance(decision, Wait | Act):
        return False
    return not (isinstance(decision, Nothing) and decision.rule in _KEEPS_HOLD)


def _settlement(one: Judged) -> Settlement:
    agreement = one.decision.agreement if isinstance(one.decision, Agree) else None
    before = one.cell.agreed
    entry = None
    if agreement is not None and before is not None and before.choice is not agreement.choice:
        body = {"choice": agreement.choice.value, "rule": agreement.rule, **ground_out(one.cell)}
        entry = LedgerEntry("agreed", body, one.cell.person, one.topic.id)
    return Settlement(one.cell.person, one.topic.id, one.cell.ground, agreement, entry)
