"""People who were erased: a keyed hash of each address, and what holds back older opt-ins."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

Micros = sa.BigInteger()
_FORGOTTEN = sa.text("erased_at IS NOT NULL OR unvetted_at IS NOT NULL")


def upgrade() -> None:
    op.add_column("people", sa.Column("erased_at", Micros))
    op.add_column("people", sa.Column("unvetted_at", Micros))
    op.create_index(
        op.f("ix_people_forgotten"),
        "people",
        ["id"],
        sqlite_where=_FORGOTTEN,
        postgresql_where=_FORGOTTEN,
    )
    op.create_table(
        "erased",
        sa.Column("token", sa.Text, nullable=False),
        sa.Column("key_id", sa.Text, nullable=False),
        sa.Column("erased_at", Micros, nullable=False),
        sa.Column("finished_at", Micros),
        sa.Column("known", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("token", name=op.f("pk_erased")),
        sa.CheckConstraint("length(token) = 64", name=op.f("ck_erased_token")),
    )
    op.create_index(op.f("ix_erased_key_id"), "erased", ["key_id"])


def downgrade() -> None:
    raise NotImplementedError("restore a backup: who was erased must not be forgotten")
