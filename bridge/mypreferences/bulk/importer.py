"""One bulk import at a time: staged in parts, executed, followed to its end, its failures read."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import islice

import msgspec

from bridge.core.errors import Forbidden, NotFound, OutcomeUnknown, SideError
from bridge.core.jobs import backoff, polls
from bridge.core.model import Side
from bridge.core.ports import KeyValue
from bridge.mypreferences.client import MyPreferencesClient
from bridge.mypreferences.wire.bulk import ImportRecord, ImportRequest, ImportStatus

KEY = "imports:mypreferences"
PART_MAX = 20 * 1024 * 1024  # bytes as sent; MyPreferences import: a body holds at most 25 MB
_NAME = "consent-bridge withdrawals"
_DAY = timedelta(hours=24)
_PATIENCE = timedelta(hours=1)  # what an import has done by then is read back
_PAUSE = timedelta(hours=6)  # after an import that came to nothing, withdrawals are sent one at a time
_NOT_EXECUTED = ("initiated", "staging")


@dataclass(frozen=True, slots=True)
class _Imports:
    """`open` is the token of an import that was executed and whose end was not seen; `begun` are the times at
    which imports were started within the last day."""

    open: str
    begun: tuple[datetime, ...]


class Importer:
    """Runs imports. `per_day` is how many may be started within 24 hours, `poll_interval` the longest time
    between two questions for one, in seconds, `part_max` the size of a staged part in bytes. `memory` keeps
    which import may still be running and when others were started. Used by one thread."""

    def __init__(
        self,
        client: MyPreferencesClient,
        *,
        memory: KeyValue,
        clock: Callable[[], datetime],
        sleep: Callable[[float], None],
        poll_interval: float,
        per_day: int,
        part_max: int = PART_MAX,
    ) -> None:
        self._client, self._memory, self._clock, self._sleep = client, memory, clock, sleep
        self._poll_interval, self._per_day, self._part_max = poll_interval, per_day, part_max
        self._not_before: datetime | None = None

    def may_start(self, count: int) -> bool:
        """Whether so many imports may be started now, as far as this process knows. Costs no call."""
        now, known = self._clock(), self._known()
        free = not known.open and (self._not_before is None or now >= self._not_before)
        return free and len(known.begun) + count <= self._per_day

    def has_running_jobs(self) -> bool:
        """Whether an import, of this process or an earlier one, may still be running. Raises SideError."""
        known = self._known()
        if not known.open:
            return False
        try:
            stage = self._client.import_status(known.open).stage
        except NotFound:
            stage = "gone"
        running = stage in ("queued", "processing")
        if not running:
            self._close()
        return running

    def run(self, records: Sequence[ImportRecord], heartbeat: Callable[[], None]) -> frozenset[int]:
        """Apply all records in one import. Returns the ids of the profiles whose records failed.

        Raises OutcomeUnknown where its end was not seen or not stated; any other SideError means that nothing
        of it was applied.
        """
        token = self._stage(records, heartbeat)
        try:
            return self._execute(token, heartbeat)
        except OutcomeUnknown:
            self._pause()
            raise

    def _stage(self, records: Sequence[ImportRecord], heartbeat: Callable[[], None]) -> str:
        known = self._known()
        self._keep(replace(known, begun=(*known.begun, self._clock())))
        try:
            token = self._client.initiate_import(ImportRequest(name=_NAME))
        except Forbidden:
            self._pause()
            raise
        for part in parts(records, self._part_max):
            heartbeat()
            self._client.stage_import(token, part)
        return token

    def _execute(self, token: str, heartbeat: Callable[[], None]) -> frozenset[int]:
        self._keep(replace(self._known(), open=token))
        try:
            self._client.execute_import(token)
        except OutcomeUnknown:
            heartbeat()  # the status tells whether it was executed
        except SideError:
            self._close()
            raise
        end = self._wait_for_end(token, heartbeat)
        self._close()
        return self._failed(token, end)

    def _wait_for_end(self, token: str, heartbeat: Callable[[], None]) -> ImportStatus:
        """Raises OutcomeUnknown where the end is not seen."""
        delays = islice(backoff(self._poll_interval), int(_PATIENCE.total_seconds()))
        for number in polls(
            delays, patience=_PATIENCE, clock=self._clock, sleep=self._sleep, heartbeat=heartbeat
        ):
            try:
                found = self._client.import_status(token)
            except SideError as error:
                raise _unknown(f"its status could not be read ({type(error).__name__})") from None
            if found.stage == "completed":
                return found
            if found.stage == "failed":
                self._close()
                raise _unknown("MyPreferences failed it as a whole")
            if found.stage in _NOT_EXECUTED and number >= 3:
                raise _unknown("MyPreferences does not show that it was executed")
        raise _unknown("it did not end")

    def _failed(self, token: str, end: ImportStatus) -> frozenset[int]:
        """Whose records failed. A record that was applied and not honoured is found by reading back."""
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

    def _known(self) -> _Imports:
        """What is remembered of the last day."""
        kept = json.loads(self._memory.get(KEY) or "{}")
        begun = map(datetime.fromisoformat, kept.get("begun", ()))
        now = self._clock()
        return _Imports(kept.get("open", ""), tuple(at for at in begun if now - at < _DAY))

    def _keep(self, known: _Imports) -> None:
        text = json.dumps({"open": known.open, "begun": [at.isoformat() for at in known.begun]})
        self._memory.set(KEY, text)

    def _close(self) -> None:
        self._keep(replace(self._known(), open=""))

    def _pause(self) -> None:
        """Start none for a while: what failed now would keep the same withdrawals waiting run after run."""
        self._not_before = self._clock() + _PAUSE


def parts(records: Sequence[ImportRecord], size_max: int = PART_MAX) -> Iterator[list[ImportRecord]]:
    """The records in parts of at most `size_max` bytes as sent, or of one record that is larger alone."""
    part: list[ImportRecord] = []
    size = 0
    for record in records:
        length = len(msgspec.json.encode(record)) + 1
        if part and size + length > size_max:
            yield part
            part, size = [], 0
        part.append(record)
        size += length
    if part:
        yield part


def _unknown(why: str) -> OutcomeUnknown:
    return OutcomeUnknown(
        f"The outcome of a MyPreferences import is unknown: {why}.",
        side=Side.MYPREFERENCES,
        operation="importStatus",
        hint="The profiles will be read back to find out.",
    )
