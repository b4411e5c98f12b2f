"""The dry run, and its plan carried out later: exactly it, and only while what it rests on stands."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from bridge.core.approval import NOBODY, VALID_FOR, Approval, ApprovalUsed, Operator
from bridge.core.brakes import Tally, check_brakes
from bridge.core.decision import RULE_TEXT, Act, Held, is_raise, writes_of
from bridge.core.errors import BrakeTripped, PlanMoved
from bridge.core.model import Choice, PersonId, RunId, Side, TopicId, ids_out, mask
from bridge.core.store_values import RunKind
from bridge.core.sync_state import Exit, SyncProblem, exit_code
from bridge.core.writes import Withdrawal, Write
from bridge.engine.apply import recheck, send_fresh
from bridge.engine.attempts import PersonWrites
from bridge.engine.context import RunContext, Services, WriteContext, Writers, require_same_account
from bridge.engine.deciding import CellDecision, Decider
from bridge.engine.feed_watch import distrust_lagging
from bridge.engine.fetch import read_people
from bridge.engine.ledger_guard import check_head, distrust_ledger, publish_head
from bridge.engine.poll import FeedPoller
from bridge.engine.report import Report, WriteCounts, make_report, problems_of, warn_of_other_versions
from bridge.engine.run import RunOptions, closing, enter_safe_mode, read_sides
from bridge.engine.scopes import unapproved
from bridge.engine.send import Sender, collect_records, wants_record
from bridge.engine.serialize import Json, act_in, act_out, time_out
from bridge.engine.weigh import window_use

_USED = "A plan can be applied once, and this one was applied already"
_AGAIN = "Make a new one: `bridge plan --out FILE`."


@dataclass(slots=True)
class Plan:
    """What would be written and what would be held, with reasons; `acts` is for `bridge apply`."""

    run: RunId
    mapping: str
    made_at: datetime
    writes: list[Json] = field(default_factory=list)
    held: list[Json] = field(default_factory=list)
    calls: Mapping[Side, int] = field(default_factory=lambda: dict.fromkeys(Side, 0))  # of the whole run
    reading: Mapping[Side, int] = field(
        default_factory=lambda: dict.fromkeys(Side, 0)
    )  # those to read people
    acts: list[Json] = field(default_factory=list)
    brakes: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    problems: list[SyncProblem] = field(default_factory=list)  # what only a run can know
    gone: bool = False  # the mapping names what no longer exists
    name: Callable[[str], str] = mask  # how an address is shown

    @property
    def complete(self) -> bool:
        """Whether both sides were read to their end. If not, there may be more to write than is planned."""
        return exit_code(self.problems) is not Exit.UNSEEN

    def shown(self) -> dict[str, Any]:
        """The plan as JSON."""
        return {
            "writes": self.writes,
            "held": self.held,
            "calls": {side.value: calls for side, calls in self.calls.items()},
            "calls_to_read": {side.value: calls for side, calls in self.reading.items()},
            "writes_sent": 0,
            "complete": self.complete,
            "brakes": self.brakes,
            "warnings": self.warnings,
        }


def make_plan(
    services: Services, options: RunOptions | None = None, *, name: Callable[[str], str] = mask
) -> Plan:
    """What a run would do now. Observations are kept, agreements are not touched, and nothing here could
    write to a side. `name` shows an address."""
    with closing(RunContext(services, RunKind.PLAN)) as run:
        plan = Plan(run.id, run.mapping.digest, run.clock(), name=name)
        require_same_account(run.state, run.readers, run.health)
        distrust_ledger(run)
        read = read_sides(run, options or RunOptions(), dry=True)
        plan.brakes = list(read.weighed.brakes.reasons)
        _fill(run, plan, read.decider)
        warn_of_other_versions(run)
        plan.warnings = run.health.warnings
        plan.gone = bool(run.health.gone)
        plan.problems = problems_of(run, plan.brakes)
        plan.reading = {side: reader.calls - run.calls_before[side] for side, reader in run.readers.items()}
        plan.calls = {side: calls + plan.reading[side] for side, calls in plan.calls.items()}
        run.end("done", {"writes": len(plan.writes), "held": len(plan.held)})
    return plan


def _fill(run: RunContext, plan: Plan, decider: Decider) -> None:
    estimate = CallEstimate(run)
    seen: set[PersonId] = set()
    for page in decider.people():
        _add_people(run, plan, estimate, {person[0].cell.person: person for person in page if person})
        seen |= {person[0].cell.person for person in page if person}
    for held in _held(run):  # decided already, and so in no page
        fresh = [person for person in held if person not in seen]
        cells = {person: decider.person(run.state.cells.of(person)) for person in fresh}
        _add_people(run, plan, estimate, cells)
        seen.update(fresh)
    plan.calls = estimate.calls()


def _held(run: RunContext) -> Iterator[list[PersonId]]:
    after = 0
    while page := run.state.holds.page(limit=run.tuning.page, after=after):
        after = page[-1].id
        yield list(dict.fromkeys(hold.person for hold in page))


def _add_people(
    run: RunContext, plan: Plan, estimate: CallEstimate, people: Mapping[PersonId, list[CellDecision]]
) -> None:
    for who in run.state.people.get_many(list(people)):
        acts = {}
        shown = {"person": plan.name(who.address), "ids": ids_out(who)}
        for one in people[who.person]:
            match one.decision:
                case Act() as act:
                    acts[one.topic.id] = act_out(act)
                    plan.writes.extend(_row(one, act, write) | shown for write in act.writes)
                case Held(rule=rule):
                    why = RULE_TEXT[rule]
                    plan.held.append({"topic": one.topic.id, "why": why} | shown)
                case _:
                    pass
        if acts:
            plan.acts.append({"person": who.person, "shown": mask(who.address), "acts": acts})
        estimate.add([write for one in people[who.person] for write in writes_of(one.decision)])


def _row(one: CellDecision, act: Act, write: Write) -> Json:
    to = Choice.OPTED_OUT if isinstance(write, Withdrawal) else Choice.OPTED_IN
    row: Json = {
        "side": write.side.value,
        "topic": one.topic.id,
        "from": one.cell.seen[write.side].choice.value,
        "to": to.value,
        "why": _why(act, write),
    }
    if not isinstance(write, Withdrawal) and write.frequency is not None:
        row["frequency"] = write.frequency
    return row


def _why(act: Act, write: Write) -> str:
    dated = write.said_at if isinstance(write, Withdrawal) else write.evidence.changed_at
    said = "" if dated is None else f" (said {time_out(dated.replace(microsecond=0))})"
    return f"{RULE_TEXT[act.rule]}{said}"


class CallEstimate:
    """Adds up the API calls of people's writes as a run sends them: withdrawals in waves, where people who
    are written at one side only may go together; opt-ins one by one, each after a read of both sides."""

    def __init__(self, run: RunContext) -> None:
        self._run = run
        self._calls = dict.fromkeys(Side, 0)
        self._waves: dict[Side, list[Sequence[Write]]] = defaultdict(list)

    def add(self, writes: Sequence[Write]) -> None:
        """One person's writes."""
        for out in (True, False):
            same = [write for write in writes if isinstance(write, Withdrawal) is out]
            sides = {side: mine for side in Side if (mine := [one for one in same if one.side is side])}
            if not out:  # what an opt-in rests on is read again where it was said
                for side in {write.side.other for write in same} - sides.keys():
                    self._calls[side] += 1
            for side, mine in sides.items():
                if len(sides) > 1 or not out:
                    self._calls[side] += self._run.readers[side].estimate_calls([mine])
                    continue
                self._waves[side].append(mine)
                if len(self._waves[side]) >= self._run.tuning.wave:
                    self._close(side, self._waves.pop(side))
            if any(wants_record(self._run.mapping, write) for write in same):
                self._calls[Side.MYPREFERENCES] += 1  # the consent records are read there

    def calls(self) -> Mapping[Side, int]:
        """Calls per side, for everybody added."""
        for side, people in self._waves.items():
            self._close(side, people)
        self._waves.clear()
        return dict(self._calls)

    def _close(self, side: Side, people: Sequence[Sequence[Write]]) -> None:
        self._calls[side] += self._run.readers[side].estimate_calls(people)


