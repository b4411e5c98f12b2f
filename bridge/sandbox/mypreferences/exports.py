"""Bulk export: a snapshot is made at the start and fetched in blocks."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import msgspec
from msgspec import Struct

from bridge.sandbox.http import HttpReply, json_reply
from bridge.sandbox.mypreferences import render
from bridge.sandbox.mypreferences.account import ExportJob, Holds, MyPreferencesAccount, Segment
from bridge.sandbox.mypreferences.bodies import read
from bridge.sandbox.mypreferences.call import MyPreferencesCall, permitted
from bridge.sandbox.mypreferences.dates import read_moment, round_up_to_tick, write_moment
from bridge.sandbox.mypreferences.records import EMAIL, PHONE, ContactKind, contact_key
from bridge.sandbox.mypreferences.refusal import MyPreferencesRefusal, invalid, not_found


class ExportBody(Struct, rename="pascal"):
    """What to export of a segment (MyPreferences `ExportRequest`). The criteria narrow the segment down."""

    last_date_time: str | None = None
    match_criteria: str | None = None
    match_type: str | None = None
    values: list[str | int] | None = None


def initiate(call: MyPreferencesCall) -> HttpReply:
    """Segment: Initiate."""
    name = call.parameter("segmentName")
    segment = call.account.segments.get(name.lower())
    if segment is None:
        raise not_found(f"Segment {name}")
    return _initiate(call, segment)


def initiate_group(call: MyPreferencesCall) -> HttpReply:
    """Segment group: Initiate."""
    name = call.parameter("segmentGroupName")
    group = call.account.segment_groups.get(name.lower())
    if group is None:
        raise not_found(f"SegmentGroup {name}")
    return _initiate(call, Segment(group.name, group.holds))


def status(call: MyPreferencesCall) -> HttpReply:
    """Retrieve status of an export; asking brings it forward."""
    token, job = _job(call)
    found = _status(call.account, job)
    if found == "Processing":
        job.polls_left -= 1
    rows = len(job.rows) if found in ("Complete", "Retrieved") else None
    return json_reply({"AccessToken": token, "Status": found, "RowCount": rows, "ByteCount": None})


def retrieve(call: MyPreferencesCall) -> HttpReply:
    """Retrieve data of an export, a block at a time, `offset` counting from 1."""
    _, job = _job(call)
    limit, offset = call.number("limit", 1000), call.number("offset", 1)
    found = _status(call.account, job)
    if found == "Processing":
        raise invalid("The export is still being processed.")
    if found != "Complete":
        raise _bad_token()
    if limit < 1 or offset < 1:
        raise invalid("limit and offset must be 1 or more.")
    rows = job.rows[offset - 1 : offset - 1 + limit]
    has_more = offset - 1 + len(rows) < len(job.rows)
    if not has_more and not call.flag("keepAlive", False):
        job.retrieved = True
    block = {
        "Count": len(rows),
        "HasMore": has_more,
        "Limit": limit,
        "Offset": offset,
        "TotalResults": len(job.rows),
        "UserProfilePreferences": [msgspec.json.decode(row) for row in rows],
    }
    return json_reply(permitted(call, block))


def _initiate(call: MyPreferencesCall, segment: Segment) -> HttpReply:
    account, body = call.account, read(call.document() or {}, ExportBody)
    since, wanted = _since(body), _criteria(body)
    found = _deleted(account, since) if segment.of_deleted else _rows(account, segment, since, wanted)
    token = 700_001 + len(account.exports)
    account.exports[token] = ExportJob(
        [msgspec.json.encode(row) for row in found],
        account.clock.now(),
        account.switches.export_polls,
        account.switches.export_ends,
    )
    return json_reply({"AccessToken": token})


def _job(call: MyPreferencesCall) -> tuple[int, ExportJob]:
    token = call.id("accessToken")
    job = call.account.exports.get(token)
    if job is None:
        raise _bad_token()
    return token, job


def _status(account: MyPreferencesAccount, job: ExportJob) -> str:
    if job.retrieved:
        return "Retrieved"
    if job.polls_left > 0:
        return "Processing"
    if job.final_status != "Complete":
        return job.final_status
    if account.clock.now() - job.created >= timedelta(seconds=account.switches.export_keep_seconds):
        return "Expired"
    return "Complete"


def _rows(
    account: MyPreferencesAccount, segment: Segment, since: datetime | None, wanted: Holds
) -> Iterator[dict[str, Any]]:
    archived = account.switches.export_shows_archived
    for stored in account.profiles:
        seen, pending = account.as_read(stored)
        profile = stored if pending else seen  # an export knows no pending updates
        changed = since is None or profile.modified >= since
        if changed and segment.holds(profile) and wanted(profile):
            yield render.profile(account.config, profile, implied=False, history=False, archived=archived)


def _deleted(account: MyPreferencesAccount, since: datetime | None) -> Iterator[dict[str, Any]]:
    for item in account.profiles.deleted:
        if since is None or item.deleted >= since:
            yield {
                "ProfileId": item.profile_id,
                "DeletedDate": write_moment(item.deleted),
                "ReasonCode": item.reason_code,
            }


def _bad_token() -> MyPreferencesRefusal:
    return MyPreferencesRefusal(401, "The AccessToken is invalid or has expired.")


def _since(body: ExportBody) -> datetime | None:
    if not body.last_date_time:
        return None
    try:
        return round_up_to_tick(read_moment(body.last_date_time))
    except (ValueError, OverflowError):
        raise invalid("LastDateTime is not a valid date.") from None


def _criteria(body: ExportBody) -> Holds:
    """Raises MyPreferencesRefusal 400 for unknown criteria, and where AlternateId comes without its type."""
    if not body.match_criteria:
        return lambda _: True
    if body.values is None:
        raise invalid("Values is required with MatchCriteria.")
    values = [str(item).strip() for item in body.values]
    lowered = {value.lower() for value in values}
    type_name = (body.match_type or "").lower()
    match body.match_criteria.lower():
        case "profileid":
            return lambda profile: (
                str(profile.profile_id) in lowered and type_name in ("", profile.customer_type.lower())
            )
        case "emailaddress":
            return _by_contact(EMAIL, values, type_name)
        case "phonenumber":
            return _by_contact(PHONE, values, type_name)
        case "alternateid" if type_name:
            return lambda profile: any(
                name.lower() == type_name and value.lower() in lowered
                for name, value in profile.alternate_ids.items()
            )
    raise invalid("MatchCriteria or MatchType is not valid.")


def _by_contact(kind: ContactKind, values: list[str], type_name: str) -> Holds:
    keys = {contact_key(kind, value) for value in values} - {""}
    return lambda profile: any(
        point.is_active and point.key in keys and type_name in ("", point.type_name.lower())
        for point in profile.of_kind(kind)
    )
