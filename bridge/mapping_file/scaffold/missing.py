"""Preferences that Dotdigital could have for what MyPreferences has, and nothing there is like. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from bridge.core.catalogue import CatalogueKind, Entry, NewPreference
from bridge.core.errors import ConfigError
from bridge.mapping_file.scaffold.matching import MatchResult, unmappable


def missing_preferences(
    result: MatchResult, mapped: Collection[str], chosen: Sequence[str]
) -> list[NewPreference]:
    """What to define for the filters and consents that have no counterpart: the `chosen` ones, or all where
    none are. A filter with frequencies becomes a category with a preference for each. `mapped` are ids that
    the mapping names already. Raises ConfigError for a chosen one that is not among them."""
    known = {name.casefold() for name in mapped}
    left = [
        one.entry for one in result.left if one.entry.kind in (CatalogueKind.FILTER, CatalogueKind.CONSENT)
    ]
    free = [one for one in left if one.active and not unmappable(one) and one.id.casefold() not in known]
    by_id = {one.id.casefold(): one for one in free}
    if unknown := [name for name in chosen if name.casefold() not in by_id]:
        raise ConfigError(
            f"Nothing without a counterpart is called {', '.join(unknown)}.",
            hint="`bridge mapping scaffold` lists what is left over; what the mapping names has its place.",
        )
    wanted = [by_id[name.casefold()] for name in chosen] or free
    return [preference for entry in wanted for preference in _new_preferences(entry)]


def _new_preferences(entry: Entry) -> Iterator[NewPreference]:
    name = entry.name or entry.id
    if not entry.frequencies:
        yield NewPreference(name, entry.id)
        return
    whole = NewPreference(name, entry.id, is_leaf=False)
    yield whole
    for frequency in entry.frequencies:
        yield NewPreference(f"{name}: {frequency.lower()}", f"{entry.id} {frequency}", within=whole)
