"""Open the state DB: read-only, or as the one process that writes."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, NoReturn

from bridge.cli.output import ExitCode

if TYPE_CHECKING:
    from bridge.settings import Settings
    from bridge.store import Lease, Store

RENEW_SECONDS = 15.0  # between renewals of the lease while a step takes long
NO_PROGRESS = timedelta(minutes=15)  # after which a command that hangs loses its lease


def now() -> datetime:
    """The bridge's own clock."""
    return datetime.now(UTC)


@contextmanager
def reading(settings: Settings) -> Iterator[Store]:
    """The state DB, read-only."""
    from bridge.store import Store

    with Store.reader(settings.database_url, now) as store:
        yield store


@contextmanager
def opened(settings: Settings) -> Iterator[Store]:
    """The state DB, writable, for commands that call neither side and need no lease."""
    from bridge.store import Store

    with Store.open(settings.database_url, now) as store:
        yield store


@contextmanager
def writing(lease: Lease) -> Iterator[Callable[[], None]]:
    """Hold the lease. Yields the heartbeat to call as work makes progress. Raises LeaseHeld, and SystemExit
    on SIGTERM, so that the lease is released."""
    from bridge.daemon.liveness import Heartbeat, LeaseRenewer

    heartbeat = Heartbeat(NO_PROGRESS, time.monotonic)
    heartbeat.beat()
    renewer = LeaseRenewer(lease=lease, heartbeat=heartbeat, lost=lambda: None, every=RENEW_SECONDS)
    with _exit_on_sigterm(), lease:
        renewer.start()
        try:
            yield renewer.beat
        finally:
            renewer.stop()


@contextmanager
def _exit_on_sigterm() -> Iterator[None]:
    def exit_process(*_: object) -> NoReturn:
        raise SystemExit(ExitCode.TERMINATED)

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, exit_process)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