# a saved plan


def apply_plan(
    services: Services,
    writers: Writers,
    acts: Sequence[Json],
    *,
    mapping: str,
    plan: Approval,
    author: Operator = NOBODY,
) -> Report:
    """Carry out the acts of a plan, once: `plan` is used up before the first write. Everybody it names is
    read again at both sides first; if one decision differs, PlanMoved is raised and nothing is written.
    Raises BrakeTripped where a brake stops the plan: it counts in the same window as runs do."""
    if mapping != services.mapping.digest:
        raise PlanMoved("The mapping is not the one this plan was made with.", hint=_AGAIN)
    if reasons := _tripped_brakes(services, acts):
        raise BrakeTripped("A brake stops this plan; nothing was written.", reasons=reasons)
    check_head(services.state)
    with closing(WriteContext(services, RunKind.APPLY, writers)) as run:
        # Approvals and first-run holds were weighed when the plan was made: what it holds back is not in it.
        decider = Decider(run, raises_approved=True, bursts=run.state.facts.bursts or ())
        require_same_account(run.state, run.readers, run.health)
        for side in Side:
            read_people(run, side, [PersonId(act["person"]) for act in acts])
            if side in run.health.down:
                raise run.health.down[side]
        enter_safe_mode(run)
        distrust_lagging(run)
        distrust_ledger(run, swept=False)
        _require_same(run, decider, acts)
        _use(run, plan, author)
        written = _write(run, decider, acts)
        publish_head(run)
        report = make_report(run, written)
        run.end("done", report.shown())
    return report


