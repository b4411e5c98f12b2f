"""Times in the API's text form (MyPreferences `CreateProfilePreference`, CustomerDate)."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
_MOMENT = re.compile(
    r"(\d{4}-\d{2}-\d{2})[T ](\d{2}:\d{2}(?::\d{2})?)(?:\.(\d{0,7}))?\s*(Z|z|[+-]\d{2}:?\d{2})?", re.ASCII
)


def eastern() -> ZoneInfo:
    """The zone of times that have none."""
    return ZoneInfo("America/New_York")


def parse_moment(text: str | None, *, latest: bool = False) -> datetime | None:
    """A time in UTC; None for what cannot be read: an unreadable date is no date.

    Without a zone it is US Eastern; a bare day is that day's first second. `latest` reads an
    ambiguous time as late as possible: a bare day as its last second, the repeated hour of autumn as the
    second one. Withdrawals are read so.
    """
    stripped = (text or "").strip()
    try:
        if _DAY.fullmatch(stripped):
            of_day = time(23, 59, 59) if latest else time(0, 0, 0)
            return datetime.combine(date.fromisoformat(stripped), of_day, eastern()).astimezone(UTC)
        match = _MOMENT.fullmatch(stripped)
        return None if match is None else _joined(*match.groups(), latest=latest)
    except (ValueError, OverflowError):
        return None


def _joined(day: str, clock: str, fraction: str | None, zone: str | None, *, latest: bool) -> datetime:
    moment = datetime.fromisoformat(f"{day}T{clock}")
    moment += timedelta(microseconds=int((fraction or "").ljust(6, "0")[:6]))
    if zone is None:
        return moment.replace(tzinfo=eastern(), fold=int(latest)).astimezone(UTC)
    offset = "+00:00" if zone in "Zz" else zone
    return datetime.fromisoformat(f"{moment.isoformat()}{offset}").astimezone(UTC)


def render_moment(moment: datetime, *, up: bool = False) -> str:
    """`yyyy-MM-ddTHH:mm:ssZ`, the only form whose meaning is certain. A fraction is cut off, or with `up`
    rounded up to the next second: an opt-out dated slightly too early would not be honoured."""
    utc = moment.astimezone(UTC)
    if up and utc.microsecond:
        utc += timedelta(seconds=1)
    return utc.strftime("%Y-%m-%dT%H:%M:%SZ")
