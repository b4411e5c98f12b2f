"""The state DB: people, cells, writes, what waits, watermarks, the ledger, the lease."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

SIDES = ("mypreferences", "dotdigital")
FLAGS = ("present", "stated", "shallow", "uniform")

Number = sa.BigInteger().with_variant(sa.Integer, "sqlite")
Micros = sa.BigInteger()

_CHOICES = "('opted_in', 'opted_out', 'unset')"
_BLOCKS = "('complaint', 'controller', 'unreachable', 'pending', 'channel', 'unknown')"
_SIDES = "('mypreferences', 'dotdigital')"


def upgrade() -> None:
    _people()
    _cells()
    _writes()
    _waiting()
    _facts()
    _ledger()
    _append_only()


def downgrade() -> None:
    raise NotImplementedError("restore a backup: consent that was recorded is not thrown away")


def _check(table: str, name: str, text: str) -> sa.CheckConstraint:
    return sa.CheckConstraint(text, name=op.f(f"ck_{table}_{name}"))


def _flag(table: str, name: str, *, nullable: bool = False) -> sa.Column:
    kind = sa.Boolean(create_constraint=True, name=op.f(f"ck_{table}_{name}"))
    return sa.Column(name, kind, nullable=nullable)


def _primary(table: str, *columns: str) -> sa.PrimaryKeyConstraint:
    return sa.PrimaryKeyConstraint(*columns, name=op.f(f"pk_{table}"))


def _foreign(table: str, column: str, target: str, *, cascade: bool = True) -> sa.ForeignKeyConstraint:
    name = op.f(f"fk_{table}_{column}")
    return sa.ForeignKeyConstraint([column], [target], name=name, ondelete="CASCADE" if cascade else None)


def _unique(table: str, *columns: str) -> sa.UniqueConstraint:
    return sa.UniqueConstraint(*columns, name=op.f(f"uq_{table}_{'_'.join(columns)}"))


def _index(table: str, *columns: str) -> None:
    op.create_index(op.f(f"ix_{table}_{'_'.join(columns)}"), table, list(columns))


def _people() -> None:
    op.create_table(
        "people",
        sa.Column("id", Number, nullable=False),
        sa.Column("address", sa.Text, nullable=False),
        sa.Column("address_key", sa.Text, nullable=False),
        sa.Column("created_at", Micros, nullable=False),
        *(
            column
            for side in SIDES
            for column in (
                sa.Column(f"{side}_read_at", Micros),
                _flag("people", f"{side}_present", nullable=True),
            )
        ),
        _primary("people", "id"),
        _unique("people", "address_key"),
        _check("people", "address_key", "address_key <> ''"),
        *(
            _check("people", f"{side}_read", f"({side}_read_at IS NULL) = ({side}_present IS NULL)")
            for side in SIDES
        ),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "bindings",
        sa.Column("side", sa.Text, nullable=False),
        sa.Column("external_id", sa.Text, nullable=False),
        sa.Column("person_id", Number, nullable=False),
        _primary("bindings", "side", "external_id", "person_id"),
        _foreign("bindings", "person_id", "people.id"),
        _check("bindings", "side", f"side IN {_SIDES}"),
        _check("bindings", "external_id", "external_id <> ''"),
    )
    _index("bindings", "person_id")


def _cells() -> None:
    op.create_table(
        "cells",
        sa.Column("person_id", Number, nullable=False),
        sa.Column("topic", sa.Text, nullable=False),
        *(column for side in SIDES for column in _seen_columns(side)),
        sa.Column("agreed_choice", sa.Text),
        sa.Column("agreed_at", Micros),
        sa.Column("agreed_rule", sa.Text),
        sa.Column("agreed_decided_at", Micros),
        sa.Column("agreed_frequencies", sa.Text),
        *(sa.Column(f"agreed_{side}_version", sa.Text) for side in SIDES),
        _flag("cells", "dirty"),
        _primary("cells", "person_id", "topic"),
        _foreign("cells", "person_id", "people.id"),
        *(check for side in SIDES for check in _seen_checks(side)),
        _check("cells", "agreed_choice", f"agreed_choice IN {_CHOICES}"),
        _check("cells", "agreed", _agreed_check()),
        _check("cells", "topic", "topic <> ''"),
    )
    only_dirty = sa.text("dirty")
    op.create_index(
        op.f("ix_cells_dirty"), "cells", ["person_id"], sqlite_where=only_dirty, postgresql_where=only_dirty
    )


def _seen_columns(side: str) -> list[sa.Column]:
    return [
        sa.Column(f"{side}_choice", sa.Text),
        sa.Column(f"{side}_changed_at", Micros),
        sa.Column(f"{side}_frequencies", sa.Text),
        *(_flag("cells", f"{side}_{name}", nullable=True) for name in FLAGS),
        sa.Column(f"{side}_records", sa.Integer),
        sa.Column(f"{side}_block", sa.Text),
        sa.Column(f"{side}_reason", sa.Text),
        sa.Column(f"{side}_read_at", Micros),
        sa.Column(f"{side}_written_at", Micros),
    ]


def _all_are(columns: list[str], what: str) -> str:
    return "(" + " AND ".join(f"{column} IS {what}" for column in columns) + ")"


def _seen_checks(side: str) -> list[sa.CheckConstraint]:
    always = ["choice", "frequencies", *FLAGS, "records", "read_at"]
    every = ["choice", "changed_at", "frequencies", *FLAGS, "records", "block", "reason", "read_at"]
    nothing = _all_are([f"{side}_{name}" for name in every], "NULL")
    enough = _all_are([f"{side}_{name}" for name in always], "NOT NULL")
    return [
        _check("cells", f"{side}_choice", f"{side}_choice IN {_CHOICES}"),
        _check("cells", f"{side}_block", f"{side}_block IN {_BLOCKS}"),
        _check("cells", f"{side}_records", f"{side}_records >= 0"),
        _check("cells", f"{side}_seen", f"{nothing} OR {enough}"),
        _check("cells", f"{side}_absent", f"{side}_present OR {side}_choice = 'unset'"),
    ]


def _agreed_check() -> str:
    always = ["agreed_choice", "agreed_at", "agreed_rule", "agreed_decided_at", "agreed_frequencies"]
    versions = [f"agreed_{side}_version" for side in SIDES]
    return f"{_all_are([*always, *versions], 'NULL')} OR {_all_are(always, 'NOT NULL')}"


def _writes() -> None:
    op.create_table(
        "runs",
        sa.Column("number", Number, nullable=False, autoincrement=False),
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("started_at", Micros, nullable=False),
        sa.Column("ended_at", Micros),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("report", sa.Text),
        _primary("runs", "number"),
        _unique("runs", "id"),
        _check("runs", "state", "state IN ('running', 'done', 'failed', 'stopped')"),
        _check("runs", "ended", "(state = 'running') = (ended_at IS NULL)"),
    )
    op.create_table(
        "attempts",
        sa.Column("id", Number, nullable=False),
        sa.Column("run", sa.Text, nullable=False),
        sa.Column("person_id", Number, nullable=False),
        sa.Column("side", sa.Text, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("begun_at", Micros, nullable=False),
        sa.Column("ended_at", Micros),
        sa.Column("written_at", Micros),
        sa.Column("error", sa.Text),
        sa.Column("code", sa.Text),
        _primary("attempts", "id"),
        _foreign("attempts", "run", "runs.id", cascade=False),
        _foreign("attempts", "person_id", "people.id"),
        _check("attempts", "side", f"side IN {_SIDES}"),
        _check("attempts", "state", "state IN ('begun', 'in_doubt', 'done', 'failed', 'dead')"),
        _check("attempts", "ended", "(state = 'begun') = (ended_at IS NULL)"),
        sqlite_autoincrement=True,
    )
    _index("attempts", "person_id")
    not_done = sa.text("state <> 'done'")
    op.create_index(
        op.f("ix_attempts_not_done"), "attempts", ["state"], sqlite_where=not_done, postgresql_where=not_done
    )
    op.create_table(
        "attempt_topics",
        sa.Column("attempt_id", Number, nullable=False),
        sa.Column("topic", sa.Text, nullable=False),
        _flag("attempt_topics", "settled"),
        _primary("attempt_topics", "attempt_id", "topic"),
        _foreign("attempt_topics", "attempt_id", "attempts.id"),
    )


def _waiting() -> None:
    op.create_table(
        "holds",
        sa.Column("id", Number, nullable=False),
        sa.Column("person_id", Number, nullable=False),
        sa.Column("topic", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("why", sa.Text, nullable=False),
        sa.Column("ground", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("proposed", sa.Text, nullable=False),
        sa.Column("opened_at", Micros, nullable=False),
        sa.Column("answered_at", Micros),
        sa.Column("closed_at", Micros),
        _primary("holds", "id"),
        _foreign("holds", "person_id", "people.id"),
        _check("holds", "state", "state IN ('open', 'released', 'dismissed')"),
        _check("holds", "answered", "(state = 'open') = (answered_at IS NULL)"),
        sqlite_autoincrement=True,
    )
    _index("holds", "person_id")
    stands = sa.text("closed_at IS NULL")
    op.create_index(
        op.f("uq_holds_standing"),
        "holds",
        ["person_id", "topic"],
        unique=True,
        sqlite_where=stands,
        postgresql_where=stands,
    )
    op.create_table(
        "inbox",
        sa.Column("id", Number, nullable=False),
        sa.Column("side", sa.Text, nullable=False),
        sa.Column("what", sa.Text, nullable=False),
        sa.Column("person_id", Number),
        sa.Column("hint_id", sa.Text),
        sa.Column("hint_person_id", Number),
        sa.Column("error", sa.Text, nullable=False),
        sa.Column("tries", sa.Integer, nullable=False),
        sa.Column("kept_at", Micros, nullable=False),
        _primary("inbox", "id"),
        _unique("inbox", "side", "what"),
        _foreign("inbox", "person_id", "people.id"),
        _foreign("inbox", "hint_person_id", "people.id"),
        _check("inbox", "side", f"side IN {_SIDES}"),
        _check("inbox", "one_kind", "(person_id IS NULL) <> (hint_id IS NULL AND hint_person_id IS NULL)"),
        _check("inbox", "tries", "tries > 0"),
        sqlite_autoincrement=True,
    )
    _index("inbox", "person_id")
    _index("inbox", "hint_person_id")


def _facts() -> None:
    op.create_table(
        "followed",
        sa.Column("feed", sa.Text, nullable=False),
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("first_at", Micros, nullable=False),
        sa.Column("last_at", Micros, nullable=False),
        _primary("followed", "feed", "key"),
        _check("followed", "order", "last_at >= first_at"),
    )
    op.create_table(
        "watermarks",
        sa.Column("feed", sa.Text, nullable=False),
        sa.Column("at", Micros, nullable=False),
        sa.Column("run", sa.Text, nullable=False),
        sa.Column("updated_at", Micros, nullable=False),
        _primary("watermarks", "feed"),
        _foreign("watermarks", "run", "runs.id", cascade=False),
    )
    op.create_table(
        "meta",
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("value", sa.Text, nullable=False),
        _primary("meta", "key"),
    )
    op.create_table(
        "lease",
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("owner", sa.Text, nullable=False),
        sa.Column("until", Micros, nullable=False),
        sa.Column("fence", Number, nullable=False),
        _primary("lease", "name"),
        _check("lease", "fence", "fence > 0"),
    )


def _ledger() -> None:
    op.create_table(
        "ledger",
        sa.Column("seq", Number, nullable=False, autoincrement=False),
        sa.Column("at", Micros, nullable=False),
        sa.Column("run", sa.Text),
        sa.Column("person_id", Number),
        sa.Column("topic", sa.Text),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("prev_hash", sa.Text, nullable=False),
        sa.Column("hash", sa.Text, nullable=False),
        _primary("ledger", "seq"),
        _unique("ledger", "prev_hash"),
        _check("ledger", "seq", "seq > 0"),
        _check("ledger", "hashes", "length(hash) = 64 AND length(prev_hash) = 64"),
    )
    _index("ledger", "person_id")
    head = op.create_table(
        "ledger_head",
        sa.Column("id", sa.Integer, nullable=False, autoincrement=False),
        sa.Column("seq", Number, nullable=False),
        sa.Column("hash", sa.Text, nullable=False),
        _primary("ledger_head", "id"),
        _check("ledger_head", "one_row", "id = 1"),
    )
    op.bulk_insert(head, [{"id": 1, "seq": 0, "hash": "0" * 64}])


def _append_only() -> None:
    """The DB itself refuses to change or remove an entry."""
    if op.get_bind().dialect.name == "sqlite":
        for act in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER ledger_no_{act.lower()} BEFORE {act} ON ledger "
                "BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END"
            )
        return
    op.execute(
        "CREATE FUNCTION ledger_is_append_only() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION 'the ledger is append-only'; END $$"
    )
    op.execute(
        "CREATE TRIGGER ledger_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger "
        "FOR EACH STATEMENT EXECUTE FUNCTION ledger_is_append_only()"
    )
