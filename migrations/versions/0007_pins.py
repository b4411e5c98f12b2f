"""Which profile a contact names by a custom identifier."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "pins",
        sa.Column("person_id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), nullable=False),
        sa.Column("profile_id", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("person_id", "profile_id", name=op.f("pk_pins")),
        sa.ForeignKeyConstraint(
            ["person_id"], ["people.id"], name=op.f("fk_pins_person_id"), ondelete="CASCADE"
        ),
        sa.CheckConstraint("profile_id <> ''", name=op.f("ck_pins_profile_id")),
    )
    op.create_index(op.f("ix_pins_profile_id"), "pins", ["profile_id"])


def downgrade() -> None:
    op.drop_index(op.f("ix_pins_profile_id"), "pins")
    op.drop_table("pins")
