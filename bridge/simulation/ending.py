"""The end of a schedule: the faults stop, and what was promised must come true.

I2: each opt-out that was seen holds at both sides, or an operator is asked. I4: when nobody acts, writes end.
I10: the ledger's chain holds. Liveness: a fresh opt-in has arrived, or an operator is asked.
"""

from __future__ import annotations

from datetime import timedelta

from bridge.core.model import CHANNEL, Choice, HoldState, Side, TopicId
from bridge.simulation.history import PersonAct
from bridge.simulation.steps import Runs
from bridge.simulation.world import HOLDS, SimulatedWorld

_QUIET = 3  # the last runs, which must write nothing
_MOST = 8  # runs until then
_SLACK = timedelta(seconds=5)


def end(world: SimulatedWorld) -> None:
    """Let the world come to rest, and judge it."""
    _stop_faults(world)
    quiet = 0
    for number in range(_MOST + _QUIET):
        world.history.time.add(26 * 3600 if number == 2 else 1200)  # every retry is due within a day
        outcome = world.run(Runs(full=number == 2))
        report = outcome.report
        if report is None:
            world.oracle.breach("liveness", f"a run without faults ended by {outcome.error}")
            return
        calm = not report.written.writes and not report.written.failed and not report.errors
        quiet = quiet + 1 if calm else 0
        if quiet >= _QUIET and number > 2:
            break
    else:
        world.oracle.breach("I4", "writes do not come to an end")
    Ending(world).judge()


def _stop_faults(world: SimulatedWorld) -> None:
    world.history.time.ahead.clear()
    world.history.time.add(3600)  # what was sent late has arrived by now
    for service in world.services.values():
        service.disclose()
    world.services[Side.MYPREFERENCES].touch()


class Ending:
    """Judges a world at rest."""

    def __init__(self, world: SimulatedWorld) -> None:
        self._world, self._oracle = world, world.oracle
        holds = world.process.store.holds.page(None, limit=HOLDS)
        self._asked = {
            (world.person(hold.person), hold.topic) for hold in holds if hold.state is HoldState.OPEN
        }

    def judge(self) -> None:
        """Note each promise that did not come true."""
        self._world.process.store.ledger.verify()
        for person, topic in self._oracle.disagreements():
            if not self._is_asked(person, topic):
                self._oracle.breach("I2", f"at rest, person {person} differs in {topic}, and nobody is asked")
        for person in self._world.addresses:
            for mapped in self._world.mapping.all:
                if mapped.source is not None and not self._is_asked(person, mapped.id):
                    self._judge_cell(person, mapped.id)

    def _is_asked(self, person: int, topic: TopicId) -> bool:
        known = {(person, topic), (person, CHANNEL)}
        report = self._world.outcomes[-1].report
        braked = report is not None and bool(report.brakes)
        return braked or bool(known & self._asked or known & self._oracle.by_operator)

    def _judge_cell(self, person: int, topic: TopicId) -> None:
        said = [act for act in self._oracle.history.acts if (act.person, act.topic) == (person, topic)]
        outs = [act for act in self._oracle.withdrawals(person, topic) if act.kept_at is not None]
        ins = [act for act in said if act.choice is Choice.OPTED_IN and act.date is not None]
        for side in Side:
            record = self._world.services[side].records[person]
            if record.present and self._oracle.standing(person, side, topic) is Choice.OPTED_IN:
                lost = [act for act in outs if not any(self._undoes(one, act) for one in ins)]
                if lost:
                    what = (
                        f"person {person} is opted in to {topic} at {side} over an opt-out of {lost[-1].at}"
                    )
                    self._oracle.breach("I2", what)

    def _undoes(self, opt_in: PersonAct, out: PersonAct) -> bool:
        """Whether an opt-in is newer than an opt-out by what the bridge could know."""
        if opt_in.date is None:
            return False
        if out.date is None or out.date > out.at + timedelta(minutes=15):
            return opt_in.at > out.at
        return opt_in.date > out.date + self._world.tuning.skew
