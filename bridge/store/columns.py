"""The columns that hold an observation and an agreement, derived from the fields of the two dataclasses.

A new field is listed in `bridge.core.model` only; a migration adds its column.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from types import NoneType, UnionType
from typing import Any, Generic, TypeVar, get_args, get_origin, get_type_hints

import sqlalchemy as sa

from bridge.core.model import Agreement, Observation, Side
from bridge.store.statements import Insert
from bridge.store.types import EnumText, UtcMicros, Words

T = TypeVar("T")
Row = Mapping[Any, Any]

_COLUMN = {"undated": "shallow", "consistent": "uniform"}  # fields that have another name than their column
_TYPES: Mapping[Any, type[sa.types.TypeEngine[Any]]] = {
    datetime: UtcMicros,
    int: sa.Integer,
    str: sa.Text,
    tuple[str, ...]: Words,
}


def flag(name: str, *, nullable: bool = False) -> sa.Column[bool]:
    """A boolean column. SQLite needs a constraint to accept nothing else."""
    return sa.Column(name, sa.Boolean(create_constraint=True, name=name), nullable=nullable)


class Columns(Generic[T]):
    """The columns that hold one `kind` in a row, or nothing. Their names begin with `prefix`. Fields that are
    mappings are left out."""

    def __init__(self, kind: type[T], prefix: str) -> None:
        self._kind = kind
        hints = get_type_hints(kind).items()
        self._hints = {field: hint for field, hint in hints if get_origin(hint) is not Mapping}
        self._name = {field: f"{prefix}_{_COLUMN.get(field, field)}" for field in self._hints}
        self.names = tuple(self._name.values())
        self.required = tuple(self._name[field] for field, hint in self._hints.items() if not _optional(hint))

    def make(self) -> list[sa.Column[Any]]:
        """New columns, to build the table with."""
        return [_column(self._name[field], hint) for field, hint in self._hints.items()]

    def read(self, row: Row, **more: Any) -> T | None:
        """What a row holds; None where it holds nothing. `more` are the fields without a column."""
        if row[self.required[0]] is None:
            return None
        return self._kind(**{field: row[name] for field, name in self._name.items()}, **more)

    def values(self, held: T) -> dict[str, Any]:
        """The values of the columns."""
        return {name: getattr(held, field) for field, name in self._name.items()}


def _optional(hint: Any) -> bool:
    return isinstance(hint, UnionType) and NoneType in get_args(hint)


def _column(name: str, hint: Any) -> sa.Column[Any]:
    if _optional(hint):
        (hint,) = set(get_args(hint)) - {NoneType}
    if hint is bool:
        return flag(name, nullable=True)
    if isinstance(hint, type) and issubclass(hint, StrEnum):
        return sa.Column(name, EnumText(hint))
    return sa.Column(name, _TYPES[hint])


SEEN = {side: Columns(Observation, side) for side in Side}
AGREED = Columns(Agreement, "agreed")
VERSIONS = {side: f"agreed_{side}_version" for side in Side}  # what each side showed at the agreement


def replace_seen(side: Side, insert: Insert, dirty: sa.ColumnElement[bool]) -> dict[str, Any]:
    """What an INSERT into `cells` sets where the cell is there already."""
    return {name: insert.excluded[name] for name in SEEN[side].names} | {"dirty": dirty}


def agreement_in(row: Row) -> Agreement | None:
    """What is agreed in a row of `cells`."""
    versions = {side: version for side, name in VERSIONS.items() if (version := row[name]) is not None}
    return AGREED.read(row, versions=versions)


def agreement_values(agreement: Agreement) -> dict[str, Any]:
    """The values of the columns of `cells` that hold an agreement."""
    versions = {name: agreement.versions.get(side) for side, name in VERSIONS.items()}
    return AGREED.values(agreement) | versions
