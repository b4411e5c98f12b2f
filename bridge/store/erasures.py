"""People who were erased: the marks that are left of them, and who of a page is one of them.

An address that nobody is known by is looked for among the marks before it is stored. Whoever is found there
is made known again only by a withdrawal, which has to be carried, or by an opt-in from after the erasure;
both leave `people.erased_at` behind, and no older opt-in raises them. While the key is not at hand nobody can
tell who is new and who was erased: whoever is made known then counts as erased at that moment.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from bridge.core.conflict import ClockReading
from bridge.core.erasure import (
    ErasedSignal,
    ErasureKey,
    ErasureMarker,
    ErasureSettings,
    KnownWithdrawals,
    erased_signal,
)
from bridge.core.model import PersonId, Side, TopicId, address_key
from bridge.core.ports import PersonView
from bridge.core.store_port import LedgerEntry
from bridge.store import cells, people
from bridge.store import tables as t
from bridge.store.engine import upsert
from bridge.store.types import chunks

KNOWN_AGAIN = "erased_known_again"  # the ledger's word for somebody erased who is there again
VET_PAGE = 5000  # people of one transaction


@dataclass(slots=True)
class ErasureFilter:
    """A page without those who were erased and of whom nothing new is told. All else by address key."""

    views: Sequence[PersonView]
    floors: dict[str, datetime] = field(default_factory=dict)  # erased then, and in the page all the same
    why: dict[str, ErasedSignal] = field(default_factory=dict)  # made known by that, or free of their mark
    unvetted: set[str] = field(default_factory=set)  # not known, and nobody can tell whether erased


def filter_erased(
    conn: sa.Connection, views: Sequence[PersonView], side: Side, erasing: ErasureSettings, now: datetime
) -> ErasureFilter:
    """Take out of a page whoever was erased and has said nothing new. One query where nobody ever was."""
    whose = _whose(conn, erasing)
    if whose is None:
        return ErasureFilter(views)
    keys = {address_key(view.address) for view in views}
    marks = _marks(conn, keys, erasing.key)
    known = people.by_keys(conn, keys if whose.others else marks)
    sifted = ErasureFilter([], unvetted=(keys - marks.keys() - known.keys()) if whose.others else set())
    clocks = ClockReading(now, erasing.skew)
    sifted.views = [view for view in views if _stays(view, side, sifted, marks, known, clocks)]
    return sifted


def _stays(
    view: PersonView,
    side: Side,
    sifted: ErasureFilter,
    marks: Mapping[str, ErasureMarker],
    known: Mapping[str, PersonId],
    clocks: ClockReading,
) -> bool:
    key = address_key(view.address)
    mark = marks.get(key)
    if mark is None:
        return True
    news = erased_signal(view.topics, side, mark, clocks)
    if news is ErasedSignal.OPT_IN and mark.finished:
        sifted.why[key] = news
    elif news is not ErasedSignal.NOTHING and key not in known:
        sifted.why.setdefault(key, news)
    if key not in known and key not in sifted.why:
        return False
    sifted.floors[key] = mark.at
    return True


def apply_erasure_floor(
    conn: sa.Connection,
    sifted: ErasureFilter,
    by_key: Mapping[str, PersonId],
    erasing: ErasureSettings,
    now: datetime,
) -> list[LedgerEntry]:
    """Keep older opt-ins from raising those who were erased; a later one ends the mark, and that alone stays.
    Returns what the ledger has to say of it."""
    _save_floors(conn, {by_key[key]: at for key, at in sifted.floors.items()})
    p, e = t.people.c, t.erased.c
    for ids in chunks(by_key[key] for key in sorted(sifted.unvetted)):
        conn.execute(sa.update(t.people).where(p.id.in_(ids)).values(unvetted_at=now))
    back = [key for key, news in sifted.why.items() if news is ErasedSignal.OPT_IN]
    for some in chunks(_tokens(back, erasing.key)):
        conn.execute(sa.delete(t.erased).where(e.token.in_(some), e.finished_at.is_not(None)))
    return [LedgerEntry(KNOWN_AGAIN, {"by": news.value}, by_key[key]) for key, news in sifted.why.items()]


def _save_floors(conn: sa.Connection, rows: Mapping[PersonId, datetime]) -> None:
    p = t.people.c
    if rows:
        conn.execute(
            sa.update(t.people)
            .where(p.id == sa.bindparam("person"))
            .values(erased_at=sa.bindparam("at", type_=p.erased_at.type)),
            [{"person": person, "at": at} for person, at in rows.items()],
        )


def ensure_person(conn: sa.Connection, address: str, erasing: ErasureSettings, now: datetime) -> PersonId:
    """The person of an address, made known if need be: something is to be read about them."""
    key = address_key(address)
    known = people.by_keys(conn, [key])
    person = known.get(key) or people.ensure(conn, [address], now)[key]
    whose = None if known else _whose(conn, erasing)
    if whose is not None:
        marks = _marks(conn, [key], erasing.key)
        unvetted = {key} if whose.others and not marks else set()
        sifted = ErasureFilter([], {one: mark.at for one, mark in marks.items()}, unvetted=unvetted)
        apply_erasure_floor(conn, sifted, {key: person}, erasing, now)
    return person


def drop_if_empty(conn: sa.Connection, person: PersonId) -> None:
    """What was to be read about somebody is read: where they were erased, and nothing new was found, they are
    not known any more."""
    p = t.people.c
    spoken = sa.exists().where(t.cells.c.person_id == p.id)
    conn.execute(sa.delete(t.people).where(p.id == person, p.erased_at.is_not(None), ~spoken))


def is_marked(conn: sa.Connection, address: str, erasing: ErasureSettings) -> bool:
    """Whether the person of an address was erased, as far as can be told."""
    return _whose(conn, erasing) is not None and bool(_marks(conn, [address_key(address)], erasing.key))


# marks


@dataclass(frozen=True, slots=True)
class _Whose:
    """Whether there are marks that were made with another key than the one at hand."""

    others: bool


def _whose(conn: sa.Connection, erasing: ErasureSettings) -> _Whose | None:
    """None where nobody was ever erased."""
    e = t.erased.c
    first, last = (sa.select(edge(e.key_id)).scalar_subquery() for edge in (sa.func.min, sa.func.max))
    low, high = conn.execute(sa.select(first, last)).one()
    if low is None:
        return None
    mine = None if erasing.key is None else erasing.key.id
    return _Whose(others=not low == high == mine)


def _marks(conn: sa.Connection, keys: Iterable[str], key: ErasureKey | None) -> dict[str, ErasureMarker]:
    """The marks of those of these address keys that were erased."""
    tokens = _tokens(keys, key)
    e = t.erased.c
    found: dict[str, ErasureMarker] = {}
    for some in chunks(tokens):
        query = sa.select(e.token, e.erased_at, e.finished_at, e.known).where(e.token.in_(some))
        for row in conn.execute(query):
            finished = row.finished_at is not None
            found[tokens[row.token]] = ErasureMarker(row.erased_at, _known_in(row.known), finished)
    return found


def _tokens(keys: Iterable[str], key: ErasureKey | None) -> dict[str, str]:
    return {} if key is None else {key.token(one): one for one in keys}


def begin(conn: sa.Connection, address: str, key: ErasureKey, now: datetime) -> None:
    """Mark somebody before anything is done: from now on no older opt-in raises them."""
    _save(conn, address, key, {"erased_at": now, "finished_at": None, "known": {}})
    for person in people.by_keys(conn, [address_key(address)]).values():
        people.lock(conn, [person])
        conn.execute(sa.update(t.people).where(t.people.c.id == person).values(erased_at=now))


def finish(
    conn: sa.Connection, address: str, key: ErasureKey, known: KnownWithdrawals, now: datetime
) -> PersonId | None:
    """Everything about the person goes, but for the mark. Returns who it was, where anybody was known."""
    shown = {
        side.value: {topic: None if at is None else at.isoformat() for topic, at in words.items()}
        for side, words in known.items()
    }
    _save(conn, address, key, {"erased_at": now, "finished_at": now, "known": shown})
    persons = list(people.by_keys(conn, [address_key(address)]).values())
    wipe(conn, persons)
    return next(iter(persons), None)


def _save(conn: sa.Connection, address: str, key: ErasureKey, values: Mapping[str, Any]) -> None:
    upsert(conn, t.erased, [{"token": key.token(address), "key_id": key.id, **values}], ["token"])


def _known_in(shown: Mapping[str, Mapping[str, str | None]]) -> KnownWithdrawals:
    return {
        Side(side): {
            TopicId(topic): None if at is None else datetime.fromisoformat(at) for topic, at in words.items()
        }
        for side, words in shown.items()
    }


def related_people(conn: sa.Connection, person: PersonId) -> list[PersonId]:
    """Who has, or had, a record together with this person: it may be the same human."""
    s = t.successions.c
    found = {PersonId(number) for number in conn.scalars(sa.select(s.heir_id).where(s.former_id == person))}
    found |= {PersonId(number) for number in conn.scalars(sa.select(s.former_id).where(s.heir_id == person))}
    records = {
        (side, external)
        for table in (t.bindings, t.former_bindings)
        for side, external in conn.execute(
            sa.select(table.c.side, table.c.external_id).where(table.c.person_id == person)
        )
    }
    for side, external in sorted(records):
        for table in (t.bindings, t.former_bindings):
            c = table.c
            query = sa.select(c.person_id).where(c.side == side, c.external_id == external)
            found.update(PersonId(number) for number in conn.scalars(query))
    return sorted(found - {person})


def wipe(conn: sa.Connection, persons: Sequence[PersonId]) -> None:
    """Remove these people: what is theirs goes with them, and so does what only names their records."""
    people.lock(conn, persons)
    for side in Side:
        _forget_records(conn, side, _records_of(conn, side, persons))
    for ids in chunks(persons):
        conn.execute(sa.delete(t.people).where(t.people.c.id.in_(ids)))


def _records_of(conn: sa.Connection, side: Side, persons: Sequence[PersonId]) -> list[str]:
    """The records that are, or were, theirs and nobody else's."""
    found: set[str] = set()
    for table in (t.bindings, t.former_bindings):
        c = table.c
        for ids in chunks(persons):
            query = sa.select(c.external_id).where(c.side == side, c.person_id.in_(ids))
            found.update(conn.scalars(query))
    shared: set[str] = set()
    for some in chunks(sorted(found)):
        b = t.bindings.c
        query = sa.select(b.external_id).where(b.side == side, b.external_id.in_(some))
        shared.update(conn.scalars(query.where(b.person_id.not_in(persons))))
    return sorted(found - shared)


