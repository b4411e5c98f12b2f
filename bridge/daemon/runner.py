"""What the worker runs: rounds, by whatever the app is made of."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Protocol

from bridge.app import App
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

    def run(self, orders: RunOptions, *, progress: Progress, heartbeat: Callable[[], None]) -> Report:
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
            feed.name: feed.period
            for reader in services.readers.values()
            for feed in reader.feeds(services.tuning.poll)
            if feed.topics
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

    def run(self, orders: RunOptions, *, progress: Progress, heartbeat: Callable[[], None]) -> Report:
        self._services = services = self._app.services(progress=progress, heartbeat=heartbeat)
        return Run(services, self._app.writers()).run(orders)
