"""The thread that runs the engine, one run at a time."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Protocol

from bridge.app import App
from bridge.core.errors import BridgeError, LeaseHeld
from bridge.daemon.health import RunStats
from bridge.daemon.liveness import Heartbeat
from bridge.daemon.scheduler import Job, JobQueue, SweepSchedule
from bridge.engine.context import Progress, Services
from bridge.engine.report import Report
from bridge.engine.run import Run, RunOptions


class Runner(Protocol):
    """One round after the other."""

    @property
    def feeds(self) -> Mapping[str, timedelta]:
        """All feeds that must be fresh, which one that only hints need not be, and how long it may take until
        the turn of each comes again; empty until the sides were first built."""
        ...

    def prepare(self) -> None:
        """Find out before the daemon starts what no waiting will mend. Raises ConfigError."""
        ...

    def run(self, options: RunOptions, *, progress: Progress, heartbeat: Callable[[], None]) -> Report:
        """Carry out one round. Raises LeaseHeld when the right to write was lost."""
        ...


class EngineRunner:
    """The engine's rounds."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._services: Services | None = None

    @property
    def feeds(self) -> Mapping[str, timedelta]:
        services = self._services
        if services is None:
            return {}
        return {
            feed: reader.rotation_period(feed, services.tuning.poll)
            for reader in services.readers.values()
            for feed in reader.feeds
            if reader.topics_of(feed)
        }

    def prepare(self) -> None:
        """Settings, mapping and state DB. Neither side is called: one that is down must not keep the daemon
        from starting."""
        app = self._app
        app.settings.require_mypreferences()
        app.settings.require_dotdigital()
        app.require_confirmed()  # the mapping is read now, so that its problems are told now
        app.mypreferences  # noqa: B018 - built now, for the same reason
        if (
            app.settings.dotdigital.base_url is not None
        ):  # else Dotdigital is asked for it, by the first round
            app.dotdigital  # noqa: B018
        app.store  # noqa: B018

    def run(self, options: RunOptions, *, progress: Progress, heartbeat: Callable[[], None]) -> Report:
        self._services = services = self._app.services(progress=progress, heartbeat=heartbeat)
        return Run(services, self._app.writers()).run(options)


_log = logging.getLogger(__name__)


class Worker:
    """Runs what the agenda gives. What goes wrong in a round ends that round, and only a lost lease ends the
    worker: then `error` is it. `ended` is called from its thread when it ends, for whatever reason."""

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
    ) -> None:
        self._queue, self._runner, self._heartbeat = queue, runner, heartbeat
        self._stats, self._sweep_schedule = stats, sweep_schedule
        self._beat, self._ended = beat, ended
        self._thread = threading.Thread(target=self._serve, name="rounds", daemon=True)
        self.error: BaseException | None = None

    def start(self) -> None:
        """Begin to take."""
        self._thread.start()

    def join(self, timeout: float | None = None) -> bool:
        """Wait until it has ended, `timeout` seconds at most. Returns whether it has."""
        if self._thread.ident is not None:
            self._thread.join(timeout)
        return not self._thread.is_alive()

    def _serve(self) -> None:
        try:
            while (due := self._queue.take()) is not None:
                self._run_job(due)
        except BaseException as error:  # noqa: BLE001 - kept: the daemon ends with it
            self.error = error
            if not isinstance(error, LeaseHeld):
                _log.exception("the worker ended")
        finally:
            self._ended()

    def _run_job(self, due: Job) -> None:
        try:
            self._run_engine(due)
        except LeaseHeld:
            raise
        except BridgeError as error:
            self._stats.refused(str(error))
            _log.warning("round not carried out", extra={"error": type(error).__name__, "why": str(error)})
        except Exception as error:  # noqa: BLE001 - counted, told with its traceback; the next round goes on
            self._stats.failed(type(error).__name__)
            _log.exception("round failed", extra={"in_a_row": self._stats.in_a_row})
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
        """Count and log what a round did."""
        self._stats.done(report)
        for error in report.errors:
            _log.warning(
                "side in trouble",
                extra={
                    "side": str(error.side),
                    "operation": error.operation,
                    "status": error.status,
                    "why": str(error),
                },
            )
        _log.info("round ended", extra=report.shown())
