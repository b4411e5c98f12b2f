"""Contacts that name a profile by a custom identifier: opt-outs are transferred between its addresses and the
contact's."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import sqlalchemy as sa

from bridge.core.address_change import WithdrawalTransfer
from bridge.core.model import PersonId, Side
from bridge.core.store_port import LedgerEntry
from bridge.store import cell_reading, cells, people
from bridge.store import tables as t
from bridge.store.statements import among, any_of, run_each
from bridge.store.types import chunks

_l, _b = t.pins.c, t.bindings.c
_ANY = any_of(t.pins)
_OF_PEOPLE = sa.select(_l.person_id, _l.profile_id).where(among(_l.person_id, "ids"))
_DROP = sa.delete(t.pins).where(among(_l.person_id, "ids"))
_ADD = sa.insert(t.pins)
_ABOUT = sa.select(_l.person_id, _l.profile_id).where(
    sa.or_(
        among(_l.person_id, "ids"),
        sa.exists().where(
            _b.side == Side.MYPREFERENCES, _b.external_id == _l.profile_id, among(_b.person_id, "ids")
        ),
    )
)
_HOLDERS = (
    sa.select(_b.external_id, _b.person_id)
    .where(_b.side == Side.MYPREFERENCES, among(_b.external_id, "profiles"))
    .order_by(_b.person_id)
)


def save(conn: sa.Connection, named: Mapping[PersonId, Sequence[str]]) -> None:
    """These people's contacts name these profiles, and no others. People whose links changed are decided
    again."""
    known: dict[PersonId, set[str]] = {person: set() for person in named}
    for ids in chunks(named):
        for person, profile in conn.execute(_OF_PEOPLE, {"ids": ids}):
            known[PersonId(person)].add(profile)
    changed = [person for person, profiles in named.items() if known[person] != set(profiles)]
    for ids in chunks(changed):
        conn.execute(_DROP, {"ids": ids})
    rows = [
        {"person_id": person, "profile_id": one} for person in changed for one in dict.fromkeys(named[person])
    ]
    run_each(conn, _ADD, rows)
    cells.make_people_dirty(conn, changed)


def transfer(conn: sa.Connection, persons: Collection[PersonId]) -> list[LedgerEntry]:
    """Transfer opt-outs between contacts and the profiles that they name. Returns the ledger's entries about
    it."""
    links = _links(conn, persons)
    if not links:
        return []
    everybody = {one for contact, profile in links for one in (contact, *profile)}
    people.lock(conn, everybody)
    moved = WithdrawalTransfer(cell_reading.load(conn, everybody))
    moved.follow_links(links)
    cells.transfer(conn, moved.agreements)
    return moved.entries


def _links(conn: sa.Connection, persons: Collection[PersonId]) -> list[tuple[PersonId, list[PersonId]]]:
    """Contacts that name a profile of other addresses only, each with the people of these addresses."""
    if not conn.scalar(_ANY):
        return []
    found: dict[tuple[PersonId, str], None] = {}
    for some in chunks(sorted(persons)):
        found |= {
            (PersonId(person), profile): None for person, profile in conn.execute(_ABOUT, {"ids": some})
        }
    holders: dict[str, list[PersonId]] = {}
    for profiles in chunks(sorted({profile for _, profile in found})):
        for profile, person in conn.execute(_HOLDERS, {"profiles": profiles}):
            holders.setdefault(profile, []).append(PersonId(person))
    links = [(person, holders.get(profile, [])) for person, profile in found]
    return [(person, profile) for person, profile in links if profile and person not in profile]
