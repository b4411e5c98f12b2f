"""API calls are spent like money."""

from __future__ import annotations

from bridge.core.model import Side
from tests.engine.world import IN, MINE, NEWS, OUT, World

ADA = "ada@example.com"


def calls(world: World) -> dict[Side, int]:
    return {side: world.sides[side].calls for side in Side}


def spent(world: World) -> dict[Side, int]:
    before = calls(world)
    world.run()
    return {side: count - before[side] for side, count in calls(world).items()}


def test_what_was_looked_into_is_not_looked_into_for_as_long_as_feeds_overlap(world: World) -> None:
    world.both(ADA, NEWS, IN)
    world.started()
    idle = spent(world)
    world.say(MINE, ADA, NEWS, OUT)
    for _ in range(4):  # a minute each: the change itself, and a few looks until it has settled
        world.run()
    paged = 1  # the row is still in the feed, within its overlap
    assert all(count <= idle[side] + paged for side, count in spent(world).items())


def test_a_change_in_the_overlap_that_came_late_is_looked_into(world: World) -> None:
    world.both(ADA, NEWS, IN)
    world.started()
    world.run()
    world.sides[MINE].say(ADA, NEWS, OUT)
    world.sides[MINE].person(ADA).touched = world.now - world.services().tuning.overlap / 2
    world.run()
    assert world.shows(ADA) == (OUT, OUT)


def test_an_idle_run_asks_the_catalogues_only_now_and_then(world: World) -> None:
    world.both(ADA, NEWS, IN)
    world.started().started()
    first, second = spent(world), spent(world)
    assert all(second[side] == first[side] - 1 for side in Side)
