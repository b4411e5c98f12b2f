"""Many people's writes in imports: who goes into one, what it says of them, and what is sent singly."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from bridge.core.errors import SideError, Throttled
from bridge.core.model import Side, Who, Write, address_key
from bridge.core.ports import WriteRequest, WriteResponse, send_each
from bridge.dotdigital.bulk import import_changes
from bridge.dotdigital.bulk.import_changes import ImportChange
from bridge.dotdigital.bulk.importer import ImportRunner
from bridge.dotdigital.client.wire import ConsentRecordV3, ContactV3
from bridge.dotdigital.consent_records import lacking
from bridge.dotdigital.polling.contact_listing import ContactListing
from bridge.dotdigital.write_batches import fits_import, of_channel, price, withdraws

Answer = WriteResponse | SideError
_TURNED_AWAY = frozenset({"RejectedByWatchdog", "ExceedsAllowedContactLimit"})


class BulkWriter:
    """`overlay` says what a unit of topics sets, `write` sends one parcel by itself."""

    def __init__(
        self,
        roster: ContactListing,
        importer: ImportRunner,
        *,
        overlay: Callable[[Sequence[Write]], dict[int, bool]],
        write: Callable[[WriteRequest], WriteResponse],
    ) -> None:
        self._roster, self._importer = roster, importer
        self._overlay, self._write = overlay, write

    def carry(self, requests: Sequence[WriteRequest], heartbeat: Callable[[], None]) -> list[Answer]:
        """One answer each, in order. What no import takes goes one by one, after it; and so do withdrawals
        that a whole import was refused with. Raises SideError where not even who is there could be read."""
        fit = [request for request in requests if fits_import(request.writes)]
        people = {address_key(request.who.address): request.who for request in fit}
        recorded = any(request.records for request in fit)
        standing = self._roster.standing(list(people.values()), heartbeat, recorded=recorded)
        answers: dict[int, Answer] = {}
        entries: dict[str, ImportChange] = {}
        bare: set[int] = set()
        for at, request in enumerate(requests):
            contact = standing.get(address_key(request.who.address))
            if not fits_import(request.writes) or contact is None or not _is_theirs(request.who, contact):
                continue
            records, left_out = lacking(contact, request.records)
            if len(records) > import_changes.MOST_RECORDS:
                continue
            try:
                _add(entries, contact, self._change(contact, request.writes, records))
            except SideError as error:
                answers[at] = error
            if left_out:
                bare.add(at)
        self._import(requests, entries, answers, heartbeat)
        answers |= {at: WriteResponse.UNRECORDED for at in bare if answers.get(at) is WriteResponse.ACCEPTED}
        left = [at for at in range(len(requests)) if at not in answers]
        singly = send_each(self._write, [requests[at] for at in left], heartbeat)
        answers |= dict(zip(left, singly, strict=True))
        return [answers[at] for at in range(len(requests))]

    def _change(
        self, contact: ContactV3, unit: Sequence[Write], records: Sequence[ConsentRecordV3]
    ) -> ImportChange:
        if of_channel(unit[0]):
            return ImportChange(contact.contact_id, unsubscribes=True)
        return ImportChange(contact.contact_id, self._overlay(unit), records=tuple(records))

    def _import(
        self,
        requests: Sequence[WriteRequest],
        entries: dict[str, ImportChange],
        answers: dict[int, Answer],
        heartbeat: Callable[[], None],
    ) -> None:
        if not entries:
            return
        raises = not all(withdraws(write) for request in requests for write in request.writes)
        said = self._importer.run(list(entries.values()), heartbeat, raises=raises)
        for at, request in enumerate(requests):
            change = entries.get(address_key(request.who.address))
            if change is None or at in answers or not fits_import(request.writes):
                continue
            answer = said[change.contact_id]
            if raises or not _was_turned_away(answer):
                answers[at] = answer


def pays(requests: Sequence[WriteRequest], pages: int | None) -> bool:
    """Whether an import takes fewer calls. `pages`: of the listing, where they are known."""
    fit = [request for request in requests if fits_import(request.writes)]
    people = {address_key(request.who.address) for request in fit}
    return import_changes.pays(len(people), sum(price(request.writes) for request in fit), pages)


def _add(entries: dict[str, ImportChange], contact: ContactV3, change: ImportChange) -> None:
    """Everything about one person in one entry: twice in one import is an error there."""
    key = address_key(contact.address or "")
    known = entries.get(key)
    if known is not None:
        change = replace(
            change,
            preferences={**known.preferences, **change.preferences},
            unsubscribes=known.unsubscribes or change.unsubscribes,
            records=(*known.records, *change.records),
        )
    entries[key] = change


def _is_theirs(who: Who, contact: ContactV3) -> bool:
    """Whether the contact with their address is the one that was known as theirs."""
    ids = who.ids.get(Side.DOTDIGITAL, ())
    return not ids or str(contact.contact_id) in ids


def _was_turned_away(answer: Answer) -> bool:
    """Whether the whole import was refused, so that nothing of it was applied."""
    if isinstance(answer, Throttled):
        return answer.code == "contacts:tooManyActiveImports"
    return isinstance(answer, SideError) and answer.code in _TURNED_AWAY
