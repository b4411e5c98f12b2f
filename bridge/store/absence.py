"""The proof that people are not at a side: a complete sweep did not show them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import sqlalchemy as sa

from bridge.core.model import Choice, Observation, Side, TopicId
from bridge.store import people
from bridge.store import tables as t
from bridge.store.columns import SEEN, replace_seen
from bridge.store.statements import Insert, InsertRows, count_of, is_postgresql, param
from bridge.store.types import from_micros

PAGE = 20_000  # people of one transaction

_c, _p = t.cells.c, t.people.c
_KEYS = ["person_id", "topic"]

_NOBODY = Observation(
    Choice.UNSET, from_micros(0), present=False, stated=False, undated=True, records=0
)  # as a listing shows it; its time is that of the sweep


def _gone(side: Side) -> sa.ColumnElement[bool]:
    """The people of a range who were never seen at `side`, or not there."""
    at, present = _p[f"{side}_read_at"], _p[f"{side}_present"]
    return sa.and_(
        _p.id > sa.bindparam("after"),
        _p.id <= sa.bindparam("last"),
        sa.or_(at.is_(None), sa.and_(present.is_(False), at < param("began", at))),
    )


def _fill_absent(side: Side) -> InsertRows:
    """Absence for one topic of everybody concerned. Only silence is replaced: a cell in which that side says
    something keeps it until the person was looked for."""
    values = SEEN[side].values(_NOBODY)
    read, present, written = f"{side}_read_at", f"{side}_present", f"{side}_written_at"
    del values[read]
    columns = [
        _p.id,
        sa.bindparam("about", type_=sa.Text).label("topic"),
        param("began", _c[read]).label(read),
        sa.literal(True).label("dirty"),
        *(sa.literal(value, _c[name].type).label(name) for name, value in values.items()),
    ]
    absent = sa.select(*columns).where(_gone(side))

    def make(insert: Insert) -> Insert:
        filled = insert.from_select([*_KEYS, read, "dirty", *values], absent)
        new = filled.excluded
        untouched = sa.or_(_c[written].is_(None), _c[written] <= new[read])
        older = sa.or_(_c[read].is_(None), sa.and_(_c[present].is_(False), _c[read] < new[read]))
        return filled.on_conflict_do_update(
            index_elements=_KEYS,
            set_=replace_seen(side, filled, dirty=sa.or_(_c.dirty, _c[read].is_(None))),
            where=sa.and_(older, untouched),
        )

    return InsertRows.build(make, t.cells)


_FILL_ABSENT = {side: _fill_absent(side) for side in Side}
_LOCK_GONE = {side: people.locking(_gone(side)) for side in Side}
_NEVER_SEEN = {side: count_of(t.people, _gone(side), _p[f"{side}_read_at"].is_(None)) for side in Side}
_SET_GONE = {
    side: sa.update(t.people)
    .where(_gone(side))
    .values({f"{side}_read_at": param("began", _p[f"{side}_read_at"]), f"{side}_present": False})
    for side in Side
}


def mark(
    conn: sa.Connection, side: Side, topics: Sequence[TopicId], *, read_at: datetime, after: int
) -> tuple[int, int | None]:
    """The next people after number `after` who were never seen at `side`, or not there, are not there.
    Returns for how many that is new, and where to go on."""
    last = people.last_of_range(conn, after, PAGE)
    if last is None:
        return 0, None
    gone = {"after": after, "last": last, "began": read_at}
    if is_postgresql(conn):
        conn.execute(_LOCK_GONE[side], gone)
    for topic in topics:
        _FILL_ABSENT[side].execute(conn, gone | {"about": topic})
    fresh = conn.scalar(_NEVER_SEEN[side], gone) or 0
    conn.execute(_SET_GONE[side], gone)
    return fresh, last
