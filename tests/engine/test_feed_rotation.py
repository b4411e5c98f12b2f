"""Feed rotation: a feed that had no turn yet is read before any opt-in that depends on it is written."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from bridge.core.brakes import BrakeLimits
from bridge.core.errors import Unreachable
from bridge.core.model import Choice, Side
from bridge.core.ports import Feed
from tests.engine.world import ADA, IN, MINE, NEWS, OUT, THEIRS, World, trouble

MANY = [f"p{number}@example.com" for number in range(12)]
MUCH = BrakeLimits(raises_max=100, burst_max=100)


def poll(world: World, *resting: Side) -> int:
    """A polling run in which the feeds of these sides have no turn; how many opt-ins it sent."""
    for side in Side:
        world.sides[side].resting = side in resting
    written = world.run(polling=True).written
    return sum(written.raises.values())


def an_opt_in_waits(world: World, said: Side, people: list[str]) -> None:
    """They opted in at one side, while the other could not be reached."""
    world.limits = MUCH
    for address in people:
        world.both(address, NEWS, OUT)
    world.started()
    for address in people:
        world.say(said, address, NEWS, IN)
    other = world.sides[said.other]
    other.fail["read_person"] = other.fail["read_people"] = [trouble(Unreachable, said.other)] * 100
    assert poll(world) == 0
    other.fail.clear()


def test_what_had_no_turn_is_found_when_its_turn_comes(world: World) -> None:
    world.both(ADA, NEWS, IN)
    world.started()
    world.say(THEIRS, ADA, NEWS, OUT)
    poll(world, THEIRS)
    assert world.shows(ADA) == (IN, OUT)
    poll(world)
    assert world.shows(ADA) == (OUT, OUT)


def test_a_one_shot_run_reads_every_feed(world: World) -> None:
    world.both(ADA, NEWS, IN)
    world.started()
    world.say(THEIRS, ADA, NEWS, OUT)
    world.sides[THEIRS].resting = True
    world.run()
    assert world.shows(ADA) == (OUT, OUT)


def test_the_first_run_reads_every_feed(world: World) -> None:
    world.both(ADA, NEWS, IN)
    world.sides[THEIRS].resting = True
    world.run(polling=True)
    assert world.store.feeds.watermark("dotdigital.feed") is not None


@pytest.mark.parametrize("said", Side)
def test_no_opt_in_passes_a_withdrawal_that_an_unread_feed_would_tell(world: World, said: Side) -> None:
    an_opt_in_waits(world, said, [ADA])
    world.say(said, ADA, NEWS, OUT)
    assert poll(world, said) == 0
    assert world.shows(ADA) == (OUT, OUT)
    assert poll(world) == 0
    assert world.shows(ADA) == (OUT, OUT)


@pytest.mark.parametrize("said", Side)
def test_nor_do_many_opt_ins(world: World, said: Side) -> None:
    world.sides[said.other].bulk_from = 5
    an_opt_in_waits(world, said, MANY)
    for address in MANY[:4]:
        world.say(said, address, NEWS, OUT)
    assert poll(world, said) == len(MANY) - 4
    assert all(world.shows(address) == (OUT, OUT) for address in MANY[:4])
    assert all(world.shows(address) == (IN, IN) for address in MANY[4:])


def test_many_opt_ins_wait_where_the_people_cannot_be_read_at_the_side_of_the_unread_feed(
    world: World,
) -> None:
    world.sides[MINE].bulk_from = 5
    an_opt_in_waits(world, THEIRS, MANY)
    world.sides[THEIRS].fail["read_person"] = [trouble(Unreachable)] * len(MANY)
    assert poll(world, THEIRS) == 0
    world.sides[THEIRS].fail.clear()
    assert poll(world, THEIRS) == len(MANY)


def test_one_opt_in_waits_where_the_person_cannot_be_read_instead(world: World) -> None:
    an_opt_in_waits(world, THEIRS, [ADA])
    world.sides[THEIRS].fail["read_person"] = [trouble(Unreachable)]
    assert poll(world, THEIRS) == 0
    assert poll(world, THEIRS) == 1


def test_the_target_of_many_opt_ins_is_read_with_dates_though_a_listing_takes_fewer_calls(
    world: World,
) -> None:
    """The listing cannot tell a newer no from silence; the feed that can had no turn."""
    world.limits = MUCH
    theirs = world.sides[THEIRS]
    theirs.bulk_from, theirs.undated_reads, theirs.page_size = 5, True, 100
    for address in MANY:
        world.both(address, NEWS, OUT)
    world.started()
    for address in MANY:
        world.say(MINE, address, NEWS, IN)
    for address in MANY[:4]:
        world.say(THEIRS, address, NEWS, OUT)
    assert poll(world, THEIRS) == len(MANY) - 4
    assert all(world.sides[THEIRS].shows(address, NEWS) is OUT for address in MANY[:4])
    assert poll(world) == 0
    assert all(world.shows(address) == (OUT, OUT) for address in MANY[:4])


def test_a_feed_that_has_missed_its_turns_raises_nobody(world: World) -> None:
    world.both(ADA, NEWS, OUT)
    world.started()
    mark = world.store.feeds.watermark("dotdigital.feed")
    assert mark is not None
    poll(world)
    world.say(MINE, ADA, NEWS, IN)
    stale_from = timedelta(hours=3)

    feeds = world.sides[THEIRS].feeds

    def slow(poll_interval: timedelta) -> list[Feed]:
        """As if so much time had passed since its last turn."""
        return [replace(feed, period=-stale_from) for feed in feeds(poll_interval)]

    world.sides[THEIRS].feeds = slow  # type: ignore[method-assign]
    assert poll(world, THEIRS) == 0
    assert poll(world) == 1


def test_an_idle_run_without_a_turn_writes_nothing(world: World) -> None:
    for choice, address in ((Choice.OPTED_IN, MANY[0]), (Choice.OPTED_OUT, MANY[1])):
        world.both(address, NEWS, choice)
    world.started()
    assert poll(world, THEIRS, MINE) == 0
    assert world.run().written.writes == 0
