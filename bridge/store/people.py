"""People, and the records at either side that are theirs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime

import sqlalchemy as sa

from bridge.core.addresses import spellings, with_ascii_domain
from bridge.core.model import PersonId, Side, Who, address_key
from bridge.core.ports import batched
from bridge.store import tables as t
from bridge.store.engine import UnitOfWork
from bridge.store.statements import SIZE, among, count_of, insert_new, is_postgresql, param, run_each

PAGE = 500  # people of one page of a listing

_p, _b, _f, _s, _pins = t.people.c, t.bindings.c, t.former_bindings.c, t.successions.c, t.pins.c

_LOCK = sa.select(_p.id).where(among(_p.id, "ids")).order_by(_p.id).with_for_update(key_share=True)
_OLDEST_AFTER = sa.select(_p.id).where(_p.id > sa.bindparam("after")).order_by(_p.id).limit(SIZE).subquery()
_LAST_OF_RANGE = sa.select(sa.func.max(_OLDEST_AFTER.c.id))
_BY_KEYS = sa.select(_p.address_key, _p.id).where(among(_p.address_key, "keys"))
_ADD = insert_new(t.people)
_RESPELL = sa.update(t.people).where(_p.id == sa.bindparam("person")).values(address=sa.bindparam("address"))

_IDS_AT = sa.select(_b.person_id, _b.external_id).where(
    _b.side == sa.bindparam("at_side"), among(_b.person_id, "ids")
)
_UNBIND = sa.delete(t.bindings).where(
    _b.side == sa.bindparam("at_side"),
    _b.person_id == sa.bindparam("person"),
    _b.external_id == sa.bindparam("external"),
)
_BIND = insert_new(t.bindings)

_ADDRESSES = sa.select(_p.id, _p.address).where(among(_p.id, "ids"))
_ALL_IDS = (
    sa.select(_b.person_id, _b.side, _b.external_id)
    .where(among(_b.person_id, "ids"))
    .order_by(_b.person_id, _b.side, _b.external_id)
)
_OF_RECORD = (
    sa.select(_b.person_id)
    .where(_b.side == sa.bindparam("at_side"), _b.external_id == sa.bindparam("external"))
    .order_by(_b.person_id)
)
_KNOWN = sa.select(_p.id).where(_p.id > sa.bindparam("after")).order_by(_p.id).limit(SIZE)
_KNOWN_AT = _KNOWN.where(sa.exists().where(_b.person_id == _p.id, _b.side == sa.bindparam("at_side")))
_UNSEEN = {
    side: _KNOWN.where(_p[f"{side}_present"], _p[f"{side}_read_at"] < param("since", _p[f"{side}_read_at"]))
    for side in Side
}
_COUNT = count_of(t.people)
_THERE = {side: count_of(t.people, _p[f"{side}_present"]) for side in Side}
_NOT_SEEN = {
    side: count_of(
        t.people, _p[f"{side}_present"], _p[f"{side}_read_at"] < param("since", _p[f"{side}_read_at"])
    )
    for side in Side
}
_AMONG_THERE = {
    side: sa.select(_p.address_key).where(among(_p.address_key, "keys"), _p[f"{side}_present"])
    for side in Side
}
_UNRESOLVED = (
    sa.select(_pins.profile_id)
    .where(
        _pins.profile_id > sa.bindparam("after"),
        ~sa.exists().where(_b.side == Side.MYPREFERENCES, _b.external_id == _pins.profile_id),
    )
    .distinct()
    .order_by(_pins.profile_id)
    .limit(SIZE)
)
_RELATED = (
    sa.select(_s.heir_id).where(_s.former_id == sa.bindparam("person")),
    sa.select(_s.former_id).where(_s.heir_id == sa.bindparam("person")),
    *(
        sa.select(theirs.c.person_id).join_from(
            theirs, mine, sa.and_(theirs.c.side == mine.c.side, theirs.c.external_id == mine.c.external_id)
        ).where(mine.c.person_id == sa.bindparam("person"))
        for theirs in (t.bindings.alias(), t.former_bindings.alias())
        for mine in (t.bindings.alias(), t.former_bindings.alias())
    ),
)  # fmt: skip


class PeopleStore:
    """Who is known."""

    def __init__(self, unit: UnitOfWork) -> None:
        self._unit = unit

    def get(self, person: PersonId) -> Who:
        """One person's address and ids. Raises LookupError for an unknown number."""
        found = self.get_many([person])
        if not found:
            raise LookupError(f"there is no person {person}")
        return found[0]

    def get_many(self, people: Sequence[PersonId]) -> list[Who]:
        """These people, in the order asked for; unknown numbers are left out."""
        with self._unit.read() as conn:
            return _who(conn, people)

    def find(self, address: str) -> Who | None:
        """The person of an address, however it is written."""
        with self._unit.read() as conn:
            return next(iter(_who(conn, by_keys(conn, [address_key(address)]).values())), None)

    def of_record(self, side: Side, external_id: str) -> list[Who]:
        """Everybody who shares one record of `side`: a profile may hold several addresses."""
        with self._unit.read() as conn:
            found = conn.scalars(_OF_RECORD, {"at_side": side, "external": external_id})
            return _who(conn, [PersonId(person) for person in found])

    def related(self, person: PersonId) -> list[Who]:
        """Who has, or had, a record together with this person: it may be the same human."""
        with self._unit.read() as conn:
            found = {one for query in _RELATED for one in conn.scalars(query, {"person": person})}
            return _who(conn, [PersonId(one) for one in sorted(found - {person})])

    def known(self, side: Side | None = None) -> Iterator[list[Who]]:
        """Pages of everybody, or of everybody who has a record at `side`."""
        if side is None:
            return self._pages(_KNOWN)
        return self._pages(_KNOWN_AT, at_side=side)

    def unseen_since(self, side: Side, since: datetime) -> Iterator[list[Who]]:
        """Pages of people who were there when `side` was last read for them, and that was before `since`."""
        return self._pages(_UNSEEN[side], since=since)

    def count_unseen(self, side: Side, since: datetime) -> tuple[int, int]:
        """How many of those who were there when `side` was last read for them were not seen since then, and
        how many were there in all."""
        with self._unit.read() as conn:
            unseen = conn.scalar(_NOT_SEEN[side], {"since": since}) or 0
            return unseen, conn.scalar(_THERE[side]) or 0

    def known_there(self, side: Side, addresses: Sequence[str]) -> frozenset[str]:
        """The address keys of those of these people who were there when `side` was last read for them."""
        keys = [address_key(address) for address in addresses]
        earlier = _earlier_keys(keys)
        with self._unit.read() as conn:
            return frozenset(
                earlier.get(key, key)
                for some in batched([*keys, *earlier])
                for key in conn.scalars(_AMONG_THERE[side], {"keys": some})
            )

    def unresolved_profile_links(self, after: str, limit: int) -> list[str]:
        """The next profiles, after the one given, that contacts name and nobody is known to have."""
        with self._unit.read() as conn:
            return list(conn.scalars(_UNRESOLVED, {"after": after, "size": limit}))

    def count(self) -> int:
        """How many people are known."""
        with self._unit.read() as conn:
            return conn.scalar(_COUNT) or 0

    def _pages(self, query: sa.Select[int], **values: object) -> Iterator[list[Who]]:
        after = 0
        while True:
            with self._unit.read() as conn:
                found = conn.scalars(query, values | {"after": after, "size": PAGE})
                page = _who(conn, [PersonId(number) for number in found])
            if not page:
                return
            yield page
            after = page[-1].person


