"""The composition root: builds each part of the process once, from the settings."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property, partial
from typing import Self

from bridge.bounds import ANSWER_SECONDS
from bridge.core.clocks import Clock, Offsets, is_too_late, latest_now, utc_now
from bridge.core.erasure import Eraser, ErasureSettings
from bridge.core.errors import ConfigError, TooLate
from bridge.core.mapping import Mapping as ConsentMapping
from bridge.core.model import Side
from bridge.core.ports import ReadReplica, Replica
from bridge.core.stopping import StopSignal
from bridge.dotdigital.build import DotdigitalParts
from bridge.engine.context import Progress, Services, Tuning, Writers, silent
from bridge.mapping_file import load_mapping
from bridge.mypreferences.build import MyPreferencesParts
from bridge.settings import Settings
from bridge.settings.load import key_of
from bridge.store import Lease, Store
from bridge.store.lease import is_gone, this_process
from bridge.transport import ErrorMapper, SignIn, Throttle, Transport

LEASE = timedelta(minutes=2)  # renewed continuously; after a crash nobody waits longer than this


@dataclass(frozen=True, slots=True)
class Options:
    """What tests and the demo change and operators do not."""

    clock: Clock = utc_now
    sleep: Callable[[float], None] = time.sleep
    monotonic: Callable[[], float] = time.monotonic  # seconds that pass as `sleep` sleeps
    export_poll: float = 15.0  # seconds between status calls for a MyPreferences job
    import_poll: float = 5.0  # seconds before the first status call for a Dotdigital import
    read_timeout: float = 121.0  # seconds; Dotdigital itself gives up after 120
    tries: int = 4
    answer_timeout: float = ANSWER_SECONDS  # seconds until an answer is complete


class App:
    """The parts of one process. Each is built on first use; all are closed together."""

    def __init__(self, settings: Settings, options: Options | None = None) -> None:
        self.settings = settings
        self.options = options or Options()
        self.stop = StopSignal()  # ends what waits or reads in this process
        self._open = ExitStack()
        self._transports: dict[Side, Transport] = {}  # the newest of each side

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
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
            retention=timedelta(days=self.settings.retention_days),
            challenge_wait=timedelta(days=self.settings.dotdigital.challenge_days),
        )

    @cached_property
    def erasure_settings(self) -> ErasureSettings:
        """How erased people are recognised."""
        return ErasureSettings(key_of(self.settings), self.tuning.skew, self._ahead)

    @cached_property
    def store(self) -> Store:
        """The state DB, writable. SQLite upgrades itself; otherwise raises SchemaOutOfDate."""
        return self._opened(partial(Store.open, server_clock=True))

    @cached_property
    def reading_store(self) -> Store:
        """The state DB, read-only."""
        return self._opened(Store.reader)

    def _opened(self, open_store: Callable[..., Store]) -> Store:
        url, clock = self.settings.database_url, self.options.clock
        store = open_store(
            url, clock=clock, erasing=self.erasure_settings, head_file=self.settings.ledger_head_file
        )
        self._open.callback(store.close)
        return store

    def lease(self) -> Lease:
        """The lease on this state DB. A process of this machine that no longer runs does not block it."""
        return self.store.lease(owner=str(this_process()), ttl=LEASE, is_gone=is_gone)

    @cached_property
    def mypreferences(self) -> MyPreferencesParts:
        """The MyPreferences side. Raises ConfigError naming every missing setting."""
        self.settings.require_mypreferences()
        parts = MyPreferencesParts(
            self.settings.mypreferences,
            connect=partial(self._transport, Side.MYPREFERENCES),
            mapping=lambda: self.mapping,
            memory=lambda: self.store.key_values,
            clock=self.options.clock,
            read_clock=self._own_time,
            sleep=self._sleep,
            monotonic=self.options.monotonic,
            poll_interval=self.options.export_poll,
        )
        self._open.callback(parts.close)
        return parts

    @cached_property
    def dotdigital(self) -> DotdigitalParts:
        """The Dotdigital side. Raises ConfigError naming every missing setting."""
        self.settings.require_dotdigital()
        return DotdigitalParts(
            self.settings.dotdigital,
            connect=partial(self._transport, Side.DOTDIGITAL),
            mapping=lambda: self.mapping,
            memory=lambda: self.store.key_values,
            own_writes=lambda ids, since: self.store.attempts.written_since(Side.DOTDIGITAL, ids, since),
            clock=self.options.clock,
            read_clock=self._own_time,
            sleep=self._sleep,
            import_poll=self.options.import_poll,
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
            answer_timeout=self.options.answer_timeout,
            stop=self.stop,
            tries=self.options.tries,
            calls_beside=calls_beside,
            clock=self.options.clock,
            before_write=partial(self._before_write, side),
        )
        self._transports[side] = transport
        self._open.callback(transport.close)
        return transport

    @property
    def _sides(self) -> Mapping[Side, MyPreferencesParts | DotdigitalParts]:
        return {Side.MYPREFERENCES: self.mypreferences, Side.DOTDIGITAL: self.dotdigital}

    def _sleep(self, seconds: float) -> None:
        """Sleep, but not past a request to stop."""
        if self.options.sleep is time.sleep:
            self.stop.sleep(seconds)
        else:
            self.options.sleep(seconds)
            self.stop.check()

    def _own_time(self) -> datetime:
        """The bridge's own time. The state DB is opened with the first read."""
        return self.store.now()

    def _before_write(self, side: Side) -> None:
        """A process that lost its lease while it waited sends nothing more, and no opt-in leaves on what was
        read before a long wait."""
        if "store" in self.__dict__:
            self.store.require_lease()
        if is_too_late(self.options.clock()):
            raise TooLate(
                "An opt-in had to wait before it was sent.",
                side=side, operation="write", hint="The person is read again first.",
            )  # fmt: skip

    def _offsets(self) -> Offsets:
        found = {side: self._transports[side].clock_offset for side in Side if side in self._transports}
        return {side: offset for side, offset in found.items() if offset is not None}

    def _ahead(self) -> timedelta:
        """How far the services' clocks are ahead of this machine's, at most; none where they are behind."""
        now = self.options.clock()
        return latest_now(self._offsets(), now) - now

    @property
    def readers(self) -> Mapping[Side, ReadReplica]:
        """Both sides, with no way to write to them."""
        return {side: parts.reader for side, parts in self._sides.items()}

    @property
    def replicas(self) -> Mapping[Side, Replica]:
        """Both sides, to be written."""
        return {side: parts.replica for side, parts in self._sides.items()}

    @property
    def erasers(self) -> Mapping[Side, Eraser]:
        """What erases a person at each side."""
        return {side: parts.eraser for side, parts in self._sides.items()}

    def services(
        self, *, progress: Progress = silent, heartbeat: Callable[[], None] = lambda: None
    ) -> Services:
        """Everything that reading and deciding needs. It contains no way to write to a side."""
        self.dotdigital.limits.watch = partial(_show_wait, progress)
        return Services(
            state=self.store,
            readers=self.readers,
            mapping=self.mapping,
            tuning=self.tuning,
            clock=self.options.clock,
            progress=progress,
            heartbeat=self.stop.guarding(heartbeat),
            budget=lambda: self.dotdigital.limits.budget,
            clock_offsets=self._offsets,
        )

    def writers(self) -> Writers:
        """Everything that writing needs. Raises ConfigError for a draft mapping."""
        self.require_confirmed()
        if (events := self.dotdigital.events) is not None:
            events.permit()
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
