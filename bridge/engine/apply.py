"""Applying decisions: withdrawals first, always; raises after, each guarded by a fresh read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from bridge.core.brakes import Brakes, Load, check
from bridge.core.decision import WORDS, Act, Agree, Decision, Held, Nothing, Rule, Wait, raises
from bridge.core.errors import SideError
from bridge.core.lanes import Lane, calls_for, same_lane
from bridge.core.model import PersonId, RunId, Side
from bridge.core.permit import asked
from bridge.core.state import LedgerEntry, Settlement
from bridge.engine.carry import Carrier
from bridge.engine.judge import Judge, Judged
from bridge.engine.look import Looker
from bridge.engine.parts import Eyes, Weather
from bridge.engine.records import ground_out, writes_out
from bridge.engine.report import Tally

_KEEPS_HOLD = frozenset({Rule.DISMISSED, Rule.CHALLENGE_PENDING})


class Applier:
    """Carries out what was judged, in two passes over everybody who has something to decide."""

    def __init__(
        self,
        eyes: Eyes,
        run: RunId,
        weather: Weather,
        *,
        judge: Judge,
        looker: Looker,
        carrier: Carrier,
        brakes: Brakes,
    ) -> None:
        self._eyes = eyes
        self._run = run
        self._weather = weather
        self._judge = judge
        self._looker = looker
        self._carrier = carrier
        self.brakes = brakes
        self._raised = 0  # people whom this run has opted in, or tried to

    def withdrawals(self) -> Tally:
        """Settle what is agreed, open and close holds, and send every withdrawal."""
        with calls_for(Lane.WITHDRAWALS):
            return self._pass("withdrawals", self._withdraw)

    def raises(self, *, people: int) -> Tally:
        """Send raises and frequency changes, unless a brake or bad weather forbids them. `people` is how many
        are known. What comes to be raised after the run was weighed, since a person released it meanwhile,
        counts too."""

        def brake(page: list[list[Judged]]) -> bool:
            self._raised += sum(any(self._may_raise(one) for one in person) for person in page)
            found = check(Load(self._raised, 0, people), self._eyes.tuning.limits)
            if found.raises:
                reasons = (*self.brakes.reasons, *found.reasons)
                self.brakes = replace(self.brakes, raises=True, reasons=reasons)
            return found.raises

        if self.brakes.raises:
            return Tally()
        with calls_for(Lane.RAISES):
            return self._pass("opt-ins", self._raise, brake)

    def _pass(
        self,
        name: str,
        act: Callable[[list[Judged]], Tally],
        brake: Callable[[list[list[Judged]]], bool] = lambda _: False,
    ) -> Tally:
        total, done = Tally(), 0
        for page in self._judge.people():
            self._settle([one for person in page for one in person])
            if brake(page):
                break
            acting = [person for person in page if any(isinstance(one.decision, Act) for one in person)]
            with ThreadPoolExecutor(self._eyes.tuning.workers) as pool:
                for tally in pool.map(same_lane(act), acting):
                    total.add(tally)
            done += len(page)
            self._eyes.progress(f"sending {name}", done)
        return total

    def _withdraw(self, judged: list[Judged]) -> Tally:
        acts = [one for one in judged if isinstance(one.decision, Act) and not raises(one.decision)]
        sendable = [one for one in acts if self._can_write(one.decision)]
        if self.brakes.withdrawals or not sendable:
            return Tally()
        return self._carrier.carry(self._eyes.state.who(sendable[0].cell.person), sendable)

    def _can_write(self, decision: Decision) -> bool:
        """Whether a side that it would write to is there: one that is down keeps nothing from the other."""
        return isinstance(decision, Act) and any(
            write.side not in self._weather.down for write in decision.writes
        )

    def _raise(self, judged: list[Judged]) -> Tally:
        wanted = [one for one in judged if self._may_raise(one)]
        if not wanted:
            return Tally()
        person = wanted[0].cell.person
        if self._looker.unread(person):
            return Tally()  # something happened there that could not be read: it may be a withdrawal
        confirmed = self._confirmed(person, {one.topic.id for one in wanted}, _targets(wanted))
        if not confirmed:
            return Tally()
        return self._carrier.carry(self._eyes.state.who(person), confirmed)

    def _may_raise(self, one: Judged) -> bool:
        unsure = one.topic.id in self._weather.unsure
        return raises(one.decision) and not unsure and self._can_write(one.decision)

    def _confirmed(self, person: PersonId, topics: set[str], sides: set[Side]) -> list[Judged]:
        """Look at the targets again, decide again, and keep what still is a raise."""
        who = self._eyes.state.who(person)
        for side in sides:
            try:
                view = self._eyes.readers[side].look(who)
            except SideError as error:
                self._weather.warn(f"{side}: an opt-in waits, since its target could not be read ({error})")
                return []
            self._looker.record(side, [view])
        again = self._judge.person(self._eyes.state.cells(person))
        return [one for one in again if one.topic.id in topics and raises(one.decision)]

    def _settle(self, judged: Sequence[Judged]) -> None:
        state = self._eyes.state
        settlements = [_settlement(one) for one in judged if not isinstance(one.decision, Act | Wait)]
        for one in judged:
            if asked(one.cell):
                continue  # it is the record of the question
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


def _targets(judged: Sequence[Judged]) -> set[Side]:
    return {write.side for one in judged if isinstance(one.decision, Act) for write in one.decision.writes}


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
