"""What people chose: preferences, consents, what links the two, and their history."""

from __future__ import annotations

from collections.abc import Sequence

from bridge.mypreferences.client.base import Caller
from bridge.mypreferences.wire.codec import encode
from bridge.mypreferences.wire.profiles import (
    Archiving,
    Consent,
    ConsentFilter,
    ConsentList,
    FullProfile,
    Profile,
    Submission,
)


class Preferences(Caller):
    """Preferences by themselves. One method for each endpoint. Every method raises SideError."""

    def upsert_preferences(self, profile_id: str, change: Submission) -> Profile | None:
        """Add or update preferences (MyPreferences `Add or update preferences`). A contact element that is
        not on the profile is added to it."""
        return self._write_profile("upsertPreferences", encode(change), profile_id=profile_id)

    def upsert_preferences_by_alternate_id(
        self, alternate_id_type: str, alternate_id: str, change: Submission
    ) -> Profile | None:
        """The same by alternate id; unlike the profile's, it creates no profile (MyPreferences `Add or update
        preferences by alternate id`). Raises NotFound."""
        return self._write_profile(
            "upsertPreferencesByAlternateId",
            encode(change),
            alternate_id_type=alternate_id_type,
            alternate_id=alternate_id,
        )

    def retrieve_preferences(self, profile_id: str, filter_id: str | None = None) -> FullProfile:
        """The stated preferences of a profile, of one filter only where it is named (MyPreferences `Retrieve
        preferences`). Raises NotFound."""
        params = {"implied": False, "filterId": filter_id, "includeConsentHistory": False}
        return self._read_profile("retrievePreferences", FullProfile, params=params, profile_id=profile_id)

    def archive_preferences(self, profile_id: str, wanted: Archiving) -> None:
        """Take preferences out of ordinary reads; nobody is opted out by it (MyPreferences `Archive
        preferences`)."""
        self._write_only("archivePreferences", encode(wanted), profile_id=profile_id)


class Consents(Caller):
    """Consents, and the filters they are linked to. One method for each endpoint. Every method raises
    SideError."""

    def add_consents(self, profile_id: str, consents: Sequence[Consent]) -> list[Consent]:
        """Add or change consents of a profile; returns all current ones (MyPreferences `Add consents to
        profile`). A revocation archives the preferences linked to the consent."""
        body = encode(ConsentList(consents=list(consents)))
        return self._write_as("addConsents", body, ConsentList, profile_id=profile_id).consents

    def add_element_consents(self, profile_id: str, elements: FullProfile) -> Profile | None:
        """Add or change consents nested in contact elements of a profile, by MyPreferences `Update profile
        (POST)`, which takes them in v4; the older elements route is not documented. An element that is not
        on the profile is added to it."""
        return self._write_profile("addElementConsents", encode(elements), profile_id=profile_id)

    def retrieve_consent_filters(self, profile_id: str, filter_id: str | None = None) -> list[ConsentFilter]:
        """Which consents are linked to which filters, inherited links left out (MyPreferences `Filter
        associations`). Raises NotFound."""
        params = {"filterId": filter_id, "implied": False}
        return self._read_list(
            "retrieveConsentFilters", "Filters", ConsentFilter, params=params, profile_id=profile_id
        )

    def add_consent_filters(self, profile_id: str, links: Sequence[ConsentFilter]) -> None:
        """Link consents to filters (MyPreferences `Filter associations`)."""
        body = [encode(link) for link in links]
        self._write_only("addConsentFilters", body, profile_id=profile_id)

    def remove_consent_filter(self, profile_id: str, filter_id: str, consent_type: str) -> None:
        """Unlink every version of a consent from a filter (MyPreferences `Filter association, remove`).
        Raises NotFound where they are not linked."""
        self._write_only(
            "removeConsentFilter",
            None,
            profile_id=profile_id,
            filter_id=filter_id,
            consent_type=consent_type,
        )


class History(Caller):
    """Former values. For an operator to read, never for a decision: archived and superseded choices stand
    beside the current ones. One method for each endpoint. Every method raises SideError."""

    def history_preferences_by_id(self, profile_id: str, filter_id: str | None = None) -> FullProfile:
        """Current and former preferences (MyPreferences `Retrieve historical preferences by profile id`)."""
        params = {"filterId": filter_id}
        return self._read_profile("historyPreferencesById", FullProfile, params=params, profile_id=profile_id)

    def history_preferences_by_alternate_id(
        self, alternate_id_type: str, alternate_id: str, filter_id: str | None = None
    ) -> FullProfile:
        """The same by alternate id."""
        return self._read_profile(
            "historyPreferencesByAlternateId",
            FullProfile,
            params={"filterId": filter_id},
            alternate_id_type=alternate_id_type,
            alternate_id=alternate_id,
        )

    def history_consents_by_id(self, profile_id: str) -> Profile:
        """Current and former consents, by type, version and time (MyPreferences `Retrieve historical consents
        by profile id`)."""
        return self._read_profile("historyConsentsById", Profile, profile_id=profile_id)

    def history_consents_by_alternate_id(self, alternate_id_type: str, alternate_id: str) -> Profile:
        """The same by alternate id."""
        return self._read_profile(
            "historyConsentsByAlternateId",
            Profile,
            alternate_id_type=alternate_id_type,
            alternate_id=alternate_id,
        )

    def history_custom_fields_by_id(self, profile_id: str) -> FullProfile:
        """Every value of custom fields, by time (MyPreferences `Retrieve historical custom fields by profile
        id`)."""
        return self._read_profile("historyCustomFieldsById", FullProfile, profile_id=profile_id)

    def history_custom_fields_by_alternate_id(self, alternate_id_type: str, alternate_id: str) -> FullProfile:
        """The same by alternate id."""
        return self._read_profile(
            "historyCustomFieldsByAlternateId",
            FullProfile,
            alternate_id_type=alternate_id_type,
            alternate_id=alternate_id,
        )

    def history_standard_fields_by_id(self, profile_id: str) -> list[FullProfile]:
        """Former values of name, locale and the like, one entry for each change (MyPreferences `Retrieve
        historical standard fields by profile id`)."""
        return self._read_list(
            "historyStandardFieldsById", "UserProfilePreferences", FullProfile, profile_id=profile_id
        )

    def history_standard_fields_by_alternate_id(
        self, alternate_id_type: str, alternate_id: str
    ) -> list[FullProfile]:
        """The same by alternate id."""
        return self._read_list(
            "historyStandardFieldsByAlternateId",
            "UserProfilePreferences",
            FullProfile,
            alternate_id_type=alternate_id_type,
            alternate_id=alternate_id,
        )
