"""Which profiles are a person's: by address, and by the alternate id that names their Dotdigital contact.

An alternate id says who somebody is, not which address they opted in with. A profile that is theirs but holds
other addresses only is therefore told of withdrawals, and given no consent.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from bridge.core.errors import Ambiguous, MappingStale, NotFound, Refused
from bridge.core.model import Side, Who
from bridge.mypreferences import views, wire
from bridge.mypreferences.client import MyPreferencesClient

Target = tuple[wire.Profile, str | None]  # None: under every address that it has


@dataclass(frozen=True, slots=True)
class ProfileMatch:
    """The active profiles of one person. `here` hold the address; `elsewhere` are pinned to the person's
    contact and hold other addresses only; `pinned` is the only one of `here` that names the contact."""

    address: str
    here: Sequence[wire.Profile]
    elsewhere: Sequence[wire.Profile] = ()
    pinned: wire.Profile | None = None

    @property
    def all(self) -> list[Target]:
        """Whom a withdrawal goes to, and under which address."""
        return [*((one, self.address) for one in self.here), *((one, None) for one in self.elsewhere)]

    @property
    def mine(self) -> wire.Profile | None:
        """The one profile that tells how this person consented, if it is certain."""
        alone = len(self.here) == 1 and not self.elsewhere
        return self.here[0] if alone else self.pinned


class ProfileFinder:
    """Finds people's profiles. `alternate_id_type`: the type whose values are Dotdigital contactIds; None:
    by address alone. Every method raises SideError."""

    def __init__(self, client: MyPreferencesClient, alternate_id_type: str | None) -> None:
        self._client = client
        self._type = alternate_id_type or ""

    def bound(self, who: Who) -> ProfileMatch:
        """By the alternate id, unless a profile that has the address names the contact; and by address."""
        known = who.ids.get(Side.MYPREFERENCES, ())
        here = self.here(who.address, known)
        named = [profile for profile in here if self._names(profile, who)]
        elsewhere = [] if named else list(self._by_alternate_id(who))
        return ProfileMatch(who.address, here, elsewhere, named[0] if len(named) == 1 else None)

    def here(self, address: str, ids: Sequence[str]) -> list[wire.Profile]:
        """The active profiles that hold the address. Known ids are asked for where the search finds nobody:
        an address that changed means that this person is not there any more, under this address."""
        found = [one for one in self._client.retrieve_profiles_by_email(address) if _holds(one, address)]
        if not found:
            by_id = (self.profile(profile_id) for profile_id in ids)
            found = [one for one in by_id if one is not None and _holds(one, address)]
        return found

    def profile(self, profile_id: str) -> wire.Profile | None:
        """One profile, also inactive."""
        try:
            return self._client.retrieve_profile_by_id(profile_id)
        except NotFound:
            return None

    def pins(self, profile: wire.Profile) -> set[str]:
        """The contacts that a profile names."""
        kind = self._type.casefold()
        pairs = (item.pair for item in profile.alternate_ids or ())
        return {value for name, value in pairs if kind and name == kind and value}

    def _names(self, profile: wire.Profile, who: Who) -> bool:
        names = {item.strip().casefold() for item in who.ids.get(Side.DOTDIGITAL, ())}
        return bool(self.pins(profile) & names)

    def _by_alternate_id(self, who: Who) -> Iterator[wire.Profile]:
        """The profiles that name the person's contacts and do not hold the address. One that is not to be
        had by its alternate id leaves the person to their address: an error here must not keep a withdrawal
        from the profiles that have it."""
        found: dict[str, wire.Profile] = {}
        for contact in who.ids.get(Side.DOTDIGITAL, ()) if self._type else ():
            try:
                profile = self._client.retrieve_profile_by_alternate_id(self._type, contact)
            except (Ambiguous, MappingStale, NotFound, Refused):
                continue
            found[profile.id] = profile
        for profile in found.values():
            told = profile.active and self._names(profile, who) and bool(views.addresses(profile))
            if told and not _holds(profile, who.address):
                yield profile


def _holds(profile: wire.Profile, address: str) -> bool:
    return profile.active and bool(views.elements(profile, address))
