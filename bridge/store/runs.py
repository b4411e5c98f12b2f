"""Runs, each with its report."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from bridge.core.model import RunId
from bridge.core.store_values import Json, RunKind, RunRow
from bridge.store import ledger
from bridge.store import tables as t
from bridge.store.engine import UnitOfWork
from bridge.store.statements import SIZE, param

_r = t.runs.c
_HIGHEST = sa.select(sa.func.max(_r.number))
_BEGIN = sa.insert(t.runs)
_END = (
    sa.update(t.runs)
    .where(_r.id == sa.bindparam("run"))
    .values(
        state=sa.bindparam("outcome"),
        report=param("run_report", _r.report),
        ended_at=param("now", _r.ended_at),
    )
)
_ABANDON = (
    sa.update(t.runs).where(_r.state == "running").values(state="stopped", ended_at=param("now", _r.ended_at))
)
_LAST = sa.select(t.runs).order_by(_r.number.desc()).limit(SIZE)
_NAMED = sa.select(t.runs).where(_r.id == sa.bindparam("run"))
_BEFORE = _LAST.where(
    _r.number < sa.select(_r.number).where(_r.id == sa.bindparam("before")).scalar_subquery()
)

_ENDED = (
    sa.select(t.runs)
    .where(_r.kind.in_(sa.bindparam("kinds", expanding=True)), _r.ended_at.is_not(None))
    .order_by(_r.number.desc())
    .limit(SIZE)
)


class RunStore:
    """Every run that was begun."""

    def __init__(self, unit: UnitOfWork) -> None:
        self._unit = unit

    def begin(self, kind: RunKind) -> RunId:
        """Begin a run. Its id tells when it began."""
        with self._unit.write() as conn:
            now = self._unit.clock()
            ledger.lock(conn)  # two runs that begin at once get two numbers
            number = (conn.scalar(_HIGHEST) or 0) + 1
            run = RunId(f"{now:%Y%m%d-%H%M%S}-{number}")
            row = {"number": number, "id": run, "kind": kind, "started_at": now, "state": "running"}
            conn.execute(_BEGIN, row)
        return run

    def end(self, run: RunId, state: str, report: Json) -> None:
        """End a run as done, failed or stopped. Raises LookupError for an unknown one."""
        with self._unit.write() as conn:
            values = {"run": run, "outcome": state, "run_report": report, "now": self._unit.clock()}
            if not conn.execute(_END, values).rowcount:
                raise LookupError(f"there is no run {run}")

    def last(self, number: int = 10) -> list[RunRow]:
        """The last runs, the newest first."""
        with self._unit.read() as conn:
            return [_row(row) for row in conn.execute(_LAST, {"size": number})]

    def last_ended(self, kinds: Collection[RunKind], number: int = 1) -> list[RunRow]:
        """The last runs of these kinds that have ended, the newest first."""
        values = {"size": number, "kinds": [kind.value for kind in kinds]}
        with self._unit.read() as conn:
            return [_row(row) for row in conn.execute(_ENDED, values)]

    def before(self, run: RunId | None, number: int = 100) -> list[RunRow]:
        """The runs before one, the newest first; None for the last ones."""
        query = _LAST if run is None else _BEFORE
        with self._unit.read() as conn:
            return [_row(row) for row in conn.execute(query, {"size": number, "before": run})]

    def find(self, run: str) -> RunRow | None:
        """One run by its id."""
        with self._unit.read() as conn:
            found = conn.execute(_NAMED, {"run": run}).one_or_none()
        return None if found is None else _row(found)


def _row(row: sa.Row[Any]) -> RunRow:
    return RunRow(RunId(row.id), RunKind(row.kind), row.started_at, row.ended_at, row.state, row.report)


def stop_abandoned(conn: sa.Connection, now: datetime) -> None:
    """The new owner of the lease knows that no run is going on: one that seems to was killed."""
    conn.execute(_ABANDON, {"now": now})
