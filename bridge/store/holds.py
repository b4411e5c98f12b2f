"""What waits for a person at the desk. A cell has one standing hold at most; closed ones are kept."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

import sqlalchemy as sa

from bridge.core.decision import Rule
from bridge.core.model import HoldState, PersonId, Side, StandingHold, TopicId
from bridge.core.store_port import HoldRow, Json
from bridge.store import tables as t
from bridge.store.types import chunks, scrub

Key = tuple[PersonId, TopicId]

_STANDS = t.holds.c.closed_at.is_(None)


def standing(conn: sa.Connection, persons: Sequence[PersonId]) -> dict[Key, StandingHold]:
    """The holds that stand for these people's cells."""
    h = t.holds.c
    query = sa.select(h.person_id, h.topic, h.reason, h.ground, h.state).where(
        _STANDS, h.person_id.in_(persons)
    )
    return {
        (PersonId(row.person_id), TopicId(row.topic)): StandingHold(
            row.reason, row.ground, HoldState(row.state)
        )
        for row in conn.execute(query)
    }


def unreadable(conn: sa.Connection, side: Side, persons: Sequence[PersonId]) -> list[Key]:
    """The cells of these people that are held because `side` could not be read for them."""
    h = t.holds.c
    found: list[Key] = []
    for ids in chunks(sorted(set(persons))):
        query = sa.select(h.person_id, h.topic).where(
            _STANDS, h.person_id.in_(ids), h.reason == Rule.UNREADABLE, h.why.startswith(f"{side}:")
        )
        found.extend((PersonId(person), TopicId(topic)) for person, topic in conn.execute(query))
    return found


def answered_since(conn: sa.Connection, persons: Iterable[PersonId], began: datetime | None) -> set[Key]:
    """Cells whose hold a person answered after `began`: what was decided meanwhile may not know of it."""
    if began is None:
        return set()
    h = t.holds.c
    found: set[Key] = set()
    for ids in chunks(persons):
        query = sa.select(h.person_id, h.topic).where(_STANDS, h.answered_at > began, h.person_id.in_(ids))
        found.update((PersonId(person), TopicId(topic)) for person, topic in conn.execute(query))
    return found


def open_hold(
    conn: sa.Connection,
    key: Key,
    now: datetime,
    *,
    reason: str,
    why: str,
    ground: str,
    proposed: Sequence[Json],
) -> bool:
    """Hold a cell. Returns False where the same hold stands already, whatever was answered to it. An open
    one for the same reason keeps its age and takes the new ground; any other one is replaced."""
    h = t.holds.c
    found = conn.execute(
        sa.select(t.holds).where(_STANDS, h.person_id == key[0], h.topic == key[1])
    ).one_or_none()
    if found is not None and found.reason == reason and found.ground == ground:
        return False
    values = {"ground": ground, "why": scrub(why), "proposed": list(proposed)}
    if found is not None and found.reason == reason and found.state == HoldState.OPEN:
        conn.execute(sa.update(t.holds).where(h.id == found.id).values(values))
        return True
    close(conn, key, now)
    about = {"person_id": key[0], "topic": key[1], "reason": str(reason)}
    conn.execute(sa.insert(t.holds).values(about | values | {"state": HoldState.OPEN, "opened_at": now}))
    return True


def close(conn: sa.Connection, key: Key, now: datetime) -> None:
    """The cell's hold stands no longer."""
    h = t.holds.c
    conn.execute(
        sa.update(t.holds).where(_STANDS, h.person_id == key[0], h.topic == key[1]).values(closed_at=now)
    )


def close_answered(conn: sa.Connection, key: Key, now: datetime) -> None:
    """What a person answered about the cell stands no longer."""
    h = t.holds.c
    mine = (_STANDS, h.person_id == key[0], h.topic == key[1], h.state != HoldState.OPEN)
    conn.execute(sa.update(t.holds).where(*mine).values(closed_at=now))


def answer(conn: sa.Connection, numbers: Sequence[int], state: HoldState, now: datetime) -> list[HoldRow]:
    """Release or dismiss standing holds. Returns those that this changed."""
    h = t.holds.c
    changed: list[HoldRow] = []
    for ids in chunks(sorted(set(numbers))):
        query = sa.select(t.holds).where(_STANDS, h.id.in_(ids), h.state != state).order_by(h.id)
        rows = [_row(row) for row in conn.execute(query.with_for_update())]
        conn.execute(
            sa.update(t.holds).where(h.id.in_([row.id for row in rows])).values(state=state, answered_at=now)
        )
        changed.extend(rows)
    return changed


def people_of(conn: sa.Connection, numbers: Sequence[int]) -> list[PersonId]:
    """Whom these holds are about."""
    found: list[PersonId] = []
    for ids in chunks(numbers):
        query = sa.select(t.holds.c.person_id).where(t.holds.c.id.in_(ids))
        found.extend(PersonId(person) for person in conn.scalars(query))
    return found


def listing(
    conn: sa.Connection, state: HoldState | None, reason: str | None, limit: int, after: int
) -> list[HoldRow]:
    """Standing holds, the oldest first."""
    h = t.holds.c
    query = sa.select(t.holds).where(_STANDS, h.id > after).order_by(h.id).limit(limit)
    if state is not None:
        query = query.where(h.state == state)
    if reason is not None:
        query = query.where(h.reason == reason)
    return [_row(row) for row in conn.execute(query)]


def held(conn: sa.Connection) -> int:
    """How many holds are unanswered."""
    query = sa.select(sa.func.count()).select_from(t.holds)
    return conn.scalar(query.where(_STANDS, t.holds.c.state == HoldState.OPEN)) or 0


def _row(row: sa.Row[tuple[object, ...]]) -> HoldRow:
    return HoldRow(
        id=row.id,
        person=PersonId(row.person_id),
        topic=TopicId(row.topic),
        reason=row.reason,
        why=row.why,
        ground=row.ground,
        state=HoldState(row.state),
        opened_at=row.opened_at,
        proposed=tuple(row.proposed),
    )
