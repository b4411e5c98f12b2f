"""In any rolling window no more people are opted in than the brake allows, whatever runs, plans and restarts
there are."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from bridge.core.brakes import BrakeLimits, Tally, check_brakes
from bridge.core.erasure import ErasureKey, ErasureSettings
from bridge.core.errors import BridgeError
from bridge.core.model import Side
from bridge.core.store_values import AttemptStarted, LedgerEntry, RunKind
from bridge.core.writes import Raise, Write
from bridge.engine.plan import Plan
from bridge.engine.weigh import window_use
from bridge.store import Store
from tests.engine.world import IN, NEWS, OUT, World
from tests.fakes import FakePerson
from tests.sizes import size

ALLOWED = 3
PEOPLE = [f"p{number}@example.com" for number in range(90)]
SEQUENCES = size(30, 1000)  # of whole runs
DAY = timedelta(hours=24)
WITHDRAWAL = {"writes": [{"topic": NEWS, "kind": "withdrawal"}]}
RAISE = {"writes": [{"topic": NEWS, "kind": "raise", "evidence": {"changed_at": "2026-03-01T12:00:00Z"}}]}


class Sequences:
    """Random acts of people and operators, one sequence after another, and when whom the sides were told to
    opt in."""

    def __init__(self, world: World, seed: int) -> None:
        self.world, self.random = world, random.Random(seed)
        self.raised: list[tuple[datetime, str]] = []
        self.plans: list[Plan] = []
        self.refused = 0
        for side in Side:
            self._watch(side)
        self._acts: list[Callable[[], object]] = [
            self._opt_in, self._opt_in, self._opt_in, self._opt_out, self._run, self._run, self._plan,
            self._apply, self._apply_split, world.restart, self._wait,
        ]  # fmt: skip

    def _watch(self, side: Side) -> None:
        fake = self.world.sides[side]
        apply = fake._apply

        def watched(person: FakePerson, write: Write) -> None:
            if isinstance(write, Raise):
                self.raised.append((self.world.now, person.address))
            apply(person, write)

        fake._apply = watched  # type: ignore[method-assign]

    def play(self, acts: int) -> None:
        for _ in range(acts):
            self.random.choice(self._acts)()
        self._run()

    def _some(self) -> list[str]:
        return self.random.sample(PEOPLE, self.random.randint(1, ALLOWED))

    def _opt_in(self) -> None:
        side = self.random.choice(list(Side))
        for address in self._some():
            self.world.say(side, address, NEWS, IN)
            self.world.pass_time(seconds=self.random.randint(1, 90))

    def _opt_out(self) -> None:
        for address in self._some():
            self.world.say(self.random.choice(list(Side)), address, NEWS, OUT)

    def _run(self) -> None:
        self.refused += bool(self.world.run().brakes)

    def _plan(self) -> None:
        self.plans.append(self.world.plan())

    def _apply(self) -> None:
        if self.plans:
            self._carry_out(self.plans.pop())

    def _apply_split(self) -> None:
        if self.plans:
            plan = self.plans.pop()
            for act in plan.acts:
                self._carry_out(Plan(plan.run, plan.mapping, plan.made_at, acts=[act]))

    def _carry_out(self, plan: Plan) -> None:
        try:
            self.world.carry_out(plan)
        except BridgeError:
            self.refused += 1

    def _wait(self) -> None:
        self.world.pass_time(hours=self.random.choice((1, 5, 11, 23, 25)))


def most_in_a_window(raised: list[tuple[datetime, str]]) -> int:
    """How many people were opted in within the fullest window."""
    most = first = 0
    for last, (at, _) in enumerate(raised):
        while raised[first][0] <= at - DAY:
            first += 1
        most = max(most, len({address for _, address in raised[first : last + 1]}))
    return most


@pytest.mark.parametrize(
    "limits",
    [
        BrakeLimits(raises_max=ALLOWED, raises_share=0.0, burst_max=100),
        BrakeLimits(raises_max=50, raises_share=1.0, raises_ceiling=ALLOWED, burst_max=100),
    ],
    ids=["count", "ceiling"],
)
def test_no_window_ever_holds_more_opt_ins_than_the_brake_allows(world: World, limits: BrakeLimits) -> None:
    for address in PEOPLE:
        world.both(address, NEWS, OUT)
    for side in Side:
        world.sides[side].page_size = len(PEOPLE)
    world.started()
    world.limits = limits
    sequences = Sequences(world, seed=limits.raises_ceiling)
    for _ in range(SEQUENCES):
        sequences.play(acts=3)
    assert most_in_a_window(sequences.raised) == ALLOWED  # no more; and the brake was reached
    assert len(sequences.raised) > SEQUENCES / 10
    assert sequences.refused


def test_a_thousand_sequences_of_writes_stay_within_the_window(world: World) -> None:
    """The brake and the log of writes by themselves: bursts of runs, pauses, and restarts between any two."""
    chance, limits = random.Random(1), BrakeLimits(raises_max=ALLOWED, raises_share=0.0)
    for address in PEOPLE:
        world.both(address, NEWS, OUT)
    world.started()
    people = {who.person: who.address for page in world.store.people.known() for who in page}
    run = world.store.runs.begin(RunKind.APPLY)
    begun: list[tuple[datetime, str]] = []
    for _ in range(1000):
        if chance.random() < 0.02:
            world.restart()
        for _ in range(chance.randint(1, 3)):
            wanted = set(chance.sample(list(people), chance.randint(1, ALLOWED)))
            use = window_use(world.store, limits, len(people))
            if check_brakes(Tally(raised=wanted).volume(use, len(people)), limits).raises:
                continue
            started = [AttemptStarted(one, RAISE, LedgerEntry("decided", {}, one)) for one in sorted(wanted)]
            world.store.attempts.begin(run, Side.DOTDIGITAL, started)
            begun += [(world.now, people[one]) for one in sorted(wanted)]
        world.pass_time(hours=chance.choice((0, 0, 1, 5, 11, 23, 25)))
    assert most_in_a_window(begun) == ALLOWED
    assert len(begun) > 500


def test_what_was_written_about_people_counts_after_they_were_erased(tmp_path: Path) -> None:
    """The brakes do not loosen as people are erased: no name is kept, but how many and when."""
    world = World(tmp_path)
    erasing = ErasureSettings(ErasureKey("a long random word"))
    world.store = Store.open(world.url, clock=world.clock, erasing=erasing)
    limits = BrakeLimits(raises_max=ALLOWED, raises_share=0.0)
    for address in PEOPLE[:4]:
        world.both(address, NEWS, OUT)
    world.started()
    people = [who.person for page in world.store.people.known() for who in page]
    run = world.store.runs.begin(RunKind.APPLY)
    for body, some in ((RAISE, people[:3]), (WITHDRAWAL, people[2:])):
        started = [AttemptStarted(one, body, LedgerEntry("decided", {}, one)) for one in some]
        world.store.attempts.begin(run, Side.DOTDIGITAL, started)
    before = window_use(world.store, limits, 4)
    for address in PEOPLE[:4]:
        world.store.erasures.begin(address)
        world.store.erasures.finish(address, {}, {})
    after = window_use(world.store, limits, 4)
    assert (len(after.raised), after.withdrawn) == (len(before.raised), before.withdrawn) == (3, 2)
    assert {at: len(some) for at, some in after.said.items()} == {
        at: len(some) for at, some in before.said.items()
    }
    assert not after.raised & set(people)
    world.pass_time(hours=25)
    later = window_use(world.store, limits, 4)
    assert (later.raised, later.said, later.withdrawn) == (frozenset(), {}, 0)
    world.close()


def test_the_count_of_a_window_is_that_of_distinct_people() -> None:
    start = datetime(2026, 3, 1, tzinfo=UTC)
    raised = [
        (start + timedelta(hours=hours), name) for hours, name in ((0, "a"), (1, "a"), (23, "b"), (24, "c"))
    ]
    assert most_in_a_window(raised) == 3  # "a" again at 1, "b" and "c"
    assert most_in_a_window(raised[:1] + raised[2:]) == 2
