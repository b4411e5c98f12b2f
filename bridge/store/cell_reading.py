"""Reading cells: what each side shows, what was agreed, and all else that a decision depends on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Self

import sqlalchemy as sa

from bridge.core.merge_observation import CellKey
from bridge.core.model import (
    CHANNEL,
    Cell,
    Challenge,
    ChallengeState,
    Choice,
    HoldState,
    Observation,
    PersonId,
    Side,
    StandingHold,
    TopicId,
    newest,
)
from bridge.core.own_writes import OwnWrite
from bridge.core.ports import batched
from bridge.core.store_values import AttemptState
from bridge.store import tables as t
from bridge.store.columns import (
    LATCH,
    SEEN,
    agreement_in,
)
from bridge.store.statements import among

UNPROVEN = (AttemptState.BEGUN, AttemptState.IN_DOUBT)
STANDS = t.holds.c.closed_at.is_(None)

_a, _at, _b, _c, _h, _p, _pins = (
    t.attempts.c,
    t.attempt_topics.c,
    t.bindings.c,
    t.cells.c,
    t.holds.c,
    t.people.c,
    t.pins.c,
)

_ROWS = sa.select(t.cells).where(among(_c.person_id, "ids")).order_by(_c.person_id, _c.topic)
_STANDING: sa.Select[Any] = sa.select(
    _h.person_id, _h.topic, _h.reason, _h.ground, _h.state, _h.answered_at, _h.proposed
).where(STANDS, among(_h.person_id, "ids"))
_DOUBTS = (
    sa.select(_a.person_id, _at.topic, _a.side, sa.func.max(sa.func.coalesce(_a.ended_at, _a.begun_at)))
    .join_from(t.attempts, t.attempt_topics)
    .where(t.NOT_DONE, _a.state.in_(UNPROVEN), among(_a.person_id, "ids"))
    .group_by(_a.person_id, _at.topic, _a.side)
)
_RAISED = (
    sa.select(_a.person_id, _at.topic, _a.begun_at, _a.body)
    .join_from(t.attempts, t.attempt_topics)
    .where(among(_a.person_id, "ids"), _a.state == AttemptState.DONE, _at.choice == Choice.OPTED_IN)
    .order_by(_a.id)
)
_OWN = (
    sa.select(
        *(_a.person_id, _at.topic, _a.side, _at.choice),
        *(_at.said_at, _a.begun_at, _at.shown_at, _a.may_apply, _at.target),
    )
    .join_from(t.attempts, t.attempt_topics)
    .where(among(_a.person_id, "ids"), sa.or_(_a.may_apply, _at.shown_at.is_not(None)))
    .order_by(_a.id)
)
_FLOORS = sa.select(_p.id, _p.erased_at, _p.unvetted_at).where(among(_p.id, "ids"), t.forgotten)
_CHALLENGES = sa.select(t.challenges).where(among(t.challenges.c.person_id, "ids"))
_THEIRS = sa.and_(_b.side == Side.MYPREFERENCES, _b.external_id == _pins.profile_id)
_LINKED_ELSEWHERE = sa.select(_pins.person_id).where(
    among(_pins.person_id, "ids"),
    sa.exists().where(_THEIRS),
    ~sa.exists().where(_THEIRS, _b.person_id == _pins.person_id),
)


def load(conn: sa.Connection, persons: Iterable[PersonId]) -> dict[PersonId, list[Cell]]:
    """All cells of these people, with all that a decision about them depends on."""
    found: dict[PersonId, list[Cell]] = {}
    for ids in batched(persons):
        around = _Surroundings.load(conn, {"ids": ids})
        for row in conn.execute(_ROWS, {"ids": ids}).mappings():
            person, topic = key = PersonId(row["person_id"]), TopicId(row["topic"])
            seen: dict[Side, Observation] = {}
            written: dict[Side, datetime] = {}
            for side in Side:
                if (shown := SEEN[side].read(row)) is not None:
                    seen[side] = shown
                if (at := row[f"{side}_written_at"]) is not None:
                    written[side] = at
            cell = Cell(
                person=person,
                topic=topic,
                seen=seen,
                agreed=agreement_in(row),
                agreed_stored_at=row["agreed_stored_at"],
                written_at=written,
                in_doubt_since=around.doubts.get(key, {}),
                hold=around.holds.get(key),
                latch=LATCH.read(row),
                tries=row["tries"],
                retry_at=row["retry_at"],
                erased_at=around.floors.get(person),
                challenge=around.challenges.get(person) if topic == CHANNEL else None,
                other_address=person in around.other_address,
                raised_at=tuple(around.raised.get(key, ())),
                own_writes=around.own_writes.get(key, {}),
            )
            found.setdefault(person, []).append(cell)
    return found


def own_unsubscribes(conn: sa.Connection, persons: Iterable[PersonId]) -> dict[PersonId, list[OwnWrite]]:
    """Our unsubscribes of these people at Dotdigital."""
    found: dict[PersonId, list[OwnWrite]] = {}
    for ids in batched(persons):
        for person, topic, side, choice, *rest in conn.execute(_OWN, {"ids": ids}):
            if (topic, side, choice) == (CHANNEL, Side.DOTDIGITAL, Choice.OPTED_OUT):
                found.setdefault(PersonId(person), []).append(OwnWrite(True, *rest))
    return found


@dataclass(slots=True)
class _Surroundings:
    """What stands about some people's cells outside of the table `cells`."""

    other_address: set[int]
    holds: dict[CellKey, StandingHold] = field(default_factory=dict)
    doubts: dict[CellKey, dict[Side, datetime]] = field(default_factory=dict)  # the newest of each side
    raised: dict[CellKey, list[datetime]] = field(default_factory=dict)  # proven opt-ins of ours
    own_writes: dict[CellKey, dict[Side, list[OwnWrite]]] = field(default_factory=dict)
    floors: dict[PersonId, datetime] = field(default_factory=dict)
    challenges: dict[PersonId, Challenge] = field(default_factory=dict)

    @classmethod
    def load(cls, conn: sa.Connection, ids: Mapping[str, Sequence[PersonId]]) -> Self:
        found = cls(set(conn.scalars(_LINKED_ELSEWHERE, ids)))
        for held in conn.execute(_STANDING, ids):
            found.holds[PersonId(held.person_id), TopicId(held.topic)] = standing_hold(held)
        for person, topic, side, since in conn.execute(_DOUBTS, ids):
            found.doubts.setdefault((PersonId(person), TopicId(topic)), {})[Side(side)] = since
        for person, topic, at, body in conn.execute(_RAISED, ids):
            if any(write["kind"] == "raise" and write["topic"] == topic for write in body["writes"]):
                found.raised.setdefault((PersonId(person), TopicId(topic)), []).append(at)
        for person, topic, side, choice, *dates in conn.execute(_OWN, ids):
            mine = found.own_writes.setdefault((PersonId(person), TopicId(topic)), {})
            mine.setdefault(Side(side), []).append(OwnWrite(choice == Choice.OPTED_OUT, *dates))
        for person, *floors in conn.execute(_FLOORS, ids):
            if (floor := newest(*floors)) is not None:
                found.floors[PersonId(person)] = floor
        for row in conn.execute(_CHALLENGES, ids):
            found.challenges[PersonId(row.person_id)] = challenge_in(row)
        return found


def standing_hold(row: sa.Row[Any]) -> StandingHold:
    """The hold that a row of `holds` is."""
    opts_in = frozenset(Side(write["side"]) for write in row.proposed if write["kind"] != "withdrawal")
    return StandingHold(row.reason, row.ground, HoldState(row.state), row.answered_at, opts_in)


def challenge_in(row: sa.Row[Any]) -> Challenge:
    """The confirmation mail that a row of `challenges` holds."""
    return Challenge(row.opt_in_at, row.sent_at, ChallengeState(row.state))
