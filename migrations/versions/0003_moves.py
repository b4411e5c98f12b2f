"""Records that came to another address, and whose they were."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

Number = sa.BigInteger().with_variant(sa.Integer, "sqlite")
Micros = sa.BigInteger()
_SIDES = "side IN ('mypreferences', 'dotdigital')"


def upgrade() -> None:
    op.add_column("bindings", sa.Column("bound_at", Micros))
    op.create_table(
        "former_bindings",
        sa.Column("side", sa.Text, nullable=False),
        sa.Column("external_id", sa.Text, nullable=False),
        sa.Column("person_id", Number, nullable=False),
        sa.Column("until", Micros, nullable=False),
        sa.Column("left_at", Micros, nullable=False),
        sa.PrimaryKeyConstraint("side", "external_id", "person_id", name=op.f("pk_former_bindings")),
        _person("former_bindings", "person_id"),
        sa.CheckConstraint(_SIDES, name=op.f("ck_former_bindings_side")),
        sa.CheckConstraint("external_id <> ''", name=op.f("ck_former_bindings_external_id")),
    )
    op.create_index(op.f("ix_former_bindings_person_id"), "former_bindings", ["person_id"])
    op.create_table(
        "successions",
        sa.Column("side", sa.Text, nullable=False),
        sa.Column("former_id", Number, nullable=False),
        sa.Column("heir_id", Number, nullable=False),
        sa.Column("since", Micros, nullable=False),
        sa.PrimaryKeyConstraint("side", "former_id", "heir_id", name=op.f("pk_successions")),
        _person("successions", "former_id"),
        _person("successions", "heir_id"),
        sa.CheckConstraint(_SIDES, name=op.f("ck_successions_side")),
        sa.CheckConstraint("former_id <> heir_id", name=op.f("ck_successions_distinct")),
    )
    op.create_index(op.f("ix_successions_former_id"), "successions", ["former_id"])
    op.create_index(op.f("ix_successions_heir_id"), "successions", ["heir_id"])


def downgrade() -> None:
    raise NotImplementedError("restore a backup: consent that was recorded is not thrown away")


def _person(table: str, column: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(
        [column], ["people.id"], name=op.f(f"fk_{table}_{column}"), ondelete="CASCADE"
    )
