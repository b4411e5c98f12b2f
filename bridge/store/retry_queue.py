"""Somebody who could not be read when a feed named them, kept until the read succeeds."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

import sqlalchemy as sa

from bridge.core.erasure import ErasureSettings
from bridge.core.model import PersonId, Side, address_key
from bridge.core.ports import Hint
from bridge.core.store_port import RetryItem
from bridge.store import erasures, people
from bridge.store import tables as t
from bridge.store.types import scrub


def keep(
    conn: sa.Connection,
    side: Side,
    now: datetime,
    *,
    hint: Hint | None,
    person: PersonId | None,
    error: str,
    erasing: ErasureSettings,
) -> None:
    """Keep a hint or a person. What is kept again gets a new number, so that dropping the old one, after it
    was retried in vain, does not lose it. An address is stored as the person it belongs to, but for somebody
    erased whose record is named as well."""
    if hint is not None and hint.address is not None and hint.id is not None:
        known = people.by_keys(conn, [address_key(hint.address)])
        if not known and erasures.is_marked(conn, hint.address, erasing):
            hint = replace(hint, address=None)
    names = person
    if hint is not None and hint.address is not None:
        names = erasures.ensure_person(conn, hint.address, erasing, now)
    values = {
        "side": side,
        "person_id": person if hint is None else None,
        "hint_id": None if hint is None else hint.id,
        "hint_person_id": None if hint is None or hint.address is None else names,
    }
    what = f"person:{person}" if hint is None else f"hint:{values['hint_person_id']}:{hint.id}"
    i = t.inbox.c
    same = (i.side == side, i.what == what)
    before = conn.execute(sa.select(i.tries, i.kept_at).where(*same)).one_or_none()
    conn.execute(sa.delete(t.inbox).where(*same))
    age = {"tries": 1, "kept_at": now}
    if before is not None:
        age = {"tries": before.tries + 1, "kept_at": before.kept_at}
    conn.execute(sa.insert(t.inbox).values(values | age | {"what": what, "error": scrub(error)}))


def of_side(conn: sa.Connection, side: Side) -> list[RetryItem]:
    """What is kept for `side`, the oldest number first."""
    i, p = t.inbox.c, t.people.c
    query = (
        sa.select(i.id, i.person_id, i.hint_id, p.address)
        .select_from(t.inbox.outerjoin(t.people, p.id == i.hint_person_id))
        .where(i.side == side)
        .order_by(i.id)
    )
    return [
        RetryItem(
            row.id, Hint(row.hint_id, row.address), None if row.person_id is None else PersonId(row.person_id)
        )
        for row in conn.execute(query)
    ]


def drop(conn: sa.Connection, number: int) -> None:
    i = t.inbox.c
    named = conn.scalar(sa.select(i.hint_person_id).where(i.id == number))
    conn.execute(sa.delete(t.inbox).where(i.id == number))
    if named is not None:
        erasures.drop_if_empty(conn, PersonId(named))
