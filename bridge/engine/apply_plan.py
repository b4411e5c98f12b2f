"""Carrying out a saved plan: exactly it, and only while its ground stands."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from bridge.core.decision import Act, is_raise
from bridge.core.errors import PlanMoved
from bridge.core.model import PersonId, RunId, Side
from bridge.core.store_port import RunKind
from bridge.engine.account_guard import require_same_account
from bridge.engine.context import RunHealth, Services, Writers
from bridge.engine.deciding import CellDecision, Decider, RunConditions
from bridge.engine.dry_run import key_of
from bridge.engine.fetch import Fetcher
from bridge.engine.report import Report, WriteCounts
from bridge.engine.send import Sender
from bridge.engine.serialize import Json, act_in, act_out


class PlanRunner:
    """Looks at everybody the plan names again, on both sides; if one decision differs, nothing is written."""

    def __init__(self, services: Services, writers: Writers) -> None:
        self._services = services
        self._writers = writers

    def carry_out(self, acts: Sequence[Json], *, mapping: str) -> Report:
        """Carry out the acts of a plan. Raises PlanMoved before the first write if anything has moved."""
        if mapping != self._services.mapping.digest:
            raise PlanMoved("The mapping is not the one this plan was made with.", hint=_AGAIN)
        state, began = self._services.state, self._services.clock()
        before = {side: self._services.readers[side].calls for side in Side}
        run = state.runs.begin(RunKind.APPLY)
        health = RunHealth()
        fetcher = Fetcher(self._services, run, health)
        # approvals and first-run holds were weighed when the plan was made: what it holds back is not in it
        decider = Decider(self._services, health, RunConditions(raises_approved=True))
        try:
            require_same_account(self._services, health)
            self._look(fetcher, health, acts)
            self._compare(decider, acts)
            written = self._write(run, health, decider, fetcher, acts)
        except PlanMoved:
            state.runs.end(run, "stopped", {"refused": True})
            raise
        except BaseException as error:
            state.runs.end(run, "failed", {"error": type(error).__name__})
            raise
        report = Report(
            run=run,
            kind=RunKind.APPLY,
            started_at=began,
            seconds=(self._services.clock() - began) / timedelta(seconds=1),
            observed=fetcher.observed,
            written=written,
            counts=state.cells.counts(),
            calls={side: self._services.readers[side].calls - before[side] for side in Side},
            brakes=[],
            warnings=health.warnings,
            errors=health.errors,
            people=state.people.count(),
        )
        state.runs.end(run, "done", report.shown())
        return report

    def _look(self, fetcher: Fetcher, health: RunHealth, acts: Sequence[Json]) -> None:
        people = [PersonId(act["person"]) for act in acts]
        for side in Side:
            fetcher.look(side, people)
            if side in health.down:
                raise health.down[side]

    def _compare(self, decider: Decider, acts: Sequence[Json]) -> None:
        moved = [act["shown"] for act in acts if not self._stands(decider, act)]
        if moved:
            names = ", ".join(moved[:3]) + (" and others" if len(moved) > 3 else "")
            raise PlanMoved(
                f"What this plan was based on has changed for {len(moved)} of {len(acts)} people ({names}); "
                "nothing was written.",
                hint=_AGAIN,
            )

    def _stands(self, decider: Decider, act: Json) -> bool:
        now = {one.topic.id: one.decision for one in self._person(decider, act)}
        return all(
            isinstance(decision := now.get(topic), Act) and key_of(act_out(decision)) == key_of(shown)
            for topic, shown in act["acts"].items()
        )

    def _person(self, decider: Decider, act: Json) -> list[CellDecision]:
        return decider.person(self._services.state.cells.of(PersonId(act["person"])))

    def _write(
        self, run: RunId, health: RunHealth, decider: Decider, fetcher: Fetcher, acts: Sequence[Json]
    ) -> WriteCounts:
        carrier = Sender(self._services, self._writers, run, health)
        written = WriteCounts()
        for up in (False, True):
            for act in acts:
                wanted = self._wanted(decider, act, up=up)
                if up and wanted:
                    wanted = self._confirmed(fetcher, decider, act)
                    written.failed += not wanted
                if wanted:
                    written.add(carrier.carry(self._services.state.people.get(wanted[0].cell.person), wanted))
                self._services.heartbeat()
        return written

    def _wanted(self, decider: Decider, act: Json, *, up: bool) -> list[CellDecision]:
        """What is still to be done of one person's acts: those that raise, or those that withdraw."""
        return [
            one
            for one in self._person(decider, act)
            if one.topic.id in act["acts"] and isinstance(one.decision, Act) and is_raise(one.decision) is up
        ]

    def _confirmed(self, fetcher: Fetcher, decider: Decider, act: Json) -> list[CellDecision]:
        """The opt-ins that still stand after another look at their target, all or none: since everybody was
        looked at, many others may have been written."""
        raised = {topic: shown for topic, shown in act["acts"].items() if is_raise(act_in(shown))}
        for side in {write.side for shown in raised.values() for write in act_in(shown).writes}:
            if not fetcher.look(side, [PersonId(act["person"])]):
                return []
        stands = self._stands(decider, {**act, "acts": raised})
        return self._wanted(decider, {**act, "acts": raised}, up=True) if stands else []


_AGAIN = "Make a new one: `bridge plan --out FILE`."
