"""A sweep that was cut short goes on where it stopped."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import datetime

import pytest

from bridge.core.errors import DrainIncomplete, SideError, Unreachable
from bridge.core.model import Who
from bridge.core.ports import ListingCursor, Page
from tests.engine.world import ADA, BOB, IN, MINE, NEWS, World, trouble

CARL = "carl@example.com"


class Killed(BaseException):
    """What no code of the bridge catches."""


class Listed:
    """Lists one person a page, with bookmarks; after `cut` pages it raises the error."""

    def __init__(self, world: World, cut: int, error: BaseException) -> None:
        self._side, self._cut, self._error = world.sides[MINE], cut, error
        self._clock = world.clock
        self.asked: list[ListingCursor | None] = []
        self._side.list_people = self.list_people  # type: ignore[method-assign]

    def list_people(self, known: Iterable[Who], since: ListingCursor | None) -> Iterator[Page]:
        self.asked.append(since)
        began: datetime = self._clock() if since is None else since.began
        people = list(self._side.people.values())
        for number in range(0 if since is None else int(since.place), len(people)):
            if self._cut == 0:
                self._cut = -1
                raise self._error
            self._cut -= 1
            view = self._side._view(people[number], began)
            mark = ListingCursor(str(number + 1), began)
            yield Page(views=[view], bookmark=mark, done=number + 1, total=len(people))


@pytest.fixture
def three(world: World) -> World:
    for address in (ADA, BOB, CARL):
        world.both(address, NEWS, IN)
    world.started()
    return world


def test_the_next_process_goes_on_and_looks_at_nobody_again(three: World) -> None:
    listed = Listed(three, 2, Killed())
    with pytest.raises(Killed):
        three.run(full=True)
    three.restart()
    mine = three.sides[MINE]
    before = mine.calls
    assert three.run(full=True).swept
    first, second = listed.asked
    assert first is None
    assert second is not None
    assert second.place == "2"
    assert mine.log.count(("read_person", ADA)) == 0
    assert mine.calls - before <= 2, "catalogue and feed"


def test_a_finished_sweep_leaves_no_bookmark(three: World) -> None:
    listed = Listed(three, 99, Killed())
    three.run(full=True)
    three.run(full=True)
    assert listed.asked == [None, None]


@pytest.mark.parametrize(
    ("error", "kept"), [(DrainIncomplete("not to the end"), False), (trouble(Unreachable, MINE), True)]
)
def test_what_is_useless_is_dropped_and_what_a_side_in_trouble_broke_off_is_kept(
    three: World, error: SideError | DrainIncomplete, kept: bool
) -> None:
    listed = Listed(three, 1, error)
    assert not three.run(full=True).swept
    assert three.run(full=True).swept
    assert (listed.asked[1] is not None) is kept


def test_what_another_mapping_had_read_is_read_again(three: World) -> None:
    listed = Listed(three, 2, Killed())
    with pytest.raises(Killed):
        three.run(full=True)
    three.restart()
    three.mapping = replace(three.mapping, digest="another")
    assert three.run(full=True).swept
    assert listed.asked == [None, None]


def test_how_far_it_has_come_is_told_in_rows(three: World) -> None:
    told: list[tuple[str, int, int | None]] = []
    Listed(three, 99, Killed())
    services = three.services
    three.services = lambda: replace(  # type: ignore[method-assign]
        services(), progress=lambda step, done, total=None: told.append((step, done, total))
    )
    three.run(full=True)
    mine = [(done, total) for step, done, total in told if step == f"reading everybody at {MINE}"]
    assert mine == [(1, 3), (2, 3), (3, 3)]
