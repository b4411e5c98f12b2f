"""Opening the state DB: to look only, or as the one process that writes."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from bridge.settings import Settings
    from bridge.store import Lease, Store

LEASE = timedelta(minutes=2)  # renewed all along; a killed machine blocks nobody for longer
BEAT = 15.0  # seconds between renewals while a single step takes long
NO_PROGRESS = 15 * 60.0  # seconds after which a command that hangs loses its lease
TERMINATED = 143


def now() -> datetime:
    """The bridge's own clock."""
    return datetime.now(UTC)


@contextmanager
def reading(settings: Settings) -> Iterator[Store]:
    """The state DB, which itself refuses to be written."""
    from bridge.store import Store

    with Store.reader(settings.database_url, now) as store:
        yield store


@contextmanager
def opened(settings: Settings) -> Iterator[Store]:
    """The state DB, to be written by a command that calls neither side and needs no lease."""
    from bridge.store import Store

    with Store.open(settings.database_url, now) as store:
        yield store


@contextmanager
def writing(lease: Lease) -> Iterator[Callable[[], None]]:
    """Hold the lease. Yields the heartbeat to call as work goes on. Raises LeaseHeld, and SystemExit on
    SIGTERM, so that the lease is given back."""
    with _exit_on_sigterm(), lease:
        renewal = _LeaseRenewal(lease)
        try:
            yield renewal.beat
        finally:
            renewal.stop()


class _LeaseRenewal:
    """Renews the lease at each heartbeat, and in between while a single step takes long."""

    def __init__(self, lease: Lease) -> None:
        self._lease = lease
        self._last = time.monotonic()
        self._failed: Exception | None = None
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._renew_in_background, name="lease", daemon=True)
        self._thread.start()

    def beat(self) -> None:
        """Work goes on. Raises LeaseHeld where another process took over."""
        self._last = time.monotonic()
        if self._failed is not None:
            raise self._failed
        self._lease.renew()

    def stop(self) -> None:
        self._stopped.set()
        self._thread.join()

    def _renew_in_background(self) -> None:
        while not self._stopped.wait(BEAT):
            if time.monotonic() - self._last > NO_PROGRESS:
                return
            try:
                self._lease.renew()
            except Exception as error:  # noqa: BLE001 - raised at the next heartbeat, where the work is
                self._failed = error
                return


@contextmanager
def _exit_on_sigterm() -> Iterator[None]:
    def end(*_: object) -> NoReturn:
        raise SystemExit(TERMINATED)

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
