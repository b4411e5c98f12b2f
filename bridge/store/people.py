"""People, and the records at either side that are theirs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

import sqlalchemy as sa

from bridge.core.conflict import newest
from bridge.core.model import PersonId, Side, Who, address_key
from bridge.store import tables as t
from bridge.store.engine import inserter
from bridge.store.types import chunks

PAGE = 500  # people of one page of a listing


def lock(conn: sa.Connection, people: Iterable[PersonId]) -> None:
    """Keep other transactions from changing anything about these people until this one ends. Always taken in
    the same order, before the ledger. SQLite has one writer anyway."""
    if conn.dialect.name != "postgresql":
        return
    for ids in chunks(sorted(set(people))):
        statement = sa.select(t.people.c.id).where(t.people.c.id.in_(ids)).order_by(t.people.c.id)
        conn.execute(statement.with_for_update(key_share=True))


def lock_where(conn: sa.Connection, clause: sa.ColumnElement[bool]) -> None:
    """Keep other transactions from changing anything about the people of a clause."""
    if conn.dialect.name == "postgresql":
        statement = sa.select(t.people.c.id).where(clause).order_by(t.people.c.id)
        conn.execute(
            sa.select(sa.func.count()).select_from(statement.with_for_update(key_share=True).subquery())
        )


def last_of_range(conn: sa.Connection, after: int, size: int) -> int | None:
    """The number that ends the next `size` people beyond number `after`; None where there are none."""
    p = t.people.c
    some = sa.select(p.id).where(p.id > after).order_by(p.id).limit(size).subquery()
    found = conn.scalar(sa.select(sa.func.max(some.c.id)))
    return None if found is None else int(found)


def ensure(conn: sa.Connection, addresses: Sequence[str], now: datetime) -> dict[str, PersonId]:
    """The people of these addresses by address key, made where they are new, and locked."""
    wanted = {address_key(address): address.strip() for address in reversed(addresses)}
    found = by_keys(conn, wanted)
    missing = sorted(key for key in wanted if key not in found)
    if missing:
        rows = [{"address": wanted[key], "address_key": key, "created_at": now} for key in missing]
        conn.execute(inserter(conn, t.people).on_conflict_do_nothing(), rows)
        found |= by_keys(conn, missing)
    lock(conn, found.values())
    return found


def by_keys(conn: sa.Connection, keys: Iterable[str]) -> dict[str, PersonId]:
    """Those of these address keys that belong to somebody."""
    found: dict[str, PersonId] = {}
    for some in chunks(keys):
        query = sa.select(t.people.c.address_key, t.people.c.id).where(t.people.c.address_key.in_(some))
        found.update((key, PersonId(number)) for key, number in conn.execute(query))
    return found


def floors(conn: sa.Connection, persons: Sequence[PersonId]) -> dict[PersonId, datetime]:
    """Those of these people who were erased, or may have been: no opt-in from before that raises them."""
    p = t.people.c
    query = sa.select(p.id, p.erased_at, p.unvetted_at).where(p.id.in_(persons), t.forgotten)
    found = {PersonId(row.id): newest(row.erased_at, row.unvetted_at) for row in conn.execute(query)}
    return {person: at for person, at in found.items() if at is not None}


def pinned_elsewhere(conn: sa.Connection, persons: Sequence[PersonId]) -> set[PersonId]:
    """Those of these people whose contact names a profile that is known, under other addresses only."""
    c, b = t.pins.c, t.bindings.c
    theirs = sa.and_(b.side == Side.MYPREFERENCES, b.external_id == c.profile_id)
    known = sa.exists().where(theirs)
    here = sa.exists().where(theirs, b.person_id == c.person_id)
    query = sa.select(c.person_id).where(c.person_id.in_(persons), known, ~here)
    return {PersonId(person) for person in conn.scalars(query)}


# bindings


def bound_ids(conn: sa.Connection, side: Side, people: Iterable[PersonId]) -> dict[PersonId, set[str]]:
    """The ids by which `side` knows these people; those without one are left out."""
    found: dict[PersonId, set[str]] = {}
    b = t.bindings.c
    for ids in chunks(people):
        query = sa.select(b.person_id, b.external_id).where(b.side == side, b.person_id.in_(ids))
        for person, external in conn.execute(query):
            found.setdefault(PersonId(person), set()).add(external)
    return found


def bind(
    conn: sa.Connection,
    side: Side,
    added: Iterable[tuple[PersonId, str, datetime]],
    removed: Iterable[tuple[PersonId, str]],
) -> None:
    """Add and remove ids of people at `side`; each added one with the time of the read that showed it."""
    b = t.bindings.c
    if gone := [{"person": person, "external": external} for person, external in removed]:
        conn.execute(
            sa.delete(t.bindings).where(
                b.side == side,
                b.person_id == sa.bindparam("person"),
                b.external_id == sa.bindparam("external"),
            ),
            gone,
        )
    rows = [
        {"side": side, "person_id": person, "external_id": external, "bound_at": at}
        for person, external, at in added
    ]
    if rows:
        conn.execute(inserter(conn, t.bindings).on_conflict_do_nothing(), rows)


# who


def who_many(conn: sa.Connection, people: Iterable[PersonId]) -> list[Who]:
    """These people, in the order asked for; unknown numbers are left out."""
    wanted = list(dict.fromkeys(people))
    addresses: dict[PersonId, str] = {}
    for ids in chunks(wanted):
        query = sa.select(t.people.c.id, t.people.c.address).where(t.people.c.id.in_(ids))
        addresses.update((PersonId(number), address) for number, address in conn.execute(query))
    ids_of = _ids_of(conn, addresses)
    return [
        Who(person, addresses[person], ids_of.get(person, {})) for person in wanted if person in addresses
    ]


def _ids_of(conn: sa.Connection, people: Iterable[PersonId]) -> dict[PersonId, dict[Side, tuple[str, ...]]]:
    found: dict[PersonId, dict[Side, tuple[str, ...]]] = {}
    b = t.bindings.c
    for ids in chunks(people):
        query = sa.select(b.person_id, b.side, b.external_id).where(b.person_id.in_(ids))
        for person, side, external in conn.execute(query.order_by(b.person_id, b.side, b.external_id)):
            mine = found.setdefault(PersonId(person), {})
            mine[Side(side)] = (*mine.get(Side(side), ()), external)
    return found


def find(conn: sa.Connection, address: str) -> Who | None:
    """The person of an address, if known."""
    key = address_key(address)
    return next(iter(who_many(conn, by_keys(conn, [key]).values())), None)


def bound(conn: sa.Connection, side: Side, external_id: str) -> list[Who]:
    """Everybody bound to one record of `side`: a profile may hold several addresses."""
    b = t.bindings.c
    query = sa.select(b.person_id).where(b.side == side, b.external_id == external_id).order_by(b.person_id)
    return who_many(conn, [PersonId(person) for person in conn.scalars(query)])


def known_after(conn: sa.Connection, side: Side | None, after: int) -> list[Who]:
    """The next page of everybody, or of everybody who has a record at `side`."""
    p, b = t.people.c, t.bindings.c
    query = sa.select(p.id).where(p.id > after).order_by(p.id).limit(PAGE)
    if side is not None:
        query = query.where(sa.exists().where(b.person_id == p.id, b.side == side))
    return who_many(conn, [PersonId(person) for person in conn.scalars(query)])


def unseen_after(conn: sa.Connection, side: Side, since: datetime, after: int) -> list[Who]:
    """The next page of people who were there when `side` was last read for them, before `since`."""
    p = t.people.c
    query = (
        sa.select(p.id)
        .where(p.id > after, p[f"{side}_present"], p[f"{side}_read_at"] < since)
        .order_by(p.id)
        .limit(PAGE)
    )
    return who_many(conn, [PersonId(person) for person in conn.scalars(query)])


def count(conn: sa.Connection) -> int:
    return conn.scalar(sa.select(sa.func.count()).select_from(t.people)) or 0
