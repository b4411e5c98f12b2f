"""The mapping compared with the live catalogues of both sides."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from bridge.cli.output import SIDES
from bridge.core.catalogue import Catalogue, CatalogueKind
from bridge.core.errors import Forbidden, NotFound
from bridge.core.mapping import FilterRef
from bridge.core.mapping_check import MappingProblem, catalogue_names, find_problems, kinds_used
from bridge.core.model import Side
from bridge.similarity import did_you_mean

if TYPE_CHECKING:
    from bridge.app import App
    from bridge.core.mapping import Mapping

RECENT = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class CatalogueRead:
    """One side's catalogue, and notes on optional parts that could not be read."""

    catalogue: Catalogue
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PlacedProblem:
    """A problem of the mapping with its place in the file."""

    place: str
    problem: MappingProblem

    @property
    def what(self) -> str:
        return f"{self.place}: {self.problem.what}."


def read_side(app: App, side: Side, kinds: Iterable[CatalogueKind] | None = None) -> CatalogueRead:
    """Read one side's catalogue: `kinds`, or those the mapping names. Raises ConfigError, SideError."""
    if side is Side.DOTDIGITAL:
        from bridge.dotdigital.preference_tree import catalogue_of

        return CatalogueRead(catalogue_of(app.dotdigital.v2.get_preferences()))
    from bridge.mypreferences.catalogue import read_catalogue as read_mypreferences

    wanted = frozenset(kinds_used(side, app.mapping) if kinds is None else kinds)
    found = CatalogueRead(read_mypreferences(app.mypreferences.client, wanted))
    if kinds is None and _names_email_types(app.mapping):
        return _with_email_types(app, found)
    return found


def mapping_problems(app: App, catalogue: Catalogue) -> list[PlacedProblem]:
    """Everything that the mapping names and the catalogue lacks, each with its place in the file."""
    from bridge.mapping_file import place_of

    path = app.settings.mapping
    text = path.read_text(encoding="utf-8")
    return [
        PlacedProblem(place_of(text, str(path), one.topic, one.key), one)
        for one in find_problems(app.mapping, catalogue, did_you_mean)
    ]


def recent_changes(app: App, catalogues: Iterable[Catalogue]) -> list[str]:
    """Recent changes to what the mapping names: found by runs within RECENT, or since the last run. Empty
    where no run has read the catalogues."""
    if not has_state_db(app):
        return []
    store = app.reading_store
    recent = [one.change for one in store.catalogue.changed_since(app.options.clock() - RECENT)]
    fresh = [one for catalogue in catalogues for one in store.catalogue.compare(catalogue)]
    named = (one for one in (*recent, *fresh) if catalogue_names(app.mapping, one.kind, one.id))
    return list(dict.fromkeys(f"{SIDES[one.kind.side]}: the {one.what}." for one in named))


def has_state_db(app: App) -> bool:
    """Whether a state DB exists. Reading must not create one."""
    from bridge.store import migrate

    scheme, _, path = app.settings.database_url.partition(":///")
    if scheme.startswith("sqlite") and not Path(path).exists():
        return False
    return migrate.check(app.settings.database_url).up_to_date


def _names_email_types(mapping: Mapping) -> bool:
    return any(isinstance(one.source, FilterRef) and one.source.email_type for one in mapping.all)


def _with_email_types(app: App, found: CatalogueRead) -> CatalogueRead:
    """Add the e-mail types where the account serves them. The API documentation gives no path for it."""
    from bridge.mypreferences.catalogue import read_catalogue

    try:
        more = read_catalogue(app.mypreferences.client, frozenset({CatalogueKind.EMAIL_TYPE}))
    except (NotFound, Forbidden):
        note = "Cannot read the e-mail types, so email_type was not checked."
        return CatalogueRead(found.catalogue, (*found.notes, note))
    return CatalogueRead(found.catalogue | more, found.notes)
