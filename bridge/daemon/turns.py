"""Giving way: a command that waits for the lease gets it between two runs. Then the daemon takes it back."""

from __future__ import annotations

import logging
from collections.abc import Callable
from time import sleep as sleep_seconds
from typing import Protocol

from bridge.core.errors import LeaseHeld
from bridge.daemon.liveness import LeaseRenewer, Renewable

PAUSE = 0.2  # seconds between looks at the lease
TAKEN_WITHIN = 10.0  # seconds in which the process that asked must take it

_log = logging.getLogger(__name__)


class LeaseSource(Protocol):
    """What of the state DB tells about the lease."""

    def lease_holder(self) -> tuple[str, object] | None: ...

    def lease_wanted(self) -> str | None: ...


class LeaseTurns:
    """Lends the lease out. `is_stopping`: the daemon ends and needs no lease any more."""

    def __init__(
        self,
        store: LeaseSource,
        lease: Renewable,
        renewer: LeaseRenewer,
        *,
        is_stopping: Callable[[], bool],
        sleep: Callable[[float], None] = sleep_seconds,
    ) -> None:
        self._store, self._lease, self._renewer = store, lease, renewer
        self._is_stopping, self._sleep = is_stopping, sleep

    @property
    def wanted(self) -> bool:
        """Whether another process waits for the lease."""
        return self._store.lease_wanted() is not None

    def give_way(self) -> None:
        """Return once the lease was lent out and is back, or the daemon stops. Called between two runs."""
        asking = self._store.lease_wanted()
        if asking is None:
            return
        _log.info("giving way", extra={"asked_by": asking.partition(" [")[0]})
        self._renewer.pause()
        self._lease.__exit__(None, None, None)
        self._await_taker()
        if self._take_back():
            self._renewer.resume()
            _log.info("the lease is back")

    def _await_taker(self) -> None:
        for _ in range(round(TAKEN_WITHIN / PAUSE)):
            if self._store.lease_holder() is not None or not self.wanted or self._is_stopping():
                return
            self._sleep(PAUSE)

    def _take_back(self) -> bool:
        while not self._is_stopping():
            try:
                self._lease.__enter__()
            except LeaseHeld:
                self._sleep(PAUSE)
            else:
                return True
        return False
