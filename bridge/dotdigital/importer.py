"""Running imports: sent a few at a time, asked about until they end, their reports read.

The imports that were begun and are not known to have ended are kept in the state DB. Two imports that are
active at once may be applied in either order, so a contact in one must not be in another, nor be written to
in any other way. An import is noted before it is sent, since a process may die before it learns the id.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import chain, repeat
from threading import Lock

import msgspec

from bridge.core.errors import NotFound, OutcomeUnknown, Refused, SideError, Throttled, Verdict
from bridge.core.jobs import polls
from bridge.core.model import Side
from bridge.core.ports import KeyValue, Unrecorded, WriteResponse, WriteResult
from bridge.dotdigital.client.codes import TOO_MANY_IMPORTS, import_failure
from bridge.dotdigital.client.v3 import LARGEST_BUNDLE, ClientV3, ImportChange
from bridge.dotdigital.client.wire import ImportReport
from bridge.dotdigital.write_batches import FEWEST

Answer = WriteResult
Heartbeat = Callable[[], None]

LARGEST_BODY = 45_000_000  # bytes; the service takes 50 MB
AT_ONCE = 10  # active imports of ours; the account has 25, which others use too
PATIENCE = timedelta(minutes=15)  # for all imports of a job together; what has not ended then is in doubt
PATIENCE_FOR_ROOM = timedelta(minutes=2)  # for room in the account, where none of ours is active
PAUSE = 5.0  # seconds before the first status calls
_LONGER = (1, 2, 4, 8)  # times the first pause, before the next status calls
_LONGEST = 12
_TOO_LARGE = 413
_REFUSALS_MAX = 40  # of bundles: what one bad entry among 5,000 takes, several times
_OPERATION = "importContacts"
KEY = "dotdigital.imports"
_LASTS = {True: timedelta(hours=6), False: timedelta(minutes=30)}
_LASTS_UNNAMED = {True: timedelta(hours=1), False: timedelta(0)}


class ImportRefused(Refused):
    """A whole import was refused, so that nothing of it was applied. That is no answer to the people in it:
    one entry may be the reason, and each may be sent alone."""


@dataclass(frozen=True, slots=True)
class _Active:
    job: ImportJob
    changes: Sequence[ImportChange]


@dataclass(slots=True)
class _Work:
    """What is left to be sent, what is under way, what is known, and how many bundles were refused."""

    waiting: list[list[ImportChange]]
    active: list[_Active] = field(default_factory=list)
    answers: dict[int, Answer] = field(default_factory=dict)
    refusals: int = 0


class ImportRunner:
    """`sleep` takes seconds; `pause` is as many before the first questions about an import."""

    def __init__(
        self,
        v3: ClientV3,
        jobs: JobStore,
        clock: Callable[[], datetime],
        sleep: Callable[[float], None],
        *,
        pause: float = PAUSE,
    ) -> None:
        self._v3, self._jobs = v3, jobs
        self._clock, self._sleep, self._pause = clock, sleep, pause

    def run(
        self, changes: Sequence[ImportChange], heartbeat: Heartbeat, *, raises: bool
    ) -> dict[int, Answer]:
        """Import these changes. Returns for each contact id what the report says, which only a read back
        proves. Never raises for an import that fails."""
        began = self._clock()
        work = _Work(list(bundles(changes)))
        for turn in polls(
            (self._pause * times for times in chain(_LONGER, repeat(_LONGEST))),
            patience=PATIENCE,
            clock=self._clock,
            sleep=self._sleep,
            heartbeat=heartbeat,
        ):
            if turn:
                work.active = [one for one in work.active if not self._ended(one, work.answers)]
            self._fill(work, raises=raises)
            if not work.active and (not work.waiting or self._clock() - began >= PATIENCE_FOR_ROOM):
                break
        _put(work.answers, work.waiting, _too_many())
        _put(work.answers, [one.changes for one in work.active], _unknown("did not end in time"))
        return work.answers

    # sending

    def _fill(self, work: _Work, *, raises: bool) -> None:
        """Send what may be sent now. What the account has no room for stays in `waiting`."""
        waiting = work.waiting
        while waiting and len(work.active) < AT_ONCE:
            job = self._jobs.begin(raises=raises)
            try:
                import_id = self._v3.import_contacts(waiting[0])
            except Throttled as error:
                self._jobs.ended(job)
                if error.code != TOO_MANY_IMPORTS:
                    _put(work.answers, waiting, error)
                    waiting.clear()
                return
            except OutcomeUnknown as error:  # it stays noted: it may be running
                _put(work.answers, [waiting.pop(0)], error)
                continue
            except SideError as error:
                self._jobs.ended(job)
                _refused(work, waiting.pop(0), error)
                continue
            work.active.append(_Active(self._jobs.named(job, import_id), waiting.pop(0)))

    # asking

    def _ended(self, active: _Active, answers: dict[int, Answer]) -> bool:
        """Ask about one import; read its report once it has ended."""
        try:
            report = self._v3.get_import_status(active.job.id or "")
        except SideError as error:
            if error.verdict is Verdict.RETRY:
                return False
            if isinstance(error, NotFound):
                self._jobs.ended(active.job)
            _put(answers, [active.changes], _unknown("has a status that cannot be read"))
            return True
        if not _is_over(report):
            return False
        self._jobs.ended(active.job)
        answers |= _read(report, active.changes)
        return True


def _refused(work: _Work, bundle: list[ImportChange], error: SideError) -> None:
    """Take note of a bundle that was refused as a whole. Its halves are sent again, to find the entry that is
    the reason; few people, or those left after many refusals, are not tried by import again."""
    work.refusals += 1
    too_large = error.status == _TOO_LARGE
    by_content = error.verdict in (Verdict.HOLD, Verdict.FIX_CONFIG)
    if not (too_large or by_content):
        _put(work.answers, [bundle], error)
    elif len(bundle) > (1 if too_large else FEWEST) and (too_large or work.refusals <= _REFUSALS_MAX):
        half = len(bundle) // 2
        work.waiting[:0] = [bundle[:half], bundle[half:]]
    else:
        _put(work.answers, [bundle], error if too_large else _no_import(error))


def bundles(changes: Sequence[ImportChange]) -> Iterator[list[ImportChange]]:
    """The changes in parts that one import each may hold. Raises ValueError for a contact that comes twice:
    the service would refuse the second."""
    if len({change.contact_id for change in changes}) < len(changes):
        raise ValueError("a contact may be in an import once")
    bundle: list[ImportChange] = []
    size = 0
    for change in changes:
        mine = len(msgspec.json.encode(change.body)) + 1
        if bundle and (len(bundle) >= LARGEST_BUNDLE or size + mine > LARGEST_BODY):
            yield bundle
            bundle, size = [], 0
        bundle.append(change)
        size += mine
    if bundle:
        yield bundle


def has_running_imports(v3: ClientV3 | None, jobs: JobStore) -> bool:
    """Whether an import of ours may still be running, by asking about each that is not known to have ended.
    Costs no call where there is none."""
    return sum(_may_run(v3, jobs, job) for job in jobs.open()) > 0


def _may_run(v3: ClientV3 | None, jobs: JobStore, job: ImportJob) -> bool:
    if job.id is None or v3 is None:
        return True
    try:
        if not _is_over(v3.get_import_status(job.id)):
            return True
    except NotFound:
        pass  # long over: its report is kept for a while only
    jobs.ended(job)
    return False


def _is_over(report: ImportReport) -> bool:
    """A status that is newer than this program is no end: it is waited for."""
    return report.status.casefold() in _ENDS


def _read(report: ImportReport, changes: Sequence[ImportChange]) -> dict[int, Answer]:
    if (refused := _ENDS[report.status.casefold()]) is not None:
        return dict.fromkeys((change.contact_id for change in changes), refused())
    found: dict[int, Answer] = {change.contact_id: WriteResponse.ACCEPTED for change in changes}
    outs = {change.contact_id for change in changes if change.unsubscribes}
    for row in report.failures or ():
        for failure in row.failures or ():
            number = row.contact_id or 0
            if isinstance(
                found.get(number), WriteResponse | Unrecorded
            ):  # a later failure does not lessen an error
                found[number] = _failure(failure.failure_code, number in outs)
    return found


def _failure(code: str | None, out: bool) -> Answer:
    """What one contact's failure means. Where only records were left out the choice was written."""
    meaning = import_failure(code or "")
    if meaning.partly:
        return Unrecorded(f"Dotdigital's import did not take a consent record ({code}).")
    kind = (meaning.for_opt_out or meaning.kind) if out else meaning.kind
    return kind(
        f"Dotdigital's import left out a contact ({code or 'without a code'}).",
        side=Side.DOTDIGITAL, operation=_OPERATION, code=code, hint=meaning.hint,
    )  # fmt: skip


