"""Since when a process has had the lease."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(sa.text("ALTER TABLE lease ADD COLUMN since BIGINT NOT NULL DEFAULT 0"))


def downgrade() -> None:
    raise NotImplementedError("restore a backup: consent that was recorded is not thrown away")
