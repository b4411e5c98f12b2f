"""The mapping: which MyPreferences filter or consent maps to which Dotdigital preference."""

from __future__ import annotations

from collections.abc import Mapping as MappingOf
from dataclasses import dataclass, field
from enum import StrEnum

from bridge.core.model import CHANNEL, Side, TopicId
from bridge.core.writes import Resubscribe


class Conflict(StrEnum):
    """Which side wins if both changed to opposite choices."""

    WITHDRAWAL_WINS = "withdrawal_wins"
    LATEST = "latest"
    MYPREFERENCES = "mypreferences"
    DOTDIGITAL = "dotdigital"
    HOLD = "hold"


class Direction(StrEnum):
    BOTH = "both"
    TO_DOTDIGITAL = "to_dotdigital"
    TO_MYPREFERENCES = "to_mypreferences"

    def allows(self, target: Side) -> bool:
        """Whether writes may be sent to `target`."""
        return self is Direction.BOTH or self.value == f"to_{target.value}"


class OnDeletion(StrEnum):
    """What happens to a person on one side who was deleted or deactivated on the other."""

    UNLINK = "unlink"  # leave them unchanged; never re-create them
    WITHDRAW = "withdraw"  # opt them out of what was agreed as opted in


class OnUnsubscribe(StrEnum):
    CHANNEL = "channel"
    ALL_TOPICS = "all_topics"


@dataclass(frozen=True, slots=True)
class FilterRef:
    """A MyPreferences filter (program x channel), for e-mail elements of one type or of any type."""

    filter: str
    email_type: str | None = None


@dataclass(frozen=True, slots=True)
class ConsentRef:
    """A version and locale of a MyPreferences consent."""

    consent: str
    version: str
    locale: str


@dataclass(frozen=True, slots=True)
class RecordKeys:
    """The preference attributes in which MyPreferences stores how a person consented."""

    text: str
    url: str
    ip: str
    agent: str


@dataclass(frozen=True, slots=True)
class Topic:
    """One mapped choice. `preferences` are Dotdigital preference ids by frequency id, under the empty id for
    a topic without frequencies; the e-mail channel has none. `record`: the attributes sent to Dotdigital as a
    consent record with each opt-in."""

    id: TopicId
    source: FilterRef | ConsentRef | None
    preferences: MappingOf[str, int]
    conflict: Conflict = Conflict.WITHDRAWAL_WINS
    direction: Direction = Direction.BOTH
    on_deletion: OnDeletion = OnDeletion.UNLINK
    resubscribe: Resubscribe = Resubscribe.HOLD
    record: RecordKeys | None = None

    @property
    def is_channel(self) -> bool:
        return self.id == CHANNEL

    @property
    def has_frequencies(self) -> bool:
        return bool(self.preferences) and "" not in self.preferences


@dataclass(frozen=True, slots=True)
class Mapping:
    """All topics and the e-mail channel, whose `source` is None where the file has no `[channels.email]`."""

    topics: tuple[Topic, ...]
    channel: Topic
    on_unsubscribe: OnUnsubscribe
    digest: str  # of the file's meaning; named by plans and explanations
    draft: bool = False  # not confirmed by a person: plans work, runs write nothing
    all: tuple[Topic, ...] = field(init=False, repr=False, compare=False)
    """The channel first, so that what blocks a person is known before the topics are decided."""
    _by_id: MappingOf[TopicId, Topic] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not self.channel.is_channel:
            raise ValueError("the channel topic is called 'email'")
        object.__setattr__(self, "all", (self.channel, *self.topics))
        object.__setattr__(self, "_by_id", {topic.id: topic for topic in reversed(self.all)})

    def topic(self, topic_id: TopicId) -> Topic | None:
        return self._by_id.get(topic_id)

    @property
    def unsubscribe_withdraws_topics(self) -> bool:
        """Whether an unsubscribe at Dotdigital also withdraws every topic."""
        return self.channel.source is None or self.on_unsubscribe is OnUnsubscribe.ALL_TOPICS

    @property
    def preference_ids(self) -> tuple[int, ...]:
        """Every Dotdigital preference that a topic writes, in the order of the file."""
        return tuple(number for topic in self.topics for number in topic.preferences.values())
