"""The dry run: everything a round would do up to its first write, and what it would then send."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from bridge.core.brakes import check_brakes
from bridge.core.decision import RULE_TEXT, Act, Held, writes_of
from bridge.core.model import Choice, PersonId, RunId, Side, Who, Withdrawal, Write, mask
from bridge.core.store_port import RunKind
from bridge.engine.account_guard import require_same_account
from bridge.engine.call_estimate import CallEstimate
from bridge.engine.context import Services
from bridge.engine.deciding import CellDecision, Decider
from bridge.engine.run import ReadPhase, RunOptions
from bridge.engine.serialize import Json, act_out, time_out


@dataclass(slots=True)
class Plan:
    """What would be written and what would be held, with reasons; `acts` is for `bridge apply`."""

    run: RunId
    mapping: str
    made_at: datetime
    writes: list[Json] = field(default_factory=list)
    held: list[Json] = field(default_factory=list)
    calls: Mapping[Side, int] = field(default_factory=lambda: dict.fromkeys(Side, 0))
    acts: list[Json] = field(default_factory=list)
    brakes: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    exit_code: int = 0
    gone: bool = False  # the mapping names what no longer exists

    def shown(self) -> dict[str, Any]:
        """The plan as JSON."""
        return {
            "writes": self.writes,
            "held": self.held,
            "calls": {side.value: calls for side, calls in self.calls.items()},
            "writes_sent": 0,
            "brakes": self.brakes,
            "warnings": self.warnings,
        }


class DryRun:
    """Observes and decides. It is given nothing that could write to a side."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._bill = CallEstimate(services)

    def plan(self, orders: RunOptions | None = None) -> Plan:
        """What a round would do now. Observations are kept, agreements are not touched."""
        state = self._services.state
        run = state.runs.begin(RunKind.PLAN)
        seeing = ReadPhase(self._services, run, orders or RunOptions(), dry=True)
        plan = Plan(run, self._services.mapping.digest, self._services.clock())
        try:
            require_same_account(self._services, seeing.health)
            decider = seeing.read()
            plan.brakes = list(check_brakes(seeing.load, self._services.tuning.limits).reasons)
            self._fill(plan, decider)
        except BaseException as error:
            state.runs.end(run, "failed", {"error": type(error).__name__})
            raise
        plan.warnings = seeing.health.warnings
        plan.gone = bool(seeing.health.gone)
        plan.exit_code = max((error.exit_code for error in seeing.health.errors), default=0)
        state.runs.end(run, "done", {"writes": len(plan.writes), "held": len(plan.held)})
        return plan

    def _fill(self, plan: Plan, decider: Decider) -> None:
        seen: set[PersonId] = set()
        for page in decider.people():
            people = {person[0].cell.person: person for person in page if person}
            self._people(plan, people)
            seen |= people.keys()
        for held in self._held():
            fresh = [person for person in held if person not in seen]
            self._people(
                plan, {person: decider.person(self._services.state.cells.of(person)) for person in fresh}
            )
            seen.update(fresh)
        plan.calls = self._bill.calls()

    def _held(self) -> Iterator[list[PersonId]]:
        """People with something on hold, which is decided already and so waits for no round."""
        after = 0
        while page := self._services.state.holds.page(limit=self._services.tuning.page, after=after):
            after = page[-1].id
            yield list(dict.fromkeys(hold.person for hold in page))

    def _people(self, plan: Plan, people: Mapping[PersonId, list[CellDecision]]) -> None:
        for who in self._services.state.people.get_many(list(people)):
            self._person(plan, who, people[who.person])

    def _person(self, plan: Plan, who: Who, decisions: list[CellDecision]) -> None:
        acts = {}
        for one in decisions:
            match one.decision:
                case Act() as act:
                    acts[one.topic.id] = act_out(act)
                    plan.writes.extend(self._rows(who, one, act))
                case Held(rule=rule):
                    plan.held.append(
                        {"person": mask(who.address), "topic": one.topic.id, "why": RULE_TEXT[rule]}
                    )
                case _:
                    pass
        if acts:
            plan.acts.append({"person": who.person, "shown": mask(who.address), "acts": acts})
        self._bill.add([write for one in decisions for write in writes_of(one.decision)])

    def _rows(self, who: Who, one: CellDecision, act: Act) -> Iterator[Json]:
        for write in act.writes:
            before = one.cell.seen[write.side]
            to = Choice.OPTED_OUT if isinstance(write, Withdrawal) else Choice.OPTED_IN
            row: Json = {
                "side": write.side.value,
                "person": mask(who.address),
                "topic": one.topic.id,
                "from": before.choice.value,
                "to": to.value,
                "why": _why(act, write),
            }
            if not isinstance(write, Withdrawal) and write.frequency is not None:
                row["frequency"] = write.frequency
            yield row


def _why(act: Act, write: Write) -> str:
    dated = write.said_at if isinstance(write, Withdrawal) else write.evidence.changed_at
    said = "" if dated is None else f" (said {time_out(dated.replace(microsecond=0))})"
    return f"{RULE_TEXT[act.rule]}{said}"


def key_of(shown: Json) -> list[tuple[object, ...]]:
    """What must still be the same for a planned act to be carried out: its writes, and what they rest on."""
    return [
        (
            write["side"],
            write["topic"],
            write["kind"],
            write.get("frequency"),
            write.get("how"),
            (write.get("evidence") or {}).get("changed_at"),
            write.get("said_at"),
        )
        for write in shown["writes"]
    ]
