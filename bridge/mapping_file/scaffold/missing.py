"""Counterparts to create at Dotdigital for unmatched filters and consents. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from bridge.core.catalogue import CatalogueKind, Entry, NewPreference
from bridge.core.errors import ConfigError
from bridge.mapping_file.scaffold.matching import MatchResult, unmappable


def missing_preferences(
    result: MatchResult, mapped: Collection[str], chosen: Sequence[str]
) -> list[NewPreference]:
    """The preferences to create for unmatched filters and consents: the `chosen` ones, or all if none are
    chosen. A filter with frequencies becomes a category with a preference for each. `mapped` are ids already
    in the mapping. Raises ConfigError for a chosen id that is not unmatched."""
    known = {name.casefold() for name in mapped}
    left = [
        one.entry for one in result.left if one.entry.kind in (CatalogueKind.FILTER, CatalogueKind.CONSENT)
    ]
    free = [one for one in left if one.active and not unmappable(one) and one.id.casefold() not in known]
    by_id = {one.id.casefold(): one for one in free}
    if unknown := [name for name in chosen if name.casefold() not in by_id]:
        raise ConfigError(
            f"No unmapped filter or consent is named {', '.join(unknown)}.",
            hint="`bridge mapping scaffold` lists the unmatched ones.",
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
