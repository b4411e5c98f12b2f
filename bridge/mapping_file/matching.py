"""Match the names in both catalogues: the basis of a mapping draft."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from bridge.core.catalogue import Catalogue, CatalogueKind, CatalogueVersion, Entry
from bridge.similarity import (
    Similarity,
    best_similarity,
    frequency_of,
    without_frequency,
    words,
)

SURE = 90  # below this a person must confirm
WORTH_ASKING = 55  # below this nothing is suggested
WORTH_REPORTING = 40  # below this no similar name is reported
APART = 10  # a rival score this close makes a match uncertain
_CHANNEL = ("Email marketing", "Marketing emails", "Email")
_LONGEST = {
    CatalogueKind.FILTER: 50,
    CatalogueKind.CONSENT: 100,
}  # maximum characters of an id (MyPreferences help pages)
_LONGEST_FREQUENCY = 20


@dataclass(frozen=True, slots=True)
class Match:
    """Two entries that may mean the same. `preferences` are Dotdigital ids by frequency, under the empty one
    for a topic without frequencies; none for the e-mail channel. `doubts` are why a person must confirm."""

    source: Entry
    preferences: Mapping[str, int]
    score: int
    reason: str
    doubts: tuple[str, ...] = ()
    edition: CatalogueVersion | None = None
    target: Entry | None = None

    @property
    def sure(self) -> bool:
        return self.score >= SURE and not self.doubts


@dataclass(frozen=True, slots=True)
class Unmatched:
    """An entry without a match, and the most similar one."""

    entry: Entry
    why: str


@dataclass(frozen=True, slots=True)
class MatchResult:
    """Matches, best first; the match for the e-mail channel; unmatched entries of both sides."""

    topics: Sequence[Match] = ()
    channel: Match | None = None
    left: Sequence[Unmatched] = field(default=())


def match_catalogues(catalogue: Catalogue) -> MatchResult:
    """Match the names of both sides. Each entry is matched at most once."""
    channel = _channel(catalogue)
    rest = [one for one in catalogue.of(CatalogueKind.CONSENT) if channel is None or one != channel.source]
    sources = [*catalogue.of(CatalogueKind.FILTER), *rest]
    candidates = [
        one for source in sources if not unmappable(source) for one in _candidates(source, catalogue)
    ]
    taken = _assign(candidates)
    topics = [_with_rivals(one, candidates) for one in taken]
    used = {number for one in topics for number in one.preferences.values()}
    matched = {one.source.key for one in topics}
    left = [_unmatched(one, candidates) for one in sources if one.key not in matched]
    leaves = [one for one in catalogue.of(CatalogueKind.PREFERENCE) if int(one.id) not in used]
    left += [Unmatched(one, _nearest(candidates, one)) for one in leaves]
    return MatchResult(topics, channel, left)


def _channel(catalogue: Catalogue) -> Match | None:
    """The consent for the e-mail channel as a whole, if one has such a name."""
    found = [
        (best_similarity(_names(one), _CHANNEL), one)
        for one in catalogue.of(CatalogueKind.CONSENT)
        if not unmappable(one)
    ]
    found = sorted((pair for pair in found if pair[0].score >= WORTH_ASKING), key=lambda pair: -pair[0].score)
    if not found:
        return None
    alike, consent = found[0]
    rivals = [one.id for other, one in found[1:] if other.score > alike.score - APART]
    doubts = [*_doubts(consent), *(f"the consent {name} has a similar name" for name in rivals)]
    return Match(consent, {}, alike.score, alike.reason, tuple(doubts), _edition(consent))


def _candidates(source: Entry, catalogue: Catalogue) -> Iterator[Match]:
    """Each Dotdigital entry that may match a MyPreferences entry."""
    for leaf in catalogue.of(CatalogueKind.PREFERENCE):
        alike = best_similarity(_names(source), _names(leaf))
        doubts = list(_doubts(source))
        if source.frequencies:
            doubts.append("one preference cannot store a frequency")
        if alike.score > 0:
            yield _match(source, {"": int(leaf.id)}, alike, doubts, leaf)
    if source.frequencies:
        for category in catalogue.of(CatalogueKind.CATEGORY):
            leaves = [one for one in catalogue.of(CatalogueKind.PREFERENCE) if one.group == category.id]
            if (found := _match_frequencies(source, category, leaves)) is not None:
                yield found


def _match(
    source: Entry, preferences: Mapping[str, int], alike: Similarity, doubts: Iterable[str], target: Entry
) -> Match:
    return Match(source, preferences, alike.score, alike.reason, tuple(doubts), _edition(source), target)


def _match_frequencies(source: Entry, category: Entry, leaves: Sequence[Entry]) -> Match | None:
    """Match a filter's frequencies to the preferences of one category; None where none matches."""
    placed: dict[str, Entry] = {}
    doubts = list(_doubts(source))
    for name in source.frequencies or ():
        free = [leaf for leaf in leaves if leaf not in placed.values()]
        found = [leaf for leaf in free if _same_frequency(name, leaf, source)]
        if len(found) == 1:
            placed[name] = found[0]
        else:
            how_many = "no preference is named" if not found else f"{len(found)} preferences are named"
            doubts.append(f"{how_many} {name}: people with this frequency would be held")
    if not placed:
        return None
    alike = max(
        best_similarity(_names(source), _names(category)),
        min(
            best_similarity(_names(source), map(without_frequency, _names(leaf))) for leaf in placed.values()
        ),
        key=lambda one: one.score,
    )
    said = ", ".join(f"{name} is {leaf.name}" for name, leaf in placed.items())
    numbers = {name: int(leaf.id) for name, leaf in placed.items()}
    return _match(source, numbers, Similarity(alike.score, f"{alike.reason}; {said}"), doubts, category)


