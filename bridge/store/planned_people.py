"""What a saved plan needs in the state DB: the people that it names, as a private copy knows them."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import sqlalchemy as sa

from bridge.core.model import PersonId, TopicId
from bridge.core.ports import batched
from bridge.store import tables as t
from bridge.store.statements import insert_new, upsert

_FOR_PLAN = (t.people, t.bindings, t.former_bindings, t.pins, t.cells)


def keep_people(
    source: sa.Connection, target: sa.Connection, people: Collection[PersonId], topics: Collection[TopicId]
) -> None:
    """Store what a copy knows of these people and topics in the state DB that it was made of. Nobody may have
    written to that since: the numbers of new people are the same in both. No feed counts as read."""
    for some in batched(sorted(people)):
        for table in _FOR_PLAN:
            _keep_rows(source, target, table, some, topics)
    if target.dialect.name == "postgresql" and people:  # a number given here is not taken from its counter
        counter = sa.func.pg_get_serial_sequence(t.people.name, "id")
        newest = sa.select(sa.func.max(t.people.c.id)).scalar_subquery()
        target.execute(sa.select(sa.func.setval(counter, newest)))


def _keep_rows(
    source: sa.Connection,
    target: sa.Connection,
    table: sa.Table,
    people: Sequence[PersonId],
    topics: Collection[TopicId],
) -> None:
    whose = table.c.id if table is t.people else table.c.person_id
    query = sa.select(table).where(whose.in_(people))
    if table is t.cells:
        query = query.where(table.c.topic.in_(topics))
    keys = [column.key for column in table.primary_key]
    rest = [column.key for column in table.c if column.key not in keys]
    if rows := [dict(row) for row in source.execute(query).mappings()]:
        (upsert(table, keys, rest) if rest else insert_new(table)).run(target, rows)
