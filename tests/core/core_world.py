"""A tiny world to run decide() in: two sides with their own clocks, a person who speaks, and an engine that
observes, decides, confirms, writes and reads back, with reads and answers that go astray."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from core_cells import DD, MP, SKEW, TOPIC, day

from bridge.core.decide import decide
from bridge.core.decision import Act, Agree, Decision, Held, Wait, is_proven_by, is_raise
from bridge.core.guards import DecisionContext
from bridge.core.mapping import Topic
from bridge.core.model import Agreement, Cell, Choice, ClockReading, Observation, PersonId, Side
from bridge.core.writes import Withdrawal, Write


@dataclass(frozen=True)
class Statement:
    """What one side holds: `at` by its clock, `true_at` by the world's, `own` if the bridge wrote it."""

    choice: Choice
    at: datetime
    true_at: datetime
    own: bool


@dataclass(frozen=True)
class Mishaps:
    """What goes wrong in one run."""

    unread: frozenset[Side] = frozenset()  # sides that cannot be read
    unknown: bool = False  # the writes' answers are lost ...
    lost: bool = False  # ... and so are the writes
    racing: tuple[Side, Choice] | None = None  # said after the decision, before the confirming read


SMOOTH = Mishaps()


@dataclass
class World:
    """One person, one topic. Dotdigital dates what it is told; where not `dated`, it shows no dates."""

    topic: Topic = TOPIC
    dated: bool = True
    clocks_off: dict[Side, float] = field(default_factory=lambda: dict.fromkeys(Side, 0.0))
    now: datetime = field(default_factory=lambda: day(0))
    held: dict[Side, Statement | None] = field(default_factory=lambda: dict.fromkeys(Side))
    said: list[tuple[Side, Statement]] = field(default_factory=list)

    def wait(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)

    def clock(self, side: Side) -> datetime:
        return self.now + timedelta(seconds=self.clocks_off[side])

    def say(self, side: Side, choice: Choice) -> None:
        """The person makes a choice. Without dates, repeating the current choice changes nothing."""
        self.wait(1)
        before = self.held[side]
        if side is DD and not self.dated and before is not None and before.choice is choice:
            return
        statement = Statement(choice, self.clock(side), self.now, own=False)
        self.held[side] = statement
        self.said.append((side, statement))

    def show(self, side: Side) -> Observation:
        held = self.held[side]
        if held is None:
            return Observation(Choice.UNSET, self.now)
        return Observation(held.choice, self.now, held.at if side is MP or self.dated else None)

    def apply(self, write: Write) -> None:
        """MyPreferences honours the newer date it is told; Dotdigital takes the last write."""
        out = isinstance(write, Withdrawal)
        choice = Choice.OPTED_OUT if out else Choice.OPTED_IN
        at = self.clock(DD)
        if write.side is MP:
            at = write.effective_at if isinstance(write, Withdrawal) else write.evidence.changed_at
            held = self.held[MP]
            if held is not None and at <= held.at:
                return
        self.held[write.side] = Statement(choice, at, self.now, own=True)


