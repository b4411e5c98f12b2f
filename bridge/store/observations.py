"""Recording what a side showed of people, and how far its feed was read."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from bridge.core.address_change import lost_bindings
from bridge.core.decision import Rule
from bridge.core.erasure import ErasureSettings
from bridge.core.merge_observation import CellKey, LastRead, PageMerge, StoredObservation, is_repeated
from bridge.core.model import (
    CHANNEL,
    Block,
    Choice,
    Observation,
    PersonId,
    RunId,
    Side,
    TopicId,
    address_key,
)
from bridge.core.ports import PersonView, batched
from bridge.core.store_values import LedgerEntry, RecordResult
from bridge.store import address_changes, cells, erasures, feeds, ledger, people
from bridge.store import tables as t
from bridge.store.cell_reading import STANDS, own_unsubscribes
from bridge.store.columns import EPOCH, LATCH, SEEN, latch_values, replace_seen
from bridge.store.engine import UnitOfWork, storable
from bridge.store.statements import Insert, InsertRows, among, count_of, is_postgresql, param, run_each

_c, _h, _p = t.cells.c, t.holds.c, t.people.c
_KEYS = ["person_id", "topic"]
PAGE = 20_000  # people whose absence is noted in one transaction


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
        with storable(), self._unit.write() as conn:
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
                fresh, last = _mark_absent(conn, side, topics, read_at=read_at, after=after)
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
    if not allowed.views:
        return RecordResult(0, 0, 0)
    by_key = people.ensure(conn, [view.address for view in allowed.views], now)
    entries = erasures.apply_erasure_floor(conn, allowed, by_key, erasing, now)
    if side is Side.DOTDIGITAL:
        there = (view for view in allowed.views if view.ids)
        people.respell(conn, {by_key[address_key(one.address)]: one.address for one in there})
    persons = sorted(by_key.values())
    page = _load(conn, side, persons)
    whole: set[PersonId] = set()
    named: dict[PersonId, Sequence[str]] = {}
    for view in allowed.views:
        person = by_key[address_key(view.address)]
        page.add(person, view)
        if view.complete:
            whole.add(person)
        if view.pins is not None:
            named[person] = view.pins
    if unsubscribe_withdraws_topics and side is Side.DOTDIGITAL:
        page.latch_topics(own_unsubscribes(conn, page.unsubscribed()))
    displaced, left = _save_bindings(conn, side, page, now)
    reads = [{"person": who, "at": read.at, "there": read.present} for who, read in page.reads.items()]
    run_each(conn, _SAVE_READ[side], reads)
    changed = _save_changes(conn, side, page)
    run_each(
        conn,
        _LATCH,
        [
            {"person": who, "about": topic, **latch_values(latch)}
            for (who, topic), latch in page.latches.items()
        ],
    )
    dirtied = len(changed)
    _decide_unread_again(conn, side, whole)
    channels = [who for who, topic in changed if topic == CHANNEL] if side is Side.DOTDIGITAL else []
    cells.retry_people(conn, channels, now)  # a block that kept an opt-out of a topic away may be over
    if unsubscribe_withdraws_topics:
        dirtied += cells.make_people_dirty(conn, channels)
    elif confirmed := [who for who in channels if _was_unconfirmed(page.before((who, CHANNEL)))]:
        dirtied += cells.make_people_dirty(conn, confirmed)  # opt-ins to topics waited for that
    if named:
        address_changes.save_links(conn, named)
    entries += address_changes.transfer(conn, side, {*persons, *displaced}, now, erasing.ahead())
    read_again = tuple(dict.fromkeys((*page.read_again, *displaced)))
    return RecordResult(len(persons), len(page.changed), dirtied, read_again, left, tuple(entries))


def _was_unconfirmed(seen: Observation | None) -> bool:
    return seen is not None and seen.block is Block.PENDING


# reading


_KNOWN_OUT = ("agreed_choice", "agreed_at", *LATCH.names)
_STORED = {
    side: sa.select(
        _c.person_id, _c.topic, *(_c[name] for name in (*SEEN[side].names, f"{side}_written_at", *_KNOWN_OUT))
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


def _load(conn: sa.Connection, side: Side, persons: Sequence[PersonId]) -> PageMerge:
    """What is stored of these people at one side, for a page to be merged into."""
    page = PageMerge(side, bound=people.bound_ids(conn, side, persons))
    for ids in batched(persons):
        for row in conn.execute(_STORED[side], {"ids": ids}).mappings():
            key = (PersonId(row["person_id"]), TopicId(row["topic"]))
            out = row["agreed_at"] if row["agreed_choice"] is Choice.OPTED_OUT else None
            page.stored[key] = StoredObservation(
                SEEN[side].read(row), row[f"{side}_written_at"], LATCH.read(row), out
            )
        for person, at, present in conn.execute(_READS[side], {"ids": ids}):
            if at is not None:
                page.read_before[PersonId(person)] = LastRead(at, present)
    return page


def _decide_unread_again(conn: sa.Connection, side: Side, persons: Collection[PersonId]) -> None:
    """Cells of these people that were held because `side` could not be read for them."""
    for ids in batched(sorted(persons)):
        found = conn.execute(_UNREAD, {"ids": ids, "at_side": f"{side}:"})
        cells.make_dirty(conn, ((PersonId(person), TopicId(topic)) for person, topic in found))


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
_LATCH = (
    sa.update(t.cells)
    .where(_c.person_id == sa.bindparam("person"), _c.topic == sa.bindparam("about"))
    .values({name: param(name, _c[name]) for name in LATCH.names})
)
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
    conn: sa.Connection, side: Side, page: PageMerge, now: datetime
) -> tuple[list[PersonId], tuple[str, ...]]:
    """Save whose records they are now. Returns people who turned out to have lost theirs to others, and the
    records that people turned out to have lost."""
    added, removed = page.moved_records(now)
    if not added and not removed:
        return [], ()
    people.bind(conn, side, added, removed)
    address_changes.save_former(conn, side, lost_bindings(removed, page.read_before, page.reads))
    address_changes.drop_former(conn, side, [(who, one) for who, one, _ in added])
    displaced = address_changes.unbind_previous(conn, side, added)
    return displaced, tuple(dict.fromkeys(external for _, external in removed))


def _save_changes(conn: sa.Connection, side: Side, page: PageMerge) -> list[CellKey]:
    """Save the merged observations. Returns the cells in which the side says something else than before.
    Most of a sweep is the same as before, read again: one statement for many people, not for each cell."""
    repeated: dict[tuple[PersonId, datetime], list[TopicId]] = {}
    rows: list[dict[str, Any]] = []
    news: list[CellKey] = []
    for key, seen in page.changed.items():
        old = page.before(key)
        if old is not None and is_repeated(old, seen):
            repeated.setdefault((key[0], seen.read_at), []).append(key[1])
            continue
        dirty = old is None or old.version != seen.version
        if dirty:
            news.append(key)
        rows.append({"person_id": key[0], "topic": key[1], **SEEN[side].values(seen), "dirty": dirty})
    alike: dict[tuple[datetime, tuple[TopicId, ...]], list[PersonId]] = {}
    for (person, at), about in repeated.items():
        alike.setdefault((at, tuple(sorted(about))), []).append(person)
    for (at, topics), persons in alike.items():
        for ids in batched(persons):
            conn.execute(_REPEATED[side], {"ids": ids, "topics": topics, "at": at})
    _SAVE_SEEN[side].run(conn, rows)
    return news


# absence


_NOBODY = Observation(
    Choice.UNSET, EPOCH, present=False, stated=False, undated=True, records=0
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


def _mark_absent(
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
