"""The addresses, ids and dates of requests to Dotdigital, checked before a call is sent."""

from __future__ import annotations

from datetime import UTC, date, datetime
from urllib.parse import quote

from bridge import bounds
from bridge.core.errors import Refused
from bridge.core.model import Side

LONGEST_VALUE = 256  # characters of an identifier in a path (v3 contacts, parameter `value`)
LARGEST_ID = 2**31 - 1  # v2 ids are 32 bits wide


def render_date(moment: date) -> str:
    """A date for a path: `yyyy-MM-ddTHH:mm:ss.fffZ`, cut (not rounded) to milliseconds, so that a feed read
    from it never starts late; a date alone as `yyyy-MM-dd`. Raises ValueError without a time zone."""
    if not isinstance(moment, datetime):
        return moment.isoformat()
    if moment.tzinfo is None:
        raise ValueError("a date sent to Dotdigital needs a time zone")
    at = moment.astimezone(UTC)
    return f"{at:%Y-%m-%dT%H:%M:%S}.{at.microsecond // 1000:03d}Z"


def path_address(address: str, operation: str) -> str:
    """An e-mail address as one path segment. Raises Refused for what is no address: an all-digit one would
    be taken for a contact id, an empty one for another operation."""
    return quote(checked_address(address, operation), safe="")


def checked_address(address: str, operation: str) -> str:
    """The trimmed address. Raises Refused before any call where Dotdigital cannot hold it."""
    trimmed = address.strip()
    if not bounds.is_address(trimmed):
        raise Refused(
            "An address cannot be sent to Dotdigital: it is empty, too long, or has no @.",
            side=Side.DOTDIGITAL, operation=operation,
            hint="Correct the person's address at MyPreferences.",
        )  # fmt: skip
    return trimmed


def path_id(number: int, operation: str) -> str:
    """A v2 id as a path segment. Raises Refused outside 1 to 2^31-1."""
    if not 0 < number <= LARGEST_ID:
        raise Refused(
            "An id lies outside what Dotdigital's v2 API can address.",
            side=Side.DOTDIGITAL, operation=operation, hint="Check the ids in the mapping file.",
        )  # fmt: skip
    return str(number)
