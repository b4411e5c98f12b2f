"""Which profiles are a person's: by address, and by the alternate id that names their Dotdigital contact.

An alternate id says who a person is, not which address they opted in with. A linked profile that holds other
addresses only therefore receives the person's withdrawals, and no opt-in.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

from bridge.core.addresses import spellings
from bridge.core.errors import Ambiguous, MappingStale, NotFound, Refused, SideError
from bridge.core.model import Side, Who
from bridge.core.ports import DATA_ERRORS, unexpected
from bridge.mypreferences import views
from bridge.mypreferences.client import MyPreferencesClient
from bridge.mypreferences.wire.profiles import Profile

A = TypeVar("A")
B = TypeVar("B")
Target = tuple[Profile, str | None]
"""A profile, and the address that a withdrawal is written under; None: every address of the profile."""

_THREADS = 4


@dataclass(frozen=True, slots=True)
class ProfileMatch:
    """The active profiles of one person. `profiles` hold the address; `linked` name the person's contact and
    hold other addresses only; `named` is the only one of `profiles` that names the contact."""

    address: str
    profiles: Sequence[Profile]
    linked: Sequence[Profile] = ()
    named: Profile | None = None

    @property
    def targets(self) -> list[Target]:
        """Where a withdrawal is written."""
        return [*((one, self.address) for one in self.profiles), *((one, None) for one in self.linked)]

    @property
    def certain(self) -> Profile | None:
        """The one profile that tells how this person consented, if it is certain."""
        return self.profiles[0] if len(self.profiles) == 1 and not self.linked else self.named


class ProfileFinder:
    """Finds people's profiles. `alternate_id_type`: the type whose values are Dotdigital contactIds; None:
    by address only. Every method raises SideError."""

    def __init__(self, client: MyPreferencesClient, alternate_id_type: str | None) -> None:
        self._client = client
        self._type = alternate_id_type or ""

    def find(self, who: Who) -> ProfileMatch:
        """By address; and by the alternate id, unless a profile with the address names the contact."""
        known = who.ids.get(Side.MYPREFERENCES, ())
        profiles = self.by_address(who.address, known)
        if not self._type or not who.ids.get(Side.DOTDIGITAL):
            return ProfileMatch(who.address, profiles)
        named = [profile for profile in profiles if self._names(profile, who)]
        linked = [] if named else list(self._linked(who))
        return ProfileMatch(who.address, profiles, linked, named[0] if len(named) == 1 else None)

    def by_address(self, address: str, ids: Sequence[str]) -> list[Profile]:
        """The active profiles that hold the address. Known `ids` are read where the search finds none: where
        their address changed, this person no longer exists under this one."""
        ways = map(self._client.retrieve_profiles_by_email, spellings(address))
        held = {one.id: one for profiles in ways for one in profiles if _holds(one, address)}
        found = list(held.values())
        if not found:
            by_id = (self.by_id(profile_id) for profile_id in ids)
            found = [one for one in by_id if one is not None and _holds(one, address)]
        return found

    def by_id(self, profile_id: str) -> Profile | None:
        """One profile, also an inactive one."""
        try:
            return self._client.retrieve_profile_by_id(profile_id)
        except NotFound:
            return None

    def contact_ids(self, profile: Profile) -> set[str]:
        """The contacts that a profile names."""
        kind = self._type.casefold()
        pairs = (item.pair for item in profile.alternate_ids or ())
        return {value for name, value in pairs if kind and name == kind and value}

    def _names(self, profile: Profile, who: Who) -> bool:
        contacts = {item.strip().casefold() for item in who.ids.get(Side.DOTDIGITAL, ())}
        return bool(self.contact_ids(profile) & contacts)

    def _linked(self, who: Who) -> Iterator[Profile]:
        """The profiles that name the person's contacts and do not hold the address. An error for one of them
        is passed over: it must not keep a withdrawal from the profiles that hold the address."""
        found: dict[str, Profile] = {}
        for contact in who.ids.get(Side.DOTDIGITAL, ()):
            try:
                profile = self._client.retrieve_profile_by_alternate_id(self._type, contact)
            except (Ambiguous, MappingStale, NotFound, Refused):
                continue
            found[profile.id] = profile
        for profile in found.values():
            usable = profile.active and self._names(profile, who) and bool(views.addresses(profile))
            if usable and not _holds(profile, who.address):
                yield profile


def read_in_parallel(read: Callable[[A], B], items: Sequence[A]) -> list[B | SideError]:
    """A result or error for each, in order, a few calls at a time. After an error that stops the side the
    rest are not read: they get the same error."""
    stopped: list[SideError] = []

    def attempt(item: A) -> B | SideError:
        if stopped:
            return stopped[0]
        try:
            return read(item)
        except SideError as error:
            if error.stops_side:
                stopped.append(error)
            return error
        except DATA_ERRORS as error:
            return unexpected(Side.MYPREFERENCES, error)

    if len(items) == 1:
        return [attempt(items[0])]
    with ThreadPoolExecutor(_THREADS) as pool:
        return list(pool.map(attempt, items))


def _holds(profile: Profile, address: str) -> bool:
    return profile.active and bool(views.elements(profile, address))
