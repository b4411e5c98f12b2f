"""Runs, watermarks, and single facts about this state DB."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from bridge.core.model import RunId
from bridge.core.store_port import Json, RunKind
from bridge.store import ledger
from bridge.store import tables as t
from bridge.store.engine import inserter, upsert


@dataclass(frozen=True, slots=True)
class RunRow:
    """One run, as `bridge status` shows it. `state` is running, done, failed or stopped."""

    id: RunId
    kind: RunKind
    started_at: datetime
    ended_at: datetime | None
    state: str
    report: Json | None


def begin(conn: sa.Connection, kind: RunKind, now: datetime) -> RunId:
    """Number a new run. The name tells when it began."""
    ledger.lock(conn)  # two runs that begin at once get two numbers
    number = (conn.scalar(sa.select(sa.func.max(t.runs.c.number))) or 0) + 1
    name = RunId(f"{now:%Y%m%d-%H%M%S}-{number}")
    conn.execute(sa.insert(t.runs).values(number=number, id=name, kind=kind, started_at=now, state="running"))
    return name


def end(conn: sa.Connection, run: RunId, state: str, report: Json, now: datetime) -> None:
    """Note how a run ended. Raises LookupError for an unknown one."""
    statement = sa.update(t.runs).where(t.runs.c.id == run)
    if not conn.execute(statement.values(state=state, report=report, ended_at=now)).rowcount:
        raise LookupError(f"there is no run {run}")


def stop_abandoned(conn: sa.Connection, now: datetime) -> None:
    """Whoever gets the lease knows that no run is going on: one that seems to was killed."""
    running = t.runs.c.state == "running"
    conn.execute(sa.update(t.runs).where(running).values(state="stopped", ended_at=now))


def last(conn: sa.Connection, number: int) -> list[RunRow]:
    """The last runs, the newest first."""
    query = sa.select(t.runs).order_by(t.runs.c.number.desc()).limit(number)
    return [
        RunRow(RunId(row.id), RunKind(row.kind), row.started_at, row.ended_at, row.state, row.report)
        for row in conn.execute(query)
    ]


# watermarks


def save_watermark(conn: sa.Connection, feed: str, at: datetime, run: RunId, now: datetime) -> None:
    """Note up to when a feed was read. It never goes back."""
    w = t.watermarks
    statement = inserter(conn, w)
    new = statement.excluded
    conn.execute(
        statement.on_conflict_do_update(
            index_elements=["feed"],
            set_={"at": new.at, "run": new.run, "updated_at": new.updated_at},
            where=new.at >= w.c.at,
        ),
        [{"feed": feed, "at": at, "run": run, "updated_at": now}],
    )


def watermarks(conn: sa.Connection) -> dict[str, datetime]:
    """How far each feed was read, in the side's own time."""
    query = sa.select(t.watermarks.c.feed, t.watermarks.c.at).order_by(t.watermarks.c.feed)
    return {row.feed: row.at for row in conn.execute(query)}


# single facts


def fact(conn: sa.Connection, key: str) -> str | None:
    return conn.scalar(sa.select(t.meta.c.value).where(t.meta.c.key == key))


def drop_fact(conn: sa.Connection, key: str) -> None:
    """Forget it, if it is known."""
    conn.execute(sa.delete(t.meta).where(t.meta.c.key == key))


def set_fact(conn: sa.Connection, key: str, value: str) -> None:
    upsert(conn, t.meta, [{"key": key, "value": value}], ["key"])
