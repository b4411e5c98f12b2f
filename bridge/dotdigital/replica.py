"""Dotdigital as the engine writes to it: one call at a time, or many people in imports."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cached_property

from bridge.core.errors import SideError, Throttled
from bridge.core.model import PersonId, Side, Who, address_key
from bridge.core.ports import Repaired, WriteRequest, WriteResult, send_each
from bridge.core.writes import Write
from bridge.dotdigital.client.codes import TOO_MANY_IMPORTS
from bridge.dotdigital.client.v3 import ImportChange
from bridge.dotdigital.client.wire import ContactV3
from bridge.dotdigital.contact_writer import ContactWriter
from bridge.dotdigital.importer import Answer, ImportRefused, ImportRunner
from bridge.dotdigital.people import ContactListing
from bridge.dotdigital.reader import DotdigitalReader
from bridge.dotdigital.tree_writer import TreeWriter
from bridge.dotdigital.write_batches import of_channel, prefers_import, split


class DotdigitalReplica(DotdigitalReader):
    """Fills `bridge.core.ports.Replica`."""

    def split(self, writes: Sequence[Write]) -> Sequence[Sequence[Write]]:
        """The channel by itself, the topics together; withdrawals before everything else."""
        return split(writes)

    def send(self, batch: Sequence[WriteRequest], heartbeat: Callable[[], None]) -> Sequence[WriteResult]:
        """Withdrawals by import where that takes fewer calls, of contacts that are there, and nothing but the
        change; else one call at a time. Raises ValueError for writes that `split` would not have put
        together."""
        if any(len(split(request.writes)) != 1 for request in batch):
            raise ValueError("a request holds the channel or topics, withdrawals or raises")
        try:
            bulk = self._bulk if self._access.presumed() and prefers_import(batch, self._pages) else None
            if bulk is not None:
                return bulk.send(batch, heartbeat)
        except SideError as error:  # nothing at all was sent
            return [error] * len(batch)
        return send_each(self._writer.send, batch, heartbeat)

    def unfinished(self) -> Sequence[PersonId]:
        """People whose whole tree was written and not checked."""
        return self._writer.trees.open()

    def finish(self, people: Sequence[Who]) -> Sequence[Repaired]:
        """Check and repair these trees."""
        return self._writer.trees.finish(people)

    @cached_property
    def _writer(self) -> ContactWriter:
        trees = TreeWriter(self._v2, self._memory, self._clock, self._sleep)
        return ContactWriter(self._v2, self._access, self._mapping, trees)

    @cached_property
    def _bulk(self) -> BulkWriter | None:
        v3, listing = self._access.client(), self._contacts
        if v3 is None or listing is None:
            return None
        importer = ImportRunner(v3, self._jobs, self._clock, self._sleep, pause=self._import_poll)
        return BulkWriter(listing, importer, self._writer)


class BulkWriter:
    """Withdrawals by import; `single` sends what no import takes. Opt-ins never go by import: it is applied
    minutes after the person was last read, and would undo an opt-out of that time."""

    def __init__(self, listing: ContactListing, importer: ImportRunner, single: ContactWriter) -> None:
        self._listing, self._importer, self._single = listing, importer, single

    def send(self, requests: Sequence[WriteRequest], heartbeat: Callable[[], None]) -> list[Answer]:
        """One answer each, in order. What no import takes is sent one call at a time, after it; so are
        withdrawals whose whole import was refused. Raises SideError where the contacts could not be read."""
        people = {address_key(request.who.address): request.who for request in requests}
        writable = self._listing.writable(list(people.values()), heartbeat)
        answers: dict[int, Answer] = {}
        changes: dict[str, ImportChange] = {}
        imported: list[int] = []
        for number, request in enumerate(requests):
            contact = writable.get(address_key(request.who.address))
            if contact is None or not _is_theirs(request.who, contact):
                continue
            try:
                change = self._change(contact, request)
            except SideError as error:
                answers[number] = error
                continue
            _add(changes, contact, change)
            imported.append(number)
        answers |= self._imported(requests, changes, imported, heartbeat)
        left = [number for number in range(len(requests)) if number not in answers]
        sent = send_each(self._single.send, [requests[number] for number in left], heartbeat)
        answers |= dict(zip(left, sent, strict=True))
        return [answers[number] for number in range(len(requests))]

    def _change(self, contact: ContactV3, request: WriteRequest) -> ImportChange:
        if of_channel(request.writes[0]):
            return ImportChange(contact.contact_id, unsubscribes=True)
        return ImportChange(contact.contact_id, self._single.overlay(request.writes))

    def _imported(
        self,
        requests: Sequence[WriteRequest],
        changes: dict[str, ImportChange],
        numbers: Sequence[int],
        heartbeat: Callable[[], None],
    ) -> dict[int, Answer]:
        """The answers to those of the requests that an import was sent with, and that are settled by it."""
        if not changes:
            return {}
        results = self._importer.run(list(changes.values()), heartbeat, raises=False)
        answers = {
            number: results[changes[address_key(requests[number].who.address)].contact_id]
            for number in numbers
        }
        return {number: answer for number, answer in answers.items() if not _was_refused_whole(answer)}


def _add(changes: dict[str, ImportChange], contact: ContactV3, change: ImportChange) -> None:
    """All of one person in one change: a contact twice in one import is an error there."""
    key = address_key(contact.address or "")
    known = changes.get(key)
    if known is not None:
        change = replace(
            change,
            preferences={**known.preferences, **change.preferences},
            unsubscribes=known.unsubscribes or change.unsubscribes,
        )
    changes[key] = change


def _is_theirs(who: Who, contact: ContactV3) -> bool:
    """Whether the contact with their address is the one that is known as theirs."""
    ids = who.ids.get(Side.DOTDIGITAL, ())
    return not ids or str(contact.contact_id) in ids


def _was_refused_whole(answer: Answer) -> bool:
    """Whether the whole import was refused, so that nothing of it was applied."""
    if isinstance(answer, Throttled):
        return answer.code == TOO_MANY_IMPORTS
    return isinstance(answer, ImportRefused)
