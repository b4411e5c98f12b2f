"""Reading the event history to its end (MyPreferences `Retrieve events`), and a segment to its last row."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta

from bridge.core.errors import DrainIncomplete, Forbidden, NotFound
from bridge.core.model import Side
from bridge.core.ports import Hint, Page
from bridge.mypreferences import wire
from bridge.mypreferences.client import EventSlice, MyPreferencesClient

_KNOWN = re.compile(
    r"profile\.(created|updated|updated[ .]?full|replaced|deactivated|reactivated|deleted)"
    r"|preference\.(added|updated|archived)"
    r"|consent\.(status\.)?(added|updated|deactivated)"
    r"|consent\.(elementass\w+|filterassociation)\.(created|updated|deactivated)"
    r"|contacts\.(email|phone|address|alternateid|customertype)\.(added|updated|deleted)"
    r"|(standardfield\.\w+|customfield)\.(added|updated|deleted)"
    r"|group\.(added|updated|deactivated)"
    r"|tag\.\w+",
    re.IGNORECASE | re.ASCII,
)
_SECOND = timedelta(seconds=1)
_LONGEST_EXPORT = 4 * 3600.0  # seconds; generated data is kept no longer than some hours anyway
_MAX_POLLS = 1000


def drain_events(
    read: Callable[[datetime, datetime], EventSlice],
    since: datetime,
    *,
    window: timedelta,
    clock: Callable[[], datetime],
) -> Iterator[Page]:
    """Pages of hints from `since` to the server's now, oldest window first.

    The watermark on the last page is the server's time at which the first question was put: its answer's
    Date less the time the answer took. Without a Date header it is the newest event's time; without events
    there is none.
    """
    began = clock()
    start, until = since, None
    newest: datetime | None = None
    server_began: datetime | None = None
    while True:
        end = max(start + window if until is None else min(start + window, until), start + _SECOND)
        asked = clock()
        found = read(start, end)
        if until is None:
            if found.server_time is not None:
                server_began = found.server_time - max(clock() - asked, timedelta())
            until = found.server_time or began
        times = [event.earliest for event in found.events]
        newest = max((time for time in (*times, newest) if time is not None), default=None)
        if end >= until:
            # A Date header may go missing; an event dated ahead must not carry the watermark with it.
            fallback = None if newest is None else min(newest, began)
            yield _page(found, server_began or fallback)
            return
        yield _page(found, None)
        start = end


def _page(found: EventSlice, watermark: datetime | None) -> Page:
    ids = [_profile_id(event) for event in found.events]
    odd = Counter(
        _shown(event.event_type) for event in found.events if not _KNOWN.fullmatch(event.event_type)
    )
    warnings = [f"{count} events of the unknown type '{name}'" for name, count in sorted(odd.items())]
    if unnamed := ids.count(""):
        warnings.append(
            f"{unnamed} events name no profile id: unset AlternateIdType on the webhook subscription"
        )
    keys: dict[str, list[str]] = {}
    for profile, event in zip(ids, found.events, strict=True):
        if profile:
            keys.setdefault(profile, []).append(_key(event))
    hints = [Hint(id=profile, keys=tuple(names)) for profile, names in keys.items()]
    return Page(hints=hints, watermark=watermark, warnings=warnings, skipped=unnamed)


def _key(event: wire.Event) -> str:
    """What tells one event from another: its id, or where it has none, all that is known of it."""
    if event.event_id is not None:
        return str(event.event_id)
    return f"{event.event_type} {event.profile_id} {event.earliest}"


def _profile_id(event: wire.Event) -> str:
    text = "" if event.profile_id is None else str(event.profile_id).strip()
    return text if text.isascii() and text.isdigit() else ""


def _shown(event_type: str) -> str:
    """A type's name fit for a log: whatever came in its place, no address gets through."""
    return re.sub(r"[^A-Za-z0-9_. -]", "?", event_type)[:60]


def drain_segment(
    client: MyPreferencesClient,
    segment: str,
    *,
    pause: float,
    sleep: Callable[[float], None],
    limit: int = 1000,
) -> Iterator[list[wire.Profile]]:
    """All rows of a segment in blocks, each profile once. Raises DrainIncomplete where the end cannot be
    proven, Forbidden where the user may not export it."""
    token = client.export_initiate(segment)
    _await(client, token, pause, sleep)
    seen: set[str] = set()
    offset = 1
    while True:
        try:
            page = client.export_retrieve(token, offset=offset, limit=limit)
        except NotFound:
            raise _incomplete("it expired before its last row was read") from None
        rows = page.user_profile_preferences
        fresh = []
        for row in rows:
            if row.id and row.id not in seen:
                seen.add(row.id)
                fresh.append(row)
        yield fresh
        offset += len(rows)
        enough = page.total_results is not None and len(seen) >= page.total_results
        if page.has_more is False and (enough or page.total_results is None):
            return
        if not rows or page.has_more is False:
            raise _incomplete(f"{len(seen)} of {page.total_results} profiles came")


def _await(client: MyPreferencesClient, token: str, pause: float, sleep: Callable[[float], None]) -> None:
    polls = _MAX_POLLS if pause <= 0 else max(1, min(_MAX_POLLS, int(_LONGEST_EXPORT / pause)))
    for number in range(polls):
        try:
            status = client.export_status(token).status.strip().casefold()
        except NotFound:
            raise _incomplete("it is gone before it was complete") from None
        if status.startswith("complete"):
            return
        if status == "failed":
            raise Forbidden(
                "MyPreferences failed the export: its user may not read the segment.",
                side=Side.MYPREFERENCES,
                operation="export_status",
                hint="Give the User Group of BRIDGE_MYPREFERENCES__USER_ID the right to export.",
            )
        if status != "processing":
            raise _incomplete("MyPreferences could not generate it, or not keep it")
        sleep(min(pause, 0.5 * 2**number))  # a small export is ready at once
    raise _incomplete("it did not become complete")


def _incomplete(why: str) -> DrainIncomplete:
    return DrainIncomplete(
        f"The export of the MyPreferences segment could not be read to its end: {why}.",
        hint="Check the segment named by BRIDGE_MYPREFERENCES__SEGMENT; the next sweep starts it anew.",
    )
