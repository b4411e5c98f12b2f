"""What people do: each type of action, who can take it, and how it reaches the services."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from bridge.sandbox.compare import mask
from bridge.sandbox.people import EMAIL_CONSENT, PersonState, RecordedChoice, RecordedPeople, SandboxPerson
from bridge.sandbox.vendor_reads import IN, OUT, UNSET, FilterOf, TopicPair
from bridge.sandbox.world import NEWSLETTER, OFFERS, PROFILING, TOPICS, World

MYPREFERENCES, DOTDIGITAL, BOTH = "mypreferences", "dotdigital", "both"
EMAIL = "email"
_TOPICS = {topic.id: topic for topic in TOPICS}
_MINUTE = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Action:
    """Something a person did. `side` is where: mypreferences, dotdigital or both; `person` is masked; `topic`
    is a topic of the example mapping, or email for the channel."""

    kind: str
    side: str
    person: str
    topic: str
    words: str


@dataclass(frozen=True, slots=True)
class ActionContext:
    """A person about to act on a topic. The methods that act return the side where they do."""

    world: World
    person: SandboxPerson
    state: PersonState
    topic: str
    created_at: datetime

    @property
    def at_mypreferences(self) -> RecordedChoice:
        """What MyPreferences records of the topic."""
        return self.state.mypreferences[self.topic]

    @property
    def at_dotdigital(self) -> RecordedChoice:
        """What Dotdigital records of the topic."""
        return self.state.dotdigital[self.topic]

    @property
    def contact(self) -> int:
        if self.person.contact is None:
            raise RuntimeError("a person without a contact cannot act at Dotdigital")
        return self.person.contact

    @property
    def is_mailed(self) -> bool:
        """Whether the person gave the e-mail consent and can be mailed."""
        return self.state.status == "Subscribed" and self.state.mypreferences[EMAIL].choice == IN

    def both_record(self, choice: str) -> bool:
        """Whether both sides record `choice`, at one frequency."""
        mine, theirs = self.at_mypreferences, self.at_dotdigital
        return mine.choice == theirs.choice == choice and mine.frequencies == theirs.frequencies

    def say_mypreferences(self, opted_in: bool, when: datetime, frequency: str | None = None) -> str:
        """Use the preference center of MyPreferences. Without a frequency an opt-in to offers is daily."""
        profile, source = self.person.profiles[0], _TOPICS[self.topic].source
        state = self.world.mypreferences
        frequency = frequency or self._default_frequency(opted_in)
        if isinstance(source, FilterOf):
            state.set_preference(profile, source.filter, opted_in, when, frequency)
        else:
            status = "Granted" if opted_in else "Revoked"
            state.set_consent(profile, source.consent, status, when, source.version, source.locale)
        return MYPREFERENCES

    def say_dotdigital(self, opted_in: bool, when: datetime, frequency: str | None = None) -> str:
        """Use the preference page of Dotdigital. Without a frequency an opt-in to offers is daily."""
        frequency = frequency or self._default_frequency(opted_in) or ""
        for name, number in _TOPICS[self.topic].preferences.items():
            wanted = opted_in and name == frequency
            self.world.dotdigital.set_preference(self.contact, number, wanted, when)
        return DOTDIGITAL

    def opt_in_again(self, now: datetime) -> str:
        """At MyPreferences where Dotdigital's opt-out is newer than the population, else at Dotdigital."""
        at = self.at_dotdigital.at
        if at is not None and at >= self.created_at.replace(microsecond=0):
            return self.say_mypreferences(True, now)
        return self.say_dotdigital(True, now)

    def replay_opt_in(self, _now: datetime) -> str:
        """An opt-in at MyPreferences that is dated before the withdrawal at Dotdigital."""
        if self.at_dotdigital.at is None:
            raise RuntimeError("an opt-in can only be replayed against a dated withdrawal")
        return self.say_mypreferences(True, self.at_dotdigital.at - _MINUTE)

    def go_weekly_at_dotdigital(self, now: datetime) -> str:
        """Choose another frequency at Dotdigital."""
        return self.say_dotdigital(True, now, "WEEKLY")

    def go_weekly_at_mypreferences(self, now: datetime) -> str:
        """Choose another frequency at MyPreferences."""
        return self.say_mypreferences(True, now, "WEEKLY")

    def can_replay(self) -> bool:
        """Whether there is a time between MyPreferences' record and Dotdigital's later withdrawal."""
        mine, theirs = self.at_mypreferences.at, self.at_dotdigital.at
        dated = mine is not None and theirs is not None and theirs - mine > 2 * _MINUTE
        return dated and self.both_record(OUT)

    def contradict(self, now: datetime, seconds_apart: int) -> str:
        """Opt out at Dotdigital, and some seconds later in at MyPreferences."""
        self.say_dotdigital(False, now - timedelta(seconds=seconds_apart))
        self.say_mypreferences(True, now, next(iter(self.at_mypreferences.frequencies), None))
        return BOTH

    def unsubscribe(self, now: datetime) -> str:
        """Use the unsubscribe link of an e-mail."""
        self.world.dotdigital.unsubscribe(self.contact, now)
        return DOTDIGITAL

    def complain(self, now: datetime) -> str:
        """Report an e-mail as spam."""
        self.world.dotdigital.complain(self.contact, now)
        return DOTDIGITAL

    def bounce(self, now: datetime) -> str:
        """The mailbox no longer exists."""
        self.world.dotdigital.bounce(self.contact, now)
        return DOTDIGITAL

    def revoke(self, now: datetime) -> str:
        """Revoke the consent to e-mail."""
        self.world.mypreferences.set_consent(self.person.profiles[0], EMAIL_CONSENT, "Revoked", now)
        return MYPREFERENCES

    def _default_frequency(self, opted_in: bool) -> str | None:
        return "DAILY" if opted_in and self.topic == OFFERS.id else None


