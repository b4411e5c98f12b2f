"""Writes about people who were erased: without a person, so that the brakes still count them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from bridge.core.brakes import Moment, WindowUse, moment
from bridge.core.facts import ErasedWrites
from bridge.core.model import Choice, PersonId, Side
from bridge.core.ports import batched
from bridge.store import tables as t
from bridge.store.key_values import facts_in
from bridge.store.statements import among, param

_KEPT = timedelta(hours=720)  # the longest window that can be set
_a, _at = t.attempts.c, t.attempt_topics.c
_WRITES = (
    sa.select(_a.person_id, _a.side, _a.begun_at, _a.raises, _at.choice, _at.said_at)
    .join_from(t.attempts, t.attempt_topics)
    .where(among(_a.person_id, "ids"), _a.begun_at >= param("since", _a.begun_at))
    .order_by(_a.id)
)


def keep(conn: sa.Connection, persons: Sequence[PersonId], now: datetime) -> None:
    """Keep what counts of these people's writes, before they are erased. What no window reaches goes."""
    found: dict[int, ErasedWrites] = {}
    for ids in batched(persons):
        for row in conn.execute(_WRITES, {"ids": ids, "since": now - _KEPT}):
            mine = found.setdefault(row.person_id, ErasedWrites(None, None, ()))
            found[row.person_id] = _with(mine, row)
    facts = facts_in(conn)
    before = facts.erased_writes or ()
    after = tuple(one for one in (*before, *found.values()) if one.newest > now - _KEPT)
    if after != tuple(before):
        facts.erased_writes = after


def _with(mine: ErasedWrites, row: Any) -> ErasedWrites:
    if not row.raises:
        return ErasedWrites(mine.raised_at, row.begun_at, mine.said)
    said: Collection[Moment] = mine.said
    if row.choice == Choice.OPTED_IN and row.said_at is not None:
        said = {*said, moment(Side(row.side).other, row.said_at)}
    return ErasedWrites(row.begun_at, mine.withdrawn_at, tuple(sorted(said)))


def with_erased(conn: sa.Connection, use: WindowUse, since: datetime) -> WindowUse:
    """What was written within a window, with what was written about people erased since. They get numbers
    that nobody has."""
    kept = facts_in(conn).erased_writes or ()
    if not kept:
        return use
    said = {at: set(people) for at, people in use.said.items()}
    raised, withdrawn = set(use.raised), use.withdrawn
    for number, one in enumerate(kept, 1):
        if one.raised_at is not None and one.raised_at >= since:
            raised.add(PersonId(-number))
            for at in one.said:
                said.setdefault(at, set()).add(PersonId(-number))
        withdrawn += one.withdrawn_at is not None and one.withdrawn_at >= since
    return WindowUse(frozenset(raised), {at: frozenset(some) for at, some in said.items()}, withdrawn)
