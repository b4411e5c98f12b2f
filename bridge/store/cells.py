"""Cells: settling what was decided, and what is to be decided again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from bridge.core.merge_observation import CellKey
from bridge.core.model import Agreement, Cell, HoldState, PersonId, RunId, Side, TopicId
from bridge.core.store_port import AttemptFinished, AttemptState, Counts, Settlement
from bridge.store import ledger, people
from bridge.store import tables as t
from bridge.store.cell_reading import STANDS, UNPROVEN, load
from bridge.store.columns import AGREED, VERSIONS, agreement_values
from bridge.store.engine import UnitOfWork
from bridge.store.key_values import facts_in
from bridge.store.statements import SIZE, among, count_of, is_postgresql, param, run_each, upsert
from bridge.store.types import chunks

REMAP_PAGE = 20_000  # people of one transaction

_a, _at, _c, _h = t.attempts.c, t.attempt_topics.c, t.cells.c, t.holds.c

_DIRTY = (
    sa.select(_c.person_id)
    .where(_c.dirty, _c.person_id > sa.bindparam("after"))
    .distinct()
    .order_by(_c.person_id)
    .limit(SIZE)
)
_COUNTS = sa.select(
    count_of(t.cells, _c.dirty).scalar_subquery(),
    count_of(t.holds, STANDS, _h.state == HoldState.OPEN).scalar_subquery(),
    count_of(
        t.attempts,
        t.NOT_DONE,
        _a.state == AttemptState.DEAD,
        sa.exists().where(_at.attempt_id == _a.id, _at.settled.is_(False)),
    ).scalar_subquery(),
    count_of(t.attempts, t.NOT_DONE, _a.state.in_(UNPROVEN)).scalar_subquery(),
)
_BEGAN = sa.select(t.runs.c.started_at).where(t.runs.c.id == sa.bindparam("run"))
_ANSWERED = sa.select(_h.person_id, _h.topic).where(
    STANDS, _h.answered_at > sa.bindparam("began"), among(_h.person_id, "ids")
)
_ONE = sa.update(t.cells).where(_c.person_id == sa.bindparam("person"), _c.topic == sa.bindparam("about"))
_SET_DIRTY = _ONE.values(dirty=sa.bindparam("is_dirty"))
_AGREE = _ONE.values(
    dirty=sa.bindparam("is_dirty"),
    **{name: param(name, _c[name]) for name in (*AGREED.names, *VERSIONS.values())},
)
_TRANSFER = upsert(t.cells, ["person_id", "topic"], ["dirty", *AGREED.names, *VERSIONS.values()])
_WRITTEN = {side: _ONE.values({f"{side}_written_at": param("at", _c[f"{side}_written_at"])}) for side in Side}
_CLEAN = sa.update(t.cells).where(among(_c.person_id, "ids"), _c.dirty.is_(False)).values(dirty=True)
_CLEAN_MAPPED = _CLEAN.where(among(_c.topic, "topics"))
_RANGE: tuple[Any, Any] = (sa.bindparam("first"), sa.bindparam("last"))
_LOCK_RANGE = people.locking(t.people.c.id.between(*_RANGE))
_REMAP = (
    sa.update(t.cells)
    .where(_c.person_id.between(*_RANGE), _c.dirty != among(_c.topic, "topics"))
    .values(dirty=among(_c.topic, "topics"))
)

_ENDED = (among(_a.state, "states"), among(_a.side, "sides"))
_UNSETTLED = (
    sa.select(_a.person_id)
    .join(t.attempt_topics, _at.attempt_id == _a.id)
    .where(t.NOT_DONE, *_ENDED, among(_a.person_id, "ids"), _at.settled.is_(False))
    .distinct()
)
_FORGET = (
    sa.update(t.attempt_topics)
    .where(
        _at.attempt_id.in_(sa.select(_a.id).where(_a.person_id == sa.bindparam("person"), *_ENDED)),
        among(_at.topic, "topics"),
        _at.settled.is_(False),
    )
    .values(settled=True)
)


class CellStore:
    """What is to be decided, and what was."""

    def __init__(self, unit: UnitOfWork) -> None:
        self._unit = unit

    def of(self, person: PersonId) -> list[Cell]:
        """All cells of one person."""
        return self.of_many([person]).get(person, [])

    def of_many(self, people: Sequence[PersonId]) -> dict[PersonId, list[Cell]]:
        """All cells of these people."""
        with self._unit.read() as conn:
            return load(conn, people)

    def dirty(self, after: PersonId | None, limit: int) -> list[list[Cell]]:
        """The next people, in order of their numbers, who have something to decide: all cells of each."""
        with self._unit.read() as conn:
            found = conn.scalars(_DIRTY, {"after": after or 0, "size": limit})
            return list(load(conn, [PersonId(person) for person in found]).values())

    def counts(self) -> Counts:
        """How much waits."""
        with self._unit.read() as conn:
            waiting, held, dead, unproven = conn.execute(_COUNTS).one()
        return Counts(waiting=waiting, held=held, dead=dead, unproven=unproven)

    def settle(self, run: RunId, settlements: Sequence[Settlement]) -> None:
        """Store what was decided, and its ledger entries. A cell is marked as decided only if its ground
        still stands, and nobody answered its hold since the run began. Raises LookupError for a cell that
        does not exist."""
        if not settlements:
            return
        with self._unit.write() as conn:
            _settle(conn, run, settlements)
            entries = [one.ledger for one in settlements if one.ledger is not None]
            ledger.append(conn, run, entries, self._unit.clock())

    def remap(self, topics: Sequence[TopicId]) -> None:
        """The mapping has changed: everything mapped is decided again. Topics that are no longer mapped rest,
        their agreements kept. Works in several transactions; if stopped between them, call it again."""
        after: int | None = 0
        while after is not None:
            with self._unit.write() as conn:
                after = _remap(conn, topics, after)


def _settle(conn: sa.Connection, run: RunId, settlements: Sequence[Settlement]) -> None:
    concerned = [settlement.person for settlement in settlements]
    people.lock(conn, concerned)
    stored = {(cell.person, cell.topic): cell for mine in load(conn, concerned).values() for cell in mine}
    answered = _answered_since(conn, concerned, conn.scalar(_BEGAN, {"run": run}))
    decided: list[dict[str, Any]] = []
    agreed: list[dict[str, Any]] = []
    for one in settlements:
        key = (one.person, one.topic)
        if key not in stored:
            raise LookupError(f"there is no cell of person {one.person} for topic '{one.topic}'")
        clean = stored[key].ground == one.ground and key not in answered
        row = {"person": one.person, "about": one.topic, "is_dirty": not clean}
        if one.agreement is not None:  # on other ground than stands now, it is decided again
            agreed.append(row | agreement_values(one.agreement))
        elif clean:
            decided.append(row)
    run_each(conn, _SET_DIRTY, decided)
    run_each(conn, _AGREE, agreed)
    keys = [(one.person, one.topic) for one in settlements if one.agreement is not None]
    forget_attempts(conn, keys, (AttemptState.FAILED, AttemptState.DEAD))


def _answered_since(conn: sa.Connection, persons: Iterable[PersonId], began: datetime | None) -> set[CellKey]:
    """Cells whose hold an operator answered after `began`: what was decided meanwhile may ignore that."""
    found: set[CellKey] = set()
    for ids in chunks(persons) if began is not None else ():
        for person, topic in conn.execute(_ANSWERED, {"began": began, "ids": ids}):
            found.add((PersonId(person), TopicId(topic)))
    return found


def _remap(conn: sa.Connection, topics: Sequence[TopicId], after: int) -> int | None:
    """The next people after number `after`. Returns where to go on."""
    last = people.last_of_range(conn, after, REMAP_PAGE)
    if last is None:
        facts_in(conn).mapped_topics = topics
        return None
    limits = {"first": after + 1, "last": last}
    if is_postgresql(conn):
        conn.execute(_LOCK_RANGE, limits)
    conn.execute(_REMAP, limits | {"topics": list(topics)})
    return last


# within a transaction


def make_dirty(conn: sa.Connection, keys: Iterable[CellKey]) -> None:
    """These cells are to be decided again."""
    run_each(
        conn, _SET_DIRTY, [{"person": person, "about": topic, "is_dirty": True} for person, topic in keys]
    )


def make_people_dirty(conn: sa.Connection, persons: Sequence[PersonId]) -> int:
    """All mapped cells of these people are to be decided again. Returns how many were clean before."""
    mapped = facts_in(conn).mapped_topics if persons else None
    changed = 0
    for ids in chunks(sorted(set(persons))):
        if mapped is None:
            changed += conn.execute(_CLEAN, {"ids": ids}).rowcount
        else:
            changed += conn.execute(_CLEAN_MAPPED, {"ids": ids, "topics": list(mapped)}).rowcount
    return changed


def transfer(conn: sa.Connection, agreements: Mapping[CellKey, Agreement]) -> None:
    """Agreements that came with a change of address; what is mapped is decided again."""
    if not agreements:
        return
    mapped = facts_in(conn).mapped_topics
    _TRANSFER.run(
        conn,
        [
            {
                "person_id": person,
                "topic": topic,
                "dirty": mapped is None or topic in mapped,
                **agreement_values(agreement),
            }
            for (person, topic), agreement in agreements.items()
        ],
    )


def note_written(conn: sa.Connection, side: Side, ended: Sequence[AttemptFinished]) -> None:
    """When our writes to these cells had ended: reads that began earlier show nothing of them."""
    rows = [
        {"person": one.person, "about": topic, "at": one.written_at}
        for one in ended
        if one.written_at is not None
        for topic in one.topics
    ]
    run_each(conn, _WRITTEN[side], rows)


def forget_attempts(
    conn: sa.Connection,
    keys: Iterable[CellKey],
    states: Sequence[AttemptState],
    sides: Sequence[Side] = tuple(Side),
) -> None:
    """Attempts about these cells that ended so no longer count against them. Most cells never had one: one
    query finds those that did."""
    topics: dict[PersonId, list[TopicId]] = {}
    for person, topic in keys:
        topics.setdefault(person, []).append(topic)
    ended = {"states": list(states), "sides": list(sides)}
    for some in chunks(topics):
        for person in list(conn.scalars(_UNSETTLED, ended | {"ids": some})):
            conn.execute(_FORGET, ended | {"person": person, "topics": topics[PersonId(person)]})
