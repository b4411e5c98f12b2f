"""Dotdigital as the engine writes to it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property

from bridge.core.errors import SideError
from bridge.core.model import Write
from bridge.core.ports import WriteRequest, WriteResponse, send_each
from bridge.dotdigital.bulk.bulk_writer import BulkWriter
from bridge.dotdigital.bulk.importer import ImportRunner
from bridge.dotdigital.contact_writer import ContactWriter
from bridge.dotdigital.reader import DotdigitalReader
from bridge.dotdigital.write_batches import prefers_import, split


class DotdigitalReplica(DotdigitalReader):
    """Fills `bridge.core.ports.Replica`."""

    def split(self, writes: Sequence[Write]) -> Sequence[Sequence[Write]]:
        """The channel by itself, the topics together; withdrawals before everything else."""
        return split(writes)

    def send(
        self, batch: Sequence[WriteRequest], heartbeat: Callable[[], None]
    ) -> Sequence[WriteResponse | SideError]:
        """By import where that takes fewer calls, of contacts that are there, and nothing but the change;
        else one call at a time. Raises ValueError for writes that `split` would not have put together."""
        if any(len(split(request.writes)) != 1 for request in batch):
            raise ValueError("a request holds the channel or topics, withdrawals or raises")
        try:
            bulk = self._bulk if self._access.presumed() and prefers_import(batch, self._pages) else None
            if bulk is not None:
                return bulk.send(batch, heartbeat)
        except SideError as error:  # nothing at all was sent
            return [error] * len(batch)
        return send_each(self._writer.send, batch, heartbeat)

    @cached_property
    def _writer(self) -> ContactWriter:
        return ContactWriter(self._v2, self._access, self._mapping)

    @cached_property
    def _bulk(self) -> BulkWriter | None:
        v3, listing = self._access.client(), self._contacts
        if v3 is None or listing is None:
            return None
        importer = ImportRunner(v3, self._jobs, self._clock, self._sleep, pause=self._import_poll)
        return BulkWriter(listing, importer, self._writer)
