"""The composition root: builds each part of the process once, from the settings."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property, partial
from types import TracebackType
from typing import Self, TypeVar

from bridge.core.erasure import Eraser, ErasureSettings
from bridge.core.errors import ConfigError
from bridge.core.mapping import Mapping as ConsentMapping
from bridge.core.model import Side
from bridge.core.ports import ReadReplica, Replica
from bridge.dotdigital import build as build_dotdigital
from bridge.dotdigital.client.access import V3Access
from bridge.dotdigital.client.v2 import ClientV2
from bridge.dotdigital.eraser import DotdigitalEraser
from bridge.dotdigital.limits.limiter import RateLimiter
from bridge.dotdigital.polling.events import EventsExport
from bridge.dotdigital.reader import DotdigitalReader
from bridge.dotdigital.replica import DotdigitalReplica
from bridge.engine.context import Progress, Services, Tuning, Writers, silent
from bridge.mapping_file import load_mapping
from bridge.mypreferences import build as build_mypreferences
from bridge.mypreferences.auth import SignIn as MyPreferencesSignIn
from bridge.mypreferences.bulk.importer import Importer
from bridge.mypreferences.client import MyPreferencesClient
from bridge.mypreferences.reader import MyPreferencesReader
from bridge.mypreferences.replica import MyPreferencesReplica
from bridge.settings import Settings
from bridge.settings.erasure_key import key_of
from bridge.store import Lease, Store
from bridge.store.lease_owner import is_gone, this_process
from bridge.transport import ErrorMapper, SignIn, Throttle, Transport

D = TypeVar("D", bound=DotdigitalReader)
M = TypeVar("M", bound=MyPreferencesReader)

LEASE = timedelta(minutes=2)  # renewed continuously; after a crash nobody waits longer than this

Clock = Callable[[], datetime]


def utc_now() -> datetime:
    """The bridge's own clock. Watermarks never come from it."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Options:
    """What tests and the demo change and operators do not."""

    clock: Clock = utc_now
    sleep: Callable[[float], None] = time.sleep
    export_poll: float = 15.0  # seconds between status calls for a MyPreferences job
    import_poll: float = 5.0  # seconds before the first status call for a Dotdigital import
    read_timeout: float = 121.0  # seconds; Dotdigital itself gives up after 120
    tries: int = 4


