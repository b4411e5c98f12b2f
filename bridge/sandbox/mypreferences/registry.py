"""All profiles of the account, findable by id, contact point and alternate id."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from bridge.sandbox.mypreferences.records import ContactKind, StoredContactPoint, StoredProfile


@dataclass(frozen=True)
class DeletedProfile:
    """What is left of a deleted profile."""

    profile_id: int
    deleted: datetime
    reason_code: str


class ProfileRegistry:
    """Profiles and their indexes. Not thread-safe: the account's lock guards it."""

    def __init__(self) -> None:
        self._by_id: dict[int, StoredProfile] = {}
        self._by_point: dict[tuple[str, str], dict[int, None]] = {}
        self._by_alternate_id: dict[tuple[str, str], int] = {}
        self._next_id = 1001
        self.deleted: list[DeletedProfile] = []

    def __iter__(self) -> Iterator[StoredProfile]:
        return iter(self._by_id.values())

    def next_id(self) -> int:
        """A fresh profile id."""
        self._next_id += 1
        return self._next_id - 1

    def add(self, profile: StoredProfile) -> None:
        """Keep a new profile; its contact points and ids are indexed as they are added."""
        self._by_id[profile.profile_id] = profile

    def remove(self, profile: StoredProfile, moment: datetime, reason: str) -> None:
        """Delete a profile for good."""
        for point in profile.points:
            self.unindex(profile, point)
        for type_name, value in profile.alternate_ids.items():
            self.unindex_alternate_id(profile, type_name, value)
        del self._by_id[profile.profile_id]
        self.deleted.append(DeletedProfile(profile.profile_id, moment, reason))

    def get(self, profile_id: int) -> StoredProfile | None:
        """The profile of that id, active or not."""
        return self._by_id.get(profile_id)

    def existed(self, profile_id: int) -> bool:
        """Whether there is a profile of that id, or was one that has been deleted."""
        return profile_id in self._by_id or any(item.profile_id == profile_id for item in self.deleted)

    def by_contact(self, kind: ContactKind, key: str) -> list[StoredProfile]:
        """Profiles with an active contact point of that key, oldest first."""
        return [self._by_id[profile_id] for profile_id in self._by_point.get((kind.name, key), {})]

    def by_alternate_id(self, type_name: str, value: str) -> StoredProfile | None:
        """The profile with that alternate id (any case)."""
        found = self._by_alternate_id.get((type_name.lower(), value.lower()))
        return None if found is None else self._by_id[found]

    def index(self, profile: StoredProfile, point: StoredContactPoint) -> None:
        """Make a profile findable by a contact point."""
        self._by_point.setdefault((point.kind.name, point.key), {})[profile.profile_id] = None

    def unindex(self, profile: StoredProfile, point: StoredContactPoint) -> None:
        """Forget that a profile has a contact point."""
        key = (point.kind.name, point.key)
        holders = self._by_point.get(key, {})
        holders.pop(profile.profile_id, None)
        if not holders:
            self._by_point.pop(key, None)

    def index_alternate_id(self, profile: StoredProfile, type_name: str, value: str) -> None:
        """Make a profile findable by an alternate id; the first holder stays."""
        self._by_alternate_id.setdefault((type_name.lower(), value.lower()), profile.profile_id)

    def unindex_alternate_id(self, profile: StoredProfile, type_name: str, value: str) -> None:
        """Forget an alternate id of a profile."""
        key = (type_name.lower(), value.lower())
        if self._by_alternate_id.get(key) == profile.profile_id:
            del self._by_alternate_id[key]
