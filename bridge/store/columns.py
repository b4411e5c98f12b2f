"""How values stand in the state DB: times, enumerations, lists of words, JSON; and the columns that hold an
observation or an agreement, derived from the fields of the two dataclasses.

A new field is listed in `bridge.core.model` only; a migration adds its column.
"""

from __future__ import annotations

import json
import re
import string
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from operator import attrgetter, itemgetter
from types import NoneType, UnionType
from typing import Any, Generic, TypeVar, get_args, get_origin, get_type_hints

import sqlalchemy as sa

from bridge.core.model import Agreement, Latch, Observation, Side
from bridge.store.statements import Insert

T = TypeVar("T")
Row = Mapping[Any, Any]

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICRO = timedelta(microseconds=1)
_DOMAIN = re.compile(r"@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+")
_LOCAL = frozenset(f"{string.ascii_letters}{string.digits}.!#$%&'*+/=?^_`{{|}}~-")


class UtcMicros(sa.types.TypeDecorator[datetime]):
    """An instant as microseconds since 1970, UTC: the same number in every DB, exact and sortable."""

    impl = sa.BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: sa.Dialect) -> int | None:  # noqa: ARG002
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a time without a time zone names no instant and cannot be stored")
        return (value - EPOCH) // _MICRO

    def process_result_value(self, value: int | None, dialect: sa.Dialect) -> datetime | None:  # noqa: ARG002
        return None if value is None else EPOCH + timedelta(microseconds=value)


class Words(sa.types.TypeDecorator[tuple[str, ...]]):
    """A list of words as JSON text."""

    impl = sa.Text
    cache_ok = True

    def process_bind_param(self, value: tuple[str, ...] | None, dialect: sa.Dialect) -> str | None:  # noqa: ARG002
        if value is None:
            return None
        return json.dumps(value, ensure_ascii=False) if value else "[]"

    def process_result_value(self, value: str | None, dialect: sa.Dialect) -> tuple[str, ...] | None:  # noqa: ARG002
        if value is None:
            return None
        return () if value == "[]" else tuple(json.loads(value))


class EnumText(sa.types.TypeDecorator[StrEnum]):
    """One word of an enumeration as text."""

    impl = sa.Text
    cache_ok = True

    def __init__(self, kind: type[StrEnum]) -> None:
        super().__init__()
        self.kind = kind

    def process_bind_param(self, value: StrEnum | None, dialect: sa.Dialect) -> str | None:  # noqa: ARG002
        return None if value is None else str(value)

    def process_result_value(self, value: str | None, dialect: sa.Dialect) -> StrEnum | None:  # noqa: ARG002
        return None if value is None else self.kind(value)


class Document(sa.types.TypeDecorator[Any]):
    """JSON, without addresses."""

    impl = sa.Text
    cache_ok = True

    def process_bind_param(self, value: object, dialect: sa.Dialect) -> str | None:  # noqa: ARG002
        return None if value is None else scrub(json_text(value))

    def process_result_value(self, value: str | None, dialect: sa.Dialect) -> Any:  # noqa: ARG002
        return None if value is None else json.loads(value)


def json_text(value: object) -> str:
    """The JSON text of a value: keys sorted, no spaces."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=_plain)


def _plain(value: object) -> object:
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, Sequence):
        return list(value)
    raise TypeError(f"{type(value).__name__} has no JSON form")


def scrub(text: str) -> str:
    """The text without raw addresses. Vendors' error texts may quote one, and `people` is the only table that
    holds any. Takes time in proportion to the text, whatever it holds."""
    kept: list[str] = []
    done = 0
    for found in _DOMAIN.finditer(text) if "@" in text else ():
        start = found.start()
        while start > done and text[start - 1] in _LOCAL:
            start -= 1
        if start < found.start():
            kept += (text[done:start], "[address]")
            done = found.end()
    return "".join((*kept, text[done:]))


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
        self._of_row, self._of_held = itemgetter(*self.names), attrgetter(*self._name)
        self.required = tuple(self._name[field] for field, hint in self._hints.items() if not _optional(hint))

    def make(self) -> list[sa.Column[Any]]:
        """New columns, to build the table with."""
        return [_column(self._name[field], hint) for field, hint in self._hints.items()]

    def read(self, row: Row, **more: Any) -> T | None:
        """What a row holds; None where it holds nothing. `more` are the fields without a column."""
        if row[self.required[0]] is None:
            return None
        return self._kind(**dict(zip(self._name, self._of_row(row), strict=True)), **more)

    def values(self, held: T) -> dict[str, Any]:
        """The values of the columns."""
        return dict(zip(self.names, self._of_held(held), strict=True))


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
LATCH = Columns(Latch, "withdrawal")
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


def latch_values(latch: Latch | None) -> dict[str, Any]:
    """The values of the columns of `cells` that hold a latch, or none."""
    return dict.fromkeys(LATCH.names) if latch is None else LATCH.values(latch)
