"""Whom Dotdigital asked by mail to confirm an opt-in: the last question of each, and when to look again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

import sqlalchemy as sa

from bridge.core.model import Challenge, ChallengeState, PersonId
from bridge.core.store_port import ConfirmationCounts, PendingConfirmation
from bridge.store import tables as t


def of_people(conn: sa.Connection, persons: Sequence[PersonId]) -> dict[PersonId, Challenge]:
    """The last question that each of these people was asked."""
    rows = conn.execute(sa.select(t.challenges).where(t.challenges.c.person_id.in_(persons)))
    return {PersonId(row.person_id): _challenge(row) for row in rows}


def note(
    conn: sa.Connection, person: PersonId, opt_in_at: datetime, *, sent_at: datetime, look_at: datetime
) -> bool:
    """Somebody was asked, or may have been. Returns False where that question is known already."""
    c = t.challenges.c
    known = conn.scalar(sa.select(c.opt_in_at).where(c.person_id == person))
    if known is not None and known >= opt_in_at:
        return False
    values = {
        "opt_in_at": opt_in_at, "sent_at": sent_at, "state": ChallengeState.PENDING, "look_at": look_at
    }  # fmt: skip
    if known is None:
        conn.execute(sa.insert(t.challenges).values(person_id=person, **values))
    else:
        conn.execute(sa.update(t.challenges).where(c.person_id == person).values(values))
    return True


def move(conn: sa.Connection, person: PersonId, state: ChallengeState) -> None:
    """How the question stands now. Who has confirmed is not looked at any more."""
    values: dict[str, object] = {"state": state}
    if state is ChallengeState.CONFIRMED:
        values["look_at"] = None
    conn.execute(sa.update(t.challenges).where(t.challenges.c.person_id == person).values(values))


def due(conn: sa.Connection, now: datetime, limit: int) -> list[PendingConfirmation]:
    """Whom to look at now, those who have waited longest first."""
    c = t.challenges.c
    query = sa.select(t.challenges).where(c.look_at <= now).order_by(c.look_at, c.person_id).limit(limit)
    return [PendingConfirmation(PersonId(row.person_id), _challenge(row)) for row in conn.execute(query)]


def looked(conn: sa.Connection, looks: Mapping[PersonId, datetime | None]) -> None:
    """When to look at these people next; None: never again by itself."""
    if not looks:
        return
    c = t.challenges.c
    statement = sa.update(t.challenges).where(c.person_id == sa.bindparam("person"))
    rows = [{"person": person, "at": at} for person, at in looks.items()]
    conn.execute(statement.values(look_at=sa.bindparam("at", type_=c.look_at.type)), rows)


def count(conn: sa.Connection) -> ConfirmationCounts:
    """How many questions are out, since when, and how many were never answered."""
    c = t.challenges.c
    query = sa.select(c.state, sa.func.count(), sa.func.min(c.sent_at)).group_by(c.state)
    found = {ChallengeState(state): (number, oldest) for state, number, oldest in conn.execute(query)}
    pending, oldest = found.get(ChallengeState.PENDING, (0, None))
    return ConfirmationCounts(pending, oldest, found.get(ChallengeState.EXPIRED, (0, None))[0])


def _challenge(row: sa.Row[tuple[object, ...]]) -> Challenge:
    return Challenge(row.opt_in_at, row.sent_at, ChallengeState(row.state))