def _forget_records(conn: sa.Connection, side: Side, records: Sequence[str]) -> None:
    f = t.followed.c
    if side is Side.MYPREFERENCES:
        for some in chunks(records):
            conn.execute(sa.delete(t.pins).where(t.pins.c.profile_id.in_(some)))
    for some in chunks(records):
        for table, column in ((t.hook_hints, t.hook_hints.c.profile_id), (t.inbox, t.inbox.c.hint_id)):
            conn.execute(sa.delete(table).where(table.c.side == side, column.in_(some)))
    for record in records:  # such a key begins with the record that it is about
        conn.execute(
            sa.delete(t.followed).where(
                f.feed.startswith(f"{side}."), f.key.startswith(f"{record} ", autoescape=True)
            )
        )


# while the key was not at hand


def recheck_erased(conn: sa.Connection, erasing: ErasureSettings, now: datetime, after: int) -> int | None:
    """Tell of the next people beyond number `after`, made known while nobody could, whether they had been
    erased. Returns where to go on; None where nobody is left, or nobody can tell."""
    whose = _whose(conn, erasing)
    if whose is not None and whose.others:
        return None
    p = t.people.c
    query = sa.select(p.id, p.address_key).where(p.unvetted_at.is_not(None), p.id > after).order_by(p.id)
    ids = {row.address_key: PersonId(row.id) for row in conn.execute(query.limit(VET_PAGE))}
    if not ids:
        return None
    people.lock(conn, ids.values())
    marks = {ids[key]: mark for key, mark in _marks(conn, ids, erasing.key).items()}
    gone = _silent(conn, marks, ClockReading(now, erasing.skew))
    wipe(conn, sorted(gone))
    staying = [person for person in ids.values() if person not in gone]
    for some in chunks(staying):
        conn.execute(sa.update(t.people).where(p.id.in_(some)).values(unvetted_at=None))
    _save_floors(conn, {person: mark.at for person, mark in marks.items() if person not in gone})
    cells.spread(conn, staying)
    return max(ids.values())


