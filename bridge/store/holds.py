"""What waits for an operator. A cell has one standing hold at most; closed ones are kept."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import sqlalchemy as sa

from bridge.core.approval import NOBODY, Operator
from bridge.core.decision import HoldChange, hold_change, sends_the_same
from bridge.core.merge_observation import CellKey
from bridge.core.model import HoldState, PersonId, RunId, TopicId
from bridge.core.ports import batched
from bridge.core.store_values import AttemptState, HoldRow, Json, LedgerEntry
from bridge.store import cells, people
from bridge.store import ledger as log
from bridge.store import tables as t
from bridge.store.cell_reading import STANDS, standing_hold
from bridge.store.cells import RUN_BEGAN
from bridge.store.columns import scrub
from bridge.store.engine import UnitOfWork
from bridge.store.statements import SIZE, among, param, run_each

_h = t.holds.c
_OF_CELL = (STANDS, _h.person_id == sa.bindparam("person"), _h.topic == sa.bindparam("about"))
_STANDING = sa.select(t.holds).where(*_OF_CELL)
_CLOSED = {"closed_at": param("now", _h.closed_at)}
_CLOSE = sa.update(t.holds).where(*_OF_CELL).values(_CLOSED)
_OPEN = sa.insert(t.holds)
_RENEW = (
    sa.update(t.holds)
    .where(*_OF_CELL)
    .values(
        ground=sa.bindparam("new_ground"),
        why=sa.bindparam("new_why"),
        proposed=param("new_proposed", _h.proposed),
    )
)
_PEOPLE = sa.select(_h.person_id).where(among(_h.id, "ids"))
_ANSWERABLE = (
    sa.select(t.holds)
    .where(STANDS, among(_h.id, "ids"), _h.state != sa.bindparam("answer"))
    .order_by(_h.id)
    .with_for_update()
)
_ANSWER = (
    sa.update(t.holds)
    .where(among(_h.id, "ids"))
    .values(
        state=sa.bindparam("answer"),
        answered_at=param("now", _h.answered_at),
        answered_by=sa.bindparam("author"),
        note=sa.bindparam("reason_given"),
    )
)
_PAGE = (
    sa.select(t.holds)
    .where(STANDS, _h.id > sa.bindparam("after"), among(_h.state, "states"))
    .order_by(_h.id)
    .limit(SIZE)
)
_PAGE_OF_REASON = _PAGE.where(_h.reason == sa.bindparam("because"))
_EVER = sa.select(t.holds).where(_h.id > sa.bindparam("after")).order_by(_h.id).limit(SIZE)
_EVER_OF_REASON = _EVER.where(_h.reason == sa.bindparam("because"))


class HoldStore:
    """Holds, and what operators answer to them."""

    def __init__(self, unit: UnitOfWork) -> None:
        self._unit = unit

    def open(
        self,
        run: RunId,
        person: PersonId,
        topic: TopicId,
        *,
        reason: str,
        why: str,
        ground: str,
        proposed: Sequence[Json] = (),
        ledger: LedgerEntry | None = None,
        retry: bool = False,
    ) -> bool:
        """Hold a cell for an operator. Returns False, and notes nothing, where that hold stands. `retry`: an
        opt-out had no effect, and is sent again later."""
        cell: dict[str, object] = {"person": person, "about": topic}
        shown = {"ground": ground, "why": scrub(why), "proposed": list(proposed)}
        with self._unit.write() as conn:
            now = self._unit.clock()
            people.lock(conn, [person])
            if retry:
                cells.retry_later(conn, (person, topic), now)
            row = conn.execute(_STANDING, cell).one_or_none()
            began = conn.scalar(RUN_BEGAN, {"run": run})
            standing = None if row is None else standing_hold(row)
            same = row is None or sends_the_same(row.proposed, proposed)
            match hold_change(standing, reason, ground, began, same_writes=same):
                case HoldChange.KEEP:
                    return False
                case HoldChange.RENEW:
                    conn.execute(_RENEW, cell | {f"new_{name}": value for name, value in shown.items()})
                case HoldChange.REPLACE:
                    conn.execute(_CLOSE, cell | {"now": now})
                    opened = {"reason": str(reason), "state": HoldState.OPEN, "opened_at": now}
                    conn.execute(_OPEN, {"person_id": person, "topic": topic, **shown, **opened})
            log.append(conn, run, [] if ledger is None else [ledger], now)
        return True

    def close(self, person: PersonId, topic: TopicId) -> None:
        """The cell's hold no longer stands, and no write given up about it waits for anybody."""
        with self._unit.write() as conn:
            people.lock(conn, [person])
            close(conn, [(person, topic)], self._unit.clock())

    def page(
        self,
        state: HoldState | None = HoldState.OPEN,
        *,
        reason: str | None = None,
        limit: int = 100,
        after: int = 0,
    ) -> list[HoldRow]:
        """Standing holds with a number above `after`, the oldest first; None for those in every state."""
        values = {"after": after, "size": limit, "states": list(HoldState) if state is None else [state]}
        query = _PAGE if reason is None else _PAGE_OF_REASON
        with self._unit.read() as conn:
            return [_row(row) for row in conn.execute(query, values | {"because": reason})]

    def page_of_all(self, *, reason: str | None = None, limit: int = 100, after: int = 0) -> list[HoldRow]:
        """The same with those that no longer stand."""
        query = _EVER if reason is None else _EVER_OF_REASON
        with self._unit.read() as conn:
            values = {"after": after, "size": limit, "because": reason}
            return [_row(row) for row in conn.execute(query, values)]

    def release(self, numbers: Sequence[int], author: Operator = NOBODY) -> int:
        """An operator says: do what the hold proposes. Returns how many holds that answers."""
        return self._answer(numbers, HoldState.RELEASED, author)

    def dismiss(self, numbers: Sequence[int], author: Operator = NOBODY) -> int:
        """An operator says: leave it as it is. Returns how many holds that answers."""
        return self._answer(numbers, HoldState.DISMISSED, author)

    def release_all(self, reason: str, author: Operator = NOBODY) -> int:
        """Release every open hold of one reason, a page at a time."""
        total = after = 0
        while page := self.page(reason=reason, after=after, limit=1000):
            after = page[-1].id
            total += self.release([hold.id for hold in page], author)
        return total

    def _answer(self, numbers: Sequence[int], state: HoldState, author: Operator) -> int:
        author = Operator(author.by, None if author.note is None else scrub(author.note))
        with self._unit.write() as conn:
            now = self._unit.clock()
            people.lock(conn, _people_of(conn, numbers))
            changed = _answer(conn, numbers, state, author, now)
            keys = [(hold.person, hold.topic) for hold in changed]
            cells.make_dirty(conn, keys)
            if state is HoldState.DISMISSED:
                cells.forget_attempts(conn, keys, [AttemptState.DEAD])
            log.append(conn, None, [_answered(hold, state, author) for hold in changed], now)
        return len(changed)


