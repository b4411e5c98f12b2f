"""What each MyPreferences event type means for the bridge.

Source: MyPreferences `EventsExport`, and its payload pages.

An event is a hint that names a profile; the profile itself is read. The table says for which kinds that is
worth a read.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from enum import StrEnum


class EventRelevance(StrEnum):
    """What an event asks for."""

    LOOK = "look"  # a choice, or who somebody is, may have changed: read the profile
    LIFE_CYCLE = "life_cycle"  # the profile came, went or came back: read it, and whoever it leaves behind
    REKEY = "rekey"  # an address changed: read it, and keep in mind which address it had
    IRRELEVANT = "irrelevant"  # nothing that consent hangs on: no read


_LIFE_CYCLE = ("created", "replaced", "deactivated", "reactivated", "deleted")
_FIELDS = ("prefix", "firstname", "middlename", "lastname", "suffix", "defaultlocale", "registrationstatus")
_COMMON = ("added", "updated", "deleted")


def _table() -> Iterator[tuple[str, EventRelevance]]:
    for act in _LIFE_CYCLE:
        yield f"profile.{act}", EventRelevance.LIFE_CYCLE
    # Told of any change, also of such as have kinds of their own that are irrelevant.
    for name in ("profile.updated", "profile.updated.full", "profile.updatedfull"):
        yield name, EventRelevance.LOOK
    for act in ("added", "updated", "archived"):
        yield f"preference.{act}", EventRelevance.LOOK
    for act in ("added", "updated", "deactivated", "status.updated"):
        yield f"consent.{act}", EventRelevance.LOOK
    for place in ("elementassociation", "elementassocation", "filterassociation"):
        for act in ("created", "updated", "deactivated"):
            yield f"consent.{place}.{act}", EventRelevance.LOOK
    for act in _COMMON:
        yield f"contact.email.{act}", EventRelevance.REKEY if act == "updated" else EventRelevance.LOOK
        # The configured type pins a person to one profile; profile preferences hang on the customer type.
        yield f"contact.alternateid.{act}", EventRelevance.LOOK
        yield f"contact.customertype.{act}", EventRelevance.LOOK
        yield f"contact.phone.{act}", EventRelevance.IRRELEVANT
        yield f"contact.address.{act}", EventRelevance.IRRELEVANT
        yield f"customfield.{act}", EventRelevance.IRRELEVANT
        yield f"tag.{act}", EventRelevance.IRRELEVANT
        for field in _FIELDS:
            yield f"standardfield.{field}.{act}", EventRelevance.IRRELEVANT
    for act in ("added", "updated", "deactivated"):
        yield f"group.{act}", EventRelevance.IRRELEVANT


BEARINGS: Mapping[str, EventRelevance] = dict(_table())
"""Every kind of the documents' lists, in the spelling that `spelled` brings them to."""

_BETWEEN = re.compile(r"[\s._-]+")


def spelled(event_type: str) -> str:
    """One spelling for all: the pages write `contacts.` and `profile.updated full`, and cases vary."""
    first, *rest = _BETWEEN.split(event_type.strip().casefold())
    return ".".join((first.removesuffix("s"), *rest))


def relevance_of(event_type: str) -> EventRelevance | None:
    """What a kind of event means; None for one the documents do not list, which is looked into like a change
    and counted."""
    return BEARINGS.get(spelled(event_type))
