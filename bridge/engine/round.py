"""One round: recover, observe, decide, apply, settle."""

from __future__ import annotations

import json
from collections.abc import Mapping, Set
from dataclasses import dataclass
from datetime import datetime, timedelta

from bridge.core.brakes import Brakes, Load, check
from bridge.core.catalogue import Catalogue
from bridge.core.decision import Rule
from bridge.core.errors import SideError
from bridge.core.fit import missing
from bridge.core.model import RunId, Side, TopicId
from bridge.core.state import RunKind
from bridge.engine.accounts import demand_same
from bridge.engine.apply import Applier
from bridge.engine.asking import Lookout
from bridge.engine.burst import Burst
from bridge.engine.carry import Carrier
from bridge.engine.confirm import Confirmer
from bridge.engine.judge import Judge, Standing
from bridge.engine.look import Looker
from bridge.engine.observe import Observer
from bridge.engine.parts import Eyes, Hands, Weather
from bridge.engine.records import time_in, time_out
from bridge.engine.recover import Recovery
from bridge.engine.report import Report, Tally
from bridge.engine.sweep import OWED, Sweeper

EPOCH = "epoch"  # when the first run began
FIRST_RUN_DONE = "first_run_completed"
CATALOGUES = "catalogues"  # when both catalogues were last compared with the mapping, and what was gone
TOLD = 10  # changes of a side's configuration that a report names one by one
MAPPING = "mapping"  # the digest of the mapping that everything was last decided by


@dataclass(frozen=True, slots=True)
class Orders:
    """What the operator asked of this run."""

    full: bool = False
    approve_raises: bool = False
    polling: bool = False  # one of the daemon's many rounds: feeds take turns where they cannot all be read


class Observation:
    """The reading half of a round, which a dry run shares: everything up to the decisions. A dry run is not
    the first run: it does not fix what is older than the bridge."""

    def __init__(self, eyes: Eyes, run: RunId, orders: Orders, *, dry: bool = False) -> None:
        self.swept = False  # everybody was read, to a proven end
        self.load = Load(0, 0, 0)
        self.eyes = eyes
        self.run = run
        self.weather = Weather()
        self.looker = Looker(eyes, run, self.weather)
        self._observer = Observer(eyes, run, self.weather, self.looker)
        self._orders = orders
        self._dry = dry
        self._first = eyes.state.meta(FIRST_RUN_DONE) is None

    def read(self) -> Judge:
        """Read both sides and settle what can only be decided after a closer look."""
        epoch = self._epoch()
        self._erasures()
        self._catalogues(fresh=self._remap())
        for side in Side:
            self.looker.retry(side)
        gaps = self._observer.turns() if self._polling else self._observer.feeds(first=self._first)
        for side in Side:
            self.looker.heed(side)
            self._learn(side)
        Lookout(self.eyes, self.weather, self.looker).look()
        for side in gaps:
            self.weather.warn(f"{side}: its feed does not reach back to the last read; everybody is read")
        if self._first or self._orders.full or self.eyes.state.meta(OWED):
            self.swept = Sweeper(self.eyes, self.run, self.weather, self.looker).everyone()
        if self.swept:
            self.eyes.state.set_meta(OWED, "")
        judge = Judge(self.eyes, self.weather, self._standing(epoch))
        self.load = judge.weigh(self.looker)
        return judge

    def _epoch(self) -> datetime:
        state = self.eyes.state
        known = time_in(state.meta(EPOCH))
        if known is None:
            known = self.eyes.clock()
            if not self._dry:
                state.set_meta(EPOCH, time_out(known) or "")
        return known

    def _learn(self, side: Side) -> None:
        """A dry run leaves it to the next run."""
        if self._dry or side in self.weather.down:
            return
        for words in self.eyes.readers[side].learn():
            self.weather.warn(f"{side}: {words}")

    @property
    def _polling(self) -> bool:
        """Whether feeds take turns. Never where everybody is read: that is to end with nothing unread."""
        full = self._first or self._orders.full or bool(self.eyes.state.meta(OWED))
        return self._orders.polling and not full

    def reread(self, side: Side, topics: Set[TopicId]) -> None:
        """Read the feeds of one side that speak of these topics again, or now where they had no turn: what
        happened since they were read."""
        self._observer.covering(side, topics, first=self._first)

    def _standing(self, epoch: datetime) -> Standing:
        """Bursts count once the bridge runs: an old suppression list is delivered on the first run."""
        return Standing(
            epoch=epoch,
            first_run=self._first,
            raises_approved=self._orders.approve_raises,
            bursts=frozenset() if self._first else self._observer.bursts,
        )

    def _remap(self) -> bool:
        """Whether the mapping means something else than it did: then everybody is read and decided anew."""
        state, mapping = self.eyes.state, self.eyes.mapping
        before = state.meta(MAPPING)
        if before == mapping.digest:
            return False
        state.remap([topic.id for topic in mapping.all])
        if before is not None:
            state.set_meta(OWED, MAPPING)
        state.set_meta(MAPPING, mapping.digest)
        return before is not None

    def _erasures(self) -> None:
        """Say where people who were erased cannot be told from new ones: of these no opt-in is heard that was
        given before they were seen."""
        state = self.eyes.state
        waiting = state.vet()
        if marks := state.unreadable_marks():
            self.weather.warn(
                f"the marks of {marks} people who were erased cannot be read: BRIDGE_ERASURE_KEY is unset or "
                f"another than it was. Of whoever is new since ({waiting} until now) no opt-in is heard that "
                "is older than that. Set the key again; `bridge forget --help` tells what to do without it."
            )
        if begun := state.unfinished_erasures():
            self.weather.warn(
                f"people who are not wholly erased yet: {begun}. Repeat `bridge forget` for each of them."
            )

    def _catalogues(self, *, fresh: bool) -> None:
        """Find mapped topics whose counterpart is gone, so that their silence is not taken for a choice."""
        gone = None if fresh or self._orders.full else self._known_gone()
        if gone is None:
            gone = self._ask_catalogues()
        for topic, what in gone.items():
            self.weather.gone[topic] = what
            self.weather.warn(
                f"topic '{topic}' is left alone: {what}. "
                "Mend the mapping; `bridge doctor` compares it with both sides."
            )

    def _known_gone(self) -> dict[TopicId, str] | None:
        """What was gone when the catalogues were last asked, if that is not long ago."""
        kept = json.loads(self.eyes.state.meta(CATALOGUES) or "{}")
        at = time_in(kept.get("at"))
        if at is None or kept["gone"] or self.eyes.clock() - at > self.eyes.tuning.catalogue_every:
            return None
        return {}

    def _ask_catalogues(self) -> dict[TopicId, str]:
        gone: dict[TopicId, str] = {}
        for side in Side:
            try:
                found = self.eyes.readers[side].catalogue()
                gone |= missing(self.eyes.mapping, found)
                self._tell_changes(side, found)
            except SideError as error:
                self.weather.unsure |= {topic.id for topic in self.eyes.mapping.all}
                self.weather.failed(side, side, error)
        if not self.weather.errors:
            kept = {"at": time_out(self.eyes.clock()), "gone": gone}
            self.eyes.state.set_meta(CATALOGUES, json.dumps(kept))
        return gone

    def _tell_changes(self, side: Side, found: Catalogue) -> None:
        """What is configured otherwise than at the last reading. A dry run leaves it to the next run."""
        state = self.eyes.state
        news = state.catalogue_news(found) if self._dry else state.keep_catalogue(found)
        for change in news[:TOLD]:
            self.weather.warn(f"{side}: the {change.what}")
        if len(news) > TOLD:
            self.weather.warn(
                f"{side}: {len(news) - TOLD} more changes of its configuration; `bridge doctor` lists them"
            )


