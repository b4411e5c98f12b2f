"""Checking the ledger: the whole chain with the agreements, or at little cost the head alone; and the head
file, which is the counter outside of the state DB."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from bridge.core.ledger import SETTLED, LedgerFault, LedgerHead, LedgerKey, LedgerTrouble
from bridge.store import ledger
from bridge.store.agreement_seals import is_settled_total, key_in
from bridge.store.key_values import facts_in
from bridge.store.ledger import HEAD, NOTHING, LedgerBroken, Row

_OTHER_KEY = "it was signed with another BRIDGE_ERASURE_KEY than is set"


@dataclass(frozen=True, slots=True)
class Verified:
    """The chain holds: how many entries, the hash of the last, which can be kept elsewhere as proof, and how
    many agreements they hold. Of entries before `accepted` an operator accepted that they are not intact."""

    entries: int
    head: str
    agreements: int = 0
    accepted: int = 0


def verify(conn: sa.Connection, kept: LedgerHead | None = None) -> Verified:
    """Check the whole chain, that the head `kept` elsewhere is part of it, and that the agreements are those
    of its last total. In constant memory. Raises LedgerBroken."""
    start = _accepted(conn)
    count, previous, settled = 0, NOTHING, 0
    if start is not None:
        count, previous = start.seq - 1, _previous_of(conn, start)
    total: Row | None = None
    while rows := ledger.page(conn, count):
        for row in rows:
            _verify_entry(row, count + 1, previous)
            count, previous = row["seq"], row["hash"]
            if row["kind"] == SETTLED:
                total, settled = row, row["seq"]
    _verify_head(conn, LedgerHead(count, previous), settled)
    if kept is not None:
        _verify_kept(conn, kept)
    agreements = 0 if total is None else _verify_agreements(conn, total)
    return Verified(count, previous, agreements, 0 if start is None else start.seq)


def _accepted(conn: sa.Connection) -> LedgerHead | None:
    """The entry at which an operator accepted what stands before it."""
    text = facts_in(conn).ledger_accepted
    if text is None:
        return None
    number, digest, signature = text.split(":")
    head, key = LedgerHead(int(number), digest), key_in(conn)
    if not key.is_signed(f"accepted {head}", signature or None):
        raise LedgerBroken(head.seq, "that it was accepted by an operator is not signed by this key")
    return head


def accept_from(conn: sa.Connection, head: LedgerHead) -> None:
    """From now on, the chain is checked from this entry on."""
    facts_in(conn).ledger_accepted = f"{head}:{key_in(conn).sign(f'accepted {head}') or ''}"


def _previous_of(conn: sa.Connection, start: LedgerHead) -> str:
    row = ledger.entry_at(conn, start.seq)
    if row is None or row["hash"] != start.hash:
        raise LedgerBroken(start.seq, "it is not the entry that an operator accepted")
    return str(row["prev_hash"])


def _verify_head(conn: sa.Connection, last: LedgerHead, settled: int) -> None:
    kept = conn.execute(HEAD).one_or_none()
    if kept is None:
        raise LedgerBroken(last.seq, "the record of its last entry is gone")
    if kept.seq > last.seq:
        raise LedgerBroken(last.seq + 1, f"entries up to {kept.seq} are gone")
    if (kept.seq, kept.hash) != (last.seq, last.hash):
        raise LedgerBroken(last.seq, "it is not the entry that was written last")
    if kept.settled != settled:
        raise LedgerBroken(settled, "it is not the total that was written last")
    _verify_signature(key_in(conn), kept)


def _verify_signature(key: LedgerKey, head: sa.Row[Any]) -> None:
    if head.key_id not in (None, key.id):
        raise LedgerBroken(head.seq, _OTHER_KEY, LedgerFault.OTHER_KEY)
    if head.signature is None:  # from a time without the key
        return
    if not key.is_signed(f"{head.seq}:{head.hash}", head.signature):
        raise LedgerBroken(head.seq, "the signature of the last entry is not that of this bridge")


def _verify_kept(conn: sa.Connection, kept: LedgerHead) -> None:
    row = ledger.entry_at(conn, kept.seq)
    if row is None:
        raise LedgerBroken(kept.seq, "that entry, which the kept head names, is not there")
    if row["hash"] != kept.hash:
        raise LedgerBroken(kept.seq, "it is not the entry that the kept head names")


def _verify_entry(row: Row, expected: int, previous: str) -> None:
    if row["seq"] != expected:
        raise LedgerBroken(expected, f"the next one that is there is {row['seq']}")
    if row["prev_hash"] != previous:
        raise LedgerBroken(expected, "it does not follow the entry before it")
    if not ledger.is_as_written(row):
        raise LedgerBroken(expected, "it is not as it was written")


def _verify_agreements(conn: sa.Connection, entry: Row) -> int:
    body, key = json.loads(entry["body"]), key_in(conn)
    if body["key"] not in (None, key.id):
        why = "its total was made with another BRIDGE_ERASURE_KEY than is set"
        raise LedgerBroken(entry["seq"], why, LedgerFault.OTHER_KEY)
    fits, count = is_settled_total(conn, body, key)
    if not fits:
        told = (
            ""
            if count == body["agreements"]
            else f"; there are {count:,}, and it names {body['agreements']:,}"
        )
        raise LedgerBroken(
            entry["seq"], f"agreements were edited, added or deleted by something else than the bridge{told}"
        )
    return count


# the head


def read_head(file: Path | None) -> str | None:
    """The content of the head file; None where there is none yet. Read it before the transaction in which it
    is checked: it is written after the entries that it names."""
    try:
        return None if file is None else file.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except (OSError, ValueError):
        return ""


def trouble_at_head(conn: sa.Connection, file: Path | None, content: str | None) -> LedgerTrouble | None:
    """What is wrong with the last entry, or shows in the head file's content, at the cost of a few rows."""
    head, last = conn.execute(HEAD).one_or_none(), ledger.last_entry(conn)
    try:
        if head is None:
            raise LedgerBroken(0 if last is None else last.seq, "the record of its last entry is gone")
        if (head.seq, head.hash) != ((0, NOTHING) if last is None else (last.seq, last.hash)):
            raise LedgerBroken(head.seq, "it is not the last entry that is there")
        _verify_signature(key_in(conn), head)
    except LedgerBroken as broken:
        return LedgerTrouble(broken.fault, broken.what)
    return None if file is None or content is None else _trouble_in_file(conn, file, content)


