"""Calls through the replica port, one request or one feed at a time."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from bridge.core.errors import SideError
from bridge.core.model import ConsentRecord, Who
from bridge.core.ports import Feed, ReadReplica, Replica, WriteRequest, WriteResponse
from bridge.core.writes import Write

MINUTE = timedelta(minutes=1)


def send_one(
    replica: Replica, who: Who, writes: Sequence[Write], records: Sequence[ConsentRecord] = ()
) -> WriteResponse:
    """Send one request. Raises the SideError that it results in."""
    [result] = replica.send([WriteRequest(who, writes, records)], heartbeat=lambda: None)
    if isinstance(result, SideError):
        raise result
    return result


def feed_names(reader: ReadReplica) -> list[str]:
    return [feed.name for feed in reader.feeds(MINUTE)]


def feed_named(reader: ReadReplica, name: str, poll_interval: timedelta = MINUTE) -> Feed:
    """Raises KeyError for a feed that the side does not have."""
    return {feed.name: feed for feed in reader.feeds(poll_interval)}[name]
