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
from bridge.core.store_values import Json
from bridge.store import tables as t
from bridge.store.columns import json_text, scrub
from bridge.store.engine import UnitOfWork
from bridge.store.statements import among, param, run_each, upsert

KEPT = 1000  # changes, the newest

_e, _n = t.catalogue.c, t.catalogue_changes.c
_KINDS = sa.select(t.catalogue_reads.c.kind)
_ENTRIES = sa.select(t.catalogue).order_by(_e.kind, _e.position)
_DROP = sa.delete(t.catalogue).where(among(_e.kind, "kinds"))
_ADD = sa.insert(t.catalogue)
_READ = upsert(t.catalogue_reads, ["kind"], ["read_at"])
_NOTE = sa.insert(t.catalogue_changes)
_NEWEST = sa.select(sa.func.max(_n.id))
_FORGET = sa.delete(t.catalogue_changes).where(_n.id <= sa.bindparam("last"))
_SINCE = sa.select(t.catalogue_changes).where(_n.at >= param("since", _n.at)).order_by(_n.id)


@dataclass(frozen=True, slots=True)
class DatedChange:
    """A change, and when the bridge noticed it."""

    at: datetime
    change: CatalogueChange


class CatalogueStore:
    """The catalogue of both sides. Readings are compared as they are stored: without addresses."""

    def __init__(self, unit: UnitOfWork) -> None:
        self._unit = unit

    def load(self) -> Catalogue:
        """What existed when it was last read."""
        with self._unit.read() as conn:
            return _load(conn)

    def compare(self, fresh: Catalogue) -> list[CatalogueChange]:
        """What happened since the catalogue was last saved, by a reading that is not to be saved."""
        with self._unit.read() as conn:
            return catalogue_changes(_load(conn), _as_stored(fresh))

    def save(self, fresh: Catalogue) -> list[CatalogueChange]:
        """Save what was read in place of what was known of these kinds, and what happened since. Returns
        that."""
        rows = {entry.key: entry for entry in fresh.entries if entry.kind in fresh.kinds}
        with self._unit.write() as conn:
            now = self._unit.clock()
            found = catalogue_changes(_load(conn), _as_stored(fresh))
            conn.execute(_DROP, {"kinds": [kind.value for kind in fresh.kinds]})
            run_each(conn, _ADD, [_row(entry, position) for position, entry in enumerate(rows.values())])
            _READ.run(conn, [{"kind": kind.value, "read_at": now} for kind in sorted(fresh.kinds)])
            if found:
                run_each(conn, _NOTE, [_noted(one, now) for one in found])
                conn.execute(_FORGET, {"last": (conn.scalar(_NEWEST) or 0) - KEPT})
        return found

    def changed_since(self, since: datetime) -> list[DatedChange]:
        """Changes noticed since then, the oldest first."""
        with self._unit.read() as conn:
            return [
                DatedChange(
                    row.at,
                    CatalogueChange(CatalogueKind(row.kind), row.entry, ChangeKind(row.news), row.what),
                )
                for row in conn.execute(_SINCE, {"since": since})
            ]


def _load(conn: sa.Connection) -> Catalogue:
    kinds = frozenset(CatalogueKind(kind) for kind in conn.scalars(_KINDS))
    entries = (_entry(CatalogueKind(row.kind), row.body) for row in conn.execute(_ENTRIES))
    return Catalogue(tuple(entries), kinds)


def _row(entry: Entry, position: int) -> dict[str, Any]:
    kind, key = entry.key
    return {"kind": kind.value, "key": scrub(key), "position": position, "body": asdict(entry)}


def _noted(one: CatalogueChange, now: datetime) -> dict[str, Any]:
    what = scrub(one.what)
    return {"at": now, "kind": one.kind.value, "entry": scrub(one.id), "news": one.news.value, "what": what}


def _as_stored(fresh: Catalogue) -> Catalogue:
    """The same as it comes back from the DB."""
    entries = (_entry(entry.kind, json.loads(scrub(json_text(asdict(entry))))) for entry in fresh.entries)
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
