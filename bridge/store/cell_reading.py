"""Reading cells: what each side shows, what was agreed, and all else that a decision depends on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from bridge.core.mapping import CHANNEL
from bridge.core.merge_observation import CellKey
from bridge.core.model import (
    Cell,
    Challenge,
    ChallengeState,
    HoldState,
    PersonId,
    Side,
    StandingHold,
    TopicId,
    newest,
)
from bridge.core.store_port import AttemptState
from bridge.store import tables as t
from bridge.store.columns import SEEN, agreement_in
from bridge.store.statements import among
from bridge.store.types import chunks

UNPROVEN = (AttemptState.BEGUN, AttemptState.IN_DOUBT)
STANDS = t.holds.c.closed_at.is_(None)

_a, _at, _b, _h, _p, _pins = (
    t.attempts.c,
    t.attempt_topics.c,
    t.bindings.c,
    t.holds.c,
    t.people.c,
    t.pins.c,
)
_ROWS = (
    sa.select(t.cells).where(among(t.cells.c.person_id, "ids")).order_by(t.cells.c.person_id, t.cells.c.topic)
)
_STANDING = sa.select(_h.person_id, _h.topic, _h.reason, _h.ground, _h.state).where(
    STANDS, among(_h.person_id, "ids")
)
_DOUBTS = (
    sa.select(_a.person_id, _at.topic, _a.side, _a.begun_at, _a.ended_at)
    .join_from(t.attempts, t.attempt_topics)
    .where(t.NOT_DONE, _a.state.in_(UNPROVEN), among(_a.person_id, "ids"))
)
_FLOORS = sa.select(_p.id, _p.erased_at, _p.unvetted_at).where(among(_p.id, "ids"), t.forgotten)
_CHALLENGES = sa.select(t.challenges).where(among(t.challenges.c.person_id, "ids"))
_THEIRS = sa.and_(_b.side == Side.MYPREFERENCES, _b.external_id == _pins.profile_id)
_LINKED_ELSEWHERE = sa.select(_pins.person_id).where(
    among(_pins.person_id, "ids"),
    sa.exists().where(_THEIRS),
    ~sa.exists().where(_THEIRS, _b.person_id == _pins.person_id),
)


@dataclass(slots=True)
class _Surroundings:
    """What stands about some people's cells outside of the table `cells`."""

    holds: Mapping[CellKey, StandingHold]
    doubts: dict[CellKey, dict[Side, datetime]] = field(default_factory=dict)
    floors: Mapping[PersonId, datetime] = field(default_factory=dict)
    challenges: Mapping[PersonId, Challenge] = field(default_factory=dict)
    other_address: frozenset[PersonId] = frozenset()


def load(conn: sa.Connection, persons: Iterable[PersonId]) -> dict[PersonId, list[Cell]]:
    """All cells of these people."""
    found: dict[PersonId, list[Cell]] = {}
    for ids in chunks(persons):
        around = _surroundings(conn, ids)
        for row in conn.execute(_ROWS, {"ids": ids}).mappings():
            cell = _cell(row, around)
            found.setdefault(cell.person, []).append(cell)
    return found


def challenge_in(row: sa.Row[Any]) -> Challenge:
    """The confirmation mail that a row of `challenges` holds."""
    return Challenge(row.opt_in_at, row.sent_at, ChallengeState(row.state))


def _surroundings(conn: sa.Connection, persons: Sequence[PersonId]) -> _Surroundings:
    ids = {"ids": persons}
    return _Surroundings(
        holds={
            (PersonId(row.person_id), TopicId(row.topic)): StandingHold(
                row.reason, row.ground, HoldState(row.state)
            )
            for row in conn.execute(_STANDING, ids)
        },
        doubts=_doubts(conn, persons),
        floors={
            PersonId(row.id): at
            for row in conn.execute(_FLOORS, ids)
            if (at := newest(row.erased_at, row.unvetted_at)) is not None
        },
        challenges={PersonId(row.person_id): challenge_in(row) for row in conn.execute(_CHALLENGES, ids)},
        other_address=frozenset(PersonId(person) for person in conn.scalars(_LINKED_ELSEWHERE, ids)),
    )


def _doubts(conn: sa.Connection, persons: Sequence[PersonId]) -> dict[CellKey, dict[Side, datetime]]:
    """Since when the outcome of a write about these cells is unknown, by side: the newest counts."""
    found: dict[CellKey, dict[Side, datetime]] = {}
    for person, topic, side, begun, ended in conn.execute(_DOUBTS, {"ids": persons}):
        mine = found.setdefault((PersonId(person), TopicId(topic)), {})
        since = ended or begun
        mine[Side(side)] = max(since, mine.get(Side(side), since))
    return found


def _cell(row: Mapping[Any, Any], around: _Surroundings) -> Cell:
    key = (PersonId(row["person_id"]), TopicId(row["topic"]))
    person, topic = key
    return Cell(
        person=person,
        topic=topic,
        seen={side: seen for side in Side if (seen := SEEN[side].read(row)) is not None},
        agreed=agreement_in(row),
        written_at={side: at for side in Side if (at := row[f"{side}_written_at"]) is not None},
        in_doubt_since=around.doubts.get(key, {}),
        hold=around.holds.get(key),
        erased_at=around.floors.get(person),
        challenge=around.challenges.get(person) if topic == CHANNEL else None,
        other_address=person in around.other_address,
    )
