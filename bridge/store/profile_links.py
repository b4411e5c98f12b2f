"""Contacts that name a profile by a custom identifier: what such a person withdraws under the one address
goes to the other ones."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import sqlalchemy as sa

from bridge.core.model import PersonId, Side
from bridge.core.store_port import LedgerEntry
from bridge.store import address_changes, cells, people
from bridge.store import tables as t
from bridge.store.types import chunks


def note(conn: sa.Connection, named: Mapping[PersonId, Sequence[str]]) -> None:
    """These people's contacts name these profiles, and no others. Whoever's did not before is decided
    again."""
    known: dict[PersonId, set[str]] = {person: set() for person in named}
    c = t.pins.c
    for ids in chunks(named):
        for person, profile in conn.execute(sa.select(c.person_id, c.profile_id).where(c.person_id.in_(ids))):
            known[PersonId(person)].add(profile)
    moved = [person for person, profiles in named.items() if known[person] != set(profiles)]
    for ids in chunks(moved):
        conn.execute(sa.delete(t.pins).where(c.person_id.in_(ids)))
    rows = [
        {"person_id": person, "profile_id": one} for person in moved for one in dict.fromkeys(named[person])
    ]
    if rows:
        conn.execute(sa.insert(t.pins), rows)
    cells.spread(conn, moved)


def unmet(conn: sa.Connection, after: str, limit: int) -> list[str]:
    """The next profiles beyond `after` that contacts name and nobody is known to have."""
    c, b = t.pins.c, t.bindings.c
    known = sa.exists().where(b.side == Side.MYPREFERENCES, b.external_id == c.profile_id)
    query = sa.select(c.profile_id).where(c.profile_id > after, ~known).distinct()
    return list(conn.scalars(query.order_by(c.profile_id).limit(limit)))


def carry(conn: sa.Connection, persons: Collection[PersonId]) -> list[LedgerEntry]:
    """Carry withdrawals between the address of a contact and those of the profile that it names. To a contact
    goes only what stands under all addresses of the profile. Returns what the ledger has to say of it."""
    pairs = _pairs(conn, persons)
    if not pairs:
        return []
    everybody = {one for contact, profile in pairs for one in (contact, *profile)}
    people.lock(conn, everybody)
    board = address_changes.AddressMove(conn, everybody)
    for contact, profile in pairs:
        for one in profile:
            board.follow(contact, one)
        board.follow_all(profile, contact)
    return board.save()


def _pairs(conn: sa.Connection, persons: Collection[PersonId]) -> list[tuple[PersonId, list[PersonId]]]:
    """Whose contact names a profile of other addresses only, and the people of these addresses."""
    c, b = t.pins.c, t.bindings.c
    if not conn.scalar(sa.select(sa.exists(sa.select(1).select_from(t.pins)))):
        return []
    found: dict[tuple[PersonId, str], None] = {}
    for some in chunks(sorted(persons)):
        theirs = sa.exists().where(
            b.side == Side.MYPREFERENCES, b.external_id == c.profile_id, b.person_id.in_(some)
        )
        query = sa.select(c.person_id, c.profile_id).where(sa.or_(c.person_id.in_(some), theirs))
        found |= {(PersonId(person), profile): None for person, profile in conn.execute(query)}
    holders = _holders(conn, {profile for _, profile in found})
    pairs = [(person, holders.get(profile, [])) for person, profile in found]
    return [(person, profile) for person, profile in pairs if profile and person not in profile]


def _holders(conn: sa.Connection, profiles: Collection[str]) -> dict[str, list[PersonId]]:
    b = t.bindings.c
    found: dict[str, list[PersonId]] = {}
    for some in chunks(sorted(profiles)):
        query = sa.select(b.external_id, b.person_id).where(
            b.side == Side.MYPREFERENCES, b.external_id.in_(some)
        )
        for profile, person in conn.execute(query.order_by(b.person_id)):
            found.setdefault(profile, []).append(PersonId(person))
    return found
