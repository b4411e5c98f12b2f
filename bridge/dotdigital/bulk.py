"""Many people's writes in imports: who goes into one, what it says of them, and what is sent singly."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from bridge.core.errors import SideError, Throttled
from bridge.core.model import Side, Who, Write, address_key
from bridge.core.ports import Outcome, Parcel
from bridge.core.singly import write_each
from bridge.dotdigital import changes
from bridge.dotdigital.attest import lacking
from bridge.dotdigital.changes import Change
from bridge.dotdigital.importing import Importer
from bridge.dotdigital.roster import Roster
from bridge.dotdigital.units import fits_import, of_channel, price, withdraws
from bridge.dotdigital.wire import ConsentRecordV3, ContactV3

Answer = Outcome | SideError
_TURNED_AWAY = frozenset({"RejectedByWatchdog", "ExceedsAllowedContactLimit"})


class Bulk:
    """`overlay` says what a unit of topics sets, `write` sends one parcel by itself."""

    def __init__(
        self,
        roster: Roster,
        importer: Importer,
        *,
        overlay: Callable[[Sequence[Write]], dict[int, bool]],
        write: Callable[[Parcel], Outcome],
    ) -> None:
        self._roster, self._importer = roster, importer
        self._overlay, self._write = overlay, write

    def carry(self, parcels: Sequence[Parcel], heartbeat: Callable[[], None]) -> list[Answer]:
        """One answer each, in order. What no import takes goes one by one, after it; and so do withdrawals
        that a whole import was refused with. Raises SideError where not even who is there could be read."""
        fit = [parcel for parcel in parcels if fits_import(parcel.unit)]
        people = {address_key(parcel.who.address): parcel.who for parcel in fit}
        recorded = any(parcel.records for parcel in fit)
        standing = self._roster.standing(list(people.values()), heartbeat, recorded=recorded)
        answers: dict[int, Answer] = {}
        entries: dict[str, Change] = {}
        bare: set[int] = set()
        for at, parcel in enumerate(parcels):
            contact = standing.get(address_key(parcel.who.address))
            if not fits_import(parcel.unit) or contact is None or not _is_theirs(parcel.who, contact):
                continue
            records, left_out = lacking(contact, parcel.records)
            if len(records) > changes.MOST_RECORDS:
                continue
            try:
                _add(entries, contact, self._change(contact, parcel.unit, records))
            except SideError as error:
                answers[at] = error
            if left_out:
                bare.add(at)
        self._import(parcels, entries, answers, heartbeat)
        answers |= {at: Outcome.UNRECORDED for at in bare if answers.get(at) is Outcome.ACCEPTED}
        left = [at for at in range(len(parcels)) if at not in answers]
        singly = write_each(self._write, [parcels[at] for at in left], heartbeat)
        answers |= dict(zip(left, singly, strict=True))
        return [answers[at] for at in range(len(parcels))]

    def _change(
        self, contact: ContactV3, unit: Sequence[Write], records: Sequence[ConsentRecordV3]
    ) -> Change:
        if of_channel(unit[0]):
            return Change(contact.contact_id, unsubscribes=True)
        return Change(contact.contact_id, self._overlay(unit), records=tuple(records))

    def _import(
        self,
        parcels: Sequence[Parcel],
        entries: dict[str, Change],
        answers: dict[int, Answer],
        heartbeat: Callable[[], None],
    ) -> None:
        if not entries:
            return
        raises = not all(withdraws(write) for parcel in parcels for write in parcel.unit)
        said = self._importer.run(list(entries.values()), heartbeat, raises=raises)
        for at, parcel in enumerate(parcels):
            change = entries.get(address_key(parcel.who.address))
            if change is None or at in answers or not fits_import(parcel.unit):
                continue
            answer = said[change.contact_id]
            if raises or not _was_turned_away(answer):
                answers[at] = answer


def pays(parcels: Sequence[Parcel], pages: int | None) -> bool:
    """Whether an import takes fewer calls. `pages`: of the listing, where they are known."""
    fit = [parcel for parcel in parcels if fits_import(parcel.unit)]
    people = {address_key(parcel.who.address) for parcel in fit}
    return changes.pays(len(people), sum(price(parcel.unit) for parcel in fit), pages)


def _add(entries: dict[str, Change], contact: ContactV3, change: Change) -> None:
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
