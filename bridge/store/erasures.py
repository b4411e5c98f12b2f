"""Erased people: the markers that are left of them, and who of a page is one of them.

An unknown address is looked for among the markers before it is stored. An erased person is known again only
by an opt-out, which has to be processed, or by an opt-in from after the erasure; both set `people.erased_at`,
and no older opt-in raises them. The rules are in `bridge.core.erasure`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

import sqlalchemy as sa

from bridge.core.erasure import (
    ErasedSignal,
    ErasureFilter,
    ErasureKey,
    ErasureMarker,
    ErasureSettings,
    KnownErasures,
    KnownWithdrawals,
    is_silent,
)
from bridge.core.model import ClockReading, PersonId, Side, TopicId, address_key
from bridge.core.ports import PersonView, batched
from bridge.core.store_values import Json, LedgerEntry
from bridge.store import cell_reading, cells, erased_writes, ledger, people
from bridge.store import tables as t
from bridge.store.agreement_seals import sealing
from bridge.store.engine import UnitOfWork
from bridge.store.statements import among, count_of, param, run_each, upsert

KNOWN_AGAIN = "erased_known_again"  # the ledger's word for an erased person who is there again
RECHECK_PAGE = 5000  # people of one transaction

_e, _p = t.erased.c, t.people.c
_SAVE = upsert(t.erased, ["token"], ["key_id", "erased_at", "finished_at", "known"])
_KEYS = sa.select(
    sa.select(sa.func.min(_e.key_id)).scalar_subquery(), sa.select(sa.func.max(_e.key_id)).scalar_subquery()
)
_MARKERS = sa.select(_e.token, _e.erased_at, _e.finished_at, _e.known).where(among(_e.token, "tokens"))
_DROP_FINISHED = sa.delete(t.erased).where(among(_e.token, "tokens"), _e.finished_at.is_not(None))
_FINISH_EARLIER = (
    sa.update(t.erased)
    .where(among(_e.token, "tokens"), _e.finished_at.is_(None))
    .values(finished_at=param("at", _e.finished_at))
)
_UNFINISHED = count_of(t.erased, _e.finished_at.is_(None))
_OF_OTHER_KEYS = _e.key_id != sa.bindparam("mine")
_COUNT_UNREADABLE = count_of(t.erased, _OF_OTHER_KEYS)
_DROP_UNREADABLE = sa.delete(t.erased).where(_OF_OTHER_KEYS)

_SET_FLOOR = (
    sa.update(t.people).where(_p.id == sa.bindparam("person")).values(erased_at=param("at", _p.erased_at))
)
_SET_UNVETTED = sa.update(t.people).where(among(_p.id, "ids")).values(unvetted_at=param("at", _p.unvetted_at))
_UNVETTED = (
    sa.select(_p.id, _p.address_key)
    .where(_p.unvetted_at.is_not(None), _p.id > sa.bindparam("after"))
    .order_by(_p.id)
    .limit(RECHECK_PAGE)
)
_ALL = (
    sa.select(_p.id, _p.address_key).where(_p.id > sa.bindparam("after")).order_by(_p.id).limit(RECHECK_PAGE)
)
_COUNT_UNVETTED = count_of(t.people, t.forgotten, _p.unvetted_at.is_not(None))
_DROP_EMPTY = sa.delete(t.people).where(
    _p.id == sa.bindparam("person"),
    _p.erased_at.is_not(None),
    ~sa.exists().where(t.cells.c.person_id == _p.id),
)


class ErasureStore:
    """Erasing people, and recognising them later."""

    def __init__(self, unit: UnitOfWork, erasing: ErasureSettings) -> None:
        self._unit = unit
        self._erasing = erasing

    def begin(self, address: str) -> None:
        """Mark a person before anything is done: no opt-in from before raises them any more. Raises
        ConfigError without the key."""
        key = self._erasing.required()
        with self._unit.write() as conn:
            at = self._erasing.latest(self._unit.clock())
            _save(conn, address, key, erased_at=at, finished_at=None, known={})
            persons = people.by_keys(conn, [address_key(address)]).values()
            people.lock(conn, persons)
            _save_floors(conn, dict.fromkeys(persons, at))

    def finish(self, address: str, known: KnownWithdrawals, report: Json) -> bool:
        """Remove all that is kept of a person, but for the marker. `known` are the opt-outs that a side still
        shows; the ledger gets `report`. Returns whether the person was known. Raises ConfigError without the
        key."""
        key = self._erasing.required()
        with self._unit.write() as conn:
            now = self._unit.clock()
            at = self._erasing.latest(now)
            _save(conn, address, key, erased_at=at, finished_at=now, known=_known_out(known))
            conn.execute(_FINISH_EARLIER, {"tokens": key.earlier_tokens(address), "at": now})
            persons = list(people.by_keys(conn, [address_key(address)]).values())
            moved = _wipe(conn, persons, now)
            erased = LedgerEntry("erased", report, next(iter(persons), None))
            ledger.append(conn, None, [erased, *moved], now)
        self._unit.clean()
        return bool(persons)

    def marker(self, address: str) -> ErasureMarker | None:
        """What is left of the person of an address; None where nobody was erased under it, or the key to tell
        is missing."""
        with self._unit.read() as conn:
            return _markers(conn, [address_key(address)], self._erasing.key).get(address_key(address))

    def recheck(self) -> int:
        """Now that the key is set: find out which people, added while it was missing, had been erased.
        Returns for how many that cannot be found out yet."""
        after: int | None = 0
        while after is not None:
            with self._unit.write() as conn:
                after = _recheck(conn, self._erasing, self._unit.clock(), after)
        return self.unvetted()

    def markers(self) -> list[Json]:
        """All markers, to be taken over by another state DB."""
        with self._unit.read() as conn:
            return [dict(row) for row in conn.execute(sa.select(t.erased)).mappings()]

    def take_over(self, markers: Sequence[Json]) -> int:
        """Add markers of a newer state DB to this older copy, and remove those people here too, unless a side
        said something new about them. Without the key they are not found. Returns how many were new."""
        with self._unit.write() as conn:
            known = {row.token: row.erased_at for row in conn.execute(sa.select(_e.token, _e.erased_at))}
            fresh = [
                one for one in markers if one["token"] not in known or known[one["token"]] < one["erased_at"]
            ]
            if not fresh:
                return 0
            _SAVE.run(conn, fresh)
            now = self._unit.clock()
            ledger.append(conn, None, [LedgerEntry("marks_taken_over", {"marks": len(fresh)})], now)
        after: int | None = 0
        while after is not None:
            with self._unit.write() as conn:
                after = _doubt_marked(conn, self._erasing, self._unit.clock(), after)
        self.recheck()
        self._unit.clean()
        return len(fresh)

    def unvetted(self) -> int:
        """How many people were added while nobody could tell whether they had been erased."""
        with self._unit.read() as conn:
            return conn.scalar(_COUNT_UNVETTED) or 0

    def unreadable(self) -> int:
        """How many markers were made with another key than the one that is set."""
        with self._unit.read() as conn:
            if not _has_other_keys(conn, self._erasing):
                return 0
            return conn.scalar(_COUNT_UNREADABLE, _mine(self._erasing)) or 0

    def drop_unreadable(self) -> int:
        """Delete the markers whose key is lost: old records can then add these people again. Returns how
        many."""
        with self._unit.write() as conn:
            dropped = conn.execute(_DROP_UNREADABLE, _mine(self._erasing)).rowcount
            if dropped:
                entry = LedgerEntry("marks_dropped", {"marks": dropped})
                ledger.append(conn, None, [entry], self._unit.clock())
        return dropped

    def unfinished(self) -> int:
        """How many erasures were begun and not finished."""
        with self._unit.read() as conn:
            return conn.scalar(_UNFINISHED) or 0


# within a transaction


def filter_erased(
    conn: sa.Connection, views: Sequence[PersonView], side: Side, erasing: ErasureSettings, now: datetime
) -> ErasureFilter:
    """Take out of a page the erased people about whom it tells nothing new. One query where nobody ever was
    erased."""
    others = _has_other_keys(conn, erasing) if views else None
    if others is None:
        return ErasureFilter(views)
    keys = {address_key(view.address) for view in views}
    markers = _markers(conn, keys, erasing.key)
    known = people.by_keys(conn, keys if others else markers)
    allowed = ErasureFilter(unvetted=keys - markers.keys() - known.keys() if others else frozenset())
    allowed.add(views, side, KnownErasures(markers, known), ClockReading(now, erasing.skew))
    return allowed


def apply_erasure_floor(
    conn: sa.Connection,
    allowed: ErasureFilter,
    by_key: Mapping[str, PersonId],
    erasing: ErasureSettings,
    now: datetime,
) -> list[LedgerEntry]:
    """Keep older opt-ins from raising erased people; a later one ends the marker, and only this floor stays.
    Returns the ledger's entries about it."""
    if not (allowed.floors or allowed.unvetted or allowed.signals):
        return []
    _save_floors(conn, {by_key[key]: at for key, at in allowed.floors.items()})
    for ids in batched(by_key[key] for key in sorted(allowed.unvetted)):
        conn.execute(_SET_UNVETTED, {"ids": ids, "at": erasing.latest(now)})
    back = [key for key, signal in allowed.signals.items() if signal is ErasedSignal.OPT_IN]
    for some in batched(_tokens(back, erasing.key)):
        conn.execute(_DROP_FINISHED, {"tokens": some})
    return [
        LedgerEntry(KNOWN_AGAIN, {"by": signal.value}, by_key[key]) for key, signal in allowed.signals.items()
    ]


