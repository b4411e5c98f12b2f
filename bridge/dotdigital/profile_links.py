"""Setting each contact's ProfileId as a custom identifier: on an operator's command only, and nothing else of
the contact changes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from bridge.core.errors import SideError
from bridge.core.model import Side, Who
from bridge.dotdigital.client.v3 import ImportChange
from bridge.dotdigital.importer import ImportRunner
from bridge.dotdigital.people import ContactListing
from bridge.dotdigital.views import is_deleted


@dataclass(frozen=True, slots=True)
class LinkPlan:
    """The ProfileId to set, by contact id, and how many are skipped: they name their profile already, name
    another, or another contact names their profile."""

    wanted: Mapping[int, str]
    named: int = 0
    others: int = 0
    taken: int = 0


@dataclass(frozen=True, slots=True)
class LinkResult:
    """How many contacts show it, and how often it was refused, by the service's reason."""

    proven: int
    refused: Mapping[str, int] = field(default_factory=dict)


def certain(people: Iterable[Who]) -> dict[int, str]:
    """The profile of each contact that is certain: one contact and one profile with the address, and no other
    contact with that profile."""
    found: dict[int, str] = {}
    for who in people:
        contacts, profiles = who.ids.get(Side.DOTDIGITAL, ()), who.ids.get(Side.MYPREFERENCES, ())
        if len(contacts) == 1 and len(profiles) == 1 and contacts[0].isdigit():
            found[int(contacts[0])] = profiles[0]
    times = Counter(found.values())
    return {contact: profile for contact, profile in found.items() if times[profile] == 1}


class ProfileLinker:
    """`identifier` is the custom identifier's name. Raises SideError where the listing cannot be read."""

    def __init__(self, listing: ContactListing, importer: ImportRunner, identifier: str) -> None:
        self._listing, self._importer, self._identifier = listing, importer, identifier

    def compare(self, certain: Mapping[int, str], heartbeat: Callable[[], None]) -> LinkPlan:
        """Which contacts have yet to name their profile. An identifier belongs to one contact: none is
        moved."""
        said = self._named_profiles(heartbeat)
        holder = {value: contact for contact, value in said.items() if value is not None}
        wanted, counts = {}, Counter[str]()
        for contact, profile in certain.items():
            if contact not in said:
                continue  # no longer there: a write would restore it
            if (value := said[contact]) is not None:
                counts["named" if value == profile else "others"] += 1
            elif profile in holder:
                counts["taken"] += 1
            else:
                wanted[contact] = profile
        return LinkPlan(wanted, counts["named"], counts["others"], counts["taken"])

    def carry_out(self, wanted: Mapping[int, str], heartbeat: Callable[[], None]) -> LinkResult:
        """Import what is wanted, matched by contact id, and read it back."""
        changes = [
            ImportChange(contact, identifiers={self._identifier: profile})
            for contact, profile in wanted.items()
        ]
        answers = self._importer.run(changes, heartbeat, raises=False)
        said = self._named_profiles(heartbeat)
        proven = sum(said.get(contact) == profile for contact, profile in wanted.items())
        missed = [contact for contact, profile in wanted.items() if said.get(contact) != profile]
        return LinkResult(proven, _reasons([answers[contact] for contact in missed]))

    def _named_profiles(self, heartbeat: Callable[[], None]) -> dict[int, str | None]:
        """The profile that each contact names, without deleted ones."""
        found: dict[int, str | None] = {}
        for contacts in self._listing.everybody():
            for one in contacts:
                if not is_deleted(one):
                    found[one.contact_id] = one.named(self._identifier)
            heartbeat()
        return found


def _reasons(answers: Sequence[object]) -> dict[str, int]:
    words = (
        (one.code or one.what) if isinstance(one, SideError) else "accepted, and not shown" for one in answers
    )
    return dict(Counter(words))
