"""How values stand in the state DB: times, enumerations, lists of words, JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from itertools import islice
from typing import Any, TypeVar

import sqlalchemy as sa

T = TypeVar("T")

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICRO = timedelta(microseconds=1)
_ADDRESS = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]+@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+")


class UtcMicros(sa.types.TypeDecorator[datetime]):
    """An instant as microseconds since 1970, UTC: the same number in every DB, exact and sortable."""

    impl = sa.BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: sa.Dialect) -> int | None:  # noqa: ARG002
        return None if value is None else to_micros(value)

    def process_result_value(self, value: int | None, dialect: sa.Dialect) -> datetime | None:  # noqa: ARG002
        return None if value is None else from_micros(value)


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


def to_micros(value: datetime) -> int:
    """Microseconds since 1970. Raises ValueError for a time without a zone: it names no instant."""
    if value.tzinfo is None:
        raise ValueError("a time without a time zone cannot be stored")
    return (value - _EPOCH) // _MICRO


def from_micros(value: int) -> datetime:
    """The instant, in UTC."""
    return _EPOCH + timedelta(microseconds=value)


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
    holds any."""
    return _ADDRESS.sub("[address]", text) if "@" in text else text


def chunks(items: Iterable[T], size: int = 1000) -> Iterator[list[T]]:
    """The items in lists of at most `size`: a statement takes only so many parameters."""
    iterator = iter(items)
    while batch := list(islice(iterator, size)):
        yield batch
