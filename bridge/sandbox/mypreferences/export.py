"""Bulk export: a snapshot is made at the start and fetched in blocks."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from bridge.sandbox.clock import SandboxClock
from bridge.sandbox.mypreferences.dates import read_moment, round_up_to_tick, write_moment
from bridge.sandbox.mypreferences.people import People
from bridge.sandbox.mypreferences.refusal import Refused, invalid
from bridge.sandbox.mypreferences.render import Render
from bridge.sandbox.mypreferences.segments import Holds, Segment, matcher
from bridge.sandbox.mypreferences.switches import Switches


@dataclass
class _Job:
    rows: list[bytes]  # JSON documents: as objects they would take far more room
    created: datetime
    polls_left: int
    ends: str
    retrieved: bool = False


class Exports:
    """Exports and what they hold. Guarded by the state's lock."""

    def __init__(self, clock: SandboxClock, switches: Switches, people: People, documents: Render) -> None:
        self._clock = clock
        self._switches = switches
        self._people = people
        self._documents = documents
        self._jobs: dict[int, _Job] = {}

    def initiate(self, segment: Segment, body: Any) -> int:
        """Begin an export; returns its access token. Raises Refused 400 for a request that cannot be met."""
        request = body if isinstance(body, dict) else {}
        since = _since(request)
        matches = matcher(request)
        found = self._deleted(since) if segment.of_deleted else self._rows(segment, since, matches)
        rows = [json.dumps(row, separators=(",", ":")).encode() for row in found]
        token = 700_001 + len(self._jobs)
        self._jobs[token] = _Job(
            rows, self._clock.now(), self._switches.export_polls, self._switches.export_ends
        )
        return token

    def status(self, token: int) -> dict[str, Any]:
        """Where an export stands; asking brings it forward. Raises Refused 401 for an unknown token."""
        job = self._job(token)
        status = self._status(job)
        done = status in ("Complete", "Retrieved")
        document = {
            "AccessToken": token,
            "Status": status,
            "RowCount": len(job.rows) if done else None,
            "ByteCount": None,
        }
        if status == "Processing":
            job.polls_left -= 1
        return document

    def retrieve(self, token: int, limit: int, offset: int, keep_alive: bool) -> dict[str, Any]:
        """One block, `offset` counting from 1. Raises Refused 400 while processing, 401 once expired."""
        job = self._job(token)
        status = self._status(job)
        if status == "Processing":
            raise invalid("The export is still being processed.")
        if status != "Complete":
            raise _bad_token()
        if limit < 1 or offset < 1:
            raise invalid("limit and offset must be 1 or more.")
        rows = job.rows[offset - 1 : offset - 1 + limit]
        has_more = offset - 1 + len(rows) < len(job.rows)
        if not has_more and not keep_alive:
            job.retrieved = True
        return {
            "Count": len(rows),
            "HasMore": has_more,
            "Limit": limit,
            "Offset": offset,
            "TotalResults": len(job.rows),
            "UserProfilePreferences": [json.loads(row) for row in rows],
        }

    def _job(self, token: int) -> _Job:
        job = self._jobs.get(token)
        if job is None:
            raise _bad_token()
        return job

    def _status(self, job: _Job) -> str:
        if job.retrieved:
            return "Retrieved"
        if job.polls_left > 0:
            return "Processing"
        if job.ends != "Complete":
            return job.ends
        if self._clock.now() - job.created > timedelta(seconds=self._switches.export_keep_seconds):
            return "Expired"
        return "Complete"

    def _rows(self, segment: Segment, since: datetime | None, matches: Holds) -> Iterator[dict[str, Any]]:
        archived = self._switches.export_shows_archived
        return (
            self._documents.profile(profile, implied=False, history=False, archived=archived)
            for profile in self._people
            if (since is None or profile.modified >= since) and segment.holds(profile) and matches(profile)
        )

    def _deleted(self, since: datetime | None) -> Iterator[dict[str, Any]]:
        return (
            {
                "ProfileId": item.profile_id,
                "DeletedDate": write_moment(item.deleted),
                "ReasonCode": item.reason_code,
            }
            for item in self._people.deleted
            if since is None or item.deleted >= since
        )


def _bad_token() -> Refused:
    return Refused(401, "The AccessToken is invalid or has expired.")


def _since(request: dict[str, Any]) -> datetime | None:
    text = request.get("LastDateTime")
    if not text:
        return None
    try:
        return round_up_to_tick(read_moment(str(text)))
    except (ValueError, OverflowError):
        raise invalid("LastDateTime is not a valid date.") from None
