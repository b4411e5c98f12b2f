"""The crowd: who lives in a world to begin with, and how they go on acting."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from bridge.sandbox.acts import KINDS, Act, Actor, Kind
from bridge.sandbox.reading import IN, OUT, FilterOf
from bridge.sandbox.residents import EMAIL_CONSENT, Resident, Role, invent
from bridge.sandbox.world import TOPICS, World

MIN_PEOPLE = 20
SHARE = 0.10

_SPECIAL = (
    Role.BOUNCED,
    Role.PENDING,
    Role.ONLY_MYPREFERENCES,
    Role.ONLY_DOTDIGITAL,
    Role.MOBILE_ONLY,
    Role.SHARED,
    Role.LATE_AT_MYPREFERENCES,
    Role.LATE_AT_DOTDIGITAL,
)
_WEIGHTS = {
    Role.PLAIN: 910,
    Role.LATE_AT_MYPREFERENCES: 25,
    Role.LATE_AT_DOTDIGITAL: 15,
    Role.BOUNCED: 20,
    Role.PENDING: 10,
    Role.ONLY_MYPREFERENCES: 10,
    Role.ONLY_DOTDIGITAL: 10,
}
_DAILY, _WEEKLY = "DAILY", "WEEKLY"
# newsletter, offers (a frequency means in), profiling: the first plain people, so that in the smallest crowd
# too there is somebody for each kind of act.
_CAST: tuple[tuple[str, str, str], ...] = (
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
class _Wish:
    """A choice, and when each side learnt of it."""

    choice: str
    mine: datetime
    theirs: datetime
    frequency: str | None = None


class Crowd:
    """The people of `world`. The same world and seed give the same people, choices and acts.

    Raises ValueError for a world of fewer than 20 people.
    """

    def __init__(self, world: World, seed: int) -> None:
        if world.people < MIN_PEOPLE:
            raise ValueError(f"a crowd needs at least {MIN_PEOPLE} people; {world.people} were asked for")
        self._world = world
        self._rng = random.Random(f"crowd {seed}")
        self._mobiles = 0
        self.residents: list[Resident] = []

    def settle(self) -> None:
        """Move everybody in. Both sides agree, but for a few withdrawals that one side has not heard of.

        Takes the clock five seconds on. Raises RuntimeError when they live there already.
        """
        if self.residents:
            raise RuntimeError("this crowd has settled already")
        taken: set[str] = set()
        cast = list(_CAST)
        self._now = self._world.clock.now().replace(microsecond=0)
        for number, role in enumerate(self._roles()):
            resident = invent(self._rng, number, role, taken)
            fixed = cast.pop(0) if role is Role.PLAIN and cast else None
            self._move_in(resident, fixed)
            self.residents.append(resident)
        self._settled_at = self._world.clock.now()
        self._world.clock.advance(5)

    def act(self, count: int | None = None, *, pause: float = 30.0) -> list[Act]:
        """Let people act, at both sides and as themselves; returns what they did, in order.

        By default each kind of act occurs, and about a tenth of the people act. `count` asks for that many
        acts of random kinds instead; fewer, where nobody is left in a position to act so. The clock goes
        `pause` seconds on before the first act and as long again from then to the last.
        """
        clock = self._world.clock
        clock.advance(pause)
        actors = Actor(self._world, self._rng, self.residents, self._settled_at)
        kinds = self._kinds(count)
        done: list[Act] = []
        for kind in kinds:
            clock.advance(pause / max(len(kinds), 1))
            act = actors.perform(kind)
            if act is not None:
                done.append(act)
        return done

    def _kinds(self, count: int | None) -> list[Kind]:
        weights = [kind.weight for kind in KINDS]
        if count is not None:
            return self._rng.choices(KINDS, weights, k=count)
        more = max(0, round(SHARE * len(self.residents)) - len(KINDS))
        return [*KINDS, *self._rng.choices(KINDS, weights, k=more)]

    def _roles(self) -> list[Role]:
        rest = self._world.people - len(_SPECIAL) - len(_CAST)
        drawn = self._rng.choices(list(_WEIGHTS), list(_WEIGHTS.values()), k=rest)
        roles = [*_SPECIAL, *[Role.PLAIN] * len(_CAST), *drawn]
        self._rng.shuffle(roles)
        return roles

    def _move_in(self, resident: Resident, fixed: tuple[str, str, str] | None) -> None:
        if resident.role is Role.MOBILE_ONLY:
            self._mobiles += 1
            mobile = f"+4477009{self._mobiles:05d}"
            resident.contact = self._world.dotdigital.add_contact(None, mobile=mobile)
            return
        wishes = self._wishes(resident.role, fixed)
        if resident.role is not Role.ONLY_DOTDIGITAL:
            twice = 2 if resident.role is Role.SHARED else 1
            resident.profiles = tuple(self._profile(resident, wishes) for _ in range(twice))
        if resident.role is not Role.ONLY_MYPREFERENCES:
            resident.contact = self._contact(resident, wishes)
        if resident.role is Role.LATE_AT_MYPREFERENCES:
            self._withdraw_late(resident, wishes)

    def _wishes(self, role: Role, fixed: tuple[str, str, str] | None) -> dict[str, _Wish]:
        drawn = {name: self._rng.choices(words, chances)[0] for name, (words, chances) in _CHANCES.items()}
        if fixed is not None:
            drawn |= {"newsletter": fixed[0], "offers": fixed[1], "profiling": fixed[2], "email": "Granted"}
        elif role is not Role.PLAIN:
            drawn["email"] = "Granted"
        if role is Role.LATE_AT_MYPREFERENCES:
            drawn["newsletter"] = IN
        return {name: self._wish(word, fixed is not None) for name, word in drawn.items() if word}

    def _wish(self, word: str, said_to_mypreferences: bool) -> _Wish:
        """A choice of the last two years; a nightly file took it to the other side within three days."""
        said = self._now - timedelta(days=self._rng.randint(10, 730), seconds=self._rng.randint(0, 86_399))
        copied = said + timedelta(seconds=self._rng.randint(10_800, 259_200))
        here = said_to_mypreferences or self._rng.random() < 0.5
        mine, theirs = (said, copied) if here else (copied, said)
        if word in (_DAILY, _WEEKLY):
            return _Wish(IN, mine, theirs, word)
        return _Wish(word, mine, theirs)

    def _profile(self, resident: Resident, wishes: dict[str, _Wish]) -> int:
        preferences: dict[str, tuple[str, datetime, str | None]] = {}
        consents: dict[str, tuple[int | str, datetime | None]] = {}
        for topic in TOPICS:
            wish = wishes.get(topic.id)
            if wish is None:
                continue
            if isinstance(topic.source, FilterOf):
                preferences[topic.source.filter] = (wish.choice, wish.mine, wish.frequency)
            else:
                consents[topic.source.consent] = ("Granted" if wish.choice == IN else "Revoked", wish.mine)
        if channel := wishes.get("email"):
            consents[EMAIL_CONSENT] = (channel.choice, channel.mine)
        return self._world.mypreferences.add_profile(
            [("Primary", resident.address)], preferences=preferences, consents=consents
        )

    def _contact(self, resident: Resident, wishes: dict[str, _Wish]) -> int:
        said: dict[int, tuple[bool, datetime | None]] = {}
        for topic in TOPICS:
            wish = wishes.get(topic.id)
            if wish is not None:
                for name, number in topic.preferences.items():
                    said[number] = (wish.choice == IN and (wish.frequency or "") == name, wish.theirs)
        status, since = self._status(resident.role, wishes.get("email"))
        return self._world.dotdigital.add_contact(resident.theirs, status, said, when=since)

    def _status(self, role: Role, channel: _Wish | None) -> tuple[str, datetime | None]:
        lately = self._now - timedelta(days=self._rng.randint(1, 6), seconds=self._rng.randint(0, 80_000))
        match role:
            case Role.BOUNCED:
                return "HardBounced", lately
            case Role.PENDING:
                return "PendingOptIn", None
            case Role.LATE_AT_DOTDIGITAL:
                return "Unsubscribed", lately
        if channel is not None and channel.choice != "Granted":
            return "Unsubscribed", channel.theirs
        return "Subscribed", None

    def _withdraw_late(self, resident: Resident, wishes: dict[str, _Wish]) -> None:
        """A withdrawal of the last days that nothing has taken to Dotdigital yet."""
        when = self._now - timedelta(days=self._rng.randint(1, 6), seconds=self._rng.randint(0, 80_000))
        state, profile = self._world.mypreferences, resident.profiles[0]
        if resident.number % 3 == 0:
            state.set_consent(profile, EMAIL_CONSENT, "Revoked", when)
        elif "offers" in wishes and wishes["offers"].choice == IN and resident.number % 3 == 1:
            state.set_preference(profile, "OFFERS_EMAIL", False, when)
        else:
            state.set_preference(profile, "NEWS_EMAIL", False, when)
