"""What each topic is mapped to, and what a changed mapping means. Pure.

An agreement is about what its topic was mapped to when it was made. A topic that is new, or mapped to
something else, starts as a first run: what was said before that opts nobody in without an operator.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from enum import StrEnum
from hashlib import sha256
from typing import Any

from bridge.core.mapping import ConsentRef, Direction, FilterRef, Topic
from bridge.core.mapping import Mapping as ConsentMapping
from bridge.core.model import Choice, Side, TopicId

Names = Mapping[Side, str]
"""What a topic is mapped to at each side, in words."""


@dataclass(frozen=True, slots=True)
class Scope:
    """What a topic is mapped to, and by which rules.

    `epoch` is when that began (None: with the first run). `swept` says whether everybody was read since.
    `change` says in words what has changed, until it is known that its writes may be sent.
    """

    names: Names
    direction: Direction
    policy: str  # a digest of its other rules
    epoch: datetime | None = None
    swept: bool = True
    change: str = ""
    mapped: bool = True

    @classmethod
    def of(cls, topic: Topic, mapping: ConsentMapping) -> Scope:
        """The scope of a topic as the mapping has it now."""
        rules = (
            topic.conflict,
            topic.on_deletion,
            topic.resubscribe,
            None if topic.record is None else sorted(asdict(topic.record).items()),
            mapping.unsubscribe_withdraws_topics,
        )
        digest = sha256(repr(rules).encode()).hexdigest()[:16]
        return cls(names_of(topic), topic.direction, digest)

    def is_same(self, other: Scope) -> bool:
        """Whether both are mapped alike, by the same rules."""
        mine = (self.names, self.direction, self.policy, self.mapped)
        return mine == (other.names, other.direction, other.policy, other.mapped)


def names_of(topic: Topic) -> Names:
    """What a topic is mapped to at each side."""
    match topic.source:
        case None:
            mine = "nothing"
        case FilterRef(filter=name, email_type=kind):
            mine = f"filter {name}" + (f" ({kind})" if kind else "")
        case ConsentRef(consent=name, version=version, locale=locale):
            mine = f"consent {name} {version} {locale}"
    leaves = sorted(topic.preferences.items())
    words = [f"{leaf} {number}".strip() for leaf, number in leaves]
    theirs = f"preference {', '.join(words)}" if words else "the channel"
    return {Side.MYPREFERENCES: mine, Side.DOTDIGITAL: theirs}


def target_of(topic: Topic, side: Side) -> str:
    """What a write about a topic writes at a side, in words: at Dotdigital the numbers of its preferences, or
    the channel."""
    if side is Side.DOTDIGITAL:
        return " ".join(map(str, sorted(topic.preferences.values()))) or "channel"
    return names_of(topic)[side]


@dataclass(frozen=True, slots=True)
class Scopes:
    """The scope of every topic that is or was mapped, and the digest of the mapping that they are of."""

    mapping: str
    topics: Mapping[TopicId, Scope]


class ScopeNews(StrEnum):
    """What has changed about a topic."""

    ADDED = "added"
    REMOVED = "removed"
    MOVED = "moved"  # it is mapped to something else
    RENEWED = "renewed"  # what it is mapped to was gone, and exists again
    DIRECTION = "direction"
    POLICY = "policy"


_UNSAID = (ScopeNews.ADDED, ScopeNews.MOVED, ScopeNews.RENEWED)
"""What was said before these was said about something else, or to nobody."""


@dataclass(frozen=True, slots=True)
class ScopeChange:
    """A change of one topic. `moved` are the sides at which it is mapped to something else, `opened` says
    whether a side may be written that could not be before."""

    topic: TopicId
    news: tuple[ScopeNews, ...]
    what: str
    moved: tuple[Side, ...] = ()
    opened: bool = False

    @property
    def starts_over(self) -> bool:
        """Whether what was said before opts nobody in without an operator."""
        return self.opened or any(one in _UNSAID for one in self.news)

    @property
    def forgotten(self) -> tuple[Choice, ...]:
        """Agreements on these choices no longer count. An agreed opt-out stays as long as one side is the
        same: it is the person's statement on the topic."""
        if not any(one in (ScopeNews.MOVED, ScopeNews.RENEWED) for one in self.news):
            return ()
        return tuple(Choice) if len(self.moved) == len(Side) else (Choice.OPTED_IN, Choice.UNSET)


