"""All profiles, findable by id, e-mail address and alternate id."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from bridge.sandbox.mypreferences.records import EMAIL, PHONE, Element, Kind, Profile, element_key


@dataclass(frozen=True)
class Deleted:
    """What is left of a deleted profile."""

    profile_id: int
    deleted: datetime
    reason_code: str


class People:
    """Profiles and their indexes. Not thread-safe: the state's lock guards it."""

    def __init__(self) -> None:
        self._by_id: dict[int, Profile] = {}
        self._by_element: dict[tuple[str, str], dict[int, None]] = {}
        self._by_alternate: dict[tuple[str, str], int] = {}
        self._next = 1001
        self._gone: set[int] = set()
        self.deleted: list[Deleted] = []

    def __iter__(self) -> Iterator[Profile]:
        return iter(self._by_id.values())

    def __len__(self) -> int:
        return len(self._by_id)

    def next_id(self) -> int:
        """A fresh profile id."""
        self._next += 1
        return self._next - 1

    def add(self, profile: Profile) -> None:
        """Keep a new profile; its addresses and ids are indexed as they are added."""
        self._by_id[profile.profile_id] = profile

    def get(self, profile_id: int) -> Profile | None:
        """The profile of that id, active or not."""
        return self._by_id.get(profile_id)

    def by_email(self, address: str) -> list[Profile]:
        """Profiles that hold the address (trimmed, any case), oldest first."""
        return self.holders(EMAIL, element_key(EMAIL, address, {}))

    def by_phone(self, number: str) -> list[Profile]:
        """Profiles that hold a phone of the same digits, oldest first."""
        return self.holders(PHONE, element_key(PHONE, number, {}))

    def holders(self, kind: Kind, key: str) -> list[Profile]:
        """Profiles with an active element of that key, oldest first."""
        return [self._by_id[item] for item in self._by_element.get((kind.name, key), {})]

    def by_alternate_id(self, type_name: str, value: str) -> Profile | None:
        """The profile with that alternate id (any case)."""
        found = self._by_alternate.get((type_name.lower(), value.lower()))
        return None if found is None else self._by_id[found]

    def index(self, profile: Profile, element: Element) -> None:
        """Make a profile findable by an element."""
        self._by_element.setdefault((element.kind.name, element.key), {})[profile.profile_id] = None

    def unindex(self, profile: Profile, element: Element) -> None:
        """Forget that a profile holds an element."""
        key = (element.kind.name, element.key)
        holders = self._by_element.get(key, {})
        holders.pop(profile.profile_id, None)
        if not holders:
            self._by_element.pop(key, None)

    def index_alternate_id(self, profile: Profile, type_name: str, value: str) -> None:
        """Make a profile findable by an alternate id; the first holder stays."""
        self._by_alternate.setdefault((type_name.lower(), value.lower()), profile.profile_id)

    def unindex_alternate_id(self, profile: Profile, type_name: str, value: str) -> None:
        """Forget an alternate id of a profile."""
        key = (type_name.lower(), value.lower())
        if self._by_alternate.get(key) == profile.profile_id:
            del self._by_alternate[key]

    def was_deleted(self, profile_id: int) -> bool:
        """Whether a profile of that id existed and was deleted."""
        return profile_id in self._gone

    def remove(self, profile: Profile, moment: datetime, reason: str) -> None:
        """Delete a profile for good."""
        for element in profile.elements:
            self.unindex(profile, element)
        for type_name, value in profile.alternate_ids.items():
            self.unindex_alternate_id(profile, type_name, value)
        del self._by_id[profile.profile_id]
        self._gone.add(profile.profile_id)
        self.deleted.append(Deleted(profile.profile_id, moment, reason))
