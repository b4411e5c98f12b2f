"""Signed heads of the ledger, and its entries that hold the total of all agreements."""

from __future__ import annotations

from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE ledger_head ADD COLUMN settled BIGINT NOT NULL DEFAULT 0")
    op.execute("ALTER TABLE ledger_head ADD COLUMN key_id TEXT")
    op.execute("ALTER TABLE ledger_head ADD COLUMN signature TEXT")
    op.execute("CREATE INDEX ix_ledger_settled ON ledger (at) WHERE kind = 'settled'")


def downgrade() -> None:
    raise NotImplementedError("restore a backup: consent that was recorded is not thrown away")
