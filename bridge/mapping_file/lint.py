"""Rules between the topics of a mapping, beyond the format of each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from bridge.core.mapping import ConsentRef, Direction, FilterRef, OnUnsubscribe, Topic
from bridge.core.model import CHANNEL, Side
from bridge.core.writes import Resubscribe

Key = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class LintProblem:
    """A rule that a topic breaks. `index` counts the file's topics from 0; None is the channel."""

    index: int | None
    key: Key
    what: str
    hint: str


@dataclass(frozen=True, slots=True)
class LocatedTopic:
    """A well-formed topic and its position in the file."""

    index: int | None
    topic: Topic

    def __str__(self) -> str:
        if self.index is None:
            return "[channels.email]"
        return f'topic "{self.topic.id}"' if self.topic.id else f"topic {self.index + 1}"


def lint(
    channel: LocatedTopic | None, topics: Sequence[LocatedTopic], on_unsubscribe: OnUnsubscribe
) -> list[LintProblem]:
    """Every rule that is broken. Parts of a topic that are not well formed are ignored."""
    found = [*_ids(topics), *_sources([*([channel] if channel else []), *topics]), *_preferences(topics)]
    for placed in topics:
        found.extend(_frequencies(placed))
        found.extend(_records(placed))
    if channel is not None:
        found.extend(_ways(channel, topics, on_unsubscribe))
    return found


def _ids(topics: Sequence[LocatedTopic]) -> Iterator[LintProblem]:
    first: dict[str, str] = {}
    for placed in topics:
        name = placed.topic.id
        folded = name.casefold()
        if not name:
            continue
        if folded == CHANNEL:
            what = f'the id "{name}" is reserved for the e-mail channel'
            yield LintProblem(
                placed.index, ("id",), what, "Choose another id, or map the channel in [channels.email]."
            )
        elif folded in first:
            what = f'the id "{name}" is already used by an earlier topic'
            if first[folded] != name:
                what = f'the id "{name}" differs from an earlier topic\'s "{first[folded]}" only in case'
            yield LintProblem(placed.index, ("id",), what, "Give each topic its own id.")
        else:
            first[folded] = name


def _sources(topics: Sequence[LocatedTopic]) -> Iterator[LintProblem]:
    """A filter or consent maps to one topic only, else two topics would contradict each other. MyPreferences
    does not say whether case matters in these ids, so it is ignored here."""
    for at, placed in enumerate(topics):
        for earlier in topics[:at]:
            if what := _same_source(placed.topic, earlier):
                hint = "Map each filter and consent once. To withdraw several together, use on_unsubscribe."
                yield LintProblem(placed.index, ("mypreferences",), what, hint)
                break


def _same_source(topic: Topic, earlier: LocatedTopic) -> str | None:
    match topic.source, earlier.topic.source:
        case FilterRef(filter=first, email_type=one), FilterRef(filter=second, email_type=other):
            overlapping = one is None or other is None or one.casefold() == other.casefold()
            if first.casefold() == second.casefold() and overlapping:
                return f'the filter "{first}" is already mapped by {earlier} for the same e-mail type'
        case ConsentRef() as first, ConsentRef() as second if _folded(first) == _folded(second):
            return f'this version and locale of the consent "{first.consent}" is already mapped by {earlier}'
    return None


def _folded(consent: ConsentRef) -> tuple[str, str, str]:
    return consent.consent.casefold(), consent.version.casefold(), consent.locale.casefold()


def _preferences(topics: Sequence[LocatedTopic]) -> Iterator[LintProblem]:
    taken: dict[int, LocatedTopic] = {}
    for placed in topics:
        for frequency, number in placed.topic.preferences.items():
            key = ("dotdigital", "frequencies", frequency) if frequency else ("dotdigital", "preference")
            earlier = taken.setdefault(number, placed)
            if earlier is not placed:
                what = f"preference {number} is already mapped by {earlier}"
                yield LintProblem(placed.index, key, what, "Map each preference once.")


def _frequencies(placed: LocatedTopic) -> Iterator[LintProblem]:
    topic, key = placed.topic, ("dotdigital", "frequencies")
    if not topic.has_frequencies:
        return
    if isinstance(topic.source, ConsentRef):
        hint = "Map a filter, which has frequencies, or one preference."
        yield LintProblem(placed.index, key, "a consent has no frequencies", hint)
    names: dict[str, str] = {}
    numbers: dict[int, str] = {}
    for name, number in topic.preferences.items():
        other = names.setdefault(name.casefold(), name)
        if other != name:
            what = f'"{name}" and "{other}" differ only in case'
            yield LintProblem(placed.index, (*key, name), what, "Name each frequency once.")
        other = numbers.setdefault(number, name)
        if other != name:
            what = f'"{other}" and "{name}" both map to preference {number}'
            yield LintProblem(placed.index, (*key, name), what, "Give each frequency its own preference.")


def _records(placed: LocatedTopic) -> Iterator[LintProblem]:
    topic = placed.topic
    if topic.record is None:
        return
    if isinstance(topic.source, ConsentRef):
        hint = "Map a filter, whose preferences have attributes, or remove it."
        yield LintProblem(
            placed.index, ("consent_record",), "a consent has no attributes to read the record from", hint
        )
    if not topic.direction.allows(Side.DOTDIGITAL):
        what = f'with direction = "{topic.direction}" no opt-in is sent to Dotdigital, so no record either'
        yield LintProblem(placed.index, ("consent_record",), what, 'Use direction = "both", or remove it.')


def _ways(
    channel: LocatedTopic, topics: Sequence[LocatedTopic], on_unsubscribe: OnUnsubscribe
) -> Iterator[LintProblem]:
    """What resubscribes or withdraws more needs a direction in which withdrawals can be sent."""
    topic = channel.topic
    if topic.resubscribe is not Resubscribe.HOLD and topic.direction is not Direction.BOTH:
        what = f'resubscribe = "{topic.resubscribe}" with direction = "{topic.direction}"'
        why = (
            "opt-ins would resubscribe contacts whose next unsubscribe is not sent to MyPreferences"
            if topic.direction is Direction.TO_DOTDIGITAL
            else "no opt-in is sent to Dotdigital, so no contact would ever be resubscribed"
        )
        yield LintProblem(
            None, ("resubscribe",), f"{what}: {why}", 'Use direction = "both", or resubscribe = "hold".'
        )
    if on_unsubscribe is not OnUnsubscribe.ALL_TOPICS:
        return
    for placed in topics:
        if placed.topic.direction is Direction.TO_DOTDIGITAL:
            what = 'on_unsubscribe = "all_topics" would withdraw it, but it is not sent to MyPreferences'
            hint = 'Use direction = "both" or "to_mypreferences", or on_unsubscribe = "channel".'
            yield LintProblem(placed.index, ("direction",), what, hint)
