"""Bulk export (MyPreferences `Segment: Initiate`, `Retrieve status`, `Segment: Retrieve data`)."""

from __future__ import annotations

import msgspec

from bridge.mypreferences.wire.codec import Number
from bridge.mypreferences.wire.people import Profile


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
