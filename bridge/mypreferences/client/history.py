"""What people said before. Evidence for a person to read, never for a decision: archived and superseded
choices stand beside the current ones."""

from __future__ import annotations

from bridge.mypreferences import wire
from bridge.mypreferences.client.base import Caller, items, one
from bridge.transport import Response


class History(Caller):
    """One method an endpoint. Every method raises SideError."""

    def preference_history(self, profile_id: str, filter_id: str | None = None) -> wire.WholeProfile:
        """Current and former preferences (MyPreferences `Retrieve historical preferences by profile id`)."""
        operation = "preference_history"
        answer = self._read(operation, params={"filterId": filter_id}, profile_id=profile_id)
        return one(operation, answer, wire.WholeProfile)

    def preference_history_by_alternate_id(
        self, alternate_id_type: str, alternate_id: str, filter_id: str | None = None
    ) -> wire.WholeProfile:
        """The same by alternate id."""
        operation = "preference_history_by_alternate_id"
        answer = self._of(operation, alternate_id_type, alternate_id, {"filterId": filter_id})
        return one(operation, answer, wire.WholeProfile)

    def consent_history(self, profile_id: str) -> wire.Profile:
        """Current and former consents, by type, version and time (MyPreferences `Retrieve historical consents
        by profile id`)."""
        operation = "consent_history"
        return one(operation, self._read(operation, profile_id=profile_id), wire.Profile)

    def consent_history_by_alternate_id(self, alternate_id_type: str, alternate_id: str) -> wire.Profile:
        """The same by alternate id."""
        operation = "consent_history_by_alternate_id"
        return one(operation, self._of(operation, alternate_id_type, alternate_id), wire.Profile)

    def custom_field_history(self, profile_id: str) -> wire.WholeProfile:
        """Every value of custom fields, by time (MyPreferences `Retrieve historical custom fields by profile
        id`)."""
        operation = "custom_field_history"
        return one(operation, self._read(operation, profile_id=profile_id), wire.WholeProfile)

    def custom_field_history_by_alternate_id(
        self, alternate_id_type: str, alternate_id: str
    ) -> wire.WholeProfile:
        """The same by alternate id."""
        operation = "custom_field_history_by_alternate_id"
        return one(operation, self._of(operation, alternate_id_type, alternate_id), wire.WholeProfile)

    def standard_field_history(self, profile_id: str) -> list[wire.WholeProfile]:
        """Name, locale and such as they were, an entry a change (MyPreferences `Retrieve historical standard
        fields by profile id`)."""
        operation = "standard_field_history"
        answer = self._read(operation, profile_id=profile_id)
        return items(operation, answer, "UserProfilePreferences", wire.WholeProfile)

    def standard_field_history_by_alternate_id(
        self, alternate_id_type: str, alternate_id: str
    ) -> list[wire.WholeProfile]:
        """The same by alternate id."""
        operation = "standard_field_history_by_alternate_id"
        answer = self._of(operation, alternate_id_type, alternate_id)
        return items(operation, answer, "UserProfilePreferences", wire.WholeProfile)

    def _of(
        self,
        operation: str,
        alternate_id_type: str,
        alternate_id: str,
        more: dict[str, str | None] | None = None,
    ) -> Response:
        query, path = self._by_alternate_id(operation, alternate_id_type, alternate_id)
        return self._read(operation, params={**query, **(more or {})}, **path)
