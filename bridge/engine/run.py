"""One round: recover, observe, decide, apply, settle."""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import dataclass
from datetime import datetime, timedelta

from bridge.core.brakes import BrakeResult, RunVolume, check_brakes
from bridge.core.catalogue import Catalogue
from bridge.core.decision import Rule
from bridge.core.errors import SideError
from bridge.core.facts import CatalogueCheck
from bridge.core.mapping_check import missing_topics
from bridge.core.model import RunId, Side, TopicId
from bridge.core.store_port import RunKind
from bridge.engine.account_guard import require_same_account
from bridge.engine.apply import Applier
from bridge.engine.context import RunHealth, Services, Writers
from bridge.engine.deciding import Decider, RunConditions
from bridge.engine.double_opt_in import ConfirmationPoller
from bridge.engine.fetch import Fetcher
from bridge.engine.poll import FeedPoller
from bridge.engine.recheck import PreRaiseCheck
from bridge.engine.recover import Recovery
from bridge.engine.report import Report, WriteCounts
from bridge.engine.send import Sender
from bridge.engine.send_bulk import BulkSender
from bridge.engine.sweep import Sweeper

TOLD = 10  # changes of a side's configuration that a report names one by one


@dataclass(frozen=True, slots=True)
class RunOptions:
    """What the operator asked of this run."""

    full: bool = False
    approve_raises: bool = False
    polling: bool = False  # one of the daemon's many rounds: feeds take turns where they cannot all be read


class ReadPhase:
    """The reading half of a round, which a dry run shares: everything up to the decisions. A dry run is not
    the first run: it does not fix what is older than the bridge."""

    def __init__(self, services: Services, run: RunId, orders: RunOptions, *, dry: bool = False) -> None:
        self.swept = False  # everybody was read, to a proven end
        self.load = RunVolume(0, 0, 0)
        self.services = services
        self.run = run
        self.health = RunHealth()
        self.fetcher = Fetcher(services, run, self.health)
        self._observer = FeedPoller(services, run, self.health, self.fetcher)
        self._orders = orders
        self._dry = dry
        self._first = services.state.facts.first_run_completed is None

    def read(self) -> Decider:
        """Read both sides and settle what can only be decided after a closer look."""
        epoch = self._epoch()
        self._erasures()
        self._catalogues(fresh=self._remap())
        for side in Side:
            self.fetcher.retry(side)
        gaps = self._observer.turns() if self._polling else self._observer.feeds(first=self._first)
        for side in Side:
            self.fetcher.mark_processed(side)
            self._learn(side)
        ConfirmationPoller(self.services, self.health, self.fetcher).look()
        for side in gaps:
            self.health.warn(f"{side}: its feed does not reach back to the last read; everybody is read")
        if self._first or self._orders.full or self.services.state.facts.sweep_due:
            self.swept = Sweeper(self.services, self.run, self.health, self.fetcher).list_people()
        if self.swept:
            self.services.state.facts.sweep_due = None
        decider = Decider(self.services, self.health, self._standing(epoch))
        self.load = decider.weigh(self.fetcher)
        return decider

    def _epoch(self) -> datetime:
        state = self.services.state
        known = state.facts.epoch
        if known is None:
            known = self.services.clock()
            if not self._dry:
                state.facts.epoch = known
        return known

    def _learn(self, side: Side) -> None:
        """A dry run leaves it to the next run."""
        if self._dry or side in self.health.down:
            return
        for words in self.services.readers[side].probe_capabilities():
            self.health.warn(f"{side}: {words}")

    @property
    def _polling(self) -> bool:
        """Whether feeds take turns. Never where everybody is read: that is to end with nothing unread."""
        full = self._first or self._orders.full or bool(self.services.state.facts.sweep_due)
        return self._orders.polling and not full

    def reread(self, side: Side, topics: Set[TopicId]) -> None:
        """Read the feeds of one side that speak of these topics again, or now where they had no turn: what
        happened since they were read."""
        self._observer.covering(side, topics, first=self._first)

    def _standing(self, epoch: datetime) -> RunConditions:
        """Bursts count once the bridge runs: an old suppression list is delivered on the first run."""
        return RunConditions(
            epoch=epoch,
            first_run=self._first,
            raises_approved=self._orders.approve_raises,
            bursts=frozenset() if self._first else self._observer.bursts,
        )

    def _remap(self) -> bool:
        """Whether the mapping means something else than it did: then everybody is read and decided anew."""
        state, mapping = self.services.state, self.services.mapping
        before = state.facts.mapping_digest
        if before == mapping.digest:
            return False
        state.cells.remap([topic.id for topic in mapping.all])
        if before is not None:
            state.facts.sweep_due = "mapping"
        state.facts.mapping_digest = mapping.digest
        return before is not None

    def _erasures(self) -> None:
        """Say where people who were erased cannot be told from new ones: of these no opt-in is heard that was
        given before they were seen."""
        state = self.services.state
        waiting = state.erasures.recheck()
        if marks := state.erasures.unreadable():
            self.health.warn(
                f"the marks of {marks} people who were erased cannot be read: BRIDGE_ERASURE_KEY is unset or "
                f"another than it was. Of whoever is new since ({waiting} until now) no opt-in is heard that "
                "is older than that. Set the key again; `bridge forget --help` tells what to do without it."
            )
        if begun := state.erasures.unfinished():
            self.health.warn(
                f"people who are not wholly erased yet: {begun}. Repeat `bridge forget` for each of them."
            )

    def _catalogues(self, *, fresh: bool) -> None:
        """Find mapped topics whose counterpart is gone, so that their silence is not taken for a choice."""
        gone = None if fresh or self._orders.full else self._known_gone()
        if gone is None:
            gone = self._ask_catalogues()
        for topic, what in gone.items():
            self.health.gone[topic] = what
            self.health.warn(
                f"topic '{topic}' is left alone: {what}. "
                "Mend the mapping; `bridge doctor` compares it with both sides."
            )

    def _known_gone(self) -> dict[TopicId, str] | None:
        """What was gone when the catalogues were last asked, if that is not long ago."""
        last = self.services.state.facts.catalogue_check
        if last is None or last.gone:
            return None
        return {} if self.services.clock() - last.at <= self.services.tuning.catalogue_every else None

    def _ask_catalogues(self) -> dict[TopicId, str]:
        gone: dict[TopicId, str] = {}
        for side in Side:
            try:
                found = self.services.readers[side].catalogue()
                gone |= missing_topics(self.services.mapping, found)
                self._tell_changes(side, found)
            except SideError as error:
                self.health.untrusted_topics |= {topic.id for topic in self.services.mapping.all}
                self.health.failed(side, side, error)
        if not self.health.errors:
            self.services.state.facts.catalogue_check = CatalogueCheck(self.services.clock(), gone)
        return gone

    def _tell_changes(self, side: Side, found: Catalogue) -> None:
        """What is configured otherwise than at the last reading. A dry run leaves it to the next run."""
        state = self.services.state
        news = state.catalogue.compare(found) if self._dry else state.catalogue.save(found)
        for change in news[:TOLD]:
            self.health.warn(f"{side}: the {change.what}")
        if len(news) > TOLD:
            self.health.warn(
                f"{side}: {len(news) - TOLD} more changes of its configuration; `bridge doctor` lists them"
            )


