"""What must hold between the topics of a mapping, beyond the form of each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from bridge.core.mapping import CHANNEL, ConsentRef, Direction, FilterRef, OnUnsubscribe, Topic
from bridge.core.model import Resubscribe, Side

Key = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class LintProblem:
    """A rule that one topic breaks: `index` counts the file's topics from 0, None being the channel."""

    index: int | None
    key: Key
    what: str
    hint: str


@dataclass(frozen=True, slots=True)
class LocatedTopic:
    """A well-formed topic and where it stands in the file."""

    index: int | None
    topic: Topic

    def __str__(self) -> str:
        if self.index is None:
            return "[channels.email]"
        return f'topic "{self.topic.id}"' if self.topic.id else f"topic {self.index + 1}"


def lint(
    channel: LocatedTopic | None, topics: Sequence[LocatedTopic], on_unsubscribe: OnUnsubscribe
) -> list[LintProblem]:
    """Every rule that is broken. What is not well formed in a topic is left out of it."""
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
            what = f'the id "{name}" is the e-mail channel\'s own'
            yield LintProblem(
                placed.index, ("id",), what, "Choose another id, or map the channel in [channels.email]."
            )
        elif folded in first:
            what = f'the id "{name}" is taken by an earlier topic'
            if first[folded] != name:
                what = f'the id "{name}" differs from an earlier topic\'s "{first[folded]}" in its case only'
            yield LintProblem(placed.index, ("id",), what, "Give each topic an id of its own.")
        else:
            first[folded] = name


def _sources(topics: Sequence[LocatedTopic]) -> Iterator[LintProblem]:
    """One filter or consent speaks for one topic: two would pull it apart. MyPreferences leaves open whether
    case counts in these ids, so here it does not."""
    for at, placed in enumerate(topics):
        for earlier in topics[:at]:
            if what := _same_source(placed.topic, earlier):
                hint = "Map each filter and each consent once; to withdraw together, use on_unsubscribe."
                yield LintProblem(placed.index, ("mypreferences",), what, hint)
                break


def _same_source(topic: Topic, earlier: LocatedTopic) -> str | None:
    match topic.source, earlier.topic.source:
        case FilterRef(filter=mine, email_type=one), FilterRef(filter=theirs, email_type=other):
            overlapping = one is None or other is None or one.casefold() == other.casefold()
            if mine.casefold() == theirs.casefold() and overlapping:
                return f'the filter "{mine}" is mapped by {earlier} already, for the same e-mail type or any'
        case ConsentRef() as mine, ConsentRef() as theirs if _folded(mine) == _folded(theirs):
            return f'this version and locale of the consent "{mine.consent}" is mapped by {earlier} already'
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
                what = f"preference {number} is written by {earlier} already"
                yield LintProblem(placed.index, key, what, "Let one topic write each preference.")


def _frequencies(placed: LocatedTopic) -> Iterator[LintProblem]:
    topic, key = placed.topic, ("dotdigital", "frequencies")
    if not topic.has_frequencies:
        return
    if isinstance(topic.source, ConsentRef):
        hint = "Map a filter, which has frequencies, or one preference."
        yield LintProblem(placed.index, key, "a consent has no frequency to choose by", hint)
    names: dict[str, str] = {}
    numbers: dict[int, str] = {}
    for name, number in topic.preferences.items():
        other = names.setdefault(name.casefold(), name)
        if other != name:
            what = f'"{name}" and "{other}" differ in their case only'
            yield LintProblem(placed.index, (*key, name), what, "Name each frequency once.")
        other = numbers.setdefault(number, name)
        if other != name:
            what = f'"{other}" and "{name}" both write preference {number}'
            yield LintProblem(
                placed.index, (*key, name), what, "Give each frequency a preference of its own."
            )


def _records(placed: LocatedTopic) -> Iterator[LintProblem]:
    topic = placed.topic
    if topic.record is None:
        return
    if isinstance(topic.source, ConsentRef):
        hint = "Map a filter, whose preferences hold attributes, or leave it out."
        yield LintProblem(
            placed.index, ("consent_record",), "a consent has no attributes to read it from", hint
        )
    if not topic.direction.allows(Side.DOTDIGITAL):
        what = f'no opt-in is sent to Dotdigital by direction = "{topic.direction}", so no record would be'
        yield LintProblem(placed.index, ("consent_record",), what, 'Use direction = "both", or leave it out.')


def _ways(
    channel: LocatedTopic, topics: Sequence[LocatedTopic], on_unsubscribe: OnUnsubscribe
) -> Iterator[LintProblem]:
    """Where people are brought back, or more is withdrawn, the withdrawal must find its way as well."""
    topic = channel.topic
    if topic.resubscribe is not Resubscribe.HOLD and topic.direction is not Direction.BOTH:
        what = f'resubscribe = "{topic.resubscribe}" beside direction = "{topic.direction}"'
        why = (
            "opt-ins would bring people back at Dotdigital whose next unsubscribe goes nowhere"
            if topic.direction is Direction.TO_DOTDIGITAL
            else "no opt-in is sent to Dotdigital, so nobody would ever be resubscribed"
        )
        yield LintProblem(
            None, ("resubscribe",), f"{what}: {why}", 'Use direction = "both", or resubscribe = "hold".'
        )
    if on_unsubscribe is not OnUnsubscribe.ALL_TOPICS:
        return
    for placed in topics:
        if placed.topic.direction is Direction.TO_DOTDIGITAL:
            what = 'on_unsubscribe = "all_topics" is to withdraw it, but nothing of it goes to MyPreferences'
            hint = 'Use direction = "both" or "to_mypreferences", or on_unsubscribe = "channel".'
            yield LintProblem(placed.index, ("direction",), what, hint)
