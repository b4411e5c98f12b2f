"""Approvals: given by a person, used once. They live here and nowhere else, so no file can stand for one."""

from __future__ import annotations

from collections.abc import Iterable

import sqlalchemy as sa

from bridge.core.approval import NOBODY, Approval, ApprovalKind, ApprovalUsed, Operator
from bridge.core.model import RunId
from bridge.core.store_values import LedgerEntry
from bridge.store import ledger
from bridge.store import tables as t
from bridge.store.columns import scrub
from bridge.store.engine import UnitOfWork
from bridge.store.statements import param

_a = t.approvals.c
_GIVE = sa.insert(t.approvals).returning(_a.id)
_OF_SUBJECT = sa.select(t.approvals).where(_a.subject == sa.bindparam("about")).order_by(_a.id)
_UNUSED = sa.select(t.approvals).where(_a.used_at.is_(None)).order_by(_a.id)
_USE = (
    sa.update(t.approvals)
    .where(_a.id == sa.bindparam("approval"), _a.used_at.is_(None))
    .values(used_at=param("now", _a.used_at))
)


class ApprovalStore:
    """Giving needs no lease: a run that goes on meanwhile leaves the approval to the next one."""

    def __init__(self, unit: UnitOfWork) -> None:
        self._unit = unit

    def give(self, kind: ApprovalKind, subject: str, author: Operator) -> Approval:
        """Store an approval and note it in the ledger."""
        with self._unit.write() as conn:
            now = self._unit.clock()
            note = None if author.note is None else scrub(author.note)
            row = {"kind": kind, "subject": subject, "by": author.by, "note": note, "given_at": now}
            number = conn.scalar(_GIVE, row)
            body = {"approval": number, "kind": kind.value, "subject": subject, "by": author.by, "note": note}
            ledger.append(conn, None, [LedgerEntry("approval", body)], now)
        return Approval(int(number or 0), kind, subject, Operator(author.by, note), now)

    def of(self, subject: str) -> list[Approval]:
        """All approvals ever given for a subject, used and lapsed ones too, the oldest first."""
        with self._unit.read() as conn:
            return [_approval(row) for row in conn.execute(_OF_SUBJECT, {"about": subject})]

    def open(self, subject: str) -> list[Approval]:
        """Those for a subject that can be used now."""
        now = self._unit.clock()
        return [one for one in self.of(subject) if one.used_at is None and not one.has_lapsed(now)]

    def use(self, approvals: Iterable[Approval], run: RunId, author: Operator = NOBODY) -> None:
        """Use approvals up. `author`: who acts on them, where that is another act than giving them. Raises
        ApprovalUsed, and uses none, where one was used before."""
        with self._unit.write() as conn:
            now = self._unit.clock()
            for one in approvals:
                if not conn.execute(_USE, {"approval": one.id, "now": now}).rowcount:
                    raise ApprovalUsed(one.id)
                body = {"approval": one.id, "kind": one.kind.value, "by": author.by, "note": author.note}
                ledger.append(conn, run, [LedgerEntry("approval_used", body)], now)

    def end_all(self, why: str) -> int:
        """Let none be used any more that is not known to have been used. Returns how many those were."""
        with self._unit.write() as conn:
            now, unused = self._unit.clock(), [_approval(row) for row in conn.execute(_UNUSED)]
            for one in unused:
                conn.execute(_USE, {"approval": one.id, "now": now})
            body = {"approvals": [one.id for one in unused], "why": why}
            ledger.append(conn, None, [LedgerEntry("approvals_ended", body)] if unused else [], now)
        return len(unused)


def _approval(row: sa.Row[tuple[object, ...]]) -> Approval:
    author = Operator(row.by, row.note)
    return Approval(row.id, ApprovalKind(row.kind), row.subject, author, row.given_at, row.used_at)