def ensure_person(conn: sa.Connection, address: str, erasing: ErasureSettings, now: datetime) -> PersonId:
    """The person of an address, added where they are new: something is to be read about them."""
    key = address_key(address)
    known = people.by_keys(conn, [key])
    person = known.get(key) or people.ensure(conn, [address], now)[key]
    others = None if known else _has_other_keys(conn, erasing)
    if others is not None:
        markers = _markers(conn, [key], erasing.key)
        unvetted = {key} if others and not markers else set()
        allowed = ErasureFilter((), {one: marker.at for one, marker in markers.items()}, unvetted=unvetted)
        apply_erasure_floor(conn, allowed, {key: person}, erasing, now)
    return person


def drop_if_empty(conn: sa.Connection, person: PersonId) -> None:
    """A retried read is done: an erased person about whom nothing new was found is removed again."""
    conn.execute(_DROP_EMPTY, {"person": person})


def is_marked(conn: sa.Connection, address: str, erasing: ErasureSettings) -> bool:
    """Whether the person of an address was erased, as far as can be known."""
    return bool(_markers(conn, [address_key(address)], erasing.key))


# markers


def _mine(erasing: ErasureSettings) -> dict[str, str]:
    return {"mine": "" if erasing.key is None else erasing.key.id}


def _has_other_keys(conn: sa.Connection, erasing: ErasureSettings) -> bool | None:
    """Whether there are markers made with another key than the one that is set. None: no markers at all."""
    low, high = conn.execute(_KEYS).one()
    return None if low is None else not low == high == _mine(erasing)["mine"]


