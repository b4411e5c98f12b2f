"""The people of the sandbox: their invention, and what each side records of them."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from bridge.sandbox.vendor_reads import IN, OUT, UNSET, FilterOf, TopicPair
from bridge.sandbox.world import TOPICS, World

EMAIL_CONSENT = "EmailMarketing"

# fmt: off
_FIRST = (
    "Ada", "Amira", "Anders", "Beatriz", "Bruno", "Carla", "Cem", "Chiara", "Daniel", "Dilan",
    "Elif", "Emil", "Esra", "Farid", "Femke", "Greta", "Hamza", "Hanna", "Ines", "Ivan", "Jana",
    "Jonas", "Karim", "Katja", "Lars", "Leila", "Lena", "Luca", "Maja", "Malik", "Mara", "Mateo",
    "Mina", "Nadia", "Nils", "Nora", "Oskar", "Paula", "Piotr", "Quentin", "Rana", "Rosa", "Samir",
    "Sara", "Selma", "Simon", "Sofia", "Tariq", "Tessa", "Tom", "Ursula", "Vera", "Viktor", "Wanda",
    "Yara", "Yusuf", "Zoe",
)
_LAST = (
    "Abel", "Aydin", "Bakker", "Becker", "Berg", "Bianchi", "Castro", "Costa", "Demir", "Dupont",
    "Eriksen", "Farkas", "Fischer", "Garcia", "Haas", "Hansen", "Ivanova", "Jansen", "Kaya",
    "Keller", "Klein", "Kowalski", "Lang", "Larsen", "Lopez", "Mancini", "Meyer", "Moreau", "Nagy",
    "Novak", "Olsen", "Ozturk", "Peeters", "Petrov", "Quist", "Ricci", "Romano", "Sanchez",
    "Schmidt", "Silva", "Tanaka", "Thomsen", "Urban", "Vogel", "Wagner", "Weber", "Winter",
    "Yilmaz", "Zimmer",
)
# fmt: on
_DOMAINS = ("example.com", "example.org", "example.net")


class PersonRole(StrEnum):
    """What is special about a person; most people are plain."""

    PLAIN = "plain"
    LATE_AT_MYPREFERENCES = "withdrew at MyPreferences only"
    LATE_AT_DOTDIGITAL = "unsubscribed at Dotdigital only"
    BOUNCED = "mail bounces"
    PENDING = "has not confirmed yet"
    ONLY_MYPREFERENCES = "known at MyPreferences only"
    ONLY_DOTDIGITAL = "known at Dotdigital only"
    MOBILE_ONLY = "no e-mail address"
    SHARED = "two profiles, one address"


ACTIVE = frozenset({PersonRole.PLAIN, PersonRole.LATE_AT_MYPREFERENCES, PersonRole.LATE_AT_DOTDIGITAL})
"""Those who may act: known at both sides, once each, and reachable."""


@dataclass(slots=True)
class SandboxPerson:
    """One person. The address may differ in case: `address` at MyPreferences, `dotdigital_address` there."""

    number: int
    role: PersonRole
    name: str
    address: str
    dotdigital_address: str
    profiles: tuple[int, ...] = ()
    contact: int | None = None


@dataclass(frozen=True, slots=True)
class RecordedChoice:
    """What one side records of one topic."""

    choice: str
    at: datetime | None = None
    frequencies: tuple[str, ...] = ()


NOTHING_RECORDED = RecordedChoice(UNSET)


@dataclass(frozen=True, slots=True)
class PersonState:
    """What both sides record of a person now, by topic; MyPreferences records the channel too, as "email".

    `status` is the e-mail status at Dotdigital.
    """

    mypreferences: Mapping[str, RecordedChoice]
    dotdigital: Mapping[str, RecordedChoice]
    status: str


class RecordedPeople:
    """What both services record of everybody at one time."""

    def __init__(self, world: World) -> None:
        self._profiles = {row["profile_id"]: row for row in world.mypreferences.people()}
        self._contacts = {row["id"]: row for row in world.dotdigital.people()}

    def of(self, person: SandboxPerson) -> PersonState | None:
        """What is recorded of a person; None for those who cannot act: at one side only, or deleted."""
        profile = self._profiles.get(person.profiles[0]) if len(person.profiles) == 1 else None
        contact = self._contacts.get(person.contact)
        if person.role not in ACTIVE or profile is None or contact is None or contact["binned"]:
            return None
        mypreferences = {topic.id: _at_mypreferences(profile, topic) for topic in TOPICS}
        mypreferences["email"] = _consent(profile, EMAIL_CONSENT)
        dotdigital = {topic.id: _at_dotdigital(contact, topic) for topic in TOPICS}
        return PersonState(mypreferences, dotdigital, contact["status"])


def invent(rng: random.Random, number: int, role: PersonRole, taken: set[str]) -> SandboxPerson:
    """A person whose address nobody has yet: some with a `+`, some written in mixed case at one side."""
    first, last = rng.choice(_FIRST), rng.choice(_LAST)
    local = f"{first}.{last}".lower()
    if number % 11 == 3:
        local += "+news"
    domain = rng.choice(_DOMAINS)
    address, again = f"{local}@{domain}", 2
    while address in taken:
        stem, plus, tag = local.partition("+")
        address, again = f"{stem}{again}{plus}{tag}@{domain}", again + 1
    taken.add(address)
    written = address.replace(first.lower(), first, 1).replace(last.lower(), last, 1)
    if number % 13 == 5:
        return SandboxPerson(number, role, f"{first} {last}", written, address)
    if number % 17 == 7:
        return SandboxPerson(number, role, f"{first} {last}", address, written)
    return SandboxPerson(number, role, f"{first} {last}", address, address)


def _at_mypreferences(profile: Mapping[str, Any], topic: TopicPair) -> RecordedChoice:
    if not isinstance(topic.source, FilterOf):
        return _consent(profile, topic.source.consent)
    held = profile["emails"][0]["preferences"].get(topic.source.filter)
    if held is None or held["archived"]:
        return NOTHING_RECORDED
    frequencies = (held["frequency"],) if held["choice"] == IN and held["frequency"] else ()
    return RecordedChoice(held["choice"], _moment(held["customer_date"]), frequencies)


def _consent(profile: Mapping[str, Any], name: str) -> RecordedChoice:
    held = next((item for item in profile["consents"] if item["type"] == name), None)
    if held is None or held["status"] == "NotSet":
        return NOTHING_RECORDED
    return RecordedChoice(IN if held["status"] == "Granted" else OUT, _moment(held["date"]))


def _at_dotdigital(contact: Mapping[str, Any], topic: TopicPair) -> RecordedChoice:
    rows = {
        name: contact["preferences"][str(number)]
        for name, number in topic.preferences.items()
        if str(number) in contact["preferences"]
    }
    if not rows:
        return NOTHING_RECORDED
    at = max(_moment(row["modified"]) for row in rows.values())
    inside = tuple(name for name, row in rows.items() if row["opted_in"])
    return RecordedChoice(IN if inside else OUT, at, tuple(name for name in inside if name))


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text)
