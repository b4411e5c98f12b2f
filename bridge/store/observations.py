"""Recording what a side showed of people, and how far its feed was read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from bridge.core.address_change import lost_bindings
from bridge.core.decision import Rule
from bridge.core.erasure import ErasureSettings
from bridge.core.mapping import CHANNEL
from bridge.core.merge_observation import (
    CellKey,
    LastRead,
    PageMerge,
    StoredObservation,
    is_news,
    is_repeated,
)
from bridge.core.model import PersonId, RunId, Side, TopicId, address_key
from bridge.core.ports import PersonView
from bridge.core.store_port import LedgerEntry, RecordResult
from bridge.store import absence, address_changes, cells, erasures, feeds, ledger, people, profile_links
from bridge.store import tables as t
from bridge.store.cell_reading import STANDS
from bridge.store.columns import SEEN, replace_seen
from bridge.store.engine import UnitOfWork
from bridge.store.statements import Insert, InsertRows, among, param, run_each
from bridge.store.types import chunks

_c, _h, _p = t.cells.c, t.holds.c, t.people.c
_KEYS = ["person_id", "topic"]


class ObservationStore:
    """What the sides showed."""

    def __init__(self, unit: UnitOfWork, erasing: ErasureSettings) -> None:
        self._unit = unit
        self._erasing = erasing

    def record(
        self,
        views: Sequence[PersonView],
        side: Side,
        *,
        run: RunId,
        feed: str | None = None,
        watermark: datetime | None = None,
        unsubscribe_withdraws_topics: bool = False,
        followed: Sequence[str] = (),
        cursor: str | None = None,
    ) -> RecordResult:
        """Store a page of views and, with it, how far its feed was read and which of its hints were
        followed: all or nothing."""
        with self._unit.write() as conn:
            now = self._unit.clock()
            recorded = record(
                conn,
                views,
                side,
                now=now,
                unsubscribe_withdraws_topics=unsubscribe_withdraws_topics,
                erasing=self._erasing,
            )
            if feed is not None:
                feeds.note_page(conn, feed, run, now, followed=followed, cursor=cursor, watermark=watermark)
            ledger.append(conn, run, recorded.ledger, now)
        return recorded

    def record_former_addresses(
        self, side: Side, external_id: str, former: Sequence[tuple[str, datetime | None]]
    ) -> list[PersonId]:
        """A record had these addresses before, each until the time given, as its side tells. Nobody is added
        for that. Returns those of these people who were never seen with that record."""
        with self._unit.write() as conn:
            return address_changes.record_former_addresses(
                conn, side, external_id, former, self._unit.clock()
            )

    def mark_absent(self, side: Side, topics: Sequence[TopicId], *, run: RunId, read_at: datetime) -> int:
        """After a complete sweep that began at `read_at`: people who were never seen at `side` are not there.
        Returns for how many people that is new. Works in several transactions; if stopped between them, the
        next sweep goes on."""
        total, after = 0, 0
        while True:
            with self._unit.write() as conn:
                fresh, last = absence.mark(conn, side, topics, read_at=read_at, after=after)
                if last is None and total:
                    body = {"side": side.value, "people": total, "read_at": read_at.isoformat()}
                    ledger.append(conn, run, [LedgerEntry("absent", body)], self._unit.clock())
            total += fresh
            if last is None:
                return total
            after = last


def record(
    conn: sa.Connection,
    views: Sequence[PersonView],
    side: Side,
    *,
    now: datetime,
    unsubscribe_withdraws_topics: bool,
    erasing: ErasureSettings,
) -> RecordResult:
    """Merge a page of views into what is stored. A cell becomes dirty when what the side says changed; where
    `unsubscribe_withdraws_topics`, a change of the e-mail channel makes all of that person's cells dirty, and
    cells that were held because the person could not be read become dirty. Erased people about whom the page
    tells nothing new are left out."""
    allowed = erasures.filter_erased(conn, views, side, erasing, now)
    views = allowed.views
    if not views:
        return RecordResult(0, 0, 0)
    by_key = people.ensure(conn, [view.address for view in views], now)
    known_again = erasures.apply_erasure_floor(conn, allowed, by_key, erasing, now)
    seen = [(by_key[address_key(view.address)], view) for view in views]
    persons = sorted(by_key.values())
    bound, reads = people.bound_ids(conn, side, persons), _reads(conn, side, persons)
    page = PageMerge(
        stored=_load(conn, side, persons),
        ids={person: set(ids) for person, ids in bound.items()},
        reads=dict(reads),
    )
    for person, view in seen:
        page.add(person, view)
    displaced, left = _save_bindings(conn, side, page, bound, reads, now)
    _save_reads(conn, side, {who: read for who, read in page.reads.items() if read != reads.get(who)})
    changed = _save_changes(conn, side, page)
    dirtied = len(changed)
    cells.make_dirty(conn, _held_unread(conn, side, [person for person, view in seen if view.complete]))
    if unsubscribe_withdraws_topics:
        dirtied += cells.make_people_dirty(conn, [who for who, topic in changed if topic == CHANNEL])
    if named := {person: view.pins for person, view in seen if view.pins is not None}:
        profile_links.save(conn, named)
    concerned = {*persons, *displaced}
    transferred = [
        *address_changes.transfer(conn, side, concerned),
        *profile_links.transfer(conn, concerned),
    ]
    read_again = tuple(dict.fromkeys((*page.read_again, *displaced)))
    entries = (*known_again, *transferred)
    return RecordResult(len(persons), len(page.changed), dirtied, read_again, left, entries)


# reading


_STORED = {
    side: sa.select(
        _c.person_id, _c.topic, *(_c[name] for name in (*SEEN[side].names, f"{side}_written_at"))
    ).where(among(_c.person_id, "ids"))
    for side in Side
}
_READS = {
    side: sa.select(_p.id, _p[f"{side}_read_at"], _p[f"{side}_present"]).where(among(_p.id, "ids"))
    for side in Side
}
_UNREAD = sa.select(_h.person_id, _h.topic).where(
    STANDS,
    among(_h.person_id, "ids"),
    _h.reason == Rule.UNREADABLE,
    _h.why.startswith(sa.bindparam("at_side", type_=sa.Text)),
)


def _load(conn: sa.Connection, side: Side, persons: Iterable[PersonId]) -> dict[CellKey, StoredObservation]:
    found: dict[CellKey, StoredObservation] = {}
    for ids in chunks(persons):
        for row in conn.execute(_STORED[side], {"ids": ids}).mappings():
            key = (PersonId(row["person_id"]), TopicId(row["topic"]))
            found[key] = StoredObservation(SEEN[side].read(row), row[f"{side}_written_at"])
    return found


def _reads(conn: sa.Connection, side: Side, persons: Iterable[PersonId]) -> dict[PersonId, LastRead | None]:
    found: dict[PersonId, LastRead | None] = {}
    for ids in chunks(persons):
        for person, at, present in conn.execute(_READS[side], {"ids": ids}):
            found[PersonId(person)] = None if at is None else LastRead(at, present)
    return found


def _held_unread(conn: sa.Connection, side: Side, persons: Sequence[PersonId]) -> list[CellKey]:
    """The cells of these people that are held because `side` could not be read for them."""
    found: list[CellKey] = []
    for ids in chunks(sorted(set(persons))):
        for person, topic in conn.execute(_UNREAD, {"ids": ids, "at_side": f"{side}:"}):
            found.append((PersonId(person), TopicId(topic)))
    return found


# writing


_SAVE_READ = {
    side: sa.update(t.people)
    .where(_p.id == sa.bindparam("person"))
    .values(
        {
            f"{side}_read_at": param("at", _p[f"{side}_read_at"]),
            f"{side}_present": sa.bindparam("there"),
        }
    )
    for side in Side
}
_REPEATED = {
    side: sa.update(t.cells)
    .where(among(_c.person_id, "ids"), among(_c.topic, "topics"))
    .values({f"{side}_read_at": param("at", _c[f"{side}_read_at"])})
    for side in Side
}


def _save_seen(side: Side) -> InsertRows:
    def make(insert: Insert) -> Insert:
        given = replace_seen(side, insert, dirty=sa.or_(_c.dirty, insert.excluded.dirty))
        return insert.on_conflict_do_update(index_elements=_KEYS, set_=given)

    return InsertRows.build_arrays(make, t.cells, [*_KEYS, *SEEN[side].names, "dirty"])


_SAVE_SEEN = {side: _save_seen(side) for side in Side}


def _save_bindings(
    conn: sa.Connection,
    side: Side,
    page: PageMerge,
    bound: Mapping[PersonId, set[str]],
    reads: Mapping[PersonId, LastRead | None],
    now: datetime,
) -> tuple[list[PersonId], tuple[str, ...]]:
    """Save whose records they are now. Returns people who turned out to have lost theirs to others, and the
    records that people turned out to have lost."""
    nothing: set[str] = set()
    added = [
        (who, one, now if (read := page.reads.get(who)) is None else read.at)
        for who, ids in page.ids.items()
        for one in sorted(ids - bound.get(who, nothing))
    ]
    removed = [(who, one) for who, ids in bound.items() for one in sorted(ids - page.ids.get(who, nothing))]
    people.bind(conn, side, added, removed)
    address_changes.save_former(conn, side, lost_bindings(removed, reads, page.reads))
    address_changes.drop_former(conn, side, [(who, one) for who, one, _ in added])
    displaced = address_changes.unbind_previous(conn, side, added)
    return displaced, tuple(dict.fromkeys(external for _, external in removed))


def _save_reads(conn: sa.Connection, side: Side, reads: Mapping[PersonId, LastRead | None]) -> None:
    rows = [{"person": who, "at": read.at, "there": read.present} for who, read in reads.items() if read]
    run_each(conn, _SAVE_READ[side], rows)


def _save_changes(conn: sa.Connection, side: Side, page: PageMerge) -> list[CellKey]:
    """Save the merged observations. Returns the cells in which the side says something else than before."""
    repeated: dict[PersonId, list[tuple[datetime, TopicId]]] = {}
    rows: list[dict[str, Any]] = []
    news: list[CellKey] = []
    for key, seen in page.changed.items():
        old = page.before(key)
        if is_repeated(old, seen):
            repeated.setdefault(key[0], []).append((seen.read_at, key[1]))
            continue
        dirty = is_news(old, seen)
        if dirty:
            news.append(key)
        rows.append({"person_id": key[0], "topic": key[1], **SEEN[side].values(seen), "dirty": dirty})
    _save_repeated(conn, side, repeated)
    _SAVE_SEEN[side].run(conn, rows)
    return news


def _save_repeated(
    conn: sa.Connection, side: Side, repeated: Mapping[PersonId, Sequence[tuple[datetime, TopicId]]]
) -> None:
    """Most of a sweep: the same as before, read again. One statement for many people, not for each cell."""
    alike: dict[tuple[datetime, frozenset[TopicId]], list[PersonId]] = {}
    for person, cells_read in repeated.items():
        for at in {at for at, _ in cells_read}:
            about = frozenset(topic for read_at, topic in cells_read if read_at == at)
            alike.setdefault((at, about), []).append(person)
    for (at, about), persons in alike.items():
        for ids in chunks(persons):
            conn.execute(_REPEATED[side], {"ids": ids, "topics": sorted(about), "at": at})
