"""Cells: reading them with all that a decision depends on, settling what was decided, and what is to be
decided again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from bridge.core.latch import is_incomplete, retry_delay
from bridge.core.merge_observation import CellKey
from bridge.core.model import (
    Agreement,
    Cell,
    Choice,
    HoldState,
    PersonId,
    RunId,
    Side,
    TopicId,
)
from bridge.core.ports import batched
from bridge.core.store_values import AttemptState, Counts, LedgerEntry, Receipt, Settlement, TopicReset
from bridge.store import ledger as log
from bridge.store import people
from bridge.store import tables as t
from bridge.store.agreement_seals import SealChange, sealing
from bridge.store.cell_reading import STANDS, UNPROVEN, load
from bridge.store.columns import (
    AGREED,
    LATCH,
    SEEN,
    VERSIONS,
    agreement_values,
    latch_values,
)
from bridge.store.engine import UnitOfWork
from bridge.store.key_values import facts_in
from bridge.store.statements import SIZE, among, count_of, is_postgresql, param, run_each, upsert

REMAP_PAGE = 20_000  # people of one transaction

_a, _at, _b, _c, _h, _p, _pins = (
    t.attempts.c,
    t.attempt_topics.c,
    t.bindings.c,
    t.cells.c,
    t.holds.c,
    t.people.c,
    t.pins.c,
)

# deciding

_DIRTY = (
    sa.select(_c.person_id)
    .where(t.IS_DIRTY, _c.person_id > sa.bindparam("after"))
    .distinct()
    .order_by(_c.person_id)
    .limit(SIZE)
)
_COUNTS = sa.select(
    count_of(t.cells, t.IS_DIRTY).scalar_subquery(),
    count_of(t.holds, STANDS, _h.state == HoldState.OPEN).scalar_subquery(),
    count_of(
        t.attempts,
        t.NOT_DONE,
        _a.state == AttemptState.DEAD,
        sa.exists().where(_at.attempt_id == _a.id, _at.settled.is_(False)),
    ).scalar_subquery(),
    count_of(t.attempts, t.NOT_DONE, _a.state.in_(UNPROVEN)).scalar_subquery(),
)
RUN_BEGAN = sa.select(t.runs.c.started_at).where(t.runs.c.id == sa.bindparam("run"))
_ONE = sa.update(t.cells).where(_c.person_id == sa.bindparam("person"), _c.topic == sa.bindparam("about"))
_SET_DIRTY = _ONE.values(dirty=sa.bindparam("is_dirty"))
_TRIES = sa.select(_c.tries).where(_c.person_id == sa.bindparam("person"), _c.topic == sa.bindparam("about"))
_RETRY = _ONE.values(tries=sa.bindparam("so_far"), retry_at=param("due", _c.retry_at))
_DUE = (
    sa.update(t.cells)
    .where(_c.retry_at <= param("now", _c.retry_at), among(_c.topic, "topics"))
    .values(dirty=True, retry_at=None)
)
_AGREE = _ONE.values(
    dirty=sa.bindparam("is_dirty"),
    tries=0,
    retry_at=None,
    agreed_stored_at=param("stored_at", _c.agreed_stored_at),
    **{name: param(name, _c[name]) for name in (*AGREED.names, *VERSIONS.values(), *LATCH.names)},
)
_TRANSFER = upsert(
    t.cells, ["person_id", "topic"], ["dirty", "agreed_stored_at", *AGREED.names, *VERSIONS.values()]
)
_CLEAN = sa.update(t.cells).where(among(_c.person_id, "ids"), _c.dirty.is_(False)).values(dirty=True)
_CLEAN_MAPPED = _CLEAN.where(among(_c.topic, "topics"))
_RETRY_NOW = (
    sa.update(t.cells)
    .where(_c.retry_at > param("now", _c.retry_at), among(_c.person_id, "ids"))
    .values(retry_at=param("now", _c.retry_at))
)
_RANGE: tuple[Any, Any] = (sa.bindparam("first"), sa.bindparam("last"))
_LOCK_RANGE = people.locking(t.people.c.id.between(*_RANGE))
_REMAP = (
    sa.update(t.cells)
    .where(_c.person_id.between(*_RANGE), _c.dirty != among(_c.topic, "topics"))
    .values(dirty=among(_c.topic, "topics"))
)

_OF_TOPIC = (_c.person_id.between(*_RANGE), _c.topic == sa.bindparam("about"))
_UNSEE = {
    side: sa.update(t.cells)
    .where(*_OF_TOPIC, _c[SEEN[side].required[0]].is_not(None))
    .values(dict.fromkeys(SEEN[side].names))
    for side in Side
}
_DISAGREE = (
    sa.update(t.cells)
    .where(*_OF_TOPIC, among(_c.agreed_choice, "choices"))
    .values(dict.fromkeys((*AGREED.names, *VERSIONS.values())))
)
_UNLATCH = sa.update(t.cells).where(*_OF_TOPIC).values(dict.fromkeys(LATCH.names))
_UNLATCH_SINCE = _UNLATCH.where(
    _c.withdrawal_side == sa.bindparam("at_side"),
    _c.withdrawal_seen_at >= param("since", _c.withdrawal_seen_at),
)
_TRY_AT_ONCE = sa.update(t.cells).where(*_OF_TOPIC, _c.tries > 0).values(tries=0, retry_at=None)
_CLOSE_HOLDS = (
    sa.update(t.holds)
    .where(STANDS, _h.person_id.between(*_RANGE), _h.topic == sa.bindparam("about"))
    .values(closed_at=param("now", _h.closed_at))
)
_SETTLE_ATTEMPTS = (
    sa.update(t.attempt_topics)
    .where(
        _at.attempt_id.in_(
            sa.select(_a.id).where(t.NOT_DONE, among(_a.state, "states"), _a.person_id.between(*_RANGE))
        ),
        _at.topic == sa.bindparam("about"),
        _at.settled.is_(False),
    )
    .values(settled=True)
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

    def retry_due(self, topics: Sequence[TopicId]) -> None:
        """Opt-outs about these topics that had no effect, and whose time has come, are decided again."""
        with self._unit.write() as conn:
            conn.execute(_DUE, {"now": self._unit.clock(), "topics": list(topics)})

    def settle(self, run: RunId, settlements: Sequence[Settlement]) -> None:
        """Store what was decided, and its ledger entries. A cell is marked as decided only if its ground
        still stands, and nobody answered its hold since the run began; an agreement then ends its latch.
        Raises LookupError for a cell that does not exist."""
        if not settlements:
            return
        decided: list[dict[str, Any]] = []
        agreed: list[dict[str, Any]] = []
        keys: list[CellKey] = []
        entries: list[LedgerEntry] = []
        with self._unit.write() as conn:
            now, change = self._unit.clock(), SealChange(conn)
            stored = _load_locked(conn, [one.person for one in settlements])
            began = conn.scalar(RUN_BEGAN, {"run": run})
            for one in settlements:
                cell = stored.get((one.person, one.topic))
                if cell is None:
                    raise LookupError(f"there is no cell of person {one.person} for topic '{one.topic}'")
                settled = cell.is_settled(one.ground, began)
                row: dict[str, Any] = {"person": one.person, "about": one.topic}
                if one.agreement is not None:  # on other ground than stands now, it is decided again
                    latch = latch_values(None if settled else cell.latch)
                    left = one.unfinished or not settled
                    row |= {"is_dirty": left, "stored_at": now}
                    agreed.append(row | agreement_values(one.agreement) | latch)
                    keys.append((one.person, one.topic))
                    change.set(cell, one.agreement, now)
                elif settled:
                    decided.append(row | {"is_dirty": False})
                if one.ledger is not None:
                    entries.append(one.ledger)
            run_each(conn, _SET_DIRTY, decided)
            run_each(conn, _AGREE, agreed)
            forget_attempts(conn, keys, (AttemptState.FAILED, AttemptState.DEAD))
            log.append(conn, run, [*entries, *change.entries()], now)

    def remap(
        self,
        topics: Sequence[TopicId],
        *,
        run: RunId | None = None,
        resets: Sequence[TopicReset] = (),
        ledger: Sequence[LedgerEntry] = (),
    ) -> None:
        """The mapping has changed: everything mapped is decided again, and what `resets` names is forgotten.
        Topics that are no longer mapped rest, their agreements kept. Withdrawals under way stay so. Works in
        several transactions; if stopped between them, call it again."""
        after: int | None = 0
        while after is not None:
            with self._unit.write() as conn:
                after, moved = _remap(conn, topics, resets, after, self._unit.clock())
                log.append(conn, run, moved if after is not None else ledger, self._unit.clock())


def _load_locked(conn: sa.Connection, persons: Sequence[PersonId]) -> dict[CellKey, Cell]:
    """The cells of these people, kept from other transactions."""
    people.lock(conn, persons)
    found = load(conn, dict.fromkeys(persons)).values()
    return {(cell.person, cell.topic): cell for cells in found for cell in cells}


def _remap(
    conn: sa.Connection, topics: Sequence[TopicId], resets: Sequence[TopicReset], after: int, now: datetime
) -> tuple[int | None, list[LedgerEntry]]:
    """The next people after number `after`. Returns where to go on, and the ledger's entries about it."""
    last = people.last_of_range(conn, after, REMAP_PAGE)
    if last is None:
        facts_in(conn).mapped_topics = topics
        return None, []
    limits = {"first": after + 1, "last": last}
    if is_postgresql(conn):
        conn.execute(_LOCK_RANGE, limits)
    entries: list[LedgerEntry] = []
    for reset in resets:
        entries += _reset(conn, reset, limits | {"about": reset.topic}, now)
    conn.execute(_REMAP, limits | {"topics": list(topics)})
    return last, entries


