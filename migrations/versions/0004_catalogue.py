"""What exists at both sides, as it was last read, and what changed there."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

Number = sa.BigInteger().with_variant(sa.Integer, "sqlite")
_KINDS = "('filter', 'consent', 'email_type', 'preference', 'category')"


def upgrade() -> None:
    op.create_table(
        "catalogue_reads",
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("read_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("kind", name=op.f("pk_catalogue_reads")),
        sa.CheckConstraint(f"kind IN {_KINDS}", name=op.f("ck_catalogue_reads_kind")),
    )
    op.create_table(
        "catalogue",
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("kind", "key", name=op.f("pk_catalogue")),
        sa.CheckConstraint(f"kind IN {_KINDS}", name=op.f("ck_catalogue_kind")),
    )
    op.create_table(
        "catalogue_changes",
        sa.Column("id", Number, nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("entry", sa.Text, nullable=False),
        sa.Column("news", sa.Text, nullable=False),
        sa.Column("what", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_catalogue_changes")),
        sa.CheckConstraint(f"kind IN {_KINDS}", name=op.f("ck_catalogue_changes_kind")),
    )


def downgrade() -> None:
    for table in ("catalogue_changes", "catalogue", "catalogue_reads"):
        op.drop_table(table)
