"""Reading everybody: a segment or a segment group to its last row, by bulk export."""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta

from bridge.core.errors import DrainIncomplete, Forbidden, NotFound, Refused
from bridge.core.model import Side
from bridge.mypreferences import wire
from bridge.mypreferences.client import MyPreferencesClient

RESUMABLE = timedelta(hours=6)  # an older export shows people as they no longer are: it is begun anew
_LONGEST_EXPORT = 4 * 3600.0  # seconds; generated data is kept no longer than some hours anyway
_MAX_POLLS = 1000


@dataclass(frozen=True, slots=True)
class SegmentRef:
    """The segment, or the segment group, that holds everybody."""

    name: str
    is_group: bool = False

    @property
    def label(self) -> str:
        """What tells it from every other."""
        return f"{'group' if self.is_group else 'segment'} {self.name}"

    def initiate(self, client: MyPreferencesClient, wanted: wire.ExportRequest) -> str:
        """Begin an export of it. Raises SideError."""
        start = client.initiate_export_segment_group if self.is_group else client.initiate_export_segment
        return start(self.name, wanted)


@dataclass(frozen=True, slots=True)
class ExportCursor:
    """How far an export was read: its `token`, the `offset` of the next row (from 1), how many `rows` came,
    each counted once, and the id of the `last` of them. `began` is the bridge's time just before the export
    was made: it tells of nothing later."""

    roll: str
    token: str
    began: datetime
    offset: int = 1
    rows: int = 0
    last: str = ""

    def written(self) -> str:
        """As text that `read` understands."""
        return json.dumps({**asdict(self), "began": self.began.isoformat()})

    @classmethod
    def read(cls, text: str) -> ExportCursor:
        """The place that `written` wrote."""
        found = json.loads(text)
        return cls(**{**found, "began": datetime.fromisoformat(found["began"])})


@dataclass(frozen=True, slots=True)
class ExportPage:
    """Rows that came, and where to go on after them. `total` is None until the service tells it. Without
    rows it is a sign of life: the export is still being made."""

    rows: Sequence[wire.Profile]
    place: ExportCursor
    total: int | None


class SegmentExport:
    """Reads exports. `pause` is the longest time between two questions for one, in seconds."""

    def __init__(
        self,
        client: MyPreferencesClient,
        *,
        clock: Callable[[], datetime],
        pause: float,
        sleep: Callable[[float], None],
        limit: int = 1000,
    ) -> None:
        self._client, self._clock = client, clock
        self._pause, self._sleep, self._limit = pause, sleep, limit

    def everybody(self, roll: SegmentRef, since: ExportCursor | None = None) -> Iterator[ExportPage]:
        """All rows, each once: from `since`, if its export is still to be had, or else from the beginning.
        Never only what changed since some time: that shows nobody who was deleted or has left the segment.

        Raises DrainIncomplete where the end cannot be proven, Forbidden where the user may not export it.
        """
        if since is not None and since.roll == roll.label and self._clock() - since.began < RESUMABLE:
            with suppress(DrainIncomplete, Refused):  # where it expired: what was stored of it stays true
                yield from self._blocks(since)
                return
        yield from self.chosen(roll, wire.ExportRequest())

    def chosen(self, roll: SegmentRef, wanted: wire.ExportRequest) -> Iterator[ExportPage]:
        """The rows that a request narrows it to. Raises as `everybody` does."""
        began = self._clock()
        token = roll.initiate(self._client, wanted)
        yield from self._blocks(ExportCursor(roll.label, token, began))

    def _blocks(self, place: ExportCursor) -> Iterator[ExportPage]:
        total = yield from self._made(place)
        if place.rows and total is not None and place.rows >= total:
            yield ExportPage((), place, total)  # all of it had come before
            return
        while True:
            page = self._page(place)
            total = total if page.total_results is None else page.total_results
            rows = page.user_profile_preferences
            fresh = _beyond(rows, place.last)
            last = fresh[-1].id if fresh else place.last
            place = replace(place, offset=place.offset + len(rows), rows=place.rows + len(fresh), last=last)
            yield ExportPage(fresh, place, total)
            if page.has_more is False and (total is None or place.rows >= total):
                return
            if not fresh or page.has_more is False:
                raise _incomplete(f"{place.rows} of {total} profiles came")

    def _page(self, place: ExportCursor) -> wire.ExportPage:
        try:
            return self._client.retrieve_export(place.token, offset=place.offset, limit=self._limit)
        except NotFound:
            raise _incomplete("it expired before its last row was read") from None

    def _made(self, place: ExportCursor) -> Generator[ExportPage, None, int | None]:
        """Wait until the export is made; returns how many rows it has, if that is told."""
        longest = self._pause
        polls = _MAX_POLLS if longest <= 0 else max(1, min(_MAX_POLLS, int(_LONGEST_EXPORT / longest)))
        for number in range(polls):
            found = self._status(place.token)
            if found is not None:
                return found.row_count
            yield ExportPage((), place, None)
            self._sleep(min(longest, 0.5 * 2**number))  # a small export is ready at once
        raise _incomplete("it did not become complete")

    def _status(self, token: str) -> wire.ExportStatus | None:
        """The status of an export that is complete; None while it is being made."""
        try:
            found = self._client.export_status(token)
        except NotFound:
            raise _incomplete("it is gone before it was complete") from None
        status = found.status.strip().casefold()
        if status == "failed":
            raise Forbidden(
                "MyPreferences failed the export: its user may not read the segment.",
                side=Side.MYPREFERENCES,
                operation="exportStatus",
                hint="Give the User Group of BRIDGE_MYPREFERENCES__USER_ID the right to export.",
            )
        if not status.startswith(("complete", "processing")):
            raise _incomplete("MyPreferences could not generate it, or not keep it")
        return found if status.startswith("complete") else None


def _beyond(rows: Sequence[wire.Profile], last: str) -> list[wire.Profile]:
    """The rows that come after the last one read, each once: the documents leave open whether a page begins
    with the row that the one before ended with. Pages follow one fixed order, so nothing else is kept."""
    ids = [row.id for row in rows]
    start = ids.index(last) + 1 if last and last in ids else 0
    seen: dict[str, wire.Profile] = {}
    for row in rows[start:]:
        if row.id:
            seen.setdefault(row.id, row)
    return list(seen.values())


def _incomplete(why: str) -> DrainIncomplete:
    return DrainIncomplete(
        f"The export of the MyPreferences segment could not be read to its end: {why}.",
        hint="Check what BRIDGE_MYPREFERENCES__SEGMENT or __SEGMENT_GROUP names; the next sweep begins anew.",
    )
