"""Many schedules, one after the other: what was tried, how often, and the first story of a broken promise."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from itertools import product
from typing import Any

from bridge.core.mapping import Mapping as ConsentMapping
from bridge.core.model import CHANNEL, Choice, Side
from bridge.core.writes import Withdrawal
from bridge.simulation.generate import schedule_of
from bridge.simulation.oracle import Breach
from bridge.simulation.schedule import SimulatedSchedule, live, shrunk
from bridge.simulation.world import HOLDS, SimulatedWorld
from bridge.store.memory import MemoryDatabase

Progress = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Story:
    """A schedule that broke a promise, as short as it could be made."""

    seed: int
    breach: Breach
    steps: tuple[str, ...]


@dataclass(slots=True)
class CampaignResult:
    """What a campaign found. The counters are over all schedules."""

    first_seed: int
    schedules: int = 0
    seconds: float = 0.0
    runs: int = 0
    boundaries: int = 0  # calls and transactions at which something could go wrong
    traces: list[str] = field(default_factory=list)  # digests of the schedules, in order
    coverage: Counter[tuple[str, ...]] = field(default_factory=Counter)
    sent: Counter[str] = field(default_factory=Counter)  # by rule, side and kind
    holds: Counter[str] = field(default_factory=Counter)  # by reason
    calls: Counter[Side] = field(default_factory=Counter)
    days: float = 0.0  # simulated
    story: Story | None = None

    def watch(self, world: SimulatedWorld) -> None:
        """Add up what one world saw."""
        self.runs += len(world.outcomes)
        self.boundaries += sum(outcome.boundaries for outcome in world.outcomes)
        self.coverage.update(world.coverage)
        self.days += world.days
        for side, service in world.services.items():
            self.calls[side] += service.calls
        for one in world.history.sent:
            kind = "opt-outs" if isinstance(one.write, Withdrawal) else "opt-ins"
            self.sent[f"{kind} to {one.side}"] += 1
        for entry in world.process.store.ledger.export():
            if entry["kind"] == "decided":
                rules = {ground["rule"] for ground in entry["body"]["grounds"].values()}
                self.sent.update(f"by rule {rule}" for rule in rules)
        self.holds.update(hold.reason for hold in world.process.store.holds.page(None, limit=HOLDS))

    @property
    def empty_cells(self) -> list[tuple[str, ...]]:
        """Acts that were tried, each with the states of both sides in which none of them was."""
        acts = sorted({cell[0] for cell in self.coverage})
        states = list(product((choice.value for choice in Choice), repeat=2))
        return [(act, *state) for act in acts for state in states if (act, *state) not in self.coverage]


def run_campaign(
    mapping: ConsentMapping,
    *,
    seeds: int,
    first_seed: int = 1,
    minutes: float | None = None,
    progress: Progress | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> CampaignResult:
    """Live through the schedules of so many seeds, or for so many minutes; stop at the first breach."""
    found, began = CampaignResult(first_seed), clock()
    with closing(MemoryDatabase()) as database:
        for seed in range(first_seed, first_seed + seeds):
            schedule = schedule_of(seed, mapping)
            lived = live(schedule, database, found.watch)
            found.schedules += 1
            found.seconds = clock() - began
            found.traces.append(lived.trace)
            if progress is not None:
                progress(found.schedules)
            if lived.breaches:
                found.story = _story(seed, schedule, lived.breaches[0], database)
                break
            if minutes is not None and found.seconds >= minutes * 60:
                break
    return found


def _story(seed: int, schedule: SimulatedSchedule, breach: Breach, database: MemoryDatabase) -> Story:
    short = shrunk(schedule, database, breach.promise)
    again = live(short, database).breaches
    steps = tuple(str(step) for step in short.steps)
    return Story(seed, again[0] if again else breach, steps)


def document(found: CampaignResult, mapping: ConsentMapping, commit: str) -> Mapping[str, Any]:
    """The findings as JSON: what can be attached to an approval."""
    story = found.story
    weeks = found.days / 7 or 1
    return {
        "schedules": found.schedules,
        "first_seed": found.first_seed,
        "seconds": round(found.seconds, 1),
        "per_second": round(found.schedules / found.seconds, 2) if found.seconds else None,
        "commit": commit,
        "mapping": mapping.digest,
        "topics": [topic.id for topic in mapping.all if topic.id != CHANNEL or topic.source is not None],
        "runs": found.runs,
        "boundaries": found.boundaries,
        "writes": dict(sorted(found.sent.items())),
        "holds": dict(sorted(found.holds.items())),
        "holds_a_week": round(found.holds.total() / weeks, 2),
        "calls": {side.value: found.calls[side] for side in Side},
        "coverage": {"filled": len(found.coverage), "empty": [list(cell) for cell in found.empty_cells]},
        "trace": found.traces[-1] if found.traces else None,
        "broken": None
        if story is None
        else {
            "seed": story.seed,
            "promise": story.breach.promise,
            "what": story.breach.what,
            "steps": list(story.steps),
        },
    }
