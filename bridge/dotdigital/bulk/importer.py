"""Running imports: sent a few at a time, asked after until they end, their reports read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from bridge.core.errors import NotFound, OutcomeUnknown, Refused, SideError, Throttled, Verdict
from bridge.core.model import Side
from bridge.core.ports import WriteResponse
from bridge.dotdigital.bulk.import_changes import ImportChange, bundles
from bridge.dotdigital.bulk.jobs import ImportJob, JobStore
from bridge.dotdigital.client.codes import import_failure
from bridge.dotdigital.client.v3 import ClientV3
from bridge.dotdigital.client.wire import ImportReport

Answer = WriteResponse | SideError
Heartbeat = Callable[[], None]

AT_ONCE = 10  # active imports of ours; the account has 25, which others use too
PATIENCE = timedelta(minutes=15)  # for all imports of a job together; what has not ended then is in doubt
PATIENCE_FOR_ROOM = timedelta(minutes=2)  # for one of strangers' imports to end, where none of ours is active
PAUSE = 5.0  # seconds before the first round of questions
_LONGER = (1, 2, 4, 8, 12)  # so many times as long before the next ones
_BEAT = 5.0  # seconds without a heartbeat at most
_TOO_LARGE = 413
_OPERATION = "importContacts"


@dataclass(slots=True)
class _Active:
    job: ImportJob
    changes: Sequence[ImportChange]


class ImportRunner:
    """`sleep` takes seconds; `pause` is as many before the first questions for an import's end."""

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
        proves. Never raises for what befalls an import."""
        began = self._clock()
        answers: dict[int, Answer] = {}
        waiting = list(bundles(changes))
        active: list[_Active] = []
        turn = 0
        while waiting or active:
            self._fill(waiting, active, answers, raises=raises)
            patience = PATIENCE if active else PATIENCE_FOR_ROOM
            if not (waiting or active) or self._clock() - began >= patience:
                break
            self._wait(self._pause * _LONGER[min(turn, len(_LONGER) - 1)], heartbeat)
            turn += 1
            active = [one for one in active if not self._ended(one, answers)]
        _all(answers, waiting, _too_many())
        _all(answers, [one.changes for one in active], _unknown("did not end in time"))
        return answers

    # sending

    def _fill(
        self,
        waiting: list[list[ImportChange]],
        active: list[_Active],
        answers: dict[int, Answer],
        *,
        raises: bool,
    ) -> None:
        """Send what may be sent now. What the account has no room for stays in `waiting`."""
        while waiting and len(active) < AT_ONCE:
            job = self._jobs.begin(raises=raises)
            try:
                import_id = self._v3.import_contacts(waiting[0])
            except Throttled as error:
                self._jobs.ended(job)
                if error.code != "contacts:tooManyActiveImports":
                    _all(answers, waiting, error)
                    waiting.clear()
                return
            except OutcomeUnknown as error:  # it stays noted: it may be at work
                _all(answers, [waiting.pop(0)], error)
                continue
            except SideError as error:
                self._jobs.ended(job)
                bundle = waiting.pop(0)
                if error.status == _TOO_LARGE and len(bundle) > 1:
                    waiting[:0] = [bundle[: len(bundle) // 2], bundle[len(bundle) // 2 :]]
                else:
                    _all(answers, [bundle], error)
                continue
            active.append(_Active(self._jobs.named(job, import_id), waiting.pop(0)))

    # asking

    def _wait(self, seconds: float, heartbeat: Heartbeat) -> None:
        while seconds > 0:
            self._sleep(min(seconds, _BEAT))
            seconds -= _BEAT
            heartbeat()

    def _ended(self, active: _Active, answers: dict[int, Answer]) -> bool:
        """Ask after one import; its report once it has ended."""
        try:
            report = self._v3.get_import_status(active.job.id or "")
        except SideError as error:
            if error.verdict is Verdict.RETRY:
                return False
            if isinstance(error, NotFound):
                self._jobs.ended(active.job)
            _all(answers, [active.changes], _unknown("cannot be asked after"))
            return True
        if not _is_over(report):
            return False
        self._jobs.ended(active.job)
        answers |= _read(report, active.changes)
        return True


def has_running_imports(v3: ClientV3 | None, jobs: JobStore) -> bool:
    """Whether an import of ours may still be at work, by asking after each that is not known to have ended.
    Costs no call where there is none."""
    return sum(_may_work(v3, jobs, job) for job in jobs.standing()) > 0


def _may_work(v3: ClientV3 | None, jobs: JobStore, job: ImportJob) -> bool:
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
    """A state that is newer than this program is no end: it is waited for."""
    return report.status.casefold() in _ENDS


def _read(report: ImportReport, changes: Sequence[ImportChange]) -> dict[int, Answer]:
    if (refused := _ENDS[report.status.casefold()]) is not None:
        return dict.fromkeys((change.contact_id for change in changes), refused())
    found: dict[int, Answer] = {change.contact_id: WriteResponse.ACCEPTED for change in changes}
    outs = {change.contact_id for change in changes if change.unsubscribes}
    for row in report.failures or ():
        for failure in row.failures or ():
            number = row.contact_id or 0
            if isinstance(found.get(number), WriteResponse):  # an error is not made less by what follows
                found[number] = _failure(failure.failure_code, number in outs)
    return found


def _failure(code: str | None, out: bool) -> Answer:
    """What one contact's failure means. Where only records were left out the choice was written."""
    meaning = import_failure(code or "")
    if meaning.partly:
        return WriteResponse.UNRECORDED
    kind = (meaning.for_opt_out or meaning.kind) if out else meaning.kind
    return kind(
        f"Dotdigital's import left somebody out ({code or 'without a code'}).",
        side=Side.DOTDIGITAL, operation=_OPERATION, code=code, hint=meaning.hint,
    )  # fmt: skip


def _rejected() -> SideError:
    return Refused(
        "Dotdigital's watchdog rejected a whole import.",
        side=Side.DOTDIGITAL, operation=_OPERATION, code="RejectedByWatchdog",
        hint="Dotdigital's support tells why; repeating it will not help.",
    )  # fmt: skip


def _full() -> SideError:
    return Refused(
        "Dotdigital refused an import: the account's allowance of contacts is used up.",
        side=Side.DOTDIGITAL, operation=_OPERATION, code="ExceedsAllowedContactLimit",
        hint="Enlarge the account's contact allowance or remove contacts there.",
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
        "Dotdigital takes no further import: too many are active in the account.",
        side=Side.DOTDIGITAL, operation=_OPERATION, code="contacts:tooManyActiveImports",
        hint="It is tried again in the next round.",
    )  # fmt: skip


_ENDS: dict[str, Callable[[], SideError] | None] = {
    "finished": None,
    "rejectedbywatchdog": _rejected,
    "exceedsallowedcontactlimit": _full,
    "failed": _failed,
}
"""How an import ends; every other state is waited for."""


def _all(answers: dict[int, Answer], parts: Sequence[Sequence[ImportChange]], error: SideError) -> None:
    for part in parts:
        answers.update(dict.fromkeys((change.contact_id for change in part), error))
