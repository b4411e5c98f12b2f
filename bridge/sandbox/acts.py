"""What people do, each kind of it: who is in a position to, and how it reaches the services."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from bridge.sandbox.agreement import mask
from bridge.sandbox.reading import IN, OUT, UNSET, FilterOf, TopicPair
from bridge.sandbox.residents import EMAIL_CONSENT, Resident, Standing, Standings, Word
from bridge.sandbox.world import NEWSLETTER, OFFERS, PROFILING, TOPICS, World

MYPREFERENCES, DOTDIGITAL, BOTH = "mypreferences", "dotdigital", "both"
EMAIL = "email"
_BY_NAME = {topic.id: topic for topic in TOPICS}
_MINUTE = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Act:
    """Something somebody did. `side` is where: mypreferences, dotdigital or both; `person` is masked; `topic`
    is a topic of the example mapping, or email for the channel."""

    kind: str
    side: str
    person: str
    topic: str
    words: str


@dataclass(frozen=True, slots=True)
class Scene:
    """Somebody about to act on a topic."""

    world: World
    resident: Resident
    standing: Standing
    topic: str
    settled_at: datetime

    @property
    def mine(self) -> Word:
        return self.standing.mine[self.topic]

    @property
    def theirs(self) -> Word:
        return self.standing.theirs[self.topic]

    def are(self, choice: str) -> bool:
        """Whether both sides record `choice`, at one frequency."""
        same = self.mine.frequencies == self.theirs.frequencies
        return self.mine.choice == self.theirs.choice == choice and same

    @property
    def mailed(self) -> bool:
        """Whether the person gave the e-mail consent and can be mailed."""
        return self.standing.status == "Subscribed" and self.standing.mine[EMAIL].choice == IN

    @property
    def fresh(self) -> bool:
        """Whether Dotdigital's word is younger than the crowd's arrival."""
        return self.theirs.at is not None and self.theirs.at >= self.settled_at.replace(microsecond=0)

    def tell_mypreferences(self, opted_in: bool, when: datetime, frequency: str | None = None) -> None:
        """The person uses the preference center of MyPreferences."""
        profile, source = self.resident.profiles[0], _BY_NAME[self.topic].source
        state = self.world.mypreferences
        if isinstance(source, FilterOf):
            state.set_preference(profile, source.filter, opted_in, when, frequency)
        else:
            status = "Granted" if opted_in else "Revoked"
            state.set_consent(profile, source.consent, status, when, source.version, source.locale)

    def tell_dotdigital(self, opted_in: bool, when: datetime, frequency: str = "") -> None:
        """The person uses the preference page of Dotdigital."""
        for name, number in _BY_NAME[self.topic].preferences.items():
            wanted = opted_in and name == frequency
            self.world.dotdigital.set_preference(self.contact, number, wanted, when)

    @property
    def contact(self) -> int:
        if self.resident.contact is None:
            raise RuntimeError("somebody whom Dotdigital does not know cannot act there")
        return self.resident.contact

    @property
    def frequency(self) -> str | None:
        """The frequency that an opt-in to this topic would name here."""
        return "DAILY" if self.topic == OFFERS.id else None


Doing = Callable[[Scene, datetime], str]
"""Carries an act out at a moment; returns the side where it happened."""


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of act. `weight` is how often it occurs beside the others."""

    name: str
    words: str
    topics: tuple[str, ...]
    weight: int
    can: Callable[[Scene], bool]
    do: Doing

    @property
    def on_channel(self) -> bool:
        return self.topics == (EMAIL,)


