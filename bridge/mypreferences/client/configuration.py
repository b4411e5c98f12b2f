"""What the account is configured with: programs, filters, consents, types."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from bridge.mypreferences import wire
from bridge.mypreferences.client.base import Caller, items

Properties = Mapping[str, str]
"""Custom properties by name; an empty value stands for any."""


class Configuration(Caller):
    """One method an endpoint. Every method raises SideError. `locale` is the one that names come worded in;
    without it, the account's own."""

    def programs(self, *, locale: str | None = None) -> list[wire.Program]:
        """All programs with their filters (MyPreferences `Retrieve programs`)."""
        return self._programs("programs", _worded(locale))

    def program(self, program_id: str, *, locale: str | None = None) -> wire.Program:
        """One program with all its filters (MyPreferences `Retrieve a program`). Raises NotFound."""
        operation = "program"
        found = self._programs(operation, _worded(locale), program_id=program_id)
        if len(found) != 1:
            raise wire.bad_answer(operation)
        return found[0]

    def programs_by_type(self, program_type: str, *, locale: str | None = None) -> list[wire.Program]:
        """Programs of a type: Transactional, Marketing, Informational, Consent or Do Not Contact
        (MyPreferences `Retrieve programs by Program Type`)."""
        return self._programs("programs_by_type", _worded(locale), program_type=program_type)

    def programs_include_all(self, properties: Properties) -> list[wire.Program]:
        """Programs that bear the properties, with all their filters (MyPreferences `Retrieve programs
        (Include All)`)."""
        return self._programs("programs_include_all", dict(properties))

    def programs_include_matching(self, properties: Properties) -> list[wire.Program]:
        """Programs that bear the properties, with those filters that do too (MyPreferences `Retrieve programs
        (Include Matching)`)."""
        return self._programs("programs_include_matching", dict(properties))

    def program_groups(self, *, locale: str | None = None) -> list[wire.ProgramGroup]:
        """The tree of categories (MyPreferences `Program Groups`)."""
        return self._groups("program_groups", _worded(locale))

    def program_group(self, program_group_id: str, *, locale: str | None = None) -> wire.ProgramGroup:
        """One category with all that is in it (MyPreferences `Program Groups`). Raises NotFound."""
        operation = "program_group"
        found = self._groups(operation, _worded(locale), program_group_id=program_group_id)
        if len(found) != 1:
            raise wire.bad_answer(operation)
        return found[0]

    def program_groups_include_all(self, properties: Properties) -> list[wire.ProgramGroup]:
        """Categories that bear the properties, with all that is in them (MyPreferences `Retrieve program
        groups (Include All)`)."""
        return self._groups("program_groups_include_all", dict(properties))

    def program_groups_include_matching(self, properties: Properties) -> list[wire.ProgramGroup]:
        """Categories that bear the properties, with what in them does too (MyPreferences `Retrieve program
        groups (Include Matching)`)."""
        return self._groups("program_groups_include_matching", dict(properties))

    def consent_types(self) -> list[wire.ConsentType]:
        """All consents people may give (MyPreferences `Retrieve consents`)."""
        answer = self._read("consent_types")
        return items("consent_types", answer, "ConsentTypes", wire.ConsentType)

    def create_consent_types(self, wanted: Sequence[wire.ConsentType]) -> list[wire.ConsentType]:
        """Configure consents (MyPreferences `Create consent types`). Raises Refused where one exists."""
        operation = "create_consent_types"
        answer = self._write(operation, {"ConsentTypes": [wire.encode(one) for one in wanted]})
        return items(operation, answer, "ConsentTypes", wire.ConsentType, is_write=True)

    def update_consent_type(self, type_id: str, steps: Sequence[wire.PatchStep]) -> wire.ConsentType:
        """Change a consent's configuration by a JSON patch (MyPreferences `Update consent type`). Raises
        MappingStale where it is not there."""
        operation = "update_consent_type"
        body = msgspec.to_builtins(steps)
        answer = self._write(operation, body, content_type="application/json-patch+json", type_id=type_id)
        changed: wire.ConsentType = wire.decode(
            wire.ConsentType, answer.content, operation=operation, is_write=True
        )
        return changed

    def consent_statuses(self) -> list[wire.ConsentStatus]:
        """The words a consent may bear, with their numbers (MyPreferences `Retrieve consent status`)."""
        answer = self._read("consent_statuses")
        return items("consent_statuses", answer, "ConsentStatus", wire.ConsentStatus)

    def email_types(self) -> list[wire.ContactType]:
        """Types of e-mail address (MyPreferences `Contact Types`)."""
        return self._types("email_types", "EmailTypes")

    def phone_types(self) -> list[wire.ContactType]:
        """Types of phone number (MyPreferences `Contact Types`)."""
        return self._types("phone_types", "PhoneTypes")

    def address_types(self) -> list[wire.ContactType]:
        """Types of postal address (MyPreferences `Contact Types`)."""
        return self._types("address_types", "AddressTypes")

    def alternate_id_types(self) -> list[wire.ContactType]:
        """Types of alternate id (MyPreferences `Contact Types`)."""
        return self._types("alternate_id_types", "AlternateIdTypes")

    def customer_types(self) -> list[wire.ContactType]:
        """Types of customer (MyPreferences `Contact Types`)."""
        return self._types("customer_types", "CustomerTypes")

    def group_types(self) -> list[wire.ContactType]:
        """Types of group (MyPreferences `Contact Types`)."""
        return self._types("group_types", "GroupTypes")

    def _programs(self, operation: str, params: dict[str, Any], **path: str) -> list[wire.Program]:
        answer = self._read(operation, params=params or None, **path)
        return items(operation, answer, "Programs", wire.Program)

    def _groups(self, operation: str, params: dict[str, Any], **path: str) -> list[wire.ProgramGroup]:
        answer = self._read(operation, params=params or None, **path)
        return items(operation, answer, "ProgramGroups", wire.ProgramGroup)

    def _types(self, operation: str, name: str) -> list[wire.ContactType]:
        return items(operation, self._read(operation), name, wire.ContactType)


def _worded(locale: str | None) -> dict[str, Any]:
    return {} if locale is None else {"locale": locale}
