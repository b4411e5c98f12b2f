"""Consents of people, and what ties them to preferences."""

from __future__ import annotations

from collections.abc import Sequence

from bridge.mypreferences import wire
from bridge.mypreferences.client.base import Caller, accepted, items, written


class Consents(Caller):
    """One method an endpoint. Every method raises SideError."""

    def add_consents(self, profile_id: str, consents: Sequence[wire.Consent]) -> list[wire.Consent]:
        """Add or change consents of a profile; all current ones (MyPreferences `Add consents to profile`). A
        revocation archives the preferences tied to the consent."""
        operation = "add_consents"
        body = wire.encode(wire.ConsentList(consents=list(consents)))
        answer = self._write(operation, body, profile_id=profile_id)
        found: wire.ConsentList = wire.decode(
            wire.ConsentList, answer.content, operation=operation, is_write=True
        )
        return found.consents

    def add_element_consents(self, profile_id: str, elements: wire.WholeProfile) -> wire.Profile | None:
        """Add or change consents nested in contact elements of a profile. It goes the way of MyPreferences
        `Update profile (POST)`, which in v4 takes them; the older elements route is not documented. An
        element that is not on the profile is added to it."""
        operation = "add_element_consents"
        answer = self._write(operation, wire.encode(elements), profile_id=profile_id)
        return written(operation, answer, wire.Profile)

    def consent_filters(self, profile_id: str, filter_id: str | None = None) -> list[wire.ConsentFilter]:
        """Which consents are tied to which filters, inherited ties left out (MyPreferences `Filter
        associations`). Raises NotFound."""
        operation = "consent_filters"
        params = {"filterId": filter_id, "implied": False}
        answer = self._read(operation, params=params, profile_id=profile_id)
        return items(operation, answer, "Filters", wire.ConsentFilter)

    def add_consent_filters(self, profile_id: str, ties: Sequence[wire.ConsentFilter]) -> None:
        """Tie consents to filters (MyPreferences `Filter associations`)."""
        operation = "add_consent_filters"
        body = [wire.encode(tie) for tie in ties]
        accepted(operation, self._write(operation, body, profile_id=profile_id))

    def remove_consent_filter(self, profile_id: str, filter_id: str, consent_type: str) -> None:
        """Take every version of a consent off a filter (MyPreferences `Filter association, remove`). Raises
        NotFound where nothing ties them."""
        operation = "remove_consent_filter"
        path = {"filter_id": filter_id, "consent_type": consent_type}
        accepted(operation, self._write(operation, None, params=None, profile_id=profile_id, **path))