def _who(conn: sa.Connection, people: Iterable[PersonId]) -> list[Who]:
    wanted = list(dict.fromkeys(people))
    addresses: dict[PersonId, str] = {}
    ids_of: dict[PersonId, dict[Side, tuple[str, ...]]] = {}
    for ids in batched(wanted):
        addresses.update(
            (PersonId(number), address) for number, address in conn.execute(_ADDRESSES, {"ids": ids})
        )
        for person, side, external in conn.execute(_ALL_IDS, {"ids": ids}):
            mine = ids_of.setdefault(PersonId(person), {})
            mine[Side(side)] = (*mine.get(Side(side), ()), external)
    return [
        Who(person, addresses[person], ids_of.get(person, {})) for person in wanted if person in addresses
    ]


# within a transaction


def lock(conn: sa.Connection, people: Iterable[PersonId]) -> None:
    """Keep other transactions from changing anything about these people until this one ends. Always taken in
    the same order, before the ledger. SQLite has one writer anyway."""
    if is_postgresql(conn):
        for ids in batched(sorted(set(people))):
            conn.execute(_LOCK, {"ids": ids})


def locking(clause: sa.ColumnElement[bool]) -> sa.Select[int]:
    """A statement that does the same for the people of a clause, on PostgreSQL."""
    rows = sa.select(_p.id).where(clause).order_by(_p.id).with_for_update(key_share=True)
    return sa.select(sa.func.count()).select_from(rows.subquery())


