"""People one by one: read, created, changed, and their life cycle."""

from __future__ import annotations

from bridge.mypreferences import wire
from bridge.mypreferences.client.base import Caller, P, accepted, one, written

# Both default to true at the service: inherited and former choices would look like stated ones.
STATED_ONLY = {"implied": False, "includeConsentHistory": False}
LONGEST_REASON = 256


class Profiles(Caller):
    """One method an endpoint. Every method raises SideError."""

    def profile_by_id(self, profile_id: str) -> wire.Profile:
        """One profile, also inactive (MyPreferences `Retrieve profile by profile id`). Raises NotFound."""
        return self._by_id(profile_id, wire.Profile)

    def whole_profile_by_id(self, profile_id: str) -> wire.WholeProfile:
        """The same with everything on it, as replacing or patching it needs."""
        return self._by_id(profile_id, wire.WholeProfile)

    def authors_by_id(self, profile_id: str) -> list[wire.Author]:
        """Who recorded the stated preferences of a profile (the same call). Raises NotFound."""
        operation = "profile_by_id"
        answer = self._read(operation, params=STATED_ONLY, profile_id=profile_id)
        shown: wire.Authored = wire.decode(wire.Authored, answer.content, operation=operation)
        return shown.authors

    def profile_by_alternate_id(self, alternate_id_type: str, alternate_id: str) -> wire.Profile:
        """The active profile with that alternate id, in any case (MyPreferences `Retrieve profile by
        alternate id`). Raises NotFound."""
        operation = "profile_by_alternate_id"
        query, path = self._by_alternate_id(operation, alternate_id_type, alternate_id)
        return one(operation, self._read(operation, params={**query, **STATED_ONLY}, **path), wire.Profile)

    def create_profile(self, profile: wire.Profile) -> wire.Profile | None:
        """Create somebody (MyPreferences `Create profile`). Repeating it makes a second profile: where an
        alternate id is at hand, `create_or_update_by_alternate_id` is the safe way."""
        operation = "create_profile"
        return written(operation, self._write(operation, wire.encode(profile)), wire.Profile)

    def update_profile(self, profile_id: str, change: wire.Profile) -> wire.Profile | None:
        """Change what `change` names and leave the rest (MyPreferences `Update profile (POST)`). None where
        the service accepts without showing the profile."""
        operation = "update_profile"
        answer = self._write(operation, wire.encode(change), profile_id=profile_id)
        return written(operation, answer, wire.Profile)

    def create_or_update_by_alternate_id(
        self, alternate_id_type: str, alternate_id: str, change: wire.Profile
    ) -> wire.Profile | None:
        """Change the profile with that alternate id, or create it (MyPreferences `Update profile by alternate
        id (POST)`). Repeating it ends at one profile."""
        operation = "create_or_update_by_alternate_id"
        query, path = self._by_alternate_id(operation, alternate_id_type, alternate_id)
        answer = self._write(operation, wire.encode(change), params=query, **path)
        return written(operation, answer, wire.Profile)

    def replace_profile(self, profile_id: str, whole: wire.WholeProfile) -> wire.Profile | None:
        """Make a profile what `whole` says (MyPreferences `Update profile (PUT)`): every choice, address and
        field that it leaves out is lost."""
        operation = "replace_profile"
        answer = self._write(operation, wire.encode(whole), profile_id=profile_id)
        return written(operation, answer, wire.Profile)

    def replace_profile_by_alternate_id(
        self, alternate_id_type: str, alternate_id: str, whole: wire.WholeProfile
    ) -> wire.Profile | None:
        """The same by alternate id (MyPreferences `Update profile by alternate id (PUT)`)."""
        operation = "replace_profile_by_alternate_id"
        query, path = self._by_alternate_id(operation, alternate_id_type, alternate_id)
        answer = self._write(operation, wire.encode(whole), params=query, **path)
        return written(operation, answer, wire.Profile)

    def activate_profile(self, profile_id: str) -> None:
        """Make a profile active again (MyPreferences `Activate`). Preserved preferences are there again."""
        operation = "activate_profile"
        accepted(operation, self._write(operation, None, profile_id=profile_id))

    def deactivate_profile(self, profile_id: str, reason: str = "") -> None:
        """Make a profile inactive (MyPreferences `Deactivate`). Raises ValueError for a reason of more than
        256 characters: the service would refuse it."""
        if len(reason) > LONGEST_REASON:
            raise ValueError(f"the reason has more than {LONGEST_REASON} characters")
        operation = "deactivate_profile"
        accepted(operation, self._write(operation, {"Reason": reason}, profile_id=profile_id))

    def delete_profile(self, profile_id: str, reason_code: str | None = None) -> None:
        """Delete a profile with all preferences, for good (MyPreferences `Delete`)."""
        operation = "delete_profile"
        params = {"reasonCode": reason_code}
        accepted(operation, self._write(operation, None, params=params, profile_id=profile_id))

    def _by_id(self, profile_id: str, kind: type[P]) -> P:
        operation = "profile_by_id"
        profile = one(operation, self._read(operation, params=STATED_ONLY, profile_id=profile_id), kind)
        if profile.id != str(profile_id):
            raise wire.bad_answer(operation)
        return profile
