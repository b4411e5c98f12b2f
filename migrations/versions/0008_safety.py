"""Withdrawals that are under way, what our writes said, and the newest of the bridge's own times."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

Micros = sa.BigInteger()
_PAGE = 1000  # attempts
_PEOPLE_PAGE = 10_000
_AGREED = ("choice", "at", "rule", "decided_at", "frequencies", "mypreferences_version", "dotdigital_version")
_EPOCH = datetime.fromisoformat("1970-01-01T00:00:00+00:00")


def upgrade() -> None:
    op.create_table(
        "clock",
        sa.Column("id", sa.Integer, nullable=False, autoincrement=False),
        sa.Column("newest", Micros, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_clock")),
        sa.CheckConstraint("id = 1", name=op.f("ck_clock_one_row")),
    )
    clock = sa.table("clock", sa.column("id"), sa.column("newest"))
    op.bulk_insert(clock, [{"id": 1, "newest": _newest()}])
    in_sides = "CHECK (withdrawal_side IN ('mypreferences', 'dotdigital'))"
    _add("cells", f"withdrawal_side TEXT CONSTRAINT ck_cells_withdrawal_side {in_sides}")
    _add("cells", "withdrawal_at BIGINT")
    _add("cells", "withdrawal_seen_at BIGINT")
    _add("cells", "tries INTEGER NOT NULL DEFAULT 0")
    _add("cells", "retry_at BIGINT")
    _index("ix_cells_retry_at", "cells", "retry_at", where="retry_at IS NOT NULL")
    with op.batch_alter_table("followed") as followed:  # the clock can go back between two readings
        followed.drop_constraint(op.f("ck_followed_order"), type_="check")
    _add("attempts", _flag("attempts", "raises"))
    _add("attempts", _flag("attempts", "may_apply"))
    _index("ix_attempts_raises", "attempts", "begun_at", where="raises")
    _index("ix_attempts_withdrawals", "attempts", "begun_at", where="NOT raises")
    _add("attempt_topics", "choice TEXT")
    _add("attempt_topics", "said_at BIGINT")
    _add("attempt_topics", "shown_at BIGINT")
    for side in ("mypreferences", "dotdigital"):
        _latch(side)
    _retry_refused()
    _fill()
    _rename_keys()


def downgrade() -> None:
    raise NotImplementedError("restore a backup: consent that was recorded is not thrown away")


def _add(table: str, column: str) -> None:
    """Add a column in place. To make the table again, as SQLite often needs, drops what refers to it."""
    op.execute(f"ALTER TABLE {table} ADD COLUMN {column}")


def _flag(table: str, name: str) -> str:
    if op.get_bind().dialect.name == "postgresql":
        return f"{name} BOOLEAN NOT NULL DEFAULT false"
    return f"{name} BOOLEAN NOT NULL DEFAULT 0 CONSTRAINT ck_{table}_{name} CHECK ({name} IN (0, 1))"


def _index(name: str, table: str, column: str, *, where: str) -> None:
    op.create_index(name, table, [column], sqlite_where=sa.text(where), postgresql_where=sa.text(where))


def _latch(side: str) -> None:
    """Opt-outs that were seen and are not agreed: the newest of each cell. Where an opt-out is agreed and
    nothing is left to be decided, a later date is that of our own write."""
    other = "dotdigital" if side == "mypreferences" else "mypreferences"
    dirty, across = sa.column("dirty", sa.Boolean), sa.column(f"{other}_choice")
    choice, stated, reason, said, read = (
        sa.column(f"{side}_{name}") for name in ("choice", "stated", "reason", "changed_at", "read_at")
    )
    latched, at, seen = (sa.column(f"withdrawal_{name}") for name in ("side", "at", "seen_at"))
    agreed, agreed_at = sa.column("agreed_choice"), sa.column("agreed_at")
    op.execute(
        sa.update(sa.table("cells", latched, at, seen))
        .where(
            choice == "opted_out",
            stated == sa.true(),
            sa.func.coalesce(reason, "") != "pending_update",
            sa.or_(agreed.is_(None), agreed != "opted_out", said > agreed_at),
            sa.or_(
                agreed.is_(None),
                agreed != "opted_out",
                dirty == sa.true(),
                sa.func.coalesce(across, "") == "opted_in",
            ),
            sa.or_(latched.is_(None), said.is_(None), said > at),
        )
        .values(withdrawal_side=side, withdrawal_at=said, withdrawal_seen_at=read)
    )


def _retry_refused() -> None:
    """What a side refused, or accepted without effect, is sent again by the next run if it is an opt-out."""
    names = ("person_id", "topic", "state", "reason", "closed_at")
    cells = sa.table("cells", *map(sa.column, ("person_id", "topic", "tries", "retry_at")))
    holds = sa.table("holds", *map(sa.column, names))
    held = sa.exists().where(
        holds.c.person_id == cells.c.person_id,
        holds.c.topic == cells.c.topic,
        holds.c.closed_at.is_(None),
        holds.c.state == "open",
        holds.c.reason.in_(["refused", "not_honoured"]),
    )
    op.execute(sa.update(cells).where(held).values(tries=1, retry_at=0))


def _newest() -> int:
    """The newest of the bridge's own times so far."""
    sources = [
        *((name, "runs") for name in ("started_at", "ended_at")),
        *((name, "attempts") for name in ("begun_at", "ended_at", "written_at")),
        *((f"{side}_read_at", "people") for side in ("mypreferences", "dotdigital")),
    ]
    read = (sa.select(sa.func.max(sa.column(name))).select_from(sa.table(table)) for name, table in sources)
    return max(op.get_bind().scalar(query) or 0 for query in read)


