"""Reading all people by export: to the proven end, each once, resuming where another process stopped."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from itertools import islice
from typing import Any

import pytest

from bridge.core.errors import DrainIncomplete, Unreachable
from bridge.mypreferences.bulk.segment_export import (
    RESUMABLE,
    ExportCursor,
    SegmentExport,
    SegmentPage,
    SegmentRef,
)
from bridge.mypreferences.wire.bulk import ExportRequest
from bridge.sandbox.faults import InjectedFault
from bridge.sandbox.mypreferences import EVERYBODY, SegmentGroup
from tests.mypreferences.mp_world import World

SEGMENT = SegmentRef("EVERYBODY")


def listing(world: World, limit: int = 2, poll_interval: float = 3.0) -> SegmentExport:
    return SegmentExport(
        world.client,
        clock=world.state.clock.now,
        poll_interval=poll_interval,
        sleep=world.pauses.append,
        limit=limit,
    )


def five(world: World) -> list[str]:
    return [world.add(f"p{number}@example.com") for number in range(5)]


def ids(blocks: list[SegmentPage]) -> list[str]:
    return [row.id for block in blocks for row in block.rows]


def block(*rows: int, more: bool | None, total: int | None) -> InjectedFault:
    body: dict[str, Any] = {"UserProfilePreferences": [{"ProfileId": row} for row in rows]}
    body |= {"HasMore": more, "TotalResults": total}
    return InjectedFault("retrieveExport", "status", status=200, body=json.dumps(body))


def test_each_block_gives_the_next_position(world: World) -> None:
    people = five(world)
    blocks = list(listing(world).read_all(SEGMENT))
    assert ids(blocks) == people
    assert [item.cursor.rows for item in blocks] == [0, 2, 4, 5]
    assert [item.cursor.offset for item in blocks] == [1, 3, 5, 6]
    assert [item.total for item in blocks] == [None, 5, 5, 5]


@pytest.mark.parametrize("stored", [1, 2, 3, 4])
def test_a_listing_goes_on_where_another_process_stopped(world: World, stored: int) -> None:
    people = five(world)
    *_, last = islice(listing(world).read_all(SEGMENT), stored)
    world.add("late@example.com")
    rest = list(listing(world).read_all(SEGMENT, ExportCursor.load(last.cursor.dump())))
    assert ids(rest) == people[last.cursor.rows :]
    assert rest[-1].cursor.rows == rest[-1].total == 5
    assert rest[-1].cursor.began == last.cursor.began
    assert world.calls("initiateExportSegment") == 1


def test_an_export_that_is_gone_is_started_again(world: World) -> None:
    """MyPreferences `Retrieve status`: Expired is what was generated and not fetched in time."""
    people = five(world)
    _, first = islice(listing(world).read_all(SEGMENT), 2)
    world.state.switches.export_keep_seconds = 60
    world.state.clock.advance(61)
    blocks = list(listing(world).read_all(SEGMENT, first.cursor))
    assert ids(blocks) == people
    assert blocks[-1].cursor.began - first.cursor.began == timedelta(seconds=61)
    assert world.calls("initiateExportSegment") == 2


def test_an_unknown_token_is_started_again(world: World) -> None:
    people = five(world)
    place = ExportCursor(SEGMENT.label, "1", world.state.clock.now(), offset=3, rows=2, last=people[1])
    assert ids(list(listing(world).read_all(SEGMENT, place))) == people


@pytest.mark.parametrize("what", ["another segment", "too old"])
def test_a_place_that_is_of_no_use_is_not_asked_for(world: World, what: str) -> None:
    people = five(world)
    world.state.add_segment_group(SegmentGroup("EVERYBODY", EVERYBODY))
    _, first = islice(listing(world).read_all(SEGMENT), 2)
    segment = SegmentRef("EVERYBODY", is_group=True) if what == "another segment" else SEGMENT
    if what == "too old":
        world.state.clock.advance(RESUMABLE.total_seconds())
    world.state.calls.reset()
    assert ids(list(listing(world).read_all(segment, first.cursor))) == people
    assert world.calls("retrieveExport") == 3


def test_a_side_that_is_down_does_not_throw_the_place_away(world: World) -> None:
    five(world)
    _, first = islice(listing(world).read_all(SEGMENT), 2)
    world.state.faults.add(InjectedFault("retrieveExport", "reset", times=9))
    with pytest.raises(Unreachable):
        list(listing(world).read_all(SEGMENT, first.cursor))
    assert world.calls("initiateExportSegment") == 1


def test_a_page_that_begins_with_the_last_row_of_the_one_before_counts_it_once(world: World) -> None:
    """MyPreferences `Segment: Retrieve data`: "limit 100, offset 100" is said to return 100 through 200."""
    world.add()
    pages = (block(1, 2, 3, more=True, total=5), block(3, 4, 5, more=False, total=5))
    for number, page in enumerate(pages, 1):
        world.state.faults.add(replace(page, nth=number))
    blocks = list(listing(world).read_all(SEGMENT))
    assert ids(blocks) == ["1", "2", "3", "4", "5"]


def test_a_short_page_is_not_the_end(world: World) -> None:
    people = five(world)
    world.state.faults.add(InjectedFault("retrieveExport", "half_page", nth=2))
    assert ids(list(listing(world).read_all(SEGMENT))) == people


def test_the_same_page_for_ever_is_an_incomplete_listing(world: World) -> None:
    body = block(1, 2, more=True, total=5).body
    world.state.faults.add(InjectedFault("retrieveExport", "status", status=200, body=body, times=99))
    with pytest.raises(DrainIncomplete, match="2 of 5"):
        list(listing(world).read_all(SEGMENT))
    assert world.calls("retrieveExport") == 2


def test_the_end_is_proven_by_the_status_where_the_page_does_not_count(world: World) -> None:
    five(world)
    world.state.faults.add(block(1, 2, more=False, total=None))
    with pytest.raises(DrainIncomplete, match="2 of 5"):
        list(listing(world).read_all(SEGMENT))


@pytest.mark.parametrize("word", ["Error", "Expired", "Retrieved", "Anything"])
def test_an_export_that_ends_badly_is_an_incomplete_listing(world: World, word: str) -> None:
    """MyPreferences `Retrieve status`."""
    world.state.faults.add(
        InjectedFault(
            "exportStatus", "status", status=200, body=json.dumps({"Status": word, "RowCount": None})
        )
    )
    with pytest.raises(DrainIncomplete):
        list(listing(world).read_all(SEGMENT))


def test_waiting_shows_signs_of_life_and_grows_patient(world: World) -> None:
    five(world)
    world.state.switches.export_polls = 5
    blocks = list(listing(world).read_all(SEGMENT))
    assert [len(item.rows) for item in blocks] == [0, 0, 0, 0, 0, 2, 2, 1]
    assert world.pauses == [0.5, 1.0, 2.0, 3.0, 3.0]


def test_a_segment_group_is_listed_like_a_segment(world: World) -> None:
    people = five(world)
    world.state.add_segment_group(SegmentGroup("ALL", EVERYBODY))
    assert ids(list(listing(world).read_all(SegmentRef("ALL", is_group=True)))) == people
    assert world.calls("initiateExportSegmentGroup") == 1


def test_chosen_people_are_listed_alone(world: World) -> None:
    people = five(world)
    wanted = ExportRequest(match_criteria="ProfileId", values=people[3:])
    assert ids(list(listing(world).read_matching(SEGMENT, wanted))) == people[3:]
