"""What a Dotdigital e-mail status says of a person's choice, and what it does not say.

Only a person's own acts are choices. Bounces, blocks and the owner's suppressions stop mail and state no
choice; being mailable is a state as well. Sources: contact status and suppression reason
of v2, e-mail channel status of v3. Spelling and case differ between them, so names are compared case folded.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from bridge.core.model import Block, Choice, Observation

SUBSCRIBED = "subscribed"


@dataclass(frozen=True, slots=True)
class ContactStatus:
    """What a status means for consent."""

    choice: Choice
    stated: bool = False
    block: Block | None = None
    present: bool = True


_OUT = ContactStatus(Choice.OPTED_OUT, stated=True)
_COMPLAINED = ContactStatus(Choice.OPTED_OUT, stated=True, block=Block.COMPLAINT)
_UNREACHABLE = ContactStatus(Choice.UNSET, block=Block.UNREACHABLE)
# The owner suppressed the address, or ran the check that found it among purchased, trapped or litigious ones.
_CONTROLLER = ContactStatus(Choice.UNSET, block=Block.CONTROLLER)
_GONE = ContactStatus(Choice.UNSET, present=False)
_UNKNOWN = ContactStatus(Choice.UNSET, block=Block.UNKNOWN)

STATUSES: Mapping[str, ContactStatus] = {
    SUBSCRIBED: ContactStatus(Choice.OPTED_IN),
    "unsubscribed": _OUT,
    "ispcomplained": _COMPLAINED,
    "directcomplaint": _COMPLAINED,
    "suppressed": _CONTROLLER,
    "purchased": _CONTROLLER,
    "spamtrap": _CONTROLLER,
    "knowncomplainer": _CONTROLLER,
    "knownlitigator": _CONTROLLER,
    "softbounced": _UNREACHABLE,
    "hardbounced": _UNREACHABLE,
    "mailblocked": _UNREACHABLE,
    "notallowed": _UNREACHABLE,
    "blockedlocalpart": _UNREACHABLE,
    "domainsuppression": _UNREACHABLE,
    "domainsuppressed": _UNREACHABLE,
    "shareddomainsuppression": _UNREACHABLE,
    "sharedsuppression": _UNREACHABLE,
    "nomxrecord": _UNREACHABLE,
    "pendingoptin": ContactStatus(Choice.UNSET, block=Block.PENDING),
    "nosubscription": ContactStatus(Choice.UNSET),  # v3: has an address, was never subscribed by e-mail
    "deleted": _GONE,
    "binned": _GONE,
}


def contact_status(status: str | None) -> ContactStatus:
    """What a status means. One that this program does not know is neither mailable nor a statement."""
    return STATUSES.get((status or "").strip().casefold(), _UNKNOWN)


def is_subscribed(status: str | None) -> bool:
    return (status or "").strip().casefold() == SUBSCRIBED


def is_gone(status: str | None) -> bool:
    """Whether the contact was deleted, or lies in the recycle bin."""
    return not contact_status(status).present


def observe(
    status: str | None, *, read_at: datetime, changed_at: datetime | None = None, undated: bool = False
) -> Observation:
    """The e-mail channel as a status shows it."""
    found = contact_status(status)
    return Observation(
        choice=found.choice,
        read_at=read_at,
        changed_at=changed_at,
        present=found.present,
        stated=found.stated,
        undated=undated,
        block=found.block,
        reason=(status or "").strip() or None,
    )
