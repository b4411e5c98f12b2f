"""The thread that runs the engine, one run at a time."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Protocol

from bridge.app import App
from bridge.core.errors import BridgeError, LeaseHeld, RunStopped, StateDbReplaced
from bridge.daemon.health import RunStats
from bridge.daemon.liveness import Heartbeat
from bridge.daemon.scheduler import Job, JobQueue, SweepSchedule
from bridge.engine.context import Progress, Services
from bridge.engine.report import Report
from bridge.engine.run import RunOptions, run_once


class Runner(Protocol):
    """Runs the sync, one run after the other."""

    @property
    def feeds(self) -> Mapping[str, timedelta]:
        """The feeds that must be fresh, each with the longest interval between two reads of it. Without feeds
        that only give hints. Empty until the sides were first built."""
        ...

    def prepare(self) -> None:
        """Raise what waiting cannot fix before the daemon starts. Raises ConfigError."""
        ...

    def run(self, options: RunOptions, *, progress: Progress, heartbeat: Callable[[], None]) -> Report:
        """Do one run. Raises LeaseHeld if the lease was lost."""
        ...


class EngineRunner:
    """Runs the engine."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._services: Services | None = None

    @property
    def feeds(self) -> Mapping[str, timedelta]:
        services = self._services
        if services is None:
            return {}
        return {
            feed.name: feed.period
            for reader in services.readers.values()
            for feed in reader.feeds(services.tuning.poll)
            if feed.topics
        }

    def prepare(self) -> None:
        """Check settings, mapping and state DB. Calls neither side: an unavailable side must not keep the
        daemon from starting."""
        app = self._app
        app.settings.require_mypreferences()
        app.settings.require_dotdigital()
        app.require_confirmed()  # reads the mapping, so that its problems are reported now
        app.mypreferences.client  # noqa: B018 - built now, for the same reason
        if app.settings.dotdigital.base_url is not None:  # else the first run asks Dotdigital for it
            app.dotdigital.v2  # noqa: B018
        app.store  # noqa: B018

    def run(self, options: RunOptions, *, progress: Progress, heartbeat: Callable[[], None]) -> Report:
        self._services = services = self._app.services(progress=progress, heartbeat=heartbeat)
        return run_once(services, self._app.writers(), options)


_log = logging.getLogger(__name__)


class Worker:
    """Takes jobs from the queue and runs them. An error ends only its run; a lost lease, or a state DB whose
    file is another one, ends the worker and is kept as `error`. `ended` is called from its thread when it
    ends, for whatever reason; `give_way` when another process waits for the lease."""

    def __init__(
        self,
        *,
        queue: JobQueue,
        runner: Runner,
        heartbeat: Heartbeat,
        stats: RunStats,
        sweep_schedule: SweepSchedule,
        beat: Callable[[], None],
        ended: Callable[[], None],
        give_way: Callable[[], None] = lambda: None,
    ) -> None:
        self._queue, self._runner, self._heartbeat = queue, runner, heartbeat
        self._stats, self._sweep_schedule = stats, sweep_schedule
        self._beat, self._ended, self._give_way = beat, ended, give_way
        self._thread = threading.Thread(target=self._serve, name="runs", daemon=True)
        self.error: BaseException | None = None

    def start(self) -> None:
        """Start taking jobs."""
        self._thread.start()

    def join(self, timeout: float | None = None) -> bool:
        """Wait until the worker has ended, at most `timeout` seconds. Returns whether it has."""
        if self._thread.ident is not None:
            self._thread.join(timeout)
        return not self._thread.is_alive()

    def _serve(self) -> None:
        try:
            while (due := self._queue.take()) is not None:
                if due is Job.GIVE_WAY:
                    self._give_way()
                else:
                    self._run_job(due)
        except BaseException as error:  # noqa: BLE001 - kept: the daemon ends with it
            self.error = error
            if not isinstance(error, LeaseHeld | StateDbReplaced):
                _log.exception("the worker ended")
        finally:
            self._ended()

    def _run_job(self, due: Job) -> None:
        try:
            self._run_engine(due)
        except (LeaseHeld, StateDbReplaced):
            raise
        except RunStopped:
            _log.info("run stopped; the next one goes on where it ended")
        except BridgeError as error:
            self._stats.refused(error)
            _log.warning("run refused", extra={"error": type(error).__name__, "why": str(error)})
        except Exception as error:  # noqa: BLE001 - counted and logged with its traceback; the next run follows
            self._stats.failed(type(error).__name__)
            _log.exception("run failed", extra={"in_a_row": self._stats.in_a_row})
        finally:
            self._heartbeat.rest()

    def _run_engine(self, due: Job) -> None:
        full = due is Job.SWEEP or self._sweep_schedule.is_overdue()
        if full:
            self._sweep_schedule.started()
        self._heartbeat.beat("reading everybody" if full else "reading the feeds")
        options = RunOptions(full=full, polling=not full)
        report = self._runner.run(options, progress=self._progress, heartbeat=self._beat)
        self._report(report)
        if report.swept and not report.errors:
            self._sweep_schedule.done()

    def _progress(self, step: str, done: int, total: int | None = None) -> None:  # noqa: ARG002
        self._heartbeat.beat(step)

    def _report(self, report: Report) -> None:
        """Count and log the result of a run."""
        self._stats.done(report)
        for error in report.errors:
            _log.warning(
                "side failed",
                extra={
                    "side": str(error.side),
                    "operation": error.operation,
                    "status": error.status,
                    "why": str(error),
                },
            )
        level = logging.WARNING if report.errors or report.brakes or report.written.failed else logging.INFO
        _log.log(level, "run finished", extra=report.shown())
