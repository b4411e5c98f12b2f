"""One person's topic in a rough world: addresses bounce, records go and come back, old opt-ins are restored,
sides refuse writes, and the engine is killed between any two steps. The engine uses the core's own rules."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum

from core_cells import DD, MP, SKEW, TOPIC, day

from bridge.core.decide import decide
from bridge.core.decision import (
    Act,
    Agree,
    Decision,
    Held,
    HoldChange,
    Nothing,
    Rule,
    Wait,
    hold_change,
    is_proven_by,
    is_raise,
)
from bridge.core.guards import DecisionContext
from bridge.core.latch import hold_ground, is_incomplete, latch_after, retry_delay
from bridge.core.mapping import Topic
from bridge.core.merge_observation import combine
from bridge.core.model import (
    Agreement,
    Block,
    Cell,
    Choice,
    ClockReading,
    HoldState,
    Observation,
    PersonId,
    Side,
    StandingHold,
)
from bridge.core.writes import Withdrawal, Write

IN, OUT, UNSET = Choice.OPTED_IN, Choice.OPTED_OUT, Choice.UNSET
INEFFECTIVE_MAX = 3


class Killed(Exception):
    """The process ends here."""


class Hidden(StrEnum):
    """Why a side does not show what it holds."""

    BOUNCED = "bounced"
    ARCHIVED = "archived"
    GONE = "gone"


class Answer(StrEnum):
    """What a side makes of a write."""

    TAKEN = "taken"
    REFUSED = "refused"
    IGNORED = "ignored"


@dataclass(frozen=True)
class Word:
    """What a side holds. `own`: the bridge wrote it; `stated` False: a state, nobody's statement."""

    choice: Choice
    at: datetime | None
    own: bool = False
    stated: bool = True


@dataclass
class RoughSide:
    side: Side
    word: Word | None = None
    hidden: Hidden | None = None
    answer: Answer = Answer.TAKEN

    def show(self, now: datetime) -> Observation:
        word = self.word
        if self.hidden is Hidden.GONE:
            return Observation(UNSET, now, present=False, stated=False)
        if self.hidden is Hidden.BOUNCED:
            return Observation(UNSET, now, stated=False, block=Block.UNREACHABLE)
        if self.hidden is Hidden.ARCHIVED or word is None:
            return Observation(UNSET, now, stated=False)
        return Observation(word.choice, now, word.at, stated=word.stated)

    def apply(self, write: Write, now: datetime) -> None:
        """MyPreferences keeps the date that it is told, and the newer one; Dotdigital stamps its own."""
        held = self.word
        if isinstance(write, Withdrawal):
            choice, at = OUT, write.effective_at
        else:
            choice, at = IN, write.evidence.changed_at
        older = held is not None and held.at is not None and at <= held.at
        if self.side is MP and self.hidden is None and older:
            return
        self.hidden = None if self.hidden is Hidden.ARCHIVED else self.hidden
        self.word = Word(choice, at if self.side is MP else now, own=True)


@dataclass
class RoughWorld:
    """Two sides, one clock, and what the bridge has seen: `seen_out` and `seen_in` are the person's own
    dated statements that the bridge has read."""

    topic: Topic = TOPIC
    now: datetime = field(default_factory=lambda: day(0))
    sides: dict[Side, RoughSide] = field(default_factory=lambda: {side: RoughSide(side) for side in Side})
    seen_out: set[datetime] = field(default_factory=set)
    seen_in: set[datetime] = field(default_factory=set)
    breaches: list[str] = field(default_factory=list)

    def wait(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)

    def say(self, side: Side, choice: Choice) -> None:
        self.wait(1)
        there = self.sides[side]
        there.word, there.hidden = Word(choice, self.now), None

    def happen(self, side: Side, what: str) -> None:
        """Something that no person said."""
        self.wait(1)
        there = self.sides[side]
        match what:
            case "hides":
                there.hidden = Hidden.BOUNCED if side is DD else Hidden.ARCHIVED
            case "goes":
                there.word, there.hidden = None, Hidden.GONE
            case "comes back":
                there.hidden = None
            case "is made mailable":
                there.word, there.hidden = Word(IN, None, stated=False), None
            case "shows an undated opt-in":
                there.word, there.hidden = Word(IN, None), None
            case "gets an old opt-in back":
                there.word, there.hidden = Word(IN, self.now - timedelta(days=9)), None
            case _:
                there.answer = Answer(what)

    def is_ended(self, out: datetime) -> bool:
        """Whether the bridge has read a newer, dated opt-in of the person."""
        return any(at > out + SKEW for at in self.seen_in)


