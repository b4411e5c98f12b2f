"""Many people out of the v3 listing: the only read that shows thousands in one call."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence, Set

from bridge.core.errors import NotFound, Refused
from bridge.core.model import Side, Who, address_key
from bridge.core.ports import KeyValue
from bridge.dotdigital import status
from bridge.dotdigital.bulk.import_changes import reading
from bridge.dotdigital.client.v3 import CHOICES, ClientV3
from bridge.dotdigital.client.wire import ContactsPage, ContactV3
from bridge.dotdigital.polling import drains

_PAGES = "dotdigital.pages"


def pages_in(memory: KeyValue) -> int | None:
    """How many pages the listing had when it was last read whole; None where it never was."""
    return int(memory.meta(_PAGES) or 0) or None


class ContactListing:
    """Learns from each whole listing how many pages there are, and keeps it in `memory`: every command and
    both halves of a round reckon with the same. `page` is how many contacts one holds."""

    def __init__(self, v3: ClientV3, page: int, memory: KeyValue) -> None:
        self._v3, self._page, self._memory = v3, page, memory

    @property
    def pages(self) -> int | None:
        """How many pages the listing has, where it was ever read."""
        return pages_in(self._memory)

    def is_cheaper(self, people: int) -> bool:
        """Whether the listing takes fewer calls than reading so many people one by one."""
        return reading(people, self.pages) < people

    def everybody(self, include: Sequence[str] = CHOICES) -> Iterator[list[ContactV3]]:
        """The whole listing. Raises DrainIncomplete where it goes in a circle."""
        pages = 0

        def fetch(marker: str | None) -> ContactsPage:
            return self._v3.get_contacts(marker=marker, limit=self._page, include=include)

        for contacts in drains.drain_marker(fetch):
            pages += 1
            yield contacts
        self._memory.set_meta(_PAGES, str(max(pages, 1)))

    def some(self, wanted: Set[str], include: Sequence[str] = CHOICES) -> Iterator[list[ContactV3]]:
        """Those of the listing whose address keys are wanted, until all were found."""
        missing = set(wanted)
        for contacts in self.everybody(include):
            found = [one for one in contacts if one.address and address_key(one.address) in missing]
            missing -= {address_key(one.address or "") for one in found}
            yield found
            if not missing:
                return

    def standing(
        self, people: Sequence[Who], heartbeat: Callable[[], None], *, recorded: bool = False
    ) -> dict[str, ContactV3]:
        """By address key, the contacts of these people that may be written to: there, and not deleted. Each
        is read by the id that is known of them, or found in the listing; if `recorded`, with the records of
        their consents."""
        wanted = {address_key(who.address) for who in people}
        include = (*CHOICES, "consentRecords") if recorded else CHOICES
        found: dict[str, ContactV3] = {}
        pages = self.some(wanted, include) if self.is_cheaper(len(wanted)) else self._each(people)
        for contacts in pages:
            for one in contacts:
                if one.address and not (status.is_gone(one.status) or status.is_gone(one.email_status)):
                    found[address_key(one.address)] = one
            heartbeat()
        return {key: one for key, one in found.items() if key in wanted}

    def _each(self, people: Sequence[Who]) -> Iterator[list[ContactV3]]:
        for who in people:
            ids = who.ids.get(Side.DOTDIGITAL, ())
            try:
                if len(ids) == 1:
                    yield [self._v3.get_contact(identifier="contactId", value=ids[0])]
                else:
                    yield [self._v3.get_contact(identifier="email", value=who.address)]
            except (NotFound, Refused):
                continue
