"""People: found, read and changed."""

from __future__ import annotations

from bridge.core.errors import NotFound
from bridge.mypreferences import wire
from bridge.mypreferences.client.calling import Caller, items, one

# Both default to true at the service: inherited and former choices would look like stated ones.
STATED_ONLY = {"implied": False, "includeConsentHistory": False}


class Profiles(Caller):
    """One method an endpoint. Every method raises SideError."""

    def profile_by_id(self, profile_id: str) -> wire.Profile:
        """One profile, also inactive (MyPreferences `Retrieve profile by profile id`). Raises NotFound."""
        operation = "profile_by_id"
        answer = self._read(operation, params=STATED_ONLY, profile_id=profile_id)
        profile = one(operation, answer)
        if profile is None or profile.id != str(profile_id):
            raise wire.bad_answer(operation)
        return profile

    def profiles_by_email(self, address: str) -> list[wire.Profile]:
        """Active profiles with an address, or none (MyPreferences `Retrieve profiles by email`). Raises
        Ambiguous for more than 50."""
        operation = "profiles_by_email"
        params = {"emailAddress": address, "includeInactive": False, **STATED_ONLY}
        try:
            answer = self._read(operation, params=params)
        except NotFound:
            return []
        profiles: list[wire.Profile] = items(operation, answer, "Profiles", wire.Profile)
        if not all(profile.id for profile in profiles):
            raise wire.bad_answer(operation)
        return profiles

    def update_profile(self, profile_id: str, change: wire.Profile) -> wire.Profile | None:
        """Change what `change` names and leave the rest (MyPreferences `Update profile (POST)`). None where
        the service accepts without showing the profile."""
        operation = "update_profile"
        return one(
            operation, self._write(operation, wire.encode(change), profile_id=profile_id), is_write=True
        )

    def create_or_update_by_alternate_id(
        self, alternate_id_type: str, alternate_id: str, change: wire.Profile
    ) -> wire.Profile | None:
        """Change the profile with that alternate id, or create it (MyPreferences `Update profile by alternate
        id (POST)`). Repeating it ends at one profile."""
        operation = "create_or_update_by_alternate_id"
        values = {"alternate_id_type": alternate_id_type, "alternate_id": alternate_id}
        query = {"alternateIdType": alternate_id_type, "alternateId": alternate_id}
        params = None if "alternate_id" in self._routes[operation].fields else query
        answer = self._write(operation, wire.encode(change), params=params, **values)
        return one(operation, answer, is_write=True)
