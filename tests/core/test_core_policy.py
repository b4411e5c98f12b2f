"""What makes an opt-in evidence, which choice holds in a conflict, and what proves a write."""

from __future__ import annotations

from datetime import timedelta

import pytest
from core_cells import ABSENT, DD, EMAIL, MP, NOW, OFFERS, READ, SKEW, TOPIC, blocked, day, no, silent, yes
from hypothesis import given
from hypothesis import strategies as st

from bridge.core.conflict import EvidenceProblem, PolicyResult, evidence_of, resolve_conflict
from bridge.core.decision import is_proven_by
from bridge.core.mapping import Conflict, Direction, Mapping, OnUnsubscribe, Topic
from bridge.core.model import FUTURE_TOLERANCE, Block, ClockReading, Observation, Side, TopicId, newest
from bridge.core.writes import Adjustment, Evidence, Raise, Withdrawal, Write

CLOCKS = ClockReading(NOW, SKEW)
TICK = timedelta(milliseconds=1)


def judged(seen: Observation, newer_than: object = None) -> Evidence | EvidenceProblem:
    return evidence_of(MP, seen, newer_than=newer_than, clocks=CLOCKS)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("seen", "newer_than", "expected"),
    [
        (yes(20, stated=False), None, EvidenceProblem.NOT_STATED),
        (yes(20, stated=False, undated=True), None, EvidenceProblem.NOT_STATED),
        (yes(), None, EvidenceProblem.UNDATED),
        (yes(undated=True), None, EvidenceProblem.NEEDS_DATE),
        (yes(undated=True), day(5), EvidenceProblem.NEEDS_DATE),
        (yes(NOW + FUTURE_TOLERANCE + TICK), None, EvidenceProblem.FUTURE),
        (yes(NOW + FUTURE_TOLERANCE + TICK), day(5), EvidenceProblem.FUTURE),
        (yes(20), day(20), EvidenceProblem.LATE),
        (yes(20), day(30), EvidenceProblem.LATE),
        (yes(day(20) + SKEW), day(20), EvidenceProblem.LATE),
    ],
)
def test_an_opt_in_under_doubt_is_no_evidence(
    seen: Observation, newer_than: object, expected: EvidenceProblem
) -> None:
    assert judged(seen, newer_than) is expected


@pytest.mark.parametrize(
    ("seen", "newer_than"),
    [
        (yes(20), None),
        (yes(20, undated=True), None),
        (yes(NOW + FUTURE_TOLERANCE), None),
        (yes(day(20) + SKEW + TICK), day(20)),
    ],
)
def test_a_stated_dated_newer_opt_in_is_evidence(seen: Observation, newer_than: object) -> None:
    assert judged(seen, newer_than) == Evidence(MP, seen.changed_at, READ, seen.version)  # type: ignore[arg-type]


@given(st.timedeltas(), st.timedeltas())
def test_evidence_is_always_newer_than_what_it_undoes_by_more_than_the_skew(said, withdrawn) -> None:
    limit = timedelta(days=10_000)
    if abs(said) > limit or abs(withdrawn) > limit:
        return
    found = judged(yes(day(20) + said), day(20) + withdrawn)
    if isinstance(found, Evidence):
        assert found.changed_at - (day(20) + withdrawn) > SKEW
        assert found.changed_at <= NOW + FUTURE_TOLERANCE
    else:
        assert found in (EvidenceProblem.LATE, EvidenceProblem.FUTURE)


RULINGS = {
    Conflict.WITHDRAWAL_WINS: (PolicyResult.WITHDRAW, PolicyResult.WITHDRAW),
    Conflict.LATEST: (PolicyResult.RAISE, PolicyResult.RAISE),
    Conflict.MYPREFERENCES: (PolicyResult.RAISE, PolicyResult.WITHDRAW),
    Conflict.DOTDIGITAL: (PolicyResult.WITHDRAW, PolicyResult.RAISE),
    Conflict.HOLD: (PolicyResult.HOLD, PolicyResult.HOLD),
}


