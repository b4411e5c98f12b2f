"""What each MyPreferences event type means for the bridge.

Source: MyPreferences `EventsExport`, and its payload pages.

An event is a hint that names a profile; the profile itself is read. The table says for which types a read is
needed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from enum import StrEnum


class EventRelevance(StrEnum):
    """What an event may have changed."""

    CONSENT = "consent"  # a choice, or a person's identity: read the profile
    LIFECYCLE = (
        "lifecycle"  # the profile was created, deleted or reactivated: read it, and who it was bound to
    )
    ADDRESS = "address"  # an address: read the profile, and keep the address that it had before
    NONE = "none"  # nothing that consent depends on: no read


_LIFECYCLE = ("created", "replaced", "deactivated", "reactivated", "deleted")
_FIELDS = ("prefix", "firstname", "middlename", "lastname", "suffix", "defaultlocale", "registrationstatus")
_COMMON = ("added", "updated", "deleted")


def _table() -> Iterator[tuple[str, EventRelevance]]:
    for act in _LIFECYCLE:
        yield f"profile.{act}", EventRelevance.LIFECYCLE
    # Raised for any change, also for changes that have an irrelevant type of their own.
    for name in ("profile.updated", "profile.updated.full", "profile.updatedfull"):
        yield name, EventRelevance.CONSENT
    for act in ("added", "updated", "archived"):
        yield f"preference.{act}", EventRelevance.CONSENT
    for act in ("added", "updated", "deactivated", "status.updated"):
        yield f"consent.{act}", EventRelevance.CONSENT
    for place in ("elementassociation", "elementassocation", "filterassociation"):
        for act in ("created", "updated", "deactivated"):
            yield f"consent.{place}.{act}", EventRelevance.CONSENT
    for act in _COMMON:
        yield f"contact.email.{act}", EventRelevance.ADDRESS if act == "updated" else EventRelevance.CONSENT
        # The configured type links a person to one profile; profile preferences depend on the customer type.
        yield f"contact.alternateid.{act}", EventRelevance.CONSENT
        yield f"contact.customertype.{act}", EventRelevance.CONSENT
        yield f"contact.phone.{act}", EventRelevance.NONE
        yield f"contact.address.{act}", EventRelevance.NONE
        yield f"customfield.{act}", EventRelevance.NONE
        yield f"tag.{act}", EventRelevance.NONE
        for field in _FIELDS:
            yield f"standardfield.{field}.{act}", EventRelevance.NONE
    for act in ("added", "updated", "deactivated"):
        yield f"group.{act}", EventRelevance.NONE


RELEVANCE: Mapping[str, EventRelevance] = dict(_table())
"""Every type that the documents list, as `normalised` spells it."""

_BETWEEN = re.compile(r"[\s._-]+")


def normalised(event_type: str) -> str:
    """One spelling for all: the pages write `contacts.` and `profile.updated full`, and cases vary."""
    first, *rest = _BETWEEN.split(event_type.strip().casefold())
    return ".".join((first.removesuffix("s"), *rest))


def relevance_of(event_type: str) -> EventRelevance | None:
    """What an event type may have changed; None for one that the documents do not list: it counts as a
    change, and is reported."""
    return RELEVANCE.get(normalised(event_type))
