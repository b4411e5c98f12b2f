"""The schema that a state DB really has, compared with the one this program needs; and whether the database
can hold what the bridge keeps. Used by commands only: Alembic is slow to import."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from bridge.store import tables as t
from bridge.store.engine import READ_ONLY, make_engine

_NOUNS = {
    "table": "table",
    "column": "column",
    "index": "index",
    "constraint": "constraint",
    "fk": "foreign key",
}
_KINDS = {"add": "is missing", "remove": "is not known to this program", "modify": "differs"}


def differences(url: str) -> list[str]:
    """What differs, in words, without any row's content; empty where the schemas are the same. Raises
    StateDbError where it cannot be reached."""
    engine = make_engine(url, read_only=True)
    try:
        with engine.connect() as plain, plain.execution_options(**{READ_ONLY: True}) as conn:
            context = MigrationContext.configure(conn, opts={"compare_type": True})
            return sorted(set(_words(compare_metadata(context, t.metadata))))
    finally:
        engine.dispose()


def _words(found: Any) -> Iterator[str]:
    """Alembic gives tuples that begin with the kind, and a list of them for what differs in one column."""
    for one in found:
        if isinstance(one, list):
            yield from _words(one)
            continue
        kind, _, what = one[0].partition("_")
        noun = _NOUNS.get(what, "column")
        yield f"{noun} {_name(kind, noun, one)} {_KINDS[kind]}"


def _name(kind: str, noun: str, found: Any) -> str:
    if kind == "modify":  # (kind, schema, table, column, ...)
        return f"{found[2]}.{found[3]}"
    if noun == "column":  # (kind, schema, table, column)
        return f"{found[2]}.{found[3].name}"
    if noun == "table":
        return str(found[1].name)
    return f"{found[1].table.name}.{found[1].name}"
