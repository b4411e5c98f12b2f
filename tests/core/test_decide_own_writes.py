"""decide() in a loop beside writes of its own that land late, or never, and whose answers are lost. What must
hold whatever the person says meanwhile: invariants I1, I2 and I4, and that no write of ours counts as a
statement of theirs. And every row of one write of ours at Dotdigital, by what is known of it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import product

import pytest
from core_cells import DD, MP, ORDINARY, SKEW, TOPIC, agreed, cell, day, lifts, no, withdrawn_sides, yes
from core_world import Engine, Mishaps, World
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.core.decide import decide
from bridge.core.decision import Act, Decision, Held, Rule, is_proven_by
from bridge.core.mapping import Conflict
from bridge.core.model import Choice, Side
from bridge.core.own_writes import OwnWrite
from bridge.core.store_values import LedgerEntry, Receipt
from bridge.core.writes import Withdrawal, Write
from tests.sizes import size

IN, OUT = Choice.OPTED_IN, Choice.OPTED_OUT
QUIET_RUNS = 6


@dataclass
class LateWorld(World):
    """Dotdigital may apply a write late, and dates only what changes."""

    late: list[Write] = field(default_factory=list)

    def apply(self, write: Write) -> None:
        held = self.held[write.side]
        choice = OUT if isinstance(write, Withdrawal) else IN
        if write.side is MP or held is None or held.choice is not choice:
            super().apply(write)

    def land(self) -> None:
        while self.late:
            self.apply(self.late.pop(0))


@dataclass
class Sent:
    """A write that was begun: its place among our writes there, when its answer came or did not."""

    act: Act
    write: Write
    place: int
    ended_at: datetime


@dataclass
class LateEngine(Engine):
    """The engine, which keeps what it wrote. `dies` are the runs killed between a write and its receipt."""

    in_doubt: list[Sent] = field(default_factory=list)

    def carry_late(self, act: Act, mishaps: Mishaps, *, late: bool) -> int:
        """Send the writes of an act; those to Dotdigital are applied when the world lets them land."""
        world = self.world
        assert isinstance(world, LateWorld)
        proven = True
        for write in act.writes:
            self._watch(write)
            sent = Sent(act, write, self._begin(write), world.now)
            world.wait(0.1)
            if late and write.side is DD:
                world.late.append(write)
            elif not mishaps.lost:
                world.apply(write)
            world.wait(0.5)
            sent.ended_at = world.now
            if mishaps.unknown or mishaps.lost:
                doubts = {**self.cell.in_doubt_since, write.side: world.now}
                self.cell = replace(self.cell, in_doubt_since=doubts)
                self.in_doubt.append(sent)
                proven = False
                continue
            self.cell = replace(self.cell, written_at={**self.cell.written_at, write.side: world.now})
            self.look(write.side)
            proven = self._end(sent, answered=True) and proven
        if proven:
            self._agree(act)
        return len(act.writes)

    def _carry(self, act: Act, mishaps: Mishaps) -> int:
        return self.carry_late(act, mishaps, late=mishaps.late)  # type: ignore[attr-defined]

    def _begin(self, write: Write) -> int:
        mine = list(self.cell.own_writes.get(write.side, ()))
        said = write.said_at if isinstance(write, Withdrawal) else write.evidence.changed_at
        mine.append(OwnWrite(isinstance(write, Withdrawal), said, self.world.now))
        self.cell = replace(self.cell, own_writes={**self.cell.own_writes, write.side: mine})
        return len(mine) - 1

    def _end(self, sent: Sent, *, answered: bool) -> bool:
        """Whether a read proves a write; what is kept of it then."""
        side = sent.write.side
        seen = self.cell.seen[side]
        if not is_proven_by(self.world.topic, sent.write, seen):
            return False
        mine = list(self.cell.own_writes[side])
        begun, at = mine[sent.place].begun_at, seen.changed_at
        landed = answered or (at is not None and begun <= at <= sent.ended_at)
        mine[sent.place] = replace(mine[sent.place], shown_at=at, may_apply=not landed)
        self.cell = replace(self.cell, own_writes={**self.cell.own_writes, side: mine})
        return True

    def _recover(self, side: Side) -> None:
        mine = [sent for sent in self.in_doubt if sent.write.side is side]
        self.in_doubt = [sent for sent in self.in_doubt if sent.write.side is not side]
        doubts = {one: at for one, at in self.cell.in_doubt_since.items() if one is not side}
        self.cell = replace(self.cell, in_doubt_since=doubts)
        for sent in mine:
            proven = self._end(sent, answered=False)
            begun_at = self.cell.own_writes[side][sent.place].begun_at
            shown = {side: self.cell.seen[side]}
            agreement = sent.act.agreement(shown, self.world.now)
            receipt = Receipt(self.cell.person, TOPIC.id, agreement, LedgerEntry("agreed", {}), shown)
            agreed = self.cell.agreed
            stored = replace(self.cell, agreed_stored_at=None if agreed is None else agreed.decided_at)
            if proven and len(sent.act.writes) == 1 and not receipt.gives_way_to(stored, begun_at):
                self.cell = replace(self.cell, agreed=agreement)


@dataclass(frozen=True)
class LateMishaps(Mishaps):
    """`late`: what is written to Dotdigital is applied only when it lands."""

    late: bool = False


sides = st.sampled_from(list(Side))
words = st.tuples(sides, st.sampled_from([IN, OUT]))
mishaps = st.builds(
    LateMishaps,
    unread=st.frozensets(sides, max_size=1),
    unknown=st.booleans(),
    lost=st.booleans(),
    racing=st.one_of(st.none(), words),
    late=st.booleans(),
)
histories = st.lists(
    st.one_of(
        st.tuples(st.just("say"), words),
        st.tuples(st.just("pass"), st.sampled_from([0.5, 3.0, 60.0, 900.0])),
        st.tuples(st.just("run"), mishaps),
        st.tuples(st.just("land"), st.none()),
    ),
    max_size=16,
)


def live(policy: Conflict, happened: list[tuple[str, object]]) -> LateEngine:
    world = LateWorld(replace(TOPIC, conflict=policy))
    engine = LateEngine(world)
    for what, detail in happened:
        match what, detail:
            case "say", (Side() as side, Choice() as choice):
                world.wait(3)  # farther apart than clocks are
                world.say(side, choice)
            case "pass", float(seconds):
                world.wait(seconds)
            case "run", LateMishaps() as gone_wrong:
                engine.run(gone_wrong)
            case _:
                land(engine)
    return engine


def land(engine: LateEngine) -> None:
    """A late opt-in takes the place of an opt-out at Dotdigital. Nobody can know of one that was never seen:
    therefore a run comes before."""
    world = engine.world
    assert isinstance(world, LateWorld)
    held = world.held[DD]
    if world.late and held is not None and held.choice is OUT and not held.own:
        engine.run(LateMishaps())
    world.land()


# An opt-out that is held for an operator has no defence against a late write over it but its own memory.
policies = st.sampled_from([policy for policy in Conflict if policy is not Conflict.HOLD])


@settings(max_examples=size(1_000, 20_000))
@given(policies, histories)
def test_nothing_we_wrote_counts_as_said(policy: Conflict, happened: list[tuple[str, object]]) -> None:
    """Acts, lost answers, and writes that land at any later time, in any order."""
    engine = live(policy, happened)
    world = engine.world
    engine.run(LateMishaps())
    land(engine)
    writes = []
    for _ in range(QUIET_RUNS):
        world.wait(60)
        writes.append(engine.run(LateMishaps()))
    assert engine.breaches == []
    assert writes[3:] == [0] * (QUIET_RUNS - 3)
    if world.said and world.said[-1][1].choice is OUT:
        held = {side for side, one in world.held.items() if one is not None and one.choice is IN}
        assert not held or engine.held_back


# --- every row of one write of ours at Dotdigital ---

SAID, BEGUN, SHOWN = day(10), day(20), day(20) + timedelta(seconds=5)  # what it says, and when
DATES = {
    "before it was begun": BEGUN - timedelta(hours=1),
    "as it was sent": BEGUN + timedelta(seconds=1),
    "as it was proven": SHOWN,
    "after it was proven": SHOWN + timedelta(minutes=1),
    "long after": day(30),
}
KINDS = {
    "proven": (SHOWN, False),
    "proven after a wait": (SHOWN + timedelta(minutes=5), False),
    "proven late": (SHOWN, True),
    "unproven": (None, True),
    "never sent": (None, False),
}
AT_ONCE = ("as it was sent", "as it was proven")
MEANWHILE = {"older": day(9), "same": SAID, "newer": day(15)}  # what MyPreferences says, to the contrary


def counts_as_ours(choice: Choice, kind: str, when: str) -> bool:
    """By the promise, not by the code: an opt-in that may be ours is; an opt-out only if it surely is."""
    if when == "before it was begun" or kind == "never sent":
        return False
    shown_at, may_apply = KINDS[kind]
    until_proof = shown_at is not None and DATES[when] <= shown_at
    if choice is OUT:
        return not may_apply and until_proof and when in AT_ONCE
    return may_apply or until_proof


def row(choice: Choice, kind: str, when: str, meanwhile: str) -> Decision:
    """The decision where a side shows that row, and MyPreferences the contrary."""
    shown_at, may_apply = KINDS[kind]
    own = OwnWrite(choice is OUT, SAID, BEGUN, shown_at, may_apply)
    mine = (no if choice is IN else yes)(MEANWHILE[meanwhile])
    theirs = (yes if choice is IN else no)(DATES[when])
    latest = replace(TOPIC, conflict=Conflict.LATEST)
    one = cell(mine, theirs, agreed(OUT, 5), latest, own_writes={DD: (own,)})
    return decide(latest, one, None, False, ORDINARY)


ROWS = list(product((IN, OUT), KINDS, DATES, MEANWHILE))


@pytest.mark.parametrize(("choice", "kind", "when", "meanwhile"), ROWS)
def test_a_row_that_we_wrote_is_as_old_as_what_we_wrote(
    choice: Choice, kind: str, when: str, meanwhile: str
) -> None:
    decision = row(choice, kind, when, meanwhile)
    theirs = SAID if counts_as_ours(choice, kind, when) else DATES[when]
    mine = MEANWHILE[meanwhile]
    source, said, contrary = (DD, theirs, mine) if choice is IN else (MP, mine, theirs)
    if said > contrary + SKEW:
        assert [(write.evidence.side, write.evidence.changed_at) for write in lifts(decision)] == [
            (source, said)
        ]
    elif choice is OUT and is_a_guess(kind, when) and mine > SAID + SKEW:
        assert isinstance(decision, Held)
        assert decision.rule is Rule.OWN_WRITE
    else:
        assert withdrawn_sides(decision) == {source}


def is_a_guess(kind: str, when: str) -> bool:
    """Whether an opt-out may be ours or the person's."""
    if kind == "proven after a wait":
        return when == "after it was proven"  # said while the write waited, or left by it
    return kind in ("proven late", "unproven") and when != "before it was begun"


def test_all_kinds_of_rows_are_there() -> None:
    assert len(ROWS) == 2 * 5 * 5 * 3
    reached = {type(row(*one)) for one in ROWS}
    assert reached == {Act, Held}


def test_what_was_written_at_mypreferences_keeps_the_date_that_it_was_sent_with() -> None:
    own = OwnWrite(False, SAID, BEGUN)
    one = cell(yes(30), no(15), agreed(OUT, 5), own_writes={MP: (own,)})
    assert one.dated(MP) == day(30)
    assert lifts(decide(TOPIC, one, None, False, ORDINARY))