def require_unused(found: Sequence[Approval], now: datetime) -> Approval:
    """The stored record of a saved plan. Raises PlanMoved where there is none, as for a plan that was edited,
    where it was applied before, and where it is too old."""
    if not found:
        raise PlanMoved(
            "This state DB did not make this plan, or the file was edited; nothing was written.", hint=_AGAIN
        )
    if found[-1].used_at is not None:
        raise PlanMoved(f"{_USED} at {found[-1].used_at:%Y-%m-%d %H:%M} UTC.", hint=_AGAIN)
    if found[-1].has_lapsed(now):
        days = VALID_FOR // timedelta(days=1)
        raise PlanMoved(f"This plan is more than {days} days old; nothing was written.", hint=_AGAIN)
    return found[-1]


def _use(run: RunContext, plan: Approval, author: Operator) -> None:
    try:
        run.state.approvals.use([plan], run.id, author)
    except ApprovalUsed:
        raise PlanMoved(f"{_USED}; nothing was written.", hint=_AGAIN) from None


def _tripped_brakes(services: Services, acts: Sequence[Json]) -> tuple[str, ...]:
    """Why a plan may not be carried out now."""
    state, limits = services.state, services.tuning.limits
    tally, topics = Tally(), set[TopicId]()
    for act in acts:
        topics |= {TopicId(topic) for topic in act["acts"]}
        for write in (write for shown in act["acts"].values() for write in act_in(shown).writes):
            tally.add(PersonId(act["person"]), write, single=False, remapped=False)
    people = state.people.count()
    found = check_brakes(tally.volume(window_use(state, limits, people), people), limits).reasons
    if waiting := unapproved(state, services.mapping, topics):
        names = ", ".join(sorted(waiting))
        return (f"mapping: its change waits for `bridge reconcile` for these topics: {names}", *found)
    return found


def _require_same(run: RunContext, decider: Decider, acts: Sequence[Json]) -> None:
    """Raise PlanMoved where a decision of the plan is no longer the same."""
    moved = [act["shown"] for act in acts if not _stands(run, decider, act["person"], act["acts"])]
    if moved:
        names = ", ".join(moved[:3]) + (" and others" if len(moved) > 3 else "")
        raise PlanMoved(
            f"What this plan was based on has changed for {len(moved)} of {len(acts)} people ({names}); "
            "nothing was written.",
            hint=_AGAIN,
        )


def _stands(run: RunContext, decider: Decider, person: PersonId, acts: Json) -> bool:
    now = {one.topic.id: one.decision for one in decider.person(run.state.cells.of(person))}
    return all(
        isinstance(decision := now.get(TopicId(topic)), Act) and _key(act_out(decision)) == _key(shown)
        for topic, shown in acts.items()
    )


def _key(shown: Json) -> list[tuple[object, ...]]:
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


def _write(run: WriteContext, decider: Decider, acts: Sequence[Json]) -> WriteCounts:
    """Withdrawals first, one person at a time. Opt-ins go after another read of both sides, all of a person's
    or none: since everybody was read, many others may have been written."""
    sender, poller, written = Sender(run), FeedPoller(run, first=False), WriteCounts()
    for raising in (False, True):
        for act in acts:
            person = PersonId(act["person"])
            mine = {
                topic: shown for topic, shown in act["acts"].items() if is_raise(act_in(shown)) is raising
            }
            if not mine:
                continue
            due = _due(run, decider, person, mine, raising=raising)
            if raising and due:
                confirm = partial(_confirm, run, decider, poller, collect_records(run, due), mine)
                counts, confirmed = send_fresh(run, sender, confirm)
                counts.failed += not confirmed
                written.add(counts)
            elif due:
                written.add(sender.send(due))
            run.heartbeat()
    return written


def _due(
    run: RunContext, decider: Decider, person: PersonId, acts: Json, *, raising: bool
) -> list[PersonWrites]:
    """What is still to be done of these acts of one person."""
    decisions = decider.person(run.state.cells.of(person))
    same = [one for one in decisions if one.topic.id in acts and is_raise(one.decision) is raising]
    due = PersonWrites.of(run.state.people.get(person), same)
    return [due] if due.acts else []


def _confirm(
    run: RunContext, decider: Decider, poller: FeedPoller, due: list[PersonWrites], acts: Json
) -> PersonWrites | None:
    """These opt-ins of one person as decided after another read; None where they are no longer what was
    planned."""
    for one in due:
        again = recheck(run, decider, poller, one)
        if (
            again is not None
            and again.acts.keys() == acts.keys()
            and _stands(run, decider, one.who.person, acts)
        ):
            return again
    return None
