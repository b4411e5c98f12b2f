"""A small world: people, both services, operators and the bridge, which live through a schedule."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from bridge.core.approval import NOBODY, ApprovalKind
from bridge.core.brakes import BrakeLimits
from bridge.core.decision import Rule
from bridge.core.mapping import Conflict
from bridge.core.mapping import Mapping as ConsentMapping
from bridge.core.model import CHANNEL, Choice, HoldState, PersonId, Side, TopicId
from bridge.engine.context import Services, Tuning, Writers
from bridge.engine.plan import apply_plan, make_plan
from bridge.engine.report import Report
from bridge.engine.run import RunOptions, run_once
from bridge.simulation.dotdigital import SimulatedDotdigital
from bridge.simulation.history import START, PersonAct, TrueHistory
from bridge.simulation.mypreferences import SimulatedMyPreferences
from bridge.simulation.oracle import Oracle, RunOutcome
from bridge.simulation.process import LEASE, BridgeProcess
from bridge.simulation.service import SimulatedRecord, SimulatedService
from bridge.simulation.steps import (
    Changes,
    ContactChange,
    Dating,
    Fault,
    FaultKind,
    Operates,
    Order,
    Passes,
    Runs,
    Says,
    Sets,
    Step,
    Switch,
)
from bridge.store.memory import MemoryDatabase

Work = Callable[[Services, Writers], Report]
_SLOW = 95  # seconds: longer than a poll interval
HOLDS = 10_000


@dataclass(frozen=True, slots=True)
class Setting:
    """What a world is made of."""

    mapping: ConsentMapping
    people: int
    limits: BrakeLimits = field(default_factory=BrakeLimits)


class SimulatedWorld:
    """Lives through steps. What breaks a promise is in `oracle.breaches`."""

    def __init__(self, setting: Setting, database: MemoryDatabase) -> None:
        self.mapping, self.history = setting.mapping, TrueHistory()
        self.tuning = Tuning(limits=setting.limits, workers=1)
        self.services: dict[Side, SimulatedService] = {
            Side.MYPREFERENCES: SimulatedMyPreferences(Side.MYPREFERENCES, self.mapping, self.history),
            Side.DOTDIGITAL: SimulatedDotdigital(Side.DOTDIGITAL, self.mapping, self.history),
        }
        self._database = database
        database.restore()
        self.oracle = Oracle(self.history, self.services, self.tuning)
        self.oracle.mapping = self.mapping
        self.addresses = {number: f"p{number}@example.com" for number in range(1, setting.people + 1)}
        self.process = self._started("main")
        for service in self.services.values():
            service.process = self.process
            for person, address in self.addresses.items():
                service.add(person, address)
        self.outcomes: list[RunOutcome] = []
        self.coverage: Counter[tuple[str, ...]] = Counter()

    @property
    def days(self) -> float:
        """How long it has lived, in simulated days."""
        return (self.history.time.now - START) / timedelta(days=1)

    def perform(self, step: Step) -> None:
        """Carry out one step."""
        self.history.note(step)
        match step:
            case Says():
                self._say(step)
            case Changes():
                self._change(step)
            case Passes():
                self.history.time.add(step.seconds)
            case Sets():
                self._set(step)
            case Operates():
                self._operate(step)
            case Runs():
                self.run(step)

    # people and services

    def _say(self, step: Says) -> None:
        service = self.services[step.side]
        record = service.records.get(step.person)
        if record is None or not record.present or self._is_impossible(record, step):
            return
        date, honest = self._date(step, record)
        choice = step.choice
        act = PersonAct(self.history.time.now, step.person, step.side, step.topic, choice, date, honest)
        self._cover(step)
        self.history.acts.append(act)
        channel = step.topic == CHANNEL and step.side is Side.DOTDIGITAL
        service.put(
            record,
            step.topic,
            choice,
            date,
            frequencies=(step.frequency,) if step.frequency and choice is Choice.OPTED_IN else (),
            reason="Unsubscribed" if channel else None,
            act=act,
        )

    def _is_impossible(self, record: SimulatedRecord, step: Says) -> bool:
        """At Dotdigital nobody is opted in to the channel with a date, and nothing is archived."""
        if step.side is Side.MYPREFERENCES:
            topic = self.mapping.topic(step.topic)
            return topic is None or topic.source is None
        channel = record.newest(CHANNEL)
        blocked = channel is not None and channel.choice is not Choice.OPTED_IN
        if step.topic == CHANNEL:
            return step.choice is not Choice.OPTED_OUT or blocked
        return step.choice is Choice.UNSET

    def _date(self, step: Says, record: SimulatedRecord) -> tuple[datetime | None, bool]:
        """The date that a side shows for a choice, and whether it is the moment itself. Dotdigital knows no
        other; what is from before the bridge is so at both."""
        now = self.services[step.side].clock()
        if step.dating is Dating.BEFORE_BRIDGE:
            return now - timedelta(days=30), True
        if step.choice is Choice.UNSET:
            return None, False
        if step.side is Side.DOTDIGITAL or step.dating is Dating.NOW:
            return now, True
        match step.dating:
            case Dating.UNDATED:
                return None, False
            case Dating.EARLIER:
                return now - timedelta(hours=1), False
            case Dating.SLIGHTLY_EARLIER:
                return now - timedelta(seconds=1), False
            case Dating.FUTURE:
                return now + timedelta(days=1), False
            case _:
                other = self.services[step.side.other].records[record.person].newest(step.topic)
                return (now, True) if other is None or other.date is None else (other.date, False)

    def _change(self, step: Changes) -> None:
        service = self.services[step.side]
        record = service.records.get(step.person)
        if record is None:
            return
        self._cover(step)
        if step.what in (ContactChange.DELETED, ContactChange.RESTORED):
            record.present = step.what is ContactChange.RESTORED
            record.changed = self.history.time.now
            self.oracle.deleted.add(step.person)
        elif isinstance(service, SimulatedDotdigital) and record.present:
            act = None
            if step.what is ContactChange.COMPLAINS:
                now, shown = self.history.time.now, service.clock()
                act = PersonAct(now, step.person, step.side, CHANNEL, Choice.OPTED_OUT, shown, honest=True)
                self.history.acts.append(act)
            service.change(record, step.what, act)

    def _cover(self, step: Says | Changes) -> None:
        """Count the state that an act meets."""
        if isinstance(step, Says):
            topic, what = step.topic, f"{step.choice.value}, {step.dating.value}"
        else:
            topic, what = CHANNEL, step.what.value
        kind = "channel" if topic == CHANNEL else "topic"
        shown = (self.oracle.standing(step.person, side, topic) for side in Side)
        self.coverage[f"{kind}: {what} at {step.side.value}", *(choice.value for choice in shown)] += 1

    def _set(self, step: Sets) -> None:
        if step.switch is Switch.CLOCK:
            self.history.time.ahead[step.side] = timedelta(seconds=step.value)
        elif step.side is not None:
            self.services[step.side].switches[step.switch] = step.value

    # operators

    def _operate(self, step: Operates) -> None:
        match step.order:
            case Order.RELEASE:
                self._answer(HoldState.RELEASED)
            case Order.DISMISS:
                self._answer(HoldState.DISMISSED)
            case Order.CHANGE_POLICY:
                policy = list(Conflict)[step.number % len(Conflict)]
                topics = tuple(replace(topic, conflict=policy) for topic in self.mapping.topics)
                self.mapping = replace(self.mapping, topics=topics, digest=f"{self.mapping.digest}'")
                self.oracle.mapping = self.mapping
            case Order.APPLY_PLAN:
                self._work(self._plan_and_apply, ())

    def _answer(self, state: HoldState) -> None:
        holds = self.process.store.holds
        waiting = holds.page(HoldState.OPEN, limit=HOLDS)
        for hold in waiting:
            if state is HoldState.DISMISSED or hold.reason == Rule.OWN_WRITE:
                self.oracle.by_operator.add((self.person(hold.person), TopicId(hold.topic)))
        numbers = [hold.id for hold in waiting]
        if state is HoldState.RELEASED:
            holds.release(numbers)
        else:
            holds.dismiss(numbers)

    def person(self, number: PersonId) -> int:
        """The person of the world whom the state DB knows by this number."""
        address = self.process.store.people.get(number).address
        return next(one for one, known in self.addresses.items() if known == address)

    def _plan_and_apply(self, services: Services, writers: Writers) -> Report:
        plan = make_plan(services, RunOptions())
        saved = self.process.store.approvals.give(ApprovalKind.PLAN, f"plan of run {plan.run}", NOBODY)
        return apply_plan(services, writers, plan.acts, mapping=plan.mapping, plan=saved)

    # runs

    def run(self, step: Runs) -> RunOutcome:
        """One run of the bridge."""
        options = RunOptions(full=step.full, approve_raises=step.approve, polling=step.polling)
        return self._work(lambda services, writers: run_once(services, writers, options), step.faults)

    def _work(self, work: Work, faults: Sequence[Fault]) -> RunOutcome:
        outcome = self.process.run(self.mapping, self.tuning, work, tuple(faults))
        self.outcomes.append(outcome)
        if outcome.died or outcome.error is not None:
            self.history.forget_shown()
            self.process = self._started("main")
        elif outcome.report is not None:
            self.history.keep_shown()
            self._note(outcome.report)
        self.oracle.judge_run(outcome, self.process.store.feeds.watermarks())
        return outcome

    def _started(self, name: str) -> BridgeProcess:
        return BridgeProcess(
            name, self._database, self.services, self.history, oracle=self.oracle, happen=self._happen
        )

    def _happen(self, fault: Fault) -> None:
        """What happens at a boundary beside errors and deaths."""
        match fault.kind:
            case FaultKind.SLOW:
                self.history.time.add(_SLOW)
            case FaultKind.ACT if fault.act is not None:
                self.perform(fault.act)
            case FaultKind.RIVAL:
                self._rival()
            case FaultKind.TAKEOVER:
                self.history.time.add(LEASE.total_seconds() + 60)
                self._rival()

    def _rival(self) -> None:
        """Another process starts, and runs if the lease lets it."""
        rival = self._started("rival")
        options = RunOptions(polling=True)
        outcome = rival.run(self.mapping, self.tuning, lambda some, writers: run_once(some, writers, options))
        self.outcomes.append(outcome)
        self.oracle.judge_run(outcome, rival.store.feeds.watermarks())

    def _note(self, report: Report) -> None:
        shown = report.shown()
        kept = {key: shown[key] for key in ("kind", "writes", "held", "waiting", "unproven", "in_sync")}
        self.history.note(kept)
