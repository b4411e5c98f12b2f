"""Records that came to another address: who had them, who has them now, and which opt-outs are transferred.

All of it happens in the transaction that stores the read which shows it: nothing is decided about the new
address before.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime

import sqlalchemy as sa

from bridge.core.address_change import (
    ONE_ADDRESS,
    FormerBinding,
    Succession,
    WithdrawalTransfer,
    replaced_bindings,
    told_binding,
)
from bridge.core.model import PersonId, Side, address_key
from bridge.core.store_port import LedgerEntry
from bridge.store import cell_reading, cells, people
from bridge.store import tables as t
from bridge.store.statements import Insert, InsertRows, among, any_of, insert_new, run_each
from bridge.store.types import chunks

_b, _f, _s = t.bindings.c, t.former_bindings.c, t.successions.c
_ANY_FORMER = any_of(t.former_bindings)
_DROP_FORMER = sa.delete(t.former_bindings).where(
    _f.side == sa.bindparam("at_side"),
    _f.person_id == sa.bindparam("person"),
    _f.external_id == sa.bindparam("external"),
)
_HOLDERS = sa.select(_b.person_id, _b.external_id).where(
    _b.side == sa.bindparam("at_side"), among(_b.external_id, "records")
)


def _known_time(insert: Insert) -> Insert:
    """A known time of the change is better than that of a read."""
    new = insert.excluded
    known = sa.case((_f.left_at > new.until, _f.left_at), else_=new.left_at)
    return insert.on_conflict_do_update(
        index_elements=["side", "external_id", "person_id"], set_={"until": new.until, "left_at": known}
    )


_SAVE_FORMER = InsertRows.build(_known_time, t.former_bindings)

_NEW = (
    sa.select(_f.person_id, _b.person_id, _b.bound_at, _f.left_at)
    .join_from(t.former_bindings, t.bindings, sa.and_(_f.side == _b.side, _f.external_id == _b.external_id))
    .where(
        _f.side == sa.bindparam("at_side"),
        _f.person_id != _b.person_id,
        _b.bound_at > _f.until,
        ~sa.exists().where(_s.side == _f.side, _s.former_id == _f.person_id, _s.heir_id == _b.person_id),
        sa.or_(among(_f.person_id, "ids"), among(_b.person_id, "ids")),
    )
)
_KNOWN = sa.select(_s.side, _s.former_id, _s.heir_id, _s.since).where(
    sa.or_(among(_s.former_id, "ids"), among(_s.heir_id, "ids"))
)
_SAVE = insert_new(t.successions)
_TAKEN = sa.select(_b.side, _b.person_id).where(among(_b.person_id, "ids"))


def save_former(conn: sa.Connection, side: Side, former: Iterable[FormerBinding]) -> None:
    """Keep whose these records were."""
    _SAVE_FORMER.run(
        conn,
        [
            {
                "side": side,
                "external_id": one.external_id,
                "person_id": one.person,
                "until": one.until,
                "left_at": one.left_at,
            }
            for one in former
        ],
    )


def record_former_addresses(
    conn: sa.Connection,
    side: Side,
    external_id: str,
    former: Sequence[tuple[str, datetime | None]],
    now: datetime,
) -> list[PersonId]:
    """A record had these addresses until then, as its side tells; unknown addresses are ignored. Returns
    those of these people who were never seen with that record."""
    until = {address_key(address): at or now for address, at in former}
    known = people.by_keys(conn, until)
    save_former(conn, side, [told_binding(person, external_id, until[key]) for key, person in known.items()])
    ids = people.bound_ids(conn, side, known.values())
    return [person for person in known.values() if external_id not in ids.get(person, ())]


def drop_former(conn: sa.Connection, side: Side, back: Sequence[tuple[PersonId, str]]) -> None:
    """These people have these records again."""
    rows = [{"at_side": side, "person": person, "external": external} for person, external in back]
    if rows and conn.scalar(_ANY_FORMER):
        run_each(conn, _DROP_FORMER, rows)


def unbind_previous(
    conn: sa.Connection, side: Side, added: Sequence[tuple[PersonId, str, datetime]]
) -> list[PersonId]:
    """Where a record holds one address only, its previous holders no longer have it. Returns these people:
    their address is to be looked for."""
    if side not in ONE_ADDRESS or not added:
        return []
    holders: list[tuple[PersonId, str]] = []
    for some in chunks(dict.fromkeys(external for _, external, _ in added)):
        found = conn.execute(_HOLDERS, {"at_side": side, "records": some})
        holders.extend((PersonId(person), external) for person, external in found)
    left = replaced_bindings(added, holders)
    people.bind(conn, side, (), [(one.person, one.external_id) for one in left])
    save_former(conn, side, left)
    return [one.person for one in left]


def transfer(conn: sa.Connection, side: Side, persons: Collection[PersonId]) -> list[LedgerEntry]:
    """Transfer opt-outs between the addresses of these people and those that they left or came to. Returns
    the ledger's entries about it."""
    if not conn.scalar(_ANY_FORMER):
        return []
    fresh = _new(conn, side, persons)
    _SAVE.run(
        conn,
        [
            {"side": one.side, "former_id": one.former, "heir_id": one.heir, "since": one.since}
            for one in fresh
        ],
    )
    known = [one for one in _known(conn, persons) if one not in fresh]
    if not fresh and not known:
        return []
    everybody = {person for one in (*fresh, *known) for person in (one.former, one.heir)}
    people.lock(conn, everybody)
    moved = WithdrawalTransfer(cell_reading.load(conn, everybody))
    moved.follow_records(fresh, known, _vacant(conn, known))
    cells.transfer(conn, moved.agreements)
    return moved.entries


def _new(conn: sa.Connection, side: Side, persons: Collection[PersonId]) -> list[Succession]:
    """Successions not noted yet: a record was one person's, and became another's after it was last seen with
    the first. An address that the record had all the while inherits nothing."""
    found: dict[tuple[PersonId, PersonId], datetime] = {}
    for some in chunks(sorted(persons)):
        for former, heir, bound_at, left_at in conn.execute(_NEW, {"at_side": side, "ids": some}):
            key = (PersonId(former), PersonId(heir))
            since = min(bound_at, left_at)
            found[key] = max(since, found.get(key, since))
    return [Succession(side, former, heir, since) for (former, heir), since in sorted(found.items())]


def _known(conn: sa.Connection, persons: Collection[PersonId]) -> list[Succession]:
    found: dict[Succession, None] = {}
    for some in chunks(sorted(persons)):
        for side, former, heir, since in conn.execute(_KNOWN, {"ids": some}):
            found[Succession(Side(side), PersonId(former), PersonId(heir), since)] = None
    return list(found)


def _vacant(conn: sa.Connection, links: Iterable[Succession]) -> set[tuple[Side, PersonId]]:
    """Which former addresses nobody else has at that side: what is said there is still the same person's."""
    wanted = {(one.side, one.former) for one in links}
    taken: set[tuple[Side, PersonId]] = set()
    for some in chunks(sorted({person for _, person in wanted})):
        taken |= {(Side(side), PersonId(person)) for side, person in conn.execute(_TAKEN, {"ids": some})}
    return wanted - taken
