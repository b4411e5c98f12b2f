"""Recording what a side showed: a page of views, or the proof that somebody is not there."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from bridge.core.erasure import ErasureSettings
from bridge.core.mapping import CHANNEL
from bridge.core.merge_observation import combine
from bridge.core.model import Choice, Observation, PersonId, Side, TopicId, address_key
from bridge.core.ports import PersonView
from bridge.core.store_port import RecordResult
from bridge.store import address_changes, cells, erasures, holds, people, profile_links
from bridge.store import tables as t
from bridge.store.engine import inserter, inserting
from bridge.store.types import chunks

Key = tuple[PersonId, TopicId]
_Reads = dict[PersonId, tuple[datetime, bool] | None]  # the newest read of a person; whether they were there

ABSENT_PAGE = 20_000  # people of one transaction of `mark_absent`


@dataclass(frozen=True, slots=True)
class _Stored:
    """What the state DB held of one cell at one side when the page began."""

    seen: Observation | None
    written_at: datetime | None


@dataclass(slots=True)
class _Page:
    """One page of views, merged into what is stored; then written as a whole."""

    side: Side
    stored: dict[Key, _Stored]
    ids: dict[PersonId, set[str]]  # bindings as they become
    reads: _Reads
    now: dict[Key, Observation] = field(default_factory=dict)
    read_again: dict[PersonId, None] = field(default_factory=dict)

    def take(self, person: PersonId, view: PersonView) -> None:
        mine = self.ids.setdefault(person, set())
        if view.complete:
            mine.clear()
            self.read_again.pop(person, None)
        mine.update(view.ids)
        part = not view.complete and len(mine) > 1 and not mine <= set(view.ids)
        for topic, seen in view.topics.items():
            self._observe((person, topic), seen, part)
        self._note_read(person, view, part)

    def _observe(self, key: Key, seen: Observation, part: bool) -> None:
        stored = self.stored.get(key)
        old = self.now.get(key, None if stored is None else stored.seen)
        written_at = None if stored is None else stored.written_at
        merged = combine(old, seen, written_at=written_at, part=part)
        if merged.read_again:
            self.read_again[key[0]] = None
        if merged.observation is not None and merged.observation is not old:
            self.now[key] = merged.observation

    def _note_read(self, person: PersonId, view: PersonView, part: bool) -> None:
        if not view.topics:
            return
        before = self.reads.get(person)
        at = max(seen.read_at for seen in view.topics.values())
        present = any(seen.present for seen in view.topics.values())
        if before is None:
            self.reads[person] = (at, present)
        elif at >= before[0]:
            self.reads[person] = (at, present or (part and before[1]))


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
    `unsubscribe_withdraws_topics`, a change of the e-mail channel makes all of that person's cells dirty.
    So do cells become that were held because the person could not be read. Left out is who was erased,
    where it tells nothing new."""
    if not views:
        return RecordResult(0, 0, 0)
    sifted = erasures.filter_erased(conn, views, side, erasing, now)
    views = sifted.views
    if not views:
        return RecordResult(0, 0, 0)
    by_key = people.ensure(conn, [view.address for view in views], now)
    again = erasures.apply_erasure_floor(conn, sifted, by_key, erasing, now)
    persons = sorted(by_key.values())
    before = people.bound_ids(conn, side, persons)
    page = _Page(
        side=side,
        stored=_load(conn, side, persons),
        ids={person: set(ids) for person, ids in before.items()},
        reads=_reads(conn, side, persons),
    )
    known = dict(page.reads)
    for view in views:
        page.take(by_key[address_key(view.address)], view)
    ousted, left = _save_bindings(conn, side, before, page, known, now)
    _save_reads(
        conn, side, {person: read for person, read in page.reads.items() if read != known.get(person)}
    )
    moved = _save(conn, page)
    dirtied = len(moved)
    cells.make_dirty(
        conn,
        holds.unreadable(conn, side, [by_key[address_key(one.address)] for one in views if one.complete]),
    )
    if unsubscribe_withdraws_topics:
        dirtied += cells.spread(conn, [person for person, topic in moved if topic == CHANNEL])
    if named := {by_key[address_key(view.address)]: view.pins for view in views if view.pins is not None}:
        profile_links.note(conn, named)
    concerned = {*persons, *ousted}
    entries = [*again, *address_changes.carry(conn, side, concerned), *profile_links.carry(conn, concerned)]
    look_again = tuple(dict.fromkeys((*page.read_again, *ousted)))
    return RecordResult(len(persons), len(page.now), dirtied, look_again, left, tuple(entries))


