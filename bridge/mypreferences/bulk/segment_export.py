"""Reading many people by bulk export: everybody of a segment or segment group, or given addresses."""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from itertools import islice
from math import ceil

from bridge.bounds import ROWS_MAX
from bridge.core.errors import DrainIncomplete, Forbidden, NotFound, Refused
from bridge.core.jobs import backoff, polls
from bridge.core.mapping import Mapping
from bridge.core.model import Side, Who, address_key
from bridge.core.ports import PersonView
from bridge.mypreferences import views
from bridge.mypreferences.client import MyPreferencesClient
from bridge.mypreferences.wire.bulk import ExportPage, ExportRequest, ExportStatus
from bridge.mypreferences.wire.profiles import Profile

RESUMABLE = timedelta(hours=6)  # an older export shows people as they no longer are: it is started again
FILTERED_MIN = 25  # people to read: an export takes some seconds
FILTERED_MAX = 2000  # people that one export is filtered by
_FILTERED_CALLS = 5  # start, two questions for its status, two pages
_PATIENCE = timedelta(hours=4)  # generated data is kept no longer than some hours anyway
_POLLS_MAX = 1000


@dataclass(frozen=True, slots=True)
class SegmentRef:
    """The segment, or the segment group, that holds everybody."""

    name: str
    is_group: bool = False

    @property
    def label(self) -> str:
        """Its name and kind: a segment and a group may have the same name."""
        return f"{'group' if self.is_group else 'segment'} {self.name}"

    def initiate(self, client: MyPreferencesClient, wanted: ExportRequest) -> str:
        """Start an export of it; returns its token. Raises SideError."""
        start = client.initiate_export_segment_group if self.is_group else client.initiate_export_segment
        return start(self.name, wanted)


@dataclass(frozen=True, slots=True)
class ExportCursor:
    """How far an export was read: its `token`, the `offset` of the next row (from 1), how many distinct
    `rows` came, and the id of the `last` of them. `began` is the bridge's time just before the export was
    started: it shows nothing later."""

    segment: str
    token: str
    began: datetime
    offset: int = 1
    rows: int = 0
    last: str = ""

    def dump(self) -> str:
        """As text that `load` reads."""
        return json.dumps({**asdict(self), "began": self.began.isoformat()})

    @classmethod
    def load(cls, text: str) -> ExportCursor | None:
        """The cursor that `dump` wrote; None for one of another version, whose export is started again."""
        try:
            found = json.loads(text)
            return cls(**{**found, "began": datetime.fromisoformat(found["began"])})
        except (KeyError, TypeError, ValueError):
            return None


@dataclass(frozen=True, slots=True)
class SegmentPage:
    """Rows, and the cursor after them. `total` is None until the service states it. A page without rows shows
    that the export is still being generated."""

    rows: Sequence[Profile]
    cursor: ExportCursor
    total: int | None


class SegmentExport:
    """Reads exports. `poll_interval` is the longest time between two questions for one, in seconds."""

    def __init__(
        self,
        client: MyPreferencesClient,
        *,
        clock: Callable[[], datetime],
        poll_interval: float,
        sleep: Callable[[float], None],
        limit: int = 1000,
    ) -> None:
        self._client, self._clock = client, clock
        self._poll_interval, self._sleep, self._limit = poll_interval, sleep, limit

    def read_all(self, segment: SegmentRef, since: ExportCursor | None = None) -> Iterator[SegmentPage]:
        """All rows, each once: from `since` if its export still exists, else from the beginning. Never only
        what changed since some time: that shows nobody who was deleted or has left the segment.

        Raises DrainIncomplete where the end cannot be proven, Forbidden where the user may not export it.
        """
        if since is not None and since.segment == segment.label and self._clock() - since.began < RESUMABLE:
            with suppress(DrainIncomplete, Refused):  # where it expired: what was stored of it stays true
                yield from self._pages(since)
                return
        yield from self.read_matching(segment, ExportRequest())

    def read_matching(self, segment: SegmentRef, wanted: ExportRequest) -> Iterator[SegmentPage]:
        """The rows that a request filters. Raises as `read_all` does."""
        began = self._clock()
        token = segment.initiate(self._client, wanted)
        yield from self._pages(ExportCursor(segment.label, token, began))

    def _pages(self, cursor: ExportCursor) -> Iterator[SegmentPage]:
        total = yield from self._generated(cursor)
        if cursor.rows and total is not None and cursor.rows >= total:
            yield SegmentPage((), cursor, total)  # all of it came before
            return
        lost = 0
        while True:
            page = self._page(cursor)
            total = total if page.total_results is None else page.total_results
            rows = page.user_profile_preferences
            new = _after(rows, cursor.last)
            last = new[-1].id if new else cursor.last
            cursor = replace(cursor, offset=cursor.offset + len(rows), rows=cursor.rows + len(new), last=last)
            lost += sum(row.is_unreadable and not row.id for row in rows)
            yield SegmentPage(new, cursor, total)
            if lost and (page.has_more is False or not new):
                raise _incomplete(f"{lost} rows cannot be read")
            if page.has_more is False and (total is None or cursor.rows >= total):
                return
            if cursor.rows > ROWS_MAX * 20 or cursor.offset > ROWS_MAX * 20:
                raise _incomplete("it does not end")
            if not new or page.has_more is False:
                raise _incomplete(f"{cursor.rows} of {total} profiles came")

    def _page(self, cursor: ExportCursor) -> ExportPage:
        try:
            return self._client.retrieve_export(cursor.token, offset=cursor.offset, limit=self._limit)
        except NotFound:
            raise _incomplete("it expired before its last row was read") from None

    def _generated(self, cursor: ExportCursor) -> Generator[SegmentPage, None, int | None]:
        """Wait until the export is complete; returns how many rows it has, if that is stated."""
        delays = islice(backoff(self._poll_interval), _POLLS_MAX)
        for _ in polls(delays, patience=_PATIENCE, clock=self._clock, sleep=self._sleep):
            found = self._status(cursor.token)
            if found is not None:
                return found.row_count
            yield SegmentPage((), cursor, None)
        raise _incomplete("it did not become complete")

    def _status(self, token: str) -> ExportStatus | None:
        """The status of an export that is complete; None while it is generated."""
        try:
            found = self._client.export_status(token)
        except NotFound:
            raise _incomplete("it expired before it was complete") from None
        status = found.status.strip().casefold()
        if status == "failed":
            raise Forbidden(
                "MyPreferences failed the export: its user may not read the segment.",
                side=Side.MYPREFERENCES,
                operation="exportStatus",
                hint="Give the User Group of BRIDGE_MYPREFERENCES__USER_ID the export permission.",
            )
        if not status.startswith(("complete", "processing")):
            raise _incomplete("MyPreferences could not generate it, or not keep it")
        return found if status.startswith("complete") else None


