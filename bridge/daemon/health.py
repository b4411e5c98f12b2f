"""The daemon's health: statistics of its runs, and the answers to health checks."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from bridge.core.errors import BridgeError
from bridge.core.store_port import StorePort
from bridge.core.sync_state import Condition, SyncProblem, exit_code, in_sync, is_ready, of_run, ordered
from bridge.core.watermark import allowed_lag
from bridge.daemon.liveness import Heartbeat
from bridge.engine.report import Report
from bridge.engine.sync_facts import (
    Schedule,
    found_by_error,
    found_by_last_runs,
    found_in_feeds,
    found_in_state,
    overdue_by,
)
from bridge.web.server import HttpAnswer

Clock = Callable[[], datetime]
PATIENCE = 2.0  # seconds that a health check waits for the state DB


class RunStats:
    """Results of the runs so far. Thread-safe."""

    def __init__(self, clock: Clock, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._clock, self._monotonic = clock, monotonic
        self._ended_at = monotonic()  # when the last run ended; the start before the first
        self._lock = threading.Lock()
        self._done = self._troubled = self._failed = self._in_a_row = 0
        self._last: dict[str, Any] | None = None
        self._found: list[SyncProblem] = []

    def done(self, report: Report) -> None:
        """A run finished; a side may have failed in it."""
        with self._lock:
            self._done += 1
            self._troubled += bool(report.errors)
            self._in_a_row = 0
            self._found = of_run(report.problems)
            self._last = {
                **self._ended("trouble" if report.errors else "done"),
                "run": report.run,
                "kind": report.kind.value,
                "in_sync": report.in_sync,
                "errors": [str(error) for error in report.errors],
                "brakes": list(report.brakes),
                "unapproved": list(report.unapproved),
            }

    def refused(self, error: BridgeError) -> None:
        """A run could not be carried out, for a known reason."""
        with self._lock:
            self._troubled += 1
            self._in_a_row = 0
            self._found = found_by_error(error)
            self._last = {**self._ended("trouble"), "errors": [str(error)]}

    def failed(self, kind: str) -> None:
        """A run ended with an unexpected error."""
        with self._lock:
            self._failed += 1
            self._in_a_row += 1
            self._found = [SyncProblem(Condition.RUN_FAILED, self._in_a_row, kind)]
            self._last = {**self._ended("failed"), "errors": [kind]}

    def _ended(self, how: str) -> dict[str, Any]:
        self._ended_at = self._monotonic()
        return {"ended": how, "at": self._clock().isoformat().replace("+00:00", "Z")}

    @property
    def idle(self) -> timedelta:
        """How long ago the last run ended, or the daemon started, whatever the machine's clock says."""
        return timedelta(seconds=self._monotonic() - self._ended_at)

    @property
    def in_a_row(self) -> int:
        """Consecutive runs that ended with an unexpected error."""
        with self._lock:
            return self._in_a_row

    @property
    def last(self) -> Mapping[str, Any] | None:
        """The result of the last run."""
        with self._lock:
            return self._last

    @property
    def found(self) -> list[SyncProblem]:
        """What the last run of this process found, as far as only a run can know it."""
        with self._lock:
            return list(self._found)

    def counts(self) -> dict[str, int]:
        """Runs that finished, those of them in which a side failed, and those that ended with an unexpected
        error."""
        with self._lock:
            return {"done": self._done, "troubled": self._troubled, "failed": self._failed}


@dataclass(frozen=True, slots=True)
class _Read:
    """What the state DB tells."""

    watermarks: Mapping[str, datetime]
    problems: Sequence[SyncProblem]
    runs: Sequence[SyncProblem]  # what the last runs found, of whatever process


class StateProbe:
    """Reads the state DB for health checks, in a thread of its own: a DB that does not answer keeps that one
    waiting, and no health check longer than `patience` seconds."""

    def __init__(self, state: StorePort, patience: float = PATIENCE) -> None:
        self._state, self._patience = state, patience
        self._lock = threading.Lock()
        self._going_on: Future[_Read] | None = None

    def read(self) -> _Read:
        """Raises TimeoutError where the DB does not answer in time, and whatever its reading raises."""
        with self._lock:
            reading = self._going_on
            if reading is None or reading.done():
                reading = self._going_on = Future()
                threading.Thread(target=self._fill, args=(reading,), name="state-probe", daemon=True).start()
        return reading.result(self._patience)

    def _fill(self, reading: Future[_Read]) -> None:
        try:
            state = self._state
            state.require_writable()
            runs = of_run(found_by_last_runs(state))
            reading.set_result(_Read(state.feeds.watermarks(), found_in_state(state), runs))
        except BaseException as error:  # noqa: BLE001 - handed to the health check that waits for it
            reading.set_exception(error)


