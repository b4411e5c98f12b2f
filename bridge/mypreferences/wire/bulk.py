"""Bulk export (MyPreferences `Segment: Initiate`, `Segment group: Initiate`, `Retrieve status`,
`Segment: Retrieve data`)."""

from __future__ import annotations

import msgspec

from bridge.mypreferences.wire.codec import Number
from bridge.mypreferences.wire.people import Profile


class ExportRequest(msgspec.Struct, rename="pascal", omit_defaults=True, frozen=True, kw_only=True):
    """Which of a segment's rows are wanted: by default all of them.

    `last_date_time` leaves out what did not change since. `match_criteria` is ProfileId, AlternateId,
    PhoneNumber or EmailAddress, and `values` are looked for in it; `match_type` names the type of alternate
    id (which it must), customer, phone or e-mail address. All of it is ANDed with the segment's own rules.
    """

    last_date_time: str | None = None
    match_criteria: str | None = None
    match_type: str | None = None
    values: list[str] | None = None


class ExportToken(msgspec.Struct, rename="pascal", frozen=True, kw_only=True):
    access_token: Number


class ExportStatus(msgspec.Struct, rename="pascal", frozen=True, kw_only=True):
    """Where an export stands; `row_count` is None until it is complete."""

    status: str
    row_count: int | None = None


class ExportPage(msgspec.Struct, rename="pascal", frozen=True, kw_only=True):
    """One block of an export. A row of a deleted profile holds nothing but its id."""

    user_profile_preferences: list[Profile]
    count: int | None = None
    has_more: bool | None = None
    total_results: int | None = None
