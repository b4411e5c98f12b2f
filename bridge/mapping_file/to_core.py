"""Build topics from a parsed mapping file. Malformed parts are skipped: they have been reported already, and
must not hide other problems."""

from __future__ import annotations

from collections.abc import Mapping as MappingOf
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from bridge.core.mapping import (
    Conflict,
    ConsentRef,
    Direction,
    FilterRef,
    OnDeletion,
    OnUnsubscribe,
    RecordKeys,
    Topic,
)
from bridge.core.model import CHANNEL, TopicId
from bridge.core.writes import Resubscribe
from bridge.mapping_file.format import FilterSource, FrequencyId, PreferenceId, RecordTable, Source

T = TypeVar("T")
Raw = MappingOf[str, Any]


def topics_of(document: Raw) -> list[Topic | None]:
    """The topics in the order of the file; None for one that is not a table."""
    raw = document.get("topics")
    return (
        [_topic(one, document) if isinstance(one, dict) else None for one in raw]
        if isinstance(raw, list)
        else []
    )


def channel_of(document: Raw) -> Topic | None:
    """The e-mail channel, or None."""
    raw = _channel_table(document)
    if raw is None:
        return None
    return Topic(
        id=CHANNEL,
        source=_source(raw),
        preferences={},
        conflict=conflict_of(raw, document),
        direction=direction_of(raw, document),
        on_deletion=on_deletion_of(document),
        resubscribe=_lenient(Resubscribe, raw.get("resubscribe"), Resubscribe.HOLD),
    )


def on_unsubscribe_of(document: Raw) -> OnUnsubscribe:
    raw = _channel_table(document) or {}
    return _lenient(OnUnsubscribe, raw.get("on_unsubscribe"), OnUnsubscribe.CHANNEL)


def conflict_of(raw: Raw, document: Raw) -> Conflict:
    """A table's own policy, else the default's."""
    default = _lenient(Conflict, _table(document, "defaults").get("conflict"), Conflict.WITHDRAWAL_WINS)
    return _lenient(Conflict, raw.get("conflict"), default)


def on_deletion_of(document: Raw) -> OnDeletion:
    return _lenient(OnDeletion, _table(document, "defaults").get("on_deletion"), OnDeletion.UNLINK)


def direction_of(raw: Raw, document: Raw) -> Direction:
    """A table's own direction, else the default's."""
    default = _lenient(Direction, _table(document, "defaults").get("direction"), Direction.BOTH)
    return _lenient(Direction, raw.get("direction"), default)


def _channel_table(document: Raw) -> Raw | None:
    raw = _table(document, "channels").get("email")
    return raw if isinstance(raw, dict) else None


def _table(document: Raw, key: str) -> Raw:
    raw = document.get(key)
    return raw if isinstance(raw, dict) else {}


def _topic(raw: Raw, document: Raw) -> Topic:
    name = raw.get("id")
    return Topic(
        id=TopicId(name if isinstance(name, str) else ""),
        source=_source(raw),
        preferences=_preferences(_table(raw, "dotdigital")),
        conflict=conflict_of(raw, document),
        direction=direction_of(raw, document),
        on_deletion=on_deletion_of(document),
        record=_record(raw),
    )


def _record(raw: Raw) -> RecordKeys | None:
    try:
        table = TypeAdapter(RecordTable | None).validate_python(raw.get("consent_record"))
    except ValidationError:
        return None
    return None if table is None else RecordKeys(**table.model_dump())


def _source(raw: Raw) -> FilterRef | ConsentRef | None:
    try:
        table = TypeAdapter(Source).validate_python(raw.get("mypreferences"))
    except ValidationError:
        return None
    if isinstance(table, FilterSource):
        return FilterRef(table.filter, table.email_type)
    return ConsentRef(table.consent, table.version, table.locale)


def _preferences(raw: Raw) -> dict[str, int]:
    if "preference" in raw:
        return {"": raw["preference"]} if _fits(PreferenceId, raw["preference"]) else {}
    pairs = _table(raw, "frequencies").items()
    return {
        name: number for name, number in pairs if _fits(FrequencyId, name) and _fits(PreferenceId, number)
    }


def _fits(kind: Any, value: object) -> bool:
    try:
        TypeAdapter(kind).validate_python(value, strict=True)
    except ValidationError:
        return False
    return True


def _lenient(words: type[T], value: object, default: T) -> T:
    try:
        return default if value is None else TypeAdapter(words).validate_python(value)
    except ValidationError:
        return default