def _same_frequency(frequency: str, leaf: Entry, source: Entry) -> bool:
    """Whether a preference stands for a frequency."""
    frequency = frequency_of(frequency)
    names = [name for name in (leaf.name, *leaf.also) if name]
    if frequency:
        return any(frequency_of(name) == frequency for name in names)
    about = {word for name in _names(source) for word in words(name)}
    return any(set(words(name)) - about == set(words(frequency)) for name in names)


def _assign(candidates: Iterable[Match]) -> list[Match]:
    """The best matches that do not conflict."""
    sources, numbers = set(), set[int]()
    found = []
    for one in sorted(candidates, key=lambda one: (-one.score, -len(one.preferences), one.source.key)):
        if one.score < WORTH_ASKING or one.source.key in sources or numbers & set(one.preferences.values()):
            continue
        sources.add(one.source.key)
        numbers |= set(one.preferences.values())
        found.append(one)
    return found


def _with_rivals(match: Match, candidates: Iterable[Match]) -> Match:
    """The match, with equally similar rivals of either entry added as doubts."""
    numbers = set(match.preferences.values())
    doubts = list(match.doubts)
    for other in candidates:
        if other.score <= match.score - APART:
            continue
        if other.source.key == match.source.key and not numbers & set(other.preferences.values()):
            doubts.append(f"{_describe(other.target)} is almost as similar ({other.score})")
        elif other.source.key != match.source.key and numbers & set(other.preferences.values()):
            doubts.append(f"the {other.source.called} is almost as similar ({other.score})")
    return Match(
        match.source,
        match.preferences,
        match.score,
        match.reason,
        tuple(dict.fromkeys(doubts)),
        match.edition,
        match.target,
    )


def _doubts(source: Entry) -> Iterator[str]:
    """Why a MyPreferences entry needs a person's confirmation."""
    if not source.active:
        yield "it is inactive"
    if source.kind is not CatalogueKind.CONSENT:
        return
    active = [one for one in source.editions or () if one.active]
    if len(active) != 1:
        yield f"its active versions are: {', '.join(one.version for one in active) or 'none'}"
    elif len(active[0].locales or ()) != 1:
        yield f"its locales are: {', '.join(active[0].locales or ()) or 'none'}"


def unmappable(source: Entry) -> str:
    """Why an entry cannot be mapped; empty where it can."""
    if source.kind is CatalogueKind.FILTER and source.channel and source.channel.casefold() != "email":
        return f"its channel is {source.channel}: only e-mail is synced"
    if not 1 <= len(source.id) <= _LONGEST[source.kind]:
        return "its id is too long for a mapping"
    if source.kind is CatalogueKind.CONSENT and (
        _edition(source) is None or not (_edition(source) or CatalogueVersion("")).locales
    ):
        return "it has no version with a locale"
    names = source.frequencies or ()
    folded = {name.casefold() for name in names}
    if len(folded) < len(names) or any(len(name) > _LONGEST_FREQUENCY for name in names):
        return "its frequencies are not allowed in a mapping"
    return ""


def _edition(source: Entry) -> CatalogueVersion | None:
    """The version to map: the last active one, else the last."""
    editions = source.editions or ()
    return next((one for one in reversed(editions) if one.active), editions[-1] if editions else None)


def _unmatched(entry: Entry, candidates: Sequence[Match]) -> Unmatched:
    return Unmatched(entry, unmappable(entry) or _nearest(candidates, entry))


def _nearest(candidates: Iterable[Match], entry: Entry) -> str:
    first = [one for one in candidates if entry in (one.source, one.target)]
    if not first:
        return "no similar name"
    found = max(first, key=lambda one: one.score)
    if found.score < WORTH_REPORTING:
        return "no similar name"
    other = found.target if found.source == entry else found.source
    return f"most similar: {_describe(other)} ({found.score})"


def _describe(entry: Entry | None) -> str:
    return "" if entry is None else f"the {entry.called}"


def _names(entry: Entry) -> list[str]:
    """All names of an entry. A preference is also known by its category's name and its own."""
    names = [entry.name, *entry.also]
    if entry.kind in (CatalogueKind.FILTER, CatalogueKind.CONSENT):
        names.append(entry.id)
    elif entry.group_name and entry.kind is CatalogueKind.PREFERENCE:
        names.append(f"{entry.group_name} {entry.name}")
    return [name for name in names if name]
