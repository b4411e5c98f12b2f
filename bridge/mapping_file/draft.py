"""The text of a mapping draft, where uncertain matches are commented out; and the counterparts to create at
Dotdigital for unmatched filters and consents. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from bridge.core.catalogue import CatalogueKind, Entry, NewPreference
from bridge.core.errors import ConfigError
from bridge.core.model import CHANNEL, Side
from bridge.mapping_file.matching import Match, MatchResult, unmappable

_HEAD = """\
# A draft by `bridge mapping scaffold`, made from the names used on both sides. While it says draft = true,
# `bridge plan` shows what it would do, and runs write nothing.
#   1. Check each topic: do both sides mean the same? Each shows how similar the names are (of 100), and why.
#   2. Commented-out topics are suggestions. To accept one, remove the single # from its lines.
#   3. Read the list of unmatched names at the end.
#   4. Compare with both sides: `bridge mapping check --live`. See what would be sent: `bridge plan`.
#   5. Remove the line draft = true below.
version = 1
draft = true

[defaults]
conflict = "withdrawal_wins"
direction = "both"
"""
_NO_CHANNEL = """\
## Without [channels.email], an unsubscribe or a complaint at Dotdigital withdraws every topic of that person.
"""


@dataclass(frozen=True, slots=True)
class DraftedTopic:
    """A topic of the draft, with its id."""

    id: str
    match: Match

    @property
    def mypreferences(self) -> Mapping[str, str]:
        """Its source, as written in the file."""
        source, edition = self.match.source, self.match.edition
        if source.kind is CatalogueKind.FILTER or edition is None:
            return {"filter": source.id}
        return {"consent": source.id, "version": edition.version, "locale": (edition.locales or ("",))[0]}

    @property
    def dotdigital(self) -> Mapping[str, object]:
        """Its target, as written in the file."""
        numbers = self.match.preferences
        return {"preference": numbers[""]} if "" in numbers else {"frequencies": dict(numbers)}


def draft_topics(result: MatchResult) -> list[DraftedTopic]:
    """The topics of a match result with unique ids, including those that will be commented out."""
    taken = {str(CHANNEL)}
    found = []
    for match in result.topics:
        name = _slug(match.source.group_name or match.source.name or match.source.id)
        fresh = next(one for one in _numbered(name) if one not in taken)
        taken.add(fresh)
        found.append(DraftedTopic(fresh, match))
    return found


def draft(result: MatchResult) -> str:
    """The text of the file."""
    parts = [_HEAD, _channel(result.channel)]
    parts += [_topic(one) for one in draft_topics(result)]
    for side, name in ((Side.MYPREFERENCES, "MyPreferences"), (Side.DOTDIGITAL, "Dotdigital")):
        left = [one for one in result.left if one.entry.kind.side is side]
        lines = [_comment(f"  {one.entry.called}: {one.why}") for one in left] or [_comment("  none")]
        parts.append("\n".join((f"## Unmatched at {name}:", *lines)) + "\n")
    return "\n".join(parts)


def _channel(match: Match | None) -> str:
    if match is None:
        return _NO_CHANNEL
    source = _table(DraftedTopic(CHANNEL, match).mypreferences)
    lines = ["[channels.email]", f"mypreferences = {source}", 'dotdigital = "email"', 'resubscribe = "hold"']
    return ("" if match.sure else _NO_CHANNEL) + _block(match, lines)


def _topic(one: DraftedTopic) -> str:
    lines = [
        "[[topics]]",
        f"id = {_text(one.id)}",
        f"mypreferences = {_table(one.mypreferences)}",
        f"dotdigital = {_table(one.dotdigital)}",
    ]
    return _block(one.match, lines)


def _block(match: Match, lines: list[str]) -> str:
    target = "" if match.target is None else f" and {match.target.called}"
    lines_above = [f"{match.score}: {match.reason}.", f"{match.source.called}{target}"]
    lines_above += [f"Not sure: {doubt}." for doubt in match.doubts]
    shown = lines if match.sure else [f"# {line}" for line in lines]
    return "\n".join((*map(_comment, lines_above), *shown)) + "\n"


def _comment(line: str) -> str:
    """A comment line. Names may contain control characters or line breaks, which TOML comments cannot."""
    return "## " + "".join(one if one.isprintable() else " " for one in line).rstrip()


def _table(values: Mapping[str, object]) -> str:
    pairs = (f"{_key(key)} = {_value(value)}" for key, value in values.items())
    return f"{{ {', '.join(pairs)} }}"


def _key(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else _text(name)


def _value(value: object) -> str:
    if isinstance(value, Mapping):
        return _table(value)
    return str(value) if isinstance(value, int) else _text(str(value))


def _text(text: str) -> str:
    """A TOML string: a JSON string, plus an escape for the one control character that JSON leaves."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _slug(name: str) -> str:
    plain = re.sub(r"[^a-z0-9]+", "_", name.casefold()).strip("_")[:50].strip("_")
    return plain or "topic"


def _numbered(name: str) -> Iterator[str]:
    yield name
    number = 2
    while True:
        yield f"{name}_{number}"
        number += 1


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
