"""Writes that were begun, and what became of them. They are kept for ever."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import sqlalchemy as sa

from bridge.core.brakes import Moment, WindowUse, moment
from bridge.core.erasure import ErasureSettings
from bridge.core.merge_observation import CellKey
from bridge.core.model import Choice, PersonId, RunId, Side, TopicId
from bridge.core.ports import PersonView, batched
from bridge.core.store_values import Attempt, AttemptFinished, AttemptStarted, AttemptState, Json, LedgerEntry
from bridge.store import cells, holds, ledger, observations, people
from bridge.store import tables as t
from bridge.store.cell_reading import UNPROVEN
from bridge.store.columns import scrub
from bridge.store.engine import UnitOfWork
from bridge.store.erased_writes import with_erased
from bridge.store.statements import SIZE, among, param, run_each

_a, _at, _b, _c = t.attempts.c, t.attempt_topics.c, t.bindings.c, t.cells.c
_BEGIN = sa.insert(t.attempts).returning(_a.id, sort_by_parameter_order=True)
_BEGIN_TOPICS = sa.insert(t.attempt_topics)
_ENDED = ("state", "ended_at", "may_apply", "error", "code")
_ONE = sa.update(t.attempts).where(_a.id == sa.bindparam("number"))
_END = _ONE.values({name: param(f"new_{name}", _a[name]) for name in _ENDED})
_END_WRITTEN = _ONE.values({name: param(f"new_{name}", _a[name]) for name in (*_ENDED, "written_at")})
_SHOWN = (
    sa.update(t.attempt_topics)
    .where(_at.attempt_id == sa.bindparam("number"), _at.topic == sa.bindparam("about"))
    .values(shown_at=param("at", _at.shown_at))
)
_BEGUN_AT = sa.select(_a.id, _a.begun_at).where(among(_a.id, "ids"))
_WRITTEN = {
    side: sa.update(t.cells)
    .where(_c.person_id == sa.bindparam("person"), _c.topic == sa.bindparam("about"))
    .values({f"{side}_written_at": param("at", _c[f"{side}_written_at"])})
    for side in Side
}
_STATES_OF_RUN = sa.select(_a.state, sa.func.count()).where(_a.run == sa.bindparam("run")).group_by(_a.state)
_IN_DOUBT = sa.select(t.attempts).where(t.NOT_DONE, _a.state.in_(UNPROVEN)).order_by(_a.id)
_OF_PERSON = sa.select(t.attempts).where(_a.person_id == sa.bindparam("person")).order_by(_a.id)
_INEFFECTIVE = (
    sa.select(sa.func.count())
    .select_from(t.attempts.join(t.attempt_topics))
    .where(_a.person_id == sa.bindparam("person"), _at.topic == sa.bindparam("about"), _at.settled.is_(False))
    .where(_a.state == AttemptState.FAILED, _a.written_at.is_not(None))
)
_SINCE = _a.begun_at >= param("since", _a.begun_at)
_RAISED_SINCE = sa.select(_a.id, _a.person_id, _a.side).where(t.RAISES, _SINCE)
_SAID = sa.select(_at.attempt_id, _at.said_at).where(
    among(_at.attempt_id, "ids"), _at.choice == Choice.OPTED_IN, _at.said_at.is_not(None)
)
_WITHDRAWN_SINCE = sa.select(sa.func.count()).select_from(
    sa.select((_a.person_id + 0).label("person"))  # plain, it would be found by the index of people instead
    .where(t.WITHDRAWALS, _SINCE)
    .distinct()
    .limit(SIZE)
    .subquery()
)
_WRITTEN_SINCE = (
    sa.select(_b.external_id)
    .join_from(t.bindings, t.attempts, _b.person_id == _a.person_id)
    .where(
        _b.side == sa.bindparam("at_side"),
        among(_b.external_id, "records"),
        _a.side == sa.bindparam("at_side"),
        _a.begun_at >= param("since", _a.begun_at),
    )
)
_LAST_WRITTEN = (
    sa.select(_a.person_id)
    .where(_a.side == sa.bindparam("at_side"), _a.state == AttemptState.DONE, _a.written_at.is_not(None))
    .order_by(_a.id.desc())
    .limit(1)
)


class AttemptStore:
    """The log of writes, kept before each is sent and after it ended."""

    def __init__(self, unit: UnitOfWork, erasing: ErasureSettings) -> None:
        self._unit = unit
        self._erasing = erasing

    def begin(self, run: RunId, side: Side, begun: Sequence[AttemptStarted]) -> list[int]:
        """Note writes before any of them is sent. Returns their numbers, in order. The cells concerned stay
        dirty until they are settled."""
        if not begun:
            return []
        rows: list[dict[str, object]] = []
        keys: dict[CellKey, tuple[int, Json]] = {}  # each cell concerned: the place of its attempt, the write
        with self._unit.write() as conn:
            now = self._unit.clock()
            common = {
                "run": run,
                "side": side,
                "state": AttemptState.BEGUN,
                "begun_at": now,
                "may_apply": True,
            }
            for place, one in enumerate(begun):
                writes = one.body["writes"]
                raises = not all(map(_withdraws, writes))
                rows.append(common | {"person_id": one.person, "body": one.body, "raises": raises})
                for write in writes:
                    keys[one.person, TopicId(write["topic"])] = place, write
            people.lock(conn, (one.person for one in begun))
            cells.forget_attempts(conn, keys, [AttemptState.DEAD], [side])  # they are tried again
            numbers = list(conn.scalars(_BEGIN, rows))
            about = [
                {
                    "attempt_id": numbers[place],
                    "topic": topic,
                    "target": begun[place].body.get("targets", {}).get(topic),
                    "settled": False,
                    **_said(write),
                }
                for (_, topic), (place, write) in keys.items()
            ]
            run_each(conn, _BEGIN_TOPICS, about)
            cells.make_dirty(conn, keys)
            ledger.append(conn, run, [one.ledger for one in begun], now)
        return numbers

    def end(
        self,
        run: RunId,
        side: Side,
        ended: Sequence[AttemptFinished],
        *,
        views: Sequence[PersonView] = (),
        unsubscribe_withdraws_topics: bool = False,
    ) -> None:
        """Note what became of writes to one side, what was read back, and what is agreed by that: all or
        nothing. Raises LookupError for an attempt that was not begun."""
        with self._unit.write() as conn:
            now = self._unit.clock()
            people.lock(conn, (one.person for one in ended))
            _end(conn, side, ended, now)
            recorded = observations.record(
                conn,
                views,
                side,
                now=now,
                unsubscribe_withdraws_topics=unsubscribe_withdraws_topics,
                erasing=self._erasing,
            )
            agreed = _agree(conn, run, ended, now)
            ledger.append(conn, run, [*(one.ledger for one in ended), *recorded.ledger, *agreed], now)

    def in_doubt(self) -> list[Attempt]:
        """Writes whose outcome is unknown, the oldest first."""
        with self._unit.read() as conn:
            return [_attempt(row) for row in conn.execute(_IN_DOUBT)]

    def states_of(self, run: RunId) -> dict[AttemptState, int]:
        """How many writes a run began, by what is known of them now."""
        with self._unit.read() as conn:
            found = conn.execute(_STATES_OF_RUN, {"run": run})
            return {AttemptState(state): number for state, number in found}

    def of(self, person: PersonId) -> list[Attempt]:
        """Every write that was begun for a person, the oldest first."""
        with self._unit.read() as conn:
            return [_attempt(row) for row in conn.execute(_OF_PERSON, {"person": person})]

    def ineffective(self, person: PersonId, topic: TopicId) -> int:
        """How many writes about a cell were accepted and had no effect since it was last agreed."""
        with self._unit.read() as conn:
            return conn.scalar(_INEFFECTIVE, {"person": person, "about": topic}) or 0

    def window(self, since: datetime, withdrawals_max: int) -> WindowUse:
        """The writes begun since then; of withdrawals it counts no more than `withdrawals_max`, and those of
        people erased since."""
        said: dict[Moment, set[PersonId]] = {}
        with self._unit.read() as conn:
            raised = {row.id: row for row in conn.execute(_RAISED_SINCE, {"since": since})}
            for ids in batched(raised):
                for attempt, at in conn.execute(_SAID, {"ids": ids}):
                    row = raised[attempt]
                    said.setdefault(moment(Side(row.side).other, at), set()).add(PersonId(row.person_id))
            withdrawn = conn.scalar(_WITHDRAWN_SINCE, {"since": since, "size": withdrawals_max}) or 0
            people = frozenset(PersonId(row.person_id) for row in raised.values())
            use = WindowUse(people, {at: frozenset(some) for at, some in said.items()}, withdrawn)
            return with_erased(conn, use, since)

    def written_since(self, side: Side, records: Sequence[str], since: datetime) -> frozenset[str]:
        """Those records of `side` about whose people a write to it was begun since then."""
        found: set[str] = set()
        with self._unit.read() as conn:
            for some in batched(records):
                found.update(conn.scalars(_WRITTEN_SINCE, {"at_side": side, "records": some, "since": since}))
        return frozenset(found)

    def last_written(self, side: Side) -> PersonId | None:
        """The person of the latest proven write at `side`."""
        with self._unit.read() as conn:
            found = conn.scalar(_LAST_WRITTEN, {"at_side": side})
        return None if found is None else PersonId(found)


def _end(conn: sa.Connection, side: Side, ended: Sequence[AttemptFinished], now: datetime) -> None:
    """A write that changed something is noted at its cells: reads that began earlier show nothing of it."""
    rows: dict[sa.Update, list[dict[str, object]]] = {_END: [], _END_WRITTEN: []}
    written: list[dict[str, object]] = []
    for one in ended:
        row: dict[str, object] = {
            "number": one.attempt,
            "new_state": one.state,
            "new_ended_at": now,
            "new_may_apply": one.may_apply,
            "new_error": None if one.error is None else scrub(one.error),
            "new_code": one.error_code,
        }
        if one.written_at is None:
            rows[_END].append(row)
            continue
        rows[_END_WRITTEN].append(row | {"new_written_at": one.written_at})
        for topic in one.topics:
            written.append({"person": one.person, "about": topic, "at": one.written_at})
    for statement, some in rows.items():
        if some and conn.execute(statement, some).rowcount != len(some):
            numbers = ", ".join(str(row["number"]) for row in some)
            raise LookupError(f"not all of these attempts were begun: {numbers}")
    run_each(conn, _WRITTEN[side], written)
    shown = [
        {"number": one.attempt, "about": topic, "at": at} for one in ended for topic, at in one.shown.items()
    ]
    run_each(conn, _SHOWN, shown)


def _agree(
    conn: sa.Connection, run: RunId, ended: Sequence[AttemptFinished], now: datetime
) -> list[LedgerEntry]:
    """Agree on what is proven. Holds that were carried out close before that: a settled cell is not decided
    again."""
    proven = [one for one in ended if one.receipts]
    receipts = [receipt for one in proven for receipt in one.receipts]
    held = [one for one in receipts if one.decided is not None and one.decided.hold is not None]
    holds.close(conn, [(one.person, one.topic) for one in held], now)
    begun: dict[int, datetime] = {}
    for ids in batched([one.attempt for one in proven]):
        for number, at in conn.execute(_BEGUN_AT, {"ids": ids}):
            begun[number] = at
    found = [(each, begun[one.attempt]) for one in proven for each in one.receipts]
    return cells.agree(conn, run, found, now)


def _withdraws(write: Json) -> bool:
    return bool(write["kind"] == "withdrawal")


def _said(write: Json) -> dict[str, object]:
    """What a write says, and the date of the statement that it carries."""
    withdraws = _withdraws(write)
    at = write.get("said_at") if withdraws else write["evidence"]["changed_at"]
    choice = Choice.OPTED_OUT if withdraws else Choice.OPTED_IN
    return {"choice": choice, "said_at": None if at is None else datetime.fromisoformat(at)}


def _attempt(row: sa.Row[tuple[object, ...]]) -> Attempt:
    return Attempt(
        id=row.id,
        run=RunId(row.run),
        person=PersonId(row.person_id),
        side=Side(row.side),
        body=row.body,
        state=AttemptState(row.state),
        begun_at=row.begun_at,
        ended_at=row.ended_at,
    )
