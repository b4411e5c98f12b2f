"""Cells: what each side shows, what was agreed, what is still to be decided."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from bridge.core.mapping import CHANNEL
from bridge.core.model import (
    Agreement,
    Block,
    Cell,
    Challenge,
    Choice,
    Observation,
    PersonId,
    RunId,
    Side,
    StandingHold,
    TopicId,
)
from bridge.core.store_port import AttemptFinished, LedgerEntry, Settlement
from bridge.store import attempts, challenges, holds, people, runs
from bridge.store import tables as t
from bridge.store.types import canonical, chunks

Key = tuple[PersonId, TopicId]
Row = Mapping[Any, Any]

MAPPED = "mapped_topics"  # the fact that holds what `remap` was told last
REMAP_PAGE = 20_000  # people of one transaction


# reading


def load(conn: sa.Connection, persons: Iterable[PersonId]) -> dict[PersonId, list[Cell]]:
    """All cells of these people."""
    found: dict[PersonId, list[Cell]] = {}
    for ids in chunks(persons):
        standing = holds.standing(conn, ids)
        doubts = attempts.doubts(conn, ids)
        floors = people.floors(conn, ids)
        asked = challenges.of_people(conn, ids)
        elsewhere = people.pinned_elsewhere(conn, ids)
        query = sa.select(t.cells).where(t.cells.c.person_id.in_(ids))
        for row in conn.execute(query.order_by(t.cells.c.person_id, t.cells.c.topic)).mappings():
            key = (PersonId(row["person_id"]), TopicId(row["topic"]))
            challenge = asked.get(key[0]) if key[1] == CHANNEL else None
            floor = floors.get(key[0])
            cell = _cell(key, row, standing.get(key), doubts.get(key, {}), floor, challenge)
            if key[0] in elsewhere:
                cell = replace(cell, elsewhere=True)
            found.setdefault(key[0], []).append(cell)
    return found


def dirty(conn: sa.Connection, after: PersonId | None, limit: int) -> list[list[Cell]]:
    """The next people, after `after`, who have something to decide: all cells of each."""
    c = t.cells.c
    query = sa.select(c.person_id).where(c.dirty).distinct().order_by(c.person_id).limit(limit)
    if after is not None:
        query = query.where(c.person_id > after)
    return list(load(conn, [PersonId(person) for person in conn.scalars(query)]).values())


def waiting(conn: sa.Connection) -> int:
    """How many cells are to be decided."""
    return conn.scalar(sa.select(sa.func.count()).select_from(t.cells).where(t.cells.c.dirty)) or 0


def count(conn: sa.Connection) -> int:
    return conn.scalar(sa.select(sa.func.count()).select_from(t.cells)) or 0


def _cell(
    key: Key,
    row: Row,
    hold: StandingHold | None,
    doubts: Mapping[Side, datetime],
    erased_at: datetime | None,
    challenge: Challenge | None,
) -> Cell:
    seen = {side: found for side in Side if (found := observation(row, side)) is not None}
    written = {side: at for side in Side if (at := row[f"{side}_written_at"]) is not None}
    return Cell(
        person=key[0],
        topic=key[1],
        seen=seen,
        agreed=_agreement(row),
        written_at=written,
        in_doubt_since=doubts,
        hold=hold,
        erased_at=erased_at,
        challenge=challenge,
    )


def observation(row: Row, side: Side) -> Observation | None:
    """What a row holds of `side`."""
    choice = row[f"{side}_choice"]
    if choice is None:
        return None
    block = row[f"{side}_block"]
    return Observation(
        choice=Choice(choice),
        read_at=row[f"{side}_read_at"],
        changed_at=row[f"{side}_changed_at"],
        frequencies=row[f"{side}_frequencies"],
        present=row[f"{side}_present"],
        stated=row[f"{side}_stated"],
        undated=row[f"{side}_shallow"],
        consistent=row[f"{side}_uniform"],
        records=row[f"{side}_records"],
        block=None if block is None else Block(block),
        reason=row[f"{side}_reason"],
    )


def _agreement(row: Row) -> Agreement | None:
    if row["agreed_choice"] is None:
        return None
    versions = {side: row[f"agreed_{side}_version"] for side in Side}
    return Agreement(
        choice=Choice(row["agreed_choice"]),
        at=row["agreed_at"],
        rule=row["agreed_rule"],
        decided_at=row["agreed_decided_at"],
        versions={side: version for side, version in versions.items() if version is not None},
        frequencies=row["agreed_frequencies"],
    )


# settling


def settle(conn: sa.Connection, run: RunId, settlements: Sequence[Settlement]) -> list[LedgerEntry]:
    """Store what was agreed, and mark as decided what was decided on the ground that stands now. Returns what
    the ledger has to say of it. Raises LookupError for a cell that does not exist."""
    concerned = [settlement.person for settlement in settlements]
    people.lock(conn, concerned)
    stored = {(cell.person, cell.topic): cell for mine in load(conn, concerned).values() for cell in mine}
    began = conn.scalar(sa.select(t.runs.c.started_at).where(t.runs.c.id == run))
    answered = holds.answered_since(conn, concerned, began)
    decided: list[Row] = []
    agreements: list[Row] = []
    for one in settlements:
        key = (one.person, one.topic)
        if key not in stored:
            raise LookupError(f"there is no cell of person {one.person} for topic '{one.topic}'")
        clean = stored[key].ground == one.ground and key not in answered
        row = {"person": one.person, "about": one.topic, "dirty": not clean}
        if one.agreement is not None:  # on other ground than stands now, it is to be decided again
            agreements.append(row | agreed_values(one.agreement))
        elif clean:
            decided.append(row)
    _update(conn, decided)
    _update(conn, agreements)
    agreed = [(one.person, one.topic) for one in settlements if one.agreement is not None]
    attempts.forget_misses(conn, agreed)
    return [one.ledger for one in settlements if one.ledger is not None]


def _update(conn: sa.Connection, rows: Sequence[Row]) -> None:
    """One statement for all rows, which name the same columns."""
    if not rows:
        return
    c = t.cells.c
    named = [name for name in rows[0] if name not in ("person", "about")]
    conn.execute(
        sa.update(t.cells)
        .where(c.person_id == sa.bindparam("person"), c.topic == sa.bindparam("about"))
        .values({name: sa.bindparam(name, type_=c[name].type) for name in named}),
        rows,
    )


def agreed_values(agreement: Agreement) -> dict[str, Any]:
    return {
        "agreed_choice": agreement.choice.value,
        "agreed_at": agreement.at,
        "agreed_rule": str(agreement.rule),
        "agreed_decided_at": agreement.decided_at,
        "agreed_frequencies": tuple(agreement.frequencies),
        **{f"agreed_{side}_version": agreement.versions.get(side) for side in Side},
    }


def make_dirty(conn: sa.Connection, keys: Iterable[Key]) -> None:
    """These cells are to be decided (again)."""
    rows = [{"person": person, "about": topic} for person, topic in keys]
    if rows:
        c = t.cells.c
        conn.execute(
            sa.update(t.cells)
            .where(c.person_id == sa.bindparam("person"), c.topic == sa.bindparam("about"))
            .values(dirty=True),
            rows,
        )


def spread(conn: sa.Connection, persons: Sequence[PersonId]) -> int:
    """All that is mapped of these people is to be decided again. Returns how many cells were clean before."""
    changed = 0
    c = t.cells.c
    known = runs.fact(conn, MAPPED) if persons else None
    mapped = sa.true() if known is None else c.topic.in_(json.loads(known))
    for ids in chunks(sorted(set(persons))):
        statement = sa.update(t.cells).where(c.person_id.in_(ids), c.dirty.is_(False), mapped)
        changed += conn.execute(statement.values(dirty=True)).rowcount
    return changed


def remap(conn: sa.Connection, topics: Sequence[TopicId], after: int) -> int | None:
    """For the next people beyond number `after`: everything mapped is to be decided again; what no topic
    names any more rests, its agreement kept. Returns where to go on."""
    last = people.last_of_range(conn, after, REMAP_PAGE)
    if last is None:
        runs.set_fact(conn, MAPPED, canonical(list(topics)))
        return None
    people.lock_where(conn, t.people.c.id.between(after + 1, last))
    c = t.cells.c
    mapped = c.topic.in_(topics)
    statement = sa.update(t.cells).where(c.person_id.between(after + 1, last), c.dirty != mapped)
    conn.execute(statement.values(dirty=mapped))
    return last


def note_written(conn: sa.Connection, side: Side, ended: Sequence[AttemptFinished]) -> None:
    """Writes of ours to these topics had ended: reads that began earlier show nothing of them."""
    c = t.cells.c
    at = f"{side}_written_at"
    rows = [
        {"person": one.person, "about": topic, "at": one.written_at}
        for one in ended
        if one.written_at is not None
        for topic in one.topics
    ]
    if rows:
        conn.execute(
            sa.update(t.cells)
            .where(c.person_id == sa.bindparam("person"), c.topic == sa.bindparam("about"))
            .values({at: sa.bindparam("at", type_=c[at].type)}),
            rows,
        )