def _markers(conn: sa.Connection, keys: Iterable[str], key: ErasureKey | None) -> dict[str, ErasureMarker]:
    """The markers of those of these address keys that were erased."""
    tokens = _tokens(keys, key)
    found: dict[str, ErasureMarker] = {}
    for some in batched(tokens):
        for row in conn.execute(_MARKERS, {"tokens": some}):
            finished = row.finished_at is not None
            marker = ErasureMarker(row.erased_at, _known_in(row.known), finished)
            for one in tokens[row.token]:
                if one not in found or found[one].at <= marker.at:
                    found[one] = marker
    return found


def _tokens(keys: Iterable[str], key: ErasureKey | None) -> dict[str, list[str]]:
    """The address keys that each token may mean: of two that only look alike, both."""
    found: dict[str, list[str]] = {}
    for one in keys:
        for token in () if key is None else key.tokens(one):
            found.setdefault(token, []).append(one)
    return found


def _save(conn: sa.Connection, address: str, key: ErasureKey, **values: object) -> None:
    _SAVE.run(conn, [{"token": key.token(address), "key_id": key.id, **values}])


def _save_floors(conn: sa.Connection, rows: Mapping[PersonId, datetime]) -> None:
    run_each(conn, _SET_FLOOR, [{"person": person, "at": at} for person, at in rows.items()])


def _known_out(known: KnownWithdrawals) -> dict[str, dict[str, str | None]]:
    return {
        side.value: {topic: None if at is None else at.isoformat() for topic, at in outs.items()}
        for side, outs in known.items()
    }


def _known_in(stored: Mapping[str, Mapping[str, str | None]]) -> KnownWithdrawals:
    return {
        Side(side): {
            TopicId(topic): None if at is None else datetime.fromisoformat(at) for topic, at in outs.items()
        }
        for side, outs in stored.items()
    }


# while the key was missing


def _doubt_marked(conn: sa.Connection, erasing: ErasureSettings, now: datetime, after: int) -> int | None:
    """Of the next people after number `after`, those who have a marker are to be checked again. Returns where
    to go on; None where nobody is left."""
    ids = {row.address_key: PersonId(row.id) for row in conn.execute(_ALL, {"after": after})}
    marked = [ids[key] for key in _markers(conn, ids, erasing.key)]
    for some in batched(marked):
        conn.execute(_SET_UNVETTED, {"ids": some, "at": erasing.latest(now)})
    return max(ids.values(), default=None)


