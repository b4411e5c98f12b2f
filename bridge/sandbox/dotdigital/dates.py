"""Instants as Dotdigital writes and reads them."""

from __future__ import annotations

import re
from datetime import UTC, datetime

_IN_PATH = re.compile(
    r"(\d{4}-\d{2}-\d{2})(?:T(\d{2}:\d{2}:\d{2})(?:\.(\d{1,7}))?(Z|[+-]\d{2}:?\d{2}))?",
    re.ASCII | re.IGNORECASE,
)
_FILTER = re.compile(r"gte::(\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(?:\.\d{3})?Z)", re.ASCII)


def to_millisecond(moment: datetime) -> datetime:
    """`moment` in UTC, cut to the milliseconds that the wire shows.

    Raises ValueError for a datetime without a zone.
    """
    if moment.tzinfo is None:
        raise ValueError("the sandbox needs datetimes with a zone; add tzinfo=UTC")
    moment = moment.astimezone(UTC)
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


def render(moment: datetime) -> str:
    """The output form of both frameworks: `yyyy-MM-ddTHH:mm:ss.fffZ`."""
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"


def parse_path_date(text: str) -> datetime:
    """A date of a v2 path: date only (midnight UTC), or a date-time with `Z`, `+00:00` or `+0000`.

    Those are the forms connectors were seen to use. Raises ValueError for anything else.
    """
    match = _IN_PATH.fullmatch(text)
    if match is None:
        raise ValueError("not a date the feeds accept")
    day, time, fraction, zone = match.groups()
    if time is None:
        return datetime.fromisoformat(day).replace(tzinfo=UTC)
    offset = "+00:00" if zone in "Zz" else zone
    micro = (fraction or "0").ljust(6, "0")[:6]
    return datetime.fromisoformat(f"{day}T{time}.{micro}{offset}").astimezone(UTC)


def parse_filter(text: str) -> datetime:
    """The value of `~modified` and `~created` in v3: `gte::yyyy-MM-ddTHH:mm:ss[.fff]Z` and nothing else.

    Raises ValueError.
    """
    match = _FILTER.fullmatch(text)
    if match is None:
        raise ValueError("not a filter the list accepts")
    return datetime.fromisoformat(match.group(1))
