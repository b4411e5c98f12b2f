"""Names of statuses in the two frameworks.

Contacts hold the v2 name; the few statuses that only v3 has are held by their v3 name.
"""

from __future__ import annotations

import re

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
OPT_IN_TYPES = {"Unknown", "Single", "Double", "VerifiedDouble"}
EMAIL_TYPES = {"PlainText", "Html"}

_EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s.]+")


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
