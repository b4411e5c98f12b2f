"""Every row of decide(): baseline x MyPreferences x Dotdigital x policy x direction, judged by an oracle of
plain promises that shares no code with the decision. Rows people ask about: `test_decide_golden.py`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
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
from bridge.core.decision import Act, Agree, Decision, Held, Nothing, Rule, Wait, writes_of
from bridge.core.guards import DecisionContext
from bridge.core.mapping import Conflict, Direction, Topic
from bridge.core.model import Agreement, Block, Cell, Choice, ClockReading, Observation, Side
from bridge.core.writes import Resubscribe
from tests.sizes import part

OLDER, BASE, NEWER, NEWEST = 5.0, 10.0, 20.0, 30.0
WITHIN_SKEW = day(BASE) + timedelta(seconds=1)
SIMULTANEOUS = day(NEWER) + timedelta(seconds=1)
SOON = NOW + timedelta(minutes=5)  # a server clock a little ahead
FUTURE = NOW + timedelta(days=3)
DATES = (OLDER, WITHIN_SKEW, NEWER, SIMULTANEOUS, NEWEST, SOON, FUTURE, None)

WORDS_SAID = (*(yes(at) for at in DATES), *(no(at) for at in DATES))
UNSAID = (yes(undated=True), silent(), silent(undated=True), ABSENT)
SEVERAL = (no(NEWER, records=2, consistent=False), yes(NEWER, records=2))
BLOCKS = tuple(blocked(one) for one in (Block.CONTROLLER, Block.UNREACHABLE, Block.PENDING, Block.UNKNOWN))
COMPLAINTS = (no(NEWER, block=Block.COMPLAINT), no(block=Block.COMPLAINT))

MINE = (*WORDS_SAID, *UNSAID, *SEVERAL)
THEIRS = {
    "topic": (*WORDS_SAID, *UNSAID),
    "channel": (*(no(at) for at in DATES), MAILABLE, ABSENT, *COMPLAINTS, *BLOCKS),
}
BASELINES = (None, *product((Choice.OPTED_IN, Choice.OPTED_OUT), (False, True), (False, True)))
TOPICS = {"topic": TOPIC, "channel": EMAIL}
NOTHING_APPROVED = DecisionContext(ClockReading(NOW, SKEW), epoch=NOW, first_run=True)


@dataclass(frozen=True)
class Row:
    topic: Topic
    cell: Cell
    now: DecisionContext

    @property
    def mine(self) -> Observation:
        return self.cell.seen[MP]

    @property
    def theirs(self) -> Observation:
        return self.cell.seen[DD]


def rows(kind: str, policy: Conflict, direction: Direction, now: DecisionContext) -> Iterator[Row]:
    every = kind == "channel" and policy is Conflict.LATEST  # the two settings do not meet
    for resubscribe in Resubscribe if every else (Resubscribe.HOLD,):
        topic = replace(TOPICS[kind], conflict=policy, direction=direction, resubscribe=resubscribe)
        baselines = BASELINES if now is ORDINARY else (None,)  # only what nobody agreed on waits for approval
        for baseline, mine, theirs in product(baselines, MINE, THEIRS[kind]):
            yield Row(topic, cell(mine, theirs, agreement_of(baseline, mine, theirs), topic), now)


def agreement_of(
    baseline: tuple[Choice, bool, bool] | None, mine: Observation, theirs: Observation
) -> Agreement | None:
    """An agreement that some sides have not changed since; it is as new as the newest of those."""
    if baseline is None:
        return None
    choice, mine_same, theirs_same = baseline
    kept = [seen for seen, same in ((mine, mine_same), (theirs, theirs_same)) if same]
    dates = [seen.changed_at for seen in kept if seen.changed_at is not None and seen.changed_at < FUTURE]
    at = max([day(BASE), *dates])
    return agreed(choice, at, mine if mine_same else None, theirs if theirs_same else None)


# --- the oracle: plain promises ---


def unchanged(row: Row, side: Side) -> bool:
    before = row.cell.agreed
    return before is not None and before.versions.get(side) == row.cell.seen[side].version


def says_no(row: Row, side: Side) -> bool:
    return row.cell.seen[side].choice is Choice.OPTED_OUT


def says_yes(row: Row, side: Side) -> bool:
    return row.cell.seen[side].choice is Choice.OPTED_IN


def agreed_out(row: Row) -> bool:
    return row.cell.agreed is not None and row.cell.agreed.choice is Choice.OPTED_OUT


def newest_withdrawal(row: Row) -> datetime | str | None:
    """The date an opt-in has to be newer than: None without a withdrawal, "never" where nothing can be."""
    dates = [row.cell.agreed.at] if row.cell.agreed is not None and agreed_out(row) else []
    for side in Side:
        if not says_no(row, side):
            continue
        said = row.cell.seen[side].changed_at
        if said is not None and not (unchanged(row, side) and said >= FUTURE):
            dates.append(said)
        elif unchanged(row, side) and row.cell.agreed is not None:
            dates.append(row.cell.agreed.at)
        else:
            return "never"
    return max(dates, default=None)


def is_evidence(row: Row, side: Side) -> bool:
    """Whether a side's yes is stated, dated, not in the future, and newer than every withdrawal."""
    seen, bar = row.cell.seen[side], newest_withdrawal(row)
    if not says_yes(row, side) or not seen.stated or seen.changed_at is None or seen.changed_at >= FUTURE:
        return False
    return bar is None or (isinstance(bar, datetime) and seen.changed_at > bar + SKEW)


