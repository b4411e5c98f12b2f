"""Short words for building cells: days instead of dates, `yes` and `no` instead of observations."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from bridge.core.decision import Act, Decision
from bridge.core.guards import DecisionContext
from bridge.core.mapping import ConsentRef, FilterRef, Topic
from bridge.core.model import (
    CHANNEL,
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
    TopicId,
)
from bridge.core.writes import Raise, Withdrawal, Write

MP, DD = Side.MYPREFERENCES, Side.DOTDIGITAL
SKEW = timedelta(seconds=2)


def day(number: float) -> datetime:
    """A moment `number` days into the tests' year."""
    return datetime(2025, 1, 1, tzinfo=UTC) + timedelta(days=number)


NOW = day(40)
READ = NOW - timedelta(seconds=30)
AFTER = NOW + timedelta(seconds=30)  # when what was written is read back
ORDINARY = DecisionContext(ClockReading(NOW, SKEW))
LATER = DecisionContext(ClockReading(NOW + timedelta(minutes=1), SKEW))

TOPIC = Topic(TopicId("newsletter"), FilterRef("NEWS_EMAIL"), {"": 1002})
OFFERS = Topic(TopicId("offers"), FilterRef("OFFERS_EMAIL"), {"DAILY": 1003, "WEEKLY": 1004})
EMAIL = Topic(CHANNEL, ConsentRef("EmailMarketing", "1.0", "en_US"), {})
NO_CHANNEL = Topic(CHANNEL, None, {})


def _seen(choice: Choice, at: float | datetime | None, **more: object) -> Observation:
    when = day(at) if isinstance(at, int | float) else at
    return Observation(choice, READ, when, **more)  # type: ignore[arg-type]


def yes(at: float | datetime | None = None, **more: object) -> Observation:
    return _seen(Choice.OPTED_IN, at, **more)


def no(at: float | datetime | None = None, **more: object) -> Observation:
    return _seen(Choice.OPTED_OUT, at, **more)


def silent(**more: object) -> Observation:
    return _seen(Choice.UNSET, None, **more)


def blocked(block: Block) -> Observation:
    return silent(block=block, stated=False)


ABSENT = Observation(Choice.UNSET, READ, present=False)
MAILABLE = yes(stated=False)  # Dotdigital's "Subscribed": a state, nobody's statement


def agreed(
    choice: Choice,
    at: float | datetime,
    mine: Observation | None = None,
    theirs: Observation | None = None,
    frequencies: tuple[str, ...] = (),
) -> Agreement:
    """An agreement; a side left out showed something else then, so that it counts as changed since."""
    versions = {side: seen.version for side, seen in ((MP, mine), (DD, theirs)) if seen is not None}
    when = at if isinstance(at, datetime) else day(at)
    return Agreement(choice, when, "agreement", day(39), versions, frequencies)


def cell(
    mine: Observation | None,
    theirs: Observation | None,
    agreement: Agreement | None = None,
    topic: Topic = TOPIC,
    **more: object,
) -> Cell:
    seen = {side: one for side, one in ((MP, mine), (DD, theirs)) if one is not None}
    return Cell(PersonId(1), topic.id, seen, agreement, **more)  # type: ignore[arg-type]


def with_hold(one: Cell, reason: str, state: HoldState, ground: str | None = None) -> Cell:
    return replace(one, hold=StandingHold(reason, one.ground if ground is None else ground, state))


def carried_out(topic: Topic, one: Cell, writes: tuple[Write, ...], at: datetime = NOW) -> Cell:
    """The cell once the writes are done at the sides and both were read again."""
    seen: dict[Side, Observation] = {side: replace(was, read_at=AFTER) for side, was in one.seen.items()}
    for write in writes:
        seen[write.side] = _written(topic, seen[write.side], write, at)
    written = {write.side: at for write in writes}
    return replace(one, seen=seen, written_at={**one.written_at, **written}, hold=None)


def _written(topic: Topic, was: Observation, write: Write, at: datetime) -> Observation:
    """What a side shows after a write: MyPreferences keeps the date it was told, Dotdigital its own."""
    if isinstance(write, Withdrawal):
        when = write.effective_at if write.side is MP else at
        return Observation(Choice.OPTED_OUT, AFTER, when, records=was.records)
    when = write.evidence.changed_at if write.side is MP else at
    if topic.is_channel and write.side is DD:
        return Observation(Choice.OPTED_IN, AFTER, stated=False)
    frequencies = () if write.frequency is None else (write.frequency,)
    return Observation(Choice.OPTED_IN, AFTER, when, frequencies, records=was.records)


def settled(one: Cell, decision: Act, versions: Mapping[Side, str]) -> Cell:
    """The cell once a proven decision is agreed."""
    agreement = Agreement(decision.choice, decision.at, decision.rule, NOW, versions, decision.frequencies)
    return replace(one, agreed=agreement)


def lifts(decision: Decision) -> tuple[Write, ...]:
    """The writes of a decision that give or change consent."""
    writes = decision.writes if isinstance(decision, Act) else ()
    return tuple(write for write in writes if not isinstance(write, Withdrawal))


def withdrawn_sides(decision: Decision) -> set[Side]:
    writes = decision.writes if isinstance(decision, Act) else ()
    return {write.side for write in writes if isinstance(write, Withdrawal)}


def raised_sides(decision: Decision) -> set[Side]:
    return {write.side for write in lifts(decision) if isinstance(write, Raise)}
