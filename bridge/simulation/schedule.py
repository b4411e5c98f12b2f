"""Schedules: made from a seed, lived through, and made short where they break a promise."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

from bridge.simulation.ending import end
from bridge.simulation.oracle import Breach
from bridge.simulation.steps import Fault, Runs, Step
from bridge.simulation.world import Setting, SimulatedWorld
from bridge.store.memory import MemoryDatabase

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class SimulatedSchedule:
    """A world and what happens in it."""

    setting: Setting
    steps: Sequence[Step]


@dataclass(slots=True)
class Lived:
    """What became of a schedule."""

    breaches: Sequence[Breach]
    trace: str  # a digest of everything that happened
    coverage: Counter[tuple[str, ...]] = field(default_factory=Counter)
    counts: Counter[str] = field(default_factory=Counter)


Watch = Callable[[SimulatedWorld], None]


def live(schedule: SimulatedSchedule, database: MemoryDatabase, watch: Watch | None = None) -> Lived:
    """Live through a schedule up to the first breach, or to its end. `watch` sees the world at the end."""
    world = SimulatedWorld(schedule.setting, database)
    for step in schedule.steps:
        world.perform(step)
        if world.oracle.breaches:
            break
    else:
        end(world)
    if watch is not None:
        watch(world)
    return Lived(tuple(world.oracle.breaches), world.history.digest, world.coverage)


def shrunk(
    schedule: SimulatedSchedule, database: MemoryDatabase, promise: str, tries: int = 400
) -> SimulatedSchedule:
    """The shortest schedule found that still breaks the promise: steps and faults are left out, many at a
    time first."""
    left = [tries]

    def breaks(steps: Sequence[Step]) -> bool:
        left[0] -= 1
        found = live(replace(schedule, steps=steps), database).breaches
        return any(one.promise == promise for one in found)

    steps = _without(list(schedule.steps), breaks, left)
    for number, step in enumerate(steps):
        if isinstance(step, Runs) and step.faults:

            def fewer(faults: Sequence[Fault], at: int = number, run: Runs = step) -> bool:
                return breaks([*steps[:at], replace(run, faults=tuple(faults)), *steps[at + 1 :]])

            steps[number] = replace(step, faults=tuple(_without(list(step.faults), fewer, left)))
    return replace(schedule, steps=_without(steps, breaks, left))


def _without(items: list[T], breaks: Callable[[Sequence[T]], bool], left: list[int]) -> list[T]:
    """As few of the items as still break it (delta debugging by halves)."""
    size = max(1, len(items) // 2)
    while items:
        at = 0
        while at < len(items) and left[0] > 0:
            fewer = items[:at] + items[at + size :]
            if breaks(fewer):
                items = fewer
            else:
                at += size
        if size == 1 or left[0] <= 0:
            return items
        size //= 2
    return items