Can = Callable[[ActionContext], bool]
Do = Callable[[ActionContext, datetime], str]


@dataclass(frozen=True, slots=True)
class ActionType:
    """One type of action. `weight` is how often it occurs beside the others; `do` returns the side."""

    name: str
    words: str
    topics: tuple[str, ...]
    weight: int
    can: Can
    do: Do


class ActionRunner:
    """Finds a person for an action and takes it. Nobody acts twice at once while others are left."""

    def __init__(
        self, world: World, rng: random.Random, people: Sequence[SandboxPerson], created_at: datetime
    ) -> None:
        self._world = world
        self._rng = rng
        self._created_at = created_at
        recorded = RecordedPeople(world)
        self._people = [(one, state) for one in people if (state := recorded.of(one)) is not None]
        self._waiting: dict[str, list[ActionContext]] = {}
        self._done: dict[int, set[str]] = {}

    def perform(self, kind: ActionType) -> Action | None:
        """One action of that type; None where nobody can take it."""
        context = self._next(kind)
        if context is None:
            return None
        self._done.setdefault(context.person.number, set()).add(context.topic)
        side = kind.do(context, self._world.clock.now())
        return Action(kind.name, side, mask(context.person.address), context.topic, kind.words)

    def _next(self, kind: ActionType) -> ActionContext | None:
        waiting = self._waiting.get(kind.name)
        if waiting is None:
            waiting = self._waiting[kind.name] = list(self._candidates(kind))
            self._rng.shuffle(waiting)
        for suits in (self._is_idle,) if kind.topics == _CHANNEL else (self._is_idle, self._is_free):
            chosen = next(filter(suits, waiting), None)
            if chosen is not None:
                waiting.remove(chosen)
                return chosen
        return None

    def _candidates(self, kind: ActionType) -> Iterator[ActionContext]:
        for person, state in self._people:
            for topic in kind.topics:
                context = ActionContext(self._world, person, state, topic, self._created_at)
                if state.status == "Subscribed" and kind.can(context):
                    yield context

    def _is_idle(self, context: ActionContext) -> bool:
        return context.person.number not in self._done

    def _is_free(self, context: ActionContext) -> bool:
        """A person may act on several topics, but not after leaving the channel."""
        return self._done.get(context.person.number, set()).isdisjoint((EMAIL, context.topic))


def _both_in(context: ActionContext) -> bool:
    return context.both_record(IN)


