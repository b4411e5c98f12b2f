"""Whole runs over a real state DB, killed at any boundary, with writes to Dotdigital that land late or whose
answer is lost, while a person changes their mind: nothing that the bridge wrote counts as what they said."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import pytest

from bridge.core.errors import OutcomeUnknown
from bridge.core.model import Choice
from bridge.core.ports import WriteRequest, WriteResponse
from bridge.core.writes import Write
from tests.engine.crash_world import CrashWorld, Killed, Wire
from tests.engine.world import ADA, IN, MINE, NEWS, OUT, THEIRS
from tests.fakes import FakePerson, FakeSide
from tests.safety.late_side import ActingWire
from tests.sizes import size

SHARDS = 4
PER_SHARD = size(6, 500)
FATES = ("at once", "at once", "unanswered", "late", "late and unanswered", "lost")
BOUNDARIES = 14  # of a run with one write, and a few more


@dataclass
class Fates:
    """What happens to the next writes at Dotdigital: one fate for each run."""

    side: FakeSide
    fate: str = "at once"
    late: list[tuple[FakePerson, Write]] = field(default_factory=list)

    def install(self) -> Fates:
        self._apply, send = self.side._apply, self.side._send_one
        self.side._apply = self.apply  # type: ignore[method-assign]
        self.side._send_one = partial(self.send, send)  # type: ignore[method-assign]
        return self

    def apply(self, person: FakePerson, write: Write) -> None:
        if self.fate.startswith("late"):
            self.late.append((person, write))
        elif self.fate != "lost":
            self._apply(person, write)

    def send(self, send: Callable[[WriteRequest], WriteResponse], request: WriteRequest) -> WriteResponse:
        answer = send(request)
        if self.fate in ("unanswered", "late and unanswered", "lost"):
            raise OutcomeUnknown("no answer", side=THEIRS, operation="send")
        return answer

    def land(self) -> None:
        while self.late:
            self._apply(*self.late.pop(0))


@dataclass(frozen=True)
class Step:
    """One run: what is said before it, what while it goes on and at which boundary, where it is killed, what
    happens to its write at Dotdigital, and whether what is late lands after it."""

    before: Choice | None
    during: tuple[int, Choice] | None
    kill: int | None
    fate: str
    lands: bool


def history(seed: int, *, fates: Sequence[str] = FATES) -> list[Step]:
    """A history that is the same whenever it is made."""
    chance = random.Random(seed)
    choices = [IN, OUT]
    return [
        Step(
            before=chance.choice([None, *choices]),
            during=chance.choice([None, (chance.randint(1, BOUNDARIES), chance.choice(choices))]),
            kill=chance.choice([None, None, chance.randint(1, BOUNDARIES)]),
            fate=chance.choice(fates),
            lands=chance.random() < 0.4,
        )
        for _ in range(chance.randint(2, 4))
    ]


def says(world: CrashWorld, said: list[Choice], choice: Choice) -> None:
    """The person makes a choice at MyPreferences, farther from all others than clocks are apart."""
    world.pass_time(seconds=10)
    world.say(MINE, ADA, NEWS, choice)
    said.append(choice)
    world.pass_time(seconds=10)


def lived(world: CrashWorld, steps: Sequence[Step]) -> tuple[list[Choice], bool]:
    """Live through a history; then all lands, and runs follow until nothing is left to do. Returns what was
    said, and whether the last run says that all is in agreement."""
    said: list[Choice] = []
    fates = Fates(world.sides[THEIRS]).install()
    for step in steps:
        if step.before is not None:
            says(world, said, step.before)
        fates.fate = step.fate
        unsaid = [] if step.during is None else [step.during[1]]
        act = partial(_say_once, world, said, unsaid)
        world.wired(ActingWire(0 if step.during is None else step.during[0], act, step.kill))
        try:
            world.run()
        except Killed:
            world.restart()
        world.wired(Wire())
        act()
        if step.lands:
            world.pass_time(minutes=3)
            fates.land()
    fates.fate = "at once"
    world.run()
    fates.land()
    for _ in range(3):
        world.pass_time(minutes=15)
        report = world.run()
    assert not report.written.writes, f"still writing after {steps}"
    return said, report.in_sync


def _say_once(world: CrashWorld, said: list[Choice], unsaid: list[Choice]) -> None:
    while unsaid:
        says(world, said, unsaid.pop())


@pytest.mark.slow
@pytest.mark.parametrize("shard", range(SHARDS))
@pytest.mark.parametrize("agreed", [IN, OUT])
def test_the_last_opt_out_holds_whatever_lands_when(tmp_path: Path, agreed: Choice, shard: int) -> None:
    """Nobody is opted in again where they said no last, and a no ends at both sides, or is seen waiting."""
    base = CrashWorld(tmp_path / "base")
    base.both(ADA, NEWS, agreed)
    base.started()
    wrong = []
    for seed in range(shard, SHARDS * PER_SHARD, SHARDS):
        world = base.twin(tmp_path / f"{seed}")
        said, in_sync = lived(world, history(seed))
        if said and said[-1] is OUT:
            mine, theirs = world.shows(ADA)
            if mine is not OUT or (theirs is not OUT and in_sync):
                wrong.append(seed)
        world.close()
    assert wrong == []


@pytest.mark.slow
@pytest.mark.parametrize("shard", range(SHARDS))
def test_killed_at_any_boundary_it_ends_where_the_last_choice_leads(tmp_path: Path, shard: int) -> None:
    """Where every write is applied at once, no kill makes a difference: both sides show what was said last,
    or a hold says why not."""
    base = CrashWorld(tmp_path / "base")
    base.both(ADA, NEWS, IN)
    base.started()
    wrong = []
    for seed in range(shard, SHARDS * PER_SHARD, SHARDS):
        world = base.twin(tmp_path / f"{seed}")
        said, in_sync = lived(world, history(seed, fates=("at once",)))
        last = said[-1] if said else IN
        if world.shows(ADA) != (last, last) and (in_sync or world.shows(ADA)[0] is not last):
            wrong.append(seed)
        world.close()
    assert wrong == []
