"""What the account is configured with: programs, filters, consents, types, API users."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from bridge.mypreferences.client.base import Caller, listed
from bridge.mypreferences.wire.codec import bad_answer, encode
from bridge.mypreferences.wire.configuration import (
    ConsentStatus,
    ConsentType,
    ContactType,
    PatchStep,
    Program,
    ProgramGroup,
    User,
    UserCreated,
)

Properties = Mapping[str, str]
"""Custom properties by name; an empty value matches any."""


class Configuration(Caller):
    """One method for each endpoint. Every method raises SideError. `locale` is the language of the names;
    without it, the account's own."""

    # programs and their filters

    def retrieve_programs(self, *, locale: str | None = None) -> list[Program]:
        """All programs with their filters (MyPreferences `Retrieve programs`)."""
        return self._programs("retrievePrograms", _named_in(locale))

    def retrieve_program(self, program_id: str, *, locale: str | None = None) -> Program:
        """One program with all its filters (MyPreferences `Retrieve a program`). Raises NotFound."""
        operation = "retrieveProgram"
        found = self._programs(operation, _named_in(locale), program_id=program_id)
        if len(found) != 1:
            raise bad_answer(operation)
        return found[0]

    def retrieve_programs_by_type(self, program_type: str, *, locale: str | None = None) -> list[Program]:
        """Programs of a type: Transactional, Marketing, Informational, Consent or Do Not Contact
        (MyPreferences `Retrieve programs by Program Type`)."""
        return self._programs("retrieveProgramsByType", _named_in(locale), program_type=program_type)

    def retrieve_programs_include_all(self, properties: Properties) -> list[Program]:
        """Programs that have the properties, with all their filters (MyPreferences `Retrieve programs
        (Include All)`)."""
        return self._programs("retrieveProgramsIncludeAll", dict(properties))

    def retrieve_programs_include_matching(self, properties: Properties) -> list[Program]:
        """Programs that have the properties, with those filters that have them too (MyPreferences `Retrieve
        programs (Include Matching)`)."""
        return self._programs("retrieveProgramsIncludeMatching", dict(properties))

    def retrieve_program_groups(self, *, locale: str | None = None) -> list[ProgramGroup]:
        """The tree of categories (MyPreferences `Program Groups`)."""
        return self._groups("retrieveProgramGroups", _named_in(locale))

    def retrieve_program_group(self, program_group_id: str, *, locale: str | None = None) -> ProgramGroup:
        """One category with all its content (MyPreferences `Program Groups`). Raises NotFound."""
        operation = "retrieveProgramGroup"
        found = self._groups(operation, _named_in(locale), program_group_id=program_group_id)
        if len(found) != 1:
            raise bad_answer(operation)
        return found[0]

    def retrieve_program_groups_include_all(self, properties: Properties) -> list[ProgramGroup]:
        """Categories that have the properties, with all their content (MyPreferences `Retrieve program groups
        (Include All)`)."""
        return self._groups("retrieveProgramGroupsIncludeAll", dict(properties))

    def retrieve_program_groups_include_matching(self, properties: Properties) -> list[ProgramGroup]:
        """Categories that have the properties, with that content that has them too (MyPreferences `Retrieve
        program groups (Include Matching)`)."""
        return self._groups("retrieveProgramGroupsIncludeMatching", dict(properties))

    # consents

    def retrieve_consent_types(self) -> list[ConsentType]:
        """All consents people may give (MyPreferences `Retrieve consents`)."""
        return self._read_list("retrieveConsentTypes", "ConsentTypes", ConsentType)

    def create_consent_types(self, wanted: Sequence[ConsentType]) -> list[ConsentType]:
        """Configure consents (MyPreferences `Create consent types`). Raises Refused where one exists."""
        operation = "createConsentTypes"
        answer = self._write(operation, {"ConsentTypes": [encode(one) for one in wanted]})
        return listed(operation, answer, "ConsentTypes", ConsentType, is_write=True)

    def update_consent_type(self, type_id: str, steps: Sequence[PatchStep]) -> ConsentType:
        """Change a consent's configuration by a JSON patch (MyPreferences `Update consent type`). Raises
        MappingStale where it does not exist."""
        return self._write_as(
            "updateConsentType",
            msgspec.to_builtins(steps),
            ConsentType,
            content_type="application/json-patch+json",
            type_id=type_id,
        )

    def retrieve_consent_status(self) -> list[ConsentStatus]:
        """The statuses a consent may have, with their numbers (MyPreferences `Retrieve consent status`)."""
        return self._read_list("retrieveConsentStatus", "ConsentStatus", ConsentStatus)

    # types

    def retrieve_email_types(self) -> list[ContactType]:
        """Types of e-mail address (MyPreferences `Contact Types`)."""
        return self._read_list("retrieveEmailTypes", "EmailTypes", ContactType)

    def retrieve_phone_types(self) -> list[ContactType]:
        """Types of phone number (MyPreferences `Contact Types`)."""
        return self._read_list("retrievePhoneTypes", "PhoneTypes", ContactType)

    def retrieve_address_types(self) -> list[ContactType]:
        """Types of postal address (MyPreferences `Contact Types`)."""
        return self._read_list("retrieveAddressTypes", "AddressTypes", ContactType)

    def retrieve_alternate_id_types(self) -> list[ContactType]:
        """Types of alternate id (MyPreferences `Contact Types`)."""
        return self._read_list("retrieveAlternateIdTypes", "AlternateIdTypes", ContactType)

    def retrieve_customer_types(self) -> list[ContactType]:
        """Types of customer (MyPreferences `Contact Types`)."""
        return self._read_list("retrieveCustomerTypes", "CustomerTypes", ContactType)

    def retrieve_group_types(self) -> list[ContactType]:
        """Types of group (MyPreferences `Contact Types`)."""
        return self._read_list("retrieveGroupTypes", "GroupTypes", ContactType)

    # API users: no call lists them

    def create_user(self, wanted: User) -> UserCreated:
        """Create a user, or reactivate an inactive one of that name: the answer is the same (MyPreferences
        `Create user`). Raises Refused where the service does neither."""
        return self._write_as("createUser", encode(wanted), UserCreated)

    def _programs(self, operation: str, params: dict[str, Any], **path: str) -> list[Program]:
        return self._read_list(operation, "Programs", Program, params=params or None, **path)

    def _groups(self, operation: str, params: dict[str, Any], **path: str) -> list[ProgramGroup]:
        return self._read_list(operation, "ProgramGroups", ProgramGroup, params=params or None, **path)


def _named_in(locale: str | None) -> dict[str, Any]:
    return {} if locale is None else {"locale": locale}
