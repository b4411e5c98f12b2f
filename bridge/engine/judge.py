"""Judging: people with something to decide, page by page, each of their cells decided."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from bridge.core.brakes import Load
from bridge.core.decision import Decision, Wait, writes_of
from bridge.core.mapping import CHANNEL, Topic
from bridge.core.model import Cell, PersonId, Side, Withdrawal
from bridge.core.permit import Circumstances
from bridge.core.policy import Clocks
from bridge.core.reconcile import decide
from bridge.engine.look import Looker
from bridge.engine.parts import Eyes, Weather

LOOK_PASSES = 3  # a look may show that another is needed; after that the next round goes on


@dataclass(frozen=True, slots=True)
class Judged:
    """One cell and what is decided about it."""

    topic: Topic
    cell: Cell
    decision: Decision


@dataclass(frozen=True, slots=True)
class Standing:
    """What stays the same for all decisions of a run."""

    epoch: datetime | None = None
    first_run: bool = False
    raises_approved: bool = False
    bursts: frozenset[datetime] = frozenset()


class Judge:
    """Decides cells. It writes nothing but what closer looks show."""

    def __init__(self, eyes: Eyes, weather: Weather, standing: Standing) -> None:
        self._eyes = eyes
        self._weather = weather
        self._standing = standing

    def people(self) -> Iterator[list[list[Judged]]]:
        """Everybody with a dirty cell, in pages: for each person the decisions about all mapped topics."""
        after: PersonId | None = None
        while page := self._eyes.state.dirty(after, self._eyes.tuning.page):
            after = page[-1][0].person
            yield [self.person(cells) for cells in page]
            self._eyes.heartbeat()

    def person(self, cells: list[Cell]) -> list[Judged]:
        """The decisions about one person."""
        channel = next((cell for cell in cells if cell.topic == CHANNEL), None)
        now = self._circumstances()
        mapping = self._eyes.mapping
        judged = []
        for cell in cells:
            topic = mapping.topic(cell.topic)
            if topic is not None and topic.id not in self._weather.gone:
                judged.append(Judged(topic, cell, decide(topic, cell, channel, mapping.spreads, now)))
        return judged

    def weigh(self, looker: Looker) -> Load:
        """Look closely at everybody whose cells cannot be decided on what is known, until nobody is left;
        then say how many people this run would opt in, and out."""
        for number in range(LOOK_PASSES + 1):
            looked = False
            raises = withdrawals = 0
            for page in self.people():
                looked = (number < LOOK_PASSES and self._look(page, looker)) or looked
                for person in page:
                    writes = [write for one in person for write in writes_of(one.decision)]
                    withdrawals += any(isinstance(write, Withdrawal) for write in writes)
                    raises += any(not isinstance(write, Withdrawal) for write in writes)
            if not looked:
                break
        return Load(raises, withdrawals, self._eyes.state.people_count())

    def _look(self, page: list[list[Judged]], looker: Looker) -> bool:
        looked = False
        for side in Side:
            people = list(dict.fromkeys(self._waiting_for(page, side)))
            if people and side not in self._weather.down:
                looked = looker.look(side, people) > 0 or looked
        return looked

    def _waiting_for(self, page: list[list[Judged]], side: Side) -> Iterator[PersonId]:
        for person in page:
            for one in person:
                if isinstance(one.decision, Wait) and side in one.decision.sides:
                    yield one.cell.person

    def _circumstances(self) -> Circumstances:
        standing = self._standing
        return Circumstances(
            clocks=Clocks(self._eyes.clock(), self._eyes.tuning.skew),
            epoch=standing.epoch,
            first_run=standing.first_run,
            raises_approved=standing.raises_approved,
            bursts=standing.bursts,
            challenge_wait=self._eyes.tuning.challenge_wait,
        )
