"""Two fake sides, a real state DB and a clock that moves when read: one engine's small world."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from bridge.core.brakes import BrakeLimits
from bridge.core.erasure import ErasureKey, ErasureSettings
from bridge.core.errors import SideError
from bridge.core.mapping import (
    Conflict,
    ConsentRef,
    FilterRef,
    OnUnsubscribe,
    Topic,
)
from bridge.core.mapping import Mapping as ConsentMapping
from bridge.core.model import CHANNEL, Cell, Choice, Side, TopicId
from bridge.engine.context import Services, Tuning, Writers
from bridge.engine.plan import Plan, apply_plan, make_plan
from bridge.engine.report import Report
from bridge.engine.run import RunOptions, run_once
from bridge.store import Store
from tests.approvals import saved
from tests.fakes import FakeSide

IN, OUT, UNSET = Choice.OPTED_IN, Choice.OPTED_OUT, Choice.UNSET
MINE, THEIRS = Side.MYPREFERENCES, Side.DOTDIGITAL
NEWS, OFFERS = "newsletter", "offers"
ADA, BOB = "ada@example.com", "bob@example.com"

MAPPING = ConsentMapping(
    topics=(
        Topic(TopicId(NEWS), FilterRef("NEWS_EMAIL"), {"": 1002}),
        Topic(TopicId(OFFERS), FilterRef("OFFERS_EMAIL"), {"DAILY": 1003, "WEEKLY": 1004}),
    ),
    channel=Topic(CHANNEL, ConsentRef("EmailMarketing", "1.0", "en_US"), {}),
    on_unsubscribe=OnUnsubscribe.CHANNEL,
    digest="test",
)


def trouble(kind: type[SideError], side: Side = THEIRS) -> SideError:
    """What a side answers when it is told to fail."""
    return kind("something went wrong", side=side, operation="test")


class World:
    """Everything a run needs, with methods that make people's choices at both sides."""

    def __init__(
        self,
        folder: Path,
        mapping: ConsentMapping = MAPPING,
        url: str | None = None,
        head_file: Path | None = None,
        key: ErasureKey | None = None,
    ) -> None:
        self.url = url or f"sqlite:///{folder / 'bridge.db'}"
        self.now = datetime(2026, 3, 1, 12, tzinfo=UTC)
        self.mapping = mapping
        self.sides: Mapping[Side, FakeSide] = {
            side: FakeSide(side, mapping, self.clock, history=timedelta(days=15)) for side in Side
        }
        self.head_file, self.erasing = head_file, ErasureSettings(key)
        self.store = self._open()
        self.limits = BrakeLimits()
        self.heartbeat: Callable[[], None] = lambda: None

    def clock(self) -> datetime:
        self.now += timedelta(milliseconds=1)
        return self.now

    def pass_time(self, **kwargs: float) -> datetime:
        self.now += timedelta(**kwargs)
        return self.now

    def close(self) -> None:
        self.store.close()

    def restart(self) -> None:
        """The process is gone; a new one opens the same state DB."""
        self.store.close()
        self.store = self._open()

    def _open(self) -> Store:
        return Store.open(self.url, clock=self.clock, erasing=self.erasing, head_file=self.head_file)

    def say(self, side: Side, address: str, topic: str, choice: Choice, **how: object) -> None:
        self.sides[side].say(address, topic, choice, **how)  # type: ignore[arg-type]

    def both(self, address: str, topic: str, choice: Choice, frequency: str = "") -> None:
        """Both sides have said so for a month."""
        at = self.now - timedelta(days=30)
        for side in Side:
            self.say(side, address, topic, choice, at=at, frequencies=(frequency,) if frequency else ())

    def shows(self, address: str, topic: str = NEWS) -> tuple[Choice, Choice]:
        return self.sides[MINE].shows(address, topic), self.sides[THEIRS].shows(address, topic)

    def services(self) -> Services:
        tuning = Tuning(limits=self.limits, workers=1)
        return Services(self.store, self.sides, self.mapping, tuning, self.clock, heartbeat=self.heartbeat)

    def run(self, **orders: bool) -> Report:
        self.pass_time(minutes=1)
        return run_once(self.services(), Writers(self.sides), RunOptions(**orders))

    def plan(self, **orders: bool) -> Plan:
        self.pass_time(minutes=1)
        return make_plan(self.services(), RunOptions(**orders))

    def carry_out(self, plan: Plan) -> Report:
        return apply_plan(
            self.services(), Writers(self.sides), plan.acts, mapping=plan.mapping, plan=saved(self.store)
        )

    def started(self) -> World:
        """After a first run, with an hour gone by."""
        self.run()
        self.pass_time(hours=1)
        return self

    def remap(self, topic: str = NEWS, **changes: object) -> None:
        """The operator edits one topic of the mapping."""
        topics = tuple(
            replace(one, **changes) if one.id == topic else one  # type: ignore[arg-type]
            for one in self.mapping.topics
        )
        self.mapping = replace(self.mapping, topics=topics)

    def conflict(self, policy: Conflict) -> None:
        self.remap(conflict=policy)

    def cell(self, address: str, topic: str = NEWS) -> Cell:
        who = self.store.people.find(address)
        assert who is not None
        return next(cell for cell in self.store.cells.of(who.person) if cell.topic == topic)
