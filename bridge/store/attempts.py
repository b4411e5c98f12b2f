"""Writes that were begun, and what became of them. They are kept for ever."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

import sqlalchemy as sa

from bridge.core.model import PersonId, RunId, Side, TopicId
from bridge.core.store_port import Attempt, AttemptFinished, AttemptStarted, AttemptState
from bridge.store import tables as t
from bridge.store.types import chunks, scrub

Key = tuple[PersonId, TopicId]

_UNPROVEN = (AttemptState.BEGUN, AttemptState.IN_DOUBT)


def begin(
    conn: sa.Connection, run: RunId, side: Side, begun: Sequence[AttemptStarted], now: datetime
) -> tuple[list[int], list[Key]]:
    """Note writes that are about to be sent. Returns their numbers in order, and the cells they are about."""
    topics = [list(dict.fromkeys(TopicId(write["topic"]) for write in one.body["writes"])) for one in begun]
    keys = [(one.person, topic) for one, mine in zip(begun, topics, strict=True) for topic in mine]
    _supersede(conn, side, keys)
    rows = [
        {"run": run, "person_id": one.person, "side": side, "body": one.body, "state": AttemptState.BEGUN,
         "begun_at": now}
        for one in begun
    ]  # fmt: skip
    statement = sa.insert(t.attempts).returning(t.attempts.c.id, sort_by_parameter_order=True)
    numbers = [int(number) for number in conn.scalars(statement, rows)] if rows else []
    about = [
        {"attempt_id": number, "topic": topic, "settled": False}
        for number, mine in zip(numbers, topics, strict=True)
        for topic in mine
    ]
    if about:
        conn.execute(sa.insert(t.attempt_topics), about)
    return numbers, keys


def end(conn: sa.Connection, ended: Sequence[AttemptFinished], now: datetime) -> None:
    """Note what became of writes."""
    for changed in (True, False):
        rows = [_ended(one, now) for one in ended if (one.written_at is not None) is changed]
        if not rows:
            continue
        c = t.attempts.c
        names = ["state", "ended_at", "error", "code", *(["written_at"] if changed else [])]
        values = {name: sa.bindparam(f"new_{name}", type_=c[name].type) for name in names}
        conn.execute(sa.update(t.attempts).where(c.id == sa.bindparam("number")).values(values), rows)


def _ended(one: AttemptFinished, now: datetime) -> dict[str, object]:
    values = {
        "number": one.attempt,
        "new_state": one.state,
        "new_ended_at": now,
        "new_error": None if one.error is None else scrub(one.error),
        "new_code": one.error_code,
    }
    return values if one.written_at is None else values | {"new_written_at": one.written_at}


def whose(conn: sa.Connection, number: int) -> tuple[PersonId, Side]:
    """Whom a write is about, and where."""
    a = t.attempts.c
    found = conn.execute(sa.select(a.person_id, a.side).where(a.id == number)).one_or_none()
    if found is None:
        raise LookupError(f"there is no attempt {number}")
    return PersonId(found.person_id), Side(found.side)


def _supersede(conn: sa.Connection, side: Side, keys: Iterable[Key]) -> None:
    """A write given up no longer waits for anybody once it is tried again."""
    _forget(conn, keys, (AttemptState.DEAD,), side)


def forget_misses(conn: sa.Connection, keys: Iterable[Key]) -> None:
    """These cells are agreed: earlier writes that failed no longer count against them."""
    _forget(conn, keys, (AttemptState.FAILED, AttemptState.DEAD))


def forget_dead(conn: sa.Connection, keys: Iterable[Key]) -> None:
    """Writes given up about these cells wait for nobody any more."""
    _forget(conn, keys, (AttemptState.DEAD,))


def _forget(
    conn: sa.Connection, keys: Iterable[Key], states: Sequence[AttemptState], side: Side | None = None
) -> None:
    """Most cells never had such a write: one question tells which did. `side` None: at either."""
    a, at = t.attempts.c, t.attempt_topics.c
    there = sa.true() if side is None else a.side == side
    topics: dict[PersonId, list[TopicId]] = {}
    for person, topic in keys:
        topics.setdefault(person, []).append(topic)
    for some in chunks(topics):
        unsettled = (
            sa.select(a.person_id)
            .join(t.attempt_topics, at.attempt_id == a.id)
            .where(t.NOT_DONE, a.person_id.in_(some), a.state.in_(states), at.settled.is_(False), there)
        )
        for person in set(conn.scalars(unsettled)):
            ended = sa.select(a.id).where(a.person_id == person, a.state.in_(states), there)
            _mark_settled(conn, ended, topics[PersonId(person)])


def _mark_settled(conn: sa.Connection, numbers: sa.Select[tuple[int]], topics: Sequence[TopicId]) -> None:
    at = t.attempt_topics.c
    conn.execute(
        sa.update(t.attempt_topics)
        .where(at.attempt_id.in_(numbers), at.topic.in_(topics), at.settled.is_(False))
        .values(settled=True)
    )


# reading


def in_doubt(conn: sa.Connection) -> list[Attempt]:
    """Writes whose outcome is unknown, the oldest first."""
    a = t.attempts.c
    query = sa.select(t.attempts).where(t.NOT_DONE, a.state.in_(_UNPROVEN)).order_by(a.id)
    return [_attempt(row) for row in conn.execute(query)]


def of_person(conn: sa.Connection, person: PersonId) -> list[Attempt]:
    """Every write that was begun for a person, the oldest first."""
    query = sa.select(t.attempts).where(t.attempts.c.person_id == person).order_by(t.attempts.c.id)
    return [_attempt(row) for row in conn.execute(query)]


def last_written(conn: sa.Connection, side: Side) -> PersonId | None:
    """Whose write at `side` is the latest that was proven."""
    a = t.attempts.c
    written = (a.side == side, a.state == AttemptState.DONE, a.written_at.is_not(None))
    number = conn.scalar(sa.select(a.person_id).where(*written).order_by(a.id.desc()).limit(1))
    return None if number is None else PersonId(number)


def written_since(conn: sa.Connection, side: Side, ids: Sequence[str], since: datetime) -> frozenset[str]:
    """Those records of `side` about whose people a write to it was begun since then, whatever came of it."""
    a, b = t.attempts.c, t.bindings.c
    found: set[str] = set()
    for some in chunks(ids):
        query = (
            sa.select(b.external_id)
            .join_from(t.bindings, t.attempts, b.person_id == a.person_id)
            .where(b.side == side, b.external_id.in_(some), a.side == side, a.begun_at >= since)
        )
        found.update(conn.scalars(query))
    return frozenset(found)


def doubts(conn: sa.Connection, persons: Sequence[PersonId]) -> dict[Key, dict[Side, datetime]]:
    """Since when the outcome of a write about these people's cells is unknown, by side: the newest counts."""
    a, at = t.attempts.c, t.attempt_topics.c
    found: dict[Key, dict[Side, datetime]] = {}
    for ids in chunks(persons):
        query = (
            sa.select(a.person_id, at.topic, a.side, a.begun_at, a.ended_at)
            .join_from(t.attempts, t.attempt_topics)
            .where(t.NOT_DONE, a.state.in_(_UNPROVEN), a.person_id.in_(ids))
        )
        for person, topic, side, begun, ended in conn.execute(query):
            mine = found.setdefault((PersonId(person), TopicId(topic)), {})
            since = ended or begun
            mine[Side(side)] = max(since, mine.get(Side(side), since))
    return found


