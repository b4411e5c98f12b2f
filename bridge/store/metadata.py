"""The metadata of all tables, and the columns and constraints that they share."""

from __future__ import annotations

from collections.abc import Iterable

import sqlalchemy as sa

metadata = sa.MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
    }
)

Number = sa.BigInteger().with_variant(sa.Integer, "sqlite")  # SQLite numbers rows in INTEGER keys only


def one_of(column: str, values: Iterable[str]) -> sa.CheckConstraint:
    listed = ", ".join(f"'{value}'" for value in values)
    return sa.CheckConstraint(f"{column} IN ({listed})", name=column)


def person_column(*, primary_key: bool = False, nullable: bool = False) -> sa.Column[int]:
    return sa.Column(
        "person_id",
        Number,
        sa.ForeignKey("people.id", ondelete="CASCADE"),
        primary_key=primary_key,
        nullable=nullable,
    )


def all_are(columns: Iterable[str], what: str) -> str:
    return "(" + " AND ".join(f"{column} IS {what}" for column in columns) + ")"
