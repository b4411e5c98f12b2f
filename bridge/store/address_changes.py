"""Records that came to another address: who had them, who has them now, and which opt-outs are transferred.

All of it happens in the transaction that stores the read which shows it: nothing is decided about the new
address before.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta

import sqlalchemy as sa

from bridge.core.address_change import (
    ONE_ADDRESS,
    FormerAndHolder,
    FormerBinding,
    Succession,
    WithdrawalTransfer,
    replaced_bindings,
    successions,
    told_binding,
)
from bridge.core.model import PersonId, Side, address_key
from bridge.core.ports import batched
from bridge.core.store_values import LedgerEntry
from bridge.store import cell_reading, cells, people
from bridge.store import tables as t
from bridge.store.statements import Insert, InsertRows, among, any_of, insert_new, run_each

_b, _f, _l, _s = t.bindings.c, t.former_bindings.c, t.pins.c, t.successions.c
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
    sa.select(_f.person_id, _b.person_id, _f.until, _f.left_at, _b.bound_at)
    .join_from(t.former_bindings, t.bindings, sa.and_(_f.side == _b.side, _f.external_id == _b.external_id))
    .where(
        _f.side == sa.bindparam("at_side"),
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
    for some in batched(dict.fromkeys(external for _, external, _ in added)):
        found = conn.execute(_HOLDERS, {"at_side": side, "records": some})
        holders.extend((PersonId(person), external) for person, external in found)
    left = replaced_bindings(added, holders)
    people.bind(conn, side, (), [(one.person, one.external_id) for one in left])
    save_former(conn, side, left)
    return [one.person for one in left]


def transfer(
    conn: sa.Connection, side: Side, persons: Collection[PersonId], now: datetime, ahead: timedelta
) -> list[LedgerEntry]:
    """Transfer opt-outs between the addresses of these people and those that they left or came to, then
    between contacts and the profiles that they name. `ahead`: of the services' clocks, see
    `WithdrawalTransfer`. Returns the ledger's entries about it."""
    entries: list[LedgerEntry] = []
    if conn.scalar(_ANY_FORMER):
        entries += _follow_records(conn, side, persons, now, ahead)
    if conn.scalar(_ANY_LINK):
        entries += _follow_links(conn, persons, now, ahead)
    return entries


def _follow_records(
    conn: sa.Connection, side: Side, persons: Collection[PersonId], now: datetime, ahead: timedelta
) -> list[LedgerEntry]:
    fresh = _new(conn, side, persons)
    _SAVE.run(
        conn,
        [
            {"side": one.side, "former_id": one.former, "heir_id": one.heir, "since": one.since}
            for one in fresh
        ],
    )
    known = [one for one in _known(conn, persons) if one not in fresh]
    moved = _transfer_between(conn, [(one.former, one.heir) for one in (*fresh, *known)], ahead)
    moved.follow_records(fresh, known, _vacant(conn, known))
    return [*moved.entries, *cells.transfer(conn, moved.agreements, now)]


def _follow_links(
    conn: sa.Connection, persons: Collection[PersonId], now: datetime, ahead: timedelta
) -> list[LedgerEntry]:
    links = _links(conn, persons)
    moved = _transfer_between(conn, [(contact, *profile) for contact, profile in links], ahead)
    moved.follow_links(links)
    return [*moved.entries, *cells.transfer(conn, moved.agreements, now)]


def _transfer_between(
    conn: sa.Connection, groups: Iterable[Sequence[PersonId]], ahead: timedelta
) -> WithdrawalTransfer:
    """A transfer between people, who are kept from other transactions."""
    everybody = {person for group in groups for person in group}
    people.lock(conn, everybody)
    return WithdrawalTransfer(cell_reading.load(conn, everybody), ahead)


def _new(conn: sa.Connection, side: Side, persons: Collection[PersonId]) -> list[Succession]:
    """Successions that are not noted yet."""
    rows: list[FormerAndHolder] = []
    for some in batched(sorted(persons)):
        for former, heir, *times in conn.execute(_NEW, {"at_side": side, "ids": some}):
            rows.append(FormerAndHolder(PersonId(former), PersonId(heir), *times))
    return successions(side, rows)


def _known(conn: sa.Connection, persons: Collection[PersonId]) -> list[Succession]:
    found: dict[Succession, None] = {}
    for some in batched(sorted(persons)):
        for side, former, heir, since in conn.execute(_KNOWN, {"ids": some}):
            found[Succession(Side(side), PersonId(former), PersonId(heir), since)] = None
    return list(found)


def _vacant(conn: sa.Connection, links: Iterable[Succession]) -> set[tuple[Side, PersonId]]:
    """Which former addresses nobody else has at that side: what is said there is still the same person's."""
    wanted = {(one.side, one.former) for one in links}
    taken: set[tuple[Side, PersonId]] = set()
    for some in batched(sorted({person for _, person in wanted})):
        taken |= {(Side(side), PersonId(person)) for side, person in conn.execute(_TAKEN, {"ids": some})}
    return wanted - taken


# contacts that name a profile


_ANY_LINK = any_of(t.pins)
_LINKS_OF = sa.select(_l.person_id, _l.profile_id).where(among(_l.person_id, "ids"))
_DROP_LINKS = sa.delete(t.pins).where(among(_l.person_id, "ids"))
_ADD_LINKS = sa.insert(t.pins)
_LINKS_ABOUT = sa.select(_l.person_id, _l.profile_id).where(
    sa.or_(
        among(_l.person_id, "ids"),
        sa.exists().where(
            _b.side == Side.MYPREFERENCES, _b.external_id == _l.profile_id, among(_b.person_id, "ids")
        ),
    )
)
_PROFILE_HOLDERS = (
    sa.select(_b.external_id, _b.person_id)
    .where(_b.side == Side.MYPREFERENCES, among(_b.external_id, "profiles"))
    .order_by(_b.person_id)
)


def save_links(conn: sa.Connection, named: Mapping[PersonId, Sequence[str]]) -> None:
    """These people's contacts name these profiles, and no others. People whose links changed are decided
    again."""
    known: dict[PersonId, set[str]] = {person: set() for person in named}
    for ids in batched(named):
        for person, profile in conn.execute(_LINKS_OF, {"ids": ids}):
            known[PersonId(person)].add(profile)
    changed = [person for person, profiles in named.items() if known[person] != set(profiles)]
    for ids in batched(changed):
        conn.execute(_DROP_LINKS, {"ids": ids})
    rows = [
        {"person_id": person, "profile_id": one} for person in changed for one in dict.fromkeys(named[person])
    ]
    run_each(conn, _ADD_LINKS, rows)
    cells.make_people_dirty(conn, changed)


def _links(conn: sa.Connection, persons: Collection[PersonId]) -> list[tuple[PersonId, list[PersonId]]]:
    """Contacts that name a profile of other addresses only, each with the people of these addresses."""
    found: dict[tuple[PersonId, str], None] = {}
    for some in batched(sorted(persons)):
        for person, profile in conn.execute(_LINKS_ABOUT, {"ids": some}):
            found[PersonId(person), profile] = None
    holders: dict[str, list[PersonId]] = {}
    for profiles in batched(sorted({profile for _, profile in found})):
        for profile, person in conn.execute(_PROFILE_HOLDERS, {"profiles": profiles}):
            holders.setdefault(profile, []).append(PersonId(person))
    links = [(person, holders.get(profile, [])) for person, profile in found]
    return [(person, profile) for person, profile in links if profile and person not in profile]
