"""What a third review looked for: each story that it told, with its end."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest

from bridge.core.decision import Rule
from bridge.core.mapping import Conflict
from bridge.core.model import Side, address_key
from bridge.core.ports import Hint, Page, PersonView
from tests.engine.world import ADA, BOB, IN, NEWS, OFFERS, OUT, World
from tests.fakes import FakeSide
from tests.safety.late_side import LateSide, LateWorld
from tests.scenarios.conftest import Make
from tests.scenarios.live import FILTERS


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    yield made
    made.close()


# what cannot be stored


class WithoutIds(FakeSide):
    """A side whose feed brings people without the ids of their records."""

    def read_feed(self, feed: str, since: datetime) -> Iterator[Page]:
        read_at = self.clock()
        touched = [one for one in self.people.values() if one.touched and one.touched >= since]
        yield Page(views=[replace(self._view(one, read_at), ids=()) for one in touched])
        yield Page(watermark=read_at)

    def read_hint(self, hint: Hint) -> Sequence[PersonView]:
        if hint.address is None:
            return super().read_hint(hint)
        person = self.people.get(address_key(hint.address))
        return [] if person is None else [self._view(person, self.clock())]


class Unstorable:
    """What the state DB can store nothing about, for some time."""

    def __init__(self, world: World, address: str) -> None:
        self.address: str | None = address
        self._record = world.store.observations.record
        self._add = world.store.retry_queue.add
        self.may_be_kept = True
        world.store.observations.record = self._refusing  # type: ignore[method-assign]
        world.store.retry_queue.add = self._adding  # type: ignore[method-assign]

    def _refusing(self, views: Sequence[PersonView], side: Side, **more: object):  # type: ignore[no-untyped-def]
        if any(view.address == self.address for view in views):
            raise ValueError("cannot be stored")
        return self._record(views, side, **more)  # type: ignore[arg-type]

    def _adding(self, side: Side, **kept: object) -> None:
        if not self.may_be_kept:
            raise ValueError("cannot be stored")
        self._add(side, **kept)  # type: ignore[arg-type]


@pytest.mark.parametrize("side", list(Side))
@pytest.mark.parametrize("may_be_kept", [True, False])
def test_an_opt_out_of_an_unknown_person_that_cannot_be_stored_is_read_until_it_can(
    world: World, side: Side, may_be_kept: bool
) -> None:
    """The other side's opt-in shows later; then it must meet the opt-out. The feed names no record."""
    world.both(BOB, NEWS, IN)
    world.sides[side].__class__ = WithoutIds
    world.started()
    fault = Unstorable(world, ADA)
    fault.may_be_kept = may_be_kept
    world.say(side, ADA, NEWS, OUT)
    world.say(side, BOB, NEWS, OUT)
    world.run()
    assert world.shows(BOB) == (OUT, OUT)
    for _ in range(3):
        world.pass_time(days=1)
        assert not world.run().in_sync
    fault.address = None
    assert world.run().exit_code == 0
    assert world.cell(ADA).seen[side].opted_out


@pytest.mark.parametrize("side", list(Side))
def test_what_cannot_be_stored_of_a_known_person_is_held_although_no_record_is_named(
    world: World, side: Side
) -> None:
    world.both(ADA, NEWS, IN)
    world.sides[side].__class__ = WithoutIds
    world.started()
    Unstorable(world, ADA)
    world.say(side, ADA, NEWS, OUT)
    assert world.run().exit_code == 3
    assert {hold.reason for hold in world.store.holds.page()} == {Rule.UNREADABLE}


# frequencies


@pytest.fixture
def late(tmp_path: Path) -> Iterator[LateWorld]:
    made = LateWorld(tmp_path)
    made.sides = {side: LateSide(side, made.mapping, made.clock) for side in Side}
    yield made
    made.close()


@pytest.mark.parametrize("answers", [True, False], ids=["read_back_lags", "outcome_unknown"])
@pytest.mark.parametrize("said_at", ["its side", "the other"])
@pytest.mark.parametrize("side", list(Side))
def test_an_opt_out_of_all_is_not_undone_by_a_frequency_that_is_set_late(
    late: LateWorld, side: Side, said_at: str, answers: bool
) -> None:
    """The person chooses another frequency, then opts out of all; only then the first is applied."""
    late.both(ADA, OFFERS, IN, "DAILY")
    late.started()
    target = late.sides[side.other]
    assert isinstance(target, LateSide)
    target.holding, target.answers = True, answers
    late.say(side, ADA, OFFERS, IN, frequencies=("WEEKLY",))
    late.run()
    assert target.late
    late.say(side if said_at == "its side" else side.other, ADA, OFFERS, OUT)
    target.holding = False
    late.runs(1)
    target.land()
    reports = late.runs(5)
    assert late.shows(ADA, OFFERS) == (OUT, OUT) or not reports[-1].in_sync


# two records of one address


@pytest.mark.parametrize("named", ["nobody", "first", "second"])
@pytest.mark.parametrize("which", [0, 1])
@pytest.mark.parametrize("policy", list(Conflict))
def test_an_opt_out_at_one_of_two_profiles_is_carried_and_stays(
    make: Make, policy: Conflict, which: int, named: str
) -> None:
    """The contact may name either profile. The other one says yes again later."""
    live = make(profile_identifier="mypreferences-id", conflict=policy.value)
    ada = live.add("ada", both={NEWS: IN})
    profiles = [live.profile(ada), live.add_mine(ada, {NEWS: IN}, live.clock.now().replace(year=2025))]
    if named != "nobody":
        live.pin(ada, profiles[named == "second"])
    live.started()
    out, other = profiles[which], profiles[1 - which]
    for profile, inside in ((out, False), (other, True), (out, False)):
        live.mypreferences.set_preference(profile, FILTERS[NEWS], inside, live.clock.now())
        live.clock.advance(60)
        live.run()
    live.until_quiet()
    assert live.theirs(ada, NEWS) is OUT
