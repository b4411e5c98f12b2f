"""Deciding: people with something to decide, page by page, each of their cells decided."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime

from bridge.core.brakes import RunVolume
from bridge.core.decide import decide
from bridge.core.decision import Decision, Wait, writes_of
from bridge.core.guards import DecisionContext
from bridge.core.mapping import Topic
from bridge.core.model import CHANNEL, Cell, PersonId, Side, Withdrawal
from bridge.engine.context import RunContext
from bridge.engine.fetch import read_people

READ_PASSES = 3  # a read may show that another is needed; after that the next run goes on


@dataclass(frozen=True, slots=True)
class CellDecision:
    """One cell and what is decided about it."""

    topic: Topic
    cell: Cell
    decision: Decision


class Decider:
    """Decides cells. `epoch`, `first_run`, `raises_approved` and `bursts` as in `DecisionContext`."""

    def __init__(
        self,
        run: RunContext,
        *,
        epoch: datetime | None = None,
        first_run: bool = False,
        raises_approved: bool = False,
        bursts: frozenset[datetime] = frozenset(),
    ) -> None:
        self._run = run
        clocks, wait = run.clock_reading(), run.tuning.challenge_wait
        self._context = DecisionContext(clocks, epoch, first_run, raises_approved, bursts, wait)

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
        now = replace(self._context, clocks=run.clock_reading())
        decisions = []
        for cell in cells:
            topic = mapping.topic(cell.topic)
            if topic is not None and topic.id not in run.health.gone:
                decision = decide(topic, cell, channel, mapping.unsubscribe_withdraws_topics, now)
                decisions.append(CellDecision(topic, cell, decision))
        return decisions

    def resolve_and_count(self) -> RunVolume:
        """Read everybody whose cells cannot be decided on what is known, until nobody is left; then say how
        many people this run would opt in, and out."""
        for number in range(READ_PASSES + 1):
            read = False
            raises = withdrawals = 0
            for page in self.people():
                read = (number < READ_PASSES and self._read_waiting(page)) or read
                for person in page:
                    writes = [write for one in person for write in writes_of(one.decision)]
                    withdrawals += any(isinstance(write, Withdrawal) for write in writes)
                    raises += any(not isinstance(write, Withdrawal) for write in writes)
            if not read:
                break
        return RunVolume(raises, withdrawals, self._run.state.people.count())

    def _read_waiting(self, page: list[list[CellDecision]]) -> bool:
        """Read those of whom a decision waits for a read; whether anybody could be read."""
        read = False
        for side in Side:
            waiting = [
                one.cell.person
                for person in page
                for one in person
                if isinstance(one.decision, Wait) and side in one.decision.sides
            ]
            if waiting and side not in self._run.health.down:
                read = read_people(self._run, side, list(dict.fromkeys(waiting))) > 0 or read
        return read