def _reset(
    conn: sa.Connection, reset: TopicReset, cells: Mapping[str, Any], now: datetime
) -> list[LedgerEntry]:
    """Forget what no longer counts of one topic, for the people of a range."""
    for side in reset.unseen:
        conn.execute(_UNSEE[side], cells)
        if reset.latched_since is not None:
            conn.execute(_UNLATCH_SINCE, {**cells, "at_side": side, "since": reset.latched_since})
    if Choice.OPTED_OUT in reset.choices:
        conn.execute(_UNLATCH, cells)
    if not reset.choices:
        return []
    conn.execute(_TRY_AT_ONCE, cells)
    ended = [AttemptState.FAILED, AttemptState.DEAD]
    with sealing(conn, sa.and_(*_OF_TOPIC), cells) as entries:
        conn.execute(_DISAGREE, {**cells, "choices": [choice.value for choice in reset.choices]})
    conn.execute(_CLOSE_HOLDS, {**cells, "now": now})
    conn.execute(_SETTLE_ATTEMPTS, {**cells, "states": ended})
    return entries


# within a transaction


def agree(
    conn: sa.Connection, run: RunId, receipts: Sequence[tuple[Receipt, datetime]], now: datetime
) -> list[LedgerEntry]:
    """Store what is agreed by receipts, each with the time when its write was begun, and return the ledger's
    entries about it. A cell stays dirty where anything has changed since it was decided."""
    stored = _load_locked(conn, [one.person for one, _ in receipts]) if receipts else {}
    began = conn.scalar(RUN_BEGAN, {"run": run}) if receipts else None
    rows: list[dict[str, Any]] = []
    entries: list[LedgerEntry] = []
    change = SealChange(conn)
    for one, begun_at in receipts:
        cell = stored[one.person, one.topic]
        if one.gives_way_to(cell, begun_at):
            continue
        ground = "" if one.decided is None else cell.ground_since(one.decided, one.written)
        settled = cell.is_settled(ground, began) and one.covers(cell.latch)
        left = not settled or is_incomplete(cell, one.agreement)
        latch = latch_values(None if settled else cell.latch)
        row = {"person": one.person, "about": one.topic, "is_dirty": left, "stored_at": now}
        rows.append(row | agreement_values(one.agreement) | latch)
        entries.append(one.ledger)
        change.set(cell, one.agreement, now)
    run_each(conn, _AGREE, rows)
    keys = [(row["person"], row["about"]) for row in rows]
    forget_attempts(conn, keys, (AttemptState.FAILED, AttemptState.DEAD))
    return [*entries, *change.entries()]


