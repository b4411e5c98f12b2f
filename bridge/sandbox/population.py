"""The population: whom both services know at the beginning, and how they act from then on."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from bridge.sandbox.actions import ACTION_TYPES, Action, ActionRunner, ActionType
from bridge.sandbox.people import EMAIL_CONSENT, PersonRole, SandboxPerson, invent
from bridge.sandbox.vendor_reads import IN, OUT, FilterOf
from bridge.sandbox.world import TOPICS, World

MIN_PEOPLE = 20
SHARE = 0.10

_WEIGHTS = {
    PersonRole.PLAIN: 910,
    PersonRole.LATE_AT_MYPREFERENCES: 25,
    PersonRole.LATE_AT_DOTDIGITAL: 15,
    PersonRole.BOUNCED: 20,
    PersonRole.PENDING: 10,
    PersonRole.ONLY_MYPREFERENCES: 10,
    PersonRole.ONLY_DOTDIGITAL: 10,
}
_ONE_OF_EACH = (
    PersonRole.BOUNCED,
    PersonRole.PENDING,
    PersonRole.ONLY_MYPREFERENCES,
    PersonRole.ONLY_DOTDIGITAL,
    PersonRole.MOBILE_ONLY,
    PersonRole.SHARED,
    PersonRole.LATE_AT_MYPREFERENCES,
    PersonRole.LATE_AT_DOTDIGITAL,
)
_DAILY, _WEEKLY = "DAILY", "WEEKLY"
# newsletter, offers (a frequency means in), profiling: the first plain people, so that the smallest
# population too has a person for each type of action.
_FIRST_PLAIN: tuple[tuple[str, str, str], ...] = (
    (IN, _DAILY, ""),
    (IN, _DAILY, ""),
    (OUT, _WEEKLY, ""),
    ("", OUT, IN),
    (IN, _WEEKLY, ""),
    (IN, "", IN),
    *((IN, frequency, IN) for frequency in (_DAILY, _WEEKLY, "", _DAILY, _WEEKLY, _DAILY)),
)
_CHANCES: dict[str, tuple[Sequence[str], Sequence[int]]] = {
    "newsletter": ((IN, OUT, ""), (50, 25, 25)),
    "offers": ((_DAILY, _WEEKLY, OUT, ""), (22, 23, 25, 30)),
    "profiling": ((IN, OUT, ""), (35, 15, 50)),
    "email": (("Granted", "Revoked", "Denied", ""), (88, 4, 2, 6)),
}


@dataclass(frozen=True, slots=True)
class _Statement:
    """A choice, and when it was made as each side records it."""

    choice: str
    at_mypreferences: datetime
    at_dotdigital: datetime
    frequency: str | None = None


class Population:
    """The people of `world`. The same world and seed give the same people, choices and actions.

    Raises ValueError for a world of fewer than 20 people.
    """

    def __init__(self, world: World, seed: int) -> None:
        if world.people < MIN_PEOPLE:
            raise ValueError(f"the sandbox needs at least {MIN_PEOPLE} people; {world.people} were asked for")
        self._world = world
        self._rng = random.Random(f"crowd {seed}")  # another text would give other people for a seed
        self._mobiles = 0
        self.people: list[SandboxPerson] = []

    def create(self) -> None:
        """Create everybody at the services. Both sides agree, but for a few withdrawals that only one has.

        Moves the clock five seconds on. Raises RuntimeError when it was done already.
        """
        if self.people:
            raise RuntimeError("this population was created already")
        taken: set[str] = set()
        first_plain = list(_FIRST_PLAIN)
        self._now = self._world.clock.now().replace(microsecond=0)
        for number, role in enumerate(self._roles()):
            person = invent(self._rng, number, role, taken)
            fixed = first_plain.pop(0) if role is PersonRole.PLAIN and first_plain else None
            self._create(person, fixed)
            self.people.append(person)
        self._created_at = self._world.clock.now()
        self._world.clock.advance(5)

    def act(self, count: int | None = None, *, pause: float = 30.0) -> list[Action]:
        """Let people act, at both sides and as themselves; returns what they did, in order.

        By default each type of action occurs, and about a tenth of the people act. `count` asks for that many
        actions of random types instead; there are fewer where nobody is left who can take them. The clock
        moves `pause` seconds before the first action, and as long again from then to the last.
        """
        clock = self._world.clock
        clock.advance(pause)
        runner = ActionRunner(self._world, self._rng, self.people, self._created_at)
        kinds = self._kinds(count)
        done: list[Action] = []
        for kind in kinds:
            clock.advance(pause / max(len(kinds), 1))
            action = runner.perform(kind)
            if action is not None:
                done.append(action)
        return done

    def _kinds(self, count: int | None) -> list[ActionType]:
        weights = [kind.weight for kind in ACTION_TYPES]
        if count is not None:
            return self._rng.choices(ACTION_TYPES, weights, k=count)
        more = max(0, round(SHARE * len(self.people)) - len(ACTION_TYPES))
        return [*ACTION_TYPES, *self._rng.choices(ACTION_TYPES, weights, k=more)]

    def _roles(self) -> list[PersonRole]:
        rest = self._world.people - len(_ONE_OF_EACH) - len(_FIRST_PLAIN)
        drawn = self._rng.choices(list(_WEIGHTS), list(_WEIGHTS.values()), k=rest)
        roles = [*_ONE_OF_EACH, *[PersonRole.PLAIN] * len(_FIRST_PLAIN), *drawn]
        self._rng.shuffle(roles)
        return roles

    def _create(self, person: SandboxPerson, fixed: tuple[str, str, str] | None) -> None:
        if person.role is PersonRole.MOBILE_ONLY:
            self._mobiles += 1
            mobile = f"+4477009{self._mobiles:05d}"
            person.contact = self._world.dotdigital.add_contact(None, mobile=mobile)
            return
        stated = self._statements(person.role, fixed)
        if person.role is not PersonRole.ONLY_DOTDIGITAL:
            count = 2 if person.role is PersonRole.SHARED else 1
            person.profiles = tuple(self._add_profile(person, stated) for _ in range(count))
        if person.role is not PersonRole.ONLY_MYPREFERENCES:
            person.contact = self._add_contact(person, stated)
        if person.role is PersonRole.LATE_AT_MYPREFERENCES:
            self._withdraw_late(person, stated)

    def _statements(self, role: PersonRole, fixed: tuple[str, str, str] | None) -> dict[str, _Statement]:
        drawn = {name: self._rng.choices(words, chances)[0] for name, (words, chances) in _CHANCES.items()}
        if fixed is not None:
            drawn |= {"newsletter": fixed[0], "offers": fixed[1], "profiling": fixed[2], "email": "Granted"}
        elif role is not PersonRole.PLAIN:
            drawn["email"] = "Granted"
        if role is PersonRole.LATE_AT_MYPREFERENCES:
            drawn["newsletter"] = IN
        return {name: self._statement(word, fixed is not None) for name, word in drawn.items() if word}

    def _statement(self, word: str, made_at_mypreferences: bool) -> _Statement:
        """A choice of the last two years; a nightly file took it to the other side within three days."""
        made = self._now - timedelta(days=self._rng.randint(10, 730), seconds=self._rng.randint(0, 86_399))
        copied = made + timedelta(seconds=self._rng.randint(10_800, 259_200))
        here = made_at_mypreferences or self._rng.random() < 0.5
        dates = (made, copied) if here else (copied, made)
        return _Statement(IN, *dates, word) if word in (_DAILY, _WEEKLY) else _Statement(word, *dates)

    def _add_profile(self, person: SandboxPerson, stated: dict[str, _Statement]) -> int:
        preferences: dict[str, tuple[str, datetime, str | None]] = {}
        consents: dict[str, tuple[int | str, datetime | None]] = {}
        for topic in TOPICS:
            item = stated.get(topic.id)
            if item is None:
                continue
            if isinstance(topic.source, FilterOf):
                preferences[topic.source.filter] = (item.choice, item.at_mypreferences, item.frequency)
            else:
                status = "Granted" if item.choice == IN else "Revoked"
                consents[topic.source.consent] = (status, item.at_mypreferences)
        if channel := stated.get("email"):
            consents[EMAIL_CONSENT] = (channel.choice, channel.at_mypreferences)
        return self._world.mypreferences.add_profile(
            [("Primary", person.address)], preferences=preferences, consents=consents
        )

    def _add_contact(self, person: SandboxPerson, stated: dict[str, _Statement]) -> int:
        preferences: dict[int, tuple[bool, datetime | None]] = {}
        for topic in TOPICS:
            if item := stated.get(topic.id):
                for name, number in topic.preferences.items():
                    opted_in = item.choice == IN and (item.frequency or "") == name
                    preferences[number] = (opted_in, item.at_dotdigital)
        status, since = self._status(person.role, stated.get("email"))
        address = person.dotdigital_address
        return self._world.dotdigital.add_contact(address, status, preferences, when=since)

    def _status(self, role: PersonRole, channel: _Statement | None) -> tuple[str, datetime | None]:
        lately = self._lately()
        match role:
            case PersonRole.BOUNCED:
                return "HardBounced", lately
            case PersonRole.PENDING:
                return "PendingOptIn", None
            case PersonRole.LATE_AT_DOTDIGITAL:
                return "Unsubscribed", lately
        if channel is not None and channel.choice != "Granted":
            return "Unsubscribed", channel.at_dotdigital
        return "Subscribed", None

    def _lately(self) -> datetime:
        return self._now - timedelta(days=self._rng.randint(1, 6), seconds=self._rng.randint(0, 80_000))

    def _withdraw_late(self, person: SandboxPerson, stated: dict[str, _Statement]) -> None:
        """A withdrawal of the last days that nothing has taken to Dotdigital yet."""
        when, state, profile = self._lately(), self._world.mypreferences, person.profiles[0]
        if person.number % 3 == 0:
            state.set_consent(profile, EMAIL_CONSENT, "Revoked", when)
        elif "offers" in stated and stated["offers"].choice == IN and person.number % 3 == 1:
            state.set_preference(profile, "OFFERS_EMAIL", False, when)
        else:
            state.set_preference(profile, "NEWS_EMAIL", False, when)