def scope_changes(
    known: Mapping[TopicId, Scope], mapping: ConsentMapping, renewed: Collection[TopicId]
) -> list[ScopeChange]:
    """What a mapping changes. `renewed` are topics whose counterpart was gone and exists again."""
    found = [_change(topic, known.get(topic.id), mapping, renewed) for topic in mapping.all]
    found += [
        ScopeChange(topic, (ScopeNews.REMOVED,), "is no longer mapped; neither side is written for it")
        for topic, scope in known.items()
        if scope.mapped and mapping.topic(topic) is None
    ]
    return [change for change in found if change is not None]


def _change(
    topic: Topic, known: Scope | None, mapping: ConsentMapping, renewed: Collection[TopicId]
) -> ScopeChange | None:
    now = Scope.of(topic, mapping)
    if known is None:
        return ScopeChange(topic.id, (ScopeNews.ADDED,), "is new")
    moved = tuple(side for side in Side if known.names[side] != now.names[side])
    opened = any(now.direction.allows(side) and not known.direction.allows(side) for side in Side)
    news = dict(_news(known, now, moved, is_renewed=topic.id in renewed))
    if not news:
        return None
    return ScopeChange(topic.id, tuple(news), "; ".join(news.values()), moved, opened)


def _news(
    known: Scope, now: Scope, moved: Iterable[Side], *, is_renewed: bool
) -> Iterator[tuple[ScopeNews, str]]:
    if not known.mapped:
        yield ScopeNews.ADDED, "is mapped again"
    if words := [f"to {now.names[side]} at {side} instead of {known.names[side]}" for side in moved]:
        yield ScopeNews.MOVED, f"is mapped {' and '.join(words)}"
    if is_renewed:
        yield ScopeNews.RENEWED, "is mapped to something that was gone and exists again"
    if known.direction is not now.direction:
        yield ScopeNews.DIRECTION, f"has the direction {now.direction} instead of {known.direction}"
    if known.policy != now.policy:
        yield ScopeNews.POLICY, "has other rules"


def scopes_after(
    known: Mapping[TopicId, Scope], changes: Iterable[ScopeChange], mapping: ConsentMapping, began: datetime
) -> Scopes:
    """The scopes once a mapping applies. What has changed waits until it is known what that would write."""
    topics = dict(known)
    for change in changes:
        topic, before = mapping.topic(change.topic), known.get(change.topic)
        if topic is not None:
            epoch = began if change.starts_over else None if before is None else before.epoch
            topics[topic.id] = replace(
                Scope.of(topic, mapping), epoch=epoch, swept=not change.starts_over, change=change.what
            )
        elif before is not None:
            topics[change.topic] = replace(before, mapped=False)
    return Scopes(mapping.digest, topics)


def scope_out(scope: Scope) -> dict[str, Any]:
    """A scope as JSON."""
    return {
        "names": {side.value: name for side, name in scope.names.items()},
        "direction": scope.direction.value,
        "policy": scope.policy,
        "epoch": None if scope.epoch is None else scope.epoch.isoformat(),
        "swept": scope.swept,
        "change": scope.change,
        "mapped": scope.mapped,
    }


def scope_in(shown: Mapping[str, Any]) -> Scope:
    """The scope that `scope_out` made this of."""
    epoch = shown["epoch"]
    return Scope(
        names={Side(side): name for side, name in shown["names"].items()},
        direction=Direction(shown["direction"]),
        policy=shown["policy"],
        epoch=None if epoch is None else datetime.fromisoformat(epoch),
        swept=shown["swept"],
        change=shown["change"],
        mapped=shown["mapped"],
    )
