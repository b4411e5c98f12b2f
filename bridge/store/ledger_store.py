"""The ledger as the rest of the bridge uses it: read, checked, published and accepted."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from bridge.core.approval import Operator
from bridge.core.ledger import LedgerFault, LedgerHead, LedgerTrouble
from bridge.core.model import PersonId, TopicId
from bridge.core.store_values import LedgerEntry
from bridge.store import ledger, ledger_check
from bridge.store import tables as t
from bridge.store.agreement_seals import RESEAL
from bridge.store.engine import UnitOfWork
from bridge.store.key_values import facts_in
from bridge.store.ledger import HEAD, LedgerBroken
from bridge.store.ledger_check import Verified
from bridge.store.statements import param

_l = t.ledger.c
_OF_PERSON = sa.select(t.ledger).where(_l.person_id == sa.bindparam("person")).order_by(_l.seq)
_OF_CELL = _OF_PERSON.where(sa.or_(_l.topic == sa.bindparam("about"), _l.topic.is_(None)))
_SETTLED = (
    sa.select(t.ledger)
    .where(sa.text("kind = 'settled'"), _l.at == param("stored_at", _l.at))
    .order_by(_l.seq.desc())
    .limit(1)
)


class LedgerStore:
    """Reading and checking the ledger. Entries are added in the transaction of the change they are about."""

    def __init__(self, unit: UnitOfWork, file: Path | None = None) -> None:
        self._unit, self._file = unit, file

    def verify(self, kept: LedgerHead | None = None) -> Verified:
        """Check the whole chain with the agreements, and that the head `kept` elsewhere is part of it. Raises
        LedgerBroken."""
        with self._unit.read() as conn:
            return ledger_check.verify(conn, kept)

    def trouble(self, *, whole: bool = False) -> LedgerTrouble | None:
        """What is wrong with the last entry and the head file, or with the whole ledger."""
        told = ledger_check.read_head(self._file)
        with self._unit.read() as conn:
            found = ledger_check.trouble_at_head(conn, self._file, told)
            if found is None and whole:
                try:
                    ledger_check.verify(conn)
                except LedgerBroken as broken:
                    return LedgerTrouble(broken.fault, broken.what)
            return found

    def note_trouble(self, trouble: LedgerTrouble) -> None:
        """Keep what was found until an operator accepts it, and see to it that entries can be added."""
        with self._unit.write() as conn:
            facts_in(conn).ledger_problem = trouble.text
            if trouble.fault is LedgerFault.BROKEN:
                ledger.repair_head(conn)

    def head(self) -> LedgerHead | None:
        """The newest entry; None in an empty ledger."""
        with self._unit.read() as conn:
            last = conn.execute(HEAD).one_or_none()
        return None if last is None or not last.seq else LedgerHead(last.seq, last.hash)

    def signature(self) -> str | None:
        """The signature of the newest entry; None without a key."""
        with self._unit.read() as conn:
            last = conn.execute(HEAD).one_or_none()
        return None if last is None else last.signature

    def published(self) -> str | None:
        """The newest entry with its signature, as it is published; None in an empty ledger."""
        with self._unit.read() as conn:
            last = conn.execute(HEAD).one_or_none()
        if last is None or not last.seq:
            return None
        return ":".join(filter(None, (str(last.seq), last.hash, last.signature)))

    def publish(self) -> str | None:
        """Write the head file, where there is one. Returns why that failed."""
        if self._file is None:
            return None
        try:
            with self._unit.read() as conn:
                ledger_check.write_head(conn, self._file, self._unit.clock())
        except OSError as error:
            return f"the head file {self._file} cannot be written: {error.strerror}"
        return None

    def accept(self, author: Operator) -> str | None:
        """An operator accepts the state DB as it is: it was restored, or they know what happened to its
        ledger. Returns what had been found."""
        broken = self.trouble(whole=True)
        with self._unit.write() as conn:
            facts, now = facts_in(conn), self._unit.clock()
            found = facts.ledger_problem or (None if broken is None else broken.text)
            if broken is not None and broken.fault in (LedgerFault.BROKEN, LedgerFault.OTHER_KEY):
                ledger.repair_head(conn)
            body = {"by": author.by, "note": author.note, "found": found}
            ledger.append(conn, None, [LedgerEntry("accepted", body), RESEAL], now)
            if broken is not None and broken.fault is LedgerFault.BROKEN:
                head = conn.execute(HEAD).one()
                ledger_check.accept_from(conn, LedgerHead(head.seq, head.hash))
            facts.ledger_problem = None
        return found

    def export(self) -> Iterator[dict[str, Any]]:
        """Every entry, in order."""
        after = 0
        while True:
            with self._unit.read() as conn:
                rows = ledger.page(conn, after)
            if not rows:
                return
            yield from map(ledger.shown, rows)
            after = rows[-1]["seq"]

    def history(self, person: PersonId, topic: TopicId | None = None) -> list[dict[str, Any]]:
        """The entries about one person, the oldest first; with `topic`, those about it or about no topic."""
        query = _OF_PERSON if topic is None else _OF_CELL
        with self._unit.read() as conn:
            found = conn.execute(query, {"person": person, "about": topic})
            return [ledger.shown(row) for row in found.mappings()]

    def settled_at(self, stored_at: datetime) -> dict[str, Any] | None:
        """The entry that covers the agreements stored at that moment."""
        with self._unit.read() as conn:
            row = conn.execute(_SETTLED, {"stored_at": stored_at}).mappings().one_or_none()
        return None if row is None else ledger.shown(row)
