"""The ledger: an append-only record of why, each entry chained to the one before by its hash.

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

import sqlalchemy as sa

from bridge.core.errors import BridgeError
from bridge.core.model import PersonId, RunId, TopicId
from bridge.core.store_port import LedgerEntry
from bridge.store import tables as t
from bridge.store.types import canonical, scrub

NOTHING = "0" * 64  # what the first entry follows
PAGE = 1000

Row = Mapping[Any, Any]


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


def lock(conn: sa.Connection) -> tuple[int, str]:
    """Take the right to append, until the transaction ends. Returns the last entry's number and hash."""
    head = t.ledger_head.c
    row = conn.execute(sa.select(head.seq, head.hash).where(head.id == 1).with_for_update()).one()
    return row.seq, row.hash


def append(conn: sa.Connection, run: RunId | None, entries: Sequence[LedgerEntry], now: datetime) -> None:
    """Add entries, in the transaction of what they tell about."""
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
            "body": scrub(canonical(entry.body)),
            "prev_hash": previous,
        }
        previous = row["hash"] = _hash(row)
        rows.append(row)
    conn.execute(sa.insert(t.ledger), rows)
    conn.execute(sa.update(t.ledger_head).where(t.ledger_head.c.id == 1).values(seq=seq, hash=previous))


def _hash(row: Row) -> str:
    """Over what an export shows of the entry, so that an export can be checked without the state DB."""
    return hashlib.sha256(canonical(_told(row)).encode()).hexdigest()


def page(conn: sa.Connection, after: int) -> Sequence[Row]:
    """The next entries, in order."""
    seq = t.ledger.c.seq
    query = sa.select(t.ledger).where(seq > after).order_by(seq).limit(PAGE)
    return conn.execute(query).mappings().all()


def verify(conn: sa.Connection) -> Verified:
    """Check the whole chain. Raises LedgerBroken."""
    count, previous = 0, NOTHING
    while rows := page(conn, count):
        for row in rows:
            _verify_entry(row, count + 1, previous)
            count, previous = row["seq"], row["hash"]
    head = t.ledger_head.c
    kept = conn.execute(sa.select(head.seq, head.hash).where(head.id == 1)).one_or_none()
    if kept is None:
        raise LedgerBroken(count, "the record of its last entry is gone")
    if kept.seq > count:
        raise LedgerBroken(count + 1, f"entries up to {kept.seq} are gone")
    if (kept.seq, kept.hash) != (count, previous):
        raise LedgerBroken(count, "it is not the entry that was written last")
    return Verified(count, previous)


def _verify_entry(row: Row, expected: int, previous: str) -> None:
    if row["seq"] != expected:
        raise LedgerBroken(expected, f"the next one that is there is {row['seq']}")
    if row["prev_hash"] != previous:
        raise LedgerBroken(expected, "it does not follow the entry before it")
    if not _is_as_written(row):
        raise LedgerBroken(expected, "its words are not those that were written")


def _is_as_written(row: Row) -> bool:
    try:
        return bool(row["body"] == canonical(json.loads(row["body"])) and row["hash"] == _hash(row))
    except ValueError:
        return False


def shown(row: Row) -> dict[str, Any]:
    """An entry as it is exported."""
    return {**_told(row), "hash": row["hash"]}


def _told(row: Row) -> dict[str, Any]:
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


def history(conn: sa.Connection, person: PersonId, topic: TopicId | None) -> Iterator[dict[str, Any]]:
    """What the ledger tells of one person, the oldest first: of one topic, that and what names no topic."""
    c = t.ledger.c
    query = sa.select(t.ledger).where(c.person_id == person).order_by(c.seq)
    if topic is not None:
        query = query.where(sa.or_(c.topic == topic, c.topic.is_(None)))
    for row in conn.execute(query).mappings():
        yield shown(row)
