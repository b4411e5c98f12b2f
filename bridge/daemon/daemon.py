"""The daemon: builds its parts, waits for a reason to stop (a signal among them), and shuts down in order."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from datetime import datetime, timedelta
from queue import Empty, SimpleQueue
from types import FrameType

from bridge.app import App
from bridge.core.errors import BridgeError, ConfigError
from bridge.core.model import Side
from bridge.daemon.health import Health, RunStats, StateProbe
from bridge.daemon.liveness import Heartbeat, LeaseRenewer, Renewable, SystemdNotifier, Watchdog
from bridge.daemon.scheduler import Job, JobQueue, Scheduler, SweepSchedule
from bridge.daemon.state_access import KnownFeeds, ending_hanging_calls
from bridge.daemon.turns import LeaseTurns
from bridge.daemon.worker import EngineRunner, Runner, Worker
from bridge.settings import Settings, Web
from bridge.settings.exposure import exposed_files
from bridge.store import WebhookInbox
from bridge.web.server import WebServer, make_app
from bridge.web.webhooks import WebhookConfig, WebhookReceiver

_STOPPING = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class WebhookServer:
    """The webhook receiver and its inbox; without a secret, neither. `on_delivery` schedules a poll. The
    state DB must be open already."""

    def __init__(
        self, settings: Settings, clock: Callable[[], datetime], on_delivery: Callable[[], None]
    ) -> None:
        self.receiver: WebhookReceiver | None = None
        self._inbox: WebhookInbox | None = None
        config = _webhook_config(settings.web)
        if config is not None:
            self._inbox = WebhookInbox(
                settings.database_url, clock, side=Side.MYPREFERENCES, depth=settings.web.hook_depth
            )
            self.receiver = WebhookReceiver(config, self._inbox, on_delivery)

    def counts(self) -> dict[str, int] | None:
        """Deliveries by result; None while the receiver is closed."""
        return None if self.receiver is None else self.receiver.counts()

    def close(self) -> None:
        """Close the inbox. Nothing may be delivered after this."""
        if self._inbox is not None:
            self._inbox.close()


def _webhook_config(web: Web) -> WebhookConfig | None:
    if web.hook_secret is None:
        return None
    key = None if web.hook_signature_key is None else web.hook_signature_key.get_secret_value()
    return WebhookConfig(
        secret=web.hook_secret.get_secret_value(),
        networks=web.networks,
        address_header=web.hook_address_header,
        proxies=web.proxies,
        signature_key=key,
        signature_header=web.hook_signature_header,
        signature_hash=web.hook_signature_hash,
        answer=web.hook_answer if web.hook_handshake == "static" else None,
        rate=web.hook_rate,
    )


NO_PROGRESS = timedelta(minutes=15)
LOST_GRACE = 150.0  # seconds a run without its lease may take to end: longer than any single call
STOP_GRACE = 4.0  # seconds that a run may go on for once the daemon is to end; then its reads are aborted
DONE, FAILED = 0, 1
WEB_ENDED = "the web server ended"
HANG_UP = signal.SIGHUP.name

_log = logging.getLogger(__name__)


def to_stdout(line: str) -> None:
    """Print a line on stdout at once, if it is read."""
    with suppress(OSError, ValueError):
        sys.stdout.write(f"{line}\n")
        sys.stdout.flush()


class Daemon:
    """`bridge run`.

    `limit`: how long a run may make no progress before it counts as hung. `announce` receives the address
    once the daemon is up. `exit_now` ends the process at once. `check_every`: seconds between checks of the
    run's heartbeat and the lease. `reload` reads the settings again on SIGHUP; without it, SIGHUP stops.
    """

    def __init__(
        self,
        app: App,
        *,
        runner: Runner | None = None,
        limit: timedelta = NO_PROGRESS,
        announce: Callable[[str], None] = to_stdout,
        exit_now: Callable[[int], None] = os._exit,
        environ: Mapping[str, str] = os.environ,
        monotonic: Callable[[], float] = time.monotonic,
        check_every: float = 5.0,
        reload: Callable[[], Settings] | None = None,
        reasons: SimpleQueue[str] | None = None,
    ) -> None:
        self._app, self._settings = app, app.settings
        self._runner: Runner = runner or EngineRunner(app)
        self._announce, self._exit_now = announce, exit_now
        self._check_every = check_every
        # Signal handlers put to it, so it must take no lock. Given: the caller handles them.
        self._reasons: SimpleQueue[str] = reasons or SimpleQueue()
        self._handles_signals = reasons is None
        self._reload = reload
        self.next_settings: Settings | None = None  # with which to start again
        self._stopping = ExitStack()  # ends when nothing is left that could wait for the state DB
        self._notifier = SystemdNotifier(environ)
        self._heartbeat = Heartbeat(limit, monotonic)
        self._watchdog = Watchdog(self._heartbeat, self._notifier, every=check_every)
        self._queue = JobQueue()
        every = timedelta(seconds=self._settings.poll_seconds)
        pause = timedelta(seconds=self._settings.web.hook_pause)
        self._scheduler = Scheduler(self._queue, every=every, sweep_at=self._settings.sweep_at, pause=pause)
        self._stats = RunStats(app.options.clock, monotonic)

    def stop(self, reason: str = "requested") -> None:
        """Finish the current run and end. May be called from any thread."""
        self._reasons.put(reason)

    def run(self) -> int:
        """Run until stopped. Returns the exit code: 0, or 1 after a fatal error.

        Raises ConfigError, SchemaOutOfDate and LeaseHeld where it cannot start.
        """
        with ExitStack() as handled:
            if self._handles_signals:
                handled.enter_context(handling_signals(self._reasons.put, self._exit_now))
            self._runner.prepare()
            with self._stopping, self._app.lease() as lease:
                return self._serve(lease)

    def _serve(self, lease: Renewable) -> int:
        webhooks = WebhookServer(self._settings, self._app.options.clock, self._scheduler.poll_soon)
        health = self._health(webhooks)
        renewer = LeaseRenewer(
            lease=lease,
            heartbeat=self._heartbeat,
            lost=lambda: self._reasons.put("the lease was lost"),
            every=self._check_every,
            after=self._look_for_takers,
        )
        turns = LeaseTurns(self._app.store, lease, renewer, is_stopping=lambda: self._queue.closed)
        worker = self._worker(renewer, turns)
        web = self._web(health, webhooks)
        with (
            ExitStack() as parts
        ):  # closed in reverse order: first nothing new starts, last the lease is released
            parts.callback(webhooks.close)
            parts.callback(self._note_serving, None)
            parts.callback(renewer.stop)
            parts.callback(web.stop)
            parts.callback(self._finish, worker, renewer)
            parts.callback(self._queue.close)
            parts.callback(self._scheduler.stop)
            parts.callback(health.stop)
            self._note_serving(self._app.store.now())
            self._start(web, renewer, worker)
            reason = self._wait()
            self._notifier.stopping()
            _log.info("stopping", extra={"why": reason})
            self._stopping.enter_context(ending_hanging_calls(self._app.store.end_hanging_calls))
        return self._code(worker, renewer, reason)

    def _note_serving(self, since: datetime | None) -> None:
        """Note in the state DB since when a daemon is to keep it in sync. Where that fails at the end, feeds
        count as overdue later, as after a crash."""
        try:
            self._app.store.facts.serving_since = since
            if since is not None:
                self._app.store.facts.ledger_checked_at = None  # the first run verifies all of it
        except BridgeError as error:
            if since is not None:
                raise
            _log.warning("the stop could not be noted", extra={"why": str(error)})

    def _wait(self) -> str:
        """Wait for a reason to end."""
        while True:
            try:
                reason = self._reasons.get(timeout=self._watchdog.every)
                if reason != HANG_UP or self._reload is None or self._reads_settings(self._reload):
                    return reason
            except Empty:
                self._watchdog.check()
                if self._scheduler.check_clock():
                    _log.warning("the machine's clock was set back; polls are scheduled again")

    def _reads_settings(self, reload: Callable[[], Settings]) -> bool:
        """Whether new settings can be used. The old ones stay where they cannot."""
        try:
            self.next_settings = reload()
        except BridgeError as error:
            problems = list(error.problems) if isinstance(error, ConfigError) else []
            _log.error(
                "the new settings are not used; the old ones stay",
                extra={"why": error.what, "problems": problems},
            )
            return False
        return True

    def _start(self, web: WebServer, renewer: LeaseRenewer, worker: Worker) -> None:
        web.start()
        renewer.start()
        self._queue.ask(Job.POLL)  # the schedule's first poll is one interval away
        worker.start()
        self._scheduler.start()
        every, sweep = self._settings.poll_seconds, self._settings.sweep_at
        rest = f"polling every {every} s, sweeping at {sweep:%H:%M} UTC; stop with Ctrl-C"
        used = self._settings.display_rows()
        for problem in exposed_files(self._settings):
            _log.warning("a file is open to others", extra={"why": problem})
        files = {name: value for name, value, _ in used if name in ("BRIDGE_DATABASE_URL", "BRIDGE_MAPPING")}
        _log.info("running", extra={"address": web.url, "poll_seconds": every, **files})
        self._notifier.ready(rest)
        self._announce(f"bridge is running: {web.url}/ {rest}")

    def _finish(self, worker: Worker, renewer: LeaseRenewer) -> None:
        """Wait for the current run: a short one ends by itself, a longer one is told to. If it lost its lease
        and does not end, end the process: without the lease it would write unguarded."""
        if worker.join(STOP_GRACE):
            return
        self._app.stop.request()
        while not worker.join(min(1.0, self._watchdog.every)):
            self._watchdog.check()
            if renewer.error is not None and not worker.join(LOST_GRACE):
                _log.error("the current run does not end; ending the process")
                self._exit_now(FAILED)
                return

    def _code(self, worker: Worker, renewer: LeaseRenewer, reason: str) -> int:
        error = renewer.error or worker.error
        if error is not None:
            _log.error("ended", extra={"why": str(error), "error": type(error).__name__})
            return FAILED
        if reason == WEB_ENDED:
            return FAILED
        _log.info("ended")
        return DONE

    def _health(self, webhooks: WebhookServer) -> Health:
        settings = self._settings
        return Health(
            heartbeat=self._heartbeat,
            stats=self._stats,
            probe=StateProbe(self._app.store),
            feeds=KnownFeeds(lambda: self._runner.feeds),
            schedule=self._schedule,
            clock=self._app.options.clock,
            poll=timedelta(seconds=settings.poll_seconds),
            overlap=timedelta(seconds=settings.overlap_seconds),
            webhooks=webhooks.counts,
        )

    def _schedule(self) -> dict[str, int]:
        queue, scheduler = self._queue, self._scheduler
        return {
            "missed": scheduler.missed,
            "blocked": scheduler.blocked,
            "overrun": queue.overrun,
            "coalesced": queue.coalesced,
        }

    def _look_for_takers(self) -> None:
        """Another process may wait for the lease, to erase a person."""
        if self._app.store.lease_wanted() is not None:
            self._queue.ask(Job.GIVE_WAY)

    def _worker(self, renewer: LeaseRenewer, turns: LeaseTurns) -> Worker:
        return Worker(
            queue=self._queue,
            runner=self._runner,
            heartbeat=self._heartbeat,
            stats=self._stats,
            sweep_schedule=SweepSchedule(self._app.store, self._app.options.clock),
            beat=renewer.beat,
            ended=lambda: self._reasons.put("the worker ended"),
            give_way=turns.give_way,
        )

    def _web(self, health: Health, webhooks: WebhookServer) -> WebServer:
        web = self._settings.web
        token = None if web.token is None else web.token.get_secret_value()
        return WebServer(
            make_app(health, token=token, receiver=webhooks.receiver, hosts=web.hosts, own=(web.host,)),
            host=web.host,
            port=web.port,
            ended=lambda: self._reasons.put(WEB_ENDED),
        )


@contextmanager
def handling_signals(stop: Callable[[str], None], exit_now: Callable[[int], None]) -> Iterator[None]:
    """In this context the first signal calls `stop` with its name, the second `exit_now` with an exit code.
    SIGHUP, which may ask for new settings, never counts as the first.
    Both are called between any two instructions of the main thread, so they must not take a lock. Off the
    main thread, where Python delivers no signals, this does nothing."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    received: list[int] = []

    def handle(number: int, _: FrameType | None) -> None:
        if number != signal.SIGHUP:
            received.append(number)
        if len(received) > 1:
            exit_now(128 + number)
        else:
            stop(signal.Signals(number).name)

    before = {number: signal.signal(number, handle) for number in _STOPPING}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
