"""Asking for the lease: the daemon that has it gives way between two runs."""

from __future__ import annotations

from datetime import timedelta

import sqlalchemy as sa

from bridge.store import tables as t
from bridge.store.engine import UnitOfWork
from bridge.store.lease import holder, now_at
from bridge.store.statements import InsertRows

TURN = "turn"  # the row in the table of leases; it gives no right to write
ASKED_SECONDS = 15  # a request counts that long; a process that waits repeats it

_ASK = InsertRows.build(
    lambda insert: insert.on_conflict_do_update(
        index_elements=["name"], set_={"owner": insert.excluded.owner, "until": insert.excluded.until}
    ),
    t.lease,
)
_WITHDRAW = sa.delete(t.lease).where(
    t.lease.c.name == sa.bindparam("named"), t.lease.c.owner == sa.bindparam("asker")
)


class TurnStore:
    """Requests for a turn. The newest stands for all: after each turn those that still wait ask again."""

    def __init__(self, unit: UnitOfWork) -> None:
        self._unit = unit

    def ask(self, owner: str) -> None:
        """Ask for the lease, for a while."""
        with self._unit.write() as conn:
            until = now_at(conn, self._unit) + timedelta(seconds=ASKED_SECONDS)
            _ASK.run(conn, [{"name": TURN, "owner": owner, "until": until, "fence": 1}])

    def withdraw(self, owner: str) -> None:
        """No longer ask for it."""
        with self._unit.write() as conn:
            conn.execute(_WITHDRAW, {"named": TURN, "asker": owner})

    def asked(self) -> str | None:
        """Who asks for the lease; None where nobody does."""
        with self._unit.read() as conn:
            found = holder(conn, TURN, self._unit)
        return None if found is None else found[0]