def _fill() -> None:
    """What the writes of earlier versions said, from their bodies."""
    conn = op.get_bind()
    attempts = sa.table(
        "attempts", *map(sa.column, ("id", "body", "state", "ended_at", "error", "raises", "may_apply"))
    )
    about = sa.table(
        "attempt_topics", *map(sa.column, ("attempt_id", "topic", "choice", "said_at", "shown_at"))
    )
    a = attempts.c
    raised = (
        sa.update(attempts)
        .where(a.id == sa.bindparam("number"))
        .values(raises=sa.bindparam("is_raise"), may_apply=sa.bindparam("may"))
    )
    said = (
        sa.update(about)
        .where(about.c.attempt_id == sa.bindparam("number"), about.c.topic == sa.bindparam("about"))
        .values(choice=sa.bindparam("wrote"), said_at=sa.bindparam("at"), shown_at=sa.bindparam("shown"))
    )
    after = 0
    page_after = (
        sa.select(a.id, a.body, a.state, a.ended_at, a.error)
        .where(a.id > sa.bindparam("after"))
        .order_by(a.id)
        .limit(_PAGE)
    )
    while page := conn.execute(page_after, {"after": after}).all():
        after = page[-1].id
        for number, body, state, ended_at, error in page:
            writes = list(_writes(body))
            raises = any(choice == "opted_in" for _, choice, _ in writes)
            # A write that failed without an error was sent, and was not seen to be applied.
            may = state in ("begun", "in_doubt") or (state == "failed" and error is None)
            conn.execute(raised, {"number": number, "is_raise": raises, "may": may})
            shown = ended_at if state == "done" else None  # what proved it was read before
            for topic, choice, at in writes:
                row = {"number": number, "about": topic, "wrote": choice, "at": at, "shown": shown}
                conn.execute(said, row)


def _rename_keys() -> None:
    """Address keys were case folded, which took `ß` for `ss`: one row could be two people. It stays that
    of the address that it holds. An agreement on an opt-in may be the other's, and goes; an opt-out stays.
    Everybody is read again. A row whose new key is another's keeps its old one, and is not met any more."""
    conn = op.get_bind()
    people = sa.table("people", *map(sa.column, ("id", "address", "address_key")))
    p = people.c
    page_after = (
        sa.select(p.id, p.address, p.address_key)
        .where(p.id > sa.bindparam("after"))
        .order_by(p.id)
        .limit(_PEOPLE_PAGE)
    )
    taken = sa.select(sa.func.count()).select_from(people).where(p.address_key == sa.bindparam("new"))
    rename = sa.update(people).where(p.id == sa.bindparam("number")).values(address_key=sa.bindparam("new"))
    cells = sa.table("cells", sa.column("person_id"), *(sa.column(f"agreed_{name}") for name in _AGREED))
    forget = (
        sa.update(cells)
        .where(cells.c.person_id == sa.bindparam("number"), cells.c.agreed_choice == "opted_in")
        .values({f"agreed_{name}": None for name in _AGREED})
    )
    after, renamed = 0, 0
    while page := conn.execute(page_after, {"after": after}).all():
        after = page[-1].id
        for number, address, old in page:
            new = unicodedata.normalize("NFC", address.strip().lower())
            if new == old:
                continue
            renamed += 1
            if not conn.scalar(taken, {"new": new}):
                conn.execute(rename, {"number": number, "new": new})
            conn.execute(forget, {"number": number})
    if renamed:
        conn.execute(sa.text("DELETE FROM meta WHERE key = 'sweep_owed'"))
        conn.execute(sa.text("INSERT INTO meta (key, value) VALUES ('sweep_owed', 'addresses')"))


def _writes(body: Any) -> Iterator[tuple[str, str, int | None]]:
    """Topic, choice and date of each write."""
    held = json.loads(body) if isinstance(body, str | bytes) else body
    for write in held.get("writes", ()):
        withdraws = write["kind"] == "withdrawal"
        said = write.get("said_at") if withdraws else write["evidence"]["changed_at"]
        yield write["topic"], "opted_out" if withdraws else "opted_in", _micros(said)


def _micros(text: str | None) -> int | None:
    if text is None:
        return None
    return (datetime.fromisoformat(text) - _EPOCH) // timedelta(microseconds=1)
