"""Judging: people with something to decide, page by page, each of their cells decided."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from bridge.core.brakes import RunVolume
from bridge.core.conflict import ClockReading
from bridge.core.decide import decide
from bridge.core.decision import Decision, Wait, writes_of
from bridge.core.guards import DecisionContext
from bridge.core.mapping import CHANNEL, Topic
from bridge.core.model import Cell, PersonId, Side, Withdrawal
from bridge.engine.context import RunHealth, Services
from bridge.engine.fetch import Fetcher

LOOK_PASSES = 3  # a look may show that another is needed; after that the next round goes on


@dataclass(frozen=True, slots=True)
class CellDecision:
    """One cell and what is decided about it."""

    topic: Topic
    cell: Cell
    decision: Decision


@dataclass(frozen=True, slots=True)
class RunConditions:
    """What stays the same for all decisions of a run."""

    epoch: datetime | None = None
    first_run: bool = False
    raises_approved: bool = False
    bursts: frozenset[datetime] = frozenset()


class Decider:
    """Decides cells. It writes nothing but what closer looks show."""

    def __init__(self, services: Services, health: RunHealth, standing: RunConditions) -> None:
        self._services = services
        self._health = health
        self._standing = standing

    def people(self) -> Iterator[list[list[CellDecision]]]:
        """Everybody with a dirty cell, in pages: for each person the decisions about all mapped topics."""
        after: PersonId | None = None
        while page := self._services.state.cells.dirty(after, self._services.tuning.page):
            after = page[-1][0].person
            yield [self.person(cells) for cells in page]
            self._services.heartbeat()

    def person(self, cells: list[Cell]) -> list[CellDecision]:
        """The decisions about one person."""
        channel = next((cell for cell in cells if cell.topic == CHANNEL), None)
        now = self._circumstances()
        mapping = self._services.mapping
        decisions = []
        for cell in cells:
            topic = mapping.topic(cell.topic)
            if topic is not None and topic.id not in self._health.gone:
                decisions.append(
                    CellDecision(
                        topic, cell, decide(topic, cell, channel, mapping.unsubscribe_withdraws_topics, now)
                    )
                )
        return decisions

    def weigh(self, fetcher: Fetcher) -> RunVolume:
        """Look closely at everybody whose cells cannot be decided on what is known, until nobody is left;
        then say how many people this run would opt in, and out."""
        for number in range(LOOK_PASSES + 1):
            looked = False
            raises = withdrawals = 0
            for page in self.people():
                looked = (number < LOOK_PASSES and self._look(page, fetcher)) or looked
                for person in page:
                    writes = [write for one in person for write in writes_of(one.decision)]
                    withdrawals += any(isinstance(write, Withdrawal) for write in writes)
                    raises += any(not isinstance(write, Withdrawal) for write in writes)
            if not looked:
                break
        return RunVolume(raises, withdrawals, self._services.state.people.count())

    def _look(self, page: list[list[CellDecision]], fetcher: Fetcher) -> bool:
        looked = False
        for side in Side:
            people = list(dict.fromkeys(self._waiting_for(page, side)))
            if people and side not in self._health.down:
                looked = fetcher.look(side, people) > 0 or looked
        return looked

    def _waiting_for(self, page: list[list[CellDecision]], side: Side) -> Iterator[PersonId]:
        for person in page:
            for one in person:
                if isinstance(one.decision, Wait) and side in one.decision.sides:
                    yield one.cell.person

    def _circumstances(self) -> DecisionContext:
        standing = self._standing
        return DecisionContext(
            clocks=ClockReading(self._services.clock(), self._services.tuning.skew),
            epoch=standing.epoch,
            first_run=standing.first_run,
            raises_approved=standing.raises_approved,
            bursts=standing.bursts,
            challenge_wait=self._services.tuning.challenge_wait,
        )
