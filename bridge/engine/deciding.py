"""Deciding: people with something to decide, page by page, each of their cells decided."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from bridge.core.brakes import Burst, Moment, Tally
from bridge.core.decide import decide
from bridge.core.decision import Agree, Decision, Rule, Wait, writes_of
from bridge.core.guards import DecisionContext, is_from_before
from bridge.core.mapping import Topic
from bridge.core.model import CHANNEL, Cell, Choice, PersonId, Side, TopicId
from bridge.core.scope import Scope, target_of
from bridge.core.writes import Withdrawal, Write
from bridge.engine.context import RunContext
from bridge.engine.fetch import read_people

READ_PASSES = 3  # a read may show that another is needed; after that the next run goes on


@dataclass(frozen=True, slots=True)
class CellDecision:
    """One cell and what is decided about it."""

    topic: Topic
    cell: Cell
    decision: Decision


def waits_for(one: CellDecision, began: datetime) -> Sequence[Side]:
    """The sides at which a person is to be read before this is decided. An opt-out that has nowhere to go is
    such a case where the absence was seen before this run: they may be there by now."""
    match one.decision:
        case Wait():
            return one.decision.sides
        case Agree() if one.decision.agreement.rule == Rule.NOBODY_THERE:
            seen = one.cell.seen
            return [side for side in Side if not seen[side].present and seen[side].read_at < began]
        case _:
            return ()


class Decider:
    """Decides cells. `epoch`, `first_run` and `raises_approved` as in `DecisionContext`; `bursts` are those
    known, `new_bursts` gives the minutes of unsubscribes found by now, `scopes` are those of the mapped
    topics. Agreements on the choices in `forgotten` do not count."""

    def __init__(
        self,
        run: RunContext,
        *,
        epoch: datetime | None = None,
        first_run: bool = False,
        raises_approved: bool = False,
        bursts: Collection[Burst] = (),
        new_bursts: Callable[[], frozenset[datetime]] = frozenset,
        scopes: Mapping[TopicId, Scope] | None = None,
        forgotten: Mapping[TopicId, Collection[Choice]] | None = None,
    ) -> None:
        self._run, self._forgotten, self._new_bursts = run, forgotten or {}, new_bursts
        scopes = scopes or {}
        self._changed = {topic for topic, scope in scopes.items() if scope.change}
        self._context = DecisionContext(
            run.clock_reading(),
            epoch,
            first_run,
            raises_approved,
            frozenset(one.minute for one in bursts if not one.opts_in),
            run.tuning.challenge_wait,
            frozenset((one.side, one.minute) for one in bursts if one.opts_in),
            {topic: scope.epoch for topic, scope in scopes.items() if scope.epoch is not None},
            frozenset(topic for topic, scope in scopes.items() if not scope.swept),
            run.state.facts.lost_period,
        )

    def hold_opt_ins(self, bursts: frozenset[Moment]) -> None:
        """From now on, hold the opt-ins of these moments too."""
        self._context = replace(self._context, opt_in_bursts=self._context.opt_in_bursts | bursts)

    def people(self) -> Iterator[list[list[CellDecision]]]:
        """Everybody with a dirty cell, in pages: for each person the decisions about all mapped topics."""
        after: PersonId | None = None
        while page := self._run.state.cells.dirty(after, self._run.tuning.page):
            after = page[-1][0].person
            yield [self.person(cells) for cells in page]
            self._run.heartbeat()

    def person(self, cells: list[Cell]) -> list[CellDecision]:
        """The decisions about one person."""
        run, mapping = self._run, self._run.mapping
        channel = next((cell for cell in cells if cell.topic == CHANNEL), None)
        bursts = self._context.bursts | self._new_bursts()
        now = replace(self._context, clocks=run.clock_reading(), bursts=bursts)
        decisions = []
        skipped = run.health.gone.keys() | run.health.unapproved
        for cell in cells:
            topic = mapping.topic(cell.topic)
            if topic is not None and topic.id not in skipped:
                cell = _with_writes_about(topic, self._without_forgotten(cell))
                decision = decide(topic, cell, channel, mapping.unsubscribe_withdraws_topics, now)
                decisions.append(CellDecision(topic, cell, decision))
        return decisions

    def _without_forgotten(self, cell: Cell) -> Cell:
        if cell.agreed is None or cell.agreed.choice not in self._forgotten.get(cell.topic, ()):
            return cell
        return replace(cell, agreed=None, hold=None)

    def resolve_and_count(self) -> Tally:
        """Read everybody whose cells cannot be decided on what is known, until nobody is left; then say whom
        this run would write."""
        for _ in range(READ_PASSES):
            read = False
            tally, done = Tally(), 0
            for page in self.people():
                read = self._read_waiting(page) or read
                self._add(page, tally)
                done += len(page)
                self._run.progress("weighing what would be written", done)
            if not read:
                return tally
        return self.count()

    def count(self) -> Tally:
        """Whom this run would write."""
        tally = Tally()
        for page in self.people():
            self._add(page, tally)
        return tally

    def _add(self, page: list[list[CellDecision]], tally: Tally) -> None:
        for person in page:
            for one in person:
                for write in writes_of(one.decision):
                    single = not self._is_approved(one.cell, write)
                    remapped = one.topic.id in self._changed
                    tally.add(one.cell.person, write, single=single, remapped=remapped)

    def _is_approved(self, cell: Cell, write: Write) -> bool:
        """Whether an operator let an opt-in through: then it does not matter how many there are."""
        if isinstance(write, Withdrawal):
            return False
        return cell.is_released(Rule.BURST) or is_from_before(cell, write, self._context)

    def _read_waiting(self, page: list[list[CellDecision]]) -> bool:
        """Read those of whom a decision waits for a read; whether anybody could be read."""
        read, run_began = False, self._run.began
        for side in Side:
            waiting = [
                one.cell.person for person in page for one in person if side in waits_for(one, run_began)
            ]
            if waiting and side not in self._run.health.down:
                read = read_people(self._run, side, list(dict.fromkeys(waiting))) > 0 or read
        return read


def _with_writes_about(topic: Topic, cell: Cell) -> Cell:
    """The cell without those writes of ours that were about what its topic was mapped to before."""
    if not cell.own_writes:
        return cell
    targets = {side: target_of(topic, side) for side in cell.own_writes}
    own = {
        side: [one for one in writes if one.is_about(targets[side])]
        for side, writes in cell.own_writes.items()
    }
    return replace(cell, own_writes=own)