def _no_import(error: SideError) -> SideError:
    return ImportRefused(
        error.what, side=Side.DOTDIGITAL, operation=_OPERATION,
        status=error.status, code=error.code, hint=error.hint,
    )  # fmt: skip


def _rejected() -> SideError:
    return ImportRefused(
        "Dotdigital's watchdog rejected a whole import.",
        side=Side.DOTDIGITAL, operation=_OPERATION, code="RejectedByWatchdog",
        hint="Ask Dotdigital support why; repeating it will not help.",
    )  # fmt: skip


def _full() -> SideError:
    return ImportRefused(
        "Dotdigital refused an import: the account's allowance of contacts is used up.",
        side=Side.DOTDIGITAL, operation=_OPERATION, code="ExceedsAllowedContactLimit",
        hint="Raise the account's contact allowance or remove contacts there.",
    )  # fmt: skip


def _failed() -> SideError:
    return _unknown("failed there")


def _unknown(what: str) -> SideError:
    return OutcomeUnknown(
        f"An import at Dotdigital {what}: it may or may not have been applied.",
        side=Side.DOTDIGITAL, operation=_OPERATION, hint="A read back settles it once it has ended.",
    )  # fmt: skip


def _too_many() -> SideError:
    return Throttled(
        "Dotdigital accepts no further import: too many are active in the account.",
        side=Side.DOTDIGITAL, operation=_OPERATION, code=TOO_MANY_IMPORTS, hint="The next run tries again.",
    )  # fmt: skip