@dataclass
class Engine:
    """The runs of the real one, in small. `breaches` collects what must never happen."""

    world: World
    cell: Cell = field(default_factory=lambda: Cell(PersonId(1), TOPIC.id))
    attempts: list[tuple[Act, Write]] = field(default_factory=list)
    noes_seen: list[tuple[Side, Statement]] = field(default_factory=list)
    underway: list[tuple[Side, Observation, Statement | None]] = field(default_factory=list)
    breaches: list[str] = field(default_factory=list)

    def begin_read(self, side: Side) -> None:
        """A read whose answer comes later."""
        self.underway.append((side, self.world.show(side), self.world.held[side]))

    def deliver(self) -> None:
        while self.underway:
            self._record(*self.underway.pop())

    def look(self, side: Side) -> None:
        self.world.wait(0.5)
        self._record(side, self.world.show(side), self.world.held[side])

    def _record(self, side: Side, seen: Observation, held: Statement | None) -> None:
        """Older reads than the last one, or than our last write there, are dropped."""
        known, written = self.cell.seen.get(side), self.cell.written_at.get(side)
        if (known and seen.read_at < known.read_at) or (written and seen.read_at < written):
            return
        self.cell = replace(self.cell, seen={**self.cell.seen, side: seen})
        if held is not None and held.choice is Choice.OPTED_OUT and not held.own:
            self.noes_seen.append((side, held))

    def decide(self) -> Decision:
        clocks = ClockReading(self.world.now, SKEW)
        return decide(self.world.topic, self.cell, None, False, DecisionContext(clocks))

    def run(self, mishaps: Mishaps = SMOOTH) -> int:
        """One run; returns how many writes were sent."""
        for side in Side:
            if side not in mishaps.unread:
                self.look(side)
                self._recover(side)
        decision = self._closely(mishaps)
        if isinstance(decision, Agree):
            self.cell = replace(self.cell, agreed=decision.agreement)
        if mishaps.racing is not None:
            self.world.say(*mishaps.racing)
        if not isinstance(decision, Act) or any(write.side in mishaps.unread for write in decision.writes):
            return 0
        if is_raise(decision):
            for write in decision.writes:
                self.look(write.side)
            decision = self.decide()
            if not is_raise(decision) or not isinstance(decision, Act):
                return 0
        return self._carry(decision, mishaps)

    def _closely(self, mishaps: Mishaps) -> Decision:
        decision = self.decide()
        if isinstance(decision, Wait):
            for side in decision.sides:
                if side not in mishaps.unread:
                    self.look(side)
            decision = self.decide()
        return decision

    def _carry(self, act: Act, mishaps: Mishaps) -> int:
        for write in act.writes:
            self._watch(write)
            if not mishaps.lost:
                self.world.apply(write)
            self.world.wait(0.5)
            if mishaps.unknown or mishaps.lost:
                doubts = {**self.cell.in_doubt_since, write.side: self.world.now}
                self.cell = replace(self.cell, in_doubt_since=doubts)
                self.attempts.append((act, write))
            else:
                written = {**self.cell.written_at, write.side: self.world.now}
                self.cell = replace(self.cell, written_at=written)
                self.look(write.side)
        if not (mishaps.unknown or mishaps.lost):
            self._agree(act)
        return len(act.writes)

    def _recover(self, side: Side) -> None:
        """A write in doubt is settled by what its side shows now."""
        mine = [act for act, write in self.attempts if write.side is side]
        self.attempts = [(act, write) for act, write in self.attempts if write.side is not side]
        doubts = {one: at for one, at in self.cell.in_doubt_since.items() if one is not side}
        self.cell = replace(self.cell, in_doubt_since=doubts)
        for act in mine:
            self._agree(act)

    def _agree(self, act: Act) -> None:
        """What is proven is agreed: as the other side was when it was decided, as the written one is read."""
        if all(is_proven_by(self.world.topic, write, self.cell.seen[write.side]) for write in act.writes):
            shown = {write.side: self.cell.seen[write.side].version for write in act.writes}
            versions = {**act.versions, **shown}
            agreement = Agreement(act.choice, act.at, act.rule, self.world.now, versions, act.frequencies)
            self.cell = replace(self.cell, agreed=agreement)

    def _watch(self, write: Write) -> None:
        """I1: no raise but on a person's own word, newer than every withdrawal seen."""
        if isinstance(write, Withdrawal):
            return
        evidence = write.evidence
        if not any(
            side is evidence.side and one.at == evidence.changed_at and one.choice is Choice.OPTED_IN
            for side, one in self.world.said
        ):
            self.breaches.append(f"raised on nobody's word: {write}")
        for side, no in self.noes_seen:
            slack = timedelta(0) if side is evidence.side else SKEW  # one clock orders its own words
            if evidence.changed_at <= no.at + slack:
                self.breaches.append(f"raised over a withdrawal seen: {write} over {no}")

    @property
    def held_back(self) -> bool:
        return isinstance(self.decide(), Held)
