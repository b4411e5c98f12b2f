"""The bridge's own time of each agreement, and what the topics of a write were mapped to."""

from __future__ import annotations

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE cells ADD COLUMN agreed_stored_at BIGINT")
    op.execute("UPDATE cells SET agreed_stored_at = agreed_decided_at")
    op.execute("ALTER TABLE attempt_topics ADD COLUMN target TEXT")


def downgrade() -> None:
    raise NotImplementedError("restore a backup: consent that was recorded is not thrown away")