# reading


_READ = ("choice", "changed_at", "frequencies", "present", "stated", "shallow", "uniform", "records", "block",
         "reason", "read_at", "written_at")  # fmt: skip


def _load(conn: sa.Connection, side: Side, persons: Iterable[PersonId]) -> dict[Key, _Stored]:
    c = t.cells.c
    columns = [c[f"{side}_{name}"] for name in _READ]
    found: dict[Key, _Stored] = {}
    for ids in chunks(persons):
        query = sa.select(c.person_id, c.topic, *columns).where(c.person_id.in_(ids))
        for row in conn.execute(query).mappings():
            key = (PersonId(row["person_id"]), TopicId(row["topic"]))
            found[key] = _Stored(cells.observation(row, side), row[f"{side}_written_at"])
    return found


def _reads(conn: sa.Connection, side: Side, persons: Iterable[PersonId]) -> _Reads:
    p = t.people.c
    at, present = p[f"{side}_read_at"], p[f"{side}_present"]
    found: _Reads = {}
    for ids in chunks(persons):
        for person, read_at, there in conn.execute(sa.select(p.id, at, present).where(p.id.in_(ids))):
            found[PersonId(person)] = None if read_at is None else (read_at, there)
    return found


# writing


def _save_bindings(
    conn: sa.Connection,
    side: Side,
    before: dict[PersonId, set[str]],
    page: _Page,
    known: _Reads,
    now: datetime,
) -> tuple[list[PersonId], tuple[str, ...]]:
    """Write whose records they are now. Returns people who turned out to have lost theirs to others, and the
    records that people turned out to have lost."""
    nobody: set[str] = set()
    after, reads = page.ids, page.reads
    added = [
        (who, one, now if (read := reads.get(who)) is None else read[0])
        for who, ids in after.items()
        for one in sorted(ids - before.get(who, nobody))
    ]
    removed = [(who, one) for who, ids in before.items() for one in sorted(ids - after.get(who, nobody))]
    left = [
        address_changes.FormerBinding(who, one, was[0], read[0])
        for who, one in removed
        if (was := known.get(who)) is not None and (read := reads.get(who)) is not None
    ]
    people.bind(conn, side, added, removed)
    address_changes.note_left(conn, side, left)
    address_changes.forget_left(conn, side, [(who, one) for who, one, _ in added])
    return address_changes.unbind_previous(conn, side, added), tuple(
        dict.fromkeys(external for _, external in removed)
    )


def _save_reads(conn: sa.Connection, side: Side, reads: _Reads) -> None:
    rows = [{"person": who, "at": read[0], "there": read[1]} for who, read in reads.items() if read]
    if not rows:
        return
    at, there = f"{side}_read_at", f"{side}_present"
    p = t.people.c
    conn.execute(
        sa.update(t.people)
        .where(p.id == sa.bindparam("person"))
        .values({at: sa.bindparam("at", type_=p[at].type), there: sa.bindparam("there")}),
        rows,
    )


def _save(conn: sa.Connection, page: _Page) -> list[Key]:
    """Write the merged observations. Returns the cells in which the side says something else than before."""
    reread: dict[PersonId, list[tuple[datetime, TopicId]]] = {}
    changed: list[dict[str, Any]] = []
    moved: list[Key] = []
    for key, seen in page.now.items():
        stored = page.stored.get(key)
        old = None if stored is None else stored.seen
        if old is not None and _differ_in_time_only(old, seen):
            reread.setdefault(key[0], []).append((seen.read_at, key[1]))
            continue
        new_version = old is None or old.version != seen.version
        if new_version:
            moved.append(key)
        changed.append(_row(page.side, key, seen, dirty=new_version))
    _save_reread(conn, page.side, reread)
    _save_changed(conn, page.side, changed)
    return moved


def _differ_in_time_only(old: Observation, seen: Observation) -> bool:
    return (
        old.choice is seen.choice
        and old.changed_at == seen.changed_at
        and old.frequencies == seen.frequencies
        and old.block is seen.block
        and (old.present, old.stated, old.undated, old.consistent, old.records, old.reason)
        == (seen.present, seen.stated, seen.undated, seen.consistent, seen.records, seen.reason)
    )


