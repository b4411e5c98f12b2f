"""Whom Dotdigital asked by mail to confirm an opt-in. What waited for a confirmation was a hold before."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "challenges",
        sa.Column("person_id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), nullable=False),
        sa.Column("opt_in_at", sa.BigInteger(), nullable=False),
        sa.Column("sent_at", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("look_at", sa.BigInteger()),
        sa.PrimaryKeyConstraint("person_id", name=op.f("pk_challenges")),
        sa.ForeignKeyConstraint(
            ["person_id"], ["people.id"], name=op.f("fk_challenges_person_id"), ondelete="CASCADE"
        ),
        sa.CheckConstraint(
            "state IN ('pending', 'confirmed', 'expired', 'ended')", name=op.f("ck_challenges_state")
        ),
    )
    op.create_index(op.f("ix_challenges_look_at"), "challenges", ["look_at"])
    op.execute(
        "INSERT INTO challenges (person_id, opt_in_at, sent_at, state, look_at)"
        " SELECT h.person_id, c.mypreferences_changed_at, h.opened_at, 'pending', h.opened_at"
        " FROM holds h JOIN cells c ON c.person_id = h.person_id AND c.topic = h.topic"
        " WHERE h.closed_at IS NULL AND h.reason = 'challenge_pending'"
        " AND c.mypreferences_changed_at IS NOT NULL"
    )
    op.execute(
        "UPDATE holds SET closed_at = opened_at WHERE closed_at IS NULL AND reason = 'challenge_pending'"
    )


def downgrade() -> None:
    op.drop_index(op.f("ix_challenges_look_at"), "challenges")
    op.drop_table("challenges")
