"""Many people by the v3 listing: the only read that shows thousands in one call."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence, Set

from bridge.core.errors import NotFound, Refused
from bridge.core.model import Side, Who, address_key
from bridge.core.ports import KeyValue
from bridge.dotdigital.client.v3 import CHOICES, ClientV3
from bridge.dotdigital.client.wire import ContactsPage, ContactV3
from bridge.dotdigital.polling import drains
from bridge.dotdigital.views import is_deleted
from bridge.dotdigital.write_batches import calls_to_read

_PAGES = "dotdigital.pages"


def pages_in(memory: KeyValue) -> int | None:
    """How many pages the listing had when it was last read whole; None where it never was."""
    return int(memory.get(_PAGES) or 0) or None


class ContactListing:
    """Each whole listing notes in `memory` how many pages there are, so that every command and both halves of
    a run estimate with the same number. `page` is how many contacts a page holds."""

    def __init__(self, v3: ClientV3, page: int, memory: KeyValue) -> None:
        self._v3, self._page, self._memory = v3, page, memory

    def is_cheaper(self, people: int) -> bool:
        """Whether the listing takes fewer calls than reading so many people one at a time."""
        return calls_to_read(people, pages_in(self._memory)) < people

    def everybody(self, include: Sequence[str] = CHOICES) -> Iterator[list[ContactV3]]:
        """The whole listing. Raises DrainIncomplete where a page marker comes again."""
        pages = 0

        def fetch(marker: str | None) -> ContactsPage:
            return self._v3.get_contacts(marker=marker, limit=self._page, include=include)

        for contacts in drains.drain_marker(fetch):
            pages += 1
            yield contacts
        self._memory.set(_PAGES, str(max(pages, 1)))

    def some(self, wanted: Set[str], include: Sequence[str] = CHOICES) -> Iterator[list[ContactV3]]:
        """The contacts whose address keys are wanted, until all were found."""
        missing = set(wanted)
        for contacts in self.everybody(include):
            found = [one for one in contacts if one.address and address_key(one.address) in missing]
            missing -= {address_key(one.address or "") for one in found}
            yield found
            if not missing:
                return

    def writable(
        self, people: Sequence[Who], heartbeat: Callable[[], None], *, with_records: bool = False
    ) -> dict[str, ContactV3]:
        """By address key, the contacts of these people that may be written to: there, and not deleted. Each
        is read by its known id, or found in the listing; `with_records`, with its consent records."""
        wanted = {address_key(who.address) for who in people}
        include = (*CHOICES, "consentRecords") if with_records else CHOICES
        found: dict[str, ContactV3] = {}
        pages = self.some(wanted, include) if self.is_cheaper(len(wanted)) else self._each(people)
        for contacts in pages:
            for one in contacts:
                if one.address and not is_deleted(one):
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
