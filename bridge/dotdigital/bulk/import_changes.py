"""What an import may say of people, and when one pays. Pure.

An `ImportChange` names a contact by its id, which cannot create anybody, and can do three things: leave
e-mail, set preferences with the records of consents to them, and give a custom identifier. There is no way
to build one that subscribes somebody, that brings a mail address along, or that has the service's defaults
decide."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil

import msgspec

from bridge.dotdigital.client.wire import ConsentRecordV3, Json

LARGEST_BUNDLE = 5000  # contacts in one import: undocumented; few enough to look through a report of
LARGEST_BODY = 45_000_000  # bytes; the service takes 50 MB
FEWEST = 5  # contacts worth an import: whoever is in one waits for it to end
MOST_RECORDS = 5  # consent records of one contact in one call
POLLS = 3  # questions for a job's state that an import is reckoned with
_BUILT_IN = frozenset({"contactid", "email", "mobilenumber"})
UNKNOWN_PAGES = 200  # pages of a listing that nobody has read yet: a million contacts


@dataclass(frozen=True, slots=True)
class ImportChange:
    """One contact's part of an import. Raises ValueError for a change that changes nothing, or an impossible
    id."""

    contact_id: int
    preferences: Mapping[int, bool] = field(default_factory=dict)
    unsubscribes: bool = False
    identifiers: Mapping[str, str] = field(default_factory=dict)
    records: tuple[ConsentRecordV3, ...] = ()  # of consents, which go along with preferences

    def __post_init__(self) -> None:
        if self.contact_id <= 0 or not (self.preferences or self.unsubscribes or self.identifiers):
            raise ValueError("a change names a contact, and what is to change")
        if _BUILT_IN & {name.casefold() for name in self.identifiers}:
            raise ValueError("a change gives nobody another address, number or id")
        if len(self.records) > MOST_RECORDS:
            raise ValueError(f"a change takes {MOST_RECORDS} consent records at most")

    @property
    def body(self) -> Json:
        """As the service takes it. A status is named only to take somebody out; empty lists are refused."""
        body: Json = {
            "matchIdentifier": "contactId",
            "identifiers": {"contactId": self.contact_id, **self.identifiers},
        }
        if self.unsubscribes:
            body["channelProperties"] = {"email": {"status": "unsubscribed"}}
        if self.preferences:
            body["preferences"] = [
                {"id": number, "isOptedIn": state} for number, state in self.preferences.items()
            ]
        if self.records:
            body["consentRecords"] = msgspec.to_builtins(list(self.records))
        return body


def bundles(changes: Sequence[ImportChange]) -> Iterator[list[ImportChange]]:
    """The changes in imports that the service takes, none too large. Raises ValueError where a contact comes
    twice: the service would refuse the second."""
    if len({change.contact_id for change in changes}) < len(changes):
        raise ValueError("a contact is in one import once")
    bundle: list[ImportChange] = []
    size = 0
    for change in changes:
        mine = len(msgspec.json.encode(change.body)) + 1
        if bundle and (len(bundle) >= LARGEST_BUNDLE or size + mine > LARGEST_BODY):
            yield bundle
            bundle, size = [], 0
        bundle.append(change)
        size += mine
    if bundle:
        yield bundle


def reading(people: int, pages: int | None) -> int:
    """Calls to read this many people: each by themselves, or the listing's pages where those are fewer."""
    return min(people, UNKNOWN_PAGES if pages is None else max(pages, 1))


def together(people: int, pages: int | None) -> int:
    """Calls to write so many people by import: who is still there is read first (a write would bring a
    deleted contact back), then one call a bundle, the polls, and the read back. `pages` None: the listing was
    not read yet."""
    return 2 * reading(people, pages) + ceil(people / LARGEST_BUNDLE) + POLLS


def pays(people: int, singly: int, pages: int | None) -> bool:
    """Whether an import takes fewer calls than `singly`, reads back included.

    With a listing of p pages and n people it takes 2 min(n, p) + ceil(n / 5000) + 3 calls, against 3 n for
    topics and 2 n for the channel: from five people on for topics, and for the channel once n is beyond p.
    """
    return people >= FEWEST and together(people, pages) < singly