def make_dirty(conn: sa.Connection, keys: Iterable[CellKey]) -> None:
    """These cells are to be decided again."""
    run_each(
        conn, _SET_DIRTY, [{"person": person, "about": topic, "is_dirty": True} for person, topic in keys]
    )


def make_people_dirty(conn: sa.Connection, persons: Sequence[PersonId]) -> int:
    """All mapped cells of these people are to be decided again. Returns how many were clean before."""
    mapped = facts_in(conn).mapped_topics if persons else None
    changed = 0
    for ids in batched(sorted(set(persons))):
        if mapped is None:
            changed += conn.execute(_CLEAN, {"ids": ids}).rowcount
        else:
            changed += conn.execute(_CLEAN_MAPPED, {"ids": ids, "topics": list(mapped)}).rowcount
    return changed


def retry_later(conn: sa.Connection, key: CellKey, now: datetime) -> None:
    """An opt-out of this cell had no effect: it is sent again later."""
    cell = {"person": key[0], "about": key[1]}
    tries = (conn.scalar(_TRIES, cell) or 0) + 1
    conn.execute(_RETRY, cell | {"so_far": tries, "due": now + retry_delay(tries)})


def retry_people(conn: sa.Connection, persons: Iterable[PersonId], now: datetime) -> None:
    """Opt-outs of these people that had no effect are sent again in the next run."""
    for ids in batched(persons):
        conn.execute(_RETRY_NOW, {"ids": ids, "now": now})


def transfer(
    conn: sa.Connection, agreements: Mapping[CellKey, Agreement], now: datetime
) -> list[LedgerEntry]:
    """Agreements that came with a change of address; what is mapped is decided again. Returns the ledger's
    entry about it."""
    if not agreements:
        return []
    mapped, change = facts_in(conn).mapped_topics, SealChange(conn)
    rows = [
        {
            "person_id": person,
            "topic": topic,
            "dirty": mapped is None or topic in mapped,
            "agreed_stored_at": now,
            **agreement_values(agreement),
        }
        for (person, topic), agreement in agreements.items()
    ]
    stored = _load_locked(conn, [person for person, _ in agreements])
    for (person, topic), agreement in agreements.items():
        change.set(stored.get((person, topic)) or Cell(person, topic), agreement, now)
    _TRANSFER.run(conn, rows)
    return change.entries()


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
    for some in batched(topics):
        for person in list(conn.scalars(_UNSETTLED, ended | {"ids": some})):
            conn.execute(_FORGET, ended | {"person": person, "topics": topics[PersonId(person)]})