def _trouble_in_file(conn: sa.Connection, file: Path, content: str) -> LedgerTrouble | None:
    """What the head file tells about the state DB."""
    try:
        told = json.loads(content)
        kept = LedgerHead(int(told["entries"]), str(told["hash"]))
        signature, key_id, at = told["signature"], told["key"], str(told["at"])
    except (ValueError, KeyError, TypeError):
        return LedgerTrouble(LedgerFault.UNREADABLE, f"The head file {file} cannot be read.")
    key, head = key_in(conn), conn.execute(HEAD).one()
    must = key_id is not None or head.signature is not None  # else it may be from before there was a key
    if must and (key_id != key.id or not key.is_signed(str(kept), signature)):
        fault = LedgerFault.OTHER_KEY if key_id not in (None, key.id) else LedgerFault.BROKEN
        return LedgerTrouble(fault, f"The head file {file} is not signed with this BRIDGE_ERASURE_KEY.")
    row = ledger.entry_at(conn, kept.seq)
    if kept.seq == 0 or (row is not None and row["hash"] == kept.hash):
        return None
    last = ledger.last_entry(conn)
    ends = 0 if last is None else last.seq
    if row is None:
        what = f"it ends at entry {ends}, and {file} names entry {kept.seq} of {at}"
    else:
        what = f"its entry {kept.seq} is not the one that {file} names, of {at}"
    return LedgerTrouble(
        LedgerFault.ROLLED_BACK, f"The ledger went back: {what}. An older copy was restored, or it was cut."
    )


def write_head(conn: sa.Connection, file: Path, now: datetime) -> None:
    """Write the head file, whole or not at all. Raises OSError."""
    head = conn.execute(HEAD).one()
    key, kept = key_in(conn), LedgerHead(head.seq, head.hash)
    text = json.dumps(
        {
            "entries": kept.seq,
            "hash": kept.hash,
            "key": key.id,
            "signature": key.sign(str(kept)),
            "at": now.isoformat().replace("+00:00", "Z"),
        }
    )
    temporary = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        with temporary.open("w", encoding="utf-8") as written:
            written.write(f"{text}\n")
            written.flush()
            os.fsync(written.fileno())
        temporary.replace(file)
    finally:
        temporary.unlink(missing_ok=True)
