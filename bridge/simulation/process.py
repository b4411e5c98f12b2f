"""The bridge's process in a simulated world: the real engine on a real store, with the world's clock."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta

from bridge.core.clocks import ClockOffset, is_too_late
from bridge.core.errors import BridgeError, TooLate
from bridge.core.mapping import Mapping as ConsentMapping
from bridge.core.model import Side
from bridge.engine.context import Services, Tuning, Writers
from bridge.engine.report import Report
from bridge.simulation.boundaries import Boundaries, ProcessDied
from bridge.simulation.history import SentWrite, TrueHistory
from bridge.simulation.oracle import Oracle, RunOutcome
from bridge.simulation.service import SimulatedService
from bridge.simulation.steps import Fault
from bridge.store.memory import MemoryDatabase

LEASE = timedelta(minutes=2)


class BridgeProcess:
    """One process, from its start until it ends or is killed. It fills `service.Process`."""

    def __init__(
        self,
        name: str,
        database: MemoryDatabase,
        services: Mapping[Side, SimulatedService],
        history: TrueHistory,
        *,
        oracle: Oracle,
        happen: Callable[[Fault], None],
    ) -> None:
        self.name, self._services, self._history = name, services, history
        self._oracle, self._happen = oracle, happen
        self.boundaries = Boundaries((), happen)
        self.store = database.open(self.own_clock, self._before_store)
        self.offsets: dict[Side, ClockOffset] = {}
        self.outcome = RunOutcome(history.time.now)

    def run(
        self,
        mapping: ConsentMapping,
        tuning: Tuning,
        work: Callable[[Services, Writers], Report],
        faults: tuple[Fault, ...] = (),
    ) -> RunOutcome:
        """One run under the lease."""
        self.boundaries = Boundaries(faults, self._happen)
        outcome = self.outcome = RunOutcome(self._history.time.now)
        before = {side: service.process for side, service in self._services.items()}
        for service in self._services.values():
            service.process, service.mapping = self, mapping
        try:
            outcome.report = self._leased(mapping, tuning, work)
        except ProcessDied:
            outcome.died = True
        except BridgeError as error:
            outcome.error = error
        finally:
            outcome.boundaries = self.boundaries.count
            if not outcome.died:
                self.boundaries = Boundaries((), self._happen)
            for side, service in self._services.items():
                service.process = before[side]
        return outcome

    def _leased(
        self, mapping: ConsentMapping, tuning: Tuning, work: Callable[[Services, Writers], Report]
    ) -> Report:
        with self.store.lease(owner=self.name, ttl=LEASE, is_gone=self._is_gone) as lease:
            services = Services(
                self.store,
                self._services,
                mapping,
                tuning,
                self.own_clock,
                heartbeat=lease.renew,
                clock_offsets=lambda: dict(self.offsets),
            )
            return work(services, Writers(self._services))

    def _is_gone(self, owner: str) -> bool:
        """Whether it is an earlier process of this one's place, which was killed."""
        return owner == self.name

    def _before_store(self, _: str) -> None:
        self._history.note(self.name, "store")
        self.boundaries.store()

    # what calls of the sides need

    def own_clock(self) -> datetime:
        return self._history.time.shown(None)

    def read_clock(self) -> datetime:
        return self.store.now()

    def answered(self, side: Side, asked: datetime) -> None:
        there = self._history.time.shown(side).replace(microsecond=0)
        self.offsets[side] = ClockOffset.measured(there, asked, self.own_clock())

    def before_write(self, side: Side) -> None:
        self.store.require_lease()
        if is_too_late(self.own_clock()):
            raise TooLate("Too late.", side=side, operation="write")

    def sent(self, write: SentWrite) -> None:
        self._history.sent.append(write)
        self._history.note(self.name, write.side.value, write.person, repr(write.write))
        self._oracle.judge(write, self.outcome)

    def feed_failed(self, side: Side, feed: str) -> None:
        self.outcome.failed_feeds.add((side, feed))

    def feed_ended(self, feed: str, watermark: datetime) -> None:
        self._oracle.feed_ended(feed, watermark)

    def later(self, wait: timedelta, act: Callable[[], None]) -> None:
        self._history.time.later(wait, act)
