"""Bulk export as the client calls it: requests and answers."""

from __future__ import annotations

from datetime import timedelta

import pytest

from bridge.core.errors import NotFound, Refused
from bridge.mypreferences.wire.bulk import ExportRequest
from bridge.mypreferences.wire.codec import render_moment
from bridge.sandbox.mypreferences import EVERYBODY, SegmentGroup
from tests.mypreferences.mp_world import ADDRESS, World


def rows(world: World, token: str) -> list[str]:
    while world.client.export_status(token).status != "Complete":
        pass
    return [row.id for row in world.client.retrieve_export(token, offset=1).user_profile_preferences]


@pytest.mark.parametrize(
    "wanted",
    [
        ExportRequest(match_criteria="ProfileId", values=["1001"]),
        ExportRequest(match_criteria="EmailAddress", match_type="Primary", values=[ADDRESS.upper()]),
        ExportRequest(match_criteria="AlternateId", match_type="CrmId", values=["77"]),
    ],
    ids=lambda wanted: wanted.match_criteria,
)
def test_criteria_narrow_what_is_exported(world: World, wanted: ExportRequest) -> None:
    """MyPreferences `Segment: Initiate`: the criteria are ANDed with the segment's own."""
    found = world.add(alternate_ids={"CrmId": "77"})
    world.add("other@example.com")
    assert rows(world, world.client.initiate_export_segment("EVERYBODY", wanted)) == [found]


def test_a_segment_group_is_exported_like_a_segment(world: World) -> None:
    """MyPreferences `Segment group: Initiate`."""
    world.state.add_segment_group(SegmentGroup("ALL", EVERYBODY))
    found = world.add()
    assert rows(world, world.client.initiate_export_segment_group("ALL")) == [found]
    with pytest.raises(NotFound):
        world.client.initiate_export_segment_group("NONE")


@pytest.mark.parametrize("milliseconds", [0, 2, 6, 9, 998])
def test_what_changed_at_the_very_moment_is_in_an_incremental_export(world: World, milliseconds: int) -> None:
    """MyPreferences `Segment: Initiate`: LastDateTime is rounded up to 1/300 s."""
    world.add("before@example.com")
    world.state.clock.advance(60 + milliseconds / 1000)
    moment = world.state.now()
    changed = world.add()
    wanted = ExportRequest(last_date_time=render_moment(moment - timedelta(seconds=1)))
    assert rows(world, world.client.initiate_export_segment("EVERYBODY", wanted)) == [changed]


def test_the_total_is_known_when_the_export_is_complete(world: World) -> None:
    world.add()
    token = world.client.initiate_export_segment("EVERYBODY")
    seen = [world.client.export_status(token) for _ in range(2)]
    assert [(item.status, item.row_count) for item in seen] == [("Processing", None), ("Complete", 1)]


def test_a_kept_token_outlives_its_last_block(world: World) -> None:
    """MyPreferences `Segment: Retrieve data`: keepAlive."""
    world.add()
    token = world.client.initiate_export_segment("EVERYBODY")
    assert rows(world, token) == rows(world, token)
    world.client.retrieve_export(token, offset=1, keep_alive=False)
    with pytest.raises(NotFound):
        world.client.retrieve_export(token, offset=1)


def test_a_request_that_cannot_be_met_is_refused(world: World) -> None:
    with pytest.raises(Refused):
        world.client.initiate_export_segment(
            "EVERYBODY", ExportRequest(match_criteria="AlternateId", values=["7"])
        )
