"""Records that came to another address: who had them, who has them now, and the withdrawals that go along.

All of it happens in the transaction that stores the read which shows it: nothing is decided about the new
address before.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from bridge.core.address_change import merge_agreements, propagate_withdrawal
from bridge.core.conflict import is_in
from bridge.core.model import Agreement, Cell, PersonId, Side, TopicId, address_key
from bridge.core.store_port import LedgerEntry
from bridge.store import cells, people, runs
from bridge.store import tables as t
from bridge.store.engine import inserter
from bridge.store.types import chunks

ONE_ADDRESS = frozenset({Side.DOTDIGITAL})  # whose records hold one address each
_INSTANT = timedelta(microseconds=1)
_CLOCKS = timedelta(minutes=5)  # how far a side's clock may be ahead of the bridge's


@dataclass(frozen=True, slots=True)
class FormerBinding:
    """A record that a person does not have any more: seen there last at `until`, gone by `left_at`."""

    person: PersonId
    external_id: str
    until: datetime
    left_at: datetime


@dataclass(frozen=True, slots=True)
class _Succession:
    side: Side
    former: PersonId
    heir: PersonId
    since: datetime


def note_left(conn: sa.Connection, side: Side, left: Iterable[FormerBinding]) -> None:
    """Keep in mind whose these records were. A known time of the change is better than that of a read."""
    rows = [
        {
            "side": side,
            "external_id": one.external_id,
            "person_id": one.person,
            "until": one.until,
            "left_at": one.left_at,
        }
        for one in left
    ]
    if not rows:
        return
    statement = inserter(conn, t.former_bindings)
    f, new = t.former_bindings.c, statement.excluded
    known = sa.case((f.left_at > new.until, f.left_at), else_=new.left_at)
    conn.execute(
        statement.on_conflict_do_update(
            index_elements=["side", "external_id", "person_id"], set_={"until": new.until, "left_at": known}
        ),
        rows,
    )


def record_former_addresses(
    conn: sa.Connection,
    side: Side,
    external_id: str,
    former: Sequence[tuple[str, datetime | None]],
    now: datetime,
) -> list[PersonId]:
    """A record had these addresses until then, as its side tells; addresses nobody knows are passed over.
    Returns those of these people who were never seen with that record."""
    by_key = {address_key(address): at or now for address, at in former}
    known = people.by_keys(conn, by_key)
    note_left(
        conn,
        side,
        [
            FormerBinding(person, external_id, by_key[key] - _CLOCKS, by_key[key])
            for key, person in known.items()
        ],
    )
    ids = people.bound_ids(conn, side, known.values())
    return [person for person in known.values() if external_id not in ids.get(person, ())]


def forget_left(conn: sa.Connection, side: Side, back: Iterable[tuple[PersonId, str]]) -> None:
    """These people have these records again."""
    rows = [{"person": person, "external": external} for person, external in back]
    if rows and _any(conn, t.former_bindings):
        f = t.former_bindings.c
        conn.execute(
            sa.delete(t.former_bindings).where(
                f.side == side,
                f.person_id == sa.bindparam("person"),
                f.external_id == sa.bindparam("external"),
            ),
            rows,
        )


def unbind_previous(
    conn: sa.Connection, side: Side, added: Sequence[tuple[PersonId, str, datetime]]
) -> list[PersonId]:
    """Where a record holds one address only, whoever had it before has it no more. Returns these people:
    their address is to be looked for."""
    if side not in ONE_ADDRESS or not added:
        return []
    newly = {external: (person, at) for person, external, at in added}
    b = t.bindings.c
    left: list[FormerBinding] = []
    for some in chunks(newly):
        query = sa.select(b.person_id, b.external_id).where(b.side == side, b.external_id.in_(some))
        for person, external in conn.execute(query):
            heir, at = newly[external]
            if person != heir:
                left.append(FormerBinding(PersonId(person), external, at - _INSTANT, at))
    people.bind(conn, side, (), [(one.person, one.external_id) for one in left])
    note_left(conn, side, left)
    return [one.person for one in left]


def carry(conn: sa.Connection, side: Side, persons: Collection[PersonId]) -> list[LedgerEntry]:
    """Carry withdrawals between the addresses of these people and those that they left or came to. Returns
    what the ledger has to say of it."""
    if not _any(conn, t.former_bindings):
        return []
    fresh = _found(conn, side, persons)
    _save(conn, fresh)
    known = [one for one in _known(conn, persons) if one not in fresh]
    if not fresh and not known:
        return []
    everybody = {person for one in (*fresh, *known) for person in (one.former, one.heir)}
    people.lock(conn, everybody)
    board = AddressMove(conn, everybody)
    for one in fresh:
        board.merge(one)
    vacant = _vacant(conn, known)
    for one in known:
        if (one.side, one.former) in vacant:
            board.follow(one.former, one.heir)
            board.follow(one.heir, one.former)
    return board.save()


def _any(conn: sa.Connection, table: sa.Table) -> bool:
    return conn.scalar(sa.select(sa.exists(sa.select(1).select_from(table)))) or False


class AddressMove:
    """The cells of linked people, changed together and then written."""

    def __init__(self, conn: sa.Connection, persons: Iterable[PersonId]) -> None:
        self._conn = conn
        loaded = cells.load(conn, persons)
        self._cells = {(cell.person, cell.topic): cell for mine in loaded.values() for cell in mine}
        self._changed: dict[tuple[PersonId, TopicId], Agreement] = {}
        self._entries: list[LedgerEntry] = []

    def merge(self, link: _Succession) -> None:
        """Somebody came to another address."""
        for topic in self._topics(link.former, link.heir):
            source, target = self._cell(link.former, topic), self._cell(link.heir, topic)
            self._take(target, merge_agreements(source, target, link.since), link.former)

    def follow(self, source: PersonId, target: PersonId) -> None:
        """Somebody who has come to another address since may have withdrawn something."""
        for topic in self._topics(source, target):
            there = self._cell(target, topic)
            self._take(there, propagate_withdrawal(self._cell(source, topic), there), source)

    def follow_all(self, sources: Sequence[PersonId], target: PersonId) -> None:
        """The same for somebody with several addresses: what they still say yes to under one of them at
        MyPreferences is not withdrawn for the person."""
        for topic in self._topics(*sources, target):
            said = [self._cell(source, topic) for source in sources]
            if any(is_in(seen) for cell in said if (seen := cell.seen.get(Side.MYPREFERENCES)) is not None):
                continue
            for cell in said:
                there = self._cell(target, topic)
                self._take(there, propagate_withdrawal(cell, there), cell.person)

    def save(self) -> list[LedgerEntry]:
        """Write what was carried, and have it decided."""
        known = runs.fact(self._conn, cells.MAPPED)
        mapped = None if known is None else frozenset(json.loads(known))
        rows = [
            {
                "person_id": person,
                "topic": topic,
                "dirty": mapped is None or topic in mapped,
                **cells.agreed_values(agreement),
            }
            for (person, topic), agreement in self._changed.items()
        ]
        if rows:
            statement = inserter(self._conn, t.cells)
            given = {name: statement.excluded[name] for name in rows[0] if name not in ("person_id", "topic")}
            self._conn.execute(
                statement.on_conflict_do_update(index_elements=["person_id", "topic"], set_=given), rows
            )
        return self._entries

    def _topics(self, *persons: PersonId) -> list[TopicId]:
        return sorted({topic for person, topic in self._cells if person in persons})

    def _cell(self, person: PersonId, topic: TopicId) -> Cell:
        return self._cells.get((person, topic), Cell(person, topic))

    def _take(self, target: Cell, agreement: Agreement | None, source: PersonId) -> None:
        if agreement is None:
            return
        key = (target.person, target.topic)
        self._cells[key] = replace(target, agreed=agreement)
        self._changed[key] = agreement
        body: Mapping[str, Any] = {"from_person": source, "withdrawn_at": agreement.at.isoformat()}
        self._entries.append(LedgerEntry(agreement.rule, body, target.person, target.topic))


# successions


def _found(conn: sa.Connection, side: Side, persons: Collection[PersonId]) -> list[_Succession]:
    """Successions not noted yet: a record was one person's, and became another's after it was last seen with
    the first. An address that stood beside it all the while inherits nothing."""
    f, b, s = t.former_bindings.c, t.bindings.c, t.successions.c
    noted = sa.exists().where(s.side == f.side, s.former_id == f.person_id, s.heir_id == b.person_id)
    query = (
        sa.select(f.person_id, b.person_id, b.bound_at, f.left_at)
        .join_from(t.former_bindings, t.bindings, sa.and_(f.side == b.side, f.external_id == b.external_id))
        .where(f.side == side, f.person_id != b.person_id, b.bound_at > f.until, ~noted)
    )
    found: dict[tuple[PersonId, PersonId], datetime] = {}
    for some in chunks(sorted(persons)):
        for former, heir, bound_at, left_at in conn.execute(
            query.where(sa.or_(f.person_id.in_(some), b.person_id.in_(some)))
        ):
            key = (PersonId(former), PersonId(heir))
            since = min(bound_at, left_at)
            found[key] = max(since, found.get(key, since))
    return [_Succession(side, former, heir, since) for (former, heir), since in sorted(found.items())]


def _save(conn: sa.Connection, fresh: Sequence[_Succession]) -> None:
    if fresh:
        rows = [
            {"side": one.side, "former_id": one.former, "heir_id": one.heir, "since": one.since}
            for one in fresh
        ]
        conn.execute(inserter(conn, t.successions).on_conflict_do_nothing(), rows)


def _known(conn: sa.Connection, persons: Collection[PersonId]) -> list[_Succession]:
    s = t.successions.c
    found: dict[_Succession, None] = {}
    for some in chunks(sorted(persons)):
        query = sa.select(s.side, s.former_id, s.heir_id, s.since).where(
            sa.or_(s.former_id.in_(some), s.heir_id.in_(some))
        )
        for side, former, heir, since in conn.execute(query):
            found[_Succession(Side(side), PersonId(former), PersonId(heir), since)] = None
    return list(found)


def _vacant(conn: sa.Connection, links: Iterable[_Succession]) -> set[tuple[Side, PersonId]]:
    """Which addresses that were left nobody else has at that side: what is said there is still the same
    person's."""
    wanted = {(one.side, one.former) for one in links}
    b = t.bindings.c
    taken: set[tuple[Side, PersonId]] = set()
    for some in chunks(sorted({person for _, person in wanted})):
        query = sa.select(b.side, b.person_id).where(b.person_id.in_(some))
        taken |= {(Side(side), PersonId(person)) for side, person in conn.execute(query)}
    return wanted - taken