def _answer(
    conn: sa.Connection, numbers: Sequence[int], state: HoldState, author: Operator, now: datetime
) -> list[HoldRow]:
    values = {"answer": state, "author": author.by, "reason_given": author.note, "now": now}
    changed: list[HoldRow] = []
    for ids in batched(sorted(set(numbers))):
        rows = [_row(row) for row in conn.execute(_ANSWERABLE, {"ids": ids, "answer": state})]
        conn.execute(_ANSWER, {"ids": [row.id for row in rows], **values})
        changed.extend(rows)
    return changed


def _people_of(conn: sa.Connection, numbers: Sequence[int]) -> list[PersonId]:
    return [PersonId(person) for ids in batched(numbers) for person in conn.scalars(_PEOPLE, {"ids": ids})]


def _row(row: sa.Row[tuple[object, ...]]) -> HoldRow:
    return HoldRow(
        id=row.id,
        person=PersonId(row.person_id),
        topic=TopicId(row.topic),
        reason=row.reason,
        why=row.why,
        ground=row.ground,
        state=HoldState(row.state),
        opened_at=row.opened_at,
        proposed=tuple(row.proposed),
        closed_at=row.closed_at,
        answered=Operator(row.answered_by, row.note),
    )


def _answered(hold: HoldRow, state: HoldState, author: Operator) -> LedgerEntry:
    body = {"hold": hold.id, "reason": hold.reason, "by": author.by, "note": author.note}
    return LedgerEntry(state.value, body, hold.person, hold.topic)


# within a transaction


def close(conn: sa.Connection, keys: Sequence[CellKey], now: datetime) -> None:
    """The holds of these cells no longer stand."""
    run_each(conn, _CLOSE, [{"person": person, "about": topic, "now": now} for person, topic in keys])
    cells.forget_attempts(conn, keys, [AttemptState.DEAD])
