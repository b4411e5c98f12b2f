"""Whether what the mapping names exists at MyPreferences: for each run, and for `bridge doctor`."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from bridge.core.mapping import ConsentRef, FilterRef, Mapping, Topic
from bridge.core.model import TopicId
from bridge.mypreferences import wire
from bridge.mypreferences.client import MyPreferencesClient


@dataclass(frozen=True, slots=True)
class _Catalogue:
    """What the account is configured with, by folded name."""

    filters: dict[str, tuple[wire.Program, wire.Filter]]
    consents: dict[str, wire.ConsentType]


def check_mapping(client: MyPreferencesClient, mapping: Mapping) -> list[str]:
    """What is wrong with the mapping, one sentence a problem; empty when all is well. Raises SideError."""
    catalogue = _read(client, mapping)
    problems: list[str] = []
    for topic in mapping.all:
        gone = _gone(topic, catalogue)
        found = [gone] if gone else [*_flaws(topic, catalogue)]
        problems += [f"topic '{topic.id}': {problem}" for problem in found]
    return problems


def missing_topics(client: MyPreferencesClient, mapping: Mapping) -> dict[TopicId, str]:
    """Topics whose filter, consent or consent version is not there, with what is gone. Raises SideError.

    Something inactive is there still: opt-outs go on flowing, which leaving it alone would stop.
    """
    catalogue = _read(client, mapping)
    return {topic.id: gone for topic in mapping.all if (gone := _gone(topic, catalogue))}


def _read(client: MyPreferencesClient, mapping: Mapping) -> _Catalogue:
    sources = [topic.source for topic in mapping.all]
    programs = client.programs() if any(isinstance(item, FilterRef) for item in sources) else []
    consents = client.consent_types() if any(isinstance(item, ConsentRef) for item in sources) else []
    return _Catalogue(
        {
            item.filter_id.casefold(): (program, item)
            for program in programs
            for item in program.filters or ()
        },
        {item.type_name.casefold(): item for item in consents},
    )


def _gone(topic: Topic, catalogue: _Catalogue) -> str:
    match topic.source:
        case FilterRef(filter=name) if name.casefold() not in catalogue.filters:
            known = [item.filter_id for _, item in catalogue.filters.values()]
            return f"MyPreferences has no filter '{name}'{_near(name, known)}"
        case ConsentRef(consent=name, version=version):
            found = catalogue.consents.get(name.casefold())
            if found is None:
                known = [item.type_name for item in catalogue.consents.values()]
                return f"MyPreferences has no consent '{name}'{_near(name, known)}"
            if found.versions is not None and _version(found, version) is None:
                return f"the consent '{name}' has no version '{version}' in MyPreferences"
    return ""


def _flaws(topic: Topic, catalogue: _Catalogue) -> Iterator[str]:
    match topic.source:
        case FilterRef() as ref:
            yield from _filter_flaws(topic, ref, *catalogue.filters[ref.filter.casefold()])
        case ConsentRef() as ref:
            yield from _consent_flaws(ref, catalogue.consents[ref.consent.casefold()])


def _filter_flaws(topic: Topic, ref: FilterRef, program: wire.Program, item: wire.Filter) -> Iterator[str]:
    if item.is_active is False or program.is_active is False:
        yield f"the filter '{ref.filter}' is inactive in MyPreferences"
    if item.channel_id is not None and item.channel_id.casefold() != "email":
        yield f"the filter '{ref.filter}' is of the channel {item.channel_id}, not Email"
    if topic.has_frequencies and item.frequencies is not None:
        names = [entry.frequency_id for entry in item.frequencies]
        defined = {name.casefold() for name in names}
        for name in topic.preferences:
            if name.casefold() not in defined:
                yield f"the filter '{ref.filter}' has no frequency '{name}'{_near(name, names)}"


def _consent_flaws(ref: ConsentRef, found: wire.ConsentType) -> Iterator[str]:
    if found.is_active is False:
        yield f"the consent '{ref.consent}' is inactive in MyPreferences"
    version = _version(found, ref.version)
    if version is None:
        return
    if version.is_active is False:
        yield f"version '{ref.version}' of the consent '{ref.consent}' is inactive"
    locales = {(item.locale or "").casefold() for item in version.localized_fields or ()}
    if version.localized_fields is not None and ref.locale.casefold() not in locales:
        yield f"the consent '{ref.consent}' {ref.version} has no locale '{ref.locale}'"


def _version(found: wire.ConsentType, version: str) -> wire.ConsentVersion | None:
    wanted = version.casefold()
    return next((item for item in found.versions or () if item.consent_version.casefold() == wanted), None)


def _near(name: str, known: Iterable[str]) -> str:
    found = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f"; did you mean '{found[0]}'?" if found else ""
