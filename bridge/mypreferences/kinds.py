"""What each kind of MyPreferences event means for the bridge (MyPreferences `Events`, and its payload pages).

An event is a hint that names a profile; the profile itself is read. The table says for which kinds that is
worth a read.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from enum import StrEnum


class Bearing(StrEnum):
    """What an event asks for."""

    LOOK = "look"  # a choice, or who somebody is, may have changed: read the profile
    LIFE_CYCLE = "life_cycle"  # the profile came, went or came back: read it, and whoever it leaves behind
    REKEY = "rekey"  # an address changed: read it, and keep in mind which address it had
    IRRELEVANT = "irrelevant"  # nothing that consent hangs on: no read


_LIFE_CYCLE = ("created", "replaced", "deactivated", "reactivated", "deleted")
_FIELDS = ("prefix", "firstname", "middlename", "lastname", "suffix", "defaultlocale", "registrationstatus")
_COMMON = ("added", "updated", "deleted")


def _table() -> Iterator[tuple[str, Bearing]]:
    for act in _LIFE_CYCLE:
        yield f"profile.{act}", Bearing.LIFE_CYCLE
    # Told of any change, also of such as have kinds of their own that are irrelevant.
    for name in ("profile.updated", "profile.updated.full", "profile.updatedfull"):
        yield name, Bearing.LOOK
    for act in ("added", "updated", "archived"):
        yield f"preference.{act}", Bearing.LOOK
    for act in ("added", "updated", "deactivated", "status.updated"):
        yield f"consent.{act}", Bearing.LOOK
    for place in ("elementassociation", "elementassocation", "filterassociation"):
        for act in ("created", "updated", "deactivated"):
            yield f"consent.{place}.{act}", Bearing.LOOK
    for act in _COMMON:
        yield f"contact.email.{act}", Bearing.REKEY if act == "updated" else Bearing.LOOK
        # The configured type pins a person to one profile; profile preferences hang on the customer type.
        yield f"contact.alternateid.{act}", Bearing.LOOK
        yield f"contact.customertype.{act}", Bearing.LOOK
        yield f"contact.phone.{act}", Bearing.IRRELEVANT
        yield f"contact.address.{act}", Bearing.IRRELEVANT
        yield f"customfield.{act}", Bearing.IRRELEVANT
        yield f"tag.{act}", Bearing.IRRELEVANT
        for field in _FIELDS:
            yield f"standardfield.{field}.{act}", Bearing.IRRELEVANT
    for act in ("added", "updated", "deactivated"):
        yield f"group.{act}", Bearing.IRRELEVANT


BEARINGS: Mapping[str, Bearing] = dict(_table())
"""Every kind of the documents' lists, in the spelling that `spelled` brings them to."""

_BETWEEN = re.compile(r"[\s._-]+")


def spelled(event_type: str) -> str:
    """One spelling for all: the pages write `contacts.` and `profile.updated full`, and cases vary."""
    first, *rest = _BETWEEN.split(event_type.strip().casefold())
    return ".".join((first.removesuffix("s"), *rest))


def bearing_of(event_type: str) -> Bearing | None:
    """What a kind of event means; None for one the documents do not list, which is looked into like a change
    and counted."""
    return BEARINGS.get(spelled(event_type))