class Actor:
    """Finds somebody for an act and has them do it. Nobody acts twice at once, while others are left."""

    def __init__(
        self, world: World, rng: random.Random, residents: Sequence[Resident], settled_at: datetime
    ) -> None:
        self._world = world
        self._rng = rng
        self._settled_at = settled_at
        standings = Standings(world)
        self._people = [(one, said) for one in residents if (said := standings.of(one)) is not None]
        self._waiting: dict[str, list[Scene]] = {}
        self._done: dict[int, set[str]] = {}

    def perform(self, kind: Kind) -> Act | None:
        """One act of that kind; None where nobody is in a position to."""
        scene = self._next(kind)
        if scene is None:
            return None
        self._done.setdefault(scene.resident.number, set()).add(scene.topic)
        side = kind.do(scene, self._world.clock.now())
        return Act(kind.name, side, mask(scene.resident.address), scene.topic, kind.words)

    def _next(self, kind: Kind) -> Scene | None:
        waiting = self._waiting.get(kind.name)
        if waiting is None:
            waiting = self._waiting[kind.name] = list(self._candidates(kind))
            self._rng.shuffle(waiting)
        for found in (self._idle,) if kind.on_channel else (self._idle, self._free):
            chosen = next(filter(found, waiting), None)
            if chosen is not None:
                waiting.remove(chosen)
                return chosen
        return None

    def _candidates(self, kind: Kind) -> Iterator[Scene]:
        for resident, standing in self._people:
            for topic in kind.topics:
                scene = Scene(self._world, resident, standing, topic, self._settled_at)
                if scene.standing.status == "Subscribed" and kind.can(scene):
                    yield scene

    def _idle(self, scene: Scene) -> bool:
        return scene.resident.number not in self._done

    def _free(self, scene: Scene) -> bool:
        """Somebody may act on several topics, but who leaves altogether does nothing else."""
        return self._done.get(scene.resident.number, set()).isdisjoint((EMAIL, scene.topic))


def _can_replay(scene: Scene) -> bool:
    """There must be a time later than MyPreferences' record and earlier than Dotdigital's withdrawal."""
    mine, theirs = scene.mine.at, scene.theirs.at
    return scene.are(OUT) and mine is not None and theirs is not None and theirs - mine > 2 * _MINUTE


def _replay(scene: Scene, _now: datetime) -> str:
    if scene.theirs.at is None:
        raise RuntimeError("an opt-in can only be replayed against a dated withdrawal")
    scene.tell_mypreferences(True, scene.theirs.at - _MINUTE, scene.frequency)
    return MYPREFERENCES


def _opt_in_again(scene: Scene, now: datetime) -> str:
    """Where Dotdigital's no is fresh, the person goes to MyPreferences; else to Dotdigital."""
    if scene.fresh:
        scene.tell_mypreferences(True, now, scene.frequency)
        return MYPREFERENCES
    return _in_at_dotdigital(scene, now)


def _out_at_dotdigital(scene: Scene, now: datetime) -> str:
    scene.tell_dotdigital(False, now)
    return DOTDIGITAL


def _out_at_mypreferences(scene: Scene, now: datetime) -> str:
    scene.tell_mypreferences(False, now)
    return MYPREFERENCES


def _in_at_dotdigital(scene: Scene, now: datetime) -> str:
    scene.tell_dotdigital(True, now, scene.frequency or "")
    return DOTDIGITAL


def _in_at_mypreferences(scene: Scene, now: datetime) -> str:
    scene.tell_mypreferences(True, now, scene.frequency)
    return MYPREFERENCES


def _opposites(scene: Scene, out_before: timedelta, now: datetime) -> str:
    scene.tell_dotdigital(False, now - out_before)
    scene.tell_mypreferences(True, now, next(iter(scene.mine.frequencies), None))
    return BOTH


def _at_once(scene: Scene, now: datetime) -> str:
    return _opposites(scene, timedelta(seconds=1), now)


def _one_after_the_other(scene: Scene, now: datetime) -> str:
    return _opposites(scene, timedelta(seconds=20), now)


def _weekly_at_dotdigital(scene: Scene, now: datetime) -> str:
    scene.tell_dotdigital(True, now, "WEEKLY")
    return DOTDIGITAL


def _weekly_at_mypreferences(scene: Scene, now: datetime) -> str:
    scene.tell_mypreferences(True, now, "WEEKLY")
    return MYPREFERENCES


def _unsubscribe(scene: Scene, now: datetime) -> str:
    scene.world.dotdigital.unsubscribe(scene.contact, now)
    return DOTDIGITAL


