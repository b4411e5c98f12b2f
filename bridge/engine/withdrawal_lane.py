"""The second lane: while a run waits for something long (a sweep, an import, many opt-ins), opt-outs go on
being read and sent."""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterator

from bridge.core.brakes import NO_BRAKE, RunVolume, check_brakes
from bridge.core.decision import is_raise, writes_of
from bridge.core.model import Side, TopicId
from bridge.core.ports import batched
from bridge.core.priority import Priority, with_priority
from bridge.engine.apply import Applier
from bridge.engine.context import WriteContext
from bridge.engine.deciding import CellDecision, Decider
from bridge.engine.feed_watch import distrust_lagging
from bridge.engine.fetch import read_lagging, read_webhook_events
from bridge.engine.poll import FeedPoller
from bridge.engine.report import WriteCounts
from bridge.engine.weigh import Weighed, remember_bursts, window_use


class WithdrawalLane:
    """Takes the place of the run's heartbeat: whenever the thread of the run comes by and a poll interval has
    passed, the feeds that are due are read, and withdrawals of the people whom they showed are sent. People
    in a job that is under way are left to it: its outcome is not known yet. Nothing is settled here but what
    was sent: the run itself decides everybody."""

    def __init__(self, run: WriteContext) -> None:
        self._run, self._renew = run, run.heartbeat
        self._thread = threading.get_ident()
        self._poller: FeedPoller | None = None
        self._busy = False
        self._last = run.clock()
        self.written = WriteCounts()
        self.polls = False  # whether it reads the feeds: not before the run itself has read them
        self.waiting: Collection[TopicId] = ()  # topics that send nothing yet: their mapping has changed

    def open(self, poller: FeedPoller, waiting: Collection[TopicId]) -> None:
        """From now on, also between the pages of the run's own reading of the feeds."""
        self._poller, self.waiting = poller, waiting
        self._run.heartbeat = self.beat

    def close(self) -> None:
        """The run ends, and nothing is waited for any more."""
        self._run.heartbeat = self._renew

    def beat(self) -> None:
        """Renew the lease, and let withdrawals through where it is time. Threads that send only renew it."""
        self._renew()
        if self._poller is None or self._busy or threading.get_ident() != self._thread:
            return
        if self._run.clock() - self._last < self._run.tuning.poll:
            return
        self._busy = True
        try:
            self._pump(self._poller)
        finally:
            self._busy, self._last = False, self._run.clock()

    def _pump(self, poller: FeedPoller) -> None:
        run = self._run
        if self.polls:
            with with_priority(Priority.POLLING):
                poller.read_due()
                for side in Side:
                    read_webhook_events(run, side)
                    read_lagging(run, side)
        distrust_lagging(run)
        noticed, run.noticed = sorted(run.noticed), set()
        people, limits = run.state.people.count(), run.tuning.limits
        use = window_use(run.state, limits, people)
        bursts = remember_bursts(run, poller.bursts())
        applier = Applier(run, Decider(run, bursts=bursts), poller, Weighed(NO_BRAKE, use, people))
        found = [
            one for some in batched(noticed, run.tuning.page) for one in self._withdrawing(applier, some)
        ]
        volume = RunVolume(0, use.withdrawn + len(found), people)
        if found and not check_brakes(volume, limits).withdrawals:
            with with_priority(Priority.WITHDRAWALS):
                self.written.add(applier.withdraw(found))

    def _withdrawing(self, applier: Applier, addresses: list[str]) -> Iterator[list[CellDecision]]:
        """The people among these who have withdrawals to be sent, and nothing in doubt."""
        known = (self._run.state.people.find(address) for address in addresses)
        people = [who.person for who in known if who is not None and who.person not in self._run.under_way]
        for cells in self._run.state.cells.of_many(people).values() if people else ():
            if any(cell.in_doubt_since for cell in cells):
                continue
            decided = [one for one in applier.decider.person(cells) if one.topic.id not in self.waiting]
            if any(writes_of(one.decision) and not is_raise(one.decision) for one in decided):
                yield decided
