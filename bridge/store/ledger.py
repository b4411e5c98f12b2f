"""The ledger: the append-only decision log, each entry chained to the one before by its hash.

An edit, a removal or a reordering breaks the chain; a cut tail no longer meets the head, which is kept apart.
Entries name people by number, never by address.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import rfc8785
import sqlalchemy as sa

from bridge.core.errors import BridgeError
from bridge.core.model import PersonId, RunId, TopicId
from bridge.core.store_values import LedgerEntry
from bridge.store import tables as t
from bridge.store.columns import json_text, scrub
from bridge.store.engine import UnitOfWork
from bridge.store.statements import SIZE

NOTHING = "0" * 64  # what the first entry follows
PAGE = 1000

Row = Mapping[Any, Any]

_l, _head = t.ledger.c, t.ledger_head.c
_LAST = sa.select(_head.seq, _head.hash).where(_head.id == 1)
_LOCK = _LAST.with_for_update()
_ADD = sa.insert(t.ledger)
_SET_LAST = sa.update(t.ledger_head).where(_head.id == 1)
_HASH_OF = sa.select(_l.hash).where(_l.seq == sa.bindparam("number"))
_PAGE = sa.select(t.ledger).where(_l.seq > sa.bindparam("after")).order_by(_l.seq).limit(SIZE)
_OF_PERSON = sa.select(t.ledger).where(_l.person_id == sa.bindparam("person")).order_by(_l.seq)
_OF_CELL = _OF_PERSON.where(sa.or_(_l.topic == sa.bindparam("about"), _l.topic.is_(None)))


@dataclass(frozen=True, slots=True)
class LedgerHead:
    """The number and the hash of an entry. Kept elsewhere, it proves later that everything up to it is still
    as it was: who can write to the state DB can make another whole chain, but none that holds it."""

    seq: int
    hash: str

    def __str__(self) -> str:
        return f"{self.seq}:{self.hash}"


@dataclass(frozen=True, slots=True)
class Verified:
    """The chain holds: how many entries, and the hash of the last, which can be kept elsewhere as proof."""

    entries: int
    head: str


class LedgerBroken(BridgeError):
    """The ledger is not what was written. `seq` is the first entry at which that shows."""

    def __init__(self, seq: int, why: str) -> None:
        super().__init__(
            f"The ledger is broken at entry {seq}: {why}.",
            hint="Compare it with a backup or an earlier `bridge ledger export`; keep this file as it is.",
        )
        self.seq = seq
        self.why = why


class LedgerStore:
    """Reading and checking the ledger. Entries are added in the transaction of the change they are about."""

    def __init__(self, unit: UnitOfWork) -> None:
        self._unit = unit

    def verify(self, kept: LedgerHead | None = None) -> Verified:
        """Check the whole chain, and that the head `kept` elsewhere is part of it. Raises LedgerBroken."""
        with self._unit.read() as conn:
            found = _verify(conn)
            if kept is not None:
                _verify_kept(conn, kept)
            return found

    def head(self) -> LedgerHead | None:
        """The newest entry; None in an empty ledger."""
        with self._unit.read() as conn:
            last = conn.execute(_LAST).one_or_none()
        return None if last is None or not last.seq else LedgerHead(last.seq, last.hash)

    def export(self) -> Iterator[dict[str, Any]]:
        """Every entry, in order."""
        after = 0
        while True:
            with self._unit.read() as conn:
                rows = _page(conn, after)
            if not rows:
                return
            yield from map(_shown, rows)
            after = rows[-1]["seq"]

    def history(self, person: PersonId, topic: TopicId | None = None) -> list[dict[str, Any]]:
        """The entries about one person, the oldest first; with `topic`, those about it or about no topic."""
        query = _OF_PERSON if topic is None else _OF_CELL
        with self._unit.read() as conn:
            found = conn.execute(query, {"person": person, "about": topic})
            return [_shown(row) for row in found.mappings()]


def lock(conn: sa.Connection) -> tuple[int, str]:
    """Take the right to append, until the transaction ends. Returns the last entry's number and hash."""
    row = conn.execute(_LOCK).one()
    return row.seq, row.hash


def append(conn: sa.Connection, run: RunId | None, entries: Sequence[LedgerEntry], now: datetime) -> None:
    """Add entries, in the transaction of the change they are about."""
    if not entries:
        return
    seq, previous = lock(conn)
    rows: list[dict[str, Any]] = []
    for entry in entries:
        seq += 1
        row: dict[str, Any] = {
            "seq": seq,
            "at": now,
            "run": run,
            "person_id": entry.person,
            "topic": entry.topic,
            "kind": entry.kind,
            "body": scrub(_canonical(json.loads(json_text(entry.body)))),
            "prev_hash": previous,
        }
        previous = row["hash"] = _hash(row)
        rows.append(row)
    conn.execute(_ADD, rows)
    conn.execute(_SET_LAST, {"seq": seq, "hash": previous})


def _canonical(value: Any) -> str:
    """The one JSON text of a value (RFC 8785), which anybody can compute who checks an export."""
    return rfc8785.dumps(value).decode()


def _hash(row: Row) -> str:
    """Over what an export shows of the entry, so that an export can be checked without the state DB."""
    return hashlib.sha256(_canonical(_row_to_json(row)).encode()).hexdigest()


def _page(conn: sa.Connection, after: int) -> Sequence[Row]:
    return conn.execute(_PAGE, {"after": after, "size": PAGE}).mappings().all()


def _verify(conn: sa.Connection) -> Verified:
    count, previous = 0, NOTHING
    while rows := _page(conn, count):
        for row in rows:
            _verify_entry(row, count + 1, previous)
            count, previous = row["seq"], row["hash"]
    kept = conn.execute(_LAST).one_or_none()
    if kept is None:
        raise LedgerBroken(count, "the record of its last entry is gone")
    if kept.seq > count:
        raise LedgerBroken(count + 1, f"entries up to {kept.seq} are gone")
    if (kept.seq, kept.hash) != (count, previous):
        raise LedgerBroken(count, "it is not the entry that was written last")
    return Verified(count, previous)


def _verify_kept(conn: sa.Connection, kept: LedgerHead) -> None:
    found = conn.scalar(_HASH_OF, {"number": kept.seq})
    if found is None:
        raise LedgerBroken(kept.seq, "that entry, which the kept head names, is not there")
    if found != kept.hash:
        raise LedgerBroken(kept.seq, "it is not the entry that the kept head names")


def _verify_entry(row: Row, expected: int, previous: str) -> None:
    if row["seq"] != expected:
        raise LedgerBroken(expected, f"the next one that is there is {row['seq']}")
    if row["prev_hash"] != previous:
        raise LedgerBroken(expected, "it does not follow the entry before it")
    if not _is_as_written(row):
        raise LedgerBroken(expected, "it is not as it was written")


def _is_as_written(row: Row) -> bool:
    try:
        return bool(row["body"] == _canonical(json.loads(row["body"])) and row["hash"] == _hash(row))
    except ValueError:
        return False


def _shown(row: Row) -> dict[str, Any]:
    """An entry as it is exported."""
    return {**_row_to_json(row), "hash": row["hash"]}


def _row_to_json(row: Row) -> dict[str, Any]:
    return {
        "seq": row["seq"],
        "at": row["at"].isoformat().replace("+00:00", "Z"),
        "run": row["run"],
        "person": row["person_id"],
        "topic": row["topic"],
        "kind": row["kind"],
        "body": json.loads(row["body"]),
        "prev": row["prev_hash"],
    }