def after(row: Row, decision: Act) -> Decision:
    """What is decided once a decision was carried out, read back and agreed."""
    done = carried_out(row.topic, row.cell, decision.writes)
    return decide(row.topic, settled(done, decision, done.versions), None, False, row.now)


def a_raise_rests_on_newer_dated_evidence(row: Row, decision: Decision) -> bool:
    return all(
        is_evidence(row, write.side.other)
        and write.evidence.side is write.side.other
        and write.evidence.changed_at == row.cell.seen[write.side.other].changed_at
        for write in lifts(decision)
    )


def an_undated_opt_out_is_never_overruled(row: Row, decision: Decision) -> bool:
    undated = [
        side
        for side in Side
        if says_no(row, side) and row.cell.seen[side].changed_at is None and not unchanged(row, side)
    ]
    return not undated or not lifts(decision)


def an_opt_out_beside_an_opt_in_is_never_left_so(row: Row, decision: Decision) -> bool:
    for side in Side:
        if not (says_no(row, side) and says_yes(row, side.other)):
            continue
        if side.other in withdrawn_sides(decision) or isinstance(decision, Wait):
            return True
        if isinstance(decision, Held):
            return decision.rule in (Rule.CONFLICT, Rule.DIRECTION) or is_evidence(row, side.other)
        if not row.topic.direction.allows(side.other) and isinstance(decision, Act) and not lifts(decision):
            return isinstance(after(row, decision), Held | Wait)  # what may go goes, the rest is held
        one_way = isinstance(decision, Nothing) and decision.rule is Rule.ONE_WAY
        return is_evidence(row, side.other) and (bool(lifts(decision)) or one_way)
    return True


def an_opt_in_older_than_an_agreed_opt_out_is_withdrawn(row: Row, decision: Decision) -> bool:
    late = [side for side in Side if says_yes(row, side) and not is_evidence(row, side)]
    if not agreed_out(row) or not late or any(is_evidence(row, side) for side in Side):
        return True
    if isinstance(decision, Wait):
        return any(row.cell.seen[side].undated for side in Side)
    if isinstance(decision, Held):
        return decision.rule in (Rule.CONFLICT, Rule.DIRECTION)
    allowed = {side for side in late if row.topic.direction.allows(side)}
    return withdrawn_sides(decision) >= allowed and isinstance(decision, Act)


def two_opt_outs_need_no_writes(row: Row, decision: Decision) -> bool:
    both = all(says_no(row, side) and row.cell.seen[side].consistent for side in Side)
    return not both or not writes_of(decision)


def nobody_who_is_absent_is_written(row: Row, decision: Decision) -> bool:
    return all(row.cell.seen[write.side].present for write in writes_of(decision))


def nothing_is_written_against_the_direction(row: Row, decision: Decision) -> bool:
    return all(row.topic.direction.allows(write.side) for write in writes_of(decision))


def silence_absence_and_bounces_withdraw_nobody(row: Row, decision: Decision) -> bool:
    nobody_said_no = not agreed_out(row) and not any(says_no(row, side) for side in Side)
    return not nobody_said_no or not withdrawn_sides(decision)


def a_block_or_several_records_are_never_raised(row: Row, decision: Decision) -> bool:
    return all(
        row.cell.seen[write.side].block is None and row.cell.seen[write.side].records == 1
        for write in lifts(decision)
    )


def a_listing_is_looked_into_before_it_is_raised(row: Row, decision: Decision) -> bool:
    return not lifts(decision) or not any(row.cell.seen[side].undated for side in Side)


