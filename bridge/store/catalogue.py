"""What exists at both sides, as it was last read, and what changed there since."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from bridge.core.catalogue import (
    Catalogue,
    CatalogueChange,
    CatalogueKind,
    CatalogueVersion,
    ChangeKind,
    Entry,
    catalogue_changes,
)
from bridge.core.store_port import Json
from bridge.store import tables as t
from bridge.store.engine import upsert
from bridge.store.types import canonical, chunks, scrub

KEPT = 1000  # changes, the newest


@dataclass(frozen=True, slots=True)
class DatedChange:
    """A change, and when the bridge noticed it."""

    at: datetime
    change: CatalogueChange


def load(conn: sa.Connection) -> Catalogue:
    """The catalogue as it was last kept."""
    kinds = frozenset(CatalogueKind(kind) for kind in conn.scalars(sa.select(t.catalogue_reads.c.kind)))
    query = sa.select(t.catalogue).order_by(t.catalogue.c.kind, t.catalogue.c.position)
    return Catalogue(tuple(_entry(CatalogueKind(row.kind), row.body) for row in conn.execute(query)), kinds)


def news(conn: sa.Connection, fresh: Catalogue) -> list[CatalogueChange]:
    """What happened since the catalogue was last kept. Both are compared as they are kept: without
    addresses."""
    return catalogue_changes(load(conn), _as_kept(fresh))


def keep(conn: sa.Connection, fresh: Catalogue, now: datetime) -> list[CatalogueChange]:
    """Keep what was read in place of what was known of these kinds, and what happened since."""
    found = news(conn, fresh)
    known = t.catalogue
    conn.execute(sa.delete(known).where(known.c.kind.in_([kind.value for kind in fresh.kinds])))
    rows = {entry.key: entry for entry in fresh.entries if entry.kind in fresh.kinds}
    for some in chunks(enumerate(rows.values())):
        conn.execute(sa.insert(known), [_row(entry, position) for position, entry in some])
    reads = [{"kind": kind.value, "read_at": now} for kind in sorted(fresh.kinds)]
    upsert(conn, t.catalogue_reads, reads, ["kind"])
    if found:
        conn.execute(sa.insert(t.catalogue_changes), [_noted(one, now) for one in found])
        _forget(conn)
    return found


def noticed(conn: sa.Connection, since: datetime) -> list[DatedChange]:
    """Changes noticed since then, the oldest first."""
    c = t.catalogue_changes.c
    query = sa.select(t.catalogue_changes).where(c.at >= since).order_by(c.id)
    return [
        DatedChange(
            row.at, CatalogueChange(CatalogueKind(row.kind), row.entry, ChangeKind(row.news), row.what)
        )
        for row in conn.execute(query)
    ]


def _forget(conn: sa.Connection) -> None:
    c = t.catalogue_changes.c
    newest = conn.scalar(sa.select(sa.func.max(c.id)))
    conn.execute(sa.delete(t.catalogue_changes).where(c.id <= (newest or 0) - KEPT))


def _row(entry: Entry, position: int) -> dict[str, Any]:
    kind, key = entry.key
    return {"kind": kind.value, "key": scrub(key), "position": position, "body": asdict(entry)}


def _noted(one: CatalogueChange, now: datetime) -> dict[str, Any]:
    what = scrub(one.what)
    return {"at": now, "kind": one.kind.value, "entry": scrub(one.id), "news": one.news.value, "what": what}


def _as_kept(fresh: Catalogue) -> Catalogue:
    """The same as it comes back from the DB."""
    entries = (_entry(entry.kind, json.loads(scrub(canonical(asdict(entry))))) for entry in fresh.entries)
    return Catalogue(tuple(entries), fresh.kinds)


def _entry(kind: CatalogueKind, body: Json) -> Entry:
    editions = body["editions"]
    return Entry(
        kind=kind,
        id=body["id"],
        name=body["name"],
        also=tuple(body["also"]),
        group=body["group"],
        group_name=body["group_name"],
        channel=body["channel"],
        active=body["active"],
        frequencies=_maybe(body["frequencies"]),
        editions=None if editions is None else tuple(map(_edition, editions)),
    )


def _edition(body: Json) -> CatalogueVersion:
    return CatalogueVersion(body["version"], _maybe(body["locales"]), body["active"])


def _maybe(words: list[str] | None) -> tuple[str, ...] | None:
    return None if words is None else tuple(words)
