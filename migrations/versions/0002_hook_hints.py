"""What webhooks named, until a round has looked into it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

Number = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    op.create_table(
        "hook_hints",
        sa.Column("id", Number, nullable=False),
        sa.Column("side", sa.Text, nullable=False),
        sa.Column("event_id", sa.Text, nullable=False),
        sa.Column("event_type", sa.Text, nullable=False),
        sa.Column("profile_id", sa.Text, nullable=False),
        sa.Column("received_at", sa.BigInteger(), nullable=False),
        sa.Column("heeded_at", sa.BigInteger()),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_hook_hints")),
        sa.UniqueConstraint("side", "event_id", name=op.f("uq_hook_hints_side_event_id")),
        sa.CheckConstraint("side IN ('mypreferences', 'dotdigital')", name=op.f("ck_hook_hints_side")),
        sa.CheckConstraint("event_id <> '' AND profile_id <> ''", name=op.f("ck_hook_hints_named")),
    )
    waiting = sa.text("heeded_at IS NULL")
    op.create_index(
        op.f("ix_hook_hints_waiting"),
        "hook_hints",
        ["side"],
        sqlite_where=waiting,
        postgresql_where=waiting,
    )


def downgrade() -> None:
    raise NotImplementedError("restore a backup: what waits to be looked into is not thrown away")
