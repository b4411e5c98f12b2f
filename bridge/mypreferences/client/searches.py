"""People found by what they have: e-mail, phone, postal address, attributes of a preference, a group.

Each search answers with active profiles only, none where nobody matches, and raises Ambiguous for more than
50: repeating it would not help.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bridge.core.errors import NotFound
from bridge.mypreferences import wire
from bridge.mypreferences.client.base import Caller, P, items
from bridge.mypreferences.client.profiles import STATED_ONLY


class Searches(Caller):
    """One method an endpoint. Every method raises SideError."""

    def profiles_by_email(self, address: str, *, email_type: str | None = None) -> list[wire.Profile]:
        """Profiles with an address (MyPreferences `Retrieve profiles by email`)."""
        query = {"emailAddress": address, "emailType": email_type, "includeInactive": False}
        return self._search("profiles_by_email", query, wire.Profile)

    def profiles_by_phone(self, number: str, *, phone_type: str | None = None) -> list[wire.WholeProfile]:
        """Profiles with a phone; only digits are sent (MyPreferences `Retrieve profiles by phone`)."""
        query = {"phoneNumber": _digits(number), "phoneType": phone_type, "includeInactive": False}
        return self._search("profiles_by_phone", query, wire.WholeProfile)

    def profiles_by_address(
        self,
        address: wire.Address,
        name: wire.CustomerName | None = None,
        *,
        partial_address: bool = False,
        partial_name: bool = False,
    ) -> list[wire.WholeProfile]:
        """Profiles at a postal address, by all that is given; city and state must be (MyPreferences `Retrieve
        profiles by address`). Raises ValueError without them."""
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
        return self._search("profiles_by_address", query, wire.WholeProfile)

    def profiles_by_preference_attributes(self, attributes: Mapping[str, str]) -> list[wire.Profile]:
        """Profiles with a preference that has all of these attributes, and only such preferences inside
        (MyPreferences `Retrieve profiles by preference attributes`): never a picture of the whole person."""
        query: dict[str, Any] = {}
        for index, (key, value) in enumerate(attributes.items()):
            query[f"preferenceAttributes[{index}].key"] = key
            query[f"preferenceAttributes[{index}].value"] = value
        return self._search("profiles_by_preference_attributes", query, wire.Profile)

    def group_members(
        self, profile_id: str, group_type: str, group_name: str | None = None
    ) -> list[wire.WholeProfile]:
        """Members of the groups that a profile is the primary one of (MyPreferences `Retrieve group profiles
        by profile id`)."""
        query = {"groupType": group_type, "groupName": group_name}
        return self._search("group_members", query, wire.WholeProfile, profile_id=profile_id)

    def group_members_by_email(
        self, address: str, group_type: str, group_name: str | None = None, *, email_type: str | None = None
    ) -> list[wire.WholeProfile]:
        """The same by the primary profile's e-mail (MyPreferences `Retrieve group profiles by email
        address`)."""
        query = {
            "emailAddress": address,
            "emailType": email_type,
            "groupType": group_type,
            "groupName": group_name,
        }
        return self._search("group_members_by_email", query, wire.WholeProfile)

    def group_members_by_phone(
        self, number: str, group_type: str, group_name: str | None = None, *, phone_type: str | None = None
    ) -> list[wire.WholeProfile]:
        """The same by the primary profile's phone (MyPreferences `Retrieve group profiles by phone`)."""
        query = {
            "phoneNumber": _digits(number),
            "phoneType": phone_type,
            "groupType": group_type,
            "groupName": group_name,
        }
        return self._search("group_members_by_phone", query, wire.WholeProfile)

    def _search(self, operation: str, query: dict[str, Any], kind: type[P], **path: str) -> list[P]:
        try:
            answer = self._read(operation, params={**query, **STATED_ONLY}, **path)
        except NotFound:
            return []
        profiles: list[P] = items(operation, answer, "Profiles", kind)
        if not all(profile.id for profile in profiles):
            raise wire.bad_answer(operation)
        return profiles


def _digits(number: str) -> str:
    return "".join(letter for letter in number if letter.isdecimal())
