"""Schedules by chance: the same seed always makes the same one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from random import Random

from bridge.core.brakes import BrakeLimits
from bridge.core.mapping import Mapping as ConsentMapping
from bridge.core.mapping import Topic
from bridge.core.model import Choice, Side
from bridge.simulation.schedule import SimulatedSchedule
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
from bridge.simulation.world import Setting

_CHOICES = (Choice.OPTED_IN,) * 5 + (Choice.OPTED_OUT,) * 5 + (Choice.UNSET,)
_DATINGS = (Dating.NOW,) * 8 + (
    Dating.EARLIER,
    Dating.SLIGHTLY_EARLIER,
    Dating.FUTURE,
    Dating.EQUAL,
    Dating.UNDATED,
)
_PAUSES = (0, 1, 30, 60, 300, 1200, 3600, 90_000)
_CLOCKS = (-1200, -60, -4, -1, 0, 0, 1, 4, 60, 1200)
_VALUES = {Switch.READ_LAG: (0, 5, 120), Switch.FEED_LAG: (0, 60, 600)}
_FAULTS = (
    *FaultKind,
    *(FaultKind.ACT,) * 4,
    *(FaultKind.LATE,) * 2,
    FaultKind.LOST_AFTER,
    FaultKind.LOST_BEFORE,
    FaultKind.REFUSED,
    FaultKind.UNREACHABLE,
)
_ELSEWHERE = 0.4


class _Maker:
    """Makes the steps of one schedule."""

    def __init__(self, random: Random, mapping: ConsentMapping, people: int) -> None:
        self._random, self._mapping, self._people = random, mapping, people
        self._person, self._topic = random.randint(1, people), random.choice(mapping.topics)

    def steps(self) -> list[Step]:
        """A world before the bridge, its first run, then a few days of acts and runs."""
        random = self._random
        made: list[Step] = [*self._before(), Runs(approve=random.random() < 0.3), Passes(3600)]
        for _ in range(random.randint(2, 5)):
            made += self._turn()
        return made

    def _before(self) -> list[Step]:
        made: list[Step] = []
        for person in range(1, self._people + 1):
            for topic in self._mapping.topics:
                choice = self._random.choice((Choice.OPTED_IN, Choice.OPTED_OUT, Choice.UNSET))
                sides = self._random.choice((tuple(Side), tuple(Side), tuple(Side), (Side.MYPREFERENCES,)))
                if choice is not Choice.UNSET:
                    made += [self._says(person, side, topic, choice, Dating.BEFORE_BRIDGE) for side in sides]
        return made

    def _turn(self) -> list[Step]:
        """Some acts, then a run."""
        random = self._random
        made: list[Step] = []
        for _ in range(random.randint(1, 4)):
            made.append(self._step())
            if pause := random.choice(_PAUSES):
                made.append(Passes(pause))
        faults = sorted(
            (self._fault() for _ in range(random.choice((0, 0, 1, 1, 2, 3)))), key=lambda one: one.at
        )
        run = Runs(random.random() < 0.8, random.random() < 0.15, random.random() < 0.1, tuple(faults))
        return [*made, run, Passes(random.choice(_PAUSES[2:]))]

    def _step(self) -> Step:
        chance = self._random.random()
        if chance < 0.72:
            return self._act()
        if chance < 0.84:
            return self._sets()
        if chance < 0.92:
            return self._change()
        orders = (Order.RELEASE, Order.RELEASE, Order.DISMISS, Order.CHANGE_POLICY, Order.APPLY_PLAN)
        return Operates(self._random.choice(orders), self._random.randrange(5))

    def _act(self) -> Says:
        """Mostly of one person about one topic: acts that meet are what is hard."""
        random = self._random
        person, topic = self._person, self._topic
        if random.random() < _ELSEWHERE:
            person = random.randint(1, self._people)
            topic = random.choice((*self._mapping.topics, *self._mapping.all))
        side, choice = random.choice(tuple(Side)), random.choice(_CHOICES)
        return self._says(person, side, topic, choice, random.choice(_DATINGS))

    def _says(self, person: int, side: Side, topic: Topic, choice: Choice, dating: Dating) -> Says:
        often = self._random.choice(list(topic.preferences)) if topic.has_frequencies else ""
        dating = Dating.NOW if side is Side.DOTDIGITAL and dating is not Dating.BEFORE_BRIDGE else dating
        return Says(person, side, topic.id, choice, dating, often)

    def _change(self) -> Changes:
        what = self._random.choice(tuple(ContactChange))
        both = what in (ContactChange.DELETED, ContactChange.RESTORED)
        side = self._random.choice(tuple(Side)) if both else Side.DOTDIGITAL
        return Changes(self._random.randint(1, self._people), side, what)

    def _sets(self) -> Sets:
        switch = self._random.choice(tuple(Switch))
        if switch is Switch.CLOCK:
            return Sets(self._random.choice((None, *Side)), switch, self._random.choice(_CLOCKS))
        value = self._random.choice(_VALUES.get(switch, (0, 1)))
        return Sets(self._random.choice(tuple(Side)), switch, value)

    def _fault(self) -> Fault:
        kind = self._random.choice(_FAULTS)
        act = self._act() if kind is FaultKind.ACT else None
        return Fault(self._random.randint(1, 45), kind, act)


def schedule_of(seed: int, mapping: ConsentMapping) -> SimulatedSchedule:
    """The schedule of a seed, of at most three of the mapping's topics."""
    random = Random(f"{seed} {mapping.digest}")
    topics = _some(random, mapping.topics)
    small = replace(mapping, topics=topics)
    people = random.choice((2, 2, 3, 4))
    tight = BrakeLimits(raises_max=random.choice((1, 2)), raises_share=0.0)
    limits = random.choice((BrakeLimits(), BrakeLimits(), BrakeLimits(), tight))
    return SimulatedSchedule(Setting(small, people, limits), _Maker(random, small, people).steps())


def _some(random: Random, topics: Sequence[Topic]) -> tuple[Topic, ...]:
    chosen = random.sample(range(len(topics)), min(len(topics), random.choice((1, 1, 2, 3))))
    return tuple(topics[number] for number in sorted(chosen))