def _complain(scene: Scene, now: datetime) -> str:
    scene.world.dotdigital.complain(scene.contact, now)
    return DOTDIGITAL


def _bounce(scene: Scene, now: datetime) -> str:
    scene.world.dotdigital.bounce(scene.contact, now)
    return DOTDIGITAL


def _revoke(scene: Scene, now: datetime) -> str:
    scene.world.mypreferences.set_consent(scene.resident.profiles[0], EMAIL_CONSENT, "Revoked", now)
    return MYPREFERENCES


def _both_in(scene: Scene) -> bool:
    return scene.are(IN)


def _both_out(scene: Scene) -> bool:
    return scene.are(OUT)


def _never_asked(scene: Scene) -> bool:
    return scene.are(UNSET)


def _daily(scene: Scene) -> bool:
    return scene.are(IN) and scene.mine.frequencies == ("DAILY",)


def _mailed(scene: Scene) -> bool:
    return scene.mailed


def _mailed_with_topics(scene: Scene) -> bool:
    return scene.mailed and any(word.choice == IN for word in scene.standing.theirs.values())


def _names(*topics: TopicPair) -> tuple[str, ...]:
    return tuple(topic.id for topic in topics)


_ALL = _names(NEWSLETTER, PROFILING, OFFERS)
_PLAIN = _names(NEWSLETTER, OFFERS)  # the example mapping holds every conflict about profiling for a person
_OFFERS = _names(OFFERS)
_CHANNEL = (EMAIL,)

# In the order in which a small crowd is asked: what few can do comes first.
KINDS: tuple[Kind, ...] = (
    Kind(
        "replayed_opt_in",
        "an old file replays an opt-in from before the withdrawal",
        _PLAIN,
        1,
        _can_replay,
        _replay,
    ),
    Kind("opt_in_again", "changes their mind and opts in again", _PLAIN, 2, _both_out, _opt_in_again),
    Kind(
        "frequency_at_dotdigital", "wants offers weekly, not daily", _OFFERS, 2, _daily, _weekly_at_dotdigital
    ),
    Kind(
        "frequency_at_mypreferences",
        "wants offers weekly, not daily",
        _OFFERS,
        2,
        _daily,
        _weekly_at_mypreferences,
    ),
    Kind(
        "opposite_at_once",
        "says no at Dotdigital and yes at MyPreferences in the same moment",
        _PLAIN,
        1,
        _both_in,
        _at_once,
    ),
    Kind(
        "opt_in_against_opt_out",
        "says no at Dotdigital, and a little later yes at MyPreferences",
        _PLAIN,
        1,
        _both_in,
        _one_after_the_other,
    ),
    Kind("unsubscribe_link", "uses the unsubscribe link of an e-mail", _CHANNEL, 3, _mailed, _unsubscribe),
    Kind(
        "unsubscribe_keeps_preferences",
        "unsubscribes; the preferences stay as they are",
        _CHANNEL,
        2,
        _mailed_with_topics,
        _unsubscribe,
    ),
    Kind("consent_revoked", "revokes the consent to e-mail", _CHANNEL, 2, _mailed, _revoke),
    Kind("spam_complaint", "reports an e-mail as spam", _CHANNEL, 1, _mailed, _complain),
    Kind("hard_bounce", "has a mailbox that no longer exists: no choice", _CHANNEL, 2, _mailed, _bounce),
    Kind("opt_out_at_dotdigital", "opts out of a topic", _ALL, 5, _both_in, _out_at_dotdigital),
    Kind("opt_out_at_mypreferences", "opts out of a topic", _PLAIN, 5, _both_in, _out_at_mypreferences),
    Kind(
        "opt_in_at_mypreferences",
        "opts in to a topic for the first time",
        _ALL,
        4,
        _never_asked,
        _in_at_mypreferences,
    ),
    Kind(
        "opt_in_at_dotdigital",
        "opts in to a topic for the first time",
        _ALL,
        4,
        _never_asked,
        _in_at_dotdigital,
    ),
)
"""Every kind of act."""
