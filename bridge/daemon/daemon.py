"""The daemon: builds its parts, waits for a reason to stop, and shuts down in order."""

from __future__ import annotations

import logging
import os
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from datetime import datetime, timedelta
from queue import Empty, SimpleQueue

from bridge.app import App
from bridge.core.model import Side
from bridge.daemon.health import Health, RunStats
from bridge.daemon.liveness import Heartbeat, LeaseRenewer, Renewable, Watchdog
from bridge.daemon.process import SystemdNotifier, caught
from bridge.daemon.scheduler import Job, JobQueue, Scheduler, SweepSchedule
from bridge.daemon.worker import EngineRunner, Runner, Worker
from bridge.settings import Settings, Web
from bridge.store import WebhookInbox
from bridge.web.app import make_app
from bridge.web.server import WebServer
from bridge.web.webhooks import WebhookConfig, WebhookReceiver


class WebhookServer:
    """A receiver and the box behind it; without a secret, neither. `kick` makes a round due soon. The state
    DB must have been opened before."""

    def __init__(self, settings: Settings, clock: Callable[[], datetime], kick: Callable[[], None]) -> None:
        self.receiver: WebhookReceiver | None = None
        self._box: WebhookInbox | None = None
        gate = _gate(settings.web)
        if gate is not None:
            self._box = WebhookInbox(
                settings.database_url, clock, side=Side.MYPREFERENCES, depth=settings.web.hook_depth
            )
            self.receiver = WebhookReceiver(gate, self._box, kick)

    def counts(self) -> dict[str, int] | None:
        """Deliveries by what became of them; None while the receiver is closed."""
        return None if self.receiver is None else self.receiver.counts()

    def close(self) -> None:
        """Close the box. Nothing may be delivered any more."""
        if self._box is not None:
            self._box.close()


def _gate(web: Web) -> WebhookConfig | None:
    if web.hook_secret is None:
        return None
    key = None if web.hook_signature_key is None else web.hook_signature_key.get_secret_value()
    return WebhookConfig(
        secret=web.hook_secret.get_secret_value(),
        networks=web.networks,
        address_header=web.hook_address_header,
        signature_key=key,
        signature_header=web.hook_signature_header,
        signature_hash=web.hook_signature_hash,
        answer=web.hook_answer if web.hook_handshake == "static" else None,
        rate=web.hook_rate,
    )


NO_PROGRESS = timedelta(minutes=15)
LOST_GRACE = 150.0  # seconds for a round to end that lost its lease: more than one call may take
DONE, FAILED = 0, 1
WEB_ENDED = "the web server ended"

_log = logging.getLogger(__name__)


