"""How the service reads and writes times."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

EASTERN = ZoneInfo("America/New_York")
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
_MOMENT = re.compile(r"(\d{4}-\d{2}-\d{2})[T ](\d{2}:\d{2}(?::\d{2})?)(?:\.(\d{1,7}))?(Z|z|[+-]\d{2}:\d{2})?")


def read_choice_date(text: str, opted_in: bool) -> datetime:
    """Read a CustomerDate (MyPreferences `CreateProfilePreference`), to milliseconds, in UTC.

    With Z it is taken as it is; without a zone it is US Eastern; a bare date is the start of that Eastern day
    for an opt-in and its last second for an opt-out. Raises ValueError for anything else.
    """
    text = text.strip()
    if _DAY.fullmatch(text):
        of_day = time(0, 0, 0) if opted_in else time(23, 59, 59)
        return datetime.combine(date.fromisoformat(text), of_day, EASTERN).astimezone(UTC)
    return read_moment(text, EASTERN)


def read_moment(text: str, naive_zone: ZoneInfo | None = None) -> datetime:
    """Read an ISO 8601 datetime; without a zone it is in `naive_zone` (None: UTC). Raises ValueError."""
    match = _MOMENT.fullmatch(text.strip())
    if match is None:
        if _DAY.fullmatch(text.strip()):
            return read_moment(f"{text.strip()}T00:00:00", naive_zone)
        raise ValueError(f"{text!r} is not an ISO 8601 date")
    day, clock, fraction, zone = match.groups()
    moment = datetime.fromisoformat(f"{day}T{clock}")
    moment += timedelta(milliseconds=int((fraction or "0").ljust(3, "0")[:3]))
    if zone is None:
        return moment.replace(tzinfo=naive_zone or UTC).astimezone(UTC)
    offset = "+00:00" if zone in "Zz" else zone
    return datetime.fromisoformat(f"{moment.isoformat()}{offset}").astimezone(UTC)


def write_moment(moment: datetime) -> str:
    """Write a UTC time with Z; milliseconds only where there are some."""
    base = moment.strftime("%Y-%m-%dT%H:%M:%S")
    return f"{base}.{moment.microsecond // 1000:03d}Z" if moment.microsecond else f"{base}Z"


def to_milliseconds(moment: datetime) -> datetime:
    """Cut to the millisecond: finer parts are never stored."""
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


def round_up_to_tick(moment: datetime) -> datetime:
    """Round as the export does with LastDateTime: 0-2 ms become 3, 3-6 become 7, 7-9 the next ten."""
    milliseconds = moment.microsecond // 1000
    last = milliseconds % 10
    target = 3 if last <= 2 else 7 if last <= 6 else 10
    return moment.replace(microsecond=(milliseconds - last) * 1000) + timedelta(milliseconds=target)