def _save_reread(
    conn: sa.Connection, side: Side, reread: dict[PersonId, list[tuple[datetime, TopicId]]]
) -> None:
    """Most of a sweep: the same as before, read anew. One statement for many people, not for each cell."""
    alike: dict[tuple[datetime, frozenset[TopicId]], list[PersonId]] = {}
    for person, cells_read in reread.items():
        for at in {at for at, _ in cells_read}:
            about = frozenset(topic for read_at, topic in cells_read if read_at == at)
            alike.setdefault((at, about), []).append(person)
    c = t.cells.c
    for (at, about), persons in alike.items():
        for some in chunks(persons):
            mine = sa.and_(c.person_id.in_(some), c.topic.in_(sorted(about)))
            conn.execute(sa.update(t.cells).where(mine).values({f"{side}_read_at": at}))


def _save_changed(conn: sa.Connection, side: Side, rows: list[dict[str, Any]]) -> None:
    if not rows:
        return
    statement, values = inserting(conn, t.cells, rows)
    new = statement.excluded
    given: dict[str, Any] = {f"{side}_{name}": new[f"{side}_{name}"] for name in t.SEEN}
    given["dirty"] = sa.or_(t.cells.c.dirty, new.dirty)
    conn.execute(statement.on_conflict_do_update(index_elements=["person_id", "topic"], set_=given), values)


def _row(side: Side, key: Key, seen: Observation, *, dirty: bool) -> dict[str, Any]:
    return {
        "person_id": key[0],
        "topic": key[1],
        f"{side}_choice": seen.choice.value,
        f"{side}_changed_at": seen.changed_at,
        f"{side}_frequencies": tuple(seen.frequencies),
        f"{side}_present": seen.present,
        f"{side}_stated": seen.stated,
        f"{side}_shallow": seen.undated,
        f"{side}_uniform": seen.consistent,
        f"{side}_records": seen.records,
        f"{side}_block": None if seen.block is None else seen.block.value,
        f"{side}_reason": seen.reason,
        f"{side}_read_at": seen.read_at,
        "dirty": dirty,
    }


# absence


def mark_absent(
    conn: sa.Connection, side: Side, topics: Sequence[TopicId], *, read_at: datetime, after: int
) -> tuple[int, int | None]:
    """After a complete sweep that began at `read_at`: the next people beyond number `after` who were never
    seen at `side`, or not there, are not there. Returns how many were new to that, and where to go on."""
    p = t.people.c
    last = people.last_of_range(conn, after, ABSENT_PAGE)
    if last is None:
        return 0, None
    at, there = p[f"{side}_read_at"], p[f"{side}_present"]
    gone = sa.and_(p.id > after, p.id <= last, sa.or_(at.is_(None), sa.and_(there.is_(False), at < read_at)))
    people.lock_where(conn, gone)
    for topic in topics:
        _fill_absent(conn, side, topic, gone, read_at)
    fresh = conn.scalar(sa.select(sa.func.count()).select_from(t.people).where(gone, at.is_(None))) or 0
    conn.execute(sa.update(t.people).where(gone).values({at.name: read_at, there.name: False}))
    return fresh, last


def _fill_absent(
    conn: sa.Connection, side: Side, topic: TopicId, gone: sa.ColumnElement[bool], read_at: datetime
) -> None:
    """Absence for one topic of everybody concerned, in one statement. Only silence is replaced: a cell in
    which that side says something keeps it until the person was looked for."""
    nobody = Observation(Choice.UNSET, read_at, present=False, stated=False, undated=True, records=0)
    row = _row(side, (PersonId(0), topic), nobody, dirty=True)
    del row["person_id"]
    c = t.cells.c
    values = [sa.literal(value, c[name].type).label(name) for name, value in row.items()]
    statement = inserter(conn, t.cells).from_select(
        ["person_id", *row], sa.select(t.people.c.id, *values).where(gone)
    )
    new = statement.excluded
    read, present = f"{side}_read_at", f"{side}_present"
    given: dict[str, Any] = {f"{side}_{name}": new[f"{side}_{name}"] for name in t.SEEN}
    given["dirty"] = sa.or_(c.dirty, c[read].is_(None))
    untouched = sa.or_(c[f"{side}_written_at"].is_(None), c[f"{side}_written_at"] <= new[read])
    older = sa.or_(c[read].is_(None), sa.and_(c[present].is_(False), c[read] < new[read]))
    conn.execute(
        statement.on_conflict_do_update(
            index_elements=["person_id", "topic"], set_=given, where=sa.and_(older, untouched)
        )
    )
