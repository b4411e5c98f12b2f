"""Keeps the lease: the right to write, held by one process at a time."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Protocol

from bridge.core.errors import LeaseHeld
from bridge.daemon.heartbeat import Heartbeat

_log = logging.getLogger(__name__)


class Renewable(Protocol):
    """The right to write, for a while. Cheap to renew often."""

    def renew(self) -> None:
        """Raises LeaseHeld where it was lost."""
        ...


class LeaseRenewer:
    """Renews the lease at each heartbeat of a round, and every `every` seconds besides, unless the round
    hangs: then it runs out, and another process may take over. `lost` is called once, from another thread,
    when somebody has."""

    def __init__(self, *, lease: Renewable, pulse: Heartbeat, lost: Callable[[], None], every: float) -> None:
        self._lease, self._pulse, self._lost, self._every = lease, pulse, lost, every
        self._stopped = threading.Event()
        self._in_trouble = False
        self._thread = threading.Thread(target=self._keep, name="lease", daemon=True)
        self.error: LeaseHeld | None = None

    def start(self) -> None:
        """Begin to renew."""
        self._thread.start()

    def stop(self) -> None:
        """End. Does nothing where it was never started."""
        self._stopped.set()
        if self._thread.ident is not None:
            self._thread.join()

    def heartbeat(self) -> None:
        """The round in hand makes progress. Raises LeaseHeld where the lease was lost."""
        self._pulse.beat()
        if self.error is not None:
            raise self.error
        self._lease.renew()

    def _keep(self) -> None:
        while self.error is None and not self._stopped.wait(self._every):
            if self._pulse.hang() is None:
                self._renew()

    def _renew(self) -> None:
        try:
            self._lease.renew()
            self._in_trouble = False
        except LeaseHeld as error:
            self.error = error  # raised in the round, at its next heartbeat
            self._lost()
        except Exception as error:  # noqa: BLE001 - the state DB is away: nothing can be written, so nothing
            # needs the lease before it is back; whether it is still ours then is found out then.
            if not self._in_trouble:
                _log.warning("lease not renewed", extra={"error": type(error).__name__})
            self._in_trouble = True