def the_first_run_raises_nobody_unapproved(row: Row, decision: Decision) -> bool:
    epoch = row.now.epoch
    if epoch is None or row.cell.agreed is not None:
        return True
    return all(write.evidence.changed_at > epoch for write in lifts(decision))


def an_unsubscribed_person_waits_for_the_operator(row: Row, decision: Decision) -> bool:
    if not row.topic.is_channel:
        return True
    to_dotdigital = [write for write in lifts(decision) if write.side is DD]
    return row.topic.resubscribe is not Resubscribe.HOLD or not to_dotdigital


def an_agreed_opt_out_forgets_no_date(row: Row, decision: Decision) -> bool:
    """What is agreed now is at least as new as every sane date seen, and as the read of an undated no."""
    if isinstance(decision, Agree):
        choice, at = decision.agreement.choice, decision.agreement.at
    elif isinstance(decision, Act):
        choice, at = decision.choice, decision.at
    else:
        return True
    bar = newest_withdrawal(row)
    if choice is not Choice.OPTED_OUT or bar is None:
        return True
    if bar == "never":
        read = [row.cell.seen[side].read_at for side in Side if says_no(row, side)]
        return any(row.cell.seen[side].changed_at == FUTURE for side in Side) or at >= max(read)
    return isinstance(bar, datetime) and (at >= bar or bar >= FUTURE)


def the_same_row_is_decided_the_same(row: Row, decision: Decision) -> bool:
    return decision == decide(row.topic, row.cell, None, False, row.now)


def once_carried_out_nothing_is_left_to_write(row: Row, decision: Decision) -> bool:
    """No echo, whether the agreement holds what was seen when deciding or what was read back."""
    if not isinstance(decision, Act):
        return True
    done = carried_out(row.topic, row.cell, decision.writes)
    later = replace(row.now, clocks=LATER.clocks)
    for versions in (decision.versions, done.versions):
        again = decide(row.topic, settled(done, decision, versions), None, False, later)
        if writes_of(again):
            return False
    return True


def a_write_is_dated_so_that_it_holds(row: Row, decision: Decision) -> bool:
    """MyPreferences does not honour a date older than what it holds. A date in the future would lock the
    person out for good."""
    for write in writes_of(decision):
        held = row.cell.seen[write.side].changed_at
        effective = getattr(write, "effective_at", None)
        if effective is None:
            continue
        if effective >= FUTURE or (held is not None and held < FUTURE and effective <= held):
            return False
    return True


PART = 3  # each row under some policy and direction, in an ordinary run of the tests


def turn_of(policy: Conflict, direction: Direction) -> int:
    return list(Conflict).index(policy) + list(Direction).index(direction)


PROMISES: tuple[Callable[[Row, Decision], bool], ...] = (
    a_raise_rests_on_newer_dated_evidence,
    an_undated_opt_out_is_never_overruled,
    an_opt_out_beside_an_opt_in_is_never_left_so,
    an_opt_in_older_than_an_agreed_opt_out_is_withdrawn,
    two_opt_outs_need_no_writes,
    nobody_who_is_absent_is_written,
    nothing_is_written_against_the_direction,
    silence_absence_and_bounces_withdraw_nobody,
    a_block_or_several_records_are_never_raised,
    a_listing_is_looked_into_before_it_is_raised,
    the_first_run_raises_nobody_unapproved,
    an_unsubscribed_person_waits_for_the_operator,
    an_agreed_opt_out_forgets_no_date,
    the_same_row_is_decided_the_same,
    once_carried_out_nothing_is_left_to_write,
    a_write_is_dated_so_that_it_holds,
)


def told(row: Row, decision: Decision) -> str:
    return (
        f"\n  {row.topic}\n  mine   {row.mine}\n  theirs {row.theirs}\n  {row.cell.agreed}\n  -> {decision}"
    )


@pytest.mark.parametrize("direction", Direction)
@pytest.mark.parametrize("policy", Conflict)
@pytest.mark.parametrize("kind", TOPICS)
def test_every_row_keeps_every_promise(kind: str, policy: Conflict, direction: Direction) -> None:
    broken: dict[str, list[str]] = {}
    for now in (ORDINARY, NOTHING_APPROVED):
        for row in part(rows(kind, policy, direction, now), PART, turn_of(policy, direction)):
            decision = decide(row.topic, row.cell, None, False, row.now)
            for promise in PROMISES:
                if not promise(row, decision):
                    broken.setdefault(promise.__name__, []).append(told(row, decision))
    assert not broken, "\n".join(f"{name}: {len(found)} rows, as{found[0]}" for name, found in broken.items())


