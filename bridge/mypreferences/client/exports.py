"""Bulk export of segments and segment groups."""

from __future__ import annotations

from bridge.mypreferences import wire
from bridge.mypreferences.client.base import Caller
from bridge.transport import Response

EVERYTHING = wire.ExportRequest()


class Exports(Caller):
    """One method an endpoint. Every method raises SideError."""

    def export_initiate(self, segment: str, wanted: wire.ExportRequest = EVERYTHING) -> str:
        """Start an export of a segment; the token to ask for it by (MyPreferences `Segment: Initiate`). Sent
        like a read: an export begun twice changes nobody."""
        operation = "export_initiate"
        return _token(operation, self._read(operation, json=wire.encode(wanted), segment=segment))

    def export_initiate_group(self, group: str, wanted: wire.ExportRequest = EVERYTHING) -> str:
        """The same of segments combined (MyPreferences `Segment group: Initiate`)."""
        operation = "export_initiate_group"
        return _token(operation, self._read(operation, json=wire.encode(wanted), group=group))

    def export_status(self, token: str) -> wire.ExportStatus:
        """Where an export stands (MyPreferences `Retrieve status`). Raises NotFound once it is gone."""
        operation = "export_status"
        answer = self._read(operation, access_token=token)
        status: wire.ExportStatus = wire.decode(wire.ExportStatus, answer.content, operation=operation)
        return status

    def export_retrieve(
        self, token: str, *, offset: int, limit: int = 1000, keep_alive: bool = True
    ) -> wire.ExportPage:
        """One block of an export, `offset` counting from 1 (MyPreferences `Segment: Retrieve data`). Without
        `keep_alive` the token dies with the last block, and a lost answer with it. Raises NotFound."""
        operation = "export_retrieve"
        params = {"limit": limit, "offset": offset, "keepAlive": keep_alive}
        answer = self._read(operation, params=params, access_token=token)
        page: wire.ExportPage = wire.decode(wire.ExportPage, answer.content, operation=operation)
        return page


def _token(operation: str, answer: Response) -> str:
    token: wire.ExportToken = wire.decode(wire.ExportToken, answer.content, operation=operation)
    return str(token.access_token)
