"""Parts of statements.

Every statement is built once, when its module is imported, and takes bound parameters: to build one costs
several times what it costs to run it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

Insert = sqlite.Insert | postgresql.Insert
Rows = Sequence[Mapping[str, Any]]

SIZE = sa.bindparam("size", type_=sa.Integer)
"""The parameter of a LIMIT."""


def among(column: sa.ColumnElement[Any], name: str) -> sa.ColumnElement[bool]:
    """`column IN (…)`, the values given as a list under `name`."""
    return column.in_(sa.bindparam(name, expanding=True))


def param(name: str, column: sa.ColumnElement[Any]) -> sa.BindParameter[Any]:
    """A parameter that is converted as `column` is."""
    return sa.bindparam(name, type_=column.type)


def count_of(table: sa.Table, *where: sa.ColumnElement[bool] | sa.TextClause) -> sa.Select[int]:
    """How many rows of a table there are."""
    return sa.select(sa.func.count()).select_from(table).where(*where)


def any_of(table: sa.Table) -> sa.Select[bool]:
    """Whether a table holds any row."""
    return sa.select(sa.exists(sa.select(1).select_from(table)))


def is_postgresql(conn: sa.Connection) -> bool:
    return conn.dialect.name == "postgresql"


@dataclass(frozen=True, slots=True)
class InsertRows:
    """An INSERT that says what to do on conflict, built for each dialect."""

    sqlite: sa.Insert
    postgresql: sa.Insert
    arrays: tuple[str, ...] = ()  # PostgreSQL takes these columns as one array each, not row by row

    @classmethod
    def build(cls, make: Callable[[Insert], Insert], table: sa.Table) -> InsertRows:
        """`make` adds the ON CONFLICT clause."""
        return cls(make(sqlite.insert(table)), make(postgresql.insert(table)))

    @classmethod
    def build_arrays(
        cls, make: Callable[[Insert], Insert], table: sa.Table, names: Sequence[str]
    ) -> InsertRows:
        """The same for many rows of these columns. PostgreSQL gets them as one array for each column: row by
        row takes it three times as long. SQLite has no such arrays, and no network between."""
        arrays = [
            sa.func.unnest(
                sa.bindparam(_array(name), type_=postgresql.ARRAY(table.c[name].type, dimensions=1))
            ).label(name)
            for name in names
        ]
        inserted = postgresql.insert(table).from_select(list(names), sa.select(*arrays))
        return cls(make(sqlite.insert(table)), make(inserted), tuple(names))

    def run(self, conn: sa.Connection, rows: Rows) -> None:
        """Insert rows of the same columns."""
        if not rows:
            return
        if self.arrays and is_postgresql(conn):
            self.execute(conn, {_array(name): [row[name] for row in rows] for name in self.arrays})
        else:
            self.execute(conn, rows)

    def execute(self, conn: sa.Connection, values: Mapping[str, Any] | Rows) -> None:
        """Run the statement of the dialect at hand."""
        conn.execute(self.postgresql if is_postgresql(conn) else self.sqlite, values)


def _array(name: str) -> str:
    return f"{name}_each"


def insert_new(table: sa.Table) -> InsertRows:
    """Insert rows; those whose key is there stay as they are."""
    return InsertRows.build(lambda insert: insert.on_conflict_do_nothing(), table)


def upsert(table: sa.Table, keys: Sequence[str], replaced: Iterable[str]) -> InsertRows:
    """Insert rows, or replace these columns of those whose keys are there."""
    names = list(replaced)

    def make(insert: Insert) -> Insert:
        given = {name: insert.excluded[name] for name in names}
        return insert.on_conflict_do_update(index_elements=list(keys), set_=given)

    return InsertRows.build(make, table)


def run_each(conn: sa.Connection, statement: sa.Update | sa.Delete | sa.Insert, rows: Rows) -> None:
    """Run a statement once for each row, in one call of the driver."""
    if rows:
        conn.execute(statement, rows)
