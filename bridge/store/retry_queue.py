"""People who could not be read when a feed named them, kept until the read succeeds."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

import sqlalchemy as sa

from bridge.core.erasure import ErasureSettings
from bridge.core.model import PersonId, Side, address_key
from bridge.core.ports import Hint
from bridge.core.store_values import RetryItem, UnreadPeople
from bridge.store import erasures, people
from bridge.store import tables as t
from bridge.store.columns import scrub
from bridge.store.engine import UnitOfWork

_i, _p = t.inbox.c, t.people.c
_OF_SIDE = (
    sa.select(_i.id, _i.person_id, _i.hint_id, _p.address)
    .select_from(t.inbox.outerjoin(t.people, _p.id == _i.hint_person_id))
    .where(_i.side == sa.bindparam("at_side"))
    .order_by(_i.id)
)
_SAME = (_i.side == sa.bindparam("at_side"), _i.what == sa.bindparam("about"))
_BEFORE = sa.select(_i.tries, _i.kept_at).where(*_SAME)
_DROP_SAME = sa.delete(t.inbox).where(*_SAME)
_ADD = sa.insert(t.inbox)
_COUNT = sa.select(sa.func.count()).select_from(t.inbox)
_NAMED = sa.select(_i.hint_person_id).where(_i.id == sa.bindparam("number"))
_WAITING = sa.select(sa.func.count(), sa.func.min(_i.kept_at))
_DROP = sa.delete(t.inbox).where(_i.id == sa.bindparam("number"))


class RetryQueue:
    """Reads to try again."""

    def __init__(self, unit: UnitOfWork, erasing: ErasureSettings) -> None:
        self._unit = unit
        self._erasing = erasing

    def of(self, side: Side) -> list[RetryItem]:
        """Who is to be read again at `side`, the oldest number first."""
        with self._unit.read() as conn:
            return [
                RetryItem(
                    row.id,
                    Hint(row.hint_id, row.address),
                    None if row.person_id is None else PersonId(row.person_id),
                )
                for row in conn.execute(_OF_SIDE, {"at_side": side})
            ]

    def count(self) -> int:
        """How many reads are to be tried again."""
        with self._unit.read() as conn:
            return conn.scalar(_COUNT) or 0

    def add(
        self, side: Side, *, hint: Hint | None = None, person: PersonId | None = None, error: str
    ) -> None:
        """Keep a hint, or a known person. What is kept again gets a new number, so that dropping the old one,
        after a retry that failed, does not lose it."""
        if (hint is None) == (person is None):
            raise ValueError("either a hint or a person is kept")
        with self._unit.write() as conn:
            now = self._unit.clock()
            row: dict[str, object] = {
                "person_id": person,
                "hint_id": None,
                "hint_person_id": None,
                "what": f"person:{person}",
            }
            if hint is not None:
                row |= _hint_row(conn, hint, self._erasing, now)
            same = {"at_side": side, "about": row["what"]}
            before = conn.execute(_BEFORE, same).one_or_none()
            conn.execute(_DROP_SAME, same)
            tries, kept_at = (0, now) if before is None else (before.tries, before.kept_at)
            age = {"tries": tries + 1, "kept_at": kept_at}
            conn.execute(_ADD, row | age | {"side": side, "error": scrub(error)})

    def waiting(self) -> UnreadPeople:
        """Who waits to be read again."""
        with self._unit.read() as conn:
            count, oldest = conn.execute(_WAITING).one()
        return UnreadPeople(count, oldest)

    def drop(self, kept: int) -> None:
        """That was read. What was kept again meanwhile stays: it has another number."""
        with self._unit.write() as conn:
            named = conn.scalar(_NAMED, {"number": kept})
            conn.execute(_DROP, {"number": kept})
            if named is not None:
                erasures.drop_if_empty(conn, PersonId(named))


def _hint_row(conn: sa.Connection, hint: Hint, erasing: ErasureSettings, now: datetime) -> dict[str, object]:
    """An address is stored as the person it belongs to, but for an erased person whose record is named as
    well."""
    if hint.address is not None and hint.id is not None:
        known = people.by_keys(conn, [address_key(hint.address)])
        if not known and erasures.is_marked(conn, hint.address, erasing):
            hint = replace(hint, address=None)
    person = None if hint.address is None else erasures.ensure_person(conn, hint.address, erasing, now)
    return {"hint_id": hint.id, "hint_person_id": person, "what": f"hint:{person}:{hint.id}"}
