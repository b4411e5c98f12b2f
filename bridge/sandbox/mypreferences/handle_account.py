"""Operations on bulk exports."""

from __future__ import annotations

from bridge.sandbox.mypreferences.call import Call, Reply
from bridge.sandbox.mypreferences.showing import permitted


def initiate_export(call: Call) -> Reply:
    """Segment: Initiate."""
    segment = call.state.segments.segment(call.params["segmentName"])
    return Reply({"AccessToken": call.state.exports.initiate(segment, call.body())})


def initiate_group_export(call: Call) -> Reply:
    """Segment group: Initiate."""
    segment = call.state.segments.group(call.params["segmentGroupName"])
    return Reply({"AccessToken": call.state.exports.initiate(segment, call.body())})


def export_status(call: Call) -> Reply:
    """Retrieve status of an export."""
    return Reply(call.state.exports.status(call.id_param("accessToken")))


def retrieve_export(call: Call) -> Reply:
    """Retrieve data of an export, a block at a time."""
    block = call.state.exports.retrieve(
        call.id_param("accessToken"),
        call.number("limit", 1000),
        call.number("offset", 1),
        call.flag("keepAlive", False),
    )
    return Reply(permitted(call, block))