class FilteredExport:
    """Reads people by exports that are filtered by their addresses."""

    def __init__(self, export: SegmentExport, segment: SegmentRef, mapping: Mapping) -> None:
        self._export, self._segment, self._mapping = export, segment, mapping

    def read(self, people: Sequence[Who], read_at: datetime) -> Iterator[tuple[list[PersonView], list[Who]]]:
        """Views, and the people whose rows do not tell enough, or all where no export can be had: they are to
        be read one by one. Both are empty while an export is generated. Raises SideError for what stops the
        side."""
        for start in range(0, len(people), FILTERED_MAX):
            some = people[start : start + FILTERED_MAX]
            sharing: dict[str, list[Profile]] = {address_key(who.address): [] for who in some}
            wanted = ExportRequest(match_criteria="EmailAddress", values=[who.address for who in some])
            try:
                for page in self._export.read_matching(self._segment, wanted):
                    _assign(page.rows, sharing)
                    yield [], []
            except (DrainIncomplete, Forbidden, NotFound, Refused):
                yield [], list(some)
                continue
            yield self._views(some, sharing, read_at)

    def _views(
        self, people: Iterable[Who], sharing: dict[str, list[Profile]], read_at: datetime
    ) -> tuple[list[PersonView], list[Who]]:
        read: list[PersonView] = []
        rest: list[Who] = []
        for who in people:
            profiles = sharing[address_key(who.address)]
            view = views.view(who.address, profiles, self._mapping, read_at, complete=False, exported=True)
            if profiles and self._is_whole(who, view):
                read.append(view)
            else:
                rest.append(who)
        return read, rest

    def _is_whole(self, who: Who, view: PersonView) -> bool:
        """Whether every known profile is among the rows and they hold all mapped topics: rows hold what the
        segment is set up for."""
        known = set(who.ids.get(Side.MYPREFERENCES, ()))
        mapped = {topic.id for topic in self._mapping.all if topic.source is not None}
        return known <= set(view.ids) and mapped <= view.topics.keys()


def calls_to_read(people: int, *, exports: bool) -> int:
    """Calls to read so many people again; `exports`: many of them can be read by export."""
    return ceil(people / FILTERED_MAX) * _FILTERED_CALLS if exports and people >= FILTERED_MIN else people


def _assign(rows: Iterable[Profile], sharing: dict[str, list[Profile]]) -> None:
    """Add each row to the addresses it holds, among those asked for."""
    for row in rows:
        for address in views.addresses(row) if row.active else ():
            if (profiles := sharing.get(address_key(address))) is not None:
                profiles.append(row)


def _after(rows: Sequence[Profile], last: str) -> list[Profile]:
    """The rows after the last one read, each once: the documents leave open whether a page starts with the
    row that the page before ended with. Pages follow one fixed order, so only that row is remembered."""
    ids = [row.id for row in rows]
    start = ids.index(last) + 1 if last and last in ids else 0
    new: dict[str, Profile] = {}
    for row in rows[start:]:
        if row.id:
            new.setdefault(row.id, row)
    return list(new.values())


def _incomplete(why: str) -> DrainIncomplete:
    return DrainIncomplete(
        f"The export of the MyPreferences segment could not be read to its end: {why}.",
        hint="Check what BRIDGE_MYPREFERENCES__SEGMENT or __SEGMENT_GROUP names; the next sweep retries.",
    )