@dataclass
class RoughEngine:
    """The engine's steps, each of them one transaction or one call, with the process killed before step
    number `kill_at` of a run."""

    world: RoughWorld
    cell: Cell = field(default_factory=lambda: Cell(PersonId(1), TOPIC.id))
    dirty: bool = False
    attempts: list[tuple[Act, Write]] = field(default_factory=list)
    ineffective: int = 0
    steps: int = 0
    kill_at: int | None = None

    def run(self, kill_at: int | None = None) -> None:
        self.kill_at, self.steps = kill_at, 0
        self.world.wait(60)
        began = self.world.now
        with suppress(Killed):
            self._run(began)

    def step(self, change: Callable[[], None]) -> None:
        self.steps += 1
        if self.steps == self.kill_at:
            raise Killed
        change()

    def _run(self, began: datetime) -> None:
        if self.cell.retry_at is not None and self.cell.retry_at <= self.world.now:
            self.step(self._retry)
        for act, write in list(self.attempts):
            self.step(lambda act=act, write=write: self._recover(act, write))  # type: ignore[misc]
        for side in Side:
            self.step(lambda side=side: self._read(side))  # type: ignore[misc]
        for raising in (False, True):
            decision = self._decide() if self.dirty else None
            if isinstance(decision, Act) and is_raise(decision) is raising:
                self._send(decision, began)
            elif decision is not None and not isinstance(decision, Act | Wait):
                self._settle(decision, began)

    def _retry(self) -> None:
        self.cell, self.dirty = replace(self.cell, retry_at=None), True

    def _decide(self) -> Decision:
        clocks = ClockReading(self.world.now, SKEW)
        return decide(self.world.topic, self.cell, None, False, DecisionContext(clocks))

    def _read(self, side: Side) -> None:
        """What a side shows is stored, and latched with it."""
        self.world.wait(0.1)
        shown, word = self.world.sides[side].show(self.world.now), self.world.sides[side].word
        old = self.cell.seen.get(side)
        merged = combine(old, shown, side, written_at=self.cell.written_at.get(side)).observation
        if merged is None or merged is old:
            return
        agreed = self.cell.agreed
        out_at = agreed.at if agreed is not None and self.cell.agreed_out else None
        latch = latch_after(self.cell.latch, old, merged, side, out_at)
        self.dirty = self.dirty or old is None or old.version != merged.version
        self.cell = replace(self.cell, seen={**self.cell.seen, side: merged}, latch=latch)
        if word is not None and not word.own and word.at is not None and shown.choice is word.choice:
            (self.world.seen_out if word.choice is OUT else self.world.seen_in).add(word.at)

    def _settle(self, decision: Decision, began: datetime) -> None:
        before = self.cell
        if isinstance(decision, Held):
            self.step(lambda: self._hold(decision.rule, began))
        elif before.hold is not None and decision != Nothing(Rule.DISMISSED):
            self.step(self._close)
        agreement = decision.agreement if isinstance(decision, Agree) else None
        self.step(lambda: self._agree(before.ground, agreement))

    def _hold(self, rule: str, began: datetime, *, retry: bool = False) -> None:
        if retry:
            tries = self.cell.tries + 1
            self.cell = replace(self.cell, tries=tries, retry_at=self.world.now + retry_delay(tries))
        ground = hold_ground(self.cell)
        if hold_change(self.cell.hold, rule, ground, began) is not HoldChange.KEEP:
            self.cell = replace(self.cell, hold=StandingHold(rule, ground, HoldState.OPEN))

    def _close(self) -> None:
        self.cell = replace(self.cell, hold=None)

    def _agree(self, ground: str, agreement: Agreement | None) -> None:
        """As the state DB settles a cell."""
        cell, settled = self.cell, self.cell.is_settled(ground, None)
        if agreement is not None:
            self.ineffective = 0
            self.dirty = not settled or is_incomplete(cell, agreement)
            latch = None if settled else cell.latch
            self.cell = replace(cell, agreed=agreement, latch=latch, tries=0, retry_at=None)
        elif settled:
            self.dirty = False

    def _send(self, act: Act, began: datetime) -> None:
        if is_raise(act):
            for side in Side:
                self.step(lambda side=side: self._read(side))  # type: ignore[misc]
            again = self._decide()
            if not isinstance(again, Act) or not is_raise(again):
                return
            act = again
        decided, proven = self.cell, True
        for write in act.writes:
            proven = self._send_one(act, write, began) and proven
        if not proven:
            return
        if self.cell.hold is not None:
            self.step(self._close)
        written = {write.side: self.cell.seen[write.side] for write in act.writes}
        ground = self.cell.ground_since(decided, written)
        self.step(lambda: self._agree(ground, act.agreement(written, self.world.now)))

    def _send_one(self, act: Act, write: Write, began: datetime) -> bool:
        there = self.world.sides[write.side]
        self.step(lambda: self._begin(act, write))
        self._watch(write)
        answer = there.answer
        if answer is Answer.TAKEN:
            self.step(lambda: there.apply(write, self.world.now))
        self.world.wait(0.5)
        self.step(lambda: self._end(act, write, answer))
        if answer is not Answer.REFUSED and is_proven_by(TOPIC, write, self.cell.seen[write.side]):
            return True
        if answer is not Answer.REFUSED:
            self.ineffective += 1
            if self.ineffective < INEFFECTIVE_MAX:
                return False
        rule = Rule.REFUSED if answer is Answer.REFUSED else Rule.NOT_HONOURED
        self.step(lambda: self._hold(rule, began, retry=not is_raise(act)))
        self.step(lambda: self._agree(self.cell.ground, None))
        return False

    def _begin(self, act: Act, write: Write) -> None:
        self.attempts.append((act, write))
        self.dirty = True

    def _end(self, act: Act, write: Write, answer: Answer) -> None:
        self.attempts.remove((act, write))
        if answer is not Answer.REFUSED:
            self.cell = replace(self.cell, written_at={**self.cell.written_at, write.side: self.world.now})
            self._read(write.side)

    def _recover(self, act: Act, write: Write) -> None:
        """A write whose outcome is unknown is read back. What is proven is agreed, and decided again."""
        self.attempts.remove((act, write))
        self._read(write.side)
        seen = self.cell.seen[write.side]
        if is_proven_by(TOPIC, write, seen) and act.writes == (write,):
            self._agree("", act.agreement({write.side: seen}, self.world.now))

    def _watch(self, write: Write) -> None:
        """No opt-in but on a statement newer than every opt-out that was seen."""
        if isinstance(write, Withdrawal):
            return
        if late := [out for out in self.world.seen_out if write.evidence.changed_at <= out + SKEW]:
            self.world.breaches.append(f"raised over {max(late)}: {write}")
