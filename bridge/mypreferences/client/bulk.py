"""Bulk export of segments and segment groups, bulk import of withdrawals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from bridge import bounds
from bridge.core.errors import OutcomeUnknown, Unreachable
from bridge.core.model import Side
from bridge.mypreferences.client.base import Caller
from bridge.mypreferences.wire.bulk import (
    ExportAnswer,
    ExportPage,
    ExportRequest,
    ExportStatus,
    ExportToken,
    ImportException,
    ImportExceptions,
    ImportRecord,
    ImportRequest,
    ImportStatus,
)
from bridge.mypreferences.wire.codec import bad_answer, decode, encode

EVERYTHING = ExportRequest()


class Exports(Caller):
    """One method for each endpoint. Every method raises SideError; NotFound where the token has expired."""

    def initiate_export_segment(self, segment: str, wanted: ExportRequest = EVERYTHING) -> str:
        """Start an export of a segment; returns its token (MyPreferences `Segment: Initiate`). Repeated like
        a read: an export that is started twice changes nobody."""
        token = self._read_as("initiateExportSegment", ExportToken, json=encode(wanted), segment=segment)
        return str(token.access_token)

    def initiate_export_segment_group(self, group: str, wanted: ExportRequest = EVERYTHING) -> str:
        """The same for a group of segments (MyPreferences `Segment group: Initiate`)."""
        token = self._read_as("initiateExportSegmentGroup", ExportToken, json=encode(wanted), group=group)
        return str(token.access_token)

    def export_status(self, token: str) -> ExportStatus:
        """The status of an export (MyPreferences `Retrieve status`)."""
        return self._read_as("exportStatus", ExportStatus, access_token=token)

    def retrieve_export(
        self, token: str, *, offset: int, limit: int = 1000, keep_alive: bool = True
    ) -> ExportPage:
        """One page of an export, `offset` counting from 1 (MyPreferences `Segment: Retrieve data`). Without
        `keep_alive` the token expires with the last page, also where that answer is lost."""
        params = {"limit": limit, "offset": offset, "keepAlive": keep_alive}
        operation = "retrieveExport"
        answer = self._read_as(operation, ExportAnswer, params=params, access_token=token)
        try:
            return ExportPage.of(answer)
        except bounds.Malformed:
            raise bad_answer(operation) from None


class Imports(Caller):
    """One method for each endpoint. Every method raises SideError; NotFound where the token has expired."""

    def initiate_import(self, wanted: ImportRequest) -> str:
        """Start an import; returns its token (MyPreferences import, `Initiate`). Never repeated blindly: each
        takes one of the few that a day allows. Raises Throttled once they are used up."""
        operation = "initiateImport"
        found = self._harmless(operation, encode(wanted))
        if found.access_token is None:
            raise bad_answer(operation)
        return str(found.access_token)

    def stage_import(self, token: str, records: Sequence[ImportRecord]) -> ImportStatus:
        """Add records, which are validated one by one (MyPreferences import, `Stage`). Nothing is applied
        before the import is executed, so an unknown outcome does no harm."""
        body = {"UserProfilePreferences": [encode(record) for record in records]}
        return self._harmless("stageImport", body, access_token=token)

    def execute_import(self, token: str) -> ImportStatus:
        """Apply the valid records (MyPreferences import, `Execute`). Raises OutcomeUnknown where only the
        status tells whether it was executed."""
        return self._write_as("executeImport", None, ImportStatus, access_token=token)

    def import_status(self, token: str) -> ImportStatus:
        """The status of an import (MyPreferences import, `Retrieve status`)."""
        return self._read_as("importStatus", ImportStatus, access_token=token)

    def import_exceptions(self, token: str, *, offset: int, limit: int = 1000) -> ImportExceptions:
        """Records that failed, `offset` counting from 1 (MyPreferences import, `Retrieve exceptions`). The
        name of their list is not documented: the only list of the page is read."""
        operation = "importExceptions"
        params = {"limit": limit, "offset": offset}
        page = self._read_as(operation, dict[str, msgspec.Raw], params=params, access_token=token)
        lists = [raw for raw in page.values() if bytes(raw).lstrip()[:1] == b"["]
        if len(lists) != 1 or "HasMore" not in page:
            raise bad_answer(operation)
        rows = decode(list[ImportException], bytes(lists[0]), operation=operation)
        has_more = decode(bool, bytes(page["HasMore"]), operation=operation)
        return ImportExceptions(rows=rows, has_more=has_more)

    def _harmless(self, operation: str, body: Any, **path: Any) -> ImportStatus:
        """A step whose unknown outcome changes nobody: the import is abandoned and never executed."""
        try:
            return self._write_as(operation, body, ImportStatus, **path)
        except OutcomeUnknown as error:
            raise Unreachable(
                f"MyPreferences gave no usable answer to {operation}: this import is abandoned.",
                side=Side.MYPREFERENCES,
                operation=operation,
                status=error.status,
                retry_after=error.retry_after,
                hint="Nothing of it was applied; it will be retried.",
            ) from None
