"""The ledger: the append-only decision log, each entry chained to the one before by its hash.

An edit, a removal or a reordering breaks the chain; a cut tail no longer meets the head, which is kept apart
and signed. Entries name people by number, never by address.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import rfc8785
import sqlalchemy as sa

from bridge.core.errors import BridgeError
from bridge.core.ledger import SETTLED, WAY_OUT, LedgerFault, LedgerHead
from bridge.core.model import RunId
from bridge.core.store_values import LedgerEntry
from bridge.store import tables as t
from bridge.store.agreement_seals import key_in, settled_entry
from bridge.store.columns import json_text, scrub
from bridge.store.statements import SIZE

NOTHING = "0" * 64  # what the first entry follows
PAGE = 1000

Row = Mapping[Any, Any]

_l, _head = t.ledger.c, t.ledger_head.c
HEAD = sa.select(t.ledger_head).where(_head.id == 1)
_LOCK = HEAD.with_for_update()
_ADD = sa.insert(t.ledger)
_SET_HEAD = sa.update(t.ledger_head).where(_head.id == 1)
_ADD_HEAD = sa.insert(t.ledger_head)
_LAST = sa.select(_l.seq, _l.hash).order_by(_l.seq.desc()).limit(1)
_LAST_SETTLED = sa.select(sa.func.max(_l.seq)).where(_l.kind == SETTLED)
_ENTRY = sa.select(t.ledger).where(_l.seq == sa.bindparam("number"))
_PAGE = sa.select(t.ledger).where(_l.seq > sa.bindparam("after")).order_by(_l.seq).limit(SIZE)


class LedgerBroken(BridgeError):
    """The ledger is not what was written. `seq` is the first entry at which that shows."""

    def __init__(self, seq: int, why: str, fault: LedgerFault = LedgerFault.BROKEN) -> None:
        super().__init__(f"The ledger is broken at entry {seq}: {why}.", hint=WAY_OUT)
        self.seq = seq
        self.why = why
        self.fault = fault


def lock(conn: sa.Connection) -> sa.Row[Any]:
    """Take the right to append, until the transaction ends. Returns the head."""
    return conn.execute(_LOCK).one()


def append(conn: sa.Connection, run: RunId | None, entries: Sequence[LedgerEntry], now: datetime) -> None:
    """Add entries, in the transaction of the change they are about. What moves the total of all agreements
    becomes one entry, the last."""
    if not entries:
        return
    head = conn.execute(_LOCK).one()
    seq, previous, settled = head.seq, head.hash, head.settled
    plain: list[LedgerEntry] = []
    moves: list[LedgerEntry] = []
    for entry in entries:
        (moves if entry.kind == SETTLED else plain).append(entry)
    if moves:
        last = entry_at(conn, settled)
        plain.append(settled_entry(conn, moves, None if last is None else json.loads(last["body"])))
        settled = seq + len(plain)
    rows: list[dict[str, Any]] = []
    for entry in plain:
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
    _set_head(conn, LedgerHead(seq, previous), settled, head.key_id)


def _set_head(conn: sa.Connection, head: LedgerHead, settled: int, key_id: str | None = None) -> None:
    """Without its key a head stays unsigned, and names that key still."""
    key = key_in(conn)
    values = {"seq": head.seq, "hash": head.hash, "settled": settled}
    is_mine = key_id in (None, key.id)
    signed = {
        "key_id": key.id if is_mine else key_id,
        "signature": key.sign(str(head)) if is_mine else None,
    }
    if not conn.execute(_SET_HEAD, values | signed).rowcount:
        conn.execute(_ADD_HEAD, {"id": 1, **values, **signed})


def repair_head(conn: sa.Connection) -> None:
    """Let the head name the last entry that is there, so that entries can be added: withdrawals go on
    whatever was done to the ledger. Call it only after that was noted."""
    last = conn.execute(_LAST).one_or_none()
    found = LedgerHead(0, NOTHING) if last is None else LedgerHead(last.seq, last.hash)
    _set_head(conn, found, conn.scalar(_LAST_SETTLED) or 0)


def entry_at(conn: sa.Connection, number: int) -> Row | None:
    """One entry, if it is there."""
    return conn.execute(_ENTRY, {"number": number}).mappings().one_or_none()


def page(conn: sa.Connection, after: int) -> Sequence[Row]:
    """The entries after a number, so many at a time."""
    return conn.execute(_PAGE, {"after": after, "size": PAGE}).mappings().all()


def last_entry(conn: sa.Connection) -> LedgerHead | None:
    """The last entry that is there, whatever the head says."""
    last = conn.execute(_LAST).one_or_none()
    return None if last is None else LedgerHead(last.seq, last.hash)


def is_as_written(row: Row) -> bool:
    """Whether an entry's content fits its hash."""
    try:
        return bool(row["body"] == _canonical(json.loads(row["body"])) and row["hash"] == _hash(row))
    except ValueError:
        return False


def shown(row: Row) -> dict[str, Any]:
    """An entry as it is exported."""
    return {**_row_to_json(row), "hash": row["hash"]}


def _canonical(value: Any) -> str:
    """The one JSON text of a value (RFC 8785), which anybody can compute who checks an export."""
    return rfc8785.dumps(value).decode()


def _hash(row: Row) -> str:
    """Over what an export shows of the entry, so that an export can be checked without the state DB."""
    return hashlib.sha256(_canonical(_row_to_json(row)).encode()).hexdigest()


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