def ineffective_writes(conn: sa.Connection, person: PersonId, topic: TopicId) -> int:
    """How many writes about a cell were accepted and not followed since it was last agreed."""
    a, at = t.attempts.c, t.attempt_topics.c
    query = (
        sa.select(sa.func.count())
        .select_from(t.attempts.join(t.attempt_topics))
        .where(a.person_id == person, at.topic == topic, at.settled.is_(False))
        .where(a.state == AttemptState.FAILED, a.written_at.is_not(None))
    )
    return conn.scalar(query) or 0


def unproven(conn: sa.Connection) -> int:
    """How many writes have an unknown outcome."""
    query = sa.select(sa.func.count()).select_from(t.attempts)
    return conn.scalar(query.where(t.NOT_DONE, t.attempts.c.state.in_(_UNPROVEN))) or 0


def dead(conn: sa.Connection) -> int:
    """How many writes were given up, and neither agreed, tried again nor dismissed since."""
    a, at = t.attempts.c, t.attempt_topics.c
    still = sa.exists().where(at.attempt_id == a.id, at.settled.is_(False))
    query = sa.select(sa.func.count()).select_from(t.attempts)
    return conn.scalar(query.where(t.NOT_DONE, a.state == AttemptState.DEAD, still)) or 0


def _attempt(row: sa.Row[tuple[object, ...]]) -> Attempt:
    return Attempt(
        id=row.id,
        run=RunId(row.run),
        person=PersonId(row.person_id),
        side=Side(row.side),
        body=row.body,
        state=AttemptState(row.state),
        begun_at=row.begun_at,
    )