@pytest.mark.parametrize("policy", Conflict)
def test_each_policy_hears_whom_it_names(policy: Conflict) -> None:
    assert tuple(resolve_conflict(policy, opted_in_at=side) for side in Side) == RULINGS[policy]


def test_the_newest_of_no_known_date_is_none() -> None:
    assert newest() is None
    assert newest(None, None) is None
    assert newest(None, day(5), day(7), None) == day(7)


@pytest.mark.parametrize("direction", Direction)
def test_a_direction_allows_the_side_it_names(direction: Direction) -> None:
    allowed = {side for side in Side if direction.allows(side)}
    assert (
        allowed
        == {
            Direction.BOTH: {MP, DD},
            Direction.TO_DOTDIGITAL: {DD},
            Direction.TO_MYPREFERENCES: {MP},
        }[direction]
    )


def test_without_a_place_for_the_channel_an_unsubscribe_spreads() -> None:
    homeless = Topic(EMAIL.id, None, {})
    assert Mapping((TOPIC,), homeless, OnUnsubscribe.CHANNEL, "").unsubscribe_withdraws_topics
    assert Mapping((TOPIC,), EMAIL, OnUnsubscribe.ALL_TOPICS, "").unsubscribe_withdraws_topics
    assert not Mapping((TOPIC,), EMAIL, OnUnsubscribe.CHANNEL, "").unsubscribe_withdraws_topics


def test_the_channel_comes_first_and_every_topic_is_found() -> None:
    mapping = Mapping((TOPIC, OFFERS), EMAIL, OnUnsubscribe.CHANNEL, "")
    assert [topic.id for topic in mapping.all] == ["email", "newsletter", "offers"]
    assert mapping.topic(OFFERS.id) is OFFERS
    assert mapping.topic(TopicId("unknown")) is None
    assert mapping.preference_ids == (1002, 1003, 1004)
    with pytest.raises(ValueError, match="email"):
        Mapping((), TOPIC, OnUnsubscribe.CHANNEL, "")


# --- proof ---

THERE = Evidence(DD, day(20), READ, "")
HERE = Evidence(MP, day(20), READ, "")
OUT_MP, OUT_DD = (Withdrawal(side, TOPIC.id, day(20), day(20)) for side in Side)
IN_MP, IN_DD = Raise(MP, TOPIC.id, THERE), Raise(DD, TOPIC.id, HERE)
DAILY_DD, WEEKLY_DD = Raise(DD, OFFERS.id, HERE, "DAILY"), Adjustment(DD, OFFERS.id, HERE, "WEEKLY")
DAILY = {"frequencies": ("DAILY",)}


@pytest.mark.parametrize(
    ("topic", "write", "seen", "proven"),
    [
        (TOPIC, OUT_MP, no(20), True),
        (TOPIC, OUT_MP, no(20, consistent=False, records=2), False),
        (TOPIC, OUT_MP, silent(), False),
        (TOPIC, OUT_MP, ABSENT, True),
        (TOPIC, OUT_MP, yes(5), False),
        (TOPIC, OUT_MP, no(20, reason="pending_update"), False),
        (TOPIC, OUT_DD, silent(), True),
        (TOPIC, OUT_DD, yes(), False),
        (EMAIL, OUT_DD, silent(), False),
        (EMAIL, OUT_DD, blocked(Block.UNREACHABLE), True),
        (EMAIL, OUT_DD, no(20), True),
        (TOPIC, IN_MP, yes(20), True),
        (TOPIC, IN_MP, yes(20, reason="pending_update"), False),
        (TOPIC, IN_MP, no(20), False),
        (TOPIC, IN_DD, silent(), False),
        (TOPIC, IN_DD, ABSENT, False),
        (OFFERS, DAILY_DD, yes(20, **DAILY), True),
        (OFFERS, DAILY_DD, yes(20), False),
        (OFFERS, WEEKLY_DD, yes(20, **DAILY), False),
        (OFFERS, WEEKLY_DD, yes(20, frequencies=("DAILY", "WEEKLY")), False),
    ],
)
def test_only_what_is_read_back_proves_a_write(
    topic: Topic, write: Write, seen: Observation, proven: bool
) -> None:
    assert is_proven_by(topic, write, seen) is proven