_ENDS: dict[str, Callable[[], SideError] | None] = {
    "finished": None,
    "rejectedbywatchdog": _rejected,
    "exceedsallowedcontactlimit": _full,
    "failed": _failed,
}
"""How an import ends; any other status is waited for."""


def _put(answers: dict[int, Answer], parts: Sequence[Sequence[ImportChange]], error: SideError) -> None:
    for part in parts:
        answers.update(dict.fromkeys((change.contact_id for change in part), error))


@dataclass(frozen=True, slots=True)
class ImportJob:
    """An import. `raises`: it opts people in; `id` None: whether it was accepted is not known."""

    number: int
    begun_at: datetime
    raises: bool
    id: str | None = None

    def lasts_until(self) -> datetime:
        """When it stops being waited for. Repeating a withdrawal does no harm; an opt-in that is applied late
        could undo one, so it is waited for longer."""
        return self.begun_at + (_LASTS if self.id else _LASTS_UNNAMED)[self.raises]


class InMemoryKeyValue:
    """Keeps values as long as the process lasts."""

    def __init__(self) -> None:
        self._facts: dict[str, str] = {}

    def get(self, key: str) -> str | None:
        return self._facts.get(key)

    def set(self, key: str, value: str) -> None:
        self._facts[key] = value


class JobStore:
    """Thread-safe within one process, which is the only one that writes."""

    def __init__(self, memory: KeyValue, clock: Callable[[], datetime]) -> None:
        self._memory, self._clock = memory, clock
        self._lock = Lock()

    def begin(self, *, raises: bool) -> ImportJob:
        """Note an import that is about to be sent."""
        with self._lock:
            jobs = self._read()
            number = max((job.number for job in jobs), default=0) + 1
            job = ImportJob(number, self._clock(), raises)
            self._write([*jobs, job])
        return job

    def named(self, job: ImportJob, import_id: str) -> ImportJob:
        """It was accepted under this id."""
        known = replace(job, id=import_id)
        with self._lock:
            self._write([known if one.number == job.number else one for one in self._read()])
        return known

    def ended(self, job: ImportJob) -> None:
        """It has ended, or was never accepted."""
        with self._lock:
            self._write([one for one in self._read() if one.number != job.number])

    def open(self) -> list[ImportJob]:
        """Imports that may still be running. Those that are no longer waited for are dropped."""
        with self._lock:
            jobs = self._read()
            now = self._clock()
            waiting = [job for job in jobs if job.lasts_until() > now]
            if len(waiting) < len(jobs):
                self._write(waiting)
        return waiting

    def _read(self) -> list[ImportJob]:
        kept = json.loads(self._memory.get(KEY) or "[]")
        return [
            ImportJob(row["number"], datetime.fromisoformat(row["begun_at"]), row["raises"], row["id"])
            for row in kept
        ]

    def _write(self, jobs: list[ImportJob]) -> None:
        rows = [
            {"number": job.number, "begun_at": job.begun_at.isoformat(), "raises": job.raises, "id": job.id}
            for job in jobs
        ]
        self._memory.set(KEY, json.dumps(rows))