def _recheck(conn: sa.Connection, erasing: ErasureSettings, now: datetime, after: int) -> int | None:
    """The next people after number `after`. Returns where to go on; None where nobody is left, or nobody can
    tell."""
    if _has_other_keys(conn, erasing):
        return None
    ids = {row.address_key: PersonId(row.id) for row in conn.execute(_UNVETTED, {"after": after})}
    if not ids:
        return None
    people.lock(conn, ids.values())
    markers = {ids[key]: marker for key, marker in _markers(conn, ids, erasing.key).items()}
    loaded, clocks = cell_reading.load(conn, markers), ClockReading(now, erasing.skew)
    gone = {who for who, marker in markers.items() if is_silent(loaded.get(who, ()), marker, clocks)}
    ledger.append(conn, None, _wipe(conn, sorted(gone), now), now)
    staying = [person for person in ids.values() if person not in gone]
    for some in batched(staying):
        conn.execute(_SET_UNVETTED, {"ids": some, "at": None})
    _save_floors(conn, {person: marker.at for person, marker in markers.items() if person not in gone})
    cells.make_people_dirty(conn, staying)
    return max(ids.values())


# removing


_RECORDS = [
    sa.select(table.c.external_id).where(
        table.c.side == sa.bindparam("at_side"), among(table.c.person_id, "ids")
    )
    for table in (t.bindings, t.former_bindings)
]
_SHARED = sa.select(t.bindings.c.external_id).where(
    t.bindings.c.side == sa.bindparam("at_side"),
    among(t.bindings.c.external_id, "records"),
    t.bindings.c.person_id.not_in(sa.bindparam("ids", expanding=True)),
)
_AGREED_OF = among(t.cells.c.person_id, "ids")
_DROP_PEOPLE = sa.delete(t.people).where(among(_p.id, "ids"))
_DROP_LINKS = sa.delete(t.pins).where(among(t.pins.c.profile_id, "records"))
_DROP_NAMED = [
    sa.delete(table).where(table.c.side == sa.bindparam("at_side"), among(table.c[column], "records"))
    for table, column in ((t.hook_hints, "profile_id"), (t.inbox, "hint_id"))
]
_DROP_FOLLOWED = sa.delete(t.followed).where(
    t.followed.c.feed.startswith(sa.bindparam("feeds", type_=sa.Text)),
    t.followed.c.key.like(sa.bindparam("keys", type_=sa.Text), escape="/"),
)


def _wipe(conn: sa.Connection, persons: Sequence[PersonId], now: datetime) -> list[LedgerEntry]:
    """Remove these people: what is theirs goes with them, and so does what only names their records. Returns
    the ledger's entries about their agreements."""
    people.lock(conn, persons)
    erased_writes.keep(conn, persons, now)
    for side in Side:
        _drop_records(conn, side, _records_of(conn, side, persons))
    entries: list[LedgerEntry] = []
    for ids in batched(persons):
        with sealing(conn, _AGREED_OF, {"ids": ids}) as moved:
            conn.execute(_DROP_PEOPLE, {"ids": ids})
        entries += moved
    return entries


def _records_of(conn: sa.Connection, side: Side, persons: Sequence[PersonId]) -> list[str]:
    """The records that are, or were, theirs and nobody else's."""
    found: set[str] = set()
    for ids in batched(persons):
        for query in _RECORDS:
            found.update(conn.scalars(query, {"at_side": side, "ids": ids}))
    shared: set[str] = set()
    for some in batched(sorted(found)):
        shared.update(conn.scalars(_SHARED, {"at_side": side, "records": some, "ids": list(persons)}))
    return sorted(found - shared)


def _drop_records(conn: sa.Connection, side: Side, records: Sequence[str]) -> None:
    for some in batched(records):
        if side is Side.MYPREFERENCES:
            conn.execute(_DROP_LINKS, {"records": some})
        for statement in _DROP_NAMED:
            conn.execute(statement, {"at_side": side, "records": some})
    for record in records:  # the key of a followed hint begins with the record that it is about
        pattern = "".join(f"/{one}" if one in "%_/" else one for one in record) + " %"
        conn.execute(_DROP_FOLLOWED, {"feeds": f"{side}.", "keys": pattern})