class Run:
    """One one-shot run."""

    def __init__(self, services: Services, writers: Writers) -> None:
        self._services = services
        self._writers = writers

    def run(self, orders: RunOptions | None = None) -> Report:
        """Carry out one round. What goes wrong at a side is in the report; other errors end the run as failed
        and are raised."""
        orders = orders or RunOptions()
        state, began = self._services.state, self._services.clock()
        kind = kind_of(self._services, orders)
        run = state.runs.begin(kind)
        calls = self._calls()
        try:
            report = self._carry_out(run, kind, orders, began, calls)
        except BaseException as error:
            state.runs.end(run, "failed", {"error": type(error).__name__})
            raise
        state.runs.end(run, "done" if not report.errors else "failed", report.shown())
        return report

    def _carry_out(
        self, run: RunId, kind: RunKind, orders: RunOptions, began: datetime, calls: Mapping[Side, int]
    ) -> Report:
        if orders.approve_raises:
            self._services.state.holds.release_all(Rule.FIRST_RUN)
        seeing = ReadPhase(self._services, run, orders)
        require_same_account(self._services, seeing.health)
        Recovery(self._services, run, seeing.health).settle()
        decider = seeing.read()
        brakes = check_brakes(seeing.load, self._services.tuning.limits)
        for alert in brakes.alerts:
            seeing.health.warn(alert)
        written, brakes = self._apply(run, seeing, decider, brakes)
        state = self._services.state
        if kind is RunKind.FIRST and seeing.swept and not seeing.health.untrusted_topics:
            state.facts.first_run_completed = self._services.clock()
        return Report(
            run=run,
            kind=kind,
            started_at=began,
            seconds=(self._services.clock() - began) / timedelta(seconds=1),
            observed=seeing.fetcher.observed,
            written=written,
            counts=state.cells.counts(),
            calls={side: made - calls[side] for side, made in self._calls().items()},
            brakes=list(brakes.reasons),
            warnings=seeing.health.warnings,
            errors=seeing.health.errors,
            partial=bool(seeing.health.untrusted_topics),
            gone=bool(seeing.health.gone),
            swept=seeing.swept,
            budget=self._services.budget(),
            people=state.people.count(),
        )

    def _apply(
        self, run: RunId, seeing: ReadPhase, decider: Decider, brakes: BrakeResult
    ) -> tuple[WriteCounts, BrakeResult]:
        applier = Applier(
            self._services,
            run,
            seeing.health,
            decider=decider,
            confirmer=PreRaiseCheck(self._services, seeing.health, decider, seeing.fetcher, seeing.reread),
            carrier=Sender(self._services, self._writers, run, seeing.health),
            burst=BulkSender(self._services, self._writers, run, seeing.health),
            brakes=brakes,
        )
        written = applier.withdrawals()
        written.add(applier.raises(people=seeing.load.people))
        return written, applier.brakes

    def _calls(self) -> dict[Side, int]:
        return {side: self._services.readers[side].calls for side in Side}


def kind_of(services: Services, orders: RunOptions) -> RunKind:
    """Which kind of run this is."""
    if services.state.facts.first_run_completed is None:
        return RunKind.FIRST
    return RunKind.FULL if orders.full else RunKind.INCREMENTAL