def _both_out(context: ActionContext) -> bool:
    return context.both_record(OUT)


def _never_asked(context: ActionContext) -> bool:
    return context.both_record(UNSET)


def _both_daily(context: ActionContext) -> bool:
    return context.both_record(IN) and context.at_mypreferences.frequencies == ("DAILY",)


def _mailed(context: ActionContext) -> bool:
    return context.is_mailed


def _mailed_with_topics(context: ActionContext) -> bool:
    return context.is_mailed and any(item.choice == IN for item in context.state.dotdigital.values())


def _ids(*topics: TopicPair) -> tuple[str, ...]:
    return tuple(topic.id for topic in topics)


_ALL = _ids(NEWSLETTER, PROFILING, OFFERS)
_PLAIN = _ids(NEWSLETTER, OFFERS)  # the example mapping holds every conflict about profiling for a person
_OFFERS = _ids(OFFERS)
_CHANNEL = (EMAIL,)
_WORDS = {
    "replayed_opt_in": "an old file replays an opt-in from before the withdrawal",
    "opt_in_again": "changes their mind and opts in again",
    "frequency_at_dotdigital": "wants offers weekly, not daily",
    "frequency_at_mypreferences": "wants offers weekly, not daily",
    "opposite_at_once": "says no at Dotdigital and yes at MyPreferences in the same moment",
    "opt_in_against_opt_out": "says no at Dotdigital, and a little later yes at MyPreferences",
    "unsubscribe_link": "uses the unsubscribe link of an e-mail",
    "unsubscribe_keeps_preferences": "unsubscribes; the preferences stay as they are",
    "consent_revoked": "revokes the consent to e-mail",
    "spam_complaint": "reports an e-mail as spam",
    "hard_bounce": "has a mailbox that no longer exists: no choice",
    "opt_out_at_dotdigital": "opts out of a topic",
    "opt_out_at_mypreferences": "opts out of a topic",
    "opt_in_at_mypreferences": "opts in to a topic for the first time",
    "opt_in_at_dotdigital": "opts in to a topic for the first time",
}
# Name, topics, weight, who can, what they do. In the order in which a small population is asked: what few can
# do comes first.
_ROWS: tuple[tuple[str, tuple[str, ...], int, Can, Do], ...] = (
    ("replayed_opt_in", _PLAIN, 1, ActionContext.can_replay, ActionContext.replay_opt_in),
    ("opt_in_again", _PLAIN, 2, _both_out, ActionContext.opt_in_again),
    ("frequency_at_dotdigital", _OFFERS, 2, _both_daily, ActionContext.go_weekly_at_dotdigital),
    ("frequency_at_mypreferences", _OFFERS, 2, _both_daily, ActionContext.go_weekly_at_mypreferences),
    ("opposite_at_once", _PLAIN, 1, _both_in, lambda at, now: at.contradict(now, 1)),
    ("opt_in_against_opt_out", _PLAIN, 1, _both_in, lambda at, now: at.contradict(now, 20)),
    ("unsubscribe_link", _CHANNEL, 3, _mailed, ActionContext.unsubscribe),
    ("unsubscribe_keeps_preferences", _CHANNEL, 2, _mailed_with_topics, ActionContext.unsubscribe),
    ("consent_revoked", _CHANNEL, 2, _mailed, ActionContext.revoke),
    ("spam_complaint", _CHANNEL, 1, _mailed, ActionContext.complain),
    ("hard_bounce", _CHANNEL, 2, _mailed, ActionContext.bounce),
    ("opt_out_at_dotdigital", _ALL, 5, _both_in, lambda at, now: at.say_dotdigital(False, now)),
    ("opt_out_at_mypreferences", _PLAIN, 5, _both_in, lambda at, now: at.say_mypreferences(False, now)),
    ("opt_in_at_mypreferences", _ALL, 4, _never_asked, lambda at, now: at.say_mypreferences(True, now)),
    ("opt_in_at_dotdigital", _ALL, 4, _never_asked, lambda at, now: at.say_dotdigital(True, now)),
)
ACTION_TYPES = tuple(
    ActionType(name, _WORDS[name], topics, weight, can, do) for name, topics, weight, can, do in _ROWS
)
