"""One bulk import after the other: staged in parts, executed, followed to its end, its failures read."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta

import msgspec

from bridge.core.errors import Forbidden, NotFound, OutcomeUnknown, SideError
from bridge.core.model import Side
from bridge.mypreferences import wire
from bridge.mypreferences.client import MyPreferencesClient

PART = 20 * 1024 * 1024  # bytes as sent; MyPreferences import: a body holds 25 MB at the most
_NAME = "consent-bridge withdrawals"
_DAY = timedelta(hours=24)
_LONGEST = timedelta(hours=1)  # followed for no longer: what an import has done is read back
_BEAT = 5.0  # seconds between two heartbeats
_NEVER_SENT = ("initiated", "staging")


class Importer:
    """Carries out imports. `per_day` is how many may be begun within 24 hours, `pause` the longest time
    between two questions for one, in seconds. Used by one thread."""

    def __init__(
        self,
        client: MyPreferencesClient,
        *,
        clock: Callable[[], datetime],
        sleep: Callable[[float], None],
        pause: float,
        per_day: int,
        part: int = PART,
    ) -> None:
        self._client, self._clock, self._sleep = client, clock, sleep
        self._pause, self._per_day, self._part = pause, per_day, part
        self._begun: deque[datetime] = deque()
        self._open: str | None = None  # an import that was executed, and whose end was not seen
        self._barred = False

    def may_begin(self, number: int) -> bool:
        """Whether so many imports may be begun now, as far as this process knows. Costs no call."""
        now = self._clock()
        while self._begun and now - self._begun[0] >= _DAY:
            self._begun.popleft()
        free = self._open is None and not self._barred
        return free and len(self._begun) + number <= self._per_day

    def under_way(self) -> bool:
        """Whether an import of this process may still be at work. Raises SideError."""
        if self._open is None:
            return False
        try:
            stage = self._client.import_status(self._open).stage
        except NotFound:
            stage = "gone"
        if stage not in ("queued", "processing"):
            self._open = None
        return self._open is not None

    def carry(self, records: Sequence[wire.ImportRecord], heartbeat: Callable[[], None]) -> frozenset[int]:
        """Carry out all records in one import. Returns the ids of those profiles whose records failed.

        Raises OutcomeUnknown where the end was not seen or not told; any other SideError means that nothing
        of it was carried out.
        """
        token = self._staged(records, heartbeat)
        self._open = token
        try:
            self._client.import_execute(token)
        except OutcomeUnknown:
            heartbeat()  # the status tells whether it was executed
        except SideError:
            self._open = None
            raise
        end = self._followed(token, heartbeat)
        self._open = None
        return self._failed(token, end)

    def _staged(self, records: Sequence[wire.ImportRecord], heartbeat: Callable[[], None]) -> str:
        self._begun.append(self._clock())
        try:
            token = self._client.import_initiate(wire.ImportRequest(name=_NAME))
        except Forbidden:
            self._barred = True
            raise
        for part in parts(records, self._part):
            heartbeat()
            self._client.import_stage(token, part)
        return token

    def _followed(self, token: str, heartbeat: Callable[[], None]) -> wire.ImportStatus:
        """Wait for the end. Raises OutcomeUnknown where none comes."""
        began, number = self._clock(), 0
        while self._clock() - began < _LONGEST and number < _LONGEST.total_seconds():
            try:
                found = self._client.import_status(token)
            except SideError as error:
                raise _unknown(f"its status could not be read ({type(error).__name__})") from None
            if found.stage == "completed":
                return found
            if found.stage == "failed":
                self._open = None
                raise _unknown("MyPreferences failed it as a whole")
            if found.stage in _NEVER_SENT and number >= 3:
                raise _unknown("MyPreferences does not show that it was executed")
            self._wait(min(self._pause, 0.5 * 2**number), heartbeat)
            number += 1
        raise _unknown("it did not end")

    def _wait(self, seconds: float, heartbeat: Callable[[], None]) -> None:
        while True:
            heartbeat()
            self._sleep(min(seconds, _BEAT))
            seconds -= _BEAT
            if seconds <= 0:
                return

    def _failed(self, token: str, end: wire.ImportStatus) -> frozenset[int]:
        """Whose records failed. One that was carried out and not honoured is found by reading back."""
        if end.validation_failed == 0 and end.exceptions == 0:
            return frozenset()
        failed: set[int] = set()
        offset, more = 1, True
        while more:
            try:
                page = self._client.import_exceptions(token, offset=offset)
            except SideError as error:
                raise _unknown(f"its failures could not be read ({type(error).__name__})") from None
            failed |= {int(text) for row in page.rows if (text := str(row.profile_id)).isdigit()}
            offset += len(page.rows)
            more = page.has_more and bool(page.rows)
        return frozenset(failed)


def parts(records: Sequence[wire.ImportRecord], most: int = PART) -> Iterator[list[wire.ImportRecord]]:
    """The records in parts of at most `most` bytes as sent, or of one record that is larger by itself."""
    part: list[wire.ImportRecord] = []
    size = 0
    for record in records:
        length = len(msgspec.json.encode(record)) + 1
        if part and size + length > most:
            yield part
            part, size = [], 0
        part.append(record)
        size += length
    if part:
        yield part


def _unknown(why: str) -> OutcomeUnknown:
    return OutcomeUnknown(
        f"What became of an import of MyPreferences is not known: {why}.",
        side=Side.MYPREFERENCES,
        operation="import_status",
        hint="Reading back settles it.",
    )