def to_stdout(line: str) -> None:
    """Tell whoever started the daemon."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


class Daemon:
    """`bridge run`.

    `limit`: how long a round may make no progress before the daemon counts as hung. `announce` is told where
    it listens once it is up. `end_hard` ends the process at once; `minding` is the seconds between looks at
    the round's pulse and the lease.
    """

    def __init__(
        self,
        app: App,
        *,
        work: Runner | None = None,
        limit: timedelta = NO_PROGRESS,
        announce: Callable[[str], None] = to_stdout,
        end_hard: Callable[[int], None] = os._exit,
        environ: Mapping[str, str] = os.environ,
        monotonic: Callable[[], float] = time.monotonic,
        minding: float = 5.0,
    ) -> None:
        self._app, self._settings = app, app.settings
        self._work: Runner = work or EngineRunner(app)
        self._announce, self._end_hard = announce, end_hard
        self._minding = minding
        self._why: SimpleQueue[str] = SimpleQueue()  # put to from signal handlers, which must take no lock
        self._notifier = SystemdNotifier(environ)
        self._pulse = Heartbeat(limit, monotonic)
        self._watch = Watchdog(self._pulse, self._notifier, every=minding)
        self._agenda = JobQueue()
        every = timedelta(seconds=self._settings.poll_seconds)
        pause = timedelta(seconds=self._settings.web.hook_pause)
        self._kicker = Scheduler(self._agenda, every=every, sweep_at=self._settings.sweep_at, pause=pause)
        self._tallies = RunStats(app.options.clock)

    def stop(self, why: str = "asked to") -> None:
        """Finish the round in hand and end. May be called from any thread."""
        self._why.put(why)

    def run(self) -> int:
        """Run until stopped. Returns the exit code: 0, or 1 where it could not go on.

        Raises ConfigError, SchemaOutOfDate and LeaseHeld where it cannot begin.
        """
        with caught(self._why.put, self._end_hard):
            self._work.prepare()
            with self._app.lease() as lease:
                return self._live(lease)

    def _live(self, lease: Renewable) -> int:
        hooks = WebhookServer(self._settings, self._app.options.clock, self._kicker.soon)
        health = self._health(hooks)
        keeper = LeaseRenewer(
            lease=lease,
            pulse=self._pulse,
            lost=lambda: self._why.put("the lease was lost"),
            every=self._minding,
        )
        worker = self._worker(keeper)
        web = self._web(health, hooks)
        with (
            ExitStack() as parts
        ):  # left in the opposite order: first nothing new begins, last the lease goes
            parts.callback(hooks.close)
            parts.callback(keeper.stop)
            parts.callback(web.stop)
            parts.callback(self._finish, worker, keeper)
            parts.callback(self._agenda.close)
            parts.callback(self._kicker.stop)
            parts.callback(health.stop)
            self._start(web, keeper, worker)
            why = self._wait()
            self._notifier.stopping()
            _log.info("stopping", extra={"why": why})
        return self._code(worker, keeper, why)

    def _wait(self) -> str:
        """Until there is a reason to end."""
        while True:
            try:
                return self._why.get(timeout=self._watch.every)
            except Empty:
                self._watch.look()

    def _start(self, web: WebServer, keeper: LeaseRenewer, worker: Worker) -> None:
        web.start()
        keeper.start()
        self._agenda.ask(Job.POLL)  # the schedule's first poll is a whole pause away
        worker.start()
        self._kicker.start()
        every, sweep = self._settings.poll_seconds, self._settings.sweep_at
        rest = f"polling every {every} s, sweeping at {sweep:%H:%M} UTC; Ctrl-C stops it"
        _log.info("running", extra={"address": web.url, "poll_seconds": every})
        self._notifier.ready(rest)
        self._announce(f"bridge is running: {web.url}/ {rest}")

    def _finish(self, worker: Worker, keeper: LeaseRenewer) -> None:
        """Wait for the round in hand. One that lost its lease and does not end is ended with the process:
        without the lease it would go on unguarded."""
        while not worker.join(min(1.0, self._watch.every)):
            self._watch.look()
            if keeper.error is not None and not worker.join(LOST_GRACE):
                _log.error("the round in hand does not end; the process does")
                self._end_hard(FAILED)
                return

    def _code(self, worker: Worker, keeper: LeaseRenewer, why: str) -> int:
        error = keeper.error or worker.error
        if error is not None:
            _log.error("ended", extra={"why": str(error), "error": type(error).__name__})
            return FAILED
        if why == WEB_ENDED:
            return FAILED
        _log.info("ended")
        return DONE

    def _health(self, hooks: WebhookServer) -> Health:
        settings = self._settings
        every = timedelta(seconds=settings.poll_seconds)
        return Health(
            pulse=self._pulse,
            tallies=self._tallies,
            store=self._app.store,
            feeds=lambda: self._work.feeds,
            schedule=self._schedule,
            clock=self._app.options.clock,
            every=every,
            fresh=3 * every + timedelta(seconds=settings.overlap_seconds),
            hooks=hooks.counts,
        )

    def _schedule(self) -> dict[str, int]:
        agenda, kicker = self._agenda, self._kicker
        return {
            "missed": kicker.missed,
            "blocked": kicker.blocked,
            "overrun": agenda.overrun,
            "coalesced": agenda.coalesced,
        }

    def _worker(self, keeper: LeaseRenewer) -> Worker:
        return Worker(
            agenda=self._agenda,
            work=self._work,
            pulse=self._pulse,
            tallies=self._tallies,
            sweeps=SweepSchedule(self._app.store, self._app.options.clock),
            heartbeat=keeper.heartbeat,
            ended=lambda: self._why.put("the worker ended"),
        )

    def _web(self, health: Health, hooks: WebhookServer) -> WebServer:
        web = self._settings.web
        token = None if web.token is None else web.token.get_secret_value()
        return WebServer(
            make_app(health, token=token, receiver=hooks.receiver),
            host=web.host,
            port=web.port,
            ended=lambda: self._why.put(WEB_ENDED),
        )
