"""Bulk import of withdrawals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from bridge.core.errors import OutcomeUnknown, Unreachable
from bridge.core.model import Side
from bridge.mypreferences import wire
from bridge.mypreferences.client.base import Caller
from bridge.transport import Response


class Imports(Caller):
    """One method an endpoint. Every method raises SideError; NotFound where the token is over."""

    def import_initiate(self, wanted: wire.ImportRequest) -> str:
        """Begin an import; the token to go on with (MyPreferences import, `Initiate`). Never repeated
        blindly: each takes one of the day's few. Raises Throttled once they are used up."""
        operation = "import_initiate"
        found = self._harmless(operation, wire.encode(wanted))
        if found.access_token is None:
            raise wire.bad_answer(operation)
        return str(found.access_token)

    def import_stage(self, token: str, records: Sequence[wire.ImportRecord]) -> wire.ImportStatus:
        """Add records, which are checked one by one (MyPreferences import, `Stage`). Nothing is carried out
        before it is executed, so that an unknown outcome harms nobody."""
        body = {"UserProfilePreferences": [wire.encode(record) for record in records]}
        return self._harmless("import_stage", body, access_token=token)

    def import_execute(self, token: str) -> wire.ImportStatus:
        """Carry out what passed (MyPreferences import, `Execute`). Raises OutcomeUnknown where only the
        status tells whether it was."""
        operation = "import_execute"
        return _status(operation, self._write(operation, None, access_token=token), is_write=True)

    def import_status(self, token: str) -> wire.ImportStatus:
        """Where it stands (MyPreferences import, `Retrieve status`)."""
        operation = "import_status"
        return _status(operation, self._read(operation, access_token=token))

    def import_exceptions(self, token: str, *, offset: int, limit: int = 1000) -> wire.ImportExceptions:
        """Records that failed, `offset` counting from 1 (MyPreferences import, `Retrieve exceptions`). The
        name of their list is not documented: the only list of the page is read."""
        operation = "import_exceptions"
        answer = self._read(operation, params={"limit": limit, "offset": offset}, access_token=token)
        page: dict[str, msgspec.Raw] = wire.decode(
            dict[str, msgspec.Raw], answer.content, operation=operation
        )
        lists = [raw for raw in page.values() if bytes(raw).lstrip()[:1] == b"["]
        if len(lists) != 1 or "HasMore" not in page:
            raise wire.bad_answer(operation)
        rows = wire.decode(list[wire.ImportException], bytes(lists[0]), operation=operation)
        has_more = wire.decode(bool, bytes(page["HasMore"]), operation=operation)
        return wire.ImportExceptions(rows=rows, has_more=has_more)

    def _harmless(self, operation: str, body: Any, **path: Any) -> wire.ImportStatus:
        """A step whose unknown outcome changes nobody: the import is given up, and was never executed."""
        try:
            return _status(operation, self._write(operation, body, **path), is_write=True)
        except OutcomeUnknown as error:
            raise Unreachable(
                f"MyPreferences gave no trustworthy answer to {operation}: this import is given up.",
                side=Side.MYPREFERENCES,
                operation=operation,
                status=error.status,
                retry_after=error.retry_after,
                hint="Nothing of it was carried out; it is tried again.",
            ) from None


def _status(operation: str, answer: Response, *, is_write: bool = False) -> wire.ImportStatus:
    status: wire.ImportStatus = wire.decode(
        wire.ImportStatus, answer.content, operation=operation, is_write=is_write
    )
    return status