class Health:
    """Answers health checks (`bridge.web.server.HealthSource`). A run starts every `poll`; `feeds` gives the
    longest interval between two reads of each feed."""

    def __init__(
        self,
        *,
        heartbeat: Heartbeat,
        stats: RunStats,
        probe: StateProbe,
        feeds: Callable[[], Mapping[str, timedelta]],
        schedule: Callable[[], Mapping[str, int]],
        clock: Clock,
        poll: timedelta,
        overlap: timedelta,
        webhooks: Callable[[], Mapping[str, int] | None] = lambda: None,
    ) -> None:
        self._heartbeat, self._stats, self._probe = heartbeat, stats, probe
        self._feeds, self._schedule, self._clock = feeds, schedule, clock
        self._poll, self._overlap = poll, overlap
        self._fresh = allowed_lag(poll, overlap=overlap, turn=poll)
        self._hooks = webhooks
        self._stopping = threading.Event()

    def stop(self) -> None:
        """No more runs will start."""
        self._stopping.set()

    def alive(self) -> HttpAnswer:
        """Asks nothing of the state DB."""
        hung = self._heartbeat.hung()
        state = self._heartbeat.now()
        body: dict[str, Any] = {
            "alive": hung is None,
            "stopping": self._stopping.is_set(),
            "round": None
            if state is None
            else {"step": state.step, "silent_seconds": round(state.silent, 1)},
            "rounds": self._stats.counts(),
            "schedule": dict(self._schedule()),
            "conditions": [one.condition.value for one in ordered([*self._of_process(), *self._stats.found])],
        }
        if (webhooks := self._hooks()) is not None:
            body["hooks"] = dict(webhooks)
        return HttpAnswer(hung is None, body)

    def ready(self) -> HttpAnswer:
        """503 with reasons while new choices are not synced soon."""
        schedule = Schedule(self._poll, self._overlap, self._feeds())
        marks, told = self._told(schedule)
        problems = ordered([*self._of_process(), *self._stats.found, *told])
        last, now = self._stats.last, self._clock()
        body = {
            "ready": is_ready(problems),
            "reasons": [problem.text for problem in problems if not problem.row.ready],
            "in_sync": in_sync(problems),
            "exit_code": int(exit_code(problems)),
            "conditions": [problem.shown() for problem in problems],
            "feeds": {feed: _age(marks.get(feed), now) for feed in schedule.turns},
            "overdue_seconds": overdue_by(schedule, marks, now),
            "fresh_seconds": self._fresh.total_seconds(),
            "last_round": None if last is None else dict(last),
        }
        return HttpAnswer(is_ready(problems), body)

    def _of_process(self) -> list[SyncProblem]:
        """What the daemon knows about itself."""
        found = []
        if self._stopping.is_set():
            found.append(SyncProblem(Condition.STOPPING))
        if (hung := self._heartbeat.hung()) is not None:
            found.append(SyncProblem(Condition.HUNG, int(hung.silent), hung.step))
        if self._heartbeat.now() is None and (idle := self._stats.idle) > self._fresh:
            found.append(SyncProblem(Condition.IDLE, int(idle.total_seconds())))
        return found

    def _told(self, schedule: Schedule) -> tuple[Mapping[str, datetime], list[SyncProblem]]:
        """The watermarks, and what the state DB tells."""
        try:
            read = self._probe.read()
        except Exception as error:  # noqa: BLE001 - any failure of the state DB is reported, not raised
            return {}, [SyncProblem(Condition.STATE_DB_DOWN, names=type(error).__name__)]
        if self._stats.last is None:  # no run of this process has ended
            read = replace(read, problems=[*read.problems, *read.runs])
        if not schedule.turns:
            return read.watermarks, [SyncProblem(Condition.NEVER_RAN), *read.problems]
        late = found_in_feeds(schedule, read.watermarks, self._clock())
        return read.watermarks, [*late, *read.problems]


def _age(mark: datetime | None, now: datetime) -> float | None:
    return None if mark is None else round(max(0.0, (now - mark).total_seconds()), 1)