class App:
    """The parts of one process. Each is built on first use; all are closed together."""

    def __init__(self, settings: Settings, options: Options | None = None) -> None:
        self.settings = settings
        self.options = options or Options()
        self._open = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close every connection that was opened."""
        self._open.close()

    @cached_property
    def mapping(self) -> ConsentMapping:
        """The mapping file. Raises ConfigError with all its problems."""
        return load_mapping(self.settings.mapping)

    @cached_property
    def tuning(self) -> Tuning:
        """The settings that a run follows."""
        return Tuning(
            poll=timedelta(seconds=self.settings.poll_seconds),
            overlap=timedelta(seconds=self.settings.overlap_seconds),
            skew=timedelta(seconds=self.settings.skew_seconds),
            limits=self.settings.brakes.limits(),
            challenge_wait=timedelta(days=self.settings.dotdigital.challenge_days),
        )

    @cached_property
    def erasure_settings(self) -> ErasureSettings:
        """How erased people are recognised."""
        return ErasureSettings(key_of(self.settings), self.tuning.skew)

    @cached_property
    def store(self) -> Store:
        """The state DB, writable. SQLite upgrades itself; otherwise raises SchemaOutOfDate."""
        url = self.settings.database_url
        store = Store.open(url, clock=self.options.clock, erasing=self.erasure_settings)
        self._open.callback(store.close)
        return store

    def lease(self) -> Lease:
        """The lease on this state DB. A process of this machine that no longer runs does not block it."""
        return self.store.lease(owner=str(this_process()), ttl=LEASE, is_gone=is_gone)

    @cached_property
    def reading_store(self) -> Store:
        """The state DB, read-only."""
        url = self.settings.database_url
        store = Store.reader(url, clock=self.options.clock, erasing=self.erasure_settings)
        self._open.callback(store.close)
        return store

    @cached_property
    def mypreferences(self) -> MyPreferencesClient:
        """The MyPreferences API. Raises ConfigError naming every missing setting."""
        return build_mypreferences.client(
            self.settings.mypreferences,
            self.sign_in,
            partial(self._transport, Side.MYPREFERENCES),
            clock=self.options.clock,
            sleep=self._sleep,
        )

    @cached_property
    def sign_in(self) -> MyPreferencesSignIn:
        """How the bridge signs in to MyPreferences. Raises ConfigError for settings or files that cannot do
        it."""
        self.settings.require_mypreferences()
        made = build_mypreferences.sign_in(self.settings.mypreferences, self.options.clock)
        self._open.callback(made.close)
        return made

    @cached_property
    def importer(self) -> Importer:
        """Bulk imports into MyPreferences, one at a time."""
        return build_mypreferences.importer(
            self.settings.mypreferences,
            self.mypreferences,
            memory=self.store.key_values,
            clock=self.options.clock,
            sleep=self._sleep,
            poll_interval=self.options.export_poll,
        )

    def _mypreferences_replica(self, kind: type[M]) -> M:
        return build_mypreferences.replica(
            kind,
            self.settings.mypreferences,
            self.mypreferences,
            self.importer,
            self.mapping,
            clock=self.options.clock,
            sleep=self._sleep,
            poll_interval=self.options.export_poll,
        )

    @cached_property
    def limits(self) -> RateLimiter:
        """Dotdigital's rate limits, as its answers state them."""
        return build_dotdigital.rate_limiter(self.settings.dotdigital, self.options.clock, self._sleep)

    @cached_property
    def dotdigital(self) -> ClientV2:
        """Dotdigital's v2 API. Raises ConfigError naming every missing setting."""
        self.settings.require_dotdigital()
        connect = partial(self._transport, Side.DOTDIGITAL)
        return build_dotdigital.connect(self.settings.dotdigital, self.limits, connect)

    @cached_property
    def dotdigital_v3(self) -> V3Access:
        """Dotdigital's v3 contacts API, as far as the settings and the account allow it."""
        return build_dotdigital.v3_access(self.settings.dotdigital, self.dotdigital)

    @cached_property
    def dotdigital_events(self) -> EventsExport | None:
        """Dotdigital's events export, where the settings ask for it."""
        return build_dotdigital.events_export(
            self.settings.dotdigital, self.dotdigital, self.store.key_values
        )

    def _dotdigital_replica(self, kind: type[D]) -> D:
        return build_dotdigital.replica(
            kind,
            self.settings.dotdigital,
            v2=self.dotdigital,
            v3=self.dotdigital_v3,
            mapping=self.mapping,
            memory=self.store.key_values,
            events=self.dotdigital_events,
            limits=self.limits,
            own_writes=partial(self.store.attempts.written_since, Side.DOTDIGITAL),
            import_poll=self.options.import_poll,
            clock=self.options.clock,
            sleep=self._sleep,
        )

    def _transport(
        self,
        side: Side,
        base_url: str,
        auth: SignIn,
        throttle: Throttle,
        to_error: ErrorMapper,
        calls_beside: Callable[[], int] = lambda: 0,
    ) -> Transport:
        transport = Transport(
            side=side,
            base_url=base_url,
            auth=auth,
            throttle=throttle,
            to_error=to_error,
            jitter=random.Random(),
            sleep=self._sleep,
            read_timeout=self.options.read_timeout,
            tries=self.options.tries,
            calls_beside=calls_beside,
        )
        self._open.callback(transport.close)
        return transport

    def _sleep(self, seconds: float) -> None:
        self.options.sleep(seconds)

    @cached_property
    def readers(self) -> Mapping[Side, ReadReplica]:
        """Both sides, with no way to write to them."""
        return {
            Side.MYPREFERENCES: self._mypreferences_replica(MyPreferencesReader),
            Side.DOTDIGITAL: self._dotdigital_replica(DotdigitalReader),
        }

    @cached_property
    def replicas(self) -> Mapping[Side, Replica]:
        """Both sides, to be written."""
        return {
            Side.MYPREFERENCES: self._mypreferences_replica(MyPreferencesReplica),
            Side.DOTDIGITAL: self._dotdigital_replica(DotdigitalReplica),
        }

    @cached_property
    def erasers(self) -> Mapping[Side, Eraser]:
        """What erases a person at each side."""
        return {
            Side.MYPREFERENCES: build_mypreferences.eraser(
                self.settings.mypreferences,
                self.mypreferences,
                self.replicas[Side.MYPREFERENCES],
                self.mapping,
                clock=self.options.clock,
                sleep=self._sleep,
            ),
            Side.DOTDIGITAL: DotdigitalEraser(
                self.dotdigital, self.dotdigital_v3, self.options.clock, self._sleep
            ),
        }

    def services(
        self, *, progress: Progress = silent, heartbeat: Callable[[], None] = lambda: None
    ) -> Services:
        """Everything that reading and deciding needs. It contains no way to write to a side."""
        self.limits.watch = partial(_show_wait, progress)
        return Services(
            state=self.store,
            readers=self.readers,
            mapping=self.mapping,
            tuning=self.tuning,
            clock=self.options.clock,
            progress=progress,
            heartbeat=heartbeat,
            budget=lambda: self.limits.budget,
        )

    def writers(self) -> Writers:
        """Everything that writing needs. Raises ConfigError for a draft mapping."""
        self.require_confirmed()
        if self.dotdigital_events is not None:
            self.dotdigital_events.permit()
        return Writers(self.replicas)

    def require_confirmed(self) -> None:
        """Raise ConfigError for a draft mapping: a wrong match would write to everybody it names."""
        if self.mapping.draft:
            raise ConfigError(
                f"The mapping {self.settings.mapping} is a draft. Nothing is written until you confirm it.",
                hint="Read it, check it with `bridge plan`, then remove the line draft = true.",
            )


def _show_wait(progress: Progress, tier: str, waited: float, left: float) -> None:
    step = f"waiting for the Dotdigital rate limit ({tier}), seconds"
    progress(step, round(waited), round(waited + left))
