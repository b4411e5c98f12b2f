"""Sides that apply a write late, and worlds of them: people act and processes die in between."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from bridge.core.errors import OutcomeUnknown
from bridge.core.writes import Write
from bridge.engine.report import Report
from tests.engine.crash_world import CrashWorld, Killed, Wire
from tests.engine.world import ADA, IN, NEWS, OUT, THEIRS, World
from tests.fakes import FakePerson, FakeSide
from tests.sizes import FULL


@dataclass
class LateSide(FakeSide):
    """Writes wait in `late` until `land` is called. Where `answers` is false the caller hears nothing."""

    holding: bool = False
    answers: bool = True
    late: list[tuple[FakePerson, Write]] = field(default_factory=list)

    def _apply(self, person: FakePerson, write: Write) -> None:
        if not self.holding:
            super()._apply(person, write)
            return
        self.late.append((person, write))
        if not self.answers:
            raise OutcomeUnknown("no answer", side=self.side, operation="send")

    def land(self) -> None:
        """What waits is applied now, and stamped as the side does."""
        self.holding = False
        while self.late:
            super()._apply(*self.late.pop(0))


class LateWorld(World):
    """A world whose Dotdigital applies writes late."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.theirs = LateSide(THEIRS, self.mapping, self.clock)
        self.sides = {**self.sides, THEIRS: self.theirs}

    def runs(self, count: int) -> list[Report]:
        """So many runs, a quarter of an hour apart."""
        reports = []
        for _ in range(count):
            self.pass_time(minutes=15)
            reports.append(self.run())
        return reports


class ActingWire(Wire):
    """A wire by which a person acts at one boundary, and the process dies at a later one."""

    def __init__(self, act_at: int, act: Callable[[], None], kill_at: int | None) -> None:
        super().__init__(kill_at)
        self._act_at, self._act = act_at, act

    def note(self, name: str, *, boundary: bool = True) -> None:
        if boundary and self.count + 1 == self._act_at:
            self._act()
        super().note(name, boundary=boundary)


def agreed(folder: Path, choice: object) -> CrashWorld:
    """A world in which one person's choice is agreed."""
    world = CrashWorld(folder)
    world.both(ADA, NEWS, IN if choice is IN else OUT)
    world.started()
    return world


def schedules(world: CrashWorld, folder: Path) -> list[tuple[int, int]]:
    """At which boundary of the next run a person acts, and at which it is killed: those round the write to
    Dotdigital, or all."""
    sent, last = first_send(world, folder)
    acts = range(1, last) if FULL else range(sent - 1, sent + 3)
    return [(act, kill) for act in acts for kill in range(max(act, 1 if FULL else sent), last + 1)]


def first_send(world: CrashWorld, folder: Path) -> tuple[int, int]:
    """At which boundary of the next run Dotdigital is written, and the one after the run's last."""
    whole = world.twin(folder).wired(Wire())
    whole.run()
    whole.close()
    names = [name for name in whole.wire.names if name.endswith(("store", "send_one", "written"))]
    return names.index(f"{THEIRS}.send_one") + 1, len(names) + 1


def killed_run(world: CrashWorld) -> None:
    """A run that may be killed; then the process starts again."""
    try:
        world.run()
    except Killed:
        world.restart()
    else:
        world.wired(Wire())


def settled(world: CrashWorld) -> Report:
    """The last of enough runs."""
    reports = [world.run() for _ in range(3)]
    return reports[-1]
