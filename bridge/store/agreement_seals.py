"""The total of all agreements: a count and a sum of keyed digests, which every change of an agreement moves
and the ledger keeps. What was edited, added or deleted without an entry no longer fits the total.

The cost is one digest for each agreement that changes and one ledger entry for each transaction.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import Any, cast

import sqlalchemy as sa

from bridge.core.ledger import SETTLED, AgreementTotal, LedgerKey
from bridge.core.merge_observation import CellKey
from bridge.core.model import Agreement, Cell
from bridge.core.store_values import LedgerEntry
from bridge.store import tables as t
from bridge.store.columns import AGREED, VERSIONS, agreement_in
from bridge.store.statements import SIZE

_KEY = "bridge_ledger_key"
_NO_KEY = LedgerKey(None)
_PAGE = 5000

_c = t.cells.c
_COLUMNS = (
    _c.person_id,
    _c.topic,
    _c.agreed_stored_at,
    *(_c[name] for name in (*AGREED.names, *VERSIONS.values())),
)
_AGREED = sa.select(*_COLUMNS).where(_c.agreed_choice.is_not(None))
_FROM = sa.or_(
    _c.person_id > sa.bindparam("person"),
    sa.and_(_c.person_id == sa.bindparam("person"), _c.topic > sa.bindparam("after")),
)
_SOME = _AGREED.where(_FROM).order_by(_c.person_id, _c.topic).limit(SIZE)


def use_key(engine: sa.Engine, key: LedgerKey) -> None:
    """From now on, transactions of this engine sign and seal with this key."""
    engine.update_execution_options(**{_KEY: key})


def key_in(conn: sa.Connection) -> LedgerKey:
    """The key of the ledger in a transaction."""
    return cast("LedgerKey", conn.get_execution_options().get(_KEY, _NO_KEY))


class SealChange:
    """What a transaction changes of the total: each cell as it was before and is after it."""

    def __init__(self, conn: sa.Connection) -> None:
        self._key = key_in(conn)
        self._now: dict[CellKey, int] = {}
        self._moved = AgreementTotal()

    def set(self, cell: Cell, agreement: Agreement, now: datetime) -> None:
        """An agreement is stored in place of the cell's own."""
        key = (cell.person, cell.topic)
        before = self._now.get(key)
        if before is None and cell.agreed is not None:
            before = self._key.digest(_text(key, cell.agreed, cell.agreed_stored_at))
        after = self._now[key] = self._key.digest(_text(key, agreement, now))
        self._moved = self._moved.plus(AgreementTotal(before is None, after - (before or 0)))

    def entries(self) -> list[LedgerEntry]:
        """The ledger's entry about it; none where nothing changed."""
        return [_entry(len(self._now), self._moved)] if self._now else []


@contextmanager
def sealing(
    conn: sa.Connection, where: sa.ColumnElement[bool], values: Mapping[str, Any]
) -> Iterator[list[LedgerEntry]]:
    """Within, the agreements of these cells may change in any way. The list then holds the ledger's entry
    about it. For changes that are few or rare: the cells are read before and after."""
    query = _AGREED.where(where)
    key, found = key_in(conn), list[LedgerEntry]()
    before = _sum(key, conn.execute(query, values).mappings())
    yield found
    moved = _sum(key, conn.execute(query, values).mappings()).minus(before)
    if moved != AgreementTotal():
        found.append(_entry(abs(moved.count) or 1, moved))


def total_of(conn: sa.Connection, key: LedgerKey) -> AgreementTotal:
    """The total of all agreements that are stored, read page by page."""
    total, place = AgreementTotal(), {"person": 0, "after": ""}
    while rows := conn.execute(_SOME, place | {"size": _PAGE}).mappings().all():
        total = total.plus(_sum(key, rows))
        place = {"person": rows[-1]["person_id"], "after": rows[-1]["topic"]}
    return total


RESEAL = LedgerEntry(SETTLED, {"all": True})
"""The total is made again from what is stored."""


def settled_entry(
    conn: sa.Connection, moves: Iterable[LedgerEntry], last: Mapping[str, Any] | None
) -> LedgerEntry:
    """The entry with the new total after the moves of a transaction. `last` is the body of the last one.
    Where that is missing, or was made with another key, the total is made from what is stored."""
    key, rows, moved = key_in(conn), 0, AgreementTotal()
    everything = last is None or last["key"] != key.id
    for one in moves:
        everything = everything or "all" in one.body
        if not everything:
            rows += one.body["changed"]
            moved = moved.plus(_total_in(one.body))
    if everything or last is None:
        total = total_of(conn, key)
        rows = total.count
    else:
        total = _total_in(last).plus(moved)
    return _entry(rows, total, key=key.id)


def is_settled_total(conn: sa.Connection, body: Mapping[str, Any], key: LedgerKey) -> tuple[bool, int]:
    """Whether the agreements that are stored are those of a total, and how many are stored."""
    total = total_of(conn, key if body["key"] else _NO_KEY)
    return total == _total_in(body), total.count


def _sum(key: LedgerKey, rows: Iterable[Mapping[Any, Any]]) -> AgreementTotal:
    count, digest = 0, 0
    for row in rows:
        agreement = agreement_in(row)
        if agreement is not None:
            count += 1
            digest += key.digest(_text((row["person_id"], row["topic"]), agreement, row["agreed_stored_at"]))
    return AgreementTotal().plus(AgreementTotal(count, digest))


def _text(key: CellKey, agreement: Agreement, stored_at: datetime | None) -> str:
    """All that is stored of an agreement, unambiguously."""
    return repr(
        (
            int(key[0]),
            str(key[1]),
            agreement.choice.value,
            agreement.at.timestamp(),
            str(agreement.rule),
            agreement.decided_at.timestamp(),
            list(map(agreement.versions.get, VERSIONS)),
            list(agreement.frequencies),
            None if stored_at is None else stored_at.timestamp(),
        )
    )


def _entry(changed: int, total: AgreementTotal, **more: str | None) -> LedgerEntry:
    """An entry that holds a total, or what moves it."""
    body = {"changed": changed, "agreements": total.count, "digest": f"{total.digest:064x}"}
    return LedgerEntry(SETTLED, body | more)


def _total_in(body: Mapping[str, Any]) -> AgreementTotal:
    return AgreementTotal(body["agreements"], int(body["digest"], 16))
