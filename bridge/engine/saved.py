"""Carrying out a saved plan: exactly it, and only while its ground stands."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from bridge.core.decision import Act, raises
from bridge.core.errors import PlanMoved
from bridge.core.model import PersonId, RunId, Side
from bridge.core.state import RunKind
from bridge.engine.accounts import demand_same
from bridge.engine.carry import Carrier
from bridge.engine.judge import Judge, Judged, Standing
from bridge.engine.look import Looker
from bridge.engine.parts import Eyes, Hands, Weather
from bridge.engine.planning import key_of
from bridge.engine.records import Json, act_in, act_out
from bridge.engine.report import Report, Tally


class SavedPlan:
    """Looks at everybody the plan names again, on both sides; if one decision differs, nothing is written."""

    def __init__(self, eyes: Eyes, hands: Hands) -> None:
        self._eyes = eyes
        self._hands = hands

    def carry_out(self, acts: Sequence[Json], *, mapping: str) -> Report:
        """Carry out the acts of a plan. Raises PlanMoved before the first write if anything has moved."""
        if mapping != self._eyes.mapping.digest:
            raise PlanMoved("The mapping is not the one this plan was made with.", hint=_AGAIN)
        state, began = self._eyes.state, self._eyes.clock()
        before = {side: self._eyes.readers[side].calls for side in Side}
        run = state.begin_run(RunKind.APPLY)
        weather = Weather()
        looker = Looker(self._eyes, run, weather)
        # approvals and first-run holds were weighed when the plan was made: what it holds back is not in it
        judge = Judge(self._eyes, weather, Standing(raises_approved=True))
        try:
            demand_same(self._eyes, weather)
            self._look(looker, weather, acts)
            self._compare(judge, acts)
            tally = self._write(run, weather, judge, looker, acts)
        except PlanMoved:
            state.end_run(run, "stopped", {"refused": True})
            raise
        except BaseException as error:
            state.end_run(run, "failed", {"error": type(error).__name__})
            raise
        report = Report(
            run=run,
            kind=RunKind.APPLY,
            started_at=began,
            seconds=(self._eyes.clock() - began) / timedelta(seconds=1),
            observed=looker.observed,
            tally=tally,
            counts=state.counts(),
            calls={side: self._eyes.readers[side].calls - before[side] for side in Side},
            brakes=[],
            warnings=weather.warnings,
            errors=weather.errors,
            people=state.people_count(),
        )
        state.end_run(run, "done", report.shown())
        return report

    def _look(self, looker: Looker, weather: Weather, acts: Sequence[Json]) -> None:
        people = [PersonId(act["person"]) for act in acts]
        for side in Side:
            looker.look(side, people)
            if side in weather.down:
                raise weather.down[side]

    def _compare(self, judge: Judge, acts: Sequence[Json]) -> None:
        moved = [act["shown"] for act in acts if not self._stands(judge, act)]
        if moved:
            names = ", ".join(moved[:3]) + (" and others" if len(moved) > 3 else "")
            raise PlanMoved(
                f"What this plan was based on has changed for {len(moved)} of {len(acts)} people ({names}); "
                "nothing was written.",
                hint=_AGAIN,
            )

    def _stands(self, judge: Judge, act: Json) -> bool:
        now = {one.topic.id: one.decision for one in self._person(judge, act)}
        return all(
            isinstance(decision := now.get(topic), Act) and key_of(act_out(decision)) == key_of(shown)
            for topic, shown in act["acts"].items()
        )

    def _person(self, judge: Judge, act: Json) -> list[Judged]:
        return judge.person(self._eyes.state.cells(PersonId(act["person"])))

    def _write(
        self, run: RunId, weather: Weather, judge: Judge, looker: Looker, acts: Sequence[Json]
    ) -> Tally:
        carrier = Carrier(self._eyes, self._hands, run, weather)
        tally = Tally()
        for up in (False, True):
            for act in acts:
                wanted = self._wanted(judge, act, up=up)
                if up and wanted:
                    wanted = self._confirmed(looker, judge, act)
                    tally.failed += not wanted
                if wanted:
                    tally.add(carrier.carry(self._eyes.state.who(wanted[0].cell.person), wanted))
                self._eyes.heartbeat()
        return tally

    def _wanted(self, judge: Judge, act: Json, *, up: bool) -> list[Judged]:
        """What is still to be done of one person's acts: those that raise, or those that withdraw."""
        return [
            one
            for one in self._person(judge, act)
            if one.topic.id in act["acts"] and isinstance(one.decision, Act) and raises(one.decision) is up
        ]

    def _confirmed(self, looker: Looker, judge: Judge, act: Json) -> list[Judged]:
        """The opt-ins that still stand after another look at their target, all or none: since everybody was
        looked at, many others may have been written."""
        raised = {topic: shown for topic, shown in act["acts"].items() if raises(act_in(shown))}
        for side in {write.side for shown in raised.values() for write in act_in(shown).writes}:
            if not looker.look(side, [PersonId(act["person"])]):
                return []
        stands = self._stands(judge, {**act, "acts": raised})
        return self._wanted(judge, {**act, "acts": raised}, up=True) if stands else []


_AGAIN = "Make a new one: `bridge plan --out FILE`."