class Round:
    """One one-shot run."""

    def __init__(self, eyes: Eyes, hands: Hands) -> None:
        self._eyes = eyes
        self._hands = hands

    def run(self, orders: Orders | None = None) -> Report:
        """Carry out one round. What goes wrong at a side is in the report; other errors end the run as failed
        and are raised."""
        orders = orders or Orders()
        state, began = self._eyes.state, self._eyes.clock()
        kind = kind_of(self._eyes, orders)
        run = state.begin_run(kind)
        calls = self._calls()
        try:
            report = self._carry_out(run, kind, orders, began, calls)
        except BaseException as error:
            state.end_run(run, "failed", {"error": type(error).__name__})
            raise
        state.end_run(run, "done" if not report.errors else "failed", report.shown())
        return report

    def _carry_out(
        self, run: RunId, kind: RunKind, orders: Orders, began: datetime, calls: Mapping[Side, int]
    ) -> Report:
        if orders.approve_raises:
            self._eyes.state.release_all(Rule.FIRST_RUN)
        seeing = Observation(self._eyes, run, orders)
        demand_same(self._eyes, seeing.weather)
        Recovery(self._eyes, run, seeing.weather).settle()
        judge = seeing.read()
        brakes = check(seeing.load, self._eyes.tuning.limits)
        for alert in brakes.alerts:
            seeing.weather.warn(alert)
        tally, brakes = self._apply(run, seeing, judge, brakes)
        state = self._eyes.state
        if kind is RunKind.FIRST and seeing.swept and not seeing.weather.unsure:
            state.set_meta(FIRST_RUN_DONE, time_out(self._eyes.clock()) or "")
        return Report(
            run=run,
            kind=kind,
            started_at=began,
            seconds=(self._eyes.clock() - began) / timedelta(seconds=1),
            observed=seeing.looker.observed,
            tally=tally,
            counts=state.counts(),
            calls={side: made - calls[side] for side, made in self._calls().items()},
            brakes=list(brakes.reasons),
            warnings=seeing.weather.warnings,
            errors=seeing.weather.errors,
            partial=bool(seeing.weather.unsure),
            gone=bool(seeing.weather.gone),
            swept=seeing.swept,
            budget=self._eyes.budget(),
            people=state.people_count(),
        )

    def _apply(self, run: RunId, seeing: Observation, judge: Judge, brakes: Brakes) -> tuple[Tally, Brakes]:
        applier = Applier(
            self._eyes,
            run,
            seeing.weather,
            judge=judge,
            confirmer=Confirmer(self._eyes, seeing.weather, judge, seeing.looker, seeing.reread),
            carrier=Carrier(self._eyes, self._hands, run, seeing.weather),
            burst=Burst(self._eyes, self._hands, run, seeing.weather),
            brakes=brakes,
        )
        tally = applier.withdrawals()
        tally.add(applier.raises(people=seeing.load.people))
        return tally, applier.brakes

    def _calls(self) -> dict[Side, int]:
        return {side: self._eyes.readers[side].calls for side in Side}


def kind_of(eyes: Eyes, orders: Orders) -> RunKind:
    """Which kind of run this is."""
    if eyes.state.meta(FIRST_RUN_DONE) is None:
        return RunKind.FIRST
    return RunKind.FULL if orders.full else RunKind.INCREMENTAL
