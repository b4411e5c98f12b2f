"""Preferences by themselves: added, updated, read, archived."""

from __future__ import annotations

from bridge.mypreferences import wire
from bridge.mypreferences.client.base import Caller, accepted, one, written


class Preferences(Caller):
    """One method an endpoint. Every method raises SideError."""

    def update_preferences(self, profile_id: str, said: wire.Submission) -> wire.Profile | None:
        """Add or update preferences (MyPreferences `Add or update preferences`). A contact element that is
        not on the profile is added to it."""
        operation = "update_preferences"
        answer = self._write(operation, wire.encode(said), profile_id=profile_id)
        return written(operation, answer, wire.Profile)

    def update_preferences_by_alternate_id(
        self, alternate_id_type: str, alternate_id: str, said: wire.Submission
    ) -> wire.Profile | None:
        """The same by alternate id; unlike the profile's, it creates nobody (MyPreferences `Add or update
        preferences by alternate id`). Raises NotFound."""
        operation = "update_preferences_by_alternate_id"
        query, path = self._by_alternate_id(operation, alternate_id_type, alternate_id)
        answer = self._write(operation, wire.encode(said), params=query, **path)
        return written(operation, answer, wire.Profile)

    def preferences(self, profile_id: str, filter_id: str | None = None) -> wire.WholeProfile:
        """The stated preferences of a profile, of one filter only where it is named (MyPreferences `Retrieve
        preferences`). Raises NotFound."""
        operation = "preferences"
        params = {"implied": False, "filterId": filter_id, "includeConsentHistory": False}
        return one(operation, self._read(operation, params=params, profile_id=profile_id), wire.WholeProfile)

    def archive_preferences(self, profile_id: str, wanted: wire.Archiving) -> None:
        """Take preferences out of ordinary reads; nobody is opted out by it (MyPreferences `Archive
        preferences`)."""
        operation = "archive_preferences"
        accepted(operation, self._write(operation, wire.encode(wanted), profile_id=profile_id))
