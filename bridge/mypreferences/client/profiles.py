"""Profiles: found, read, created, changed, and their life cycle."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bridge.core.errors import NotFound
from bridge.mypreferences.client.base import Caller, P, listed
from bridge.mypreferences.wire.codec import bad_answer, encode
from bridge.mypreferences.wire.profiles import Address, Author, Authored, CustomerName, FullProfile, Profile

# Both default to true at the service: inherited and former choices would look like stated ones.
STATED_ONLY = {"implied": False, "includeConsentHistory": False}
REASON_MAX = 256  # characters


class Profiles(Caller):
    """One method for each endpoint. Every method raises SideError.

    Searches return active profiles only, an empty list where none matches, and raise Ambiguous for more than
    50 matches: repeating the search would not help.
    """

    # one profile

    def retrieve_profile_by_id(self, profile_id: str) -> Profile:
        """One profile, also an inactive one (MyPreferences `Retrieve profile by profile id`). Raises
        NotFound."""
        return self._by_id(profile_id, Profile)

    def retrieve_full_profile_by_id(self, profile_id: str) -> FullProfile:
        """The same with every field, as replacing or patching it needs."""
        return self._by_id(profile_id, FullProfile)

    def retrieve_authors_by_id(self, profile_id: str) -> list[Author]:
        """Who recorded the stated preferences of a profile (the same call). Raises NotFound."""
        found = self._read_as("retrieveProfileById", Authored, params=STATED_ONLY, profile_id=profile_id)
        return found.authors

    def retrieve_profile_by_alternate_id(self, alternate_id_type: str, alternate_id: str) -> Profile:
        """The active profile with that alternate id, in any case (MyPreferences `Retrieve profile by
        alternate id`). Raises NotFound."""
        return self._read_profile(
            "retrieveProfileByAlternateId",
            Profile,
            params=STATED_ONLY,
            alternate_id_type=alternate_id_type,
            alternate_id=alternate_id,
        )

    # searches

    def retrieve_profiles_by_email(self, address: str, *, email_type: str | None = None) -> list[Profile]:
        """Profiles with an e-mail address (MyPreferences `Retrieve profiles by email`)."""
        query = {"emailAddress": address, "emailType": email_type, "includeInactive": False}
        return self._search("retrieveProfilesByEmail", query, Profile)

    def retrieve_profiles_by_phone(self, number: str, *, phone_type: str | None = None) -> list[FullProfile]:
        """Profiles with a phone number; only its digits are sent (MyPreferences `Retrieve profiles by
        phone`)."""
        query = {"phoneNumber": _digits(number), "phoneType": phone_type, "includeInactive": False}
        return self._search("retrieveProfilesByPhone", query, FullProfile)

    def retrieve_profiles_by_address(
        self,
        address: Address,
        name: CustomerName | None = None,
        *,
        partial_address: bool = False,
        partial_name: bool = False,
    ) -> list[FullProfile]:
        """Profiles at a postal address, by every part that is given (MyPreferences `Retrieve profiles by
        address`). Raises ValueError without city and state."""
        if not address.city or not address.state_province:
            raise ValueError("a search by postal address needs city and state")
        query = {
            "city": address.city,
            "stateProvince": address.state_province,
            "address1": address.address1,
            "address2": address.address2,
            "postalCode": address.postal_code,
            "addressType": address.address_type,
            "firstName": name and name.first_name,
            "middleName": name and name.middle_name,
            "lastName": name and name.last_name,
            "partialAddress1Match": partial_address,
            "partialNameMatch": partial_name,
        }
        return self._search("retrieveProfilesByAddress", query, FullProfile)

    def retrieve_profiles_by_preference_attributes(self, attributes: Mapping[str, str]) -> list[Profile]:
        """Profiles with a preference that has all of these attributes (MyPreferences `Retrieve profiles by
        preference attributes`). They hold only such preferences: never a view of the whole person."""
        query: dict[str, Any] = {}
        for index, (key, value) in enumerate(attributes.items()):
            query[f"preferenceAttributes[{index}].key"] = key
            query[f"preferenceAttributes[{index}].value"] = value
        return self._search("retrieveProfilesByPreferenceAttributes", query, Profile)

    def retrieve_group_profiles_by_id(
        self, profile_id: str, group_type: str, group_name: str | None = None
    ) -> list[FullProfile]:
        """Members of the groups that a profile is the primary one of (MyPreferences `Retrieve group profiles
        by profile id`)."""
        query = {"groupType": group_type, "groupName": group_name}
        return self._search("retrieveGroupProfilesById", query, FullProfile, profile_id=profile_id)

    def retrieve_group_profiles_by_email(
        self, address: str, group_type: str, group_name: str | None = None, *, email_type: str | None = None
    ) -> list[FullProfile]:
        """The same by the primary profile's e-mail address (MyPreferences `Retrieve group profiles by email
        address`)."""
        query = {
            "emailAddress": address,
            "emailType": email_type,
            "groupType": group_type,
            "groupName": group_name,
        }
        return self._search("retrieveGroupProfilesByEmail", query, FullProfile)

    def retrieve_group_profiles_by_phone(
        self, number: str, group_type: str, group_name: str | None = None, *, phone_type: str | None = None
    ) -> list[FullProfile]:
        """The same by the primary profile's phone number (MyPreferences `Retrieve group profiles by
        phone`)."""
        query = {
            "phoneNumber": _digits(number),
            "phoneType": phone_type,
            "groupType": group_type,
            "groupName": group_name,
        }
        return self._search("retrieveGroupProfilesByPhone", query, FullProfile)

    # writes

    def create_profile(self, profile: Profile) -> Profile | None:
        """Create a profile (MyPreferences `Create profile`). Repeating it creates a second one: where there
        is an alternate id, `upsert_profile_by_alternate_id` is the safe way."""
        return self._write_profile("createProfile", encode(profile))

    def update_profile_post(self, profile_id: str, change: Profile) -> Profile | None:
        """Change what `change` names and leave the rest (MyPreferences `Update profile (POST)`). None where
        the service accepts without showing the profile."""
        return self._write_profile("updateProfilePost", encode(change), profile_id=profile_id)

    def upsert_profile_by_alternate_id(
        self, alternate_id_type: str, alternate_id: str, change: Profile
    ) -> Profile | None:
        """Change the profile with that alternate id, or create it (MyPreferences `Update profile by alternate
        id (POST)`). Repeating it leaves one profile."""
        return self._write_profile(
            "upsertProfileByAlternateId",
            encode(change),
            alternate_id_type=alternate_id_type,
            alternate_id=alternate_id,
        )

    def update_profile_put(self, profile_id: str, whole: FullProfile) -> Profile | None:
        """Replace a profile by `whole` (MyPreferences `Update profile (PUT)`): every choice, address and
        field that it leaves out is lost."""
        return self._write_profile("updateProfilePut", encode(whole), profile_id=profile_id)

    def replace_profile_by_alternate_id(
        self, alternate_id_type: str, alternate_id: str, whole: FullProfile
    ) -> Profile | None:
        """The same by alternate id (MyPreferences `Update profile by alternate id (PUT)`)."""
        return self._write_profile(
            "replaceProfileByAlternateId",
            encode(whole),
            alternate_id_type=alternate_id_type,
            alternate_id=alternate_id,
        )

    def activate_profile(self, profile_id: str) -> None:
        """Make a profile active again, with its preserved preferences (MyPreferences `Activate`)."""
        self._write_only("activateProfile", None, profile_id=profile_id)

    def deactivate_profile(self, profile_id: str, reason: str = "") -> None:
        """Make a profile inactive (MyPreferences `Deactivate`). Raises ValueError for a reason of more than
        256 characters: the service would refuse it."""
        if len(reason) > REASON_MAX:
            raise ValueError(f"the reason has more than {REASON_MAX} characters")
        self._write_only("deactivateProfile", {"Reason": reason}, profile_id=profile_id)

    def delete_profile(self, profile_id: str, reason_code: str | None = None) -> None:
        """Delete a profile with all its preferences, for good (MyPreferences `Delete`)."""
        self._write_only("deleteProfile", None, params={"reasonCode": reason_code}, profile_id=profile_id)

    def _by_id(self, profile_id: str, kind: type[P]) -> P:
        operation = "retrieveProfileById"
        profile = self._read_profile(operation, kind, params=STATED_ONLY, profile_id=profile_id)
        if profile.id != str(profile_id):
            raise bad_answer(operation)
        return profile

    def _search(self, operation: str, query: dict[str, Any], kind: type[P], **path: str) -> list[P]:
        try:
            answer = self._read(operation, params={**query, **STATED_ONLY}, **path)
        except NotFound:
            return []
        profiles = listed(operation, answer, "Profiles", kind)
        if not all(profile.id for profile in profiles):
            raise bad_answer(operation)
        return profiles


def _digits(number: str) -> str:
    return "".join(letter for letter in number if letter.isdecimal())
