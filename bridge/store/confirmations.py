"""Who was asked by mail to confirm an opt-in: the last question to each person, and when to look again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from bridge.core.model import CHANNEL, Challenge, ChallengeState, PersonId, RunId
from bridge.core.store_values import LedgerEntry
from bridge.store import cells, ledger, people
from bridge.store import tables as t
from bridge.store.cell_reading import challenge_in
from bridge.store.engine import UnitOfWork
from bridge.store.statements import SIZE, param, run_each, upsert

_c = t.challenges.c
_OPT_IN = sa.select(_c.opt_in_at).where(_c.person_id == sa.bindparam("person"))
_ASK = upsert(t.challenges, ["person_id"], ["opt_in_at", "sent_at", "state", "look_at"])
_OF_PERSON = sa.update(t.challenges).where(_c.person_id == sa.bindparam("person"))
_SET_STATE = _OF_PERSON.values(state=sa.bindparam("new_state"))
_LOOK = _OF_PERSON.values(look_at=param("at", _c.look_at))
_DUE = (
    sa.select(t.challenges)
    .where(_c.look_at <= param("now", _c.look_at))
    .order_by(_c.look_at, _c.person_id)
    .limit(SIZE)
)
_COUNTS = sa.select(_c.state, sa.func.count(), sa.func.min(_c.sent_at)).group_by(_c.state)


@dataclass(frozen=True, slots=True)
class ConfirmationCounts:
    """How many people were asked by mail and have not confirmed: those who still may, when the oldest of them
    was asked, and those whose time is over."""

    pending: int
    oldest: datetime | None
    expired: int


class ConfirmationStore:
    """Questions by mail, and how they stand."""

    def __init__(self, unit: UnitOfWork) -> None:
        self._unit = unit

    def record(
        self, run: RunId, person: PersonId, opt_in_at: datetime, *, sent_at: datetime, look_at: datetime
    ) -> None:
        """A person was asked, or may have been, about the opt-in of that date. Noted once."""
        with self._unit.write() as conn:
            people.lock(conn, [person])
            known = conn.scalar(_OPT_IN, {"person": person})
            if known is not None and known >= opt_in_at:
                return
            row = {"person_id": person, "opt_in_at": opt_in_at, "sent_at": sent_at, "look_at": look_at}
            _ASK.run(conn, [row | {"state": ChallengeState.PENDING}])
            ledger.append(conn, run, [_entry(person, ChallengeState.PENDING)], self._unit.clock())

    def set_state(self, run: RunId, person: PersonId, state: ChallengeState) -> None:
        """How the person's last question stands now. After a confirmation nobody looks again."""
        with self._unit.write() as conn:
            conn.execute(_SET_STATE, {"person": person, "new_state": state})
            if state is ChallengeState.CONFIRMED:
                conn.execute(_LOOK, {"person": person, "at": None})
            ledger.append(conn, run, [_entry(person, state)], self._unit.clock())

    def due(self, now: datetime, limit: int) -> dict[PersonId, Challenge]:
        """Who is to be looked at, whether they have confirmed: those who have waited longest first."""
        with self._unit.read() as conn:
            rows = conn.execute(_DUE, {"now": now, "size": limit})
            return {PersonId(row.person_id): challenge_in(row) for row in rows}

    def schedule(self, looks: Mapping[PersonId, datetime | None], lapsed: Sequence[PersonId]) -> None:
        """When to look at these people next, None for never again. The channel of `lapsed` people, whose time
        is over, is decided again."""
        with self._unit.write() as conn:
            run_each(conn, _LOOK, [{"person": person, "at": at} for person, at in looks.items()])
            cells.make_dirty(conn, [(person, CHANNEL) for person in lapsed])

    def counts(self) -> ConfirmationCounts:
        """How many people were asked and have not confirmed."""
        with self._unit.read() as conn:
            found = {
                ChallengeState(state): (number, oldest) for state, number, oldest in conn.execute(_COUNTS)
            }
        pending, oldest = found.get(ChallengeState.PENDING, (0, None))
        return ConfirmationCounts(pending, oldest, found.get(ChallengeState.EXPIRED, (0, None))[0])


def _entry(person: PersonId, state: ChallengeState) -> LedgerEntry:
    return LedgerEntry("challenge", {"state": state.value}, person, CHANNEL)
