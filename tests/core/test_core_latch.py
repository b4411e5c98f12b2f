"""Opt-outs that were seen and not agreed yet: what latches them, what they outlive, and every
state of a cell under a latch at either side."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from itertools import product

import pytest
from core_cells import (
    ABSENT,
    DD,
    EMAIL,
    LATER,
    MAILABLE,
    MP,
    NOW,
    ORDINARY,
    READ,
    SKEW,
    TOPIC,
    agreed,
    blocked,
    carried_out,
    cell,
    day,
    lifts,
    no,
    settled,
    silent,
    withdrawn_sides,
    yes,
)

from bridge.core.decide import decide
from bridge.core.decision import Act, Agree, Decision, Held, Rule, Wait, writes_of
from bridge.core.latch import hold_ground, is_incomplete, latch_after, retry_delay
from bridge.core.mapping import Conflict, Direction, Topic
from bridge.core.model import PENDING_UPDATE, Agreement, Block, Cell, Choice, Latch, Observation, Side

OUT_AT = 20.0
JUST_AFTER = day(OUT_AT) + timedelta(seconds=1)  # within the skew
FUTURE = NOW + timedelta(days=3)
EXISTING, UNDATED = Latch(DD, day(OUT_AT), READ), Latch(DD, None, READ)


# what latches an opt-out

LATCHING: dict[str, tuple[Latch | None, Observation | None, Observation, float | None, Latch | None]] = {
    "an opt-out of a new person": (None, None, no(20), None, Latch(DD, day(20), READ)),
    "an opt-out after an opt-in": (None, yes(5), no(20), None, Latch(DD, day(20), READ)),
    "an opt-out without a date": (None, yes(5), no(), None, Latch(DD, None, READ)),
    "a complaint": (None, MAILABLE, no(20, block=Block.COMPLAINT), None, Latch(DD, day(20), READ)),
    "a newer opt-out": (Latch(MP, day(20), READ), None, no(25), None, Latch(DD, day(25), READ)),
    "the same person's later opt-out": (EXISTING, no(20), no(25), None, Latch(DD, day(25), READ)),
    "an older opt-out": (EXISTING, None, no(15), None, EXISTING),
    "an opt-out without a date after one with a date": (EXISTING, None, no(), None, Latch(DD, None, READ)),
    "a dated opt-out at the other side": (Latch(MP, None, READ), None, no(25), None, Latch(MP, None, READ)),
    "the date of an opt-out that had none": (UNDATED, no(), no(20), None, EXISTING),
    "the opt-out that is agreed": (None, silent(), no(20), 20, None),
    "an opt-out older than what is agreed": (None, silent(), no(15), 20, None),
    "an opt-out newer than what is agreed": (None, silent(), no(25), 20, Latch(DD, day(25), READ)),
    "the same opt-out read again": (None, no(20), no(20), None, None),
    "an opt-in": (EXISTING, no(20), yes(30), None, EXISTING),
    "silence": (EXISTING, no(20), silent(), None, EXISTING),
    "absence": (EXISTING, no(20), ABSENT, None, EXISTING),
    "a bounce": (None, yes(5), blocked(Block.UNREACHABLE), None, None),
    "a state that nobody stated": (None, yes(5), no(20, stated=False), None, None),
    "a write that is not finished": (None, yes(5), no(20, reason=PENDING_UPDATE), None, None),
}


@pytest.mark.parametrize("case", LATCHING)
def test_a_stated_opt_out_is_latched_unless_what_is_agreed_is_as_new(case: str) -> None:
    latch, old, new, agreed_out, expected = LATCHING[case]
    assert latch_after(latch, old, new, DD, None if agreed_out is None else day(agreed_out)) == expected


@pytest.mark.parametrize("seen", [silent(), ABSENT, blocked(Block.UNREACHABLE), MAILABLE, yes(), yes(10)])
def test_a_hold_rests_on_a_latched_opt_out_whatever_its_side_shows_since(seen: Observation) -> None:
    before = cell(yes(5), no(OUT_AT), latch=EXISTING)
    assert hold_ground(replace(before, seen={**before.seen, DD: seen})) == hold_ground(before)


def test_a_hold_lapses_when_a_later_opt_in_or_opt_out_shows() -> None:
    before = cell(yes(5), no(OUT_AT), latch=EXISTING)
    grounds = {
        hold_ground(before),
        hold_ground(cell(yes(5), yes(30), latch=EXISTING)),
        hold_ground(cell(yes(5), no(30), latch=Latch(DD, day(30), READ))),
        hold_ground(cell(yes(6), no(OUT_AT), latch=EXISTING)),
    }
    assert len(grounds) == 4


def test_a_latch_alone_changes_no_hold_of_the_opt_out_that_it_is_about() -> None:
    unlatched = cell(yes(5), no(OUT_AT))
    assert hold_ground(replace(unlatched, latch=EXISTING)) == hold_ground(unlatched) == unlatched.ground


def test_an_opt_out_is_sent_again_for_ever_and_ever_less_often() -> None:
    delays = [retry_delay(tries) for tries in range(1, 50)]
    assert delays[:5] == [timedelta(hours=hours) for hours in (0, 1 / 12, 1, 6, 24)]
    assert delays == sorted(delays)
    assert delays[-1] == timedelta(days=1)


# every state of a cell under a latch

LATCHES = tuple(Latch(side, at, READ) for side, at in product(Side, (day(OUT_AT), None)))
SINCE = (
    *(yes(at) for at in (10, JUST_AFTER, 30, FUTURE, None)),
    yes(undated=True),
    silent(),
    silent(undated=True),
    ABSENT,
    blocked(Block.UNREACHABLE),
)
ELSEWHERE = (*SINCE, no(10), no(30), no(), no(30, records=2, consistent=False))
CHANNEL_ONLY = (MAILABLE, *(blocked(one) for one in (Block.CONTROLLER, Block.PENDING, Block.UNKNOWN)))
BASELINES = (None, *product((Choice.OPTED_IN, Choice.OPTED_OUT), (False, True)))  # the other side unchanged
TOPICS = {"topic": TOPIC, "channel": EMAIL}


@dataclass(frozen=True)
class LatchedRow:
    topic: Topic
    cell: Cell
    latch: Latch

    @property
    def own(self) -> Observation:
        return self.cell.seen[self.latch.side]

    @property
    def other(self) -> Observation:
        return self.cell.seen[self.latch.side.other]


def latched_rows(kind: str, policy: Conflict, direction: Direction) -> Iterator[LatchedRow]:
    topic = replace(TOPICS[kind], conflict=policy, direction=direction)
    for latch in LATCHES:
        there = {side: CHANNEL_ONLY if (kind, side) == ("channel", DD) else () for side in Side}
        own, other = SINCE + there[latch.side], ELSEWHERE + there[latch.side.other]
        for shown, elsewhere, baseline in product(own, other, BASELINES):
            mine, theirs = (shown, elsewhere) if latch.side is MP else (elsewhere, shown)
            agreement = agreement_of(baseline, latch.side.other, elsewhere)
            yield LatchedRow(topic, cell(mine, theirs, agreement, topic, latch=latch), latch)


def agreement_of(baseline: tuple[Choice, bool] | None, side: Side, seen: Observation) -> Agreement | None:
    """What was agreed before the opt-out was seen."""
    if baseline is None:
        return None
    choice, unchanged = baseline
    shown = seen if unchanged else None
    return agreed(choice, 8, *((shown, None) if side is MP else (None, shown)))


def is_newer(latch: Latch, seen: Observation) -> bool:
    """Whether an opt-in is stated, dated, not in the future, and newer than the latched opt-out."""
    if not seen.opted_in or not seen.stated or seen.changed_at is None or latch.at is None:
        return False
    return latch.at + SKEW < seen.changed_at < FUTURE


def is_never_raised_over(row: LatchedRow, decision: Decision) -> bool:
    """An opt-in is sent, or agreed, only on a dated statement newer than the latched opt-out."""
    dates = [write.evidence.changed_at for write in lifts(decision)]
    if any(row.latch.at is None or at <= row.latch.at + SKEW for at in dates):
        return False
    agrees = isinstance(decision, Agree) and decision.agreement.choice is Choice.OPTED_IN
    return not agrees or any(is_newer(row.latch, seen) for seen in (row.own, row.other))


def is_never_lost(row: LatchedRow, decision: Decision) -> bool:
    """It is sent to a side that is opted in, or it waits for a read or an operator."""
    if any(is_newer(row.latch, seen) for seen in (row.own, row.other)) or not row.other.opted_in:
        return True
    if isinstance(decision, Act):
        return row.latch.side.other in withdrawn_sides(decision)
    return isinstance(decision, Wait | Held)


def is_decided_as_before(row: LatchedRow, decision: Decision) -> bool:
    """A bounce, a block, a deletion or silence at its side changes nothing of what is sent."""
    if row.own.choice is not Choice.UNSET:
        return True
    out = replace(row.own, choice=Choice.OPTED_OUT, changed_at=row.latch.at, stated=True, undated=False)
    shown = replace(row.cell, seen={**row.cell.seen, row.latch.side: out}, latch=None)
    before = decide(row.topic, shown, None, False, ORDINARY)
    return (type(before), before_writes(before)) == (type(decision), before_writes(decision))


def before_writes(decision: Decision) -> object:
    return decision.proposed if isinstance(decision, Held) else writes_of(decision)


def is_over_once_agreed(row: LatchedRow, decision: Decision) -> bool:
    """Once it is carried out and the latch is gone, what is left at its own side is withdrawn there, and then
    nothing more is written."""
    if not isinstance(decision, Act) or lifts(decision):
        return True
    one = row.cell
    for _ in range(2):
        done = carried_out(row.topic, one, decision.writes)
        one = replace(settled(done, decision, {**decision.versions, **written(done, decision)}), latch=None)
        again = decide(row.topic, one, None, False, LATER)
        if lifts(again) and not any(is_newer(row.latch, seen) for seen in (row.own, row.other)):
            return row.latch.at is None  # agreed as of its reading: a later opt-in counts again
        if not isinstance(again, Act) or lifts(again):
            return True
        decision = again
    return False


def written(done: Cell, decision: Act) -> dict[Side, str]:
    return {write.side: done.seen[write.side].version for write in decision.writes}


PROMISES = (is_never_raised_over, is_never_lost, is_decided_as_before, is_over_once_agreed)


@pytest.mark.parametrize("direction", Direction)
@pytest.mark.parametrize("policy", Conflict)
@pytest.mark.parametrize("kind", TOPICS)
def test_a_latched_opt_out_is_never_lost_and_never_raised_over(
    kind: str, policy: Conflict, direction: Direction
) -> None:
    broken: dict[str, list[str]] = {}
    for row in latched_rows(kind, policy, direction):
        decision = decide(row.topic, row.cell, None, False, ORDINARY)
        for promise in PROMISES:
            if not promise(row, decision):
                broken.setdefault(promise.__name__, []).append(f"\n  {row.cell}\n  -> {decision}")
    assert not broken, "\n".join(f"{name}: {len(found)} rows, as{found[0]}" for name, found in broken.items())


def test_every_state_under_a_latch_is_there() -> None:
    """Guards the enumeration itself."""
    count = {kind: sum(1 for _ in latched_rows(kind, Conflict.LATEST, Direction.BOTH)) for kind in TOPICS}
    plain, more = (len(SINCE), len(ELSEWHERE)), len(CHANNEL_ONLY)
    assert count == {
        "topic": 2 * 2 * 5 * plain[0] * plain[1],
        "channel": 2 * 5 * (plain[0] * (plain[1] + more) + (plain[0] + more) * plain[1]),
    }
    assert count["channel"] > 3_500


def test_a_topic_is_withdrawn_under_its_own_latch_when_the_channel_shows_nothing_any_more() -> None:
    bounced = cell(silent(), blocked(Block.UNREACHABLE), topic=EMAIL)
    one = cell(yes(5), yes(6), agreed(Choice.OPTED_IN, 6, yes(5), yes(6)), latch=EXISTING)
    decision = decide(TOPIC, one, bounced, True, ORDINARY)
    assert withdrawn_sides(decision) == {MP}
    assert isinstance(decision, Act)
    assert decision.rule is Rule.WITHDRAWAL_FOLLOWS
    assert decision.at == day(OUT_AT)


@pytest.mark.parametrize(
    ("mine", "theirs", "topic", "left"),
    [
        (no(20), no(20), TOPIC, False),
        (no(20), silent(), TOPIC, False),
        (no(20), ABSENT, EMAIL, False),
        (no(20), MAILABLE, EMAIL, True),
        (no(20), blocked(Block.UNREACHABLE), EMAIL, True),
        (silent(), no(20), TOPIC, True),
        (yes(10), no(20), TOPIC, True),
    ],
)
def test_an_agreed_opt_out_is_incomplete_until_each_record_shows_it(
    mine: Observation, theirs: Observation, topic: Topic, left: bool
) -> None:
    one = cell(mine, theirs, topic=topic, latch=EXISTING)
    assert is_incomplete(one, agreed(Choice.OPTED_OUT, 20)) is left
    assert not is_incomplete(one, agreed(Choice.OPTED_IN, 20))


def test_nothing_is_settled_on_the_ground_from_before_a_latch() -> None:
    """An unsubscribe latches topics that show nothing new themselves."""
    one = cell(yes(5), yes(6))
    latched = replace(one, latch=EXISTING)
    assert not latched.is_settled(one.ground, None)
    assert not replace(one, latch=Latch(DD, day(30), READ)).is_settled(latched.ground, None)


def test_an_agreement_that_ends_a_latch_is_made_although_nothing_else_changed() -> None:
    mine, theirs = no(OUT_AT), no(OUT_AT)
    same = agreed(Choice.OPTED_OUT, OUT_AT, mine, theirs)
    decision = decide(TOPIC, cell(mine, theirs, same, latch=EXISTING), None, False, ORDINARY)
    assert isinstance(decision, Agree)
