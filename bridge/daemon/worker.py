"""The one thread that runs rounds, one at a time, until there is nothing more to take."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from bridge.core.errors import BridgeError, LeaseHeld
from bridge.daemon.health import RunStats
from bridge.daemon.heartbeat import Heartbeat
from bridge.daemon.job_queue import Job, JobQueue
from bridge.daemon.runner import Runner
from bridge.daemon.sweep_schedule import SweepSchedule
from bridge.engine.report import Report
from bridge.engine.run import RunOptions

_log = logging.getLogger(__name__)


class Worker:
    """Runs what the agenda gives. What goes wrong in a round ends that round, and only a lost lease ends the
    worker: then `error` is it. `ended` is called from its thread when it ends, for whatever reason."""

    def __init__(
        self,
        *,
        agenda: JobQueue,
        work: Runner,
        pulse: Heartbeat,
        tallies: RunStats,
        sweeps: SweepSchedule,
        heartbeat: Callable[[], None],
        ended: Callable[[], None],
    ) -> None:
        self._agenda, self._work, self._pulse = agenda, work, pulse
        self._tallies, self._sweeps = tallies, sweeps
        self._heartbeat, self._ended = heartbeat, ended
        self._thread = threading.Thread(target=self._live, name="rounds", daemon=True)
        self.error: BaseException | None = None

    def start(self) -> None:
        """Begin to take."""
        self._thread.start()

    def join(self, timeout: float | None = None) -> bool:
        """Wait until it has ended, `timeout` seconds at most. Returns whether it has."""
        if self._thread.ident is not None:
            self._thread.join(timeout)
        return not self._thread.is_alive()

    def _live(self) -> None:
        try:
            while (due := self._agenda.take()) is not None:
                self._round(due)
        except BaseException as error:  # noqa: BLE001 - kept: the daemon ends with it
            self.error = error
            if not isinstance(error, LeaseHeld):
                _log.exception("the worker ended")
        finally:
            self._ended()

    def _round(self, due: Job) -> None:
        try:
            self._carry_out(due)
        except LeaseHeld:
            raise
        except BridgeError as error:
            self._tallies.refused(str(error))
            _log.warning("round not carried out", extra={"error": type(error).__name__, "why": str(error)})
        except Exception as error:  # noqa: BLE001 - counted, told with its traceback; the next round goes on
            self._tallies.failed(type(error).__name__)
            _log.exception("round failed", extra={"in_a_row": self._tallies.in_a_row})
        finally:
            self._pulse.rest()

    def _carry_out(self, due: Job) -> None:
        full = due is Job.SWEEP or self._sweeps.owed()
        if full:
            self._sweeps.begun()
        self._pulse.beat("reading everybody" if full else "reading the feeds")
        orders = RunOptions(full=full, polling=not full)
        report = self._work.run(orders, progress=self._progress, heartbeat=self._heartbeat)
        self._told(report)
        if report.swept and not report.errors:
            self._sweeps.done()

    def _progress(self, step: str, done: int, total: int | None = None) -> None:  # noqa: ARG002
        self._pulse.beat(step)

    def _told(self, report: Report) -> None:
        """Count and log what a round did."""
        self._tallies.done(report)
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
