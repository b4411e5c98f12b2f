"""What a review asked of a run: doubt about one read, one feed or one sweep never makes a choice."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from bridge.core.errors import Ambiguous, DrainIncomplete, InvalidResponse, ServerError, Unreachable
from bridge.core.mapping import FilterRef, Topic
from bridge.core.model import CHANNEL, Block, Side, TopicId, Who
from bridge.core.ports import ListingCursor, Page, PersonView, WriteRequest, WriteResponse
from bridge.core.writes import Resubscribe
from tests.engine.world import ADA, BOB, IN, MAPPING, MINE, NEWS, OUT, THEIRS, UNSET, World, trouble

# a feed that answers badly


def test_a_feed_that_answers_badly_does_not_stop_withdrawals_to_its_side(world: World) -> None:
    world.both(ADA, NEWS, IN)
    world.started()
    world.say(MINE, ADA, NEWS, OUT)
    theirs = world.sides[THEIRS]
    theirs.fail["read_feed"] = [trouble(InvalidResponse)]
    report = world.run()
    assert world.shows(ADA) == (OUT, OUT)
    assert report.exit_code == 5
    assert not report.in_sync


def test_a_feed_without_a_proven_end_is_not_in_sync(world: World) -> None:
    world.both(ADA, NEWS, IN)
    world.started()
    world.sides[THEIRS].fail["read_feed"] = [DrainIncomplete("moving")]  # type: ignore[list-item]
    assert not world.run().in_sync


# who was asked once


def channel_world(tmp_path: Path, resubscribe: Resubscribe = Resubscribe.CHALLENGE) -> World:
    mapping = replace(MAPPING, channel=replace(MAPPING.channel, resubscribe=resubscribe))
    return World(tmp_path, mapping)


def asked(world: World) -> int:
    return world.sides[THEIRS].log.count((CHANNEL, "Raise"))


@pytest.mark.parametrize("block", [Block.PENDING, Block.UNREACHABLE, Block.CONTROLLER])
def test_who_was_asked_is_not_asked_again_after_another_state_came_between(
    tmp_path: Path, block: Block
) -> None:
    world = channel_world(tmp_path)
    world.both(ADA, CHANNEL, OUT)
    world.started()
    world.say(MINE, ADA, CHANNEL, IN)
    world.run()
    assert asked(world) == 1
    theirs = world.sides[THEIRS]
    view = theirs._view

    def between(person: object, read_at: object) -> object:
        shown = view(person, read_at)  # type: ignore[arg-type]
        seen = replace(shown.topics[CHANNEL], choice=UNSET, changed_at=None, block=block)
        return replace(shown, topics={**shown.topics, CHANNEL: seen})

    theirs._view = between  # type: ignore[method-assign,assignment]
    theirs.person(ADA).touched = world.clock()
    world.run()
    del theirs._view
    world.pass_time(minutes=10)
    theirs.person(ADA).touched = world.clock()
    for _ in range(2):
        world.run()
    assert asked(world) == 1
    world.close()


def test_who_was_asked_is_not_asked_again_after_a_read_was_refused(tmp_path: Path) -> None:
    world = channel_world(tmp_path)
    world.both(ADA, CHANNEL, OUT)
    world.started()
    world.say(MINE, ADA, CHANNEL, IN)
    world.run()
    assert asked(world) == 1
    mine = world.sides[MINE]
    mine.person(ADA).touched = world.clock()
    mine.fail["read_person"] = [trouble(InvalidResponse, MINE), trouble(Ambiguous, MINE)]
    world.run()
    theirs = world.sides[THEIRS]
    assert world.store.cells.counts().held > 0
    world.pass_time(minutes=10)
    world.say(THEIRS, ADA, CHANNEL, OUT, at=world.now.replace(year=2025))
    for _ in range(2):
        world.run()
    assert asked(world) == 1
    assert theirs.shows(ADA, CHANNEL) is OUT
    world.close()


# a source that could not be read


def test_an_opt_in_is_not_carried_while_its_source_could_not_be_read_again(world: World) -> None:
    world.both(ADA, NEWS, OUT)
    world.started()
    world.say(MINE, ADA, NEWS, IN)
    theirs, mine = world.sides[THEIRS], world.sides[MINE]
    theirs.fail["send_one"] = [trouble(ServerError)]
    world.run()
    assert world.shows(ADA) == (IN, OUT)
    world.say(MINE, ADA, NEWS, OUT)
    mine.fail["read_person"] = [trouble(InvalidResponse, MINE)] * 2
    world.run()
    assert theirs.shows(ADA, NEWS) is OUT
    assert (NEWS, "Raise") not in theirs.log


def test_a_hold_for_an_unreadable_person_ends_once_they_were_read(world: World) -> None:
    world.both(ADA, NEWS, IN)
    world.started()
    mine = world.sides[MINE]
    mine.person(ADA).touched = world.clock()
    mine.fail["read_person"] = [trouble(InvalidResponse, MINE), trouble(Ambiguous, MINE)]
    assert world.run().counts.held > 0
    world.pass_time(minutes=10)
    mine.person(ADA).touched = world.clock()
    world.run()
    assert world.run().counts.held == 0


# a sweep that is owed


def test_a_sweep_that_a_gap_made_necessary_is_owed_until_it_is_done(world: World) -> None:
    world.both(ADA, NEWS, IN)
    world.started()
    world.say(MINE, ADA, NEWS, OUT)
    world.pass_time(days=20)
    world.sides[MINE].fail["list_people"] = [trouble(Unreachable, MINE)]
    world.run()
    world.run()
    assert world.shows(ADA) == (OUT, OUT)


def test_a_sweep_that_a_new_mapping_made_necessary_is_owed_until_it_is_done(world: World) -> None:
    extra = Topic(TopicId("extra"), FilterRef("EXTRA_EMAIL"), {"": 1010})
    world.both(ADA, NEWS, IN)
    world.started()
    world.mapping = replace(world.mapping, topics=(*world.mapping.topics, extra), digest="another")
    for side in world.sides.values():
        side.mapping = world.mapping
    long_ago = world.now.replace(year=2025)
    world.say(MINE, ADA, "extra", OUT, at=long_ago)
    world.say(THEIRS, ADA, "extra", IN, at=long_ago)
    for side in world.sides.values():
        side.person(ADA).touched = long_ago
    for side, there in world.sides.items():
        there.fail["list_people"] = [trouble(Unreachable, side)]
    world.run()
    world.run()
    assert world.shows(ADA, "extra") == (OUT, OUT)


# plans


def test_a_plan_on_an_empty_state_db_is_not_the_first_run(world: World) -> None:
    world.both(BOB, NEWS, IN)
    world.say(THEIRS, ADA, NEWS, UNSET)
    world.plan()
    world.pass_time(days=7)
    world.say(MINE, ADA, NEWS, IN)
    world.pass_time(days=1)
    world.run()
    assert world.shows(ADA) == (IN, UNSET)
    epoch = world.store.facts.epoch
    assert epoch is not None
    assert epoch > world.now.replace(day=8)


def test_a_saved_raise_is_not_sent_when_its_target_withdrew_meanwhile(world: World) -> None:
    for address in (ADA, BOB):
        world.both(address, NEWS, OUT)
    world.started()
    for address in (ADA, BOB):
        world.say(MINE, address, NEWS, IN)
    plan = world.plan()
    theirs = world.sides[THEIRS]
    send_one = theirs._send_one

    def first(request: WriteRequest) -> WriteResponse:
        done = send_one(request)
        last = BOB if theirs.shows(ADA, NEWS) is IN else ADA
        if theirs.shows(last, NEWS) is not IN:
            world.pass_time(seconds=10)
            theirs.say(last, NEWS, OUT)
        return done

    theirs._send_one = first  # type: ignore[method-assign]
    world.carry_out(plan)
    assert theirs.log.count((NEWS, "Raise")) == 1


# two sides to be told


def test_a_withdrawal_reaches_one_side_although_the_other_is_down(world: World) -> None:
    world.both(ADA, NEWS, OUT)
    world.started()
    old = world.now.replace(year=2025)
    for side in Side:
        world.say(side, ADA, NEWS, IN, at=old)
    limits, world.limits = (
        world.limits,
        type(world.limits)(withdrawals_max=0, withdrawals_share=0, hold_withdrawals=True),
    )
    world.run()
    assert world.shows(ADA) == (IN, IN)
    world.limits = limits
    world.sides[MINE].fail["read_feed"] = [trouble(Unreachable, MINE)]
    world.run()
    assert world.shows(ADA) == (IN, OUT)


# the brake counts what is sent


def test_no_more_raises_leave_than_the_brake_allows_whatever_is_released_meanwhile(world: World) -> None:
    people = [f"p{number}@example.com" for number in range(12)]
    for address in people:
        world.say(THEIRS, address, NEWS, UNSET)
        world.say(MINE, address, NEWS, IN, at=world.now.replace(year=2025))
    world.started()
    assert world.store.cells.counts().held == 12
    world.both(BOB, NEWS, IN)
    world.say(MINE, BOB, NEWS, OUT)
    world.limits = type(world.limits)(raises_max=5, raises_share=0.05)
    theirs = world.sides[THEIRS]
    send_one = theirs._send_one

    def released(request: WriteRequest) -> WriteResponse:
        world.store.holds.release_all("first_run")
        return send_one(request)

    theirs._send_one = released  # type: ignore[method-assign]
    world.run()
    assert theirs.log.count((NEWS, "Raise")) <= 5


# absence


def test_a_person_whom_a_side_refuses_to_return_is_not_absent(world: World) -> None:
    """MyPreferences `Retrieve profiles by email` answers 403 to more than 50 profiles."""
    world.say(THEIRS, ADA, NEWS, OUT)
    mine = world.sides[MINE]
    mine.say(ADA, NEWS, IN, at=world.now.replace(year=2025))
    mine.person(ADA).touched = None
    read_person = mine._read_person

    def refused(who: Who) -> PersonView:
        if who.address == ADA:
            raise trouble(Ambiguous, MINE)
        return read_person(who)

    def one_by_one(known: Iterable[Who], since: ListingCursor | None) -> Iterator[Page]:
        yield Page(failures=[(who, trouble(Ambiguous, MINE)) for who in known])

    mine._read_person, mine.list_people = refused, one_by_one  # type: ignore[method-assign]
    world.run()
    assert {hold.reason for hold in world.store.holds.page()} == {"unreadable"}
    assert world.cell(ADA).agreed is None


def test_a_person_whom_a_listing_leaves_out_is_looked_for_before_a_withdrawal_is_agreed(world: World) -> None:
    """Absence from a list is nobody's proof: the segment may lack people, or hide them."""
    world.both(BOB, NEWS, IN)
    world.say(THEIRS, ADA, NEWS, OUT)
    mine = world.sides[MINE]
    mine.say(ADA, NEWS, IN, at=world.now.replace(year=2025))
    mine.person(ADA).touched = None
    everyone = mine.list_people

    def without_ada(known: Iterable[Who], since: ListingCursor | None) -> Iterator[Page]:
        for page in everyone(known):
            yield replace(page, views=[view for view in page.views if view.address != ADA])

    mine.list_people = without_ada  # type: ignore[method-assign]
    world.run()
    assert world.shows(ADA) == (OUT, OUT)


def test_a_person_known_at_one_side_only_is_looked_for_once(world: World) -> None:
    world.say(THEIRS, ADA, NEWS, OUT)
    mine = world.sides[MINE]
    looked: list[str] = []
    read_person = mine._read_person

    def noted(who: Who) -> PersonView:
        looked.append(who.address)
        return read_person(who)

    mine._read_person = noted  # type: ignore[method-assign]
    for _ in range(3):
        world.run(full=True)
    assert looked == [ADA]
    assert world.cell(ADA).agreed is not None


# one record under two addresses


def test_two_people_shown_with_one_record_are_read_once_each(world: World) -> None:
    """A contact has one address: which of two it is may change between two reads."""
    world.both(ADA, NEWS, OUT)
    world.both(BOB, NEWS, IN)
    theirs = world.sides[THEIRS]
    theirs.person(BOB).id = theirs.person(ADA).id
    world.started()
    calls = theirs.calls
    world.run(full=True)
    assert theirs.calls - calls < 12
    assert theirs.shows(BOB, NEWS) is OUT
