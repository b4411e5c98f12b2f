"""Whether what a mapping names exists on both sides."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from bridge.core.catalogue import Catalogue, CatalogueKind, CatalogueVersion, Entry
from bridge.core.mapping import ConsentRef, FilterRef, Mapping, Topic
from bridge.core.model import Side, TopicId

_FILE_OR_ACCOUNT = "Correct the mapping file, or restore it at {side}."

Suggest = Callable[[str, Iterable[str]], str]  # (unknown name, known names) -> a hint, or nothing


def no_suggestion(_name: str, _known: Iterable[str]) -> str:
    """The default of callers that show no hints."""
    return ""


class ProblemKind(StrEnum):
    """What is wrong with something that the mapping names."""

    MISSING = "missing"
    VERSION = "version"
    CATEGORY = "category"
    INACTIVE = "inactive"
    CHANNEL = "channel"
    LOCALE = "locale"
    FREQUENCY = "frequency"
    EMAIL_TYPE = "email_type"

    @property
    def gone(self) -> bool:
        """Whether nothing exists that could be read or written. Inactive entries still exist: skipping them
        would stop opt-outs."""
        return self in (ProblemKind.MISSING, ProblemKind.VERSION, ProblemKind.CATEGORY)


@dataclass(frozen=True, slots=True)
class MappingProblem:
    """Something that the mapping names and a side lacks. `key` is its key within the topic."""

    topic: TopicId
    key: tuple[str, ...]
    kind: ProblemKind
    what: str
    hint: str

    @property
    def side(self) -> Side:
        """The side that lacks it."""
        absent = self.kind in (ProblemKind.MISSING, ProblemKind.CATEGORY)
        return Side.DOTDIGITAL if absent and self.key[0] == "dotdigital" else Side.MYPREFERENCES


def find_problems(
    mapping: Mapping, catalogue: Catalogue, suggest: Suggest = no_suggestion
) -> list[MappingProblem]:
    """Everything that the mapping names and the catalogue lacks, in the order of the mapping. Kinds that the
    catalogue was not read for are not checked."""
    return [found for topic in mapping.all for found in _TopicCheck(topic, catalogue, suggest).all()]


def missing_topics(mapping: Mapping, catalogue: Catalogue) -> dict[TopicId, str]:
    """Topics whose filter, consent, version or preference no longer exists, each with what is missing. Such
    topics are skipped and reported; this never opts anybody out."""
    found: dict[TopicId, list[str]] = {}
    for one in find_problems(mapping, catalogue):
        if one.kind.gone:
            found.setdefault(one.topic, []).append(one.what)
    return {topic: "; ".join(words) for topic, words in found.items()}


def catalogue_names(mapping: Mapping, kind: CatalogueKind, name: str) -> bool:
    """Whether the mapping names an entry."""
    wanted = name.casefold()
    for topic in mapping.all:
        match kind, topic.source:
            case (CatalogueKind.FILTER, FilterRef(filter=known)) | (
                CatalogueKind.CONSENT,
                ConsentRef(consent=known),
            ):
                found = known.casefold() == wanted
            case CatalogueKind.EMAIL_TYPE, FilterRef(email_type=str(known)):
                found = known.casefold() == wanted
            case _:
                found = kind is CatalogueKind.PREFERENCE and wanted in map(str, topic.preferences.values())
        if found:
            return True
    return False


def kinds_used(side: Side, mapping: Mapping) -> frozenset[CatalogueKind]:
    """The kinds of entries that the mapping names on one side. Others need not be readable."""
    if side is Side.DOTDIGITAL:
        return frozenset({CatalogueKind.PREFERENCE, CatalogueKind.CATEGORY})
    kinds = set()
    for topic in mapping.all:
        match topic.source:
            case FilterRef():
                kinds.add(CatalogueKind.FILTER)
            case ConsentRef():
                kinds.add(CatalogueKind.CONSENT)
    return frozenset(kinds)


class _TopicCheck:
    """Compares one topic with the catalogue."""

    def __init__(self, topic: Topic, catalogue: Catalogue, suggest: Suggest) -> None:
        self._topic, self._catalogue, self._suggest = topic, catalogue, suggest

    def all(self) -> Iterator[MappingProblem]:
        match self._topic.source:
            case FilterRef() as ref if CatalogueKind.FILTER in self._catalogue.kinds:
                yield from self._filter(ref)
            case ConsentRef() as ref if CatalogueKind.CONSENT in self._catalogue.kinds:
                yield from self._consent(ref)
        if CatalogueKind.PREFERENCE in self._catalogue.kinds:
            yield from self._preferences()

    def _filter(self, ref: FilterRef) -> Iterator[MappingProblem]:
        entry = self._catalogue.find(CatalogueKind.FILTER, ref.filter)
        if entry is None:
            yield self._unknown(CatalogueKind.FILTER, ref.filter, "filter")
            return
        if not entry.active:
            yield self._inactive(f"the filter '{ref.filter}' is inactive in MyPreferences", "filter")
        if entry.channel and entry.channel.casefold() != "email":
            what = f"the filter '{ref.filter}' has the channel {entry.channel}, not Email"
            hint = "Map the program's filter for the channel Email."
            yield self._problem(ProblemKind.CHANNEL, ("mypreferences", "filter"), what, hint)
        yield from self._email_type(ref)
        yield from self._frequencies(ref, entry)

    def _email_type(self, ref: FilterRef) -> Iterator[MappingProblem]:
        if ref.email_type is None or CatalogueKind.EMAIL_TYPE not in self._catalogue.kinds:
            return
        if self._catalogue.find(CatalogueKind.EMAIL_TYPE, ref.email_type) is None:
            known = [one.id for one in self._catalogue.of(CatalogueKind.EMAIL_TYPE)]
            what = f"MyPreferences has no e-mail type '{ref.email_type}'"
            hint = self._suggest(ref.email_type, known) or "Correct it, or remove email_type for any."
            yield self._problem(ProblemKind.EMAIL_TYPE, ("mypreferences", "email_type"), what, hint)

    def _frequencies(self, ref: FilterRef, entry: Entry) -> Iterator[MappingProblem]:
        if not self._topic.has_frequencies or entry.frequencies is None:
            return
        defined = {name.casefold() for name in entry.frequencies}
        for name in self._topic.preferences:
            if name.casefold() not in defined:
                what = f"the filter '{ref.filter}' has no frequency '{name}'"
                hint = (
                    self._suggest(name, entry.frequencies)
                    or "Remove it from the mapping, or define it at MyPreferences."
                )
                yield self._problem(ProblemKind.FREQUENCY, ("dotdigital", "frequencies", name), what, hint)

    def _consent(self, ref: ConsentRef) -> Iterator[MappingProblem]:
        entry = self._catalogue.find(CatalogueKind.CONSENT, ref.consent)
        if entry is None:
            yield self._unknown(CatalogueKind.CONSENT, ref.consent, "consent")
            return
        if not entry.active:
            yield self._inactive(f"the consent '{ref.consent}' is inactive in MyPreferences", "consent")
        if entry.editions is None:
            return
        edition = entry.edition(ref.version)
        if edition is None:
            what = f"the consent '{ref.consent}' has no version '{ref.version}' in MyPreferences"
            known = ", ".join(one.version for one in entry.editions if one.active) or "none"
            hint = f"Its active versions: {known}."
            yield self._problem(ProblemKind.VERSION, ("mypreferences", "version"), what, hint)
            return
        yield from self._edition(ref, edition)

    def _edition(self, ref: ConsentRef, edition: CatalogueVersion) -> Iterator[MappingProblem]:
        if not edition.active:
            yield self._inactive(
                f"version '{ref.version}' of the consent '{ref.consent}' is inactive", "version"
            )
        if edition.locales is not None and ref.locale.casefold() not in map(str.casefold, edition.locales):
            what = f"the consent '{ref.consent}' {ref.version} has no locale '{ref.locale}'"
            hint = f"It has: {', '.join(edition.locales) or 'none'}."
            yield self._problem(ProblemKind.LOCALE, ("mypreferences", "locale"), what, hint)

    def _preferences(self) -> Iterator[MappingProblem]:
        for frequency, number in self._topic.preferences.items():
            key = ("dotdigital", "frequencies", frequency) if frequency else ("dotdigital", "preference")
            if self._catalogue.find(CatalogueKind.PREFERENCE, str(number)) is not None:
                continue
            if self._catalogue.find(CatalogueKind.CATEGORY, str(number)) is not None:
                what = f"{number} is a category at Dotdigital, not a preference"
                hint = "Map one of the preferences in it."
                yield self._problem(ProblemKind.CATEGORY, key, what, hint)
            else:
                what = f"Dotdigital has no preference {number}"
                yield self._problem(
                    ProblemKind.MISSING, key, what, _FILE_OR_ACCOUNT.format(side="Dotdigital")
                )

    def _unknown(self, kind: CatalogueKind, name: str, key: str) -> MappingProblem:
        what = f"MyPreferences has no {kind.words} '{name}'"
        known = [one.id for one in self._catalogue.of(kind)]
        hint = self._suggest(name, known) or _FILE_OR_ACCOUNT.format(side="MyPreferences")
        return self._problem(ProblemKind.MISSING, ("mypreferences", key), what, hint)

    def _inactive(self, what: str, key: str) -> MappingProblem:
        hint = "Reactivate it at MyPreferences, or map its replacement."
        return self._problem(ProblemKind.INACTIVE, ("mypreferences", key), what, hint)

    def _problem(self, kind: ProblemKind, key: tuple[str, ...], what: str, hint: str) -> MappingProblem:
        return MappingProblem(self._topic.id, key, kind, what, hint)
