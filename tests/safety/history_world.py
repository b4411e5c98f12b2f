"""Many people in one world, each with a random history: they act on both sides, before a run or while it goes
on; writes are lost, land late or stay without an answer; reads fail; processes die; both services' clocks
differ. What must hold is told by what people said and what the sides showed, and by nothing of the core."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

from bridge.core.brakes import BrakeLimits
from bridge.core.errors import Ambiguous, OutcomeUnknown, Refused, ServerError, SideError, Throttled
from bridge.core.model import Choice, Side, TopicId, address_key
from bridge.core.ports import PersonView, WriteRequest, WriteResponse
from bridge.core.writes import Withdrawal, Write
from bridge.engine.report import Report
from tests.engine.crash_world import CrashWorld, Killed, Wire
from tests.engine.world import IN, NEWS, OUT, THEIRS, trouble
from tests.fakes import FakePerson, Said

PEOPLE = [f"p{number}@example.com" for number in range(40)]
FATES = ("at once",) * 8 + ("unanswered", "lost", "refused", "throttled", "late", "late and unanswered")
READS = ("read_person", "read_feed")
OFFSETS = (-1.0, 0.0, 1.0)  # seconds; both clocks are then within the skew of each other
APART = (0.1, 1.0, 3.0, 10.0, 60.0)  # seconds between two things that people do
BOUNDARIES = 250  # of a run in which many people are written
KILLS = 400


@dataclass(frozen=True)
class Statement:
    """What a person said: when, and which date the side gave it."""

    address: str
    side: Side
    choice: Choice
    at: datetime
    dated: datetime


@dataclass
class Oracle:
    """What everybody said, which statement each side shows now (None: a write of ours), and which the bridge
    has read."""

    said: list[Statement] = field(default_factory=list)
    shown: dict[tuple[str, Side], Statement | None] = field(default_factory=dict)
    read: set[Statement] = field(default_factory=set)
    breaches: list[str] = field(default_factory=list)
    began: datetime | None = None
    opted_in: int = 0

    def of(self, address: str, choice: Choice) -> list[Statement]:
        return [one for one in self.said if one.address == address and one.choice is choice]

    def known_outs(self, address: str) -> list[Statement]:
        """Opt-outs that the bridge read, or that stood at their side when its run began."""
        return [
            out
            for out in self.of(address, OUT)
            if out in self.read or (self._stands(out) and self.began is not None and out.at < self.began)
        ]

    def _stands(self, out: Statement) -> bool:
        return self.shown.get((out.address, out.side)) is out

    def written(self, address: str, write: Write) -> None:
        """A write of the bridge is about to be sent."""
        if isinstance(write, Withdrawal):
            return
        self.opted_in += 1
        date, source = write.evidence.changed_at, write.evidence.side
        ground = [one for one in self.of(address, IN) if one.dated == date and one.side is source]
        if not ground:
            self.breaches.append(f"{address} was opted in on what they never said")
        elif late := [out for out in self.known_outs(address) if out.at >= max(one.at for one in ground)]:
            self.breaches.append(f"{address} was opted in over {late[-1]}")

    def lost(self, address: str, shows: tuple[Choice, Choice], *, in_sync: bool) -> bool:
        """Whether an opt-out that the bridge read, and nothing was said after, is neither in force nor seen
        as open."""
        mine = [one for one in self.said if one.address == address]
        if not mine or mine[-1].choice is not OUT or mine[-1] not in self.read:
            return False
        return IN in shows and in_sync


class Actors(Wire):
    """A wire by which people act at some boundaries, and the process dies at a later one."""

    def __init__(self, acts: dict[int, list[Callable[[], None]]], kill_at: int | None) -> None:
        super().__init__(kill_at)
        self.acts = acts

    def note(self, name: str, *, boundary: bool = True) -> None:
        if boundary and not self.dead:
            for act in self.acts.pop(self.count + 1, ()):
                act()
        super().note(name, boundary=boundary)


class HistoryWorld:
    """One world that lives through what `chance` brings."""

    def __init__(self, world: CrashWorld, seed: int) -> None:
        self.world, self.chance, self.oracle = world, random.Random(seed), Oracle()
        self.faults = True
        self.late: list[tuple[Side, FakePerson, Write]] = []
        world.limits = BrakeLimits(raises_max=1000, burst_max=1000)
        self.offset = {side: timedelta(seconds=self.chance.choice(OFFSETS)) for side in Side}
        for side in Side:
            self._install(side)

    def _install(self, side: Side) -> None:
        there = self.world.crash_side(side)
        apply, send, view, stamped = there._apply, there._send_one, there._view, there._stamped

        def stamp(topic: TopicId, said: Said, held: Said | None) -> Said:
            made = stamped(topic, said, held)
            if made is held or made.at is None:
                return made
            return replace(made, at=made.at + self.offset[side])

        def land(person: FakePerson, write: Write) -> None:
            held = person.said.get(write.topic)
            apply(person, write)
            if write.topic == NEWS and person.said.get(write.topic) != held:
                self.oracle.shown[person.address, side] = None

        def show(person: FakePerson, read_at: datetime) -> PersonView:
            statement = self.oracle.shown.get((person.address, side))
            if statement is not None:
                self.oracle.read.add(statement)
            return view(person, read_at)

        there._stamped = stamp  # type: ignore[method-assign]
        there._view = show  # type: ignore[method-assign]
        there._apply = land  # type: ignore[method-assign]
        there._send_one = partial(self._send, side, send, land)  # type: ignore[method-assign]

    def _send(
        self,
        side: Side,
        send: Callable[[WriteRequest], WriteResponse],
        land: Callable[[FakePerson, Write], None],
        request: WriteRequest,
    ) -> WriteResponse:
        there = self.world.crash_side(side)
        for write in request.writes:
            self.oracle.written(request.who.address, write)
        fate = self.chance.choice(FATES) if self.faults else "at once"
        if side is not THEIRS and fate.startswith("late"):
            fate = "unanswered"
        failure: dict[str, type[SideError]] = {"refused": Refused, "throttled": Throttled}
        if fate in failure:
            raise trouble(failure[fate], side)
        if fate == "lost":
            raise trouble(OutcomeUnknown, side)
        if fate.startswith("late"):
            person = there.people[address_key(request.who.address)]
            self.late += [(side, person, write) for write in request.writes]
            there._apply = _later  # type: ignore[method-assign]
        try:
            answer = send(request)
        finally:
            there._apply = land  # type: ignore[method-assign]
        if fate.endswith("unanswered"):
            raise trouble(OutcomeUnknown, side)
        return answer

    def lands(self) -> None:
        """What is late is applied now."""
        while self.late:
            side, person, write = self.late.pop(0)
            self.world.crash_side(side)._apply(person, write)

    def says(self, address: str, side: Side, choice: Choice) -> None:
        at = self.world.pass_time(seconds=self.chance.choice(APART))
        dated = at + self.offset[side]
        statement = Statement(address, side, choice, at, dated)
        self.world.say(side, address, NEWS, choice, at=dated)
        self.oracle.said.append(statement)
        self.oracle.shown[address, side] = statement
        self.world.pass_time(seconds=self.chance.choice(APART))

    def step(self) -> None:
        """People act, and a run goes on meanwhile, which may fail or die."""
        chance, world = self.chance, self.world
        sides, choices = list(Side), [IN, OUT]
        acts: dict[int, list[Callable[[], None]]] = {}
        for address in PEOPLE:
            if chance.random() < 0.4:
                self.says(address, chance.choice(sides), chance.choice(choices))
            if chance.random() < 0.3:  # at Dotdigital only between runs: see the docstring of the tests
                act = partial(self.says, address, Side.MYPREFERENCES, chance.choice(choices))
                acts.setdefault(chance.randint(1, BOUNDARIES), []).append(act)
        for side in Side:
            if chance.random() < 0.15:
                error = trouble(chance.choice([ServerError, Ambiguous]), side)
                world.crash_side(side).refusals[chance.choice(READS)] = (chance.randint(1, 12), error)
        kill = chance.choice([None, None, chance.randint(1, KILLS)])
        self._run(Actors(acts, kill))
        for left in acts.values():
            for act in left:
                act()
        if chance.random() < 0.4:
            world.pass_time(minutes=3)
            self.lands()

    def _run(self, wire: Wire) -> None:
        self.oracle.began = self.world.now
        self.world.wired(wire)
        try:
            self.world.run()
        except Killed:
            self.world.restart()
        self.world.wired(Wire())
        for side in Side:
            self.world.crash_side(side).refusals.clear()

    def live(self) -> Report:
        """The whole history, and then quiet: nothing fails any more, and everything late has landed."""
        for _ in range(self.chance.randint(2, 4)):
            self.step()
        self.faults = False
        self._run(Wire())
        self.lands()
        for hours in (0.25, 2, 26, 26, 1, 1):  # refused opt-outs are sent again, ever less often
            self.world.pass_time(hours=hours)
            self.oracle.began = self.world.now
            report = self.world.run()
        return report


def _later(_person: FakePerson, _write: Write) -> None:
    """Nothing is applied yet."""


def base_world(folder: Path) -> CrashWorld:
    """Both sides agree, half of the people opted in."""
    world = CrashWorld(folder)
    world.limits = BrakeLimits(raises_max=1000, burst_max=1000)
    for number, address in enumerate(PEOPLE):
        world.both(address, NEWS, (IN, OUT)[number % 2])
    world.started()
    return world


def breaches(base: CrashWorld, folder: Path, seed: int) -> tuple[list[str], int]:
    """What went wrong in the world of this seed, and how many opt-ins were written."""
    world = base.twin(folder)
    history = HistoryWorld(world, seed)
    report = history.live()
    found = list(history.oracle.breaches)
    if report.written.writes:
        found.append("the last run still writes")
    for address in PEOPLE:
        shows = world.shows(address)
        if history.oracle.lost(address, shows, in_sync=report.in_sync):
            found.append(f"{address}: the last opt-out is lost: {shows}")
        if report.in_sync and shows[0] is not shows[1]:
            found.append(f"{address}: in sync, and yet {shows}")
    world.close()
    return [f"seed {seed}: {one}" for one in found], history.oracle.opted_in