def last_of_range(conn: sa.Connection, after: int, size: int) -> int | None:
    """The number that ends the next `size` people after number `after`; None where there are none."""
    found = conn.scalar(_LAST_OF_RANGE, {"after": after, "size": size})
    return None if found is None else int(found)


def ensure(conn: sa.Connection, addresses: Sequence[str], now: datetime) -> dict[str, PersonId]:
    """The people of these addresses by address key, added where they are new, and locked."""
    wanted = {address_key(address): address.strip() for address in reversed(addresses)}
    found = by_keys(conn, wanted)
    if missing := sorted(wanted.keys() - found.keys()):
        _ADD.run(conn, [{"address": wanted[key], "address_key": key, "created_at": now} for key in missing])
        found |= by_keys(conn, missing)
    lock(conn, found.values())
    return found


def respell(conn: sa.Connection, addresses: Mapping[PersonId, str]) -> None:
    """Keep addresses as Dotdigital writes them: its calls find no other spelling. Where there is but one,
    nothing is done."""
    rows = [
        {"person": person, "address": address.strip()}
        for person, address in addresses.items()
        if len(spellings(address)) > 1
    ]
    if rows:
        conn.execute(_RESPELL, rows)


def by_keys(conn: sa.Connection, keys: Iterable[str]) -> dict[str, PersonId]:
    """Those of these address keys that belong to a known person, also one who was stored under the key of an
    earlier version."""
    earlier = _earlier_keys(keys := list(keys))
    found: dict[str, PersonId] = {}
    for some in batched([*keys, *earlier]):
        for key, number in conn.execute(_BY_KEYS, {"keys": some}):
            found[key] = PersonId(number)
    for former, key in earlier.items():
        if (person := found.pop(former, None)) is not None:
            found.setdefault(key, person)
    return found


def _earlier_keys(keys: Iterable[str]) -> dict[str, str]:
    """Under which other key the person of an address key may be stored: earlier versions took an address with
    its domain in ASCII for another one."""
    return {former: key for key in keys if (former := with_ascii_domain(key)) is not None}


def bound_ids(conn: sa.Connection, side: Side, people: Iterable[PersonId]) -> dict[PersonId, set[str]]:
    """The ids by which `side` knows these people; those without one are left out."""
    found: dict[PersonId, set[str]] = {}
    for ids in batched(people):
        for person, external in conn.execute(_IDS_AT, {"at_side": side, "ids": ids}):
            found.setdefault(PersonId(person), set()).add(external)
    return found


def bind(
    conn: sa.Connection,
    side: Side,
    added: Iterable[tuple[PersonId, str, datetime]],
    removed: Iterable[tuple[PersonId, str]],
) -> None:
    """Add and remove ids of people at `side`; each added one with the time of the read that showed it."""
    run_each(
        conn,
        _UNBIND,
        [{"at_side": side, "person": person, "external": external} for person, external in removed],
    )
    _BIND.run(
        conn,
        [
            {"side": side, "person_id": person, "external_id": external, "bound_at": at}
            for person, external, at in added
        ],
    )