def test_all_rows_are_there() -> None:
    """Guards the enumeration itself: a dimension that falls away would make every promise easier."""
    count = {kind: sum(1 for _ in rows(kind, Conflict.LATEST, Direction.BOTH, ORDINARY)) for kind in TOPICS}
    assert count == {
        "topic": 9 * len(MINE) * len(THEIRS["topic"]),
        "channel": 3 * 9 * len(MINE) * len(THEIRS["channel"]),
    }
    assert count["topic"] > 3_900


def test_every_kind_of_decision_and_of_write_is_reached() -> None:
    decisions = [
        decide(row.topic, row.cell, None, False, row.now)
        for kind, now in product(TOPICS, (ORDINARY, NOTHING_APPROVED))
        for row in rows(kind, Conflict.LATEST, Direction.BOTH, now)
    ]
    assert {type(one) for one in decisions} == {Act, Agree, Held, Nothing, Wait}
    assert {write.side for one in decisions for write in lifts(one)} == set(Side)
    assert {side for one in decisions for side in withdrawn_sides(one)} == set(Side)


# --- topics under an e-mail channel whose unsubscribe spreads to them ---

UNDER = (*(no(at) for at in (OLDER, NEWER, FUTURE, None)), *COMPLAINTS, MAILABLE, ABSENT, BLOCKS[0])

BENEATH = (yes(OLDER), yes(NEWEST), yes(), yes(undated=True), no(OLDER), no(NEWER), no(), silent(), ABSENT)


def under_rows(policy: Conflict, direction: Direction) -> Iterator[tuple[Row, Cell]]:
    topic = replace(TOPIC, conflict=policy, direction=direction)
    for mailed, baseline, mine, theirs in product(UNDER, BASELINES, MINE, BENEATH):
        one = cell(mine, theirs, agreement_of(baseline, mine, theirs), topic)
        yield Row(topic, one, ORDINARY), cell(silent(), mailed, topic=EMAIL)


def keeps_under_channel(row: Row, channel: Cell, decision: Decision) -> bool:
    mailed = channel.seen[DD]
    if mailed.choice is not Choice.OPTED_OUT:
        return decision == decide(row.topic, row.cell, channel, False, row.now)
    if lifts(decision) or any(write.side is DD for write in writes_of(decision)):
        return False
    if not row.mine.present or row.mine.choice is Choice.OPTED_OUT:
        return True
    if isinstance(decision, Wait):
        return row.mine.undated
    if isinstance(decision, Held):
        newer = (
            row.mine.changed_at is not None
            and mailed.changed_at is not None
            and row.mine.changed_at > mailed.changed_at + SKEW
        )
        blocked_out = decision.rule in (Rule.CHANNEL_OUT, Rule.COMPLAINT)
        return decision.rule in (Rule.CONFLICT, Rule.DIRECTION) or (blocked_out and newer)
    if isinstance(decision, Nothing):
        nowhere = Rule.ONE_WAY if row.theirs.present else Rule.NOBODY_THERE
        return is_evidence(row, MP) and decision.rule is nowhere
    return withdrawn_sides(decision) == {MP}


@pytest.mark.parametrize("direction", Direction)
@pytest.mark.parametrize("policy", Conflict)
def test_an_unsubscribe_that_spreads_leaves_no_topic_opted_in(policy: Conflict, direction: Direction) -> None:
    for row, channel in part(under_rows(policy, direction), PART, turn_of(policy, direction)):
        decision = decide(row.topic, row.cell, channel, True, row.now)
        assert keeps_under_channel(row, channel, decision), (
            told(row, decision) + f"\n  under {channel.seen[DD]}"
        )


UNSURE = {
    Rule.UNSEEN: (None, cell(silent(), None, topic=EMAIL)),
    Rule.STALE: (cell(silent(), MAILABLE, topic=EMAIL, written_at={DD: NOW}),),
    Rule.IN_DOUBT: (cell(silent(), MAILABLE, topic=EMAIL, in_doubt_since={DD: NOW}),),
}


@pytest.mark.parametrize(
    ("rule", "channel"), [(rule, one) for rule, found in UNSURE.items() for one in found]
)
def test_no_topic_is_raised_under_a_channel_that_cannot_be_believed(rule: Rule, channel: Cell | None) -> None:
    raised = 0
    for row in rows("topic", Conflict.LATEST, Direction.BOTH, ORDINARY):
        plain = decide(row.topic, row.cell, None, False, row.now)
        found = decide(row.topic, row.cell, channel, True, row.now)
        raised += bool(lifts(plain))
        assert found == (Wait(rule, (DD,)) if lifts(plain) else plain)
    assert raised > 50
