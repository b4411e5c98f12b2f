"""How the two frameworks write times and statuses.

Contacts hold the v2 name of a status; the few statuses that only v3 has are held by their v3 name.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime

_IN_PATH = re.compile(
    r"(\d{4}-\d{2}-\d{2})(?:T(\d{2}:\d{2}:\d{2})(?:\.(\d{1,7}))?(Z|[+-]\d{2}:?\d{2}))?",
    re.ASCII | re.IGNORECASE,
)
_FILTER = re.compile(r"gte::(\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(?:\.\d{3})?Z)", re.ASCII)
SUBSCRIBED = "Subscribed"
UNSUBSCRIBED = "Unsubscribed"
SUPPRESSED = "Suppressed"
PENDING = "PendingOptIn"
DELETED = "Deleted"
NOT_AVAILABLE = "NotAvailableInThisVersion"
V3_EMAIL_STATUS = {
    SUBSCRIBED: "subscribed",
    UNSUBSCRIBED: "unsubscribed",
    "SoftBounced": "softBounced",
    "HardBounced": "hardBounced",
    "IspComplained": "ispComplained",
    # The published v3 list lacks this name, the vendor's engineers use it.
    "MailBlocked": "mailBlocked",
    "DirectComplaint": "directComplaint",
    SUPPRESSED: "suppressed",
    "NotAllowed": "blockedlocalpart",
    "DomainSuppression": "domainSuppressed",
    "NoMxRecord": "hardBounced",
    PENDING: "pendingOptIn",
    DELETED: "deleted",
    "SharedSuppression": "sharedsuppression",
}
V3_ONLY = {
    "noSubscription",
    "spamTrap",
    "purchased",
    "knownComplainer",
    "knownLitigator",
    "sharedDomainSuppression",
}
STATUSES = {*V3_EMAIL_STATUS, *V3_ONLY, NOT_AVAILABLE}
MAILABLE_OR_WAITING = {SUBSCRIBED, PENDING}
NEVER_UNSUPPRESSED = {
    "IspComplained",
    "DirectComplaint",
    "NotAllowed",
    "DomainSuppression",
    "NoMxRecord",
    "SharedSuppression",
    NOT_AVAILABLE,
    *(V3_ONLY - {"noSubscription"}),
}
"""Complaints, suppressed domains and blocks beyond the account cannot be lifted by a resubscribe."""
GLOBAL_BLOCKS = {"NotAllowed", "DomainSuppression", "SharedSuppression", "sharedDomainSuppression"}
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s.]+")


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


def status_in_v2(status: str) -> str:
    """The v2 name; newer statuses show as the placeholder."""
    return NOT_AVAILABLE if status in V3_ONLY else status


def status_in_v3(status: str) -> str:
    """The name for the v3 e-mail channel."""
    return "spamTrap" if status == NOT_AVAILABLE else V3_EMAIL_STATUS.get(status, status)


def contact_status_in_v3(status: str, binned: bool) -> str:
    """The coarser v3 name for the contact as a whole."""
    if binned:
        return "binned"
    name = status_in_v3(status)
    kept = {"subscribed", "unsubscribed", "pendingOptIn", "deleted", "noSubscription"}
    return name if name in kept else "suppressed"


def is_email(text: object) -> bool:
    """Whether the service takes `text` for an e-mail address."""
    return isinstance(text, str) and len(text) <= 256 and _EMAIL.fullmatch(text) is not None
