"""One bulk import after the other: staged in parts, executed, followed to its end, its failures read."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Protocol

import msgspec

from bridge.core.errors import Forbidden, NotFound, OutcomeUnknown, SideError
from bridge.core.model import Side
from bridge.mypreferences import wire
from bridge.mypreferences.client import MyPreferencesClient

PART = 20 * 1024 * 1024  # bytes as sent; MyPreferences import: a body holds 25 MB at the most
_NAME = "consent-bridge withdrawals"
_DAY = timedelta(hours=24)
_LONGEST = timedelta(hours=1)  # followed for no longer: what an import has done is read back
_PAUSE = timedelta(hours=6)  # after an import that came to nothing, withdrawals go one by one
_BEAT = 5.0  # seconds between two heartbeats
_NEVER_SENT = ("initiated", "staging")


@dataclass(frozen=True, slots=True)
class _Known:
    """`open` is the token of an import that was executed and whose end was not seen."""

    open: str
    begun: tuple[datetime, ...]


class TextFact(Protocol):
    """A text that outlives the process."""

    def read(self) -> str:
        """What was written last, or nothing."""
        ...

    def write(self, text: str) -> None: ...


class InMemoryFact:
    """A note of this process alone."""

    def __init__(self) -> None:
        self._text = ""

    def read(self) -> str:
        return self._text

    def write(self, text: str) -> None:
        self._text = text


class Importer:
    """Carries out imports. `per_day` is how many may be begun within 24 hours, `pause` the longest time
    between two questions for one, in seconds. `note` keeps which import may still be at work, and when others
    were begun. Used by one thread."""

    def __init__(
        self,
        client: MyPreferencesClient,
        *,
        clock: Callable[[], datetime],
        sleep: Callable[[float], None],
        pause: float,
        per_day: int,
        note: TextFact | None = None,
        part: int = PART,
    ) -> None:
        self._client, self._clock, self._sleep = client, clock, sleep
        self._longest, self._per_day, self._part = pause, per_day, part
        self._note = note or InMemoryFact()
        self._not_before: datetime | None = None

    def may_begin(self, number: int) -> bool:
        """Whether so many imports may be begun now, as far as this process knows. Costs no call."""
        now, known = self._clock(), self._known()
        free = not known.open and (self._not_before is None or now >= self._not_before)
        return free and len(known.begun) + number <= self._per_day

    def has_running_jobs(self) -> bool:
        """Whether an import, of this process or one before it, may still be at work. Raises SideError."""
        known = self._known()
        if not known.open:
            return False
        try:
            stage = self._client.import_status(known.open).stage
        except NotFound:
            stage = "gone"
        at_work = stage in ("queued", "processing")
        if not at_work:
            self._closed()
        return at_work

    def carry(self, records: Sequence[wire.ImportRecord], heartbeat: Callable[[], None]) -> frozenset[int]:
        """Carry out all records in one import. Returns the ids of those profiles whose records failed.

        Raises OutcomeUnknown where the end was not seen or not told; any other SideError means that nothing
        of it was carried out.
        """
        token = self._staged(records, heartbeat)
        try:
            return self._run(token, heartbeat)
        except OutcomeUnknown:
            self._pause()
            raise

    def _run(self, token: str, heartbeat: Callable[[], None]) -> frozenset[int]:
        self._keep(replace(self._known(), open=token))
        try:
            self._client.execute_import(token)
        except OutcomeUnknown:
            heartbeat()  # the status tells whether it was executed
        except SideError:
            self._closed()
            raise
        end = self._followed(token, heartbeat)
        self._closed()
        return self._failed(token, end)

    def _staged(self, records: Sequence[wire.ImportRecord], heartbeat: Callable[[], None]) -> str:
        known = self._known()
        self._keep(replace(known, begun=(*known.begun, self._clock())))
        try:
            token = self._client.initiate_import(wire.ImportRequest(name=_NAME))
        except Forbidden:
            self._pause()
            raise
        for part in parts(records, self._part):
            heartbeat()
            self._client.stage_import(token, part)
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
                self._closed()
                raise _unknown("MyPreferences failed it as a whole")
            if found.stage in _NEVER_SENT and number >= 3:
                raise _unknown("MyPreferences does not show that it was executed")
            self._wait(min(self._longest, 0.5 * 2**number), heartbeat)
            number += 1
        raise _unknown("it did not end")

    def _known(self) -> _Known:
        """What is noted of the last day."""
        kept = json.loads(self._note.read() or "{}")
        begun = map(datetime.fromisoformat, kept.get("begun", ()))
        now = self._clock()
        return _Known(kept.get("open", ""), tuple(at for at in begun if now - at < _DAY))

    def _keep(self, known: _Known) -> None:
        self._note.write(json.dumps({"open": known.open, "begun": [at.isoformat() for at in known.begun]}))

    def _closed(self) -> None:
        self._keep(replace(self._known(), open=""))

    def _pause(self) -> None:
        """What did not work now would keep the same withdrawals waiting round after round."""
        self._not_before = self._clock() + _PAUSE

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
        operation="importStatus",
        hint="Reading back settles it.",
    )