def _silent(
    conn: sa.Connection, marks: Mapping[PersonId, ErasureMarker], clocks: ClockReading
) -> set[PersonId]:
    """Those of whom neither side tells anything new."""
    loaded = cells.load(conn, list(marks))
    gone: set[PersonId] = set()
    for person, mark in marks.items():
        mine = loaded.get(person, [])
        words = (
            erased_signal(
                {cell.topic: cell.seen[side] for cell in mine if side in cell.seen}, side, mark, clocks
            )
            for side in Side
        )
        if all(one is ErasedSignal.NOTHING for one in words):
            gone.add(person)
    return gone


def unvetted(conn: sa.Connection) -> int:
    """How many people were made known while nobody could tell whether they had been erased."""
    p = t.people.c
    query = sa.select(sa.func.count()).select_from(t.people)
    return conn.scalar(query.where(t.forgotten, p.unvetted_at.is_not(None))) or 0


def unreadable(conn: sa.Connection, erasing: ErasureSettings) -> int:
    """How many marks were made with another key than the one at hand."""
    whose = _whose(conn, erasing)
    if whose is None or not whose.others:
        return 0
    query = sa.select(sa.func.count()).select_from(t.erased)
    return conn.scalar(query.where(_of_others(erasing))) or 0


def drop_unreadable(conn: sa.Connection, erasing: ErasureSettings) -> int:
    """Give up the marks that were made with another key. Returns how many."""
    return conn.execute(sa.delete(t.erased).where(_of_others(erasing))).rowcount


def _of_others(erasing: ErasureSettings) -> sa.ColumnElement[bool]:
    return sa.true() if erasing.key is None else t.erased.c.key_id != erasing.key.id


def unfinished(conn: sa.Connection) -> int:
    """How many erasures were begun and not carried to their end."""
    e = t.erased.c
    return conn.scalar(sa.select(sa.func.count()).select_from(t.erased).where(e.finished_at.is_(None))) or 0
